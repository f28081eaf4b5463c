//! The documents about a row's way.
//!
//! Owns: their form. Does not own: what is in them (`routes/trace`), the other documents (the folder's front file).
//!
//! Invariant: fields are added, never renamed and never removed.

use serde::{Deserialize, Serialize};

/// `/api/v1/pipelines/{name}/trace`, and what `limpid trace --format json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceDocument {
    pub pipeline: String,
    /// `schema.table`; `None` where a transaction was asked for.
    pub table: Option<String>,
    /// The key, hashed, as 16 hexadecimal digits.
    pub key_hash: Option<String>,
    /// How far back the memory of recent rows reaches; `None` while it is empty.
    pub reach_seconds: Option<f64>,
    /// Whether somebody watches the key now, and has its transactions kept as traces; `None` where a transaction was asked
    /// for.
    pub watched: Option<bool>,
    /// Oldest first; one that says `evicted` where nothing is known.
    pub changes: Vec<TraceChange>,
}

/// `/api/v1/pipelines/{name}/trace/watch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchDocument {
    pub pipeline: String,
    /// `schema.table`.
    pub table: String,
    /// The key, hashed, as 16 hexadecimal digits.
    pub key_hash: String,
    /// False where the pipeline keeps no traces, or too many keys are watched.
    pub watched: bool,
    /// For how long from now; 0 where it is not.
    pub seconds: f64,
}

/// One change of one row on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceChange {
    /// 32 hexadecimal digits; `None` for a row that was copied, and where the source names no transactions.
    pub trace_id: Option<String>,
    /// Its transaction, as `--position` takes it.
    pub position: Option<String>,
    /// Its number in the transaction, from 0, over the captured tables.
    pub ordinal: Option<u64>,
    /// Its key, hashed; without the last three bits, which are zero.
    pub key_hash: Option<String>,
    /// insert, update, delete, truncate, read.
    pub operation: Option<String>,
    /// By the source's clock, RFC 3339; the true time lies within the uncertainty behind it.
    pub committed_at: Option<String>,
    pub committed_at_uncertainty_seconds: Option<f64>,
    /// delivered, filtered, parked, dead_lettered, waiting, evicted.
    pub outcome: String,
    /// What it waits for now.
    pub waits_for: Option<String>,
    /// What the outcome leaves open.
    pub note: Option<String>,
    /// The rule that rejected it.
    pub rule: Option<String>,
    pub error_code: Option<String>,
    /// What `limpid dlq` knows it as, while it is kept.
    pub kept_id: Option<u64>,
    /// How often it was handed to the sink.
    pub attempts: Option<u64>,
    pub target: Option<TraceTarget>,
    /// In their order.
    pub stages: Vec<TraceStage>,
    /// Of the outcome: remembered or derived.
    pub known: String,
}

/// Where a change's first record is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceTarget {
    pub topic: Option<String>,
    /// `None` where the batch went to several.
    pub partition: Option<i32>,
    /// `None` where it does not follow from what is remembered.
    pub offset: Option<i64>,
    /// Where the offset is not known: the first and last of the batch's records in the partition.
    pub offset_first: Option<i64>,
    pub offset_last: Option<i64>,
}

/// One stage of a change's way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStage {
    /// input, filter, scheduler, output, state.
    pub component: String,
    /// committed, read, queued, decoded, transformed, encoded, sent, acknowledged, kept, saved.
    pub name: String,
    /// When it was over, RFC 3339; `None` where only that is known.
    pub at: Option<String>,
    /// Since the stage before.
    pub duration_us: Option<u64>,
    /// remembered or derived.
    pub known: String,
}
