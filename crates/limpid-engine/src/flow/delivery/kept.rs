//! Batches without what cannot be delivered, and batches of what could not be.
//!
//! Owns: how the delivery uses `parking`. Does not own: which rows are kept.
//!
//! Invariant: a replay's piece goes to the sink between two batches that were read, as a batch with a place in the
//! window of its own: whatever passes it has it delivered.

use limpid_connector::EncodedBatch;
use limpid_model::{Fault, Position};

use super::{Against, Delivery};
use crate::observe::RowAt;
use crate::parking::RowFate;

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
        if !was_replaying && self.parking.wants_new_limits() {
            self.sink.refresh();
        }
        if let Some(mut encoded) = self.parking.next_piece(self.shared.take_spare())? {
            let now = self.shared.clock.nanos();
            let times = &mut encoded.batch.times;
            (times.read, times.queued, times.decoded, times.transformed, times.encoded) = (now, now, now, now, now);
            self.open(&mut encoded, self.last_end.clone(), 0)?;
            self.is_piece = true;
            self.hand_in(encoded, Some(Against::default()))?;
        }
        self.parking.end_replay();
        Ok(())
    }

    /// Decides over the batch in hand, once all that speaks against it is known: what goes, what is kept, what halts.
    pub(super) fn decide(
        &mut self,
        encoded: &mut EncodedBatch,
        against: Against,
        mut refused: Vec<(u32, Fault)>,
    ) -> Result<(), Fault> {
        if self.is_piece {
            if let Some(change) = self.parking.begin_piece(encoded, &refused)? {
                self.saver.raised(change);
            }
            self.ledger.replayed(encoded);
            return Ok(());
        }
        let Against { rows, tables } = against;
        refused.extend(rows);
        if !(refused.is_empty() && self.parking.is_idle()) {
            self.parking.count(encoded);
            let end = self.last_end.clone();
            self.divert(encoded, refused, &end)?;
        }
        for (table, fault) in tables {
            self.halt(table, fault, None)?;
        }
        if !self.halted.is_empty() {
            self.tell_withheld(encoded);
        }
        Ok(())
    }

    /// Rows of halted tables, whose records are dropped or never were.
    fn tell_withheld(&self, encoded: &EncodedBatch) {
        let EncodedBatch { batch, .. } = encoded;
        let gone: Vec<bool> = batch.tables.iter().map(|table| self.halted.contains(&table.name)).collect();
        if gone.contains(&true) {
            let is_of_it = |row: &u32| gone[usize::from(batch.rows[*row as usize].table)];
            let rows = encoded.rows_without_record().into_iter().filter(is_of_it);
            let fates: Vec<(u32, RowFate)> = rows.map(|row| (row, RowFate::Withheld(None))).collect();
            self.shared.observer.diverted(&fates);
        }
    }

    /// Takes rows that cannot be delivered, and those that wait behind such, out of a batch, durably.
    fn divert(&mut self, encoded: &mut EncodedBatch, faults: Vec<(u32, Fault)>, end: &Position) -> Result<(), Fault> {
        let now = (self.shared.clock.nanos(), self.shared.clock.wall_micros());
        let observer = &*self.shared.observer;
        let diverted = self.parking.divert(encoded, faults, (&self.halted, end), now, observer)?;
        if let Some(change) = diverted.change {
            self.saver.raised(change);
        }
        self.ledger.diverted(&encoded.batch, &diverted.fates, &diverted.records);
        for (table, fault, row) in diverted.halts {
            self.halt(table, fault, Some(RowAt { batch: &encoded.batch, row }))?;
        }
        Ok(())
    }
}
