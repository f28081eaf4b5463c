//! Whether and how a server's log can be read from a position.
//!
//! Owns: the questions before a dump begins in the past. Does not own: choosing the position (`stream`), asking for
//! the dump (`dump`).
//!
//! Invariant: a position that the server cannot serve is told before the dump, with the reason.

use std::sync::Arc;

use limpid_model::{Component, Fault, FaultCode};

use crate::client::{Client, ConnectOptions};
use crate::dump::DumpFrom;
use crate::position::{Flavor, LogPosition, log_number};
use crate::server::{self, ServerFacts};

/// A place inside a transaction is reached by reading that transaction again.
pub(super) fn dump_from(position: &LogPosition) -> Result<DumpFrom, Fault> {
    match &position.gtids {
        Some(set) => Ok(DumpFrom::Gtids(Arc::clone(set))),
        None => {
            let offset = u32::try_from(position.offset).map_err(|_| {
                let text = "a file position beyond 4 GiB cannot be asked for; use a GTID position";
                Fault::new(FaultCode::PositionInvalid, Component::Input, text)
            })?;
            Ok(DumpFrom::File { file: Arc::clone(&position.file), offset })
        }
    }
}

/// Whether the server still has, and ever had, what a position asks for. MariaDB tells by itself when the dump is
/// asked for.
pub(super) fn check_reachable(
    client: &mut Client,
    facts: &ServerFacts,
    connect: &ConnectOptions,
    position: &LogPosition,
) -> Result<(), Fault> {
    let fault = |code, text: &str| Err(Fault::new(code, Component::Input, text).about(connect.endpoint()));
    match &position.gtids {
        Some(_) if !facts.gtids => {
            fault(FaultCode::PositionInvalid, "a GTID position needs gtid_mode=ON on the server")
        }
        Some(set) if facts.flavor == Flavor::MySql => {
            let head = server::head(client, facts, connect)?;
            if !head.gtids.as_ref().is_some_and(|head| set.is_subset(head)) {
                return fault(FaultCode::SourceChanged, "the position holds transactions that this server never had");
            }
            let earliest = server::earliest(client, facts, connect)?;
            if !earliest.gtids.as_ref().is_some_and(|purged| purged.is_subset(set)) {
                return fault(FaultCode::SourceLogPurged, "the server has purged log that this position still needs");
            }
            Ok(())
        }
        Some(_) => Ok(()),
        None => {
            let files = server::logs(client, connect)?;
            match files.iter().find(|(file, _)| **file == *position.file) {
                Some((_, size)) if position.offset > *size => {
                    fault(FaultCode::SourceChanged, "the log file is shorter than the position")
                }
                Some(_) => Ok(()),
                None => {
                    let oldest = files.first().and_then(|(file, _)| log_number(file));
                    let purged = oldest > log_number(&position.file);
                    let code = if purged { FaultCode::SourceLogPurged } else { FaultCode::SourceChanged };
                    fault(code, "the server does not have the log file of this position")
                }
            }
        }
    }
}
