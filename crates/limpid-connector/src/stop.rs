//! The signal to stop.
//!
//! Owns: one flag that threads look at and can wait on. Does not own: who raises it and what a drain is.
//!
//! Invariant: once raised it stays raised.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Raised once, seen by everyone. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Short critical section: a read or a write of one flag.
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// A signal not yet raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it.
    pub fn raise(&self) {
        *self.0.raised.lock().expect("never held across a panic") = true;
        self.0.changed.notify_all();
    }

    /// True once raised.
    pub fn is_raised(&self) -> bool {
        *self.0.raised.lock().expect("never held across a panic")
    }

    /// Waits until raised, at most `time`; true if raised. This is how a back-off sleeps.
    pub fn wait(&self, time: Duration) -> bool {
        let guard = self.0.raised.lock().expect("never held across a panic");
        let (guard, _) =
            self.0.changed.wait_timeout_while(guard, time, |raised| !*raised).expect("never held across a panic");
        *guard
    }
}
