//! Pipelines of the engine whose systems are in memory, behind a server.

use std::any::Any;
use std::cmp::Ordering;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use limpid_connector::{
    Accepted, Admission, ChangeStream, Chunk, Clock, Decode, DecodeTally, EncodedBatch, Head, HeadSeen, Next, Saved,
    Sink, SinkEvent, Source, StartPoint, Stop, StreamEvent, TableFound, TableReader, Until,
};
use limpid_engine::{CopyOptions, Handle, Misfit, OnRowError, Parts, Phase, Unobserved};
use limpid_model::{
    Batch, Cell, CellKind, Column, CommitTime, Component, Fault, FaultCode, LogicalType, NONE, Op, PipelineName,
    Position, PositionValue, RowHeader, RowMark, TableName, TableSchema, TxnHeader, TxnId, key_hash,
};
use limpid_server::{PipelineView, Server, ServerOptions, WallAndMonotonic};
use limpid_stack::TempDir;
use limpid_state::Store;
use limpid_telemetry::trace::{Granularity, NamedTxn, Positions, TraceOptions};
use limpid_telemetry::{
    Build, DeliveredTo, Level, Log, LogOptions, MeterOptions, Moment, PipelineMeter, Registry, Style, Words,
};

pub const BUILD: Build = Build { version: "0.1.0", commit: "abc1234" };

/// What becomes of a pipeline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Runs, caught up.
    Runs,
    /// Runs, and keeps traces.
    Traces,
    /// Runs, with the table `s.bad` halted by the sink.
    HaltsTable,
    /// The source refuses the password.
    Refused,
    /// The source cannot be reached.
    Away,
    /// Its thread was never started.
    Unborn,
}

/// A server over pipelines that have met their fate.
pub struct Desk {
    pub server: Server,
    pub handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    _state: TempDir,
}

impl Desk {
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Ends the pipelines, then the server, and returns how long the latter took.
    pub fn end(self) -> Duration {
        self.handles.iter().for_each(Handle::stop);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let begun = Instant::now();
        self.server.shutdown();
        begun.elapsed()
    }
}

pub fn desk(pipelines: &[(&str, Fate)]) -> Desk {
    desk_with(&ServerOptions::new("127.0.0.1:0".parse().unwrap(), BUILD), log(), pipelines)
}

/// With another server than the usual one.
pub fn desk_with(options: &ServerOptions, log: Arc<Log>, pipelines: &[(&str, Fate)]) -> Desk {
    let state = TempDir::new("server").unwrap();
    let store = Arc::new(Store::open(state.path()).unwrap());
    let registry = Arc::new(Registry::new(BUILD));
    let clock = Clock::system();
    let (mut views, mut threads, mut handles) = (Vec::new(), Vec::new(), Vec::new());
    for (name, fate) in pipelines {
        let name = PipelineName::parse(name).unwrap();
        let handle = Handle::new(Stop::new(), clock.clone());
        let meter = Arc::new(PipelineMeter::new(&registry, &name, MeterOptions::default()));
        if *fate == Fate::Traces {
            let granularity = Granularity::Transaction;
            let options = TraceOptions { sample: 0.0, slow_nanos: u64::MAX, granularity };
            meter.traces(options, Arc::default());
        }
        if *fate != Fate::Unborn {
            deliver(&meter, moment(&clock));
            let (mut parts, handle) = (parts(&name, *fate, &store, &clock), handle.clone());
            threads.push(std::thread::spawn(move || drop(limpid_engine::run(&mut parts, &handle))));
        }
        handles.push(handle.clone());
        views.push(PipelineView {
            name: name.to_string(),
            handle,
            meter,
            lag_limit: Duration::from_secs(60),
            config_hash: "7567456d94".to_owned(),
            stream_key: "mysqlstream".to_owned(),
            positions: Arc::new(Numbers),
            skips_operations: false,
        });
    }
    let server = Server::start(options, registry, views, reading(&clock), log).unwrap();
    server.pipelines_started();
    for ((_, fate), handle) in pipelines.iter().zip(&handles) {
        wait_for(|| met(*fate, handle));
    }
    Desk { server, handles, threads, _state: state }
}

/// Transactions of MariaDB's form, and positions that are one of them.
struct Numbers;

