//! Handles of one pipeline that are bound at its start.
//!
//! Owns: the list. Does not own: labelled series (`input`, `output`).
//!
//! Invariant: counters and histograms here exist at 0 from the start, gauges from their first measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::catalogue::{self, Metric};
use crate::instruments::{Counter, Exemplar, Gauge, Histogram, Rate};
use crate::moment::{Moment, seconds};
use crate::registry::{Registry, Sampled};
use crate::trace::Told;
use limpid_model::StageTimes;

pub(super) struct Bound {
    pub commits: LazyCommits,
    pub input_bytes: Arc<Counter>,
    pub unknown_events: Arc<Counter>,
    pub input_latency: Arc<Histogram>,
    pub emitted: Arc<Counter>,
    pub passed: Arc<Counter>,
    pub emitter_latency: Arc<Histogram>,
    pub submit_latency: Arc<Histogram>,
    pub submitted: Arc<Counter>,
    pub sink_retries: Arc<Counter>,
    pub ack_latency: Arc<Histogram>,
    pub total_latency: Arc<Histogram>,
    pub after_commit: Arc<Histogram>,
    pub output_latency: Arc<Histogram>,
    pub event_time: Arc<Histogram>,
    pub process_time: Arc<Histogram>,
    pub lanes: Arc<Gauge>,
    pub batch_size: Arc<Gauge>,
    pub halted_tables: Arc<Gauge>,
    pub chunk_query: Arc<Histogram>,
    pub fetched: Arc<Counter>,
    pub stale_chunks: Arc<Counter>,
    pub snapshot_ratio: Arc<Gauge>,
    pub snapshot_remaining: Arc<Gauge>,
    pub snapshot_duty: Arc<Gauge>,
    pub snapshot_loss: Arc<Gauge>,
    pub parked_keys: Arc<Gauge>,
    pub parked_rows: Arc<Gauge>,
    pub parked_bytes: Arc<Gauge>,
    pub dead_letters: Arc<Gauge>,
    pub replayed: Arc<Counter>,
    pub given_up: Arc<Counter>,
    /// Not exposed: the exposition has it by table.
    pub delivered: Counter,
    /// Not exposed: the exposition has it by rule.
    pub filtered: Counter,
    pub rate: Rate,
}

impl Bound {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str) -> Self {
        let counter = |metric: &'static Metric| registry.counter(metric, &[pipeline]);
        let gauge = |metric: &'static Metric| registry.gauge(metric, &[pipeline]);
        let histogram = |metric: &'static Metric| registry.histogram(metric, &[pipeline]);
        Self {
            commits: LazyCommits::new(registry, pipeline),
            input_bytes: counter(&catalogue::INPUT_BYTES_TOTAL),
            unknown_events: counter(&catalogue::UNKNOWN_EVENTS_TOTAL),
            input_latency: histogram(&catalogue::INPUT_LATENCY),
            emitted: counter(&catalogue::INPUT_EMITTER_COUNTER),
            passed: counter(&catalogue::EMITTER_SCHEDULER_COUNTER),
            emitter_latency: histogram(&catalogue::EMITTER_LATENCY),
            submit_latency: histogram(&catalogue::SCHEDULER_SUBMIT_LATENCY),
            submitted: counter(&catalogue::SCHEDULER_OUTPUT_COUNTER),
            sink_retries: counter(&catalogue::SCHEDULER_RETRY_COUNTER),
            ack_latency: histogram(&catalogue::SCHEDULER_ACK_LATENCY),
            total_latency: histogram(&catalogue::SCHEDULER_TOTAL_LATENCY),
            after_commit: histogram(&catalogue::INPUT_AFTER_COMMIT_LATENCY),
            output_latency: histogram(&catalogue::OUTPUT_LATENCY),
            event_time: histogram(&catalogue::EVENT_TIME_LATENCY),
            process_time: histogram(&catalogue::PROCESS_TIME_LATENCY),
            lanes: gauge(&catalogue::SCHEDULER_NR_WORKER),
            batch_size: registry.gauge(&catalogue::SCHEDULER_BATCH_SIZE, &[pipeline, "0"]),
            halted_tables: gauge(&catalogue::HALTED_TABLES),
            chunk_query: histogram(&catalogue::BATCH_QUERY_DURATION),
            fetched: counter(&catalogue::JOB_FETCHED_COUNT),
            stale_chunks: counter(&catalogue::SNAPSHOT_STALE_CHUNKS_TOTAL),
            snapshot_ratio: gauge(&catalogue::SNAPSHOT_RATIO),
            snapshot_remaining: gauge(&catalogue::SNAPSHOT_REMAINING_SECONDS),
            snapshot_duty: gauge(&catalogue::SNAPSHOT_DUTY_RATIO),
            snapshot_loss: gauge(&catalogue::SNAPSHOT_SOURCE_LOSS_RATIO),
            parked_keys: gauge(&catalogue::PARKED_KEYS),
            parked_rows: gauge(&catalogue::PARKED_ROWS),
            parked_bytes: gauge(&catalogue::PARKED_BYTES),
            dead_letters: gauge(&catalogue::DEAD_LETTERS),
            replayed: counter(&catalogue::ROWS_REPLAYED_TOTAL),
            given_up: counter(&catalogue::ROWS_GIVEN_UP_TOTAL),
            delivered: Counter::default(),
            filtered: Counter::default(),
            rate: Rate::default(),
        }
    }
}

impl Bound {
    /// Puts a kept transaction of a batch that was just counted beside each of its latencies.
    pub(super) fn exemplify(&self, times: &StageTimes, told: Told, now: Moment) {
        let wall_micros = now.wall_at(times.acked);
        let put = |histogram: &Histogram, value| {
            histogram.exemplify(Exemplar { trace_id: told.trace_id, value, wall_micros });
        };
        put(&self.input_latency, seconds(times.read, times.decoded));
        put(&self.emitter_latency, seconds(times.decoded, times.encoded));
        put(&self.submit_latency, seconds(times.encoded, times.sent));
        put(&self.output_latency, seconds(times.sent, times.acked));
        put(&self.total_latency, seconds(times.encoded, times.acked));
        put(&self.process_time, seconds(times.read, times.acked));
        put(&self.event_time, told.seconds);
    }
}

/// Transaction ends, which are labelled and so appear with the first one.
pub(super) struct LazyCommits {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    counter: std::sync::OnceLock<Arc<Counter>>,
}

impl LazyCommits {
    fn new(registry: &Arc<Registry>, pipeline: &str) -> Self {
        Self { registry: Arc::clone(registry), pipeline: pipeline.into(), counter: Default::default() }
    }

    pub(super) fn add(&self, commits: u64) {
        if commits > 0 {
            let labels = [&*self.pipeline, "", "", "ctl", ""];
            let bind = || self.registry.counter(&catalogue::INPUT_COUNTER, &labels);
            self.counter.get_or_init(bind).add(commits);
        }
    }
}

/// Nanoseconds that are told as seconds.
#[derive(Debug, Default)]
pub(super) struct Nanos(AtomicU64);

impl Nanos {
    pub(super) fn add(&self, nanos: u64) {
        self.0.fetch_add(nanos, Relaxed);
    }
}

impl Sampled for Nanos {
    fn sample(&self, _now: Moment) -> Option<f64> {
        Some(self.0.load(Relaxed) as f64 * 1e-9)
    }
}
