//! What the numbers cost a row: the meter and the ring, by the shape of the batches.
//!
//! Owns: the measurement. Run with `cargo run --release -p limpid-telemetry --example telemetry_cost`.
//!
//! Invariant: every call that the engine makes for a batch is in it, and nothing else but what a decoder does of marks.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

use std::sync::Arc;
use std::time::Instant;

use limpid_model::{
    Batch, CommitTime, EventHeader, NONE, Op, PipelineName, RowHeader, RowMark, TableName, TableSchema, TxnHeader,
    TxnId,
};
use limpid_telemetry::{Build, DeliveredTo, Format, MeterOptions, Moment, PipelineMeter, Registry};

/// Rows a measurement.
const ROWS: usize = 20_000_000;
/// The best of so many: the machine is shared.
const ROUNDS: usize = 5;

struct Shape {
    name: &'static str,
    txns: usize,
    rows_in_txn: usize,
    tables: usize,
}

fn main() {
    let shapes = [
        Shape { name: "bulk: 1,000 rows of one transaction, 20 an event", txns: 1, rows_in_txn: 1000, tables: 1 },
        Shape { name: "bulk over 10 tables", txns: 1, rows_in_txn: 1000, tables: 10 },
        Shape { name: "256 single-row transactions", txns: 256, rows_in_txn: 1, tables: 1 },
        Shape { name: "256 single-row transactions over 10 tables", txns: 256, rows_in_txn: 1, tables: 10 },
        Shape { name: "trickle: one row a batch", txns: 1, rows_in_txn: 1, tables: 1 },
    ];
    println!("| batches | ns a row | ns a batch |\n|---|---|---|");
    for shape in &shapes {
        let best = (0..ROUNDS).map(|_| measure(shape)).fold(f64::INFINITY, f64::min);
        println!("| {} | {best:.2} | {:.0} |", shape.name, best * (shape.txns * shape.rows_in_txn) as f64);
    }
    scrape();
}

fn meter() -> (Arc<Registry>, PipelineMeter) {
    let registry = Arc::new(Registry::new(Build { version: "0", commit: "0" }));
    let pipeline = PipelineName::parse("shop").expect("a legal name");
    let meter = PipelineMeter::new(&registry, &pipeline, MeterOptions::default());
    (registry, meter)
}

fn measure(shape: &Shape) -> f64 {
    let (_registry, meter) = meter();
    let mut batch = batch(shape);
    let delivered: Vec<DeliveredTo<'_>> = (0..batch.tables.len() as u16)
        .map(|table| DeliveredTo {
            table,
            place: Some("shop.s.t"),
            partition: 0,
            offsets: (0, 1),
            records: 1,
            last_bytes: Some(600),
        })
        .collect();
    let marks = batch.marks.clone();
    let rounds = ROWS / batch.rows.len() / if batch.rows.len() == 1 { 10 } else { 1 };
    let start = Instant::now();
    for seq in 0..rounds as u64 {
        batch.seq = seq;
        let now = Moment { nanos: 2_000_000_000 + seq * 1000, wall_micros: 1_700_000_000_000_000 + seq as i64 };
        meter.read(&mut batch, now.nanos);
        batch.marks.clear();
        batch.marks.extend_from_slice(&marks);
        meter.blocked(now.nanos);
        meter.made(&batch, &[]);
        meter.odd(&batch, &batch.odd);
        meter.submitted(0, batch.rows.len() as u64);
        meter.handed_in(&mut batch, now);
        meter.durable(&batch, 600_000, &delivered, now);
    }
    start.elapsed().as_nanos() as f64 / (rounds * batch.rows.len()) as f64
}

/// A page of 200 tables with two operations each.
fn scrape() {
    let (registry, meter) = meter();
    let shape = Shape { name: "", txns: 400, rows_in_txn: 1, tables: 200 };
    let mut batch = batch(&shape);
    let to = |table| DeliveredTo {
        table,
        place: Some("shop.s.t"),
        partition: 0,
        offsets: (0, 1),
        records: 1,
        last_bytes: Some(1),
    };
    meter.made(&batch, &[]);
    let now = Moment { nanos: 2_000_000_000, wall_micros: 1_700_000_000_000_000 };
    meter.handed_in(&mut batch, now);
    meter.durable(&batch, 1, &(0..200).map(to).collect::<Vec<_>>(), now);
    let start = Instant::now();
    let bytes = registry.render(Format::OpenMetrics, now).len();
    println!("\nA scrape of 200 tables: {bytes} bytes in {:.1} ms.", start.elapsed().as_secs_f64() * 1e3);
    for key_hash in 1..4 {
        let start = Instant::now();
        let found = meter.ring().find(batch.tables[0].key_seed, key_hash << 3).len();
        println!("A lookup: {found} found in {:.1} ms.", start.elapsed().as_secs_f64() * 1e3);
    }
}

/// 20 rows an event, as a server writes them in bulk.
fn batch(shape: &Shape) -> Batch {
    let mut batch = Batch::default();
    for number in 0..shape.tables {
        let name = TableName::new("s", &format!("t{number}"));
        let key_seed = limpid_model::key_seed(&name);
        batch.tables.push(Arc::new(TableSchema { name, version: 1, columns: Vec::new(), key: [].into(), key_seed }));
        batch.counts.push([0; Op::COUNT]);
    }
    for txn in 0..shape.txns {
        // Commits 200 us apart, as at 5,000 a second.
        let commit = CommitTime { micros: 1_699_999_999_900_000 + txn as i64 * 200, uncertainty_micros: 0 };
        let id = TxnId::Domain { domain: 0, server: 1, seq: txn as u64 };
        batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: 0, ends: true });
        for row in 0..shape.rows_in_txn {
            if row % 20 == 0 {
                push_event(&mut batch, shape, txn);
            }
            let event = batch.events.len() as u32 - 1;
            let table = batch.events[event as usize].table;
            batch.events[event as usize].rows += 1;
            batch.counts[usize::from(table)][row % 3] += 1;
            let key_hash = (txn * shape.rows_in_txn + row) as u64 + 1;
            batch.marks.push(RowMark::new(key_hash << 3, Op::Insert));
            let (txn, row_in_event) = (txn as u32, row as u32 % 20);
            batch.rows.push(RowHeader { event, row_in_event, txn, before: NONE, after: 0, table, op: Op::Insert });
        }
    }
    let times = &mut batch.times;
    (times.read, times.queued, times.decoded) = (1_000_000_000, 1_000_100_000, 1_000_200_000);
    (times.encoded, times.sent, times.acked) = (1_000_300_000, 1_000_400_000, 1_001_000_000);
    batch
}

fn push_event(batch: &mut Batch, shape: &Shape, txn: usize) {
    batch.events.push(EventHeader {
        at: 0,
        seconds: 0,
        server: 1,
        offset: 0,
        len: 0,
        txn: txn as u32,
        rows: 0,
        block: 0,
        table: (batch.events.len() % shape.tables) as u16,
        log: 0,
        kind: 0,
        flags: 0,
    });
}
