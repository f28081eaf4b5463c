//! How old what the sink has is.
//!
//! Owns: one instant: whatever was committed at the source before it is durable at the sink. Does not own: looking at
//! the head, judging (the verdicts).
//!
//! Invariant: the instant never goes back, and is moved only by what is known: a delivered commit moves it to that
//! commit, a look that found us caught up moves it to that look. So while the head is not seen, or while we stand
//! behind it, freshness grows with the clock, whatever the reason.
//!
//! When idle and caught up this is the age of the last look; when behind, the age of the oldest commit not yet at the
//! sink, as far as it is known: that commit came after the last one delivered and after the last look that found none.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::moment::Moment;
use crate::registry::Sampled;

/// What stands for "never".
const NEVER: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct Freshness(AtomicI64);

impl Default for Freshness {
    fn default() -> Self {
        Self(AtomicI64::new(NEVER))
    }
}

impl Freshness {
    /// All that was committed before this time, in microseconds since 1970, is at the sink.
    pub(super) fn delivered(&self, wall_micros: i64) {
        self.0.fetch_max(wall_micros, Relaxed);
    }
}

impl Sampled for Freshness {
    /// Below 0 where the wall clock was set back: shown as it is, since hiding it would hide that.
    fn sample(&self, now: Moment) -> Option<f64> {
        let upto = self.0.load(Relaxed);
        (upto != NEVER).then(|| (now.wall_micros - upto) as f64 / 1e6)
    }
}