impl Positions for Numbers {
    fn transaction(&self, text: &str) -> Option<NamedTxn> {
        let numbers: Option<Vec<u64>> = text.split('-').map(|number| number.parse().ok()).collect();
        let [domain, server, seq] = numbers?[..] else { return None };
        let id = TxnId::Domain { domain: domain as u32, server: server as u32, seq };
        Some(NamedTxn { id, tag: "".into() })
    }

    fn covers(&self, position: &str, txn: &NamedTxn) -> Option<bool> {
        let at = self.transaction(position.strip_prefix("gtid:")?)?;
        match (at.id, txn.id) {
            (TxnId::Domain { seq: at, .. }, TxnId::Domain { seq, .. }) => Some(seq <= at),
            _ => None,
        }
    }
}

pub fn reading(clock: &Clock) -> WallAndMonotonic {
    let clock = clock.clone();
    Arc::new(move || moment(&clock))
}

fn moment(clock: &Clock) -> Moment {
    Moment { nanos: clock.nanos(), wall_micros: clock.wall_micros() }
}

/// What was logged.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn log(&self) -> Arc<Log> {
        let options = LogOptions { style: Style::Json, level: Level::Info, words: Words::Reduced, file: None };
        Arc::new(Log::to(Box::new(self.clone()), &options, || 0).unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log that nobody reads.
pub fn log() -> Arc<Log> {
    let options = LogOptions { style: Style::Json, level: Level::Info, words: Words::Reduced, file: None };
    Arc::new(Log::to(Box::new(std::io::sink()), &options, || 0).unwrap())
}

pub fn wait_for(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn met(fate: Fate, handle: &Handle) -> bool {
    let status = handle.status();
    match fate {
        Fate::Runs | Fate::Traces => status.head.is_some(),
        Fate::HaltsTable => status.head.is_some() && !status.halted.is_empty(),
        Fate::Refused => status.phase == Phase::Halted,
        Fate::Away => status.fault.is_some(),
        Fate::Unborn => true,
    }
}

/// Seven rows of the table `s.orders`, ids 0 to 6 of the transaction 0-1-7, counted as delivered.
fn deliver(meter: &PipelineMeter, now: Moment) {
    let name = TableName::new("s", "orders");
    let key_seed = limpid_model::key_seed(&name);
    let mut batch = Batch::default();
    let logical = LogicalType::Int { bits: 32, signed: true };
    let id = Column { name: "id".into(), logical, nullable: false, tinyint1: false };
    let schema = TableSchema { name, version: 1, columns: vec![id], key: [0].into(), key_seed };
    let commit = CommitTime { micros: now.wall_micros - 5000, uncertainty_micros: 1000 };
    let id = TxnId::Domain { domain: 0, server: 1, seq: 7 };
    batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: 0, ends: true });
    for id in 0..7 {
        batch.cells.push(Cell::int(CellKind::Int, id));
        let key_hash = key_hash(&batch, &schema, &batch.cells[id as usize..]);
        let (row_in_event, after) = (id as u32, id as u32);
        let (event, txn, table, op) = (0, 0, 0, Op::Insert);
        batch.marks.push(RowMark::new(key_hash, op));
        batch.rows.push(RowHeader { event, row_in_event, txn, before: NONE, after, table, op });
    }
    batch.tables.push(Arc::new(schema));
    batch.times.read = now.nanos.saturating_sub(4_000_000);
    batch.times.acked = now.nanos;
    let mut counts = [0; Op::COUNT];
    counts[Op::Insert as usize] = 7;
    batch.counts.push(counts);
    let to = DeliveredTo { table: 0, place: Some("t"), partition: 0, offsets: (0, 6), records: 7, last_bytes: None };
    meter.started(1);
    meter.handed_in(&mut batch, now);
    meter.durable(&batch, 700, &[to], now);
}

fn parts(name: &PipelineName, fate: Fate, store: &Arc<Store>, clock: &Clock) -> Parts {
    Parts {
        name: name.clone(),
        source: Box::new(MemorySource(fate)),
        sink: Box::new(MemorySink { fate, told: false }),
        transforms: None,
        encoders: None,
        store: Arc::clone(store),
        observer: Arc::new(Unobserved),
        clock: clock.clone(),
        workers: 1,
        start: StartPoint::Head,
        until: Until::Forever,
        copy: CopyOptions::never(),
        until_copied: false,
        selection: 1,
        misfit: Misfit::Refuse,
        on_row_error: OnRowError::HaltTable,
    }
}

