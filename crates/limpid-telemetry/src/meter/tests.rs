//! What the numbers must not do: appear too early, count twice, flatter, grow without bound.

use limpid_model::{
    CommitTime, DdlKind, Definition, EventHeader, NONE, Op, RowHeader, RowMark, StageTimes, TableName, TableSchema,
    TxnHeader, TxnId,
};

use super::*;
use crate::exposition::Format;
use crate::registry::Build;

pub(super) const SECOND: u64 = 1_000_000_000;
/// The wall clock when the monotonic one shows 0.
pub(super) const WALL: i64 = 1_700_000_000_000_000;

pub(super) fn at(nanos: u64) -> Moment {
    Moment { nanos, wall_micros: WALL + (nanos / 1000) as i64 }
}

pub(super) struct Desk {
    pub(super) registry: Arc<Registry>,
    pub(super) meter: PipelineMeter,
}

impl Desk {
    pub(super) fn new(tables_max: usize) -> Self {
        let registry = Arc::new(Registry::new(Build { version: "1.2.3", commit: "abc" }));
        let options = MeterOptions { tables_max, ..MeterOptions::default() };
        let meter = PipelineMeter::new(&registry, &PipelineName::parse("shop").unwrap(), options);
        Self { registry, meter }
    }

    pub(super) fn page(&self, now: Moment) -> String {
        self.registry.render(Format::Text, now)
    }

    /// The value of a sample, its name and labels exactly as they stand.
    pub(super) fn value(&self, sample: &str, now: Moment) -> Option<f64> {
        let page = self.page(now);
        let mut found = page.lines().filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        found.next().map(|value| value.parse().unwrap())
    }

    pub(super) fn deliver(&self, batch: &Batch, tables: &[u16], now: Moment) {
        let to = |table: &u16| DeliveredTo {
            table: *table,
            place: Some("shop.s.t"),
            partition: 2,
            offsets: (5, 9),
            records: 3,
            last_bytes: Some(321),
        };
        self.meter.durable(batch, 1000, &tables.iter().map(to).collect::<Vec<_>>(), now);
    }
}

pub(super) fn table(name: &str, version: u32) -> Arc<TableSchema> {
    let name = TableName::new("s", name);
    let key_seed = limpid_model::key_seed(&name);
    Arc::new(TableSchema { name, version, columns: Vec::new(), key: [].into(), key_seed })
}

/// An event of so many rows, somewhere in a log.
pub(crate) fn event_of(txn: u32, table: u16, rows: u32) -> EventHeader {
    let (at, seconds, server, offset, len, block, log, kind, flags) = (0, 0, 1, 0, 0, 0, 0, 0, 0);
    EventHeader { at, seconds, server, offset, len, txn, rows, block, table, log, kind, flags }
}

/// A batch with one transaction a commit time, each of `rows` inserts into each of the tables.
pub(super) fn batch(seq: u64, tables: &[Arc<TableSchema>], commits: &[i64], rows: u32) -> Batch {
    let mut batch = Batch { seq, tables: tables.to_vec(), ..Batch::default() };
    batch.counts = vec![[0; Op::COUNT]; tables.len()];
    for (txn, micros) in commits.iter().enumerate() {
        let commit = CommitTime { micros: *micros, uncertainty_micros: 0 };
        batch.txns.push(TxnHeader { id: TxnId::Anonymous, commit, thread: 0, rows_before: 0, ends: true });
        for table in 0..tables.len() {
            batch.counts[table][Op::Insert as usize] += rows;
            let (event, txn) = (batch.events.len() as u32, txn as u32);
            batch.events.push(event_of(txn, table as u16, rows));
            batch.marks.extend((0..rows).map(|row| RowMark::new(u64::from(row) << 3, Op::Insert)));
            batch.rows.extend((0..rows).map(|row_in_event| RowHeader {
                event,
                row_in_event,
                txn,
                before: NONE,
                after: NONE,
                table: table as u16,
                op: Op::Insert,
            }));
        }
    }
    batch.times = StageTimes {
        read: 10 * SECOND,
        queued: 10 * SECOND + SECOND / 4,
        decoded: 10 * SECOND + SECOND / 2,
        transformed: 10 * SECOND + SECOND / 2,
        encoded: 11 * SECOND,
        sent: 13 * SECOND,
        acked: 14 * SECOND,
        saved: 0,
    };
    batch
}

