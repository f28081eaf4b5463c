//! The documents that scripts hold on to, as types.
//!
//! Owns: their fields, for the server that writes and the command line that reads them. Does not own: where the
//! numbers come from (`routes`), the description for others (`openapi`).
//!
//! Invariant: fields are added, never renamed and never removed. Words (phases, verdicts) are texts, so that an older
//! command line reads a newer server.

mod trace;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use trace::{TraceChange, TraceDocument, TraceStage, TraceTarget, WatchDocument};

/// `/api/v1/pipelines`, and what `limpid status --format json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// In the order of the command line.
    pub pipelines: Vec<PipelineStatus>,
}

/// One pipeline at one moment. Counts are since the process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineStatus {
    pub name: String,
    /// starting, running, paused, draining, halted, done.
    pub phase: String,
    /// Since when it is in that phase, RFC 3339.
    pub since: String,
    /// ok, idle, warn, stall, stop, rewind, blind.
    pub verdict: String,
    /// Why, in a sentence.
    pub reason: String,
    /// The last position saved; `None` before the first.
    pub position: Option<String>,
    /// The end of the source's log at the last look.
    pub head: Option<String>,
    /// When that look was taken, RFC 3339.
    pub head_seen_at: Option<String>,
    /// How old what the sink has is.
    pub freshness_seconds: Option<f64>,
    /// Bytes of log between what is delivered and the head.
    pub lag_bytes: Option<u64>,
    /// `None` where nobody counts them.
    pub lag_transactions: Option<u64>,
    /// For how long the source keeps the log that a restart would need.
    pub retention_runway_seconds: Option<f64>,
    /// What ends it: expiry, size or purges.
    pub retention_ends_by: Option<String>,
    /// Until the head is followed again, as likely later as sooner; `None` also while nothing is gained on it.
    pub catchup_p50_seconds: Option<f64>,
    /// The same, later in one of ten cases.
    pub catchup_p90_seconds: Option<f64>,
    pub rows_read: u64,
    pub rows_delivered: u64,
    pub rows_filtered: u64,
    /// Kept now: rows that wait with parked keys.
    pub rows_parked: u64,
    /// Kept now: dead letters.
    pub rows_dead: u64,
    /// Read, and not behind a saved position yet.
    #[serde(default)]
    pub rows_in_flight: u64,
    /// Windows of the ledger of flow, of those remembered, whose rows do not add up: there should never be one.
    #[serde(default)]
    pub flow_findings: u64,
    /// Delivered, over the last 10 whole seconds.
    pub rows_per_second: f64,
    /// What the stages did with the last ten seconds; none unless it runs.
    #[serde(default)]
    pub stages: Vec<StageStatus>,
    /// The stage that sets the pace, where one does.
    #[serde(default)]
    pub bottleneck: Option<BottleneckStatus>,
    /// Tables that rows were delivered of, and those that are halted, by name.
    pub tables: Vec<TableStatus>,
    /// What halted it, or what it tries again after.
    pub fault: Option<FaultStatus>,
}

/// Parts of a stage's time, which add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// input, filter, scheduler or output.
    pub component: String,
    pub busy: f64,
    /// Waiting for the next stage.
    pub blocked: f64,
    pub idle: f64,
}

/// Who sets the pace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BottleneckStatus {
    pub component: String,
    pub why: String,
    pub help: String,
}

/// One table. Beyond the bound on tables, `__other__` stands for all further ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableStatus {
    pub schema: String,
    pub table: String,
    /// copying, streaming or halted.
    pub phase: String,
    /// Done of its snapshot, 0 to 1; `None` where there is none.
    pub snapshot_ratio: Option<f64>,
    /// Delivered since the process began; `None` for a table that is counted under `__other__`.
    pub rows: Option<u64>,
    pub fault: Option<FaultStatus>,
}

/// A call to change something that was taken up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptedDocument {
    pub accepted: bool,
}

/// `/api/v1/pipelines/{name}/position`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PositionDocument {
    pub pipeline: String,
    /// The last position saved; `None` before the first.
    pub position: Option<String>,
    /// The end of the source's log at the last look.
    pub head: Option<String>,
    /// Where an operator had it go, until it is there or cannot.
    pub moving_to: Option<String>,
    /// Why it did not go there the last time.
    pub refused: Option<FaultStatus>,
}

/// What a move would do, and the word to have it done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveDocument {
    pub pipeline: String,
    pub from: Option<String>,
    pub to: String,
    /// To be sent back as `confirm`, once.
    pub confirm: String,
    pub stands_seconds: u64,
}

/// `/api/v1/pipelines/{name}/flow`: what became of the rows up to the saved position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowDocument {
    /// Every row since the pipeline's first is counted. No: its state was restored or rebuilt in between.
    pub whole: bool,
    /// By name.
    pub tables: Vec<FlowTable>,
    /// The last windows, the oldest first.
    pub windows: Vec<FlowWindowDocument>,
    /// The last of those whose rows do not add up.
    pub findings: Vec<FlowWindowDocument>,
}

/// Rows of one table. read + copied + replayed = filtered + delivered + parked + dead_lettered + overtaken + withheld +
/// difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowTable {
    pub schema: String,
    pub table: String,
    /// From the log.
    pub read: i64,
    /// From the table itself.
    pub copied: i64,
    /// Were kept, and went to the sink after all.
    pub replayed: i64,
    pub filtered: i64,
    pub delivered: i64,
    pub parked: i64,
    pub dead_lettered: i64,
    /// Copied, and left out since the stream had told of their key meanwhile.
    pub overtaken: i64,
    /// Their table was halted at them or before them.
    pub withheld: i64,
    /// Read or copied, and not behind a saved position yet: in none of the numbers before. 0 in a window.
    pub in_flight: i64,
    /// Lost; below 0: delivered twice.
    pub difference: i64,
}

