//! What SQLite and the file system say, as faults with our codes.
//!
//! Owns: the classification. Does not own: what is done about a code (`limpid-model`'s table).
//!
//! Invariant: only a full disk is transient. Whatever may mean damage is `STATE_CORRUPT`, so that nobody goes on with
//! a state that cannot be trusted.

use std::io;
use std::path::Path;

use limpid_model::{Component, Fault, FaultCode};
use rusqlite::{Error, ErrorCode, ffi};

/// `doing` completes the sentence "cannot ...".
pub(crate) fn of_sqlite(error: Error, doing: &str, path: &Path) -> Fault {
    let (code, sentence) = match code_of(&error) {
        code @ FaultCode::StateDiskFull => (code, format!("cannot {doing}: the disk is full")),
        code @ FaultCode::StateCorrupt => (code, format!("cannot {doing}: the state file is damaged")),
        code @ FaultCode::StateLocked => (code, format!("cannot {doing}: another program has the state file locked")),
        code => (code, format!("cannot {doing}")),
    };
    fault(code, sentence, path).because(error)
}

fn code_of(error: &Error) -> FaultCode {
    let Error::SqliteFailure(failure, _) = error else {
        // A value of another type than the layout has, text that is not UTF-8, a row that must be there and is not.
        return FaultCode::StateCorrupt;
    };
    match (failure.code, failure.extended_code) {
        // The wal-index has to be allocated as well, and says it in its own way.
        (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => FaultCode::StateDiskFull,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation, _)
        | (
            _,
            ffi::SQLITE_IOERR_READ
            | ffi::SQLITE_IOERR_SHORT_READ
            | ffi::SQLITE_IOERR_CORRUPTFS
            | ffi::SQLITE_IOERR_DATA,
        ) => FaultCode::StateCorrupt,
        // Our statements are constants: one that does not compile lacks a table or a column.
        (ErrorCode::Unknown, _) => FaultCode::StateCorrupt,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => FaultCode::StateLocked,
        // Read-only, no permission, cannot open, an error of the device.
        _ => FaultCode::StateUnwritable,
    }
}

/// As [`of_sqlite`], for the files around the database.
pub(crate) fn of_io(error: io::Error, doing: &str, path: &Path) -> Fault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            fault(FaultCode::StateDiskFull, format!("cannot {doing}: the disk is full"), path).because(error)
        }
        _ => fault(FaultCode::StateUnwritable, format!("cannot {doing}"), path).because(error),
    }
}

pub(crate) fn corrupt(sentence: impl Into<String>, path: &Path) -> Fault {
    fault(FaultCode::StateCorrupt, sentence, path)
}

pub(crate) fn fault(code: FaultCode, sentence: impl Into<String>, path: &Path) -> Fault {
    Fault::new(code, Component::State, sentence).about(path.display().to_string())
}
