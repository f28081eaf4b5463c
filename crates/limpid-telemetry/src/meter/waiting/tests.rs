//! That nobody can tell what waited.

use std::sync::Arc;

use limpid_model::{
    Batch, ChunkPart, DdlKind, Definition, FaultCode, Filtered, Op, TableName, TableSchema, TraceContext, TxnId,
    key_seed,
};

use super::super::tests::{Desk, SECOND, WALL, at, batch, table};
use super::{TOLD_AT_ONCE, TXNS_KEPT};
use crate::ring::{Fate, Found};
use crate::trace::{Granularity, TraceOptions, TraceQueue};

/// Batches of three transactions, some of them over several batches, with rows of two tables, one of which was rejected; with contexts,
/// definitions, chunks of a copy and rows that go no further in some of them.
fn made(seq: u64, versions: &[Arc<TableSchema>]) -> Batch {
    let commits = [WALL + seq as i64 * 1000, WALL + 900_000 + seq as i64 * 1000, WALL + 2_000_000];
    let mut made = batch(seq, versions, &commits, 4);
    for (number, txn) in made.txns.iter_mut().enumerate() {
        txn.id = TxnId::Domain { domain: 0, server: 1, seq: seq * 2 + number as u64 };
        (txn.rows_before, txn.ends) = (if number == 0 && seq > 0 { 8 } else { 0 }, number < 2);
    }
    made.filtered = vec![Filtered { row: 3, rule: 0 }];
    made.rejected = vec![[0; Op::COUNT]; 2];
    made.rejected[0][Op::Insert as usize] = 1;
    made.times.acked += seq * 1_000_000;
    if seq % 5 == 1 {
        made.contexts = vec![(1, TraceContext { trace_id: 70 + u128::from(seq), span_id: 7, is_sampled: true })];
    }
    if seq % 7 == 1 {
        let txn = TxnId::Domain { domain: 0, server: 1, seq: 1000 + seq };
        made.control.ddl = vec![Definition { txn, ..Definition::anonymous(DdlKind::CreateTable, "s", "v") }];
    }
    if seq == 16 {
        let (epoch, lane, number, rows, bytes, rows_before, ends, system) = (1, 2, 3, 24, 900, 0, true, "mariadb");
        let (began, read) = (made.times.read - 9, made.times.read - 5);
        made.chunk = Some(ChunkPart { epoch, lane, number, rows, bytes, began, read, rows_before, ends, system });
    }
    made
}

struct Told {
    page: String,
    rows: Vec<Found>,
    traces: String,
    named: usize,
    delivered: u64,
}

/// What is told of some batches where nobody asks before the end, or somebody after each.
fn told(asked: bool) -> Told {
    let desk = Desk::new(200);
    let options = TraceOptions { sample: 1.0, slow_nanos: 60 * SECOND, granularity: Granularity::Transaction };
    let queue = desk.meter.traces(options, Arc::default());
    desk.meter.started(1);
    let versions = [table("t", 1), table("u", 1)];
    let ask = || {
        if asked {
            desk.meter.settle();
        }
    };
    let hand_in = |batch: &mut Batch| {
        if batch.seq % 4 == 1 {
            let code = Some(FaultCode::RecordTooLarge);
            desk.meter.kept(&[(9, Fate::Parked(code)), (2, Fate::NoRecord)]);
        }
        desk.meter.handed_in(batch, at(13 * SECOND));
        ask();
    };
    let all = TOLD_AT_ONCE as u64;
    let mut batches: Vec<Batch> = (0..all).map(|seq| made(seq, &versions)).collect();
    batches[..3].iter_mut().for_each(hand_in);
    // In another order than that in which they are handed in.
    for (turn, number) in [1, 0].into_iter().chain(2..batches.len() - 3).enumerate() {
        let now = at(14 * SECOND + turn as u64 * 1_000_000);
        // The rows of the second table are not delivered of one of them: it is halted.
        let tables: &[u16] = if number == 11 { &[0] } else { &[0, 1] };
        desk.deliver(&batches[number], tables, now);
        ask();
        // What is proved after a batch was delivered says nothing of when its rows were.
        desk.meter.fresh(SECOND * 9 + turn as u64 * 10_000_000);
        hand_in(&mut batches[turn + 3]);
    }
    // Those that are with the sink come again, and one that has no rows.
    desk.meter.attempt_failed(FaultCode::SinkUnreachable, at(15 * SECOND));
    desk.meter.started(1);
    for (seq, batch) in batches[batches.len() - 3..].iter().enumerate() {
        let mut again = Batch { seq: seq as u64, ..made(batch.seq, &versions) };
        hand_in(&mut again);
        desk.deliver(&again, &[0, 1], at(15 * SECOND));
        ask();
    }
    desk.deliver(&Batch { seq: 3, ..Batch::default() }, &[], at(15 * SECOND));
    let now = at(15 * SECOND);
    let page = desk.page(now).lines().filter(|line| !line.contains("process_")).collect::<Vec<_>>().join("\n");
    let rows = desk.meter.ring().find(key_seed(&TableName::new("s", "t")), 0);
    let (named, delivered) = (desk.meter.named_by(71).len(), desk.meter.totals(now).rows_delivered);
    Told { page, rows, traces: format!("{:#?}", queue.take(usize::MAX)), named, delivered }
}