#[test]
fn counters_stand_at_0_from_the_start_and_gauges_are_absent_until_measured() {
    let desk = Desk::new(200);
    let page = desk.page(at(SECOND));
    for metric in names_of::ALL {
        let there = page.contains(&format!("# TYPE {} ", metric.name));
        let expected = matches!(metric.presence(), names_of::Presence::Start | names_of::Presence::Always);
        assert_eq!(there, expected, "{}", metric.name);
    }
    assert_eq!(desk.value("gravity_input_latency_count{pipeline=\"shop\"}", at(0)), Some(0.0));
    assert_eq!(desk.value("limpid_build_info{version=\"1.2.3\",commit=\"abc\"}", at(0)), Some(1.0));
}

#[test]
fn what_came_in_is_counted_by_table_kind_and_operation() {
    let desk = Desk::new(200);
    let mut batch = batch(0, &[table("t", 1)], &[WALL], 3);
    batch.counts[0][Op::Delete as usize] = 2;
    batch.control.commits = 4;
    batch.control.log_bytes = 500;
    batch.control.unknown_events = 1;
    batch.control.ddl.push(Definition::anonymous(DdlKind::AlterTable, "s", "t"));
    desk.meter.read(&mut batch, 10 * SECOND);
    desk.meter.blocked(12 * SECOND);
    desk.meter.made(&batch, &[]);
    for (labels, count) in [
        ("db=\"s\",table=\"t\",type=\"dml\",subtype=\"insert\"", Some(3.0)),
        ("db=\"s\",table=\"t\",type=\"dml\",subtype=\"delete\"", Some(2.0)),
        ("db=\"s\",table=\"t\",type=\"dml\",subtype=\"update\"", None),
        ("db=\"s\",table=\"t\",type=\"ddl\",subtype=\"alter-table\"", Some(1.0)),
        ("db=\"\",table=\"\",type=\"ctl\",subtype=\"\"", Some(4.0)),
    ] {
        let sample = format!("gravity_input_counter{{pipeline=\"shop\",{labels}}}");
        assert_eq!(desk.value(&sample, at(0)), count, "{sample}");
    }
    for (name, value) in [
        ("limpid_input_bytes_total", 500.0),
        ("limpid_unknown_events_total", 1.0),
        ("limpid_input_blocked_seconds_total", 2.0),
        ("gravity_input_emitter_counter", 3.0),
        ("gravity_emitter_scheduler_counter", 3.0),
    ] {
        assert_eq!(desk.value(&format!("{name}{{pipeline=\"shop\"}}"), at(0)), Some(value), "{name}");
    }
}

#[test]
fn marks_go_round_from_a_batch_to_the_ring_and_to_another_batch() {
    let registry = Arc::new(Registry::new(Build { version: "1.2.3", commit: "abc" }));
    let options = MeterOptions { ring_bytes: 2000, ..MeterOptions::default() };
    let meter = PipelineMeter::new(&registry, &PipelineName::parse("shop").unwrap(), options);
    let read = |seq: u64| {
        let mut raw = Batch { seq, events: vec![event_of(0, 0, 100)], ..Batch::default() };
        meter.read(&mut raw, 10 * SECOND);
        raw.marks
    };
    let mut first = batch(0, &[table("t", 1)], &[WALL], 100);
    let marks = first.marks.as_ptr();
    meter.handed_in(&mut first, at(13 * SECOND));
    assert_eq!((first.marks.capacity(), read(1).capacity()), (0, 0), "the ring has them");
    let to = DeliveredTo { table: 0, place: None, partition: -1, offsets: (-1, -1), records: 100, last_bytes: None };
    meter.durable(&first, 1000, &[to], at(14 * SECOND));
    meter.settle();
    // The ring has room for one of them.
    meter.handed_in(&mut batch(1, &first.tables, &[WALL], 100), at(13 * SECOND));
    meter.settle();
    let room = read(2);
    assert_eq!((room.as_ptr(), room.len(), room.capacity()), (marks, 0, 100));
    let mut marked = batch(3, &first.tables, &[WALL], 100);
    let own = marked.marks.as_ptr();
    meter.read(&mut marked, 10 * SECOND);
    assert_eq!((marked.marks.as_ptr(), marked.marks.len()), (own, 100), "what is there stays");
}

