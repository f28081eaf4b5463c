//! From the engine's observations to metrics, log lines and the ring.
//!
//! Owns: the adaption, and where a pipeline's lines go. Does not own: the engine's events, the metrics' meaning.
//!
//! Invariant: never waits, never fails; once per batch.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use limpid_config::{LogFormat, LogLevel, LogsSpec};
use limpid_connector::{Clock, DecodeTally, Delivered, EncodeTally, EncodedBatch, TransformTally};
use limpid_engine::{
    Beat, CopyProgress, Fill, FlowWindow, HeadLooked, Observer, ParkedSeen, Ratios, RowAt, RowFate, RowKept, STAGES,
};
use limpid_model::{Batch, Component, Fault, FaultCode, FlowCounts, TableName};
use limpid_telemetry::{
    CheckpointSaved, ChunkStale, ClockLook, ColumnDrifted, CopyFailed, CopyHeldBack, DeliveredTo, DoubtSeen, Event,
    Fate, FaultHalted, FaultRetried, FileOptions, FlowDiffers, HeadLook, HeartbeatAgain, HeartbeatFailed, Level, Log,
    LogOptions, LogQueue, Moment, MoveRefused, NotFenced, PassedOver, PeerFound, PeerLost, PipelineStarted,
    PipelineTelemetry, PositionMoved, RowPutAside, RowsGivenUp, RowsReplayed, StateAccepted, Style, TableHalted,
    TablesCopied, Words,
};

use crate::cli::LogStyle;

/// One producer thread writes to the sink.
const LANES: usize = 1;

/// Tells everything of one pipeline.
pub struct Told {
    pub telemetry: PipelineTelemetry,
    pub clock: Clock,
    /// Rows of the copy that was told to be done.
    pub copied: AtomicU64,
    /// Tables are read for a part of the time, and that was told.
    pub holds_back: AtomicBool,
}

/// Both clocks, read together.
pub fn moment(clock: &Clock) -> Moment {
    Moment { nanos: clock.nanos(), wall_micros: clock.wall_micros() }
}

/// A pipeline's log: as its file says, in the form that the command line asks for.
///
/// # Errors
/// The log file cannot be opened.
pub fn log(
    spec: &LogsSpec,
    style: Option<LogStyle>,
    out: Box<dyn Write + Send>,
    sent: Option<Arc<LogQueue>>,
    clock: &Clock,
) -> std::io::Result<Arc<Log>> {
    let style = match (style, spec.format) {
        (Some(LogStyle::Json), _) | (None, LogFormat::Json) => Style::Json,
        (Some(LogStyle::Text), _) | (None, LogFormat::Text) => Style::Text,
    };
    let level = match spec.level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
        LogLevel::Trace => Level::Trace,
    };
    let file = spec.file.clone().map(|path| FileOptions { path, bytes_max: spec.rotate_bytes, kept: spec.rotate_keep });
    let options = LogOptions { style, level, words: Words::Reduced, file };
    let clock = clock.clone();
    let log = Log::to(out, &options, move || clock.wall_micros())?;
    Ok(Arc::new(match sent {
        Some(queue) => log.sending(queue),
        None => log,
    }))
}

impl Observer for Told {
    fn started(&self, position: &str) {
        PipelineStarted { position, lanes: LANES }.emit(&self.telemetry);
    }

    fn read(&self, batch: &mut Batch) {
        self.telemetry.meter.read(batch, self.clock.nanos());
    }

    fn blocked(&self, nanos: u64) {
        self.telemetry.meter.blocked(nanos);
    }

    fn made(&self, batch: &EncodedBatch, transformed: &TransformTally) {
        self.telemetry.meter.made(&batch.batch, &transformed.statements);
        for drift in self.telemetry.meter.look(&batch.batch) {
            ColumnDrifted(&drift).emit(&self.telemetry);
        }
    }

    fn tallies(&self, batch: &EncodedBatch, _: &DecodeTally, encoded: &EncodeTally) {
        self.telemetry.meter.odd(&batch.batch, &batch.batch.odd);
        self.telemetry.meter.odd(&batch.batch, &encoded.odd);
    }

    fn submitted(&self, batch: &mut EncodedBatch) {
        // A batch that only carries a position has no size to tell of.
        if batch.batch.rows_passed() > 0 {
            self.telemetry.meter.submitted(0, batch.batch.rows_passed());
        }
        if !batch.batch.rows.is_empty() {
            let without = batch.rows_without_record();
            if !without.is_empty() {
                let fates: Vec<(u32, Fate)> = without.into_iter().map(|row| (row, Fate::NoRecord)).collect();
                self.telemetry.meter.kept(&fates);
            }
            self.telemetry.meter.handed_in(&mut batch.batch, moment(&self.clock));
        }
    }