/// The only place in a log that never grows.
#[derive(Debug)]
struct Place;

impl PositionValue for Place {
    fn text(&self) -> String {
        "gtid:0-1-7".to_owned()
    }
    fn compare(&self, _: &dyn PositionValue) -> Option<Ordering> {
        Some(Ordering::Equal)
    }
    fn with_rows_done(&self, _: u64) -> Position {
        Position::new(Place)
    }
    fn inside(&self) -> Option<(TxnId, u64)> {
        None
    }
    fn read_from(&self) -> Position {
        Position::new(Place)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct MemorySource(Fate);

impl Source for MemorySource {
    fn open(&mut self, _: &StartPoint, _: &Until, _: Option<Saved>) -> Result<Box<dyn ChangeStream>, Fault> {
        let refused = |code, text: &str| Err(Fault::new(code, Component::Input, text).about("user limpid"));
        match self.0 {
            Fate::Refused => refused(FaultCode::SourceAuthFailed, "the server refuses the password"),
            Fate::Away => refused(FaultCode::SourceUnreachable, "the server cannot be reached"),
            Fate::Runs | Fate::Traces | Fate::HaltsTable | Fate::Unborn => Ok(Box::new(Still)),
        }
    }

    fn foresee(&self, _: &StartPoint) -> Result<Position, Fault> {
        unreachable!("nobody plans here")
    }

    fn tables(&self) -> Result<Vec<TableFound>, Fault> {
        unreachable!("nobody plans here")
    }

    fn head(&self) -> Result<Box<dyn Head>, Fault> {
        Ok(Box::new(Still))
    }

    fn table_reader(&self) -> Result<Box<dyn TableReader>, Fault> {
        Err(Fault::new(FaultCode::SourceUnreachable, Component::Input, "it has no tables"))
    }

    fn endpoint(&self) -> String {
        "10.0.0.7:3306".to_owned()
    }
}

/// A log in which nothing happens.
struct Still;

impl ChangeStream for Still {
    fn next(&mut self, _: &mut Batch, wait: Duration) -> Result<Next, Fault> {
        std::thread::sleep(wait);
        Ok(Next::Idle)
    }
    fn decoder(&self) -> Arc<dyn Decode> {
        Arc::new(Still)
    }
    fn take_events(&mut self) -> Vec<StreamEvent> {
        Vec::new()
    }
    fn halt_table(&mut self, _: &TableName) {}
    fn captures(&self, _: &TableName) -> bool {
        true
    }
    fn connector(&self) -> &'static str {
        "memory"
    }
    fn opened_at(&self) -> Position {
        Position::new(Place)
    }
    fn admit(&mut self, _: &mut Chunk) -> Admission {
        Admission::Stale("nothing is copied here")
    }
    fn hold_at(&mut self, _: Option<Position>) {}
}

impl Decode for Still {
    fn decode(&self, _: &mut Batch, _: &mut DecodeTally) -> Result<(), Fault> {
        Ok(())
    }
}

impl Head for Still {
    fn look(&mut self, _: &Position, _: &Clock) -> Result<HeadSeen, Fault> {
        Ok(HeadSeen { position: Position::new(Place), lag_bytes: Some(0), lag_transactions: None, clock: None })
    }
}

struct MemorySink {
    fate: Fate,
    told: bool,
}

impl Sink for MemorySink {
    fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }
    fn write(&mut self, _: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        Ok(Accepted::Taken)
    }
    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.fate == Fate::HaltsTable && !std::mem::replace(&mut self.told, true) {
            let fault = Fault::new(FaultCode::RecordTooLarge, Component::Output, "a record is too large");
            events.push(SinkEvent::TableFault { table: TableName::new("s", "bad"), fault });
        }
        std::thread::sleep(wait);
        Ok(())
    }
    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn save_record(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    fn held_bytes(&self) -> (u64, u64) {
        (0, 1)
    }
    fn endpoint(&self) -> String {
        "10.0.0.8:9092".to_owned()
    }
}
