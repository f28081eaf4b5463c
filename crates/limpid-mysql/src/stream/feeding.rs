//! Events out of the intake into the assembler.
//!
//! Owns: checksums, the block an event is in, payloads. Does not own: when a batch is taken (`stream`).
//!
//! Invariant: an event is fed only after its checksum held.

use limpid_model::{Component, Fault, FaultCode};

use super::MySqlStream;
use crate::assemble::{Assembler, Fed, Place};
use crate::checksum;
use crate::events::{EventHead, Format, number};
use crate::payload::Payload;

impl MySqlStream {
    /// An event in the open block.
    #[inline]
    pub(super) fn event(&mut self, offset: usize, len: usize) -> Result<Fed, Fault> {
        let event = self.intake.bytes(offset, len);
        let place = Place { block: self.assembler.next_block(), offset: (offset + EventHead::SIZE) as u32 };
        let fed = feed(&mut self.assembler, &mut self.checksum, event, place)?;
        if fed == Fed::Payload {
            let block = self.intake.seal();
            let event = block.slice(offset..offset + len);
            self.assembler.seal(block);
            self.begin_payload(event)?;
        }
        Ok(fed)
    }

    /// An event that holds a compressed transaction.
    #[cold]
    fn begin_payload(&mut self, event: bytes::Bytes) -> Result<(), Fault> {
        let tail = if self.checksum { checksum::SIZE } else { 0 };
        let body = event.slice(EventHead::SIZE..event.len() - tail);
        self.payload = Some(Payload::open(body, self.assembler.payload_place())?);
        Ok(())
    }

    /// An event in a block of its own.
    pub(super) fn large(&mut self, event: bytes::Bytes) -> Result<Fed, Fault> {
        self.assembler.seal(self.intake.seal());
        let place = Place { block: self.assembler.next_block(), offset: EventHead::SIZE as u32 };
        let fed = feed(&mut self.assembler, &mut self.checksum, &event, place)?;
        if fed == Fed::Payload {
            self.begin_payload(event)?;
        } else {
            self.assembler.seal(event);
        }
        Ok(fed)
    }
}

/// Verifies and feeds one event.
#[inline]
fn feed(assembler: &mut Assembler, checksum: &mut bool, event: &[u8], place: Place) -> Result<Fed, Fault> {
    let malformed = || Fault::new(FaultCode::LogMalformed, Component::Input, "an event is shorter than its header");
    let head = EventHead::parse(event).ok_or_else(malformed)?;
    if head.kind == number::FORMAT_DESCRIPTION {
        *checksum = Format::parse(&event[EventHead::SIZE..]).ok_or_else(malformed)?.checksum;
    }
    let verified = || checksum::verified(event, head.next as u64).map_err(|fault| assembler.explain(fault));
    let event = if *checksum { verified()? } else { event };
    let body = event.get(EventHead::SIZE..).ok_or_else(malformed)?;
    assembler.feed(&head, place, body)
}
