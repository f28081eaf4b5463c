//! MySQL's compressed transactions: one event that holds the events of a whole transaction.
//!
//! Owns: the payload's fields, inflating it, cutting it into events, the blocks they lie in. Does not own: what the
//! events mean (`assemble`), when a batch is taken (`stream`, `replay`).
//!
//! Invariant: every failure is `LOG_PAYLOAD_CORRUPT`, never an end: a transaction is read whole or not at all. Memory
//! is the compressed event as it was received, one block of 256 KiB (or one event, growing with what was really
//! inflated), and zstd's own window, of at most 128 MiB (level 22; 2 MiB at MySQL's usual level 3), of which it
//! touches no more than it has inflated. What the payload claims to be its size bounds the output and sizes nothing.
//! Source: MySQL's `Transaction_payload_event` (WL#3549).

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read};

use bytes::{Buf, Bytes, BytesMut, buf::Reader};
use limpid_model::{Component, Fault, FaultCode};
use zstd::stream::read::Decoder;

use crate::assemble::{Assembler, Fed, GROUP_BYTES_MAX, Place};
use crate::bytes::Cursor;
use crate::events::{EventHead, number};

/// The size of a block, as for what comes from the socket.
const BLOCK_BYTES: usize = 256 * 1024;

/// A larger event is read in steps of this size, so that a size that is only claimed costs nothing.
const STEP_BYTES: usize = 64 * 1024;

/// zstd's own limit, and what its highest level uses.
const WINDOW_LOG_MAX: u32 = 27;

/// A payload being read.
pub struct Payload {
    stream: Stream,
    /// How many inflated bytes are still to come, as the payload says.
    left: u64,
    block: BytesMut,
    /// `file:offset` of the event, for faults.
    place: String,
}

enum Stream {
    Plain(Reader<Bytes>),
    Zstd(Box<Decoder<'static, BufReader<Reader<Bytes>>>>),
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(bytes) => bytes.read(out),
            Stream::Zstd(stream) => stream.read(out),
        }
    }
}

/// The fields before the payload itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    size: u64,
    compression: u64,
    inflated: Option<u64>,
    /// Where the payload begins.
    at: usize,
}

impl Fields {
    /// Each field is a type, a length and a value; type 0 ends them and has neither.
    fn parse(body: &[u8]) -> Option<Self> {
        let mut cur = Cursor::new(body);
        let (mut size, mut compression, mut inflated) = (None, None, None);
        loop {
            let kind = cur.lenenc()?;
            if kind == 0 {
                break;
            }
            let value = cur.lenenc_bytes()?;
            let number = || Cursor::new(value).lenenc();
            match kind {
                1 => size = Some(number()?),
                2 => compression = Some(number()?),
                3 => inflated = Some(number()?),
                _ => {}
            }
        }
        Some(Self { size: size?, compression: compression?, inflated, at: cur.pos() })
    }
}

/// One event of a payload, in the open block.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    pub head: EventHead,
    /// Where its body begins in the block.
    pub offset: usize,
}

impl Payload {
    /// Begins a payload event's body (checksum cut off). `place` names the event in faults.
    ///
    /// # Errors
    /// `LOG_PAYLOAD_CORRUPT`.
    pub fn open(body: Bytes, place: String) -> Result<Self, Fault> {
        let payload = Self::begin(body.clone(), place.clone())?;
        // Pieces of a large transaction leave before its end is read: a first pass makes sure that there is one. A
        // smaller one is held until its end anyway.
        if payload.left > GROUP_BYTES_MAX {
            let mut whole = Self::begin(body, place)?;
            while whole.next(drop)?.is_some() {}
        }
        Ok(payload)
    }

    fn begin(body: Bytes, place: String) -> Result<Self, Fault> {
        let fields = Fields::parse(&body).ok_or_else(|| corrupt(&place, "has fields that cannot be read"))?;
        let payload = body.slice(fields.at..);
        if payload.len() as u64 != fields.size {
            return Err(corrupt(&place, "is not as long as it says"));
        }
        let (stream, left) = match (fields.compression, fields.inflated) {
            (255, size) => (Stream::Plain(payload.reader()), size.unwrap_or(fields.size)),
            (0, Some(size)) => {
                let unusable = |error| corrupt(&place, "cannot be decompressed").because(error);
                let mut decoder = Decoder::new(payload.reader()).map_err(unusable)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(unusable)?;
                (Stream::Zstd(Box::new(decoder)), size)
            }
            (0, None) => return Err(corrupt(&place, "does not say how long it is decompressed")),
            (other, _) => return Err(corrupt(&place, &format!("is compressed in a way that is unknown ({other})"))),
        };
        Ok(Self { stream, left, block: BytesMut::new(), place })
    }

