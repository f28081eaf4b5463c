//! Saving where we are: first what must be remembered, then the record at the sink, then the state.
//!
//! Owns: the record, when it is due, its order with the state. Does not own: storage (`limpid-state`) or the sink.
//!
//! Invariant: whatever the state must remember (halted tables, schema history) is durable before a record that passes
//! it. Beside the rows a record is saved only for a position that is covered; in their transaction it is that of the
//! last batch handed in, and whatever was handed in before it becomes durable with it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use limpid_codec::record;
use limpid_connector::{Keeping, Sink};
use limpid_model::{ChangeNumber, Fault, FlowSums, Position, PositionRecord, TableName};
use limpid_state::{HaltedTable, Store};

use crate::commit;
use crate::failpoint::{Point, pass};
use crate::flow::Shared;
use crate::ledger::Keeper;
use crate::observe::Observer;

/// A position is saved this often while it moves: what a crash repeats is a second of rows. Where rows and record are
/// committed together, far more often, the state follows at this pace: the record wins at a start.
const SAVE_EVERY_NANOS: u64 = 1_000_000_000;

/// A commit that takes long is followed by so many times as long without one.
const PAUSES_A_COMMIT: u64 = 4;

/// What a batch completes: the position behind it, the schema version in force there, and how far tables are copied.
#[derive(Clone, Debug)]
pub(crate) struct Covered {
    pub(crate) position: Position,
    pub(crate) version: u32,
    pub(crate) cursors: Arc<Vec<String>>,
    /// What is undecided there.
    pub(crate) undecided: Vec<String>,
    /// The state's change number with what it must remember of the rows up to there, and not of later ones: a start
    /// takes what has a higher number than its record for something that is read again. Whatever else raises the number
    /// does so before the batch it belongs to is opened, never when a record is saved.
    pub(crate) change: ChangeNumber,
}

/// Keeps one pipeline's record.
pub struct Saver {
    store: Arc<Store>,
    keeping: Keeping,
    /// As last saved.
    record: PositionRecord,
    selection: u64,
    /// The state's change number.
    change: ChangeNumber,
    /// What is undecided at the last position that was opened.
    held: Vec<String>,
    /// What the next record may say.
    next: Option<Covered>,
    /// Rows wait for the next record to become durable.
    has_rows: bool,
    under_way: Option<UnderWay>,
    begun_at: u64,
    /// No commit begins before it: the last one took long.
    rested_at: u64,
    /// When the state last followed, and the position of the record as last saved, where the state lacks it.
    stored_at: u64,
    unstored: Option<Position>,
    flow: Keeper,
}

/// A record that the sink is saving.
struct UnderWay {
    record: PositionRecord,
    position: Position,
    started: u64,
    /// Rows that it passes and the one before did not.
    flow: FlowSums,
}

impl Saver {
    /// `record` is what the pipeline starts from; `selection` the fingerprint of what is captured.
    pub(crate) fn new(
        store: Arc<Store>,
        keeping: Keeping,
        record: PositionRecord,
        selection: u64,
        flow: Keeper,
    ) -> Self {
        Self {
            store,
            keeping,
            change: record.change,
            held: record.undecided.clone(),
            record,
            selection,
            next: None,
            has_rows: false,
            under_way: None,
            begun_at: 0,
            rested_at: 0,
            stored_at: 0,
            unstored: None,
            flow,
        }
    }

    /// A first start: the place it began at is kept at once, so that a crash before the first batch loses nothing of
    /// what was committed since; with it the definitions that hold there, which nobody can read later. At the sink
    /// first: a state with a position and a sink without a record would look like a record that was lost.
    pub(crate) fn begin_at(
        &mut self,
        position: &Position,
        cursors: Vec<String>,
        history: Option<(u32, Vec<u8>)>,
        sink: &mut dyn Sink,
        observer: &dyn Observer,
    ) -> Result<(), Fault> {
        if let Some((version, snapshot)) = history {
            self.save_history(version, &snapshot, position)?;
            self.record.schema_version = version;
        }
        (self.record.undecided, self.record.change) = self.held_at(position)?;
        self.record.delivered = position.text();
        self.record.read_from = position.read_from().text();
        self.record.cursors = cursors;
        self.record.selection = Some(self.selection);
        if self.keeping != Keeping::Nowhere {
            commit::save_and_wait(sink, &self.record)?;
            pass(Point::AfterFirstPosition);
        }
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
        self.held.clear();
        record.rows_done = 0;
        self.next = None;
    }