#[test]
fn what_was_rejected_is_counted_by_rule_and_nowhere_as_delivered() {
    let desk = Desk::new(200);
    desk.meter.rules(["drop".into(), "unused".into(), "reject-3".into()].into());
    let mut batch = batch(0, &[table("t", 1), table("u", 2)], &[WALL], 3);
    for (row, rule) in [(0, 0), (2, 2), (3, 2)] {
        batch.reject(row, rule);
    }
    desk.meter.made(&batch, &[2]);
    desk.deliver(&batch, &[0, 1], at(14 * SECOND));
    let totals = desk.meter.totals(at(14 * SECOND));
    assert_eq!((totals.rows_read, totals.rows_filtered, totals.rows_delivered), (6, 3, 3));
    for (name, value) in [
        ("limpid_filtered_total{pipeline=\"shop\",rule=\"drop\"}", Some(1.0)),
        ("limpid_filtered_total{pipeline=\"shop\",rule=\"unused\"}", None),
        ("limpid_filtered_total{pipeline=\"shop\",rule=\"reject-3\"}", Some(3.0)),
        ("gravity_input_emitter_counter{pipeline=\"shop\"}", Some(6.0)),
        ("gravity_emitter_scheduler_counter{pipeline=\"shop\"}", Some(3.0)),
        ("gravity_event_time_latency_count{pipeline=\"shop\"}", Some(3.0)),
        ("gravity_data_lag_seconds_count{pipeline=\"shop\",schema=\"s\",table=\"t\"}", Some(1.0)),
        ("gravity_data_lag_seconds_count{pipeline=\"shop\",schema=\"s\",table=\"u\"}", Some(2.0)),
    ] {
        assert_eq!(desk.value(name, at(0)), value, "{name}");
    }
}

#[test]
fn the_latencies_lie_end_to_end_and_count_changes() {
    let desk = Desk::new(200);
    let batch = batch(0, &[table("t", 1)], &[WALL, WALL], 2);
    desk.meter.made(&batch, &[]);
    desk.deliver(&batch, &[0], at(14 * SECOND + SECOND / 8));
    let sum = |name: &str| desk.value(&format!("{name}_sum{{pipeline=\"shop\"}}"), at(0)).unwrap();
    let parts = ["input_latency", "emitter_latency", "scheduler_submit_latency", "output_latency"];
    let parts: Vec<f64> = parts.iter().map(|part| sum(&format!("gravity_{part}"))).collect();
    assert_eq!(parts, [2.0, 2.0, 8.0, 4.0]);
    assert_eq!(parts.iter().sum::<f64>(), sum("gravity_process_time_latency"));
    assert_eq!(sum("gravity_scheduler_total_latency"), 12.0);
    assert_eq!(sum("gravity_scheduler_ack_latency"), 0.5);
    for name in ["gravity_input_latency", "gravity_event_time_latency", "gravity_process_time_latency"] {
        assert_eq!(desk.value(&format!("{name}_count{{pipeline=\"shop\"}}"), at(0)), Some(4.0), "{name}");
    }
}

#[test]
fn a_commit_time_is_believed_neither_above_our_receipt_nor_below_an_earlier_commit() {
    let desk = Desk::new(200);
    // Durable 14 s after WALL, read at 10 s. One commit at 8 s, one that claims 6 s, one that claims next year.
    let batch = batch(0, &[table("t", 1)], &[WALL + 8_000_000, WALL + 6_000_000, WALL + 31_536_000_000_000], 1);
    desk.deliver(&batch, &[0], at(14 * SECOND));
    let sum = |name: &str| desk.value(name, at(0)).unwrap();
    assert_eq!(sum("gravity_event_time_latency_sum{pipeline=\"shop\"}"), 6.0 + 6.0 + 4.0);
    assert_eq!(sum("gravity_data_lag_seconds_sum{pipeline=\"shop\",schema=\"s\",table=\"t\"}"), 16.0);
    let fresh = desk.meter.totals(at(20 * SECOND)).freshness_seconds;
    assert_eq!(fresh, Some(14.0), "a time that cannot be proves nothing");
    let disbelieved = |why: &str| format!("limpid_disbelieved_commits_total{{pipeline=\"shop\",why=\"{why}\"}}");
    assert_eq!((sum(&disbelieved("ahead")), sum(&disbelieved("behind"))), (1.0, 1.0));
}

