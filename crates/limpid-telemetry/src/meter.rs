//! One pipeline's numbers: called once per batch by whoever watches the engine.
//!
//! Owns: which of the engine's moments adds to which metric. Does not own: when they come (the engine), series
//! (`registry`), logs (`events`).
//!
//! Invariant: every handle that needs no label beyond the pipeline is bound at the start; labelled ones are bound once
//! per table version and found again by its address. Nothing is done per row but an addition in a plain array: the
//! ring's store of a hash and, for single-row transactions, a bucket's count.
//!
//! Latencies lie end to end, one observation a change: input (read to decoded), emitter (to encoded), scheduler
//! submit (to taken by the sink), output (to acknowledged). Their sums add up to that of the process time.

mod age;
mod bound;
mod clock;
mod deliveries;
mod filtered;
mod flow;
mod freshness;
mod head;
mod heartbeat;
mod input;
mod known;
mod names;
mod odd;
mod output;
mod quality;
mod sketch;
mod traced;
mod waiting;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use limpid_model::{Batch, Component, Fault, FaultCode, FlowCounts, PipelineName, TableName};

use crate::catalogue as names_of;
use crate::instruments::Gauge;
use crate::moment::{Moment, seconds};
use crate::registry::{Registry, Sampled, Settle};
use crate::ring::{Fate, RING_BYTES, Ring};
use bound::{Bound, Nanos};
use clock::SourceClock;
use deliveries::Deliveries;
use filtered::Filtered;
use flow::FlowSeries;
use freshness::Freshness;
use head::AtHead;
use heartbeat::Heartbeat;
use input::Input;
use known::Known;
use odd::Odd;
use output::Output;
use sketch::Sketches;

pub use clock::ClockLook;
pub use known::KnownTable;
pub use odd::OddTotal;
pub use output::DeliveredTo;
pub use sketch::{ColumnSketch, Drift, Measure, SketchOptions};

/// How much a pipeline may tell.
#[derive(Clone, Copy, Debug)]
pub struct MeterOptions {
    /// Tables with series of their own; the others stand under `__other__`.
    pub tables_max: usize,
    /// Memory for recent rows.
    pub ring_bytes: usize,
    /// A deletion has two records.
    pub tombstones: bool,
}

impl Default for MeterOptions {
    fn default() -> Self {
        Self { tables_max: 200, ring_bytes: RING_BYTES, tombstones: true }
    }
}

/// A look at the end of the source's log.
#[derive(Clone, Copy, Debug)]
pub struct HeadLook {
    /// Bytes of log from the position that was delivered *before* the look to the end, where they are known.
    pub lag_bytes: Option<u64>,
    /// Transactions between the same two, where they have numbers.
    pub lag_transactions: Option<u64>,
    /// Taken before the source was asked: what was committed since is not part of the answer.
    pub asked: Moment,
    /// When it had answered, by our monotonic clock.
    pub seen_nanos: u64,
    /// Whatever was committed before this time of our monotonic clock is at the sink, as far as looks show it.
    pub fresh_upto: Option<u64>,
    /// The source's clock, where it was asked.
    pub clock: Option<ClockLook>,
    /// For how long the source keeps the log that we need, where it is known.
    pub runway_seconds: Option<f64>,
    /// Until we follow again, at p50 and p90, where it is known.
    pub catchup_seconds: Option<[f64; 2]>,
}

/// Numbers of a pipeline as a whole, for the API and for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    pub rows_read: u64,
    pub rows_delivered: u64,
    /// Rejected by the transforms.
    pub rows_filtered: u64,
    /// Delivered, over the last 10 whole seconds.
    pub rows_per_second: f64,
    pub lag_bytes: Option<u64>,
    pub freshness_seconds: Option<f64>,
}

/// Numbers of one table, or of those beyond the bound together, which are called `__other__`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableTotals {
    pub schema: Box<str>,
    pub table: Box<str>,
    /// Since the process began.
    pub rows_delivered: u64,
}