    fn durable(&self, batch: &EncodedBatch, delivered: &[Delivered]) {
        let to: Vec<DeliveredTo<'_>> = delivered.iter().map(|to| delivered_to(batch, to)).collect();
        self.telemetry.meter.durable(&batch.batch, batch.encoded_bytes() as usize, &to, moment(&self.clock));
    }

    fn flow(&self, window: &FlowWindow, totals: &BTreeMap<TableName, FlowCounts>) {
        for (table, counts) in &window.sums.0 {
            let total = totals.get(table).unwrap_or(counts);
            self.telemetry.meter.flow(table, counts, total);
            let rows = counts.difference();
            if rows != 0 {
                FlowDiffers { table, rows, from: &window.from, to: &window.to }.emit(&self.telemetry);
            }
        }
    }

    fn saved(&self, position: &str, took_nanos: u64) {
        CheckpointSaved { position, took: Duration::from_nanos(took_nanos) }.emit(&self.telemetry);
    }

    fn head(&self, look: HeadLooked<'_>) {
        let asked = Moment { nanos: look.asked_nanos, wall_micros: look.asked_micros };
        let clock = look.clock.map(|seen| ClockLook {
            source_micros_at_zero: seen.source_micros_at_zero,
            uncertainty_micros: seen.uncertainty_micros,
        });
        self.telemetry.meter.head(HeadLook {
            lag_bytes: look.lag_bytes,
            lag_transactions: look.lag_transactions,
            asked,
            seen_nanos: look.look.seen_nanos,
            fresh_upto: look.fresh_upto,
            clock,
            runway_seconds: look.runway.map(|(seconds, _)| seconds),
            catchup_seconds: look.catchup_seconds,
        });
    }

    fn fresh(&self, upto_nanos: u64) {
        self.telemetry.meter.fresh(upto_nanos);
    }

    fn stages(&self, ratios: Option<&Ratios>) {
        for (number, component) in STAGES.into_iter().enumerate() {
            self.telemetry.meter.stage(component, ratios.map(|ratios| ratios[number]));
        }
    }

    fn beat(&self, beat: Beat<'_>) {
        let meter = &self.telemetry.meter;
        match beat {
            Beat::Sent { oldest_nanos } => meter.beat_sent(oldest_nanos),
            Beat::Seen { took_nanos } => meter.beat_seen(took_nanos),
            Beat::Delivered { took_nanos, oldest_nanos } => meter.beat_delivered(took_nanos, oldest_nanos),
            Beat::Failed { fault, is_first, oldest_nanos } => {
                HeartbeatFailed { fault, is_first, oldest_nanos }.emit(&self.telemetry);
            }
            Beat::Again => HeartbeatAgain.emit(&self.telemetry),
            Beat::Paused => meter.beats_paused(),
        }
    }

    fn fill(&self, fill: Fill) {
        let meter = &self.telemetry.meter;
        meter.settle();
        meter.queue("batches", "raw", fill.raw_batches);
        meter.queue("batches", "encoded", fill.made_batches);
        meter.queue("bytes", "sink", fill.sink_bytes as usize);
        meter.window("flight", fill.flight_bytes, fill.flight_bytes_max);
        meter.window("sink", fill.sink_bytes, fill.sink_bytes_max);
    }

    fn health(&self, component: Component, endpoint: &str, healthy: bool, _: Option<&Fault>) {
        // A failed attempt tells of its fault itself; here it is the connection's state that changed.
        if healthy {
            PeerFound { component, endpoint }.emit(&self.telemetry);
        } else {
            PeerLost { component, endpoint }.emit(&self.telemetry);
        }
    }

    fn passed_over(&self, endpoint: &str, why: &Fault) {
        PassedOver { endpoint, why }.emit(&self.telemetry);
    }

    fn table_halted(&self, table: &TableName, fault: &Fault, from: Option<RowAt<'_>>) {
        let trace = from.and_then(|at| self.telemetry.meter.trace_of(at.batch, at.row));
        TableHalted { table, fault, trace }.emit(&self.telemetry);
    }

    fn row_kept(&self, row: RowKept<'_>) {
        let RowKept { at, table, operation, position, is_parked, code, message } = row;
        let trace = self.telemetry.meter.trace_of(at.batch, at.row);
        RowPutAside { table, operation, position, is_parked, code, message, trace }.emit(&self.telemetry);
    }

