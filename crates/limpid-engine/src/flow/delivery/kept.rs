//! Batches without what cannot be delivered, and batches of what could not be.
//!
//! Owns: how the delivery uses `parking`. Does not own: which rows are kept.
//!
//! Invariant: a replay's piece goes to the sink between two batches that were read, as a batch with a place in the
//! window of its own: whatever passes it has it delivered.

use limpid_connector::EncodedBatch;
use limpid_model::{Fault, Position};

use super::Delivery;

impl Delivery<'_> {
    /// What an operator asked of rows that are kept: one piece of a replay at a time, between batches that were read.
    pub(super) fn replay(&mut self) -> Result<(), Fault> {
        if self.waiting.is_some() {
            return Ok(());
        }
        let was_replaying = self.parking.is_replaying();
        self.parking.take_asks(&*self.shared.observer)?;
        if !self.parking.is_replaying() {
            return Ok(());
        }
        if !was_replaying {
            self.sink.refresh();
        }
        if let Some((mut encoded, change)) = self.parking.next_piece(self.shared.take_spare())? {
            self.saver.raised(change);
            let now = self.shared.clock.nanos();
            let times = &mut encoded.batch.times;
            (times.read, times.queued, times.decoded, times.transformed, times.encoded) = (now, now, now, now, now);
            self.open(&mut encoded, self.last_end.clone(), 0)?;
            self.is_piece = true;
            self.write(encoded)?;
        }
        self.parking.end_replay();
        Ok(())
    }

    /// Takes rows that cannot be delivered, and those that wait behind such, out of a batch, durably.
    pub(super) fn divert(
        &mut self,
        encoded: &mut EncodedBatch,
        faults: Vec<(u32, Fault)>,
        end: &Position,
    ) -> Result<(), Fault> {
        let now = (self.shared.clock.nanos(), self.shared.clock.wall_micros());
        let observer = &*self.shared.observer;
        let diverted = self.parking.divert(encoded, faults, (&self.halted, end), now, observer)?;
        if let Some(change) = diverted.change {
            self.saver.raised(change);
        }
        for (table, fault) in diverted.halts {
            self.halt(table, fault)?;
        }
        Ok(())
    }

    /// A batch without the rows that the sink refuses.
    pub(super) fn without(
        &mut self,
        mut encoded: Box<EncodedBatch>,
        faults: Vec<(u32, Fault)>,
    ) -> Result<Box<EncodedBatch>, Fault> {
        let before = encoded.records.len();
        if self.is_piece {
            self.parking.refused_again(&mut encoded, &faults)?;
        } else {
            let end = self.last_end.clone();
            self.divert(&mut encoded, faults, &end)?;
        }
        assert!(encoded.records.len() < before, "what a sink refuses is not handed in again");
        Ok(encoded)
    }
}
