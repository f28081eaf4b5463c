//! What the trace of one row is called, for whoever tells of that row alone.
//!
//! Owns: the ids that a log line carries. Does not own: the ids themselves (`ids`), whether the trace is kept (`keep`).
//!
//! Invariant: they are those of the root that `spans` makes of the same transaction. Where a transaction is in several
//! batches, of which only a later one names an application's trace, the row's batch alone counts.

use limpid_model::Batch;

use super::gather::{Granularity, chunk_id};
use super::ids::{TraceId, contexts_of, tag_of, trace_id, txn_text};
use super::names;
use super::spans::change_id;

/// The trace and its root, which stands for the transaction, or for the change where changes have traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowTrace {
    pub trace_id: u128,
    pub span_id: u64,
}

/// Of a row of the batch, by its index; of one that was copied, its chunk's. `None` for a row whose transaction has no
/// name.
pub(crate) fn of_row(pipeline: &str, granularity: Granularity, batch: &Batch, row: u32) -> Option<RowTrace> {
    if let Some(chunk) = &batch.chunk {
        let first = batch.rows.first().and_then(|row| batch.tables.get(usize::from(row.table)));
        let table = first.map(|table| &table.name);
        let own = Some(TraceId(chunk_id(pipeline, chunk, table))).filter(|id| id.0 != 0)?;
        return Some(RowTrace { trace_id: own.0, span_id: own.span(names::ROOT, 0, 1).0 });
    }
    let number = batch.rows.get(row as usize)?.txn;
    let txn = batch.txns.get(number as usize)?;
    let text = txn_text(txn.id, tag_of(&batch.tags, txn.id).map(|tag| &**tag))?;
    let (own, shown) = match granularity {
        Granularity::Change => {
            let first = batch.rows.partition_point(|row| row.txn < number) as u64;
            let own = change_id(pipeline, &text, txn.rows_before + u64::from(row) - first);
            (own, own.0)
        }
        Granularity::Transaction => {
            let own = trace_id(pipeline, &text);
            let shown = if let [(_, only)] = contexts_of(&batch.contexts, number) { only.trace_id } else { own.0 };
            (own, shown)
        }
    };
    Some(RowTrace { trace_id: shown, span_id: own.span(names::ROOT, 0, 1).0 })
}
