//! What belongs to no transaction of rows: definitions that change, and chunks of tables that are copied.
//!
//! Owns: what they are called, which of a chunk's batches is which, deciding over definitions. Does not own: gathering the
//! batches of a chunk, which goes as for a transaction (`gather`), spans.
//!
//! Invariant: a definition is told of once everything before it is delivered. A text of a statement is never here: a kind
//! and a name are.

use limpid_model::{ChunkPart, Definition, TableName, TxnHeader, TxnId};

use super::super::ids::{TraceId, trace_id};
use super::super::keep::Reasons;
use super::super::kept::{Copied, DEFINITIONS_MAX, Defined, KeptTrace};
use super::{Tracer, begun, wall};
use crate::moment::Moment;
use crate::outline::Outline;
use crate::waiting::Dropped;

/// How long chunks take is compared with those of the same table, not with its transactions, and how long definitions take
/// with all of them: a log tells of definitions of tables that nobody captures, and of no end of names.
const DEFINITIONS: u64 = 0x9e37_79b9_7f4a_7c15;
const CHUNKS: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Definitions that wait for what is before them. They come with a stream that goes on while the sink does not.
const HELD_MAX: usize = 1024;

/// Definitions of a transaction, whose batch is done and something before it is not.
#[derive(Debug)]
pub(super) struct Held {
    seq: u64,
    trace: KeptTrace,
    /// On our monotonic clock: the latest that the commit can have been.
    latest: i64,
}

impl Tracer {
    /// The definitions of a batch are to be told of. Those that came with rows are told of with them.
    pub(super) fn definitions(&mut self, batch: &Outline, committed: &impl Fn(i64) -> i64, now: Moment) {
        for here in batch.ddl().chunk_by(|a, b| a.txn == b.txn) {
            let Some(first) = here.first() else { continue };
            let id = self.ids.of(batch.tags(), first.txn);
            if id == 0 || batch.txns.iter().any(|txn| txn.id == first.txn) {
                continue;
            }
            if self.held.len() == HELD_MAX {
                self.held.pop_front();
                self.queue.dropped(Dropped::Spared, 1);
            }
            let (commit, read) = (committed(first.commit.micros), batch.times.read as i64);
            let latest = commit.saturating_add(i64::from(first.commit.uncertainty_micros) * 1000).min(read);
            let mut trace = begun(TraceId(id), batch, first.txn, first.commit);
            trace.committed = wall(now, commit.max(0) as u64).min(wall(now, batch.times.read));
            trace.definitions = defined(batch, first.txn, now);
            let at = self.held.partition_point(|held| held.seq <= batch.seq);
            self.held.insert(at, Held { seq: batch.seq, trace, latest });
        }
    }

    /// Something is durable: decides about the definitions before which nothing is with the sink any more.
    pub(super) fn let_go(&mut self, acked: u64, now: Moment) {
        let upto = self.flight.front().map_or(u64::MAX, |oldest| oldest.seq);
        while let Some(Held { mut trace, latest, .. }) = self.held.pop_front_if(|held| held.seq < upto) {
            let nanos = (acked as i64).saturating_sub(latest).max(0) as u64;
            if let Some((why, _)) = self.decide(trace.id.0, Reasons::default(), DEFINITIONS, nanos, now) {
                trace.why = why;
                trace.definitions.iter_mut().for_each(|one| one.acked = wall(now, acked));
                self.queue.put(trace);
            }
        }
    }
}

/// The definitions that a transaction changed.
pub(super) fn defined(batch: &Outline, txn: TxnId, now: Moment) -> Vec<Defined> {
    let of_it = batch.ddl().iter().filter(|one| one.txn == txn).take(DEFINITIONS_MAX);
    let told = |Definition { kind, schema, table, .. }: &Definition| Defined {
        kind: *kind,
        table: TableName { schema: schema.clone(), table: table.clone() },
        read: wall(now, batch.times.read),
        acked: wall(now, batch.times.acked),
    };
    of_it.map(told).collect()
}

/// The trace of a chunk of a table; 0 where there is nothing to call it by.
pub(in super::super) fn chunk_id(pipeline: &str, chunk: &ChunkPart, table: Option<&TableName>) -> u128 {
    chunk_text(chunk, table).map_or(0, |text| trace_id(pipeline, &text).0)
}

/// The table and the chunk's three numbers: `shop.orders#3-1-0`.
pub(super) fn chunk_text(chunk: &ChunkPart, table: Option<&TableName>) -> Option<String> {
    let table = table?;
    Some(format!("{}.{}#{}-{}-{}", table.schema, table.table, chunk.epoch, chunk.lane, chunk.number))
}

/// Rows of the same transaction or chunk in earlier batches, and whether it ends with this one.
pub(super) fn place_of(batch: &Outline, txn: &TxnHeader) -> (u64, bool) {
    batch.chunk().map_or((txn.rows_before, txn.ends), |chunk| (chunk.rows_before, chunk.ends))
}

/// What tables are known by here.
pub(super) fn seed_of(batch: &Outline, table: usize) -> u64 {
    let seed = batch.tables.get(table).map_or(0, |table| table.key_seed);
    if batch.chunk().is_some() { seed ^ CHUNKS } else { seed }
}

pub(super) fn copied(chunk: &ChunkPart, now: Moment) -> Copied {
    let ChunkPart { rows, bytes, began, read, system, .. } = *chunk;
    Copied { rows, bytes, began: wall(now, began), read: wall(now, read), system }
}
