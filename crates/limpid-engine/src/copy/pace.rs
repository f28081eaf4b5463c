//! How fast tables are read.
//!
//! Owns: the rate in rows, the pause while the source is busy. Does not own: asking the source (`copier`).
//!
//! Invariant: over any ten seconds no more rows are read than the rate allows, one chunk above it at most. Pure: time is
//! given.

use std::time::Duration;

use limpid_connector::SourceLoad;

/// When reading is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub rows_per_second: Option<u64>,
    /// Statements that run at the source at once, ours among them, beyond which we wait.
    pub threads_running: Option<u64>,
    /// How far the server we read from may be behind its own source.
    pub replica_lag: Option<Duration>,
    /// The share of the time in which one connection reads, 1 to 100.
    pub duty_percent: u8,
    /// What others may lose of their statements while we read, in percent; 100: whatever it is.
    pub slowdown_percent: u8,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            rows_per_second: None,
            threads_running: None,
            replica_lag: None,
            duty_percent: 100,
            slowdown_percent: 100,
        }
    }
}

/// How often the source is asked how busy it is.
const LOOK_EVERY_NANOS: u64 = 1_000_000_000;

/// Shared by the copiers of a pipeline.
#[derive(Debug)]
pub(super) struct Pace {
    throttle: Throttle,
    /// Nobody reads before it.
    free_at: u64,
    looked_at: Option<u64>,
    busy: bool,
}

impl Pace {
    pub(super) fn new(throttle: Throttle) -> Self {
        Self { throttle, free_at: 0, looked_at: None, busy: false }
    }

    /// True when the source should be asked for its load now; whoever hears it asks.
    pub(super) fn look_is_due(&mut self, now: u64) -> bool {
        let Throttle { threads_running, replica_lag, .. } = self.throttle;
        if threads_running.is_none() && replica_lag.is_none() {
            return false;
        }
        let due = self.looked_at.is_none_or(|at| now >= at + LOOK_EVERY_NANOS);
        if due {
            self.looked_at = Some(now);
        }
        due
    }

    /// What the source said.
    pub(super) fn loaded(&mut self, load: SourceLoad) {
        let over = |value: Option<u64>, max: Option<u64>| value.zip(max).is_some_and(|(value, max)| value > max);
        let lag = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        self.busy = over(load.threads_running, self.throttle.threads_running)
            || over(lag(load.replica_lag), lag(self.throttle.replica_lag));
    }

    /// How long to wait before the next chunk; zero: read now.
    pub(super) fn wait(&self, now: u64) -> Duration {
        let until = match (self.busy, self.looked_at) {
            (true, Some(looked)) => self.free_at.max(looked + LOOK_EVERY_NANOS),
            _ => self.free_at,
        };
        Duration::from_nanos(until.saturating_sub(now))
    }

    /// So many rows were read.
    pub(super) fn read(&mut self, now: u64, rows: u64) {
        if let Some(rate) = self.throttle.rows_per_second {
            let cost = rows.saturating_mul(1_000_000_000) / rate.max(1);
            self.free_at = self.free_at.max(now).saturating_add(cost);
        }
    }

    /// How long a connection rests after a chunk that took so long.
    pub(super) fn rest(&self, took: Duration) -> Duration {
        let duty = u32::from(self.throttle.duty_percent.clamp(1, 100));
        took * (100 - duty) / duty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_rate_holds_over_many_chunks() {
        let mut pace = Pace::new(Throttle { rows_per_second: Some(1000), ..Throttle::default() });
        let (mut now, mut rows) = (SECOND, 0);
        while now < 101 * SECOND {
            now += (pace.wait(now).as_nanos() as u64).max(SECOND / 1000);
            pace.read(now, 300);
            rows += 300;
        }
        assert!((99_000..=101_000).contains(&rows), "{rows} rows in 100 s");
    }

    #[test]
    fn a_busy_source_is_left_alone_until_it_says_otherwise() {
        let throttle =
            Throttle { threads_running: Some(8), replica_lag: Some(Duration::from_secs(5)), ..Throttle::default() };
        let mut pace = Pace::new(throttle);
        assert!(pace.look_is_due(SECOND) && !pace.look_is_due(SECOND + 1), "one copier asks");
        let load = |threads, lag: u64| SourceLoad {
            threads_running: Some(threads),
            replica_lag: Some(Duration::from_secs(lag)),
        };
        for (load, waits) in [(load(8, 5), false), (load(9, 0), true), (load(1, 6), true), (load(1, 0), false)] {
            pace.loaded(load);
            assert_eq!(pace.wait(SECOND + 1) > Duration::ZERO, waits, "{load:?}");
        }
        pace.loaded(SourceLoad::default());
        assert_eq!(pace.wait(SECOND), Duration::ZERO, "what is not known holds nobody up");
    }

    #[test]
    fn a_duty_of_a_quarter_rests_three_times_as_long_as_it_reads() {
        let pace = Pace::new(Throttle { duty_percent: 25, ..Throttle::default() });
        assert_eq!(pace.rest(Duration::from_millis(10)), Duration::from_millis(30));
    }
}
