//! How long to wait before trying again.
//!
//! Owns: the growing, jittered pause. Does not own: whether to try again (the fault's response).
//!
//! Invariant: pauses grow from 100 ms to 10 s and differ by up to half, so that many pipelines do not knock at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses between attempts.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    seed: u64,
}

impl Backoff {
    /// `seed` only makes the jitter of two pipelines differ.
    pub fn new(seed: u64) -> Self {
        Self { next: FIRST, seed: seed | 1 }
    }

    /// The pause before the next attempt: between half of and the whole step.
    pub fn pause(&mut self) -> Duration {
        // xorshift64: jitter needs to differ, not to be unpredictable.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let step = self.next;
        self.next = (self.next * 2).min(LONGEST);
        step / 2 + step.mul_f64((self.seed % 1000) as f64 / 2000.0)
    }

    /// An attempt got somewhere: begin small again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_small_after_success() {
        let mut backoff = Backoff::new(42);
        let pauses: Vec<_> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        assert!(pauses[19] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }

    #[test]
    fn over_a_million_random_steps_a_pause_is_between_half_of_its_step_and_all_of_it() {
        for seed in 0..100u64 {
            let mut backoff = Backoff::new(seed);
            // Another row of numbers than the jitter's own.
            let (mut failed, mut dice) = (0, (seed + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            for _ in 0..10_000 {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                if dice.is_multiple_of(8) {
                    backoff.reset();
                    failed = 0;
                }
                let step = (FIRST * 2u32.pow(failed)).min(LONGEST);
                let pause = backoff.pause();
                assert!(pause >= step / 2 && pause <= step, "seed {seed}: {pause:?} after {failed}");
                failed = (failed + 1).min(10);
            }
        }
    }
}
