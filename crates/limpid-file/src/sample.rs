//! Batches for tests: numbered records of two tables.
//!
//! Owns: making them. Does not own: any check.
//!
//! Invariant: the records of a batch that begins at `first` are numbered from there without gaps.

use std::sync::Arc;

use limpid_connector::{EncodedBatch, RecordSpan, Span};
use limpid_model::{TableName, TableSchema};

/// Records `first..first + count`, alternating between two tables.
pub(crate) fn batch(first: u64, count: u64) -> Box<EncodedBatch> {
    let mut batch = Box::new(EncodedBatch::default());
    for table in ["a", "b"] {
        let name = TableName::new("shop", table);
        let schema =
            TableSchema { key_seed: limpid_model::key_seed(&name), name, version: 1, columns: vec![], key: [].into() };
        batch.batch.tables.push(Arc::new(schema));
        batch.topics.push(Some(format!("shop.{table}").into()));
    }
    for number in first..first + count {
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(format!("{{\"n\":{number}}}").as_bytes());
        let key = Span::since(start, &batch.bytes);
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(format!("{{\"n\":{number},\"pad\":\"{:>200}\"}}", number).as_bytes());
        let value = Span::since(start, &batch.bytes);
        let row = (number - first) as u32;
        batch.records.push(RecordSpan { key, value, headers: (0, 0), table: (number % 2) as u16, row });
    }
    batch
}