#[test]
fn what_went_out_is_counted_by_place_and_a_halted_table_is_not() {
    let desk = Desk::new(200);
    let batch = batch(0, &[table("t", 1), table("halted", 1)], &[WALL + 9_000_000], 5);
    desk.deliver(&batch, &[0], at(14 * SECOND));
    let value = |sample: &str| desk.value(sample, at(15 * SECOND));
    assert_eq!(
        value("gravity_output_counter{pipeline=\"shop\",cat0=\"shop.s.t\",cat1=\"2\",cat2=\"\",cat3=\"\"}"),
        Some(3.0)
    );
    assert_eq!(value("gravity_output_async_kafka_binlog_msg_size{pipeline=\"shop\",topic=\"shop.s.t\"}"), Some(321.0));
    let rate = "gravity_throughput_rows_per_second{pipeline=\"shop\",schema=\"s\",table=\"t\",operation=\"insert\"}";
    assert_eq!(value(rate), Some(0.5));
    assert!(!desk.page(at(15 * SECOND)).contains("halted\""));
    assert_eq!(value("gravity_event_time_latency_count{pipeline=\"shop\"}"), Some(5.0));
    let totals = desk.meter.totals(at(15 * SECOND));
    assert_eq!((totals.rows_delivered, totals.rows_per_second), (5, 0.5));
    let found = desk.meter.ring().find(limpid_model::key_seed(&TableName::new("s", "t")), 3 << 3);
    assert_eq!(found.len(), 1, "the ring tells of delivered rows only");
}

#[test]
fn a_sink_without_topics_is_counted_by_table() {
    let desk = Desk::new(200);
    let batch = batch(0, &[table("t", 1)], &[WALL], 5);
    let to = DeliveredTo { table: 0, place: None, partition: -1, offsets: (-1, -1), records: 5, last_bytes: None };
    desk.meter.durable(&batch, 0, &[to], at(14 * SECOND));
    let sample = "gravity_output_counter{pipeline=\"shop\",cat0=\"s\",cat1=\"t\",cat2=\"dml\",cat3=\"\"}";
    assert_eq!(desk.value(sample, at(0)), Some(5.0));
    assert!(!desk.page(at(0)).contains("msg_size"));
}

#[test]
fn a_new_version_of_a_table_goes_on_counting_in_the_same_series() {
    let desk = Desk::new(200);
    for version in 1..=3 {
        let batch = batch(u64::from(version) - 1, &[table("t", version)], &[WALL], 10);
        desk.meter.made(&batch, &[]);
        desk.deliver(&batch, &[0], at(14 * SECOND));
    }
    let insert = "gravity_input_counter{pipeline=\"shop\",db=\"s\",table=\"t\",type=\"dml\",subtype=\"insert\"}";
    assert_eq!(desk.value(insert, at(0)), Some(30.0));
    let rate = "gravity_throughput_rows_per_second{pipeline=\"shop\",schema=\"s\",table=\"t\",operation=\"insert\"}";
    assert_eq!(desk.value(rate, at(15 * SECOND)), Some(3.0));
}

