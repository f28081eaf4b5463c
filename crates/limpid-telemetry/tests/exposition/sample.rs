//! Two pipelines that have seen everything, with labels that nobody should have.

use std::sync::Arc;

use limpid_model::{
    Batch, Cell, CellKind, Column, CommitTime, Component, DdlKind, Definition, EventHeader, Fault, FaultCode, Flow,
    FlowCounts, LogicalType, NONE, OddValues, Oddity, Op, PipelineName, RowHeader, RowMark, TableName, TableSchema,
    TxnHeader, TxnId,
};
use limpid_telemetry::{
    Build, ClockLook, DeliveredTo, Format, HeadLook, LogQueue, MeterOptions, Moment, PipelineMeter, Registry,
    SketchOptions, catalogue, trace,
};

const SECOND: u64 = 1_000_000_000;

/// A table's name as a user may really write it.
pub const ODD: &str = "a \"quoted\" \\ table\nand ü";

pub struct Desk {
    pub registry: Arc<Registry>,
    pub now: Moment,
}

impl Desk {
    pub fn page(&self, format: Format) -> String {
        self.registry.render(format, self.now)
    }
}

pub fn desk() -> Desk {
    let registry = Arc::new(Registry::new(Build { version: "0.1.0", commit: "abc1234" }));
    let now = Moment { nanos: 100 * SECOND, wall_micros: 1_700_000_000_000_000 };
    for pipeline in ["shop", "b.2"] {
        let options = MeterOptions { tables_max: 2, ..MeterOptions::default() };
        let meter = PipelineMeter::new(&registry, &PipelineName::parse(pipeline).unwrap(), options);
        use_everything(&meter, now);
        let _lines = LogQueue::new(&registry, pipeline);
        // Told by whoever knows the verdict.
        registry.gauge(&catalogue::STREAM_VERDICT, &[pipeline, "ok"]).set(1.0);
    }
    // Told by whoever knows the files.
    registry.gauge(&catalogue::DISK_BYTES, &["state"]).set(405_504.0);
    // Rates are of whole seconds that are over.
    Desk { registry, now: Moment { nanos: now.nanos + SECOND, wall_micros: now.wall_micros + 1_000_000 } }
}

fn use_everything(meter: &PipelineMeter, now: Moment) {
    let granularity = trace::Granularity::Transaction;
    let options = trace::TraceOptions { sample: 1.0, slow_nanos: SECOND, granularity };
    let _queue = meter.traces(options, Default::default());
    meter.started(1);
    let mut batch = batch(now);
    batch.control.commits = 2;
    batch.control.log_bytes = 123_456_789;
    batch.control.unknown_events = 1;
    batch.control.ddl.push(Definition::anonymous(DdlKind::CreateTable, "s", ODD));
    meter.read(&mut batch, 91 * SECOND);
    meter.blocked(92 * SECOND);
    meter.rules([ODD.into()].into());
    meter.made(&batch, &[0]);
    let mut odd = OddValues::default();
    odd.add(0, 0, Oddity::ImpossibleDate, 1);
    odd.add(0, 0, Oddity::UnmappedText, 2);
    odd.add(1, 0, Oddity::UnsignedWrap, 3);
    meter.odd(&batch, &odd);
    measure(meter);
    meter.submitted(0, 4);
    let to = |table: u16| DeliveredTo {
        table,
        place: Some(ODD),
        partition: i32::from(table),
        offsets: (1, 2),
        records: 1_234_567,
        last_bytes: Some(600),
    };
    meter.durable(&batch, 5000, &[to(0), to(1), to(2)], now);
    meter.saved(3_000_000);
    let at_zero = now.wall_micros - (now.nanos / 1000) as i64;
    meter.head(HeadLook {
        lag_bytes: Some(0),
        lag_transactions: Some(0),
        asked: Moment { nanos: now.nanos - 250_000_000, wall_micros: now.wall_micros - 250_000 },
        seen_nanos: now.nanos - 249_000_000,
        fresh_upto: Some(now.nanos - 250_000_000),
        clock: Some(ClockLook { source_micros_at_zero: at_zero + 1500, uncertainty_micros: 250 }),
        runway_seconds: Some(3600.0),
        catchup_seconds: Some([12.5, f64::INFINITY]),
    });
    meter.health(Component::Output, "127.0.0.1:9092", true);
    meter.retry(&Fault::new(FaultCode::SinkUnreachable, Component::Output, "away"));
    meter.pushed("remote-write", true);
    meter.stage(Component::Input, Some([0.25, 0.5, 0.25]));
    meter.beat_sent(1);
    meter.beat_seen(1_000);
    meter.beat_delivered(2_000, None);
    meter.doubt(FaultCode::TableSchemaMismatch);
    meter.queue("decoded", "", 3);
    meter.window("stream", 1, 3);
    meter.chunk_read(100, 0.02);
    meter.chunk_stale();
    meter.copying(0.25, Some(90.0));
    meter.copy_cost(0.125, Some(0.04));
    meter.parked(1, 3, 2, 5000);
    meter.row_kept(FaultCode::RecordTooLarge);
    meter.rows_replayed(4);
    meter.rows_given_up(1);
    let mut counts = FlowCounts::default();
    counts.add(Flow::Read, 3);
    counts.add(Flow::Delivered, 2);
    meter.flow(&TableName::new("s", "orders"), &counts, &counts);
}

