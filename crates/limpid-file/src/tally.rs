//! What a batch delivered, by table.
//!
//! Owns: the counting for sinks without partitions and offsets. Does not own: the metric.
//!
//! Invariant: the numbers of a batch's tables add up to its records.

use limpid_connector::{Delivered, EncodedBatch, SinkEvent};

/// The event that says the whole batch is durable.
pub(crate) fn durable(batch: Box<EncodedBatch>) -> SinkEvent {
    let delivered = by_table(&batch);
    SinkEvent::Durable { batch, delivered }
}

/// Records by table; rows by table where no format made records of them.
fn by_table(batch: &EncodedBatch) -> Vec<Delivered> {
    let mut records = vec![0u32; batch.batch.tables.len()];
    let count = |table: u16| {
        if let Some(count) = records.get_mut(usize::from(table)) {
            *count += 1;
        }
    };
    if batch.records.is_empty() {
        batch.batch.rows.iter().map(|row| row.table).for_each(count);
    } else {
        batch.records.iter().map(|record| record.table).for_each(count);
    }
    let delivered = records.into_iter().enumerate().filter(|(_, records)| *records > 0);
    delivered
        .map(|(table, records)| Delivered { table: table as u16, partition: -1, offsets: (-1, -1), records })
        .collect()
}