#[test]
fn a_table_past_the_bound_is_folded_counted_and_not_lost() {
    let desk = Desk::new(2);
    let tables: Vec<_> = (0..5).map(|table_number| table(&format!("t{table_number}"), 1)).collect();
    for seq in 0..2 {
        let batch = batch(seq, &tables, &[WALL], 1);
        desk.meter.made(&batch, &[]);
        desk.deliver(&batch, &[0, 1, 2, 3, 4], at(14 * SECOND));
    }
    let dml = |table: &str, schema: &str| {
        let labels = format!("db=\"{schema}\",table=\"{table}\",type=\"dml\",subtype=\"insert\"");
        desk.value(&format!("gravity_input_counter{{pipeline=\"shop\",{labels}}}"), at(0))
    };
    assert_eq!((dml("t0", "s"), dml("t1", "s"), dml("t2", "s")), (Some(2.0), Some(2.0), None));
    assert_eq!(dml("__other__", "__other__"), Some(6.0));
    assert_eq!(desk.value("limpid_folded_labels_total{pipeline=\"shop\",label=\"table\"}", at(0)), Some(3.0));
    let lag = "gravity_data_lag_seconds_count{pipeline=\"shop\",schema=\"__other__\",table=\"__other__\"}";
    assert_eq!(desk.value(lag, at(0)), Some(6.0));
    let rate = "gravity_throughput_rows_per_second{pipeline=\"shop\",schema=\"__other__\",table=\"__other__\",\
                operation=\"insert\"}";
    assert_eq!(desk.value(rate, at(15 * SECOND)), Some(0.6));
    let out = "gravity_output_counter{pipeline=\"shop\",cat0=\"__other__\",cat1=\"\",cat2=\"\",cat3=\"\"}";
    assert_eq!(desk.value(out, at(0)), Some(18.0));
    let rows: Vec<_> = desk.meter.tables().into_iter().map(|total| (total.table, total.rows_delivered)).collect();
    assert_eq!(rows, [("__other__".into(), 6), ("t0".into(), 2), ("t1".into(), 2)]);
}

#[test]
fn a_thousand_scratch_tables_push_no_captured_one_out() {
    let desk = Desk::new(2);
    let mut scratch = Batch::default();
    for number in 0..1000 {
        let name = format!("scratch{number}");
        scratch.control.ddl.push(Definition::anonymous(DdlKind::CreateTable, "s", &name));
    }
    desk.meter.read(&mut scratch, 0);
    desk.meter.made(&batch(0, &[table("t", 1)], &[WALL], 1), &[]);
    let insert = "gravity_input_counter{pipeline=\"shop\",db=\"s\",table=\"t\",type=\"dml\",subtype=\"insert\"}";
    assert_eq!(desk.value(insert, at(0)), Some(1.0));
}

#[test]
fn freshness_is_absent_then_the_age_of_the_last_look_that_found_us_caught_up() {
    let desk = Desk::new(200);
    let fresh = |now| desk.value("limpid_freshness_seconds{pipeline=\"shop\"}", at(now));
    desk.meter.head(look(5, Some(700), None));
    assert_eq!(fresh(6 * SECOND), None, "behind, and nothing known of how far");
    desk.meter.head(look(8, Some(0), Some(8)));
    assert_eq!(fresh(8 * SECOND + SECOND / 5), Some(0.2));
    assert_eq!(fresh(68 * SECOND), Some(60.0), "a head that is not seen any more makes it grow");
    desk.meter.head(look(69, Some(90), Some(8)));
    assert_eq!(fresh(70 * SECOND), Some(62.0), "behind: the commit came after the last look that found none");
    desk.meter.fresh(64 * SECOND);
    assert_eq!(fresh(70 * SECOND), Some(6.0), "the end of the log at a look is delivered");
    assert_eq!(desk.value("limpid_position_lag_bytes{pipeline=\"shop\"}", at(0)), Some(90.0));
    assert_eq!(desk.value("limpid_position_lag_transactions{pipeline=\"shop\"}", at(0)), Some(30.0));
}

#[test]
fn what_was_measured_to_the_head_is_withdrawn_once_the_head_is_not_seen() {
    let desk = Desk::new(200);
    let names = [
        "limpid_position_lag_bytes{pipeline=\"shop\"}",
        "limpid_position_lag_transactions{pipeline=\"shop\"}",
        "limpid_retention_runway_seconds{pipeline=\"shop\"}",
        "limpid_catchup_seconds{pipeline=\"shop\",quantile=\"0.5\"}",
        "limpid_catchup_seconds{pipeline=\"shop\",quantile=\"0.9\"}",
    ];
    let told = |now| names.map(|name| desk.value(name, at(now)));
    let known = || HeadLook {
        runway_seconds: Some(60.0),
        catchup_seconds: Some([7.0, f64::INFINITY]),
        ..look(5, Some(9), None)
    };
    desk.meter.head(known());
    let all = [9.0, 3.0, 60.0, 7.0, f64::INFINITY].map(Some);
    assert_eq!(told(6 * SECOND), all);
    assert_eq!(told(7 * SECOND), [None; 5], "no look for two seconds: it halted, or is blind");
    assert_eq!(desk.meter.totals(at(7 * SECOND)).lag_bytes, None);
    desk.meter.head(HeadLook { seen_nanos: 8 * SECOND, ..known() });
    assert_eq!(told(8 * SECOND), all);
    desk.meter.head(look(9, None, None));
    assert_eq!(told(9 * SECOND), [None; 5], "it is seen, and nobody knows");
}

