//! What is gathered: whole transactions, in whatever order their batches are acknowledged.

use limpid_model::{
    Batch, ChunkPart, CommitTime, DdlKind, Definition, RowHeader, RowMark, StageTimes, TableName, TableSchema,
    TraceContext, TxnId,
};

use super::*;
use crate::registry::Build;
use crate::trace::{LEASE_NANOS, RowTrace, Span, SpanMaker, of_row, trace_id};

const NOW: Moment = Moment { nanos: 10_000_000_000, wall_micros: 1_700_000_000_000_000 };

struct Desk {
    tracer: Tracer,
    registry: Registry,
}

impl Desk {
    fn new(sample: f64, granularity: Granularity) -> Self {
        let registry = Registry::new(Build { version: "1", commit: "c" });
        let options = TraceOptions { sample, slow_nanos: 60_000_000_000, granularity };
        let mut tracer = Tracer::new(&registry, "shop", options, Arc::default());
        tracer.started();
        Self { tracer, registry }
    }

    fn hand_in(&mut self, batch: &Batch) {
        self.tracer.handed_in(&Outline::of(batch), &[]);
    }

    fn deliver(&mut self, batch: &Batch) {
        let to =
            DeliveredTo { table: 0, place: Some("t"), partition: 1, offsets: (4, 9), records: 3, last_bytes: None };
        self.tracer.durable(&Outline::of(batch), &[to], |_| 9_000_000_000, NOW);
    }

    fn kept(&self) -> Vec<KeptTrace> {
        self.tracer.queue().take(usize::MAX)
    }
}

fn table() -> Arc<TableSchema> {
    let name = TableName::new("s", "t");
    let key_seed = limpid_model::key_seed(&name);
    Arc::new(TableSchema { name, version: 1, columns: Vec::new(), key: [].into(), key_seed })
}

/// Transactions as number, rows before, rows, whether it ends.
fn batch(seq: u64, txns: &[(u64, u64, u32, bool)]) -> Batch {
    let mut batch = Batch { seq, tables: vec![table()], counts: vec![[0; Op::COUNT]], ..Batch::default() };
    batch.times = StageTimes { read: 9_100_000_000, decoded: 9_200_000_000, transformed: 9_300_000_000, ..batch.times };
    (batch.times.sent, batch.times.acked) = (9_400_000_000, 9_500_000_000);
    for (index, (seq, rows_before, rows, ends)) in txns.iter().enumerate() {
        let id = TxnId::Domain { domain: 0, server: 1, seq: *seq };
        let commit = CommitTime { micros: 0, uncertainty_micros: 0 };
        batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: *rows_before, ends: *ends });
        for row in 0..*rows {
            let (none, txn) = (limpid_model::NONE, index as u32);
            let key_hash = (seq * 1000 + u64::from(row)) * 8;
            let op = Op::Insert;
            batch.marks.push(RowMark::new(key_hash, op));
            batch.rows.push(RowHeader { event: 0, row_in_event: row, txn, before: none, after: 0, table: 0, op });
        }
        batch.counts[0][Op::Insert as usize] += rows;
    }
    batch
}

fn numbers(kept: &[KeptTrace]) -> Vec<(&str, u64)> {
    kept.iter().map(|kept| (&*kept.txn, kept.rows())).collect()
}

#[test]
fn a_transaction_of_several_batches_is_one_trace_however_they_are_acknowledged() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let batches =
        [batch(0, &[(7, 0, 1, true), (8, 0, 2, false)]), batch(1, &[(8, 2, 5, false)]), batch(2, &[(8, 7, 1, true)])];
    batches.iter().for_each(|batch| desk.hand_in(batch));
    desk.deliver(&batches[2]);
    desk.deliver(&batches[0]);
    assert_eq!(numbers(&desk.kept()), [("0-1-7", 1)], "the other is not complete");
    desk.deliver(&batches[1]);
    let kept = desk.kept();
    assert_eq!(numbers(&kept), [("0-1-8", 8)]);
    let before: Vec<u64> = kept[0].parts.iter().map(|part| part.rows_before).collect();
    assert_eq!((before, kept[0].id), (vec![0, 2, 7], trace_id("shop", "0-1-8")));
    let alone: Vec<bool> = kept[0].parts.iter().map(|part| part.is_alone).collect();
    assert_eq!(alone, [false, true, true]);
}

