//! A second pass over the log: how does this large group end?
//!
//! Owns: the extra connection and the walk over event headers. Does not own: marks and verdicts (`group`).
//!
//! Invariant: memory is bounded by the marks and one statement's text; row events are passed over unread. The walk
//! ends at the group's end: MariaDB writes a group in one piece, so it never waits for a session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use limpid_model::{Component, Fault, FaultCode};

use crate::checksum;
use crate::client::{ConnectOptions, server_error};
use crate::ddl::{Class, classify};
use crate::dump::{self, Dump, DumpFrom, DumpOptions};
use crate::events::{EventHead, Format, Statement, number};
use crate::group::{Ending, Fate, MarkError, Marks};
use crate::intake::{Filled, Frame, Intake};
use crate::payload::Payload;
use crate::rows::kind;

/// Walks the group that begins at `begin` of `file`.
///
/// # Errors
/// A connection that broke, a log that cannot be read, or more savepoints than are remembered.
pub fn look(options: &ConnectOptions, dump: &DumpOptions, file: &Arc<str>, begin: u64) -> Result<Fate, Fault> {
    let Ok(offset) = u32::try_from(begin) else {
        let text = format!("a large transaction begins beyond 4 GiB of {file}, where no second pass can start");
        return Err(Fault::new(FaultCode::TransactionLookAhead, Component::Input, text));
    };
    let from = DumpFrom::File { file: Arc::clone(file), offset };
    // Its own server id: the server ends an older dump of the same id.
    let dump = DumpOptions { server_id: dump.server_id ^ 0x4000_0000, statements: false, ..dump.clone() };
    let Dump { socket, checksum } = dump::start(options, &from, &dump)?;
    let mut walk = Walk {
        intake: Intake::new(socket),
        checksum,
        offset: begin,
        marks: Marks::default(),
        begun: false,
        file: Arc::clone(file),
    };
    walk.run(options)
}

struct Walk {
    intake: Intake,
    checksum: bool,
    offset: u64,
    marks: Marks,
    begun: bool,
    file: Arc<str>,
}

/// The log was just seen to hold this group, so a silence of this length is a broken connection.
const SILENCE_MAX: Duration = Duration::from_secs(30);

impl Walk {
    fn run(&mut self, options: &ConnectOptions) -> Result<Fate, Fault> {
        loop {
            match self.intake.next() {
                Frame::Event { offset, len } => {
                    let event = self.intake.bytes(offset, len);
                    // Row events are most of a large group: one look at the kind is all they get.
                    let head = EventHead::parse(event).ok_or_else(|| self.malformed())?;
                    let rows = kind::holds_rows(head.kind) || kind::plain(head.kind).is_some();
                    let needed = !rows && head.kind != number::TABLE_MAP;
                    let event = if needed { Some(event.to_vec()) } else { None };
                    if let Some(ending) = self.event(&head, event.as_deref())? {
                        return Ok(Fate { ending, marks: std::mem::take(&mut self.marks) });
                    }
                }
                Frame::Large(event) => {
                    let head = EventHead::parse(&event).ok_or_else(|| self.malformed())?;
                    if let Some(ending) = self.event(&head, Some(&event))? {
                        return Ok(Fate { ending, marks: std::mem::take(&mut self.marks) });
                    }
                }
                Frame::Incomplete => self.fill(options)?,
                Frame::Error(packet) => {
                    let text = "the server ended the second pass over a large transaction";
                    return Err(lost(options, text).because(server_error(&packet)));
                }
                Frame::Eof | Frame::Garbage => return Err(lost(options, "the second pass over the log broke off")),
            }
        }
    }

    fn fill(&mut self, options: &ConnectOptions) -> Result<(), Fault> {
        if self.intake.is_cramped() {
            drop(self.intake.seal());
            self.intake.renew();
        }
        match self.intake.fill(SILENCE_MAX) {
            Ok(Filled::Some) => Ok(()),
            Ok(Filled::Nothing) => Err(lost(options, "the second pass over the log fell silent")),
            Err(error) => Err(lost(options, "the second pass over the log broke off").because(error)),
        }
    }