/// A look at so many seconds.
fn look(asked: u64, lag_bytes: Option<u64>, fresh_upto: Option<u64>) -> HeadLook {
    let lag_transactions = lag_bytes.map(|bytes| bytes / 3);
    let fresh_upto = fresh_upto.map(|second| second * SECOND);
    HeadLook {
        lag_bytes,
        lag_transactions,
        asked: at(asked * SECOND),
        seen_nanos: asked * SECOND,
        fresh_upto,
        clock: None,
        runway_seconds: None,
        catchup_seconds: None,
    }
}

/// The source's clock is so many seconds ahead of ours.
fn ahead(seconds: i64) -> ClockLook {
    ClockLook { source_micros_at_zero: WALL + seconds * 1_000_000, uncertainty_micros: 200 }
}

#[test]
fn neither_the_sources_clock_nor_ours_is_in_what_is_measured_from_commit_times() {
    let desk = Desk::new(200);
    let sum = |name: &str| desk.value(&format!("{name}_sum{{pipeline=\"shop\",schema=\"s\",table=\"t\"}}"), at(0));
    desk.meter.head(HeadLook { clock: Some(ahead(-3600)), ..look(1, None, None) });
    // Committed at 9 s by a clock that is an hour behind; read at 10, durable at 14. Our wall clock is a day wrong.
    let day = Moment { nanos: 14 * SECOND, wall_micros: WALL + 86_400_000_000 };
    desk.deliver(&batch(0, &[table("t", 1)], &[WALL + 9_000_000 - 3_600_000_000], 2), &[0], day);
    assert_eq!(sum("gravity_data_lag_seconds"), Some(10.0));
    assert_eq!(sum("limpid_commit_to_read_seconds"), Some(2.0));
    assert_eq!(sum("limpid_read_to_durable_seconds"), Some(8.0));
    assert_eq!(desk.value("limpid_clock_offset_seconds{pipeline=\"shop\"}", at(15 * SECOND)), Some(-3600.0));
    assert_eq!(desk.value("limpid_clock_offset_uncertainty_seconds{pipeline=\"shop\"}", at(0)), Some(0.0002));
    assert_eq!(desk.value("limpid_source_time_resolution_seconds{pipeline=\"shop\"}", at(0)), Some(1e-6));
    let later = Moment { nanos: 20 * SECOND, wall_micros: 5 };
    assert_eq!(desk.meter.totals(later).freshness_seconds, Some(19.0), "told by a commit: the first look bounds it");
}

#[test]
fn a_long_statement_is_no_older_than_the_last_look_that_found_us_caught_up() {
    let desk = Desk::new(200);
    desk.meter.head(look(9, Some(0), Some(9)));
    // It began 30 s ago, and was committed after that look.
    let mut slow = batch(0, &[table("t", 1)], &[WALL - 20_000_000], 1);
    slow.txns[0].commit.uncertainty_micros = 1_000_000;
    desk.deliver(&slow, &[0], at(14 * SECOND));
    assert_eq!(desk.value("gravity_event_time_latency_sum{pipeline=\"shop\"}", at(0)), Some(5.0));
    assert_eq!(desk.value("limpid_source_time_resolution_seconds{pipeline=\"shop\"}", at(0)), Some(1.0));
}

