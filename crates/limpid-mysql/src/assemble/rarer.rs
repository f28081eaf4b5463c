//! Events that are seldom: borders of files, compressed statements, and those that are passed over or refused.
//!
//! Owns: what each of them leads to. Does not own: rows, table maps and ordinary borders of groups (`assemble`).
//!
//! Invariant: an event whose number is not listed is refused unless its writer marked it as harmless.

use super::*;
use crate::events::Unknown;

impl Assembler {
    #[inline(never)]
    pub(super) fn rarer(&mut self, head: &EventHead, body: &[u8], at: u64) -> Result<Fed, Fault> {
        match head.kind {
            number::ROTATE => self.rotate(body, at),
            number::HEARTBEAT => {
                self.heartbeat(head, body);
                Ok(Fed::More)
            }
            number::XA_PREPARE => self.xa_prepare(body, at),
            number::QUERY_COMPRESSED => {
                let mut statement = Statement::parse(body).ok_or_else(|| self.malformed("QUERY", at))?;
                let sql =
                    crate::compressed::event(statement.sql).ok_or_else(|| self.malformed("compressed QUERY", at))?;
                statement.sql = &sql;
                self.statement(head, at, statement)
            }
            number::EXECUTE_LOAD_QUERY => self.load_statement(head, body, at),
            number::INCIDENT => Err(self.fault(
                FaultCode::LogIncident,
                format!(
                    "the server wrote an incident event at {}:{at}: changes may be missing from its log",
                    self.file
                ),
            )),
            // A server decrypts its log for us, and sends this event all the same.
            number::START_ENCRYPTION => {
                self.encryption_ends = self.offset;
                self.passes();
                Ok(Fed::More)
            }
            number::STOP
            | number::FORMAT_DESCRIPTION
            | number::PREVIOUS_GTIDS
            | number::BINLOG_CHECKPOINT
            | number::MARIA_GTID_LIST => {
                self.passes();
                Ok(Fed::More)
            }
            number::INTVAR
            | number::RAND
            | number::USER_VAR
            | number::BEGIN_LOAD_QUERY
            | number::HEARTBEAT_V2
            | number::IGNORABLE
            | number::TRANSACTION_CONTEXT
            | number::VIEW_CHANGE => Ok(Fed::More),
            number::ROWS_QUERY | number::ANNOTATE_ROWS => {
                self.row_statement(head.kind, body, at);
                Ok(Fed::More)
            }
            number::TRANSACTION_PAYLOAD => {
                self.payload = at;
                Ok(Fed::Payload)
            }
            number::GTID_TAGGED => {
                let start = GroupStart::parse_tagged(body).ok_or_else(|| self.malformed("tagged GTID", at))?;
                self.begin_group(start, at)
            }
            _ => match events::judge_unknown(head) {
                Unknown::Harmless => {
                    self.batch.control.unknown_events += 1;
                    Ok(Fed::More)
                }
                Unknown::MayHoldRows => Err(self.fault(
                    FaultCode::LogEventUnknown,
                    format!("event number {} at {}:{at} is unknown and may hold rows", head.kind, self.file),
                )),
            },
        }
    }

    /// The log goes on in another file.
    fn rotate(&mut self, body: &[u8], at: u64) -> Result<Fed, Fault> {
        let (offset, file) = events::rotate(body).ok_or_else(|| self.malformed("ROTATE", at))?;
        let is_elsewhere = *self.file != *file || self.offset != offset;
        self.file = file.into();
        self.offset = offset;
        self.settled_offset = offset;
        self.payload = NO_PAYLOAD;
        self.moved |= is_elsewhere && self.is_by_place();
        Ok(Fed::Rotated)
    }

    /// Positions are places in files, and here is a border of groups. Sets of GTIDs do not grow where a file begins.
    fn is_by_place(&self) -> bool {
        self.gtids.is_none() && self.group.is_none()
    }

    /// An event that opens or closes a file belongs to no group: a position that is a place lies behind it, else a log
    /// that is rotated and then still would never be caught up with.
    fn passes(&mut self) {
        if self.is_by_place() && self.offset > self.settled_offset {
            self.settled_offset = self.offset;
            self.moved = true;
        }
    }

    /// A server that has nothing to send tells its place: file in the body, offset in the header, of which 32 bits
    /// are there. Only where no file is beyond them is that worth anything.
    fn heartbeat(&mut self, head: &EventHead, body: &[u8]) {
        let Ok(file) = std::str::from_utf8(body) else { return };
        if self.offset <= u64::from(u32::MAX) {
            self.heard = Some((file.into(), u64::from(head.next)));
        }
    }

    /// What it means that the event after the last one cannot be verified: an encrypted log that nobody decrypted, or
    /// a broken one.
    #[cold]
    pub fn explain(&self, unverified: Fault) -> Fault {
        if self.encryption_ends == self.offset {
            return self.fault(FaultCode::LogEncrypted, format!("the log {} reaches us encrypted", self.file));
        }
        unverified
    }
}