#[test]
fn what_an_attempt_delivered_is_not_counted_twice() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let (first, second) = (batch(0, &[(8, 0, 3, false)]), batch(1, &[(8, 3, 4, true)]));
    desk.hand_in(&first);
    desk.hand_in(&second);
    desk.deliver(&first);
    desk.tracer.failed(FaultCode::SinkUnreachable, NOW);
    desk.tracer.started();
    let again = [batch(0, &[(8, 2, 3, false)]), batch(1, &[(8, 5, 2, true)])];
    again.iter().for_each(|batch| desk.hand_in(batch));
    again.iter().for_each(|batch| desk.deliver(batch));
    let kept = desk.kept();
    assert_eq!((kept.len(), kept[0].why, kept[0].tries.len()), (1, Why::Error, 1));
    let parts: Vec<u64> = kept[0].parts.iter().map(|part| part.rows_before).collect();
    assert_eq!(parts, [0, 2, 5]);
}

#[test]
fn reasons_keep_at_a_rate_of_nothing() {
    let mut desk = Desk::new(0.0, Granularity::Transaction);
    let mut deliver = |number: u64, kept: &[(u32, Fate)], watched: Option<u64>| {
        let batch = batch(number, &[(number, 0, 2, true)]);
        assert!(watched.is_none_or(|key| desk.tracer.watches().renew(key, NOW.nanos)));
        desk.tracer.handed_in(&Outline::of(&batch), kept);
        desk.deliver(&batch);
        desk.kept().first().map(|kept| kept.why)
    };
    assert_eq!(deliver(0, &[], None), Some(Why::First));
    assert_eq!(deliver(1, &[], None), None);
    assert_eq!(deliver(2, &[(1, Fate::DeadLetter(Some(FaultCode::SinkUnreachable)))], None), Some(Why::Error));
    assert_eq!(deliver(3, &[(1, Fate::NoRecord)], None), None);
    assert_eq!(deliver(4, &[], Some(4001 * 8)), Some(Why::Watched));
    assert_eq!(deliver(5, &[], None), None);
    let halted = [(0, Fate::Withheld(Some(FaultCode::RecordTooLarge))), (1, Fate::Withheld(None))];
    assert_eq!(deliver(6, &halted, None), Some(Why::Error));
    assert_eq!(deliver(7, &halted[1..], None), None, "it only follows");
}

#[test]
fn a_context_that_an_application_sent_is_the_parent_and_several_are_links() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let context = |number: u64| TraceContext { trace_id: u128::from(number), span_id: number, is_sampled: false };
    let spans = |desk: &mut Desk, seq: u64, contexts: &[u64]| {
        let mut batch = batch(seq, &[(seq, 0, 1, true)]);
        batch.contexts = contexts.iter().map(|number| (0, context(*number))).collect();
        desk.hand_in(&batch);
        desk.deliver(&batch);
        maker(Granularity::Transaction).spans(&desk.kept()[0])
    };
    let one = spans(&mut desk, 0, &[5]);
    assert!(one.iter().all(|span| span.trace_id == 5) && one[0].parent == 5 && one[0].links.is_empty());
    assert_eq!(one[0].id, trace_id("shop", "0-1-0").span("Transaction", 0, 1));
    let two = spans(&mut desk, 1, &[5, 6]);
    assert_eq!((two[0].parent, two[0].links.len(), two[0].trace_id), (0, 2, trace_id("shop", "0-1-1").0));
}

fn maker(granularity: Granularity) -> SpanMaker {
    SpanMaker { pipeline: "shop".into(), granularity, base: BaseRate::new(1.0), is_kafka: true }
}

