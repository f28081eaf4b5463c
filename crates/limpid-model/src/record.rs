//! What a restart needs, and nothing more.
//!
//! Owns: the record's content. Does not own: its wire form (`limpid-codec::record`), where it lives (the sink's
//! `__limpid_positions`, `limpid-state`), or the rules by which state and record are weighed at a start.
//!
//! Invariant: a record is written only after everything at or below `delivered` is durable at the sink.

use crate::ids::{ChangeNumber, Epoch, PipelineId, PipelineName};

/// The position record of one pipeline. Positions are in their text form: the record outlives the process and may be
/// read by a later release. Its format keeps room for snapshots and undecided XA transactions from the first day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionRecord {
    pub pipeline: PipelineName,
    pub id: PipelineId,
    pub epoch: Epoch,
    pub change: ChangeNumber,
    /// Everything at or below this is durable at the sink, rows inside a transaction included (`+<gtid>/<row>`).
    pub delivered: String,
    /// Where a restart begins to read: at or below `delivered`, at a border the source can seek to.
    pub read_from: String,
    /// Prepared but undecided XA transactions: their ids as the source prints them.
    pub undecided: Vec<String>,
    /// Rows of the transaction in progress that are done, counted before filters.
    pub rows_done: u64,
    /// Snapshot chunk cursors, opaque to all but the copier.
    pub cursors: Vec<String>,
    /// The highest table version that rows at or below `delivered` were decoded with.
    pub schema_version: u32,
    /// Fingerprint of the tables and columns whose rows were counted: a count means something only while the same are
    /// captured. `None` in a record of a release that did not tell.
    pub selection: Option<u64>,
    /// Rows up to there that the state may not have counted yet, opaque to all but the ledger of flow. Empty in a
    /// record of a release that had none; never in the state, which has the sums themselves.
    pub flow: Vec<String>,
}
