//! How old what the sink has is.
//!
//! Owns: one instant of our monotonic clock: whatever was committed at the source before it is durable at the sink. Does
//! not own: looking at the head, judging (the engine's watch and verdicts).
//!
//! Invariant: the instant never goes back, and is moved only by what is known. What looks at the head prove, on our own
//! clock alone, stands above what commit times say: those are asked only until the first proof, when we begin with a
//! backlog of which no look knows, and never beyond the first look. So while the head is not seen, or while we stand
//! behind it, freshness grows with the clock, whatever the reason.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::moment::Moment;
use crate::registry::Sampled;

/// What stands for "never".
const NEVER: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct Freshness {
    /// By looks, and by commit times.
    proved: AtomicI64,
    told: AtomicI64,
    /// When the first look was that did not find us caught up.
    first_look: AtomicI64,
}

impl Default for Freshness {
    fn default() -> Self {
        let [proved, told, first_look] = [NEVER, NEVER, i64::MAX].map(AtomicI64::new);
        Self { proved, told, first_look }
    }
}

impl Freshness {
    /// All that was committed before this time is at the sink: looks at the head show it.
    pub(super) fn proved(&self, nanos: i64) {
        self.proved.fetch_max(nanos, Relaxed);
    }

    /// The same by the times that the source gives its commits.
    pub(super) fn told(&self, nanos: i64) {
        self.told.fetch_max(nanos, Relaxed);
    }

    /// The head was looked at.
    pub(super) fn looked(&self, nanos: i64) {
        self.first_look.fetch_min(nanos, Relaxed);
    }

    /// The instant, where anything is known of it.
    pub(super) fn upto(&self) -> Option<i64> {
        let proved = self.proved.load(Relaxed);
        let told = self.told.load(Relaxed);
        match (proved, told) {
            (NEVER, NEVER) => None,
            (NEVER, told) => Some(told.min(self.first_look.load(Relaxed))),
            (proved, _) => Some(proved),
        }
    }
}

impl Sampled for Freshness {
    fn sample(&self, now: Moment) -> Option<f64> {
        self.upto().map(|upto| (now.nanos as i64).saturating_sub(upto) as f64 / 1e9)
    }
}