    /// Cuts the next event off into the open block; `None` at the payload's end. `sealed` is given the block that is
    /// full before a new one is begun.
    ///
    /// # Errors
    /// `LOG_PAYLOAD_CORRUPT`.
    pub fn next(&mut self, sealed: impl FnOnce(Bytes)) -> Result<Option<Inner>, Fault> {
        let mut head = [0; EventHead::SIZE];
        if !self.read_head(&mut head)? {
            return Ok(None);
        }
        let parsed = EventHead::parse(&head).filter(|parsed| parsed.size as usize >= EventHead::SIZE);
        let parsed = parsed.ok_or_else(|| corrupt(&self.place, "holds an event that is shorter than its header"))?;
        let size = parsed.size as usize - EventHead::SIZE;
        if self.left < size as u64 {
            return Err(corrupt(&self.place, "holds an event that is longer than the rest of it"));
        }
        if !self.block.is_empty() && self.block.len() + size > BLOCK_BYTES {
            sealed(self.seal());
        }
        if self.block.capacity() == 0 {
            // Many transactions are much smaller than a block, and each has one.
            self.block.reserve(usize::try_from(self.left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES)));
        }
        let offset = self.block.len();
        self.read_body(offset + size)?;
        if !may_be_inside(parsed.kind) {
            return Err(corrupt(&self.place, &format!("holds an event number {}, which none may hold", parsed.kind)));
        }
        Ok(Some(Inner { head: parsed, offset }))
    }

    /// Feeds the next event to `assembler`; `None` at the payload's end, when the last block was passed on too.
    ///
    /// # Errors
    /// `LOG_PAYLOAD_CORRUPT`, and those of [`Assembler::feed`].
    pub fn step(&mut self, assembler: &mut Assembler) -> Result<Option<Fed>, Fault> {
        let Some(inner) = self.next(|block| assembler.seal(block))? else {
            assembler.seal(self.seal());
            return Ok(None);
        };
        let place = Place { block: assembler.next_block(), offset: inner.offset as u32 };
        assembler.feed_inner(&inner.head, place, self.body(&inner)).map(Some)
    }

    /// The body of the event that was cut off last.
    pub fn body(&self, inner: &Inner) -> &[u8] {
        self.block.get(inner.offset..).unwrap_or_default()
    }

    /// Closes the open block.
    pub fn seal(&mut self) -> Bytes {
        std::mem::take(&mut self.block).freeze()
    }

    /// False at the end, which must be where the payload said.
    fn read_head(&mut self, head: &mut [u8]) -> Result<bool, Fault> {
        let mut filled = 0;
        while let Some(room) = head.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.stream.read(room) {
                Ok(0) if filled == 0 && self.left == 0 => return Ok(false),
                Ok(0) => return Err(corrupt(&self.place, "ends too early")),
                Ok(read) => filled += read,
                Err(error) => return Err(corrupt(&self.place, "cannot be decompressed").because(error)),
            }
        }
        self.took(filled)?;
        Ok(true)
    }

    /// Reads on until the block is `end` bytes long.
    fn read_body(&mut self, end: usize) -> Result<(), Fault> {
        let begin = self.block.len();
        let mut filled = begin;
        while filled < end {
            if self.block.len() == filled {
                self.block.resize(end.min(filled + STEP_BYTES), 0);
            }
            let room = self.block.get_mut(filled..).unwrap_or_default();
            match self.stream.read(room) {
                Ok(0) => return Err(corrupt(&self.place, "ends inside an event")),
                Ok(read) => filled += read,
                Err(error) => return Err(corrupt(&self.place, "cannot be decompressed").because(error)),
            }
        }
        self.took(end - begin)
    }

    fn took(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or_else(|| corrupt(&self.place, "is longer than it says"))?;
        Ok(())
    }
}

/// A payload holds one transaction without its GTID, and nothing of the log itself.
fn may_be_inside(kind: u8) -> bool {
    !matches!(
        kind,
        number::TRANSACTION_PAYLOAD
            | number::GTID
            | number::ANONYMOUS_GTID
            | number::GTID_TAGGED
            | number::PREVIOUS_GTIDS
            | number::ROTATE
            | number::STOP
            | number::FORMAT_DESCRIPTION
            | number::HEARTBEAT
            | number::HEARTBEAT_V2
            | number::INCIDENT
    )
}

fn corrupt(place: &str, what: &str) -> Fault {
    Fault::new(FaultCode::LogPayloadCorrupt, Component::Input, format!("the transaction payload at {place} {what}"))
}
