//! Batches that were taken and are not reported yet.
//!
//! Owns: the bound on them, and what is reported of each: its records by table. Does not own: when a batch is durable.
//!
//! Invariant: batches leave in the order they came, each once.

use std::collections::VecDeque;

use limpid_connector::{Delivered, EncodedBatch, SinkEvent};

/// So much may wait to be reported. The engine polls after each write, so with a sink that reports at once it is one
/// batch; with `fsync: interval` it is what a second brings, and more than this is synced before its time. Small
/// beside the 100 MB that a process may take. A batch larger than this passes alone.
pub(crate) const HELD_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Default)]
pub(crate) struct Held {
    batches: VecDeque<Box<EncodedBatch>>,
    bytes: u64,
}

impl Held {
    /// Whether the batch may be taken now.
    pub(crate) fn has_room(&self, batch: &EncodedBatch) -> bool {
        self.batches.is_empty() || self.bytes + size(batch) <= HELD_BYTES_MAX
    }

    pub(crate) fn push(&mut self, batch: Box<EncodedBatch>) {
        self.bytes += size(&batch);
        self.batches.push_back(batch);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
        self.bytes = 0;
    }

    /// Everything held is durable.
    pub(crate) fn report(&mut self, events: &mut Vec<SinkEvent>) {
        self.bytes = 0;
        events.extend(self.batches.drain(..).map(|batch| {
            let delivered = by_table(&batch);
            SinkEvent::Durable { batch, delivered }
        }));
    }
}

/// What a batch that waits costs: its records, and the rows it brings back with them.
fn size(batch: &EncodedBatch) -> u64 {
    (batch.bytes.len() + batch.batch.heap_bytes()) as u64
}

/// Records by table; rows by table where no format made records of them.
fn by_table(batch: &EncodedBatch) -> Vec<Delivered> {
    let mut records = vec![0u32; batch.batch.tables.len()];
    let count = |table: u16| {
        if let Some(count) = records.get_mut(usize::from(table)) {
            *count += 1;
        }
    };
    if batch.topics.is_empty() {
        batch.batch.runs().flat_map(|run| &batch.batch.rows[run]).map(|row| row.table).for_each(count);
    } else {
        batch.records.iter().map(|record| record.table).for_each(count);
    }
    let delivered = records.into_iter().enumerate().filter(|(_, records)| *records > 0);
    delivered
        .map(|(table, records)| Delivered { table: table as u16, partition: -1, offsets: (-1, -1), records })
        .collect()
}