#[test]
fn nobody_can_tell_what_waited() {
    let (waited, at_once) = (told(false), told(true));
    assert_eq!((waited.delivered, waited.named), (23 * TOLD_AT_ONCE as u64 - 12, 1));
    assert!(waited.rows.len() > 20 && waited.page.contains("gravity_data_lag_seconds"));
    let is_there = |what: &&str| waited.traces.contains(*what);
    assert!(["Sampled", "Error", "Asked", "RecordTooLarge", "Copied {", "CreateTable"].iter().all(is_there));
    assert_eq!(waited.page, at_once.page);
    assert_eq!(waited.rows, at_once.rows);
    assert_eq!(waited.traces, at_once.traces);
    assert_eq!(waited.named, at_once.named);
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
    let acked = std::mem::take(&mut batch.times.acked);
    desk.meter.handed_in(&mut batch, at(13 * SECOND));
    batch.times.acked = acked;
    desk.deliver(&batch, &[0], at(14 * SECOND));
    assert_eq!(queue.take(usize::MAX).len(), 0, "it waits");
    (desk, queue, batch)
}

const LAG: &str = "gravity_data_lag_seconds_count{pipeline=\"shop\",schema=\"s\",table=\"t\"}";

#[test]
fn whoever_reads_has_everything_told_first() {
    let seed = key_seed(&TableName::new("s", "t"));
    assert_eq!(waits().0.value(LAG, at(15 * SECOND)), Some(5.0));
    let whole = "gravity_process_time_latency_sum{pipeline=\"shop\"}";
    assert_eq!(waits().0.value(whole, at(15 * SECOND)), Some(5.0 * 4.0), "from 10 s to 14 s");
    assert_eq!(waits().0.meter.totals(at(15 * SECOND)).rows_delivered, 5);
    assert_eq!(waits().0.meter.tables().iter().map(|table| table.rows_delivered).sum::<u64>(), 5);
    assert!(waits().0.meter.ring().find(seed, 0).iter().all(|found| found.done));
    assert!(waits().0.meter.known_tables().iter().all(|known| known.topic.is_some()));
    let (desk, queue, _) = waits();
    desk.meter.settle();
    assert_eq!(queue.take(usize::MAX).len(), 1);
}

#[test]
fn the_room_of_many_small_transactions_is_not_kept() {
    let (desk, _, first) = waits();
    let room = || desk.meter.deliveries.output.lock().unwrap().waiting.spare.len();
    desk.meter.settle();
    assert_eq!(room(), 1);
    let mut small = batch(1, &first.tables, &vec![WALL; TXNS_KEPT + 1], 1);
    desk.meter.handed_in(&mut small, at(13 * SECOND));
    desk.deliver(&small, &[0], at(14 * SECOND));
    desk.meter.settle();
    assert_eq!(room(), 0);
}

#[test]
fn what_waits_is_in_the_series_that_outlive_their_meter() {
    let Desk { registry, meter } = waits().0;
    drop(meter);
    let page = registry.render(crate::exposition::Format::Text, at(15 * SECOND));
    assert!(page.contains(&format!("{LAG} 5\n")), "{page}");
}

#[test]
fn so_many_wait_and_no_more() {
    let (desk, queue, first) = waits();
    for seq in 1..TOLD_AT_ONCE as u64 / 2 {
        let mut batch = Batch { seq, ..batch(seq, &first.tables, &[WALL], 5) };
        desk.meter.handed_in(&mut batch, at(13 * SECOND));
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
