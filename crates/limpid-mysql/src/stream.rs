//! Reads one server's log and yields batches in commit order.
//!
//! Owns: reading, the end that was asked for. Does not own: opening the stream at a position (`stream::open`), building
//! batches (`assemble`), restarts (the engine's supervisor), checkpoints.
//!
//! Invariant: a position is yielded only with or after everything at or below it.

mod admit;
mod feeding;
mod open;
mod prepared;
mod reach;
mod refusal;
mod servers;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{Admission, ChangeStream, Chunk, Clock, Decode, JsonText, Next, StreamEvent};
use limpid_model::{Batch, Component, Fault, FaultCode, Position, TableName};

use crate::assemble::{Assembler, Fed, Finish};
use crate::client::ConnectOptions;
use crate::copy::ServerMark;
use crate::dump::DumpOptions;
use crate::heartbeat::HeartbeatOptions;
use crate::intake::{Filled, Frame, Intake};
use crate::lookahead;
use crate::payload::Payload;
use crate::position::{Flavor, LogPosition};
use crate::rows::RowsDecoder;
use crate::selection::Selection;
pub use open::MySqlSource;
pub(crate) use prepared::ask as prepared_now;

/// What a MySQL or MariaDB source is told.
#[derive(Clone, Debug)]
pub struct MySqlOptions {
    pub connect: ConnectOptions,
    /// Servers that may take over by GTID, in the order they are tried: the same account and TLS.
    pub others: Vec<ConnectOptions>,
    /// The replica that tables are read from; `None`: the server that the log is read from.
    pub snapshot_from: Option<ConnectOptions>,
    pub selection: Selection,
    /// Less than full row images are accepted: absent columns are left out.
    pub accept_partial_images: bool,
    pub server_id: u32,
    pub json_text: JsonText,
    /// Where rows of prepared XA transactions are kept; in memory without one.
    pub held: Option<PathBuf>,
    /// Comments of statements are looked through for traces; MariaDB then sends the text of each.
    pub contexts: bool,
    /// A row of our own that is written and listened for.
    pub heartbeat: Option<HeartbeatOptions>,
}

/// A server that has nothing to send gives a sign of life at this period. The first one tells how far its log is read,
/// which a chunk of a table waits for; a hundred missed ones are a dead connection.
const HEARTBEAT: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The end that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StopAt {
    Never,
    EndOfLog,
    Position(LogPosition),
}

struct MySqlStream {
    assembler: Assembler,
    intake: Intake,
    checksum: bool,
    decoder: Arc<RowsDecoder>,
    opened_at: Position,
    until: StopAt,
    ended: bool,
    /// To be told after what was settled before it.
    fault: Option<Fault>,
    /// A compressed transaction in hand: its events come before the next one of the log.
    payload: Option<Payload>,
    silent: Duration,
    clock: Clock,
    /// Of the call in progress.
    waited: Duration,
    dump: DumpOptions,
    connect: ConnectOptions,
    user: String,
    server: ServerMark,
    /// Nothing beyond this place is yielded.
    hold: Option<LogPosition>,
}

impl ChangeStream for MySqlStream {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Next, Fault> {
        batch.clear();
        self.waited = Duration::ZERO;
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.assembler.held.check()?;
        match self.advance(batch, wait) {
            // Whole transactions that were read before it still go out, so that a halt is at the place of its fault; but
            // not past what could not be kept.
            Err(fault) if self.assembler.has_news() && self.assembler.held.check().is_ok() => {
                self.fault = Some(fault);
                self.assembler.give_up_group();
                self.take(batch)?;
                Ok(Next::Batch)
            }
            advanced => advanced,
        }
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn decoder(&self) -> Arc<dyn Decode> {
        Arc::clone(&self.decoder) as Arc<dyn Decode>
    }

    fn take_events(&mut self) -> Vec<StreamEvent> {
        self.assembler.take_events()
    }

    fn halt_table(&mut self, table: &TableName) {
        self.assembler.schemas.skip(table.clone());
    }

    fn captures(&self, table: &TableName) -> bool {
        self.assembler.schemas.captures(table)
    }

    fn connector(&self) -> &'static str {
        match self.dump.flavor {
            Flavor::MySql => "mysql",
            Flavor::MariaDb => "mariadb",
        }
    }

    fn opened_at(&self) -> Position {
        self.opened_at.clone()
    }

    fn admit(&mut self, chunk: &mut Chunk) -> Admission {
        self.weigh(chunk)
    }

    fn saved(&mut self, position: &Position) {
        if let Some(position) = position.downcast::<LogPosition>() {
            self.assembler.held.saved(position);
        }
    }

    fn hold_at(&mut self, fence: Option<Position>) {
        self.hold = fence.as_ref().and_then(|fence| fence.downcast::<LogPosition>()).cloned();
    }
}

