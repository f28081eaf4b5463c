//! Time, for everyone.
//!
//! Owns: the only raw clock reads and sleeps outside tests and tools. Does not own: timers of async code.
//!
//! Invariant: monotonic readings never go back; wall readings are only for what people and records see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The process's clock, or one that a test turns by hand. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    System { start: Instant },
    Manual { nanos: AtomicU64 },
}

impl Clock {
    /// The real clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn system() -> Self {
        Self(Arc::new(Kind::System { start: Instant::now() }))
    }

    /// A clock that stands at 1 s until a test moves it.
    pub fn manual() -> Self {
        Self(Arc::new(Kind::Manual { nanos: AtomicU64::new(1_000_000_000) }))
    }

    /// Monotonic nanoseconds since the clock was made; never 0, which stands for "not reached".
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn nanos(&self) -> u64 {
        match &*self.0 {
            Kind::System { start } => start.elapsed().as_nanos() as u64 + 1,
            Kind::Manual { nanos } => nanos.load(Ordering::Relaxed),
        }
    }

    /// Microseconds since 1970 by the machine's wall clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn wall_micros(&self) -> i64 {
        match &*self.0 {
            Kind::System { .. } => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
            }
            Kind::Manual { nanos } => (nanos.load(Ordering::Relaxed) / 1000) as i64,
        }
    }

    /// Blocks this thread. A manual clock is moved on instead.
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    pub fn sleep(&self, time: Duration) {
        match &*self.0 {
            Kind::System { .. } => std::thread::sleep(time),
            Kind::Manual { nanos } => {
                nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }
}