#[test]
fn a_large_transaction_has_64_spans_at_most_and_counts_the_rest() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let batches: Vec<Batch> = (0..100).map(|seq| batch(seq, &[(1, seq * 3, 3, seq == 99)])).collect();
    batches.iter().for_each(|batch| desk.hand_in(batch));
    batches.iter().for_each(|batch| desk.deliver(batch));
    let kept = desk.kept();
    assert_eq!((kept.len(), kept[0].rows(), kept[0].more), (1, 300, (86, 258)));
    let spans = maker(Granularity::Transaction).spans(&kept[0]);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert!(spans.len() <= 64 && named("Input") == 14 && named("Output") == 14, "{}", spans.len());
    let ids: std::collections::HashSet<u64> = spans.iter().map(|span| span.id.0).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(spans[1..].iter().all(|span: &Span| span.parent == spans[0].id.0 && span.start >= spans[0].start));
}

#[test]
fn each_change_has_a_trace_where_changes_have() {
    let mut desk = Desk::new(1.0, Granularity::Change);
    let mut batch = batch(0, &[(1, 0, 3, true)]);
    (batch.rows[1].op, batch.rows[2].op) = (Op::Update, Op::Delete);
    for row in [1, 2] {
        batch.marks[row] = RowMark::new(8, batch.rows[row].op);
    }
    desk.hand_in(&batch);
    desk.deliver(&batch);
    let kept = desk.kept();
    let changes: Vec<_> = kept[0].parts[0].changes.to_vec();
    assert_eq!(changes, [(0, Op::Insert), (0, Op::Update), (0, Op::Delete)]);
    let spans = maker(Granularity::Change).spans(&kept[0]);
    let traces: Vec<u128> = spans.chunks(5).map(|spans| spans[0].trace_id).collect();
    let expected: Vec<u128> = (0..3).map(|ordinal| trace_id("shop", &format!("0-1-1#{ordinal}")).0).collect();
    assert_eq!((spans.len(), traces), (15, expected));
}

#[test]
fn what_finds_no_room_is_counted_and_is_nobodys_exemplar() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let mut told = 0;
    for seq in 0..60_000 {
        let batch = batch(seq, &[(seq, 0, 1, true)]);
        desk.hand_in(&batch);
        told += desk.tracer.durable(&Outline::of(&batch), &[], |_| 9_000_000_000, NOW).len();
    }
    let kept = desk.kept().len();
    let page = desk.registry.render(crate::exposition::Format::Text, NOW);
    let dropped = format!("limpid_traces_dropped_total{{pipeline=\"shop\",reason=\"queue_full\"}} {}", 60_000 - kept);
    assert!(kept == told && (1000..60_000).contains(&kept) && page.contains(&dropped), "{kept} {told}");
}

#[test]
fn a_row_that_is_told_of_alone_has_the_ids_of_its_transactions_root() {
    for granularity in [Granularity::Transaction, Granularity::Change] {
        let mut desk = Desk::new(1.0, granularity);
        let mut batch = batch(0, &[(1, 0, 1, true), (2, 0, 3, true), (3, 0, 1, true)]);
        let context = TraceContext { trace_id: 77, span_id: 7, is_sampled: false };
        batch.contexts = vec![(2, context)];
        desk.hand_in(&batch);
        desk.deliver(&batch);
        let spans: Vec<Span> = desk.kept().iter().flat_map(|kept| maker(granularity).spans(kept)).collect();
        for row in 0..batch.rows.len() as u32 {
            let RowTrace { trace_id, span_id } = of_row("shop", granularity, &batch, row).unwrap();
            let root = spans.iter().find(|span| span.id.0 == span_id).unwrap();
            assert_eq!((root.trace_id, root.name.as_str()), (trace_id, "process s.t"), "row {row}");
        }
        let last = of_row("shop", granularity, &batch, 4).unwrap();
        assert_eq!(last.trace_id == 77, granularity == Granularity::Transaction);
        batch.txns[0].id = TxnId::Anonymous;
        assert_eq!(of_row("shop", granularity, &batch, 0), None);
    }
}

