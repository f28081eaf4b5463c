//! A batch whose turn has come: its place in its transactions, and what of it goes no further.
//!
//! Owns: what a restart skips, what a chunk leaves out, what halted tables drop. Does not own: rows that cannot be
//! delivered (`kept`).
//!
//! Invariant: whatever takes a record out of a batch here tells the ledger.

use limpid_connector::EncodedBatch;
use limpid_model::{Batch, Flow, Op, Position};

use super::Delivery;
use crate::copy::Mark;
use crate::failpoint::{Point, pass};

impl Delivery<'_> {
    /// Rows of a table that was read: they stand behind the batch before them and complete no position of their own.
    pub(super) fn prepare_copied(&mut self, mark: &Mark, encoded: &mut EncodedBatch) -> Position {
        if let Some(copying) = &self.shared.copying {
            match copying.deliver(mark, encoded) {
                Some(0) => {}
                // A chunk is of one table.
                Some(rows) => self.ledger.take_out(0, Flow::Overtaken, rows as i64, rows as i64),
                None => {
                    self.ledger.void();
                    encoded.batch.chunk = None;
                }
            }
            if mark.ends() {
                self.cursors = copying.cursors();
            }
            pass(Point::AfterCopied);
        }
        if !self.halted.is_empty() {
            self.drop_halted(encoded);
        }
        self.last_end.clone()
    }

    /// Rows of the log: their place in their transactions, what a restart skips, what is halted.
    pub(super) fn prepare_streamed(&mut self, encoded: &mut EncodedBatch, skipped: &[bool; Op::COUNT]) -> Position {
        if let Some(copying) = &self.shared.copying {
            copying.touched.mark(encoded);
        }
        let rows_inside = self.place_in_transactions(&mut encoded.batch);
        let end = encoded.batch.end.clone().expect("a stream gives each batch an end");
        let end = match rows_inside {
            Some(rows) if end.inside().is_some() => end.with_rows_done(rows),
            _ => end,
        };
        if self.resume.is_some() {
            self.skip_done_rows(encoded, skipped);
        }
        // A restart reads a transaction from its beginning: until the rows that were done are passed, a batch ends
        // behind the position we come from, and a record of that would let them out again.
        let end = if self.is_behind() { self.last_end.clone() } else { end };
        if !self.is_behind() {
            // Where the transaction ends with a batch, no later one says that it is over.
            self.resume = None;
        }
        // Tables halted before this batch; what halts in it still delivers its rows up to there.
        if !self.halted.is_empty() {
            self.drop_halted(encoded);
        }
        end
    }

    /// Gives each transaction its count of earlier rows; returns the rows done of the one the batch ends inside.
    fn place_in_transactions(&mut self, batch: &mut Batch) -> Option<u64> {
        let mut rows = vec![0u64; batch.txns.len()];
        for event in &batch.events {
            rows[event.txn as usize] += event.rows as u64;
        }
        let mut inside = self.inside.take();
        for (txn, rows) in batch.txns.iter_mut().zip(rows) {
            let before = match inside {
                Some((id, before)) if id.is_same(txn.id) => before,
                _ => 0,
            };
            txn.rows_before = before;
            inside = (!txn.ends).then_some((txn.id, before + rows));
        }
        self.inside = inside;
        inside.map(|(_, rows)| rows)
    }

    /// After a restart inside a transaction: its first rows were delivered already.
    fn skip_done_rows(&mut self, encoded: &mut EncodedBatch, skipped: &[bool; Op::COUNT]) {
        let Some(resume) = self.resume else { return };
        let EncodedBatch { batch, records, .. } = encoded;
        let Some(index) = batch.txns.iter().position(|txn| txn.id.is_same(resume.txn)) else { return };
        let txn = batch.txns[index];
        let first = batch.rows.iter().position(|row| row.txn == index as u32).unwrap_or(0) as u64;
        let is_done =
            |row: usize| batch.rows[row].txn == index as u32 && txn.rows_before + (row as u64 - first) < resume.rows;
        let mut gone = vec![0; batch.tables.len()];
        records.retain(|record| {
            let is_done = is_done(record.row as usize);
            gone[usize::from(record.table)] += i64::from(is_done);
            !is_done
        });
        self.ledger.again(batch, skipped, &gone, is_done);
        if txn.ends {
            self.resume = None;
        }
    }

    /// The rows that were done before the restart are not passed yet.
    fn is_behind(&self) -> bool {
        let Some(resume) = self.resume else { return false };
        !self.inside.is_some_and(|(txn, rows)| txn.is_same(resume.txn) && rows >= resume.rows)
    }

    fn drop_halted(&mut self, encoded: &mut EncodedBatch) {
        let EncodedBatch { batch, records, .. } = encoded;
        let gone: Vec<bool> = batch.tables.iter().map(|table| self.halted.contains(&table.name)).collect();
        if gone.contains(&true) {
            for of_row in records.chunk_by(|a, b| a.row == b.row).filter(|of_row| gone[of_row[0].table as usize]) {
                self.ledger.take_out(usize::from(of_row[0].table), Flow::Withheld, 1, of_row.len() as i64);
            }
            records.retain(|record| !gone[record.table as usize]);
        }
    }
}
