//! A reading of both clocks.
//!
//! Owns: turning one clock's reading into the other's. Does not own: reading them (`limpid-connector`'s clock).
//!
//! Invariant: both numbers of a moment were read together.

/// When something was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic nanoseconds since the process's clock was made.
    pub nanos: u64,
    /// Microseconds since 1970 by the machine's wall clock.
    pub wall_micros: i64,
}

impl Moment {
    /// The wall clock's reading when the monotonic clock showed `nanos`, judged from here.
    pub fn wall_at(self, nanos: u64) -> i64 {
        self.wall_micros - (self.nanos as i64 - nanos as i64) / 1000
    }
}

/// Seconds from one monotonic reading to a later one; 0 where a stage was not reached or the order is odd.
pub(crate) fn seconds(from: u64, to: u64) -> f64 {
    if from == 0 { 0.0 } else { to.saturating_sub(from) as f64 * 1e-9 }
}
