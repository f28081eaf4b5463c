//! A wall clock that jumps, as one process sees it.
//!
//! Owns: the library that is loaded before the C library (`skewed.c`), and its file of seconds. Does not own: the
//! process.
//!
//! Invariant: a stand-in. The machine's own clock stays as it is, so what the kernel does with waits that are under way
//! when it is set is not seen.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use limpid_stack::TempDir;

/// One process's wall clock.
pub struct Skew {
    dir: TempDir,
    seconds: File,
}

impl Skew {
    /// Builds the library; the clock is right at first.
    ///
    /// # Errors
    /// No C compiler.
    pub fn new(name: &str) -> Result<Self> {
        let dir = TempDir::new(name)?;
        let own = std::env::var_os("CARGO_MANIFEST_DIR").context("find the crate: run by cargo")?;
        let source = Path::new(&own).join("src/skewed.c");
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-shared", "-fPIC", "-o"]).arg(dir.path().join("skewed.so")).arg(source).arg("-ldl");
        let done = compile.output().context("run the C compiler")?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let path = dir.path().join("seconds");
        File::create(&path)?.write_all(&0i64.to_ne_bytes())?;
        let seconds = fs::OpenOptions::new().write(true).open(path)?;
        Ok(Self { dir, seconds })
    }

    /// From now on the clock is so many seconds ahead, or behind.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.seconds.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }

    /// What a process needs to live by this clock.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        let file = |name| self.dir.path().join(name);
        [("LD_PRELOAD", file("skewed.so")), ("LIMPID_SKEW_FILE", file("seconds"))]
    }
}
