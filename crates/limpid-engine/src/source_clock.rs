//! The source's clock beside ours.
//!
//! Owns: which of the last comparisons is believed, and how far. Does not own: asking the source (`limpid-connector`'s
//! `Head`), what is done with commit times (the meter).
//!
//! Invariant: each comparison bounds the difference: the source read its clock after we asked and before we had the
//! answer. The one with the tightest bound is believed, which widens as it ages; one that contradicts it shows that a
//! clock was set, and stands alone from then on. Ours is the monotonic clock: setting our wall clock changes nothing.

use std::collections::VecDeque;

use limpid_connector::ClockSample;

/// How fast two clocks may run apart while one of them is slewed: 500 ppm each, the most that NTP does.
const DRIFT_NANOS_A_MICRO: u64 = 1000;

/// Comparisons kept: ten seconds of them.
const SAMPLES_MAX: usize = 50;

/// Where the source's clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSeen {
    /// Microseconds since 1970 by the source's clock when our monotonic clock showed 0.
    pub source_micros_at_zero: i64,
    pub uncertainty_micros: u64,
}

#[derive(Debug, Default)]
pub(crate) struct SourceClock {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at_zero: i64,
    half_micros: u64,
    at_nanos: u64,
}

impl Sample {
    fn of(sample: ClockSample) -> Self {
        let ClockSample { source_micros, sent_nanos, got_nanos } = sample;
        let middle = sent_nanos / 2 + got_nanos / 2;
        // Half of the way there and back, the digit that the source cut off, and what integers lose here.
        let half_micros = got_nanos.saturating_sub(sent_nanos) / 2000 + 2;
        Self { at_zero: source_micros - (middle / 1000) as i64, half_micros, at_nanos: got_nanos }
    }

    fn uncertainty(&self, now_nanos: u64) -> u64 {
        self.half_micros + now_nanos.saturating_sub(self.at_nanos) / 1000 / DRIFT_NANOS_A_MICRO
    }
}

impl SourceClock {
    pub(crate) fn compare(&mut self, sample: ClockSample) {
        let sample = Sample::of(sample);
        let now = sample.at_nanos;
        let contradicts =
            |known: &Sample| known.at_zero.abs_diff(sample.at_zero) > known.uncertainty(now) + sample.uncertainty(now);
        if self.samples.iter().any(contradicts) {
            self.samples.clear();
        }
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    pub(crate) fn seen(&self, now_nanos: u64) -> Option<ClockSeen> {
        let best = self.samples.iter().min_by_key(|sample| sample.uncertainty(now_nanos))?;
        let uncertainty_micros = best.uncertainty(now_nanos);
        Some(ClockSeen { source_micros_at_zero: best.at_zero, uncertainty_micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source whose clock is ahead, with ways of unequal length.
    fn ask(clock: &mut SourceClock, now: u64, ahead_micros: i64, there: u64, back: u64) {
        let source_micros = ((now + there) / 1000) as i64 + ahead_micros;
        clock.compare(ClockSample { source_micros, sent_nanos: now, got_nanos: now + there + back });
    }

    #[test]
    fn the_offset_lies_within_its_uncertainty_however_the_ways_differ() {
        let mut clock = SourceClock::default();
        let mut seed = 7u64;
        let mut now = 1_000_000_000;
        for look in 0..1000 {
            now += 200_000_000;
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Up to 8 ms each way, now and then 300 ms on one of them.
            let (there, back) = ((seed >> 33) % 8_000_000, (seed >> 13) % 8_000_000);
            let back = if look % 10 == 3 { back + 300_000_000 } else { back };
            let drifted = 5_000_000 + (now / 2_500_000) as i64;
            ask(&mut clock, now, drifted, there, back);
            let seen = clock.seen(now + there + back).unwrap();
            let error = seen.source_micros_at_zero.abs_diff(drifted);
            assert!(error <= seen.uncertainty_micros, "look {look}: off by {error}, {seen:?}");
            assert!(look < 20 || seen.uncertainty_micros < 9_000, "look {look}: {seen:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_believed_at_once() {
        let mut clock = SourceClock::default();
        assert_eq!(clock.seen(0), None);
        for look in 1..=50u64 {
            ask(&mut clock, look * 200_000_000, 0, 100_000, 100_000);
        }
        ask(&mut clock, 10_200_000_000, 5_000_000, 3_000_000, 100_000);
        let seen = clock.seen(10_210_000_000).unwrap();
        assert!(seen.source_micros_at_zero.abs_diff(5_000_000) <= seen.uncertainty_micros, "{seen:?}");
        assert!(seen.uncertainty_micros < 2_000, "{seen:?}");
        let later = clock.seen(70_210_000_000).unwrap();
        assert!(later.uncertainty_micros >= 60_000, "nobody knows what it did in a minute: {later:?}");
    }
}
