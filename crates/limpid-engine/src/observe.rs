//! What the engine tells whoever watches: once per batch, never per row.
//!
//! Owns: the trait. Does not own: metrics, logs and the ring (`limpid-telemetry`, joined to this by the binary).
//!
//! Invariant: an observer never blocks and never fails; the data path does not wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{DecodeTally, Delivered, EncodeTally, EncodedBatch, TransformTally};
use limpid_model::{Batch, Component, Fault, FaultCode, FlowCounts, TableName};
use limpid_state::FlowWindow;

use crate::copy::CopyProgress;
use crate::parking::{ParkedSeen, RowFate, RowKept};
use crate::runway::Ends;
use crate::source_clock::ClockSeen;
use crate::stages::Ratios;
use crate::status::Board;
use crate::verdict::Look;

/// A look at the end of the source's log.
#[derive(Clone, Copy, Debug)]
pub struct HeadLooked<'a> {
    pub position: &'a str,
    /// Bytes of log from the position that was delivered before the look to the end; `None` while the stream has not
    /// told where in the log that position lies.
    pub lag_bytes: Option<u64>,
    /// Transactions between the same two, where they have numbers.
    pub lag_transactions: Option<u64>,
    /// By our monotonic clock, the time before which every commit is at the sink, once it is known.
    pub fresh_upto: Option<u64>,
    /// The source's clock, where it was asked.
    pub clock: Option<ClockSeen>,
    /// For how many seconds the source keeps the log that we need, and what ends that, where it is known.
    pub runway: Option<(f64, Ends)>,
    /// Seconds until we follow again (p50, p90), where it is known.
    pub catchup_seconds: Option<[f64; 2]>,
    /// For the verdict.
    pub look: Look,
    /// Both clocks before the source was asked: monotonic nanoseconds, microseconds since 1970.
    pub asked_nanos: u64,
    pub asked_micros: i64,
}

/// What becomes of heartbeats.
#[derive(Clone, Copy, Debug)]
pub enum Beat<'a> {
    /// One is about to be written; the oldest that is not delivered was written then, by our monotonic clock.
    Sent { oldest_nanos: u64 },
    /// One came through the log, so long after.
    Seen { took_nanos: u64 },
    /// Everything up to one is durable at the sink, so long after. The oldest that is left was written then.
    Delivered { took_nanos: u64, oldest_nanos: Option<u64> },
    /// One could not be written; `is_first` after one that could. The oldest that is not delivered was written then.
    Failed { fault: &'a Fault, is_first: bool, oldest_nanos: Option<u64> },
    /// One could be written again.
    Again,
    /// None is written, and none is under way.
    Paused,
}

/// A row of a batch, by its index.
#[derive(Clone, Copy, Debug)]
pub struct RowAt<'a> {
    pub batch: &'a Batch,
    pub row: u32,
}

/// How full the queues are, sampled a few times a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fill {
    /// Batches between the reader and the workers, and between the workers and the delivery.
    pub raw_batches: usize,
    pub made_batches: usize,
    /// Raw bytes between the socket and the acknowledgement, and their bound.
    pub flight_bytes: u64,
    pub flight_bytes_max: u64,
    /// Bytes the sink holds and has not acknowledged, and their bound.
    pub sink_bytes: u64,
    pub sink_bytes_max: u64,
}