/// One pipeline's counters. All methods may be called from any thread; each says who calls it.
pub struct PipelineMeter {
    registry: Arc<Registry>,
    pipeline: Arc<str>,
    /// When the last batch was whole in memory, for the wait that may follow.
    read_done: AtomicU64,
    blocked: Arc<Nanos>,
    freshness: Arc<Freshness>,
    clock: Arc<SourceClock>,
    at_head: AtHead,
    ring: Arc<Ring>,
    known: Arc<Known>,
    heartbeat: Heartbeat,
    /// Locked once a batch by the workers.
    input: Mutex<Input>,
    /// Locked by the workers once a batch that something was rejected of.
    filtered: Mutex<Filtered>,
    /// Locked once a saved position.
    flow: Mutex<FlowSeries>,
    /// Locked by the delivery once a batch that has odd values.
    odd: Mutex<Odd>,
    tables: Arc<names::TableNames>,
    /// Set before the first batch, where columns are measured.
    sketches: OnceLock<Sketches>,
    deliveries: Arc<Deliveries>,
}

/// Its series stay: they say all that it was told.
impl Drop for PipelineMeter {
    fn drop(&mut self) {
        self.settle();
    }
}

impl PipelineMeter {
    /// Binds what exists from the start.
    pub fn new(registry: &Arc<Registry>, pipeline: &PipelineName, options: MeterOptions) -> Self {
        let name = pipeline.as_str();
        let (ring, writer) = Ring::new(options.ring_bytes, options.tombstones);
        let (freshness, blocked) = (Arc::new(Freshness::default()), Arc::new(Nanos::default()));
        let clock = SourceClock::new(registry, name);
        registry.sampled(&names_of::FRESHNESS, &[name], Arc::clone(&freshness) as _);
        registry.sampled(&names_of::RING_REACH_SECONDS, &[name], Arc::clone(&ring) as _);
        registry.sampled(&names_of::INPUT_BLOCKED_SECONDS_TOTAL, &[name], Arc::clone(&blocked) as _);
        let known = Arc::new(Known::default());
        let tables = Arc::new(names::TableNames::new(registry, name, options.tables_max));
        let deliveries = Arc::new(Deliveries {
            bound: Bound::new(registry, name),
            freshness: Arc::clone(&freshness),
            output: Mutex::new(Output::new(
                registry,
                name,
                Arc::clone(&tables),
                writer,
                (Arc::clone(&clock), Arc::clone(&known)),
            )),
        });
        let settles: Weak<dyn Settle> = Arc::downgrade(&deliveries) as _;
        registry.settled_by(settles);
        Self {
            deliveries,
            read_done: AtomicU64::new(0),
            blocked,
            freshness,
            clock,
            at_head: AtHead::new(registry, name),
            ring,
            input: Mutex::new(Input::new(registry, name, Arc::clone(&tables), options.tables_max)),
            heartbeat: Heartbeat::new(registry, name),
            filtered: Mutex::default(),
            flow: Mutex::new(FlowSeries::new(registry, name, Arc::clone(&tables))),
            odd: Mutex::new(Odd::new(registry, name, Arc::clone(&tables))),
            tables,
            sketches: OnceLock::new(),
            known,
            registry: Arc::clone(registry),
            pipeline: name.into(),
        }
    }

    /// Which pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Where recent rows are remembered, with all that was delivered so far.
    pub fn ring(&self) -> &Arc<Ring> {
        self.settle();
        &self.ring
    }

    /// The tables that rows were handed to the sink of.
    pub fn known_tables(&self) -> Vec<KnownTable> {
        self.settle();
        self.known.all()
    }

    /// The name of a rule, by its number.
    pub fn rule(&self, number: u16) -> Option<Arc<str>> {
        self.filtered.lock().expect("never held across a panic").rule(number)
    }

