//! How long the encoder takes for a row of 12 columns (about 180 bytes of log), as inserts and as updates.
//!
//! Owns: one measurement, for whoever changes the encoder: `cargo run --release --example encode_speed`.
//! Does not own: the committed figures (`bench`).

use std::hint::black_box;
use std::sync::Arc;

use limpid_codec::{Connector, DebeziumEncoder, DebeziumOptions, TopicRegistry, TopicTemplate};
use limpid_connector::{Clock, Encode, EncodeTally, EncodedBatch};
use limpid_model::{
    Batch, Cell, CellKind, Column, CommitTime, EventHeader, LogicalType, NONE, Op, PipelineName, RowHeader, TableName,
    TableSchema, TxnHeader, TxnId,
};

const ROWS: usize = 1400;

fn columns() -> Vec<Column> {
    let int = |bits| LogicalType::Int { bits, signed: true };
    [
        ("id", int(64)),
        ("customer_id", int(32)),
        ("status", int(8)),
        ("email", LogicalType::Text),
        ("name", LogicalType::Text),
        ("city", LogicalType::Text),
        ("note", LogicalType::Text),
        ("amount", LogicalType::Decimal { precision: 12, scale: 2 }),
        ("rating", LogicalType::F64),
        ("created_at", LogicalType::DateTime { digits: 6 }),
        ("updated_at", LogicalType::Timestamp { digits: 0 }),
        ("flags", int(32)),
    ]
    .into_iter()
    .map(|(name, logical)| Column { name: name.into(), logical, nullable: true, tinyint1: false })
    .collect()
}

fn image(batch: &mut Batch, row: usize) -> u32 {
    let first = batch.cells.len() as u32;
    let mut text = |value: String| {
        let cell = Cell::arena(CellKind::Text, batch.arena.len() as u64, value.len() as u32, 0);
        batch.arena.extend_from_slice(value.as_bytes());
        cell
    };
    let texts = [
        text(format!("customer{row}@example.com")),
        text(format!("Somebody Number {row}")),
        text("Utrecht".to_owned()),
        text("a note of some fifty characters, as notes often are".to_owned()),
    ];
    let row = row as i64;
    batch.cells.extend([Cell::int(CellKind::Int, 1_000_000 + row), Cell::int(CellKind::Int, row * 7)]);
    batch.cells.push(Cell::int(CellKind::Int, row % 5));
    batch.cells.extend(texts);
    batch.cells.push(Cell::scaled(CellKind::Decimal, 1999 + row, 2));
    batch.cells.push(Cell::inline(CellKind::F64, (row as f64 / 8.0).to_bits()));
    batch.cells.push(Cell::scaled(CellKind::DateTime, 1_600_000_000_123_456 + row, 6));
    batch.cells.push(Cell::scaled(CellKind::Timestamp, 1_600_000_000_000_000 + row * 1_000_000, 0));
    batch.cells.push(Cell::int(CellKind::Int, row & 0xff));
    first
}

fn batch(op: Op, rows_per_event: usize) -> Batch {
    let mut batch = Batch::default();
    let name = TableName::new("shop", "orders");
    let schema = TableSchema { name, version: 1, columns: columns(), key: [0].into(), key_seed: 0 };
    batch.tables.push(Arc::new(schema));
    batch.logs.push("bin.000001".into());
    for row in 0..ROWS {
        if row % rows_per_event == 0 {
            let txn = batch.txns.len() as u32;
            let id = TxnId::Domain { domain: 0, server: 1, seq: row as u64 };
            let commit = CommitTime { micros: 1_600_000_000_000_000, uncertainty_micros: 1_000_000 };
            batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: 0, ends: true });
            batch.events.push(EventHeader {
                at: 1000 + row as u64 * 200,
                seconds: 1_600_000_000,
                server: 1,
                offset: 0,
                len: 0,
                txn,
                rows: rows_per_event as u32,
                block: 0,
                table: 0,
                log: 0,
                kind: 0,
                flags: 0,
            });
        }
        let before = if op == Op::Update { image(&mut batch, row) } else { NONE };
        let after = image(&mut batch, row);
        let event = (batch.events.len() - 1) as u32;
        let row_in_event = (row % rows_per_event) as u32;
        batch.rows.push(RowHeader { key_hash: 0, event, row_in_event, txn: event, before, after, table: 0, op });
    }
    batch
}

fn measure(what: &str, op: Op, rows_per_event: usize) {
    let options = DebeziumOptions::new(PipelineName::parse("shop").expect("a legal name"), Connector::MariaDb);
    let mut encoder = DebeziumEncoder::new(options, Arc::new(TopicRegistry::new(TopicTemplate::default())));
    let mut out = EncodedBatch { batch: batch(op, rows_per_event), ..EncodedBatch::default() };
    let mut tally = EncodeTally::default();
    let clock = Clock::system();
    let mut best = u64::MAX;
    for _ in 0..400 {
        out.clear_records();
        let start = clock.nanos();
        encoder.encode(&mut out, 1_700_000_000_123_456, &mut tally);
        best = best.min(clock.nanos() - start);
        black_box(&out.bytes);
    }
    let bytes = out.bytes.len() / ROWS;
    eprintln!("{what}: {} ns a row, {bytes} bytes a row", best / ROWS as u64);
}

fn main() {
    measure("insert, 40 rows an event", Op::Insert, 40);
    measure("insert, 1 row a transaction", Op::Insert, 1);
    measure("update, 40 rows an event", Op::Update, 40);
}