impl MySqlStream {
    /// Up to the next batch, the end, or a silence of `wait`.
    fn advance(&mut self, batch: &mut Batch, wait: Duration) -> Result<Next, Fault> {
        self.assembler.mind_looks()?;
        loop {
            if self.ended {
                return Ok(Next::End);
            }
            if let Some(next) = self.held(batch, wait)? {
                return Ok(next);
            }
            match self.assembler.finish() {
                Some(Finish::Piece) => {
                    self.take(batch)?;
                    return Ok(Next::Batch);
                }
                Some(Finish::Settled(fed)) if self.after(fed, batch)? => return Ok(Next::Batch),
                Some(Finish::Settled(_)) | None => {}
            }
            if self.assembler.is_replaying() {
                let fed = self.assembler.replay()?;
                if self.after(fed, batch)? {
                    return Ok(Next::Batch);
                }
                continue;
            }
            if let Some(payload) = &mut self.payload {
                match payload.step(&mut self.assembler)? {
                    Some(fed) if self.after(fed, batch)? => return Ok(Next::Batch),
                    Some(_) => {}
                    None => self.payload = None,
                }
                continue;
            }
            match self.intake.next() {
                Frame::Event { offset, len } => {
                    let fed = self.event(offset, len)?;
                    if self.after(fed, batch)? {
                        return Ok(Next::Batch);
                    }
                }
                Frame::Large(event) => {
                    let fed = self.large(event)?;
                    if self.after(fed, batch)? {
                        return Ok(Next::Batch);
                    }
                }
                Frame::Incomplete => match self.refill(batch, wait)? {
                    None => {}
                    Some(next) => return Ok(next),
                },
                // So a server that shuts down ends every dump.
                Frame::Eof if self.until != StopAt::EndOfLog => {
                    let text = "the server ended the dump";
                    let fault = Fault::new(FaultCode::SourceUnreachable, Component::Input, text);
                    return Err(fault.about(self.connect.endpoint()));
                }
                Frame::Eof => {
                    self.ended = true;
                    if self.assembler.has_news() {
                        self.take(batch)?;
                        return Ok(Next::Batch);
                    }
                }
                Frame::Error(packet) => return Err(self.refused(&packet)),
                Frame::Garbage => {
                    let text = "the server sent something that is no event";
                    return Err(Fault::new(FaultCode::SourceUnreachable, Component::Input, text));
                }
            }
        }
    }

    /// At the place where it is held the stream reads no further; the server waits.
    #[inline]
    fn held(&mut self, batch: &mut Batch, wait: Duration) -> Result<Option<Next>, Fault> {
        if !self.hold.as_ref().is_some_and(|fence| self.assembler.has_passed(fence)) {
            return Ok(None);
        }
        if self.assembler.has_news() {
            self.take(batch)?;
            return Ok(Some(Next::Batch));
        }
        Clock::system().sleep(wait);
        self.waited += wait;
        Ok(Some(Next::Idle))
    }

    /// What follows from an event; true when `batch` was filled.
    #[inline]
    fn after(&mut self, fed: Fed, batch: &mut Batch) -> Result<bool, Fault> {
        match fed {
            Fed::More | Fed::Rotated | Fed::Payload => {
                if self.assembler.piece_is_due() {
                    self.take(batch)?;
                    return Ok(true);
                }
                Ok(false)
            }
            Fed::Replay => {
                // What is read back has blocks of its own.
                self.seal();
                Ok(false)
            }
            Fed::Boundary => {
                if let StopAt::Position(end) = &self.until
                    && self.assembler.position().reaches(end)
                {
                    self.ended = true;
                    self.take(batch)?;
                    return Ok(true);
                }
                if self.assembler.is_full() {
                    self.take(batch)?;
                    return Ok(true);
                }
                Ok(false)
            }
            Fed::LookAhead => {
                if let Some((file, begin)) = self.assembler.group_begin() {
                    let fate = lookahead::look(&self.connect, &self.dump, &file, begin)?;
                    self.assembler.set_fate(fate);
                }
                Ok(false)
            }
        }
    }

    fn take(&mut self, batch: &mut Batch) -> Result<(), Fault> {
        self.assembler.persist()?;
        self.seal();
        self.assembler.take(batch);
        Ok(())
    }

    fn seal(&mut self) {
        let block = match &mut self.payload {
            Some(payload) => payload.seal(),
            None => self.intake.seal(),
        };
        self.assembler.seal(block);
    }

    /// No whole event is here: pass on what is settled, or read.
    fn refill(&mut self, batch: &mut Batch, wait: Duration) -> Result<Option<Next>, Fault> {
        if self.intake.is_cramped() {
            self.assembler.seal(self.intake.seal());
            self.intake.renew();
        }
        if self.intake.fill_now().map_err(|error| self.lost(error))? == Filled::Some {
            self.silent = Duration::ZERO;
            return Ok(None);
        }
        if self.assembler.has_news() {
            self.take(batch)?;
            return Ok(Some(Next::Batch));
        }
        // What came meanwhile was no batch: a heartbeat, or a part of an event. The caller has other things to mind.
        let left = wait.saturating_sub(self.waited);
        if left.is_zero() && !wait.is_zero() {
            return Ok(Some(Next::Idle));
        }
        let began = self.clock.nanos();
        let filled = self.intake.fill(left).map_err(|error| self.lost(error))?;
        self.waited += Duration::from_nanos(self.clock.nanos() - began);
        if filled == Filled::Some {
            self.silent = Duration::ZERO;
            return Ok(None);
        }
        self.silent += left;
        if self.silent >= SILENCE_MAX {
            let text = "the server fell silent: not even its heartbeat came";
            let fault = Fault::new(FaultCode::SourceUnreachable, Component::Input, text);
            return Err(fault.about(self.connect.endpoint()));
        }
        Ok(Some(Next::Idle))
    }

    fn lost(&self, error: std::io::Error) -> Fault {
        let text = "the connection to the server's log broke";
        Fault::new(FaultCode::SourceUnreachable, Component::Input, text).about(self.connect.endpoint()).because(error)
    }
}
