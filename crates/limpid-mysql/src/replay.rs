//! A log file as it lies on disk, read into batches: what benches, fixtures and tests feed on.
//!
//! Owns: walking a whole file in memory. Does not own: the network (`transport`), what events mean (`assemble`).
//!
//! Invariant: yields what a dump of the same file yields.

use bytes::Bytes;
use limpid_model::{Batch, Component, Fault, FaultCode};

use crate::assemble::{Assembler, Fed, Finish, Place};
use crate::checksum;
use crate::events::{EventHead, Format, number};
use crate::payload::Payload;
use crate::position::{Flavor, LogPosition};
use crate::schemas::{Schemas, ServerNames};
use crate::selection::Selection;

/// Reads one log file.
pub struct LogFile {
    bytes: Bytes,
    pos: usize,
    /// Where the event before `pos` begins.
    last: usize,
    /// A compressed transaction in hand.
    payload: Option<Payload>,
    /// Where the bytes not yet sealed begin.
    open: usize,
    checksum: bool,
    assembler: Assembler,
}

impl LogFile {
    /// `bytes` is the whole file, its four magic bytes included.
    ///
    /// # Errors
    /// `LOG_MALFORMED` when it is no log.
    pub fn open(bytes: Bytes, name: &str, flavor: Flavor, selection: Selection) -> Result<Self, Fault> {
        if bytes.get(..4) != Some(b"\xfebin") {
            return Err(malformed(format!("{name} is no binary log")));
        }
        let start = LogPosition { gtids: None, file: name.into(), offset: 4, inside: None, undecided: None };
        let server = ServerNames {
            flavor,
            version: if flavor == Flavor::MySql { 8_0000 } else { 10_0600 },
            lower_case_names: false,
        };
        let assembler = Assembler::new(flavor, Schemas::new(selection, server), &start);
        Ok(Self { bytes, pos: 4, last: 4, payload: None, open: 4, checksum: false, assembler })
    }

    /// Fills `batch` with the next whole transactions; false at the end of the file.
    ///
    /// # Errors
    /// What the log must not hold.
    pub fn next(&mut self, batch: &mut Batch) -> Result<bool, Fault> {
        batch.clear();
        while self.pos < self.bytes.len() || self.assembler.is_working() || self.payload.is_some() {
            let fed = match self.assembler.finish() {
                Some(Finish::Piece) => {
                    self.take(batch);
                    return Ok(true);
                }
                Some(Finish::Settled(fed)) => fed,
                None => self.event()?,
            };
            match fed {
                Fed::Payload => self.begin_payload()?,
                Fed::Replay => self.seal(),
                _ => {}
            }
            if fed == Fed::LookAhead {
                return Err(malformed("a transaction of this file is too large to be replayed from memory".into()));
            }
            if (fed == Fed::Boundary && self.assembler.is_full()) || self.assembler.piece_is_due() {
                self.take(batch);
                return Ok(true);
            }
        }
        let news = self.assembler.has_news();
        if news {
            self.take(batch);
        }
        Ok(news)
    }

    fn event(&mut self) -> Result<Fed, Fault> {
        if self.assembler.is_replaying() {
            return self.assembler.replay();
        }
        if let Some(payload) = &mut self.payload {
            if let Some(fed) = payload.step(&mut self.assembler)? {
                return Ok(fed);
            }
            self.payload = None;
            return Ok(Fed::More);
        }
        let rest = &self.bytes[self.pos..];
        let head =
            EventHead::parse(rest).ok_or_else(|| malformed(format!("the log ends inside an event at {}", self.pos)))?;
        let event = (head.size as usize >= EventHead::SIZE).then(|| rest.get(..head.size as usize)).flatten();
        let event = event.ok_or_else(|| malformed(format!("the log ends inside an event at {}", self.pos)))?;
        if head.kind == number::FORMAT_DESCRIPTION {
            let format = Format::parse(&event[EventHead::SIZE..])
                .ok_or_else(|| malformed("the log's format event cannot be read".into()))?;
            self.checksum = format.checksum;
        }
        let verified = || checksum::verified(event, self.pos as u64).map_err(|fault| self.assembler.explain(fault));
        let body = if self.checksum { verified()? } else { event };
        let place =
            Place { block: self.assembler.next_block(), offset: (self.pos - self.open + EventHead::SIZE) as u32 };
        let fed = self.assembler.feed(&head, place, &body[EventHead::SIZE..])?;
        self.last = self.pos;
        self.pos += head.size as usize;
        Ok(fed)
    }

    /// The event before this place holds a compressed transaction.
    fn begin_payload(&mut self) -> Result<(), Fault> {
        let begin = self.last;
        let tail = if self.checksum { checksum::SIZE } else { 0 };
        let body = self.bytes.slice(begin + EventHead::SIZE..self.pos - tail);
        self.seal();
        self.payload = Some(Payload::open(body, self.assembler.payload_place())?);
        Ok(())
    }

    fn seal(&mut self) {
        let block = match &mut self.payload {
            Some(payload) => payload.seal(),
            None => self.bytes.slice(self.open..self.pos),
        };
        self.open = self.pos;
        self.assembler.seal(block);
    }

    /// Takes what is there after so many events.
    #[cfg(test)]
    pub(crate) fn take_after(&mut self, events: usize, batch: &mut Batch) -> Result<(), Fault> {
        for _ in 0..events {
            self.event()?;
        }
        self.take(batch);
        Ok(())
    }

    fn take(&mut self, batch: &mut Batch) {
        self.seal();
        self.assembler.take(batch);
    }
}

fn malformed(text: String) -> Fault {
    Fault::new(FaultCode::LogMalformed, Component::Input, text)
}
