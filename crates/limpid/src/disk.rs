//! Directories that will be written to.
//!
//! Owns: whether there is a right and room, and whether another process has the data directory. Does not own: what is
//! written there (`limpid-state`, `limpid-file`).
//!
//! Invariant: nothing is written, and a running instance notices nothing.

use std::ffi::CString;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use limpid_connector::{Finding, Outcome};
use limpid_model::FaultCode;

use crate::progress::bytes_text;

/// Too little to begin with.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// Soon too little.
const FREE_BYTES_FEW: u64 = 1 << 30;

/// The directory of the state.
pub fn of_state(dir: &Path) -> Vec<Finding> {
    let codes = (FaultCode::StateUnwritable, FaultCode::StateDiskFull);
    let mut findings = directory(("state.directory", "state.space"), dir, codes);
    // Shared and let go of at once: an instance that runs holds it alone.
    let lock = File::open(dir.join("limpid.lock"));
    let name = "state.lock";
    findings.extend(lock.ok().map(|file| match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let sentence = "an instance runs on the data directory";
            Finding::warn(name, sentence, "stop it before another one starts, or choose another --data-dir")
        }
        Err(TryLockError::Error(error)) => Finding::warn(
            name,
            format!("the lock cannot be looked at: {error}"),
            "check the owner of the data directory",
        ),
        Ok(()) => Finding::pass(name, "no instance runs on the data directory"),
    }));
    findings
}

/// The directory of a `file` sink.
pub fn of_file(path: &Path) -> Vec<Finding> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let codes = (FaultCode::SinkWriteFailed, FaultCode::SinkDiskFull);
    if !dir.is_dir() {
        let sentence = format!("there is no directory {}", dir.display());
        return vec![Finding::fail("sink.directory", codes.0, sentence, "make it: the sink does not")];
    }
    directory(("sink.directory", "sink.space"), dir, codes)
}

fn directory(names: (&'static str, &'static str), dir: &Path, codes: (FaultCode, FaultCode)) -> Vec<Finding> {
    let there = existing(dir);
    let shown = there.display();
    let mut findings = vec![match may_write(&there) {
        Ok(()) if there == dir => Finding::pass(names.0, format!("{shown} can be written to")),
        Ok(()) => Finding::pass(names.0, format!("{} would be made", dir.display())),
        Err(error) => {
            let sentence = format!("{shown} cannot be written to: {error}");
            Finding::fail(names.0, codes.0, sentence, "check its owner and permissions")
        }
    }];
    findings.push(match free_bytes(&there) {
        Ok(free) => room(names.1, &there, free, codes.1),
        Err(error) => Finding::warn(names.1, format!("the room at {shown} is not known: {error}"), "look with df"),
    });
    findings
}

fn room(name: &'static str, dir: &Path, free: u64, code: FaultCode) -> Finding {
    let sentence = format!("{} are free at {}", bytes_text(free), dir.display());
    let outcome = match free {
        ..FREE_BYTES_MIN => Outcome::Fail,
        FREE_BYTES_MIN..FREE_BYTES_FEW => Outcome::Warn,
        _ => return Finding::pass(name, sentence),
    };
    let code = (outcome == Outcome::Fail).then_some(code);
    Finding { name, outcome, sentence, remedy: Some("make room, or choose another disk".to_owned()), code }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Asked of the kernel, without writing anything.
fn may_write(dir: &Path) -> io::Result<()> {
    let path = c_path(dir)?;
    // SAFETY: the path ends in 0 and lives over the call.
    match unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What users other than root may still fill.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let path = c_path(dir)?;
    // SAFETY: the structure is numbers, for which 0 is legal, and has the size that the call fills; the path ends in 0.
    let (outcome, disk) = unsafe {
        let mut disk: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut disk), disk)
    };
    match outcome {
        0 => Ok(disk.f_bavail.saturating_mul(disk.f_frsize)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The directory, or the nearest above it that is there.
fn existing(dir: &Path) -> PathBuf {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    if absolute.is_dir() {
        return dir.to_owned();
    }
    absolute.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_warns_and_none_fails() {
        let outcome = |free| room("x", Path::new("/"), free, FaultCode::StateDiskFull).outcome;
        assert_eq!([outcome(1 << 40), outcome(1 << 29), outcome(0)], [Outcome::Pass, Outcome::Warn, Outcome::Fail]);
    }
}
