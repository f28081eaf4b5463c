//! A bound in bytes on everything between the socket and the acknowledgement.
//!
//! Owns: the count of raw bytes in flight. Does not own: the channels, which are bounded in batches besides.
//!
//! Invariant: the sum taken exceeds the bound only by one item that is larger than the bound itself and passes alone.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use limpid_connector::Stop;

/// Counts bytes in flight. Locked once per batch.
#[derive(Debug)]
pub struct Budget {
    /// Short critical section: an addition.
    taken: Mutex<u64>,
    freed: Condvar,
    max: u64,
}

impl Budget {
    pub fn new(max: u64) -> Self {
        Self { taken: Mutex::new(0), freed: Condvar::new(), max }
    }

    /// Waits until `bytes` fit, or until `stop` is raised (false).
    pub fn take(&self, bytes: u64, stop: &Stop) -> bool {
        let mut taken = self.taken.lock().expect("never held across a panic");
        while *taken > 0 && *taken + bytes > self.max {
            if stop.is_raised() {
                return false;
            }
            // The signal has no way to wake this wait, so it looks up now and then.
            let waited = self.freed.wait_timeout(taken, Duration::from_millis(50)).expect("never held across a panic");
            taken = waited.0;
        }
        *taken += bytes;
        true
    }

    /// Bytes in flight, and the bound on them.
    pub fn used(&self) -> (u64, u64) {
        (*self.taken.lock().expect("never held across a panic"), self.max)
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        let mut taken = self.taken.lock().expect("never held across a panic");
        *taken = taken.checked_sub(bytes).expect("only what was taken is given back");
        self.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_the_bound_passes_alone() {
        let budget = Budget::new(100);
        let stop = Stop::new();
        assert!(budget.take(1000, &stop));
        stop.raise();
        assert!(!budget.take(1, &stop), "nothing else fits beside it");
        budget.give(1000);
        assert!(budget.take(60, &stop) && budget.take(40, &stop));
        assert!(!budget.take(1, &stop), "the bound is reached exactly");
    }
}