/// The chunk that the batches are read with, as its copier tells of it.
fn chunk(rows_before: u64, ends: bool) -> ChunkPart {
    let (epoch, lane, number, rows, bytes, system) = (3, 2, 7, 5, 900, "mariadb");
    let (began, read) = (8_000_000_000, 8_500_000_000);
    ChunkPart { epoch, lane, number, rows, bytes, began, read, rows_before, ends, system }
}

fn copied(seq: u64, rows: u32, part: ChunkPart) -> Batch {
    let mut batch = batch(seq, &[(1, 0, rows, true)]);
    (batch.txns[0].id, batch.chunk) = (TxnId::Anonymous, Some(part));
    batch.rows.iter_mut().for_each(|row| row.op = Op::Read);
    batch.counts[0] = std::array::from_fn(|op| if op == Op::Read as usize { batch.rows.len() as u32 } else { 0 });
    batch
}

#[test]
fn a_chunk_that_is_copied_is_one_trace_however_many_batches_it_has() {
    for granularity in [Granularity::Transaction, Granularity::Change] {
        let mut desk = Desk::new(1.0, granularity);
        let batches = [copied(0, 3, chunk(0, false)), copied(1, 2, chunk(3, true))];
        batches.iter().for_each(|batch| desk.hand_in(batch));
        desk.deliver(&batches[1]);
        assert!(desk.kept().is_empty(), "it is not complete");
        desk.deliver(&batches[0]);
        let kept = desk.kept();
        let spans = maker(granularity).spans(&kept[0]);
        let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
        let expected = ["copy s.t", "Input", "Fence", "Filter", "Scheduler", "Filter", "Scheduler", "Output", "Output"];
        assert_eq!((kept.len(), names), (1, expected.to_vec()));
        let id = trace_id("shop", "s.t#3-2-7");
        assert!(spans.iter().all(|span| span.trace_id == id.0) && spans[0].id == id.span("Transaction", 0, 1));
        let ids: std::collections::HashSet<u64> = spans.iter().map(|span| span.id.0).collect();
        assert_eq!(ids.len(), spans.len());
        let took = |span: &Span| span.end - span.start;
        assert_eq!((took(&spans[1]), took(&spans[2])), (500_000_000, 600_000_000), "read, and waited for the fence");
        let row = of_row("shop", granularity, &batches[1], 1).unwrap();
        assert_eq!((row.trace_id, row.span_id), (id.0, spans[0].id.0));
    }
}

#[test]
fn a_definition_that_changes_is_a_trace_with_its_kind_and_its_table() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let definition = |seq: u64, table: &str| {
        let txn = TxnId::Domain { domain: 0, server: 1, seq };
        Definition { txn, ..Definition::anonymous(DdlKind::CreateTable, "s", table) }
    };
    let mut batch = batch(0, &[(9, 0, 1, true)]);
    batch.control.ddl = vec![definition(8, "a"), definition(9, "b"), definition(10, "c"), definition(10, "d")];
    batch.control.ddl.push(Definition::anonymous(DdlKind::Other, "s", "nobody"));
    desk.hand_in(&batch);
    desk.deliver(&batch);
    let kept = desk.kept();
    let names = |kept: &KeptTrace| -> Vec<String> {
        maker(Granularity::Transaction).spans(kept).into_iter().map(|span| span.name).collect()
    };
    assert_eq!(numbers(&kept), [("0-1-8", 0), ("0-1-10", 0), ("0-1-9", 1)]);
    assert_eq!(names(&kept[0]), ["CREATE TABLE s.a", "Definition"]);
    assert_eq!(names(&kept[1]), ["process", "Definition", "Definition"]);
    assert_eq!(names(&kept[2])[..2], ["process s.t", "Definition"], "it came with rows: of their trace");
    let root = &maker(Granularity::Transaction).spans(&kept[0])[0];
    assert_eq!(root.trace_id, trace_id("shop", "0-1-8").0);
    let ago = |nanos: i64| NOW.wall_micros * 1000 - nanos;
    assert_eq!(
        (root.start, root.end),
        (ago(1_000_000_000), ago(500_000_000)),
        "from the commit to the acknowledgement"
    );
}

