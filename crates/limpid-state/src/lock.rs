//! One process per data directory.
//!
//! Owns: `limpid.lock` and the lock on it. Does not own: the database beside it, which SQLite locks in its own way.
//!
//! Invariant: while a `DirLock` lives no other process has one of the same directory. The kernel lets go of it with
//! the process, however that ends; the file stays and is never a sign of anything by itself.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use limpid_model::{Fault, FaultCode};

use crate::faults;

/// Held for as long as the state is open.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
}

/// A process id and a line end; the file could be anybody's, so no more of it is read.
const PID_BYTES_MAX: u64 = 16;

impl DirLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("limpid.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file =
            options.open(&path).map_err(|error| faults::of_io(error, "open the lock of the data directory", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held_by_another(&file, dir)),
            Err(TryLockError::Error(error)) => return Err(faults::of_io(error, "lock the data directory", &path)),
        }
        // Only a courtesy to whoever is refused: the lock holds without it, also on a full disk.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    /// Closing alone is not enough: a child that was forked a moment ago has the descriptor too, until its exec.
    fn drop(&mut self) {
        // The kernel lets go of it at the latest with the last descriptor.
        let _ = self.file.unlock();
    }
}

fn held_by_another(file: &File, dir: &Path) -> Fault {
    let mut text = String::new();
    let read = file.take(PID_BYTES_MAX).read_to_string(&mut text);
    let holder = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    let sentence = match holder {
        Some(pid) => format!("the data directory is in use by process {pid}"),
        None => "the data directory is in use by another process".to_owned(),
    };
    faults::fault(FaultCode::StateLocked, sentence, dir)
}