/// Windows of one row each, the last of which is odd.
fn measure(meter: &PipelineMeter) {
    meter.sketch(SketchOptions { one_in: 1, window_rows: 1 });
    let column = Column { name: ODD.into(), logical: LogicalType::Text, nullable: true, tinyint1: false };
    let name = TableName::new("s", "orders");
    let schema = TableSchema { name, version: 2, columns: vec![column], key: [].into(), key_seed: 0 };
    let mut batch = Batch { tables: vec![Arc::new(schema)], counts: vec![[1, 0, 0, 0, 0]], ..Batch::default() };
    let (event, row_in_event, txn, before, after, table, op) = (0, 0, 0, NONE, 0, 0, Op::Insert);
    batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table, op });
    batch.arena.extend_from_slice(b"text");
    for cell in [[Cell::arena(CellKind::Text, 0, 4, 0); 20].as_slice(), &[Cell::NULL]].concat() {
        batch.cells = vec![cell];
        meter.look(&batch);
    }
}

fn batch(now: Moment) -> Batch {
    let mut batch = Batch::default();
    for (index, name) in ["orders", ODD, "third"].into_iter().enumerate() {
        let name = TableName::new("s", name);
        let key_seed = limpid_model::key_seed(&name);
        batch.tables.push(Arc::new(TableSchema { name, version: 1, columns: Vec::new(), key: [].into(), key_seed }));
        batch.counts.push([1, 0, 0, 0, 0]);
        // The last one claims to be of tomorrow.
        let ago = if index == 2 { -86_400_000_000 } else { 20_000_000 };
        let commit = CommitTime { micros: now.wall_micros - ago, uncertainty_micros: 0 };
        let id = TxnId::Domain { domain: 0, server: 1, seq: index as u64 };
        batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: 0, ends: true });
        batch.events.push(EventHeader {
            at: 0,
            seconds: 0,
            server: 1,
            offset: 0,
            len: 0,
            txn: index as u32,
            rows: 1,
            block: 0,
            table: index as u16,
            log: 0,
            kind: 0,
            flags: 0,
        });
        batch.marks.push(RowMark::new(42, Op::Insert));
        batch.rows.push(RowHeader {
            event: index as u32,
            row_in_event: 0,
            txn: index as u32,
            before: NONE,
            after: NONE,
            table: index as u16,
            op: Op::Insert,
        });
    }
    let times = &mut batch.times;
    (times.read, times.queued, times.decoded) = (90 * SECOND, 91 * SECOND, 92 * SECOND);
    (times.transformed, times.encoded) = (92 * SECOND, 93 * SECOND);
    (times.sent, times.acked) = (94 * SECOND, 100 * SECOND - 1000);
    batch
}
