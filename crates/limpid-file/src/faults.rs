//! What the operating system says, as faults with our codes.
//!
//! Owns: the classification for files. Does not own: what is done about a code (`limpid-model`'s table).
//!
//! Invariant: only a full disk is transient.

use std::io;

use limpid_model::{Component, Fault, FaultCode};

/// `doing` completes the sentence "cannot ...".
pub(crate) fn of_io(error: io::Error, doing: &str, object: &str) -> Fault {
    let (code, sentence) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (FaultCode::SinkDiskFull, format!("cannot {doing}: the disk is full"))
        }
        io::ErrorKind::PermissionDenied => {
            (FaultCode::SinkWriteFailed, format!("cannot {doing}: this user may not write there"))
        }
        io::ErrorKind::NotFound => (FaultCode::SinkSettingInvalid, format!("cannot {doing}: its directory is missing")),
        _ => (FaultCode::SinkWriteFailed, format!("cannot {doing}")),
    };
    fault(code, sentence, object).because(error)
}

pub(crate) fn fault(code: FaultCode, sentence: impl Into<String>, object: &str) -> Fault {
    Fault::new(code, Component::Output, sentence).about(object)
}
