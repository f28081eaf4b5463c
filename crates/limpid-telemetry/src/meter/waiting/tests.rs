//! That nobody can tell which batches waited.

use std::sync::Arc;

use limpid_model::{Batch, FaultCode, Filtered, Op, TableName, TableSchema, TxnId, key_seed};

use super::super::tests::{Desk, SECOND, WALL, at, batch, table};
use super::TOLD_AT_ONCE;
use crate::ring::Found;
use crate::trace::{Granularity, TraceOptions, TraceQueue};

/// Batches of three transactions, some of them over several batches, with rows of two tables, one of which was rejected; `pad` tables that
/// nothing is of.
fn made(seq: u64, versions: &[Arc<TableSchema>], pad: usize) -> Batch {
    let commits = [WALL + seq as i64 * 1000, WALL + 900_000 + seq as i64 * 1000, WALL + 2_000_000];
    let mut made = batch(seq, versions, &commits, 4);
    for (number, txn) in made.txns.iter_mut().enumerate() {
        txn.id = TxnId::Domain { domain: 0, server: 1, seq: seq * 2 + number as u64 };
        (txn.rows_before, txn.ends) = (if number == 0 && seq > 0 { 8 } else { 0 }, number < 2);
    }
    made.filtered = vec![Filtered { row: 3, rule: 0 }];
    made.rejected = vec![[0; Op::COUNT]; 2];
    made.rejected[0][Op::Insert as usize] = 1;
    let more = (0..pad).map(|number| table(&format!("p{number}"), 1));
    made.tables.extend(more);
    made.counts.resize(made.tables.len(), [0; Op::COUNT]);
    made.rejected.resize(made.tables.len(), [0; Op::COUNT]);
    made.times.acked += seq * 1_000_000;
    made
}

struct Told {
    page: String,
    rows: Vec<Found>,
    traces: String,
    delivered: u64,
}

/// What is told of some batches of which `pad` decides whether they may wait.
fn told(pad: usize) -> Told {
    let desk = Desk::new(200);
    let options = TraceOptions { sample: 1.0, slow_nanos: 60 * SECOND, granularity: Granularity::Transaction };
    let queue = desk.meter.traces(options, Arc::default());
    desk.meter.started(1);
    let versions = [table("t", 1), table("u", 1)];
    let batches: Vec<Batch> = (0..TOLD_AT_ONCE as u64 + 7).map(|seq| made(seq, &versions, pad)).collect();
    for batch in &batches {
        desk.meter.handed_in(batch, at(13 * SECOND));
    }
    // In another order than that in which they were handed in.
    for (turn, number) in [1, 0].into_iter().chain(2..batches.len()).enumerate() {
        let now = at(14 * SECOND + turn as u64 * 1_000_000);
        desk.deliver(&batches[number], &[0, 1], now);
        // What is proved after a batch was delivered says nothing of when its rows were.
        desk.meter.fresh(SECOND * 9 + turn as u64 * 10_000_000);
    }
    let now = at(15 * SECOND);
    let page = desk.page(now).lines().filter(|line| !line.contains("process_")).collect::<Vec<_>>().join("\n");
    let rows = desk.meter.ring().find(key_seed(&TableName::new("s", "t")), 0);
    let delivered = desk.meter.totals(now).rows_delivered;
    Told { page, rows, traces: format!("{:#?}", queue.take(usize::MAX)), delivered }
}

#[test]
fn what_is_told_of_a_batch_that_waited_is_what_is_told_of_one_that_may_not() {
    let (waited, at_once) = (told(0), told(17));
    assert_eq!(waited.delivered, 23 * (TOLD_AT_ONCE as u64 + 7));
    assert!(
        waited.rows.len() > 20 && waited.traces.contains("Sampled") && waited.page.contains("gravity_data_lag_seconds")
    );
    assert_eq!(waited.page, at_once.page);
    assert_eq!(waited.rows, at_once.rows);
    assert_eq!(waited.traces, at_once.traces);
}

fn keeping_all(desk: &Desk) -> Arc<TraceQueue> {
    let options = TraceOptions { sample: 1.0, slow_nanos: 60 * SECOND, granularity: Granularity::Transaction };
    desk.meter.traces(options, Arc::default())
}

/// Delivered and not told of.
fn waits() -> (Desk, Arc<TraceQueue>, Batch) {
    let desk = Desk::new(200);
    let queue = keeping_all(&desk);
    desk.meter.started(1);
    let mut batch = batch(0, &[table("t", 1)], &[WALL], 5);
    batch.txns[0].id = TxnId::Domain { domain: 0, server: 1, seq: 7 };
    desk.meter.handed_in(&batch, at(13 * SECOND));
    desk.deliver(&batch, &[0], at(14 * SECOND));
    assert_eq!(queue.take(usize::MAX).len(), 0, "it waits");
    (desk, queue, batch)
}

const LAG: &str = "gravity_data_lag_seconds_count{pipeline=\"shop\",schema=\"s\",table=\"t\"}";

#[test]
fn whoever_reads_has_everything_told_first() {
    let seed = key_seed(&TableName::new("s", "t"));
    assert_eq!(waits().0.value(LAG, at(15 * SECOND)), Some(5.0));
    assert_eq!(waits().0.meter.totals(at(15 * SECOND)).rows_delivered, 5);
    assert_eq!(waits().0.meter.tables().iter().map(|table| table.rows_delivered).sum::<u64>(), 5);
    assert!(waits().0.meter.ring().find(seed, 0).iter().all(|found| found.done));
    assert!(waits().0.meter.known_tables().iter().all(|known| known.topic.is_some()));
    let (desk, queue, _) = waits();
    desk.meter.settle();
    assert_eq!(queue.take(usize::MAX).len(), 1);
}

#[test]
fn so_many_wait_and_no_more() {
    let (desk, queue, first) = waits();
    for seq in 1..TOLD_AT_ONCE as u64 {
        let batch = Batch { seq, ..batch(seq, &first.tables, &[WALL], 5) };
        desk.meter.handed_in(&batch, at(13 * SECOND));
        assert_eq!(queue.take(usize::MAX).len(), 0);
        desk.deliver(&batch, &[0], at(14 * SECOND));
    }
    assert_eq!(queue.take(usize::MAX).len(), 1, "the others have no names");
}

#[test]
fn what_was_acknowledged_before_a_restart_is_told_and_was_no_attempt_that_failed() {
    let (desk, queue, _) = waits();
    desk.meter.attempt_failed(FaultCode::SinkUnreachable, at(15 * SECOND));
    let kept = queue.take(usize::MAX);
    assert_eq!((kept.len(), kept.first().map(|kept| kept.tries.len())), (1, Some(0)));
    let (desk, queue, _) = waits();
    desk.meter.started(1);
    assert_eq!((queue.take(usize::MAX).len(), desk.value(LAG, at(15 * SECOND))), (1, Some(5.0)));
}
