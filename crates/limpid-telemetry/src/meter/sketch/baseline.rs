//! What is usual for one measure of one column, and whether a window is still that.
//!
//! Owns: the rolling mean and spread, the step from window to window. Does not own: measures (`window`), who is told.
//!
//! Invariant: a pure machine. Nothing is told before the warm-up is over; what is told once is not told again before it
//! was as usual in between; a new level becomes the usual one by and by.

/// Windows before anything is told.
pub(super) const WARM_UP: u32 = 16;

/// What a window counts for once so many were seen; before, all count alike.
const WEIGHT_MIN: f64 = 1.0 / 16.0;

/// So many times the spread is beyond chance: with normal spread once in 10^15 windows for a spread that is known, and
/// once in some 10^5 for one estimated from 16 windows; the noise that sampling alone has is added to it.
const SPREADS: f64 = 6.0;

/// One window's measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub value: f64,
    /// The standard error that a sample of the window's size has.
    pub noise: f64,
    /// A smaller difference is nobody's business.
    pub floor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Learning,
    Usual,
    /// Left what is usual with this window.
    Left,
    StillAway,
    /// As usual again.
    Back,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    windows: u32,
    mean: f64,
    variance: f64,
    pub(super) is_away: bool,
}

impl Baseline {
    /// What is usual; `None` during the warm-up.
    pub(super) fn usual(&self) -> Option<f64> {
        (self.windows >= WARM_UP).then_some(self.mean)
    }

    pub(super) fn step(&mut self, measured: Measured) -> Step {
        let weight = (1.0 / (f64::from(self.windows) + 1.0)).max(WEIGHT_MIN);
        let difference = measured.value - self.mean;
        let spread = (self.variance + measured.noise * measured.noise).sqrt();
        let is_away = self.windows >= WARM_UP && difference.abs() > (SPREADS * spread).max(measured.floor);
        self.mean += weight * difference;
        // A jump is no spread: else two windows would make everything usual.
        if !is_away {
            self.variance = (1.0 - weight) * (self.variance + weight * difference * difference);
        }
        self.windows = self.windows.saturating_add(1);
        let was_away = std::mem::replace(&mut self.is_away, is_away);
        match (was_away, is_away) {
            _ if self.windows <= WARM_UP => Step::Learning,
            (false, true) => Step::Left,
            (true, true) => Step::StillAway,
            (true, false) => Step::Back,
            (false, false) => Step::Usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64) -> Measured {
        Measured { value, noise: 0.01, floor: 0.02 }
    }

    /// Numbers that look random, from 0 to 1.
    fn noise(seed: u64) -> f64 {
        let hash = xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes());
        (hash >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal ones of spread 1, by Box and Muller: among 20,000 some are beyond four spreads.
    fn normal(seed: u64) -> f64 {
        (-2.0 * (1.0 - noise(2 * seed)).ln()).sqrt() * (std::f64::consts::TAU * noise(2 * seed + 1)).cos()
    }

    /// The noise of the sample, and nothing else that would make room: here every spread is what was seen of it.
    #[test]
    fn an_even_stream_tells_nothing_whatever_its_level_and_spread() {
        for (level, spread) in [(0.0, 0.0), (0.5, 0.0), (0.5, 0.03), (0.3, 0.3), (100.0, 50.0)] {
            let (mut baseline, mut beyond) = (Baseline::default(), 0);
            for window in 0..20_000 {
                let off = normal(window);
                beyond += u32::from(off.abs() > 3.9);
                let step = baseline.step(Measured { value: level + spread * off, noise: 0.0, floor: 1e-6 });
                let expected = if window < u64::from(WARM_UP) { Step::Learning } else { Step::Usual };
                assert_eq!(step, expected, "{level} {spread} {window}: {off}");
            }
            assert!(beyond > 0, "no window tried it");
            assert!((baseline.usual().unwrap() - level).abs() <= spread);
        }
    }

    #[test]
    fn a_jump_is_told_once_and_is_the_usual_level_by_and_by() {
        let mut baseline = Baseline::default();
        for _ in 0..WARM_UP {
            assert_eq!(baseline.usual(), None);
            assert_eq!(baseline.step(measured(0.1)), Step::Learning);
        }
        assert_eq!(baseline.step(measured(0.1)), Step::Usual);
        assert_eq!(baseline.step(measured(0.8)), Step::Left);
        assert_eq!(baseline.step(measured(0.1)), Step::Back);
        assert_eq!(baseline.step(measured(0.8)), Step::Left);
        let away = (0..100).take_while(|_| baseline.step(measured(0.8)) == Step::StillAway).count();
        assert!((20..80).contains(&away), "{away}");
        assert!(!baseline.is_away);
        assert_eq!(baseline.step(measured(0.1)), Step::Left, "and then the old one is not");
    }

    #[test]
    fn a_difference_below_the_floor_or_within_chance_is_nobodys_business() {
        let mut baseline = Baseline::default();
        for _ in 0..30 {
            baseline.step(Measured { value: 0.0, noise: 0.0, floor: 0.02 });
        }
        // Each from the same state: what was usual widens the spread.
        let step = |value, noise| {
            let mut same = baseline;
            same.step(Measured { value, noise, floor: 0.02 })
        };
        assert_eq!(step(0.019, 0.0), Step::Usual);
        assert_eq!(step(0.3, 0.1), Step::Usual);
        assert_eq!(step(0.3, 0.0), Step::Left);
    }
}