    /// There is no schema history that the record's version could be of.
    pub(crate) fn forget_history(&mut self) -> Result<(), Fault> {
        self.record.schema_version = 0;
        // Rows of a transaction in progress stay counted under what they were counted under.
        let selection = self.record.selection.unwrap_or(self.selection);
        self.store.begin_anew(&self.record.pipeline, &self.record, selection)
    }

    /// As [`Saver::begin_at`] for a pipeline that had another position before. The record at the sink first: were the
    /// earlier position's definitions dropped before, a crash would read its log with later ones. A crash after it finds
    /// no definitions, and takes those the tables have then.
    pub(crate) fn begin_anew(
        &mut self,
        position: &Position,
        cursors: Vec<String>,
        history: Option<(u32, Vec<u8>)>,
        sink: &mut dyn Sink,
        observer: &dyn Observer,
    ) -> Result<(), Fault> {
        self.next = None;
        let (undecided, change) = self.held_at(position)?;
        self.record = PositionRecord {
            change,
            delivered: position.text(),
            read_from: position.read_from().text(),
            undecided,
            rows_done: position.inside().map_or(0, |(_, rows)| rows),
            cursors,
            schema_version: 0,
            selection: Some(self.selection),
            ..self.record.clone()
        };
        if self.keeping != Keeping::Nowhere {
            commit::save_and_wait(sink, &self.record)?;
            pass(Point::AfterFirstPosition);
        }
        self.store.begin_anew(&self.record.pipeline, &self.record, self.selection)?;
        if let Some((version, snapshot)) = history {
            self.save_history(version, &snapshot, position)?;
            // At once: a source that stands still saves nothing for hours, and a start would find none in force.
            self.record.schema_version = version;
            if self.keeping != Keeping::Nowhere {
                commit::save_and_wait(sink, &self.record)?;
            }
            self.store.save_checkpoint(&self.record.pipeline, &self.record, self.selection)?;
        }
        observer.saved(&self.record.delivered, 0);
        Ok(())
    }

    /// What is undecided at a position, and the change number of a record that says so. Rows kept for one that no record
    /// has named are here alone: a state without them must be told from ours.
    pub(crate) fn held_at(&mut self, position: &Position) -> Result<(Vec<String>, ChangeNumber), Fault> {
        let undecided = position.undecided();
        if undecided == self.held {
            return Ok((undecided, self.change));
        }
        let known: HashSet<&String> = self.held.iter().collect();
        let is_new = undecided.iter().any(|name| !known.contains(name));
        let change = match is_new {
            true => self.store.raise_change(&self.record.pipeline)?,
            false => self.change,
        };
        self.raised(change);
        self.held.clone_from(&undecided);
        Ok((undecided, change))
    }

    /// The record as last saved.
    pub fn record(&self) -> &PositionRecord {
        &self.record
    }

    /// The fingerprint under which rows are counted now.
    pub(crate) fn selection(&self) -> u64 {
        self.selection
    }

    /// The state's change number, for what is covered from now on.
    pub(crate) fn change(&self) -> ChangeNumber {
        self.change
    }

    /// The state remembers something more: records that pass it carry this number.
    pub(crate) fn raised(&mut self, change: ChangeNumber) {
        self.change = self.change.max(change);
    }

    /// What became of rows: those of what is covered or handed in next; or, once a record has those, of what the sink
    /// said of them since.
    pub(crate) fn count(&mut self, sums: &FlowSums, is_amended: bool) {
        if is_amended { self.flow.amended(sums) } else { self.flow.covered(sums) }
    }

    /// What others see of the flow.
    pub(crate) fn book(&self) -> &Arc<crate::ledger::Book> {
        self.flow.book()
    }

    /// Everything at or below the position is durable at the sink.
    pub(crate) fn covered(&mut self, covered: Covered) {
        if !self.is_together() {
            self.next = Some(covered);
        }
    }

    /// Everything at or below the position was handed to the sink.
    pub(crate) fn handed_in(&mut self, covered: &Covered, has_rows: bool) {
        if self.is_together() {
            self.next = Some(covered.clone());
            self.has_rows |= has_rows;
        }
    }

    /// Nothing is out, and something else than the position is to be kept.
    pub(crate) fn changed(&mut self, covered: Covered) {
        self.next = Some(covered);
    }

    /// Rows become durable only when a record is saved.
    pub(crate) fn is_together(&self) -> bool {
        matches!(self.keeping, Keeping::Together { .. })
    }