/// Rows between two saved positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowWindowDocument {
    pub number: u64,
    pub from: String,
    pub to: String,
    /// When it was saved, RFC 3339.
    pub at: String,
    pub tables: Vec<FlowTable>,
}

/// `/api/v1/pipelines/{name}/quality`: odd values, and how columns look. No value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityDocument {
    pub odd: Vec<QualityOdd>,
    /// `None` where columns are not measured.
    pub sample: Option<QualitySample>,
    /// By name.
    pub columns: Vec<QualityColumn>,
}

/// Values of a column that were not delivered as they are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityOdd {
    pub schema: String,
    pub table: String,
    pub column: String,
    pub reason: String,
    pub values: u64,
}

/// How columns are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualitySample {
    pub one_in: u64,
    pub window_rows: u32,
}

/// A column as it was last measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityColumn {
    pub schema: String,
    pub table: String,
    pub column: String,
    pub windows: u64,
    pub measures: Vec<QualityMeasure>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityMeasure {
    pub measure: String,
    pub last: Option<f64>,
    pub usual: Option<f64>,
    pub drifting: bool,
}

/// `/api/v1/pipelines/{name}/dlq`: rows that could not be delivered, and those that wait behind them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedDocument {
    /// In the order in which they were kept.
    pub entries: Vec<ParkedEntry>,
    /// What became of the last calls to replay or drop some.
    pub outcomes: Vec<ParkedOutcomeDocument>,
}

/// One row that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedEntry {
    pub id: u64,
    /// parked or dead_letter.
    pub kind: String,
    pub schema: String,
    pub table: String,
    /// The row's key, hashed, as 16 hexadecimal digits; `None` for a row without one.
    pub key_hash: Option<String>,
    /// Of its record's key, and of the keys before where it got another: it waits under them too.
    pub more_key_hashes: Vec<String>,
    /// insert, update, delete, read.
    pub operation: String,
    /// Behind the row.
    pub position: String,
    /// When it was kept, RFC 3339.
    pub at: String,
    /// `None` for a row that waits behind another.
    pub error_code: Option<String>,
    pub message: Option<String>,
    /// A later version of its key was delivered.
    pub superseded: bool,
    pub bytes: u64,
}

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedOutcomeDocument {
    pub number: u64,
    /// Rows delivered or dropped.
    pub done: u64,
    pub refused: Vec<ParkedRefusal>,
    /// The pipeline restarted before it was done.
    pub interrupted: bool,
}

/// A row that stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedRefusal {
    pub id: u64,
    pub reason: String,
}

/// A call about kept rows that was taken up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedAskDocument {
    /// Finds its outcome.
    pub number: u64,
}

/// `/api/v1/pipelines/{name}/dlq/show`: what is kept of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedBodyDocument {
    pub entry: ParkedEntry,
    /// Where its records go.
    pub topic: Option<String>,
    pub records: Vec<ParkedRecord>,
    /// Its columns, where it has no record.
    pub columns: Vec<ParkedColumn>,
}

/// One record of a kept row. Bytes are there only for an operator who asks for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedRecord {
    pub key_bytes: Option<u64>,
    pub value_bytes: Option<u64>,
    pub headers: u64,
    /// As text where it is UTF-8, else as hexadecimal digits behind `0x`.
    pub key: Option<String>,
    pub value: Option<String>,
}

/// One column of a kept row that has no record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParkedColumn {
    /// before or after.
    pub image: String,
    pub column: String,
    pub bytes: Option<u64>,
    pub value: Option<String>,
}

/// A fault as others may know it: without values and secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultStatus {
    /// Stable; the name of its page.
    pub code: String,
    pub component: String,
    pub message: String,
    pub object: Option<String>,
    /// What to do.
    pub remedy: String,
    /// `docs/faults/CODE.md`.
    pub page: String,
    /// RFC 3339.
    pub at: String,
}

/// `/healthz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthDocument {
    /// The worst of the components: ok, degraded, failed. Comes with 503 when failed.
    pub status: String,
    pub components: Vec<ComponentHealth>,
}

/// One part of the way of one pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentHealth {
    pub pipeline: String,
    /// input, output, scheduler (the pipeline's own loop), ...
    pub component: String,
    /// The system spoken to, without credentials; empty for our own parts.
    pub endpoint: String,
    /// ok, degraded, failed.
    pub status: String,
    /// RFC 3339.
    pub since: String,
    /// What this is concluded from.
    pub evidence: String,
    pub error_code: Option<String>,
    pub remedy: Option<String>,
    /// The table or other object that it is about.
    pub object: Option<String>,
}

/// `/status`, as Gravity has it. `position` is empty before the first is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GravityStatus {
    pub name: String,
    pub config_hash: String,
    pub position: String,
    pub watermarks: BTreeMap<String, GravityWatermark>,
    /// Full or Incremental.
    pub stage: String,
    pub version: String,
}

/// Up to when everything is at the sink, by our clock and by the source's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GravityWatermark {
    pub process_time: String,
    pub event_time: String,
}

/// `/api/v1/build`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildDocument {
    pub version: String,
    pub commit: String,
}

/// Every answer that is no success, but for the probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorDocument {
    pub error: ErrorBody,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable; the name of its page.
    pub code: String,
    pub message: String,
    /// What to do.
    pub help: String,
    /// `docs/faults/CODE.md`.
    pub page: String,
}
