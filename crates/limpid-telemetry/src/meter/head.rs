//! What was measured to the end of the source's log.
//!
//! Owns: the last look's numbers, and for how long they stand. Does not own: looking at the head (the engine's watch),
//! freshness, which grows while nobody looks.
//!
//! Invariant: a number that no look bears out any more is absent, not what it last was: a pipeline that halted or lost
//! its source is not "0 behind" for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::HeadLook;
use crate::catalogue::{CATCHUP_SECONDS, POSITION_LAG_BYTES, POSITION_LAG_TRANSACTIONS, RETENTION_RUNWAY_SECONDS};
use crate::instruments::Gauge;
use crate::moment::Moment;
use crate::registry::{Registry, Sampled};

/// As long as a head counts as seen (the engine's verdict `blind` comes after it).
const STANDS: u64 = 1_500_000_000;

/// The numbers of one look.
#[derive(Debug)]
pub(super) struct AtHead {
    pub lag_bytes: Arc<Seen>,
    lag_transactions: Arc<Seen>,
    runway: Arc<Seen>,
    catchup: [Arc<Seen>; 2],
}

/// A number and when it was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    value: Gauge,
    seen_nanos: AtomicU64,
}

impl AtHead {
    pub(super) fn new(registry: &Registry, pipeline: &str) -> Self {
        let [half, most] =
            ["0.5", "0.9"].map(|quantile| Seen::bound(registry, &CATCHUP_SECONDS, &[pipeline, quantile]));
        Self {
            lag_bytes: Seen::bound(registry, &POSITION_LAG_BYTES, &[pipeline]),
            lag_transactions: Seen::bound(registry, &POSITION_LAG_TRANSACTIONS, &[pipeline]),
            runway: Seen::bound(registry, &RETENTION_RUNWAY_SECONDS, &[pipeline]),
            catchup: [half, most],
        }
    }

    pub(super) fn looked(&self, look: &HeadLook) {
        let at = look.seen_nanos;
        self.lag_bytes.put(look.lag_bytes.map(|bytes| bytes as f64), at);
        self.lag_transactions.put(look.lag_transactions.map(|count| count as f64), at);
        self.runway.put(look.runway_seconds, at);
        for (index, seen) in self.catchup.iter().enumerate() {
            seen.put(look.catchup_seconds.map(|both| both[index]), at);
        }
    }
}

impl Seen {
    fn bound(registry: &Registry, metric: &'static crate::catalogue::Metric, labels: &[&str]) -> Arc<Self> {
        let seen = Arc::new(Self::default());
        registry.sampled(metric, labels, Arc::clone(&seen) as _);
        seen
    }

    fn put(&self, value: Option<f64>, at: u64) {
        match value {
            Some(value) => self.value.set(value),
            None => self.value.withdraw(),
        }
        self.seen_nanos.store(at, Relaxed);
    }
}

impl Sampled for Seen {
    fn sample(&self, now: Moment) -> Option<f64> {
        let stands = now.nanos.saturating_sub(self.seen_nanos.load(Relaxed)) <= STANDS;
        self.value.get().filter(|_| stands)
    }
}