    /// How long saving may keep the delivery.
    pub(crate) fn takes_max(&self) -> Duration {
        match self.keeping {
            Keeping::Together { takes_max, .. } => takes_max,
            Keeping::Beside | Keeping::Nowhere => Duration::ZERO,
        }
    }

    /// A record is on its way, and the sink must be listened to.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// All that can be saved is.
    pub(crate) fn is_done(&self) -> bool {
        self.next.is_none() && self.under_way.is_none()
    }

    /// `is_pressed`: what waits for its commit takes so much room that it may not wait for its time.
    pub(crate) fn save_when_due(
        &mut self,
        sink: &mut dyn Sink,
        shared: &Shared,
        is_pressed: bool,
    ) -> Result<(), Fault> {
        if self.under_way.is_some() {
            return Ok(());
        }
        if self.next.is_none() {
            // No later record takes the state along.
            let is_due = self.unstored.is_some() && shared.clock.nanos() >= self.stored_at + SAVE_EVERY_NANOS;
            return if is_due { self.follow(shared) } else { Ok(()) };
        }
        let every = match self.keeping {
            // Positions alone are no reason to hurry.
            Keeping::Together { every, .. } if self.has_rows => every.as_nanos() as u64,
            Keeping::Together { .. } | Keeping::Beside | Keeping::Nowhere => SAVE_EVERY_NANOS,
        };
        if shared.clock.nanos() >= self.rested_at.max(self.begun_at + every) || is_pressed {
            self.save_now(sink, shared)?;
        }
        Ok(())
    }

    /// Begins to save, unless there is nothing to save or something is under way.
    pub(crate) fn save_now(&mut self, sink: &mut dyn Sink, shared: &Shared) -> Result<(), Fault> {
        if self.under_way.is_some() {
            return Ok(());
        }
        let Some(Covered { position, version, cursors, undecided, change }) = self.next.take() else { return Ok(()) };
        let started = shared.clock.nanos();
        let (flow, texts) = self.flow.take();
        let record = PositionRecord {
            flow: texts,
            undecided,
            delivered: position.text(),
            read_from: position.read_from().text(),
            schema_version: version,
            rows_done: position.inside().map_or(0, |(_, rows)| rows),
            selection: Some(self.selection),
            cursors: cursors.to_vec(),
            change,
            ..self.record.clone()
        };
        (self.begun_at, self.has_rows) = (started, false);
        pass(Point::BeforeRecord);
        if self.keeping == Keeping::Nowhere {
            self.under_way = Some(UnderWay { record, position, started, flow });
            return self.saved(shared);
        }
        sink.save_record(&record::encode(&record))?;
        self.under_way = Some(UnderWay { record, position, started, flow });
        pass(Point::RecordUnderWay);
        Ok(())
    }

    /// The record under way is durable.
    pub(crate) fn saved(&mut self, shared: &Shared) -> Result<(), Fault> {
        let UnderWay { record, position, started, flow } = self.under_way.take().expect("only what was begun is saved");
        pass(Point::AfterRecord);
        self.record = record;
        self.flow.recorded(&flow);
        self.unstored = Some(position);
        let now = shared.clock.nanos();
        if self.is_together() {
            // While rows are committed none is sent: that is to be a small part of the time, whatever a commit takes.
            self.rested_at = now + ((now - started) * PAUSES_A_COMMIT).min(SAVE_EVERY_NANOS);
        }
        if !self.is_together() || now >= self.stored_at + SAVE_EVERY_NANOS {
            self.follow(shared)?;
        }
        shared.observer.saved(&self.record.delivered, shared.clock.nanos() - started);
        Ok(())
    }

    /// The state follows the record.
    fn follow(&mut self, shared: &Shared) -> Result<(), Fault> {
        let position = self.unstored.clone();
        self.store_now()?;
        self.stored_at = shared.clock.nanos();
        if let Some(position) = position {
            shared.tell_saved(position);
        }
        Ok(())
    }

    /// The end of an attempt: the state has what the sink has.
    pub(crate) fn store_now(&mut self) -> Result<(), Fault> {
        if self.unstored.is_some() {
            pass(Point::BeforeState);
            let (record, selection) = (&self.record, self.selection);
            let window = self.flow.window(&record.delivered);
            match &window {
                Some(window) => {
                    self.store.save_window(&record.pipeline, (record, selection), window, self.flow.totals())?;
                }
                None => self.store.save_checkpoint(&record.pipeline, record, selection)?,
            }
            pass(Point::AfterState);
            self.flow.stored(&record.delivered, window);
            self.unstored = None;
        }
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