    /// Rows of the batch that is handed to the sink next go no further. Called by the delivery.
    pub fn kept(&self, rows: &[(u32, Fate)]) {
        self.deliveries.output.lock().expect("never held across a panic").kept(rows);
    }

    /// A batch is handed to the sink: from now on its rows are remembered, by its marks, which are taken. Called by the delivery. As a
    /// delivered one it is told of with others.
    pub fn handed_in(&self, batch: &mut Batch, now: Moment) {
        self.deliveries.handed_in(batch, now);
    }

    /// An attempt begins, with so many lanes to the sink: batches are numbered from 0 again.
    pub fn started(&self, lanes: usize) {
        self.settle();
        self.deliveries.bound.lanes.set(lanes as f64);
        self.deliveries.output.lock().expect("never held across a panic").started();
        if self.deliveries.bound.halted_tables.get().is_none() {
            self.deliveries.bound.halted_tables.set(0.0);
        }
    }

    /// The reader has a raw batch. What stands beside rows in it is counted here, its rows once they are decoded. It gets room for
    /// their marks, where the ring has some.
    pub fn read(&self, batch: &mut Batch, nanos: u64) {
        self.read_done.store(nanos, Relaxed);
        if batch.marks.capacity() == 0 && !batch.events.is_empty() {
            batch.marks = self.ring.room();
        }
        self.deliveries.bound.input_bytes.add(batch.control.log_bytes);
        self.deliveries.bound.unknown_events.add(u64::from(batch.control.unknown_events));
        self.deliveries.bound.commits.add(u64::from(batch.control.commits));
        if !batch.control.ddl.is_empty() {
            self.input.lock().expect("never held across a panic").definitions(&batch.control);
        }
    }

    /// The reader has room for the batch it read last, and had to wait for it until now.
    pub fn blocked(&self, nanos: u64) {
        self.blocked.add(nanos.saturating_sub(self.read_done.load(Relaxed)));
    }

    /// The names of the pipeline's rules, by their numbers. Before its first batch.
    pub fn rules(&self, rules: Arc<[Arc<str>]>) {
        *self.filtered.lock().expect("never held across a panic") = Filtered::new(rules);
    }

    /// A worker has decoded, transformed and encoded a batch; `statements` are the rules that rejected one, each once a
    /// statement.
    pub fn made(&self, batch: &Batch, statements: &[u16]) {
        let (rows, passed) = (batch.rows.len() as u64, batch.rows_passed());
        let times = &batch.times;
        self.deliveries.bound.input_latency.observe(seconds(times.read, times.decoded), rows);
        self.deliveries.bound.emitter_latency.observe(seconds(times.decoded, times.encoded), passed);
        self.deliveries.bound.emitted.add(rows);
        self.deliveries.bound.passed.add(passed);
        if passed < rows || !statements.is_empty() {
            let mut filtered = self.filtered.lock().expect("never held across a panic");
            filtered.add(&self.registry, &self.pipeline, &batch.filtered, statements);
            self.deliveries.bound.filtered.add(rows - passed);
        }
        self.input.lock().expect("never held across a panic").rows(batch);
    }

    /// A lane hands a batch of so many changes to the sink.
    pub fn submitted(&self, lane: usize, changes: u64) {
        self.deliveries.bound.submitted.add(changes);
        if lane == 0 {
            self.deliveries.bound.batch_size.set(changes as f64);
        } else {
            let lane = lane.to_string();
            self.gauge(&names_of::SCHEDULER_BATCH_SIZE, &[&lane]).set(changes as f64);
        }
    }