#[test]
fn a_definition_is_told_of_once_everything_before_it_is_delivered() {
    let mut desk = Desk::new(1.0, Granularity::Transaction);
    let rows = [batch(0, &[(7, 0, 1, true)]), batch(3, &[(9, 0, 1, true)])];
    rows.iter().for_each(|batch| desk.hand_in(batch));
    let defines = |seq: u64, txn: u64| {
        let mut batch = batch(seq, &[]);
        let txn = TxnId::Domain { domain: 0, server: 1, seq: txn };
        batch.control.ddl = vec![Definition { txn, ..Definition::anonymous(DdlKind::CreateTable, "s", "a") }];
        batch
    };
    // They have no rows, so nobody hands them in.
    desk.deliver(&defines(2, 8));
    desk.deliver(&defines(1, 6));
    assert!(desk.kept().is_empty(), "what is before them is with the sink");
    let mut first = batch(0, &[(7, 0, 1, true)]);
    first.times.acked += 300_000_000;
    desk.deliver(&first);
    let kept = desk.kept();
    assert_eq!(numbers(&kept), [("0-1-6", 0), ("0-1-8", 0), ("0-1-7", 1)]);
    let root = &maker(Granularity::Transaction).spans(&kept[0])[0];
    assert_eq!(root.end, NOW.wall_micros * 1000 - 200_000_000, "that is when it was over");
    desk.deliver(&defines(4, 10));
    desk.tracer.failed(FaultCode::SinkUnreachable, NOW);
    desk.tracer.started();
    desk.deliver(&batch(0, &[]));
    assert!(desk.kept().is_empty(), "it comes again with what is before it");
}

#[test]
fn what_failed_is_forgotten_once_it_came_and_errors_are_told_of_on_and_on() {
    let mut desk = Desk::new(0.0, Granularity::Transaction);
    desk.hand_in(&batch(0, &[(0, 0, 1, true)]));
    desk.deliver(&batch(0, &[(0, 0, 1, true)]));
    let failing = |desk: &mut Desk, number: u64, now: Moment| -> Vec<Why> {
        let txns: Vec<_> = (0..2500).map(|txn| (number * 10_000 + txn, 0, 1, true)).collect();
        let batch = batch(0, &txns);
        desk.hand_in(&batch);
        desk.tracer.failed(FaultCode::SinkUnreachable, now);
        desk.tracer.started();
        desk.hand_in(&batch);
        desk.kept();
        desk.tracer.durable(&Outline::of(&batch), &[], |_| 9_000_000_000, now);
        let kept = desk.kept();
        assert!(kept.iter().all(|kept| kept.tries.len() == 1));
        kept.iter().map(|kept| kept.why).collect()
    };
    for number in 1..6 {
        let now = Moment { nanos: NOW.nanos + number * 1_000_000_000, ..NOW };
        assert_eq!(failing(&mut desk, number, now), [Why::Error; 100], "outage {number}");
    }
}

#[test]
fn each_transaction_of_a_batch_has_its_own_reasons() {
    let mut desk = Desk::new(0.0, Granularity::Transaction);
    let txns = |seq: u64| batch(seq, &[1, 2, 3, 4, 5].map(|txn| (seq * 10 + txn, 0, 2, true)));
    desk.hand_in(&txns(0));
    desk.deliver(&txns(0));
    assert_eq!(desk.kept().iter().map(|kept| kept.why).collect::<Vec<_>>(), [Why::First]);
    let mut batch = txns(1);
    batch.contexts = vec![(2, TraceContext { trace_id: 7, span_id: 7, is_sampled: true })];
    assert!(desk.tracer.watches().renew(11_000 * 8, NOW.nanos) && desk.tracer.watches().renew(14_001 * 8, NOW.nanos));
    let kept = [(9, Fate::Parked(Some(FaultCode::SinkUnreachable))), (0, Fate::Parked(None))];
    desk.tracer.handed_in(&Outline::of(&batch), &kept);
    desk.deliver(&batch);
    let whys: Vec<(String, Why)> = desk.kept().into_iter().map(|kept| (kept.txn, kept.why)).collect();
    let expected = [("0-1-11", Why::Error), ("0-1-13", Why::Asked), ("0-1-14", Why::Watched), ("0-1-15", Why::Error)];
    assert_eq!(whys, expected.map(|(txn, why)| (txn.to_owned(), why)));
}

