//! The source's clock, for commit times.
//!
//! Owns: turning a commit time into a reading of our monotonic clock, and the two gauges about it. Does not own:
//! comparing the clocks (the engine's watch).
//!
//! Invariant: once the clocks were compared, no wall clock of ours is in what is measured from commit times.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::catalogue::{CLOCK_OFFSET_SECONDS, CLOCK_OFFSET_UNCERTAINTY_SECONDS};
use crate::moment::Moment;
use crate::registry::{Registry, Sampled};

/// What stands for "never".
const NEVER: i64 = i64::MIN;

/// A comparison of the source's clock with ours.
#[derive(Clone, Copy, Debug)]
pub struct ClockLook {
    /// Microseconds since 1970 by the source's clock when our monotonic clock showed 0.
    pub source_micros_at_zero: i64,
    pub uncertainty_micros: u64,
}

#[derive(Debug)]
pub(super) struct SourceClock {
    at_zero: AtomicI64,
    uncertainty: AtomicU64,
}

impl SourceClock {
    pub(super) fn new(registry: &Registry, pipeline: &str) -> Arc<Self> {
        let clock = Arc::new(Self { at_zero: AtomicI64::new(NEVER), uncertainty: AtomicU64::new(0) });
        registry.sampled(&CLOCK_OFFSET_SECONDS, &[pipeline], Arc::new(Offset(Arc::clone(&clock))));
        registry.sampled(&CLOCK_OFFSET_UNCERTAINTY_SECONDS, &[pipeline], Arc::new(Uncertainty(Arc::clone(&clock))));
        clock
    }

    pub(super) fn compared(&self, look: ClockLook) {
        self.uncertainty.store(look.uncertainty_micros, Relaxed);
        self.at_zero.store(look.source_micros_at_zero, Relaxed);
    }

    fn at_zero(&self) -> Option<i64> {
        Some(self.at_zero.load(Relaxed)).filter(|micros| *micros != NEVER)
    }

    /// Our monotonic clock at a time of the source's. Before the clocks were compared ours are taken to agree.
    pub(super) fn nanos_of(&self, micros: i64, now: Moment) -> i64 {
        match self.at_zero() {
            Some(at_zero) => micros.saturating_sub(at_zero).saturating_mul(1000),
            None => now.nanos as i64 - now.wall_micros.saturating_sub(micros).saturating_mul(1000),
        }
    }

    /// How far apart two times may be that are one.
    pub(super) fn uncertainty_nanos(&self) -> i64 {
        self.uncertainty.load(Relaxed) as i64 * 1000
    }
}

struct Offset(Arc<SourceClock>);

impl Sampled for Offset {
    fn sample(&self, now: Moment) -> Option<f64> {
        let source = self.0.at_zero()? + (now.nanos / 1000) as i64;
        Some((source - now.wall_micros) as f64 / 1e6)
    }
}

struct Uncertainty(Arc<SourceClock>);

impl Sampled for Uncertainty {
    fn sample(&self, _: Moment) -> Option<f64> {
        self.0.at_zero().map(|_| self.0.uncertainty.load(Relaxed) as f64 / 1e6)
    }
}
