//! A disk that is soon full.
//!
//! Owns: a small tmpfs. Does not own: what is written there.
//!
//! Invariant: it is unmounted when its value is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// A small file system.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one in `dir`; `None` (said aloud) where this user may not.
    pub fn mount(dir: &Path, megabytes: u32) -> Result<Option<Self>> {
        let path = dir.join("disk");
        fs::create_dir_all(&path)?;
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "limpid-e2e"]).arg(&path).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Ok(Some(Self(path)));
        }
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs");
        Ok(None)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes all of the room that is left; the file that gives it back when it is removed.
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", path.display())).output();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
