//! What a server means that ends a dump with an error.
//!
//! Owns: the meaning of its numbers and of the one text that stands for many things. Does not own: what is done about
//! it (the engine).
//!
//! Invariant: no text of the server leaves this module.

use limpid_model::{Component, Fault, FaultCode};

use super::MySqlStream;
use crate::client::{server_error, server_error_text};
use crate::server::grant_help;

impl MySqlStream {
    /// What an error packet in a dump means. 1236 is the one number for everything wrong with a log; its text, made by
    /// the server without values, tells which.
    pub(super) fn refused(&self, packet: &[u8]) -> Fault {
        let error = server_error(packet);
        let text = server_error_text(packet).to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let (code, sentence) = match error.number {
            // MariaDB has a number of its own for it.
            4052 => (FaultCode::SourceServerIdClash, "another replica with this server id connected"),
            1236 if has(&["same server_id", "same server_uuid", "same server-id"]) => {
                (FaultCode::SourceServerIdClash, "another replica with this server id connected")
            }
            1236 if has(&["diverged", "higher sequence numbers", "not in the master's binlog"])
                && !has(&["purged"]) =>
            {
                (FaultCode::SourceChanged, "the server's log never held the position")
            }
            1236 if has(&["purged", "could not find", "first log", "no longer", "missing", "not found"]) => {
                (FaultCode::SourceLogPurged, "the server no longer has the log at the position")
            }
            1236 if has(&["checksum", "corrupt", "bogus", "truncated", "crc"]) => {
                (FaultCode::LogChecksum, "the server cannot read its own log")
            }
            1236 => (FaultCode::SourceLogPurged, "the server cannot send the log from the position"),
            1227 | 1045 | 1142 => (FaultCode::SourceGrantMissing, "the account may not read the log"),
            1053 | 1317 | 1927 => (FaultCode::SourceUnreachable, "the server ended the dump"),
            _ => (FaultCode::SourceUnreachable, "the server ended the dump with an error"),
        };
        let fault = Fault::new(code, Component::Input, sentence).about(self.connect.endpoint()).because(error);
        if code == FaultCode::SourceGrantMissing {
            return fault.help(grant_help(self.dump.flavor, &self.user));
        }
        fault
    }
}