    fn diverted(&self, rows: &[(u32, RowFate)]) {
        let fate = |fate: RowFate| match fate {
            RowFate::Parked(code) => Fate::Parked(code),
            RowFate::DeadLetter(code) => Fate::DeadLetter(code),
            RowFate::Withheld(code) => Fate::Withheld(code),
        };
        let rows: Vec<(u32, Fate)> = rows.iter().map(|(row, why)| (*row, fate(*why))).collect();
        self.telemetry.meter.kept(&rows);
    }

    fn parked(&self, seen: ParkedSeen) {
        self.telemetry.meter.parked(seen.keys, seen.rows, seen.dead_letters, seen.bytes);
    }

    fn rows_replayed(&self, rows: u64) {
        RowsReplayed { rows }.emit(&self.telemetry);
    }

    fn rows_given_up(&self, rows: u64) {
        RowsGivenUp { rows }.emit(&self.telemetry);
    }

    fn doubt(&self, code: FaultCode, object: &str) {
        DoubtSeen { code, object }.emit(&self.telemetry);
    }

    fn chunk_read(&self, _: &TableName, rows: u64, took: Duration) {
        self.telemetry.meter.chunk_read(rows, took.as_secs_f64());
    }

    fn chunk_stale(&self, table: &TableName, why: &str) {
        ChunkStale { table, why }.emit(&self.telemetry);
    }

    fn copy_failed(&self, table: &TableName, fault: &Fault) {
        CopyFailed { table, fault }.emit(&self.telemetry);
    }

    fn copying(&self, progress: &CopyProgress) {
        let remaining = match progress.ratio >= 1.0 {
            true => Some(0.0),
            false => progress.remaining.map(|time| time.as_secs_f64()),
        };
        if !progress.tables.is_empty() {
            self.telemetry.meter.copying(progress.ratio, remaining);
        }
        if let Some(cost) = progress.cost {
            self.telemetry.meter.copy_cost(cost.duty, cost.loss);
            // Between the two bounds nothing is said, so that nothing is said back and forth.
            let holds_back = cost.duty < if self.holds_back.load(Ordering::Relaxed) { 0.9 } else { 0.5 };
            if self.holds_back.swap(holds_back, Ordering::Relaxed) != holds_back {
                CopyHeldBack { holds_back, duty: cost.duty }.emit(&self.telemetry);
            }
        }
        let is_done = progress.tables.iter().all(|table| table.done);
        let rows: u64 = progress.tables.iter().map(|table| table.rows).sum();
        // A copy may be done between two looks: what tells of it is the rows, once, and not that it was seen under way.
        let told = self.copied.swap(if is_done { rows } else { 0 }, Ordering::Relaxed);
        if is_done && rows > 0 && told != rows {
            TablesCopied { tables: progress.tables.len(), rows }.emit(&self.telemetry);
        }
    }

    fn moved(&self, from: &str, to: &str) {
        PositionMoved { from, to }.emit(&self.telemetry);
    }

    fn move_refused(&self, to: &str, why: &Fault) {
        MoveRefused { to, why }.emit(&self.telemetry);
    }

    fn unfenced(&self, why: &Fault) {
        NotFenced { why }.emit(&self.telemetry);
    }

    fn accepted(&self, code: FaultCode, position: &str) {
        StateAccepted { code, position }.emit(&self.telemetry);
    }

    fn fault(&self, fault: &Fault, pause_ms: Option<u64>) {
        self.telemetry.meter.attempt_failed(fault.code(), moment(&self.clock));
        match pause_ms {
            Some(pause) => FaultRetried { fault, pause: Duration::from_millis(pause) }.emit(&self.telemetry),
            None => FaultHalted { fault }.emit(&self.telemetry),
        }
    }
}

/// The last record of the table stands for the last of the partition, whose own nobody keeps.
fn delivered_to<'a>(batch: &'a EncodedBatch, to: &Delivered) -> DeliveredTo<'a> {
    let last = batch.records.iter().rfind(|record| record.table == to.table);
    let bytes = |record: &limpid_connector::RecordSpan| {
        [record.key, record.value].into_iter().filter(|span| !span.is_null()).map(|span| span.len).sum()
    };
    DeliveredTo {
        table: to.table,
        place: batch.topics.get(usize::from(to.table)).and_then(|topic| topic.as_deref()),
        partition: to.partition,
        offsets: to.offsets,
        records: to.records,
        last_bytes: last.map(bytes),
    }
}