    /// Every record of a batch is durable; `delivered` says where they went, `record_bytes` how many bytes they all
    /// have. Called by one thread at a time. It is told of with others, so that what all of them touch is touched while it is in a
    /// cache: the code too.
    pub fn durable(&self, batch: &Batch, record_bytes: usize, delivered: &[DeliveredTo<'_>], now: Moment) {
        self.deliveries.durable(batch, record_bytes, delivered, now);
    }

    /// Tells of what was handed in or delivered and not told of yet. Everybody who reads through this meter or the registry has it done; else it is for
    /// whoever wants traces sent and gauges moved in time, a few times a second.
    pub fn settle(&self) {
        self.deliveries.settle();
    }

    /// A position was saved, which took so long.
    pub fn saved(&self, took_nanos: u64) {
        self.deliveries.bound.after_commit.observe(took_nanos as f64 * 1e-9, 1);
    }

    /// The end of the source's log was looked at.
    pub fn head(&self, look: HeadLook) {
        self.at_head.looked(&look);
        if let Some(clock) = look.clock {
            self.clock.compared(clock);
        }
        self.freshness.looked(look.asked.nanos as i64);
        if let Some(upto) = look.fresh_upto {
            self.fresh(upto);
        }
    }

    /// Every commit before this time of our monotonic clock is at the sink.
    pub fn fresh(&self, upto_nanos: u64) {
        self.freshness.proved(upto_nanos as i64);
    }

    /// A peer was lost or found. Should credentials ever stand in `endpoint`, they end here.
    pub fn health(&self, component: Component, endpoint: &str, healthy: bool) {
        let endpoint = without_credentials(endpoint);
        let gauge = self.gauge(&names_of::CONNECTION_HEALTH, &[component.word(), &endpoint]);
        gauge.set(f64::from(u8::from(healthy)));
    }

    /// A fault that ended something for good.
    pub fn fault(&self, fault: &Fault) {
        let labels = [&*self.pipeline, fault.component().word(), fault.code().as_str()];
        self.registry.counter(&names_of::ERROR_TOTAL, &labels).add(1);
    }

    /// A fault after which the same is tried again.
    pub fn retry(&self, fault: &Fault) {
        self.fault(fault);
        let labels = [&*self.pipeline, fault.component().word(), fault.code().as_str()];
        self.registry.counter(&names_of::RETRY_TOTAL, &labels).add(1);
        if fault.component() == Component::Output {
            self.deliveries.bound.sink_retries.add(1);
        }
    }

    /// The pipeline's metrics were pushed somewhere.
    pub fn pushed(&self, receiver: &str, taken: bool) {
        let outcome = if taken { "taken" } else { "failed" };
        self.registry.counter(&names_of::METRIC_PUSHES_TOTAL, &[&self.pipeline, receiver, outcome]).add(1);
    }

    /// Something odd that needs no action.
    pub fn doubt(&self, code: FaultCode) {
        self.registry.counter(&names_of::DOUBTS_TOTAL, &[&self.pipeline, code.as_str()]).add(1);
    }

    /// A table's rows between two saved positions, and since the pipeline began. Called by the delivery.
    pub fn flow(&self, table: &TableName, counts: &FlowCounts, total: &FlowCounts) {
        self.flow.lock().expect("never held across a panic").add(table, counts, total);
    }

    /// A table's rows do not add up.
    pub fn flow_differs(&self) {
        let labels = [&*self.pipeline, Component::Scheduler.word(), FaultCode::FlowDifference.as_str()];
        self.registry.counter(&names_of::ERROR_TOTAL, &labels).add(1);
    }

    /// So many tables are halted now.
    pub fn halted_tables(&self, tables: usize) {
        self.deliveries.bound.halted_tables.set(tables as f64);
    }

    /// One more table is halted.
    pub fn table_halted(&self) {
        self.deliveries.bound.halted_tables.set(self.deliveries.bound.halted_tables.get().unwrap_or_default() + 1.0);
    }

    /// A chunk of a table was read: so many rows in so many seconds.
    pub fn chunk_read(&self, rows: u64, seconds: f64) {
        self.deliveries.bound.chunk_query.observe(seconds, 1);
        self.deliveries.bound.fetched.add(rows);
    }

    /// So much is kept of rows that could not be delivered.
    pub fn parked(&self, keys: u64, rows: u64, dead_letters: u64, bytes: u64) {
        self.deliveries.bound.parked_keys.set(keys as f64);
        self.deliveries.bound.parked_rows.set(rows as f64);
        self.deliveries.bound.dead_letters.set(dead_letters as f64);
        self.deliveries.bound.parked_bytes.set(bytes as f64);
    }

    /// A row could not be delivered and is kept.
    pub fn row_kept(&self, code: FaultCode) {
        self.registry.counter(&names_of::ROWS_KEPT_TOTAL, &[&self.pipeline, code.as_str()]).add(1);
    }

    /// Rows that were kept are delivered.
    pub fn rows_replayed(&self, rows: u64) {
        self.deliveries.bound.replayed.add(rows);
    }

    /// Rows that were kept are given up.
    pub fn rows_given_up(&self, rows: u64) {
        self.deliveries.bound.given_up.add(rows);
    }

    /// A chunk could not be used.
    pub fn chunk_stale(&self) {
        self.deliveries.bound.stale_chunks.add(1);
    }

    /// How far the copy of tables is, and how long it will take where that can be told.
    pub fn copying(&self, ratio: f64, remaining_seconds: Option<f64>) {
        self.deliveries.bound.snapshot_ratio.set(ratio);
        if let Some(seconds) = remaining_seconds {
            self.deliveries.bound.snapshot_remaining.set(seconds);
        }
    }

    /// The part of the time in which tables are read, and the part of their statements that others lose to it.
    pub fn copy_cost(&self, duty: f64, loss: Option<f64>) {
        self.deliveries.bound.snapshot_duty.set(duty);
        if let Some(loss) = loss {
            self.deliveries.bound.snapshot_loss.set(loss);
        }
    }

    /// Items in a bounded queue. `subtype` tells queues of one type apart; empty where there is one.
    pub fn queue(&self, kind: &str, subtype: &str, items: usize) {
        self.gauge(&names_of::QUEUE_LENGTH, &[kind, subtype]).set(items as f64);
    }

    /// Use of the window between reading and acknowledgement, in whatever it is bounded in.
    pub fn window(&self, stream: &str, used: u64, max: u64) {
        let ratio = if max == 0 { 0.0 } else { (used as f64 / max as f64).min(1.0) };
        self.gauge(&names_of::SCHEDULER_SLIDING_WINDOW_RATIO, &[stream]).set(ratio);
    }

    /// The pipeline as a whole.
    pub fn totals(&self, now: Moment) -> Totals {
        self.settle();
        Totals {
            rows_read: self.deliveries.bound.emitted.get(),
            rows_delivered: self.deliveries.bound.delivered.get(),
            rows_filtered: self.deliveries.bound.filtered.get(),
            rows_per_second: self.deliveries.bound.rate.per_second(now.nanos),
            lag_bytes: self.at_head.lag_bytes.sample(now).map(|bytes| bytes as u64),
            freshness_seconds: self.freshness.sample(now),
        }
    }

    /// Every table that rows were delivered of, by name: at most the bound on tables and one.
    pub fn tables(&self) -> Vec<TableTotals> {
        self.settle();
        self.deliveries.output.lock().expect("never held across a panic").tables()
    }

    fn gauge(&self, metric: &'static names_of::Metric, further: &[&str]) -> Arc<Gauge> {
        let mut labels = vec![&*self.pipeline];
        labels.extend(further);
        self.registry.gauge(metric, &labels)
    }
}

/// Cuts `user:password@` and everything before it out.
fn without_credentials(endpoint: &str) -> String {
    let parts = endpoint.split(',').map(|part| {
        let (scheme, rest) = part.split_once("://").map_or(("", part), |(scheme, rest)| (scheme, rest));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
pub(crate) mod tests;
