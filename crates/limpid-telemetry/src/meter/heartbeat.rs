//! Heartbeats through the source's log, and what stages do with their time.
//!
//! Owns: the histograms and the lag of heartbeats, the ratios of stages. Does not own: when a heartbeat is written and found, who
//! waits for whom (the engine).
//!
//! Invariant: the lag is never below the age of the oldest heartbeat that is not delivered, so that a way that stands still
//! is seen to grow old; without heartbeats there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use limpid_model::Component;

use super::PipelineMeter;
use crate::catalogue::{
    HEARTBEAT_DELIVERY, HEARTBEAT_FAILURES_TOTAL, HEARTBEAT_LAG, INPUT_PROBE_LATENCY, STAGE_TIME_RATIO,
};
use crate::instruments::{Counter, Histogram};
use crate::moment::Moment;
use crate::registry::{Registry, Sampled};

pub(super) struct Heartbeat {
    seen: Arc<Histogram>,
    delivered: Arc<Histogram>,
    failures: Arc<Counter>,
    lag: Arc<Lag>,
}

impl Heartbeat {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str) -> Self {
        let lag = Arc::new(Lag::default());
        registry.sampled(&HEARTBEAT_LAG, &[pipeline], Arc::clone(&lag) as _);
        Self {
            seen: registry.histogram(&INPUT_PROBE_LATENCY, &[pipeline]),
            delivered: registry.histogram(&HEARTBEAT_DELIVERY, &[pipeline]),
            failures: registry.counter(&HEARTBEAT_FAILURES_TOTAL, &[pipeline]),
            lag,
        }
    }

    pub(super) fn sent(&self, oldest_nanos: u64) {
        self.lag.oldest.store(oldest_nanos, Relaxed);
    }

    pub(super) fn seen(&self, took_nanos: u64) {
        self.seen.observe(took_nanos as f64 * 1e-9, 1);
    }

    pub(super) fn delivered(&self, took_nanos: u64, oldest_nanos: Option<u64>) {
        self.delivered.observe(took_nanos as f64 * 1e-9, 1);
        self.lag.last.store(took_nanos, Relaxed);
        self.lag.oldest.store(oldest_nanos.unwrap_or(0), Relaxed);
    }

    /// While none can be written, only those that wait say anything.
    pub(super) fn failed(&self, oldest_nanos: Option<u64>) {
        self.failures.add(1);
        self.lag.last.store(0, Relaxed);
        self.lag.oldest.store(oldest_nanos.unwrap_or(0), Relaxed);
    }

    pub(super) fn paused(&self) {
        self.lag.last.store(0, Relaxed);
        self.lag.oldest.store(0, Relaxed);
    }
}

impl PipelineMeter {
    /// What a stage did with the last ten seconds: busy, blocked, idle; `None` while it does nothing.
    pub fn stage(&self, component: Component, ratios: Option<[f64; 3]>) {
        for (number, state) in ["busy", "blocked", "idle"].into_iter().enumerate() {
            let gauge = self.gauge(&STAGE_TIME_RATIO, &[component.word(), state]);
            ratios.map_or_else(|| gauge.withdraw(), |ratios| gauge.set(ratios[number]));
        }
    }

    /// A heartbeat is about to be written; the oldest that is not delivered was written then.
    pub fn beat_sent(&self, oldest_nanos: u64) {
        self.heartbeat.sent(oldest_nanos);
    }

    /// A heartbeat came through the log.
    pub fn beat_seen(&self, took_nanos: u64) {
        self.heartbeat.seen(took_nanos);
    }

    /// Everything up to a heartbeat is durable at the sink; the oldest that is left was written then.
    pub fn beat_delivered(&self, took_nanos: u64, oldest_nanos: Option<u64>) {
        self.heartbeat.delivered(took_nanos, oldest_nanos);
    }

    /// A heartbeat could not be written; the oldest that is not delivered was written then.
    pub(crate) fn beat_failed(&self, oldest_nanos: Option<u64>) {
        self.heartbeat.failed(oldest_nanos);
    }

    /// None is written for now, and none is under way.
    pub fn beats_paused(&self) {
        self.heartbeat.paused();
    }
}

/// Zero stands for none.
#[derive(Debug, Default)]
struct Lag {
    /// How long the last one took.
    last: AtomicU64,
    /// When the oldest that is not delivered was written.
    oldest: AtomicU64,
}

impl Sampled for Lag {
    fn sample(&self, now: Moment) -> Option<f64> {
        let waits = match self.oldest.load(Relaxed) {
            0 => 0,
            oldest => now.nanos.saturating_sub(oldest),
        };
        let lag = self.last.load(Relaxed).max(waits);
        (lag > 0).then_some(lag as f64 * 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_that_of_the_last_one_or_the_age_of_the_one_that_is_missing() {
        let lag = Lag::default();
        let told = |nanos| lag.sample(Moment { nanos, wall_micros: 0 });
        assert_eq!(told(5), None);
        lag.oldest.store(1_000_000_000, Relaxed);
        assert_eq!(told(3_000_000_000), Some(2.0), "one waits");
        lag.last.store(500_000_000, Relaxed);
        assert_eq!(told(1_100_000_000), Some(0.5), "the next one is young");
        assert_eq!(told(4_000_000_000), Some(3.0), "and then is late");
        lag.oldest.store(0, Relaxed);
        assert_eq!(told(9_000_000_000), Some(0.5));
    }
}