#[test]
fn what_was_decoded_while_its_key_was_watched_is_kept_when_the_watch_is_over() {
    let mut desk = Desk::new(0.0, Granularity::Transaction);
    desk.hand_in(&batch(0, &[(0, 0, 1, true)]));
    desk.deliver(&batch(0, &[(0, 0, 1, true)]));
    desk.kept();
    assert!(desk.tracer.watches().renew(1000 * 8, 0));
    let late = Moment { nanos: 9 * LEASE_NANOS, ..NOW };
    let mut whys = [LEASE_NANOS - 1, LEASE_NANOS].into_iter().map(|decoded| {
        let mut batch = batch(1, &[(1, 0, 1, true)]);
        batch.times.decoded = decoded;
        desk.hand_in(&batch);
        desk.tracer.durable(&Outline::of(&batch), &[], |_| 9_000_000_000, late);
        desk.kept().first().map(|kept| kept.why)
    });
    assert_eq!((whys.next(), whys.next()), (Some(Some(Why::Watched)), Some(None)), "its records say so");
}

#[test]
fn a_transaction_is_found_by_the_trace_that_an_application_named_in_it() {
    let mut desk = Desk::new(0.0, Granularity::Transaction);
    let context = |trace_id| TraceContext { trace_id, span_id: 7, is_sampled: false };
    let mut first = batch(0, &[(1, 0, 1, true), (2, 0, 1, true)]);
    first.contexts = vec![(0, context(70)), (1, context(70)), (1, context(71))];
    desk.hand_in(&first);
    let numbers = |desk: &Desk, trace: u128| -> Vec<TxnId> {
        desk.tracer.named_by(trace).into_iter().map(|txn| txn.id).collect()
    };
    let txn = |seq| TxnId::Domain { domain: 0, server: 1, seq };
    assert_eq!((numbers(&desk, 70), numbers(&desk, 71)), (vec![txn(1), txn(2)], vec![txn(2)]));
    for seq in 1..20_000 {
        let mut later = batch(seq, &[(seq + 2, 0, 1, true)]);
        later.contexts = vec![(0, context(72))];
        desk.tracer.handed_in(&Outline::of(&later), &[]);
    }
    assert!(numbers(&desk, 70).is_empty(), "bounded");
    let found = numbers(&desk, 72);
    assert_eq!((found.len(), found.last()), (256, Some(&txn(20_001))), "the newest");
    for seq in 20_000..60_000 {
        let mut piece = batch(seq, &[(30_000, seq - 20_000, 1, false)]);
        piece.contexts = vec![(0, context(80)), (0, context(81))];
        desk.tracer.handed_in(&Outline::of(&piece), &[]);
    }
    assert_eq!((numbers(&desk, 80), numbers(&desk, 81)), (vec![txn(30_000)], vec![txn(30_000)]));
    assert_eq!(numbers(&desk, 72).len(), 256, "a large transaction takes no more room than a small one");
    let tagged = |tag: &str| {
        let mut batch = batch(0, &[(0, 0, 1, true)]);
        batch.txns[0].id = TxnId::Uuid { sid: [7; 16], gno: 5, tag: 1 };
        (batch.tags, batch.contexts) = (vec![tag.into()], vec![(0, context(90))]);
        batch
    };
    ["blue", "red", "red"].iter().for_each(|tag| desk.hand_in(&tagged(tag)));
    let tags: Vec<String> = desk.tracer.named_by(90).iter().map(|txn| txn.tag.to_string()).collect();
    assert_eq!(tags, ["blue", "red"], "one number and two tags are two transactions");
}
