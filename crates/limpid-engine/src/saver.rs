//! Saving where we are: first what must be remembered, then the record at the sink, then the state.
//!
//! Owns: the record, when it is due, its order with the state. Does not own: storage (`limpid-state`) or the sink.
//!
//! Invariant: whatever the state must remember (halted tables, schema history) is durable before a record that passes
//! it; a record is written only for a position that is covered.

use std::sync::Arc;

use limpid_codec::record;
use limpid_connector::Sink;
use limpid_model::{Fault, Position, PositionRecord, TableName};
use limpid_state::{HaltedTable, Store};

use crate::failpoint::{Point, pass};
use crate::flow::Shared;
use crate::observe::Observer;

/// A position is saved this often while it moves: what a crash repeats is a second of rows.
const SAVE_EVERY_NANOS: u64 = 1_000_000_000;

/// What a batch completes: the position behind it, the schema version in force there, and how far tables are copied.
#[derive(Clone, Debug)]
pub(crate) struct Covered {
    pub(crate) position: Position,
    pub(crate) version: u32,
    pub(crate) cursors: Arc<Vec<String>>,
}

/// Keeps one pipeline's record.
pub struct Saver {
    store: Arc<Store>,
    record: PositionRecord,
    selection: u64,
    covered: Option<Covered>,
    saved_at: u64,
}

impl Saver {
    /// `record` is what the pipeline starts from; `selection` the fingerprint of what is captured.
    pub fn new(store: Arc<Store>, record: PositionRecord, selection: u64) -> Self {
        Self { store, record, selection, covered: None, saved_at: 0 }
    }

    /// The fingerprint under which rows are counted now.
    pub(crate) fn selection(&self) -> u64 {
        self.selection
    }

    /// A first start: the place it began at is kept at once, so that a crash before the first batch loses nothing of
    /// what was committed since; with it the definitions that hold there, which nobody can read later.
    pub(crate) fn begin_at(
        &mut self,
        position: &Position,
        cursors: Vec<String>,
        history: Option<(u32, Vec<u8>)>,
        observer: &dyn Observer,
    ) -> Result<(), Fault> {
        if let Some((version, snapshot)) = history {
            self.save_history(version, &snapshot, position)?;
            self.record.schema_version = version;
        }
        self.record.delivered = position.text();
        self.record.read_from = position.read_from().text();
        self.record.cursors = cursors;
        self.store.save_checkpoint(&self.record.pipeline, &self.record, self.selection)?;
        observer.saved(&self.record.delivered, 0);
        Ok(())
    }

    /// The source has no way on from the position: the next start is like a first one.
    pub(crate) fn forget_position(&mut self) {
        let record = &mut self.record;
        record.delivered.clear();
        record.read_from.clear();
        record.cursors.clear();
        record.undecided.clear();
        record.rows_done = 0;
        self.covered = None;
    }

    /// The record as last saved.
    pub fn record(&self) -> &PositionRecord {
        &self.record
    }

    /// Everything at or below the position is durable at the sink.
    pub(crate) fn covered(&mut self, covered: Covered) {
        self.covered = Some(covered);
    }

    pub(crate) fn save_when_due(&mut self, sink: &mut dyn Sink, shared: &Shared) -> Result<(), Fault> {
        if self.covered.is_some() && shared.clock.nanos() >= self.saved_at + SAVE_EVERY_NANOS {
            self.save_now(sink, shared)?;
        }
        Ok(())
    }

    pub(crate) fn save_now(&mut self, sink: &mut dyn Sink, shared: &Shared) -> Result<(), Fault> {
        let Some(Covered { position, version, cursors }) = self.covered.take() else { return Ok(()) };
        let started = shared.clock.nanos();
        self.record.delivered = position.text();
        self.record.read_from = position.read_from().text();
        self.record.schema_version = version;
        self.record.cursors.clone_from(&cursors);
        self.record.rows_done = position.inside().map_or(0, |(_, rows)| rows);
        pass(Point::BeforeRecord);
        sink.save_record(&record::encode(&self.record))?;
        pass(Point::AfterRecord);
        pass(Point::BeforeState);
        self.store.save_checkpoint(&self.record.pipeline, &self.record, self.selection)?;
        pass(Point::AfterState);
        let now = shared.clock.nanos();
        self.saved_at = now;
        shared.observer.saved(&self.record.delivered, now - started);
        Ok(())
    }

    pub(crate) fn save_history(&mut self, version: u32, snapshot: &[u8], from: &Position) -> Result<(), Fault> {
        pass(Point::BeforeHistory);
        self.store.save_history(&self.record.pipeline, version, &from.text(), snapshot)?;
        pass(Point::AfterHistory);
        Ok(())
    }

    pub(crate) fn halt_table(
        &mut self,
        table: &TableName,
        fault: &Fault,
        at: &Position,
        shared: &Shared,
    ) -> Result<(), Fault> {
        // A count of rows means something only while the same tables are counted.
        self.selection ^= limpid_model::key_seed(table);
        let halted = HaltedTable {
            table: table.clone(),
            code: fault.code(),
            position: at.text(),
            at_micros: shared.clock.wall_micros(),
            message: fault.to_string(),
        };
        self.store.halt_table(&self.record.pipeline, &halted)
    }
}