/// Watches one pipeline. Called from its threads.
pub trait Observer: Send + Sync {
    /// The stream gave no batch for a while.
    fn idle(&self, _nanos: u64) {}
    /// A raw batch was read. It may get room for its marks.
    fn read(&self, _batch: &mut Batch) {}
    /// The reader got its budget at this time, having waited for it since the batch was read.
    fn blocked(&self, _nanos: u64) {}
    /// A batch was decoded, transformed and encoded.
    fn made(&self, _batch: &EncodedBatch, _transformed: &TransformTally) {}
    /// What decoding and encoding found besides rows.
    fn tallies(&self, _batch: &EncodedBatch, _decoded: &DecodeTally, _encoded: &EncodeTally) {}
    /// Every record of a batch is durable.
    fn durable(&self, _batch: &EncodedBatch, _delivered: &[Delivered]) {}
    /// A position was saved.
    fn saved(&self, _position: &str, _took_nanos: u64) {}
    /// The state has a window of the ledger of flow, and the totals with it.
    fn flow(&self, _window: &FlowWindow, _totals: &BTreeMap<TableName, FlowCounts>) {}
    /// A batch is handed to the sink. Its marks may be taken: nobody needs them after this.
    fn submitted(&self, _batch: &mut EncodedBatch) {}
    /// The end of the source's log was looked at.
    fn head(&self, _look: HeadLooked<'_>) {}
    /// Between two looks: every commit before this time, by our monotonic clock, is at the sink.
    fn fresh(&self, _upto_nanos: u64) {}
    /// What the stages did with their time lately; `None` once an attempt is over.
    fn stages(&self, _ratios: Option<&Ratios>) {}
    /// Something became of a heartbeat.
    fn beat(&self, _beat: Beat<'_>) {}
    /// How full the queues are.
    fn fill(&self, _fill: Fill) {}
    /// A peer was found, or lost for the reason given.
    fn health(&self, _component: Component, _endpoint: &str, _healthy: bool, _fault: Option<&Fault>) {}
    /// A server of the source's list cannot be read, and the next one was asked.
    fn passed_over(&self, _endpoint: &str, _why: &Fault) {}
    /// A table's rows are delivered no longer, from the row on that is named where the fault is a row's.
    fn table_halted(&self, _table: &TableName, _fault: &Fault, _from: Option<RowAt<'_>>) {}
    /// A row could not be delivered and is kept.
    fn row_kept(&self, _row: RowKept<'_>) {}
    /// Rows of the batch that is submitted next that go no further: their indices, in their order, and why. Those that
    /// were filtered out are not among them.
    fn diverted(&self, _rows: &[(u32, RowFate)]) {}
    /// So much is kept now.
    fn parked(&self, _seen: ParkedSeen) {}
    /// Rows that were kept are delivered.
    fn rows_replayed(&self, _rows: u64) {}
    /// Rows that were kept are given up.
    fn rows_given_up(&self, _rows: u64) {}
    /// Something odd that needs no action.
    fn doubt(&self, _code: FaultCode, _object: &str) {}
    /// Two instances could write at once: the right to shut the other out is missing.
    fn unfenced(&self, _why: &Fault) {}
    /// A state that does not fit the sink's record was gone on from, as the operator asked, at this position.
    fn accepted(&self, _code: FaultCode, _position: &str) {}
    /// An attempt failed; another follows after `pause_ms`, or none does.
    fn fault(&self, _fault: &Fault, _pause_ms: Option<u64>) {}
    /// The pipeline runs: connected, positioned.
    fn started(&self, _position: &str) {}
    /// The stream goes on at another position, as an operator asked.
    fn moved(&self, _from: &str, _to: &str) {}
    /// An operator wanted the stream to go on where it cannot; it goes on where it was.
    fn move_refused(&self, _to: &str, _why: &Fault) {}
    /// A chunk of a table was read.
    fn chunk_read(&self, _table: &TableName, _rows: u64, _took: Duration) {}
    /// A chunk cannot be used and is read again.
    fn chunk_stale(&self, _table: &TableName, _why: &str) {}
    /// A copy that an operator asked for cannot be made.
    fn copy_failed(&self, _table: &TableName, _fault: &Fault) {}
    /// How far tables are copied.
    fn copying(&self, _progress: &CopyProgress) {}
}

/// Watches nothing.
pub struct Unobserved;

impl Observer for Unobserved {}

/// Writes on the board what others may know, then tells the observer.
pub(crate) struct Boarded {
    pub(crate) board: Arc<Board>,
    pub(crate) inner: Arc<dyn Observer>,
}

impl Observer for Boarded {
    fn idle(&self, nanos: u64) {
        self.inner.idle(nanos);
    }

    fn read(&self, batch: &mut Batch) {
        self.inner.read(batch);
    }

    fn blocked(&self, nanos: u64) {
        self.inner.blocked(nanos);
    }

    fn made(&self, batch: &EncodedBatch, transformed: &TransformTally) {
        self.inner.made(batch, transformed);
    }

    fn tallies(&self, batch: &EncodedBatch, decoded: &DecodeTally, encoded: &EncodeTally) {
        self.inner.tallies(batch, decoded, encoded);
    }

    fn durable(&self, batch: &EncodedBatch, delivered: &[Delivered]) {
        self.inner.durable(batch, delivered);
    }

    fn saved(&self, position: &str, took_nanos: u64) {
        self.board.position(position);
        self.inner.saved(position, took_nanos);
    }

    fn flow(&self, window: &FlowWindow, totals: &BTreeMap<TableName, FlowCounts>) {
        self.inner.flow(window, totals);
    }

    fn submitted(&self, batch: &mut EncodedBatch) {
        self.inner.submitted(batch);
    }

    fn head(&self, look: HeadLooked<'_>) {
        self.board.head(&look);
        self.inner.head(look);
    }

    fn fresh(&self, upto_nanos: u64) {
        self.inner.fresh(upto_nanos);
    }

    fn stages(&self, ratios: Option<&Ratios>) {
        self.board.stages(ratios);
        self.inner.stages(ratios);
    }

    fn beat(&self, beat: Beat<'_>) {
        self.inner.beat(beat);
    }

    fn fill(&self, fill: Fill) {
        self.inner.fill(fill);
    }

    fn health(&self, component: Component, endpoint: &str, healthy: bool, fault: Option<&Fault>) {
        if self.board.peer(component, endpoint, fault, healthy) {
            self.inner.health(component, endpoint, healthy, fault);
        }
    }

    fn passed_over(&self, endpoint: &str, why: &Fault) {
        if self.board.peer(Component::Input, endpoint, Some(why), false) {
            self.inner.passed_over(endpoint, why);
        }
    }

    fn table_halted(&self, table: &TableName, fault: &Fault, from: Option<RowAt<'_>>) {
        self.board.halted(table, fault);
        self.inner.table_halted(table, fault, from);
    }

    fn row_kept(&self, row: RowKept<'_>) {
        self.inner.row_kept(row);
    }

    fn diverted(&self, rows: &[(u32, RowFate)]) {
        self.inner.diverted(rows);
    }

    fn parked(&self, seen: ParkedSeen) {
        self.board.parked(seen);
        self.inner.parked(seen);
    }

    fn rows_replayed(&self, rows: u64) {
        self.inner.rows_replayed(rows);
    }

    fn rows_given_up(&self, rows: u64) {
        self.inner.rows_given_up(rows);
    }

    fn doubt(&self, code: FaultCode, object: &str) {
        self.inner.doubt(code, object);
    }

    fn unfenced(&self, why: &Fault) {
        self.inner.unfenced(why);
    }

    fn accepted(&self, code: FaultCode, position: &str) {
        self.inner.accepted(code, position);
    }

    fn fault(&self, fault: &Fault, pause_ms: Option<u64>) {
        self.board.fault(fault);
        self.inner.fault(fault, pause_ms);
    }

    fn started(&self, position: &str) {
        self.board.position(position);
        self.inner.started(position);
    }

    fn moved(&self, from: &str, to: &str) {
        self.inner.moved(from, to);
    }

    fn move_refused(&self, to: &str, why: &Fault) {
        self.board.move_refused(why);
        self.inner.move_refused(to, why);
    }

    fn chunk_read(&self, table: &TableName, rows: u64, took: Duration) {
        self.inner.chunk_read(table, rows, took);
    }

    fn chunk_stale(&self, table: &TableName, why: &str) {
        self.inner.chunk_stale(table, why);
    }

    fn copy_failed(&self, table: &TableName, fault: &Fault) {
        self.inner.copy_failed(table, fault);
    }

    fn copying(&self, progress: &CopyProgress) {
        self.board.copying(progress);
        self.inner.copying(progress);
    }
}