    /// `Some` at the group's end.
    fn event(&mut self, head: &EventHead, event: Option<&[u8]>) -> Result<Option<Ending>, Fault> {
        let at = self.advance(head);
        let Some(event) = event else { return Ok(None) };
        if head.kind == number::FORMAT_DESCRIPTION {
            let format = event.get(EventHead::SIZE..).and_then(Format::parse).ok_or_else(|| self.malformed())?;
            self.checksum = format.checksum;
            return Ok(None);
        }
        if matches!(head.kind, number::ROTATE | number::MARIA_GTID_LIST | number::HEARTBEAT | number::ANNOTATE_ROWS) {
            return Ok(None);
        }
        let event = if self.checksum { checksum::verified(event, at)? } else { event };
        let body = event.get(EventHead::SIZE..).ok_or_else(|| self.malformed())?;
        match head.kind {
            number::MARIA_GTID if self.begun => Err(self.malformed()),
            number::MARIA_GTID => {
                self.begun = true;
                Ok(None)
            }
            number::XID => Ok(Some(Ending::Committed)),
            number::XA_PREPARE => Ok(Some(prepared(body))),
            number::QUERY => self.statement(Statement::parse(body).ok_or_else(|| self.malformed())?.sql, at),
            number::QUERY_COMPRESSED => {
                let packed = Statement::parse(body).ok_or_else(|| self.malformed())?.sql;
                let sql = crate::compressed::event(packed).ok_or_else(|| self.malformed())?;
                self.statement(&sql, at)
            }
            number::TRANSACTION_PAYLOAD => self.payload(body, at),
            _ => Ok(None),
        }
    }

    /// The end of a group of MySQL may be inside a payload.
    fn payload(&mut self, body: &[u8], at: u64) -> Result<Option<Ending>, Fault> {
        let mut payload = Payload::open(Bytes::copy_from_slice(body), format!("{}:{at}", self.file))?;
        while let Some(inner) = payload.next(drop)? {
            match inner.head.kind {
                number::XID => return Ok(Some(Ending::Committed)),
                number::XA_PREPARE => return Ok(Some(prepared(payload.body(&inner)))),
                _ => {}
            }
        }
        Ok(None)
    }

    fn advance(&mut self, head: &EventHead) -> u64 {
        if head.next == 0 || (head.next as u64) < self.offset || head.kind == number::HEARTBEAT {
            return self.offset;
        }
        self.offset = head.next as u64;
        self.offset.saturating_sub(head.size as u64)
    }

    fn statement(&mut self, sql: &[u8], at: u64) -> Result<Option<Ending>, Fault> {
        let marked = match classify(sql) {
            Class::Commit => return Ok(Some(Ending::Committed)),
            Class::Rollback => return Ok(Some(Ending::RolledBack)),
            Class::Savepoint(name) => self.marks.savepoint(name.as_bytes(), at),
            Class::RollbackTo(name) => self.marks.rollback_to(name.as_bytes(), at),
            _ => Ok(()),
        };
        marked.map(|()| None).map_err(|error| mark_fault(error, &self.file, at))
    }

    fn malformed(&self) -> Fault {
        let text = format!("the second pass over {} cannot read an event after {}", self.file, self.offset);
        Fault::new(FaultCode::LogMalformed, Component::Input, text)
    }
}

/// XA PREPARE, unless its flag says that it is COMMIT ONE PHASE.
fn prepared(body: &[u8]) -> Ending {
    if body.first().is_some_and(|flag| *flag != 0) { Ending::Committed } else { Ending::Prepared }
}

/// The fault of a mark that could not be kept.
pub fn mark_fault(error: MarkError, file: &str, at: u64) -> Fault {
    let (code, text) = match error {
        MarkError::TooMany => (
            FaultCode::TransactionLookAhead,
            format!("the transaction around {file}:{at} has more savepoints than are remembered"),
        ),
        MarkError::NoSuchSavepoint => {
            (FaultCode::TransactionRolledBack, format!("{file}:{at} rolls back to a savepoint that the log never set"))
        }
    };
    Fault::new(code, Component::Input, text)
}

fn lost(options: &ConnectOptions, text: &str) -> Fault {
    Fault::new(FaultCode::SourceUnreachable, Component::Input, text).about(options.endpoint())
}