#[test]
fn freshness_waits_for_the_earlier_batch() {
    let desk = Desk::new(200);
    let commit = |seconds: i64| [WALL + seconds * 1_000_000];
    let tables = [table("t", 1)];
    desk.deliver(&batch(0, &tables, &commit(5), 1), &[0], at(14 * SECOND));
    desk.deliver(&batch(2, &tables, &commit(9), 1), &[0], at(14 * SECOND));
    let fresh = || desk.meter.totals(at(20 * SECOND)).freshness_seconds;
    assert_eq!(fresh(), Some(15.0), "the batch between is still out");
    desk.deliver(&batch(1, &tables, &commit(7), 1), &[0], at(14 * SECOND));
    assert_eq!(fresh(), Some(11.0));
    // A new attempt numbers from 0 again; what was out before it is repeated.
    desk.meter.started(1);
    desk.deliver(&batch(0, &tables, &commit(8), 1), &[0], at(14 * SECOND));
    assert_eq!(fresh(), Some(11.0), "never back");
    desk.deliver(&batch(1, &tables, &commit(10), 1), &[0], at(14 * SECOND));
    assert_eq!(fresh(), Some(10.0));
}

#[test]
fn faults_retries_and_doubts_are_counted_by_code() {
    let desk = Desk::new(200);
    desk.meter.retry(&Fault::new(FaultCode::SinkUnreachable, Component::Output, "away"));
    desk.meter.fault(&Fault::new(FaultCode::LogChecksum, Component::Input, "broken"));
    desk.meter.doubt(FaultCode::TableSchemaMismatch);
    for (sample, value) in [
        ("gravity_error_total{pipeline=\"shop\",component=\"output\",error_type=\"SINK_UNREACHABLE\"}", Some(1.0)),
        ("gravity_error_total{pipeline=\"shop\",component=\"input\",error_type=\"LOG_CHECKSUM\"}", Some(1.0)),
        ("gravity_retry_total{pipeline=\"shop\",component=\"output\",reason=\"SINK_UNREACHABLE\"}", Some(1.0)),
        ("gravity_scheduler_retry_counter{pipeline=\"shop\"}", Some(1.0)),
        ("limpid_doubts_total{pipeline=\"shop\",code=\"TABLE_SCHEMA_MISMATCH\"}", Some(1.0)),
    ] {
        assert_eq!(desk.value(sample, at(0)), value, "{sample}");
    }
}

#[test]
fn levels_of_queues_window_and_lanes_are_told() {
    let desk = Desk::new(200);
    desk.meter.started(1);
    desk.meter.queue("decoded", "", 7);
    desk.meter.window("stream", 3, 4);
    desk.meter.submitted(0, 11);
    desk.meter.submitted(1, 12);
    desk.meter.table_halted();
    for (sample, value) in [
        ("gravity_scheduler_nr_worker{pipeline=\"shop\"}", 1.0),
        ("gravity_queue_length{pipeline=\"shop\",type=\"decoded\",subtype=\"\"}", 7.0),
        ("gravity_scheduler_sliding_window_ratio{pipeline=\"shop\",input_stream_key=\"stream\"}", 0.75),
        ("gravity_scheduler_batch_size{pipeline=\"shop\",idx=\"0\"}", 11.0),
        ("gravity_scheduler_batch_size{pipeline=\"shop\",idx=\"1\"}", 12.0),
        ("gravity_scheduler_output_counter{pipeline=\"shop\"}", 23.0),
        ("limpid_halted_tables{pipeline=\"shop\"}", 1.0),
    ] {
        assert_eq!(desk.value(sample, at(0)), Some(value), "{sample}");
    }
}

#[test]
fn no_credentials_reach_an_endpoint_label() {
    for (endpoint, told) in [
        ("127.0.0.1:3306", "127.0.0.1:3306"),
        ("mysql://ann:p@ss@db:3306", "mysql://db:3306"),
        ("ann:secret@a:1,b:2", "a:1,b:2"),
    ] {
        assert_eq!(without_credentials(endpoint), told);
    }
}

#[test]
fn two_pipelines_of_one_process_keep_apart() {
    let desk = Desk::new(200);
    let other = PipelineMeter::new(&desk.registry, &PipelineName::parse("b").unwrap(), MeterOptions::default());
    let batch = batch(0, &[table("t", 1)], &[WALL], 1);
    other.made(&batch, &[]);
    assert_eq!(desk.value("gravity_input_emitter_counter{pipeline=\"shop\"}", at(0)), Some(0.0));
    assert_eq!(desk.value("gravity_input_emitter_counter{pipeline=\"b\"}", at(0)), Some(1.0));
    assert_eq!(desk.page(at(0)).matches("# TYPE gravity_input_emitter_counter ").count(), 1);
}
