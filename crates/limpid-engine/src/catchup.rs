//! How long until we follow the head again.
//!
//! Owns: what was gained on the head each second, and what follows from it, as a pure machine. Does not own: looking
//! (`watch`).
//!
//! Invariant: told only of a stream that is behind and was for a while: who follows has nothing to catch up, and what is
//! under way at a look is no backlog. A stream that gains nothing never catches up: infinity, not a great number.
//!
//! The gain is what the backlog shrinks by, so drain and ingest are both in it. Seconds that gain nothing are part of the
//! way too, so the mean counts and not the median. What is slower than usual (p90) comes from how much the seconds differ,
//! over the time that catching up takes.

use std::collections::VecDeque;

/// A second of looks.
const SLICE: u64 = 1_000_000_000;
/// A minute of them: load older than that says little of what comes.
const SLICES_MAX: usize = 60;
/// Fewer say nothing.
const SLICES_MIN: usize = 5;
/// Of a normal distribution, what nine of ten are below.
const NINE_OF_TEN: f64 = 1.2816;

/// A way so long (a day) is none that a minute tells of: what was gained is what the seconds differ by.
const WAY_MAX: f64 = 86_400.0;

/// Looks further apart are none of one course: nobody knows what the backlog was meanwhile.
const GAP: u64 = 1_500_000_000;

#[derive(Debug, Default)]
pub(crate) struct Catchup {
    /// Bytes gained a second, the oldest first.
    gains: VecDeque<f64>,
    /// When the slice in progress began, and the backlog then.
    began: Option<(u64, u64)>,
    looked: u64,
    lag_bytes: u64,
    is_behind: bool,
}

impl Catchup {
    /// `follows`: what the sink has is as fresh as it gets.
    pub(crate) fn look(&mut self, now: u64, lag_bytes: u64, follows: bool) {
        self.lag_bytes = lag_bytes;
        self.is_behind = !follows;
        let is_torn = now.saturating_sub(self.looked) > GAP;
        self.looked = now;
        if follows || is_torn {
            self.begin_anew();
        }
        if follows {
            return;
        }
        let (began, before) = *self.began.get_or_insert((now, lag_bytes));
        if now.saturating_sub(began) < SLICE {
            return;
        }
        if self.gains.len() >= SLICES_MAX {
            self.gains.pop_front();
        }
        let seconds = (now - began) as f64 / 1e9;
        self.gains.push_back((before as f64 - lag_bytes as f64) / seconds);
        self.began = Some((now, lag_bytes));
    }

    /// What was gained before counts for nothing: it was not to move, or was not seen to.
    pub(crate) fn begin_anew(&mut self) {
        self.gains.clear();
        self.began = None;
    }

    /// Seconds until we follow: as likely later as sooner, and later in one of ten cases.
    pub(crate) fn seconds(&self) -> Option<[f64; 2]> {
        if !self.is_behind {
            return Some([0.0, 0.0]);
        }
        if self.gains.len() < SLICES_MIN {
            return None;
        }
        let count = self.gains.len() as f64;
        let usual = self.gains.iter().sum::<f64>() / count;
        if usual <= 0.0 {
            return Some([f64::INFINITY; 2]);
        }
        let half = self.lag_bytes as f64 / usual;
        let squares: f64 = self.gains.iter().map(|gain| (gain - usual).powi(2)).sum();
        let differs = (squares / (count - 1.0)).sqrt();
        // Over a long way the seconds even out; how well the usual one is known does not get better on it.
        let slow = usual - NINE_OF_TEN * differs * (1.0 / half.max(1.0) + 1.0 / count).sqrt();
        Some([half, if slow > 0.0 { self.lag_bytes as f64 / slow } else { f64::INFINITY }])
    }
}

impl Catchup {
    /// It may take more than half of the time that the log is kept. One that gains nothing, or hardly anything, may keep
    /// a steady distance, as behind a sink that takes its time: it is in danger once what the sink has is older than half
    /// of that time, and told so after a whole minute, for every stream stands for a moment.
    pub(crate) fn is_at_risk(&self, runway_seconds: f64, age_seconds: Option<f64>) -> bool {
        let is_old = age_seconds.is_none_or(|age| age > runway_seconds / 2.0);
        match self.seconds() {
            Some([_, most]) if most <= WAY_MAX => most > runway_seconds / 2.0,
            Some(_) => is_old && self.gains.len() >= SLICES_MAX,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: f64) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as f64 / (1u64 << 31) as f64 * end
        }
    }

    #[test]
    fn a_backlog_is_caught_up_when_it_was_foretold() {
        let (mut late, mut cases) = (0, 0);
        for seed in 1..=200 {
            let (mut dice, mut catchup, mut lag) = (Dice(seed), Catchup::default(), 400_000_000.0);
            let (mut now, mut foretold) = (0, None);
            while lag > 0.0 {
                catchup.look(now, lag as u64, false);
                if now == 30 * SLICE {
                    foretold = catchup.seconds();
                }
                now += SLICE / 5;
                // Now and then a checkpoint or a burst takes a second's gain.
                let gain = if dice.below(1.0) < 0.05 { 0.0 } else { 600_000.0 + dice.below(800_000.0) };
                lag -= gain;
            }
            let took = (now - 30 * SLICE) as f64 / 1e9;
            let [half, most] = foretold.expect("there was a backlog after half a minute");
            assert!((half - took).abs() < 0.2 * took, "{half} s foretold, {took} s taken");
            assert!(most >= half);
            cases += 1;
            late += u32::from(took > most);
        }
        assert!(late * 10 <= cases * 2, "{late} of {cases} took longer than nine of ten should");
    }

    #[test]
    fn who_follows_has_nothing_to_catch_up_and_who_gains_nothing_never_does() {
        let mut catchup = Catchup::default();
        catchup.look(0, 700, true);
        assert_eq!(catchup.seconds(), Some([0.0, 0.0]));
        for second in 1..=4 {
            catchup.look(second * SLICE, 10_000, false);
        }
        assert_eq!(catchup.seconds(), None, "too little is known");
        for second in 5..=20 {
            catchup.look(second * SLICE, 10_000 + second * 100, false);
        }
        assert_eq!(catchup.seconds(), Some([f64::INFINITY; 2]));
        assert!(!catchup.is_at_risk(1.0, None), "every stream stands for a moment");
        for second in 21..=90 {
            catchup.look(second * SLICE, 100_000 - second * 1000, false);
        }
        let [half, most] = catchup.seconds().unwrap();
        assert!((half - 10.0).abs() < 0.1 && (most - 10.0).abs() < 0.1, "{half} {most}");
        assert!(catchup.is_at_risk(19.0, Some(0.0)) && !catchup.is_at_risk(21.0, Some(0.0)));
    }

    #[test]
    fn a_steady_distance_is_no_danger_until_it_is_half_of_what_is_kept() {
        let (mut dice, mut catchup) = (Dice(7), Catchup::default());
        for look in 0..5 * 300 {
            // A sink that takes 20 s to acknowledge, at a pace that differs.
            catchup.look(look * SLICE / 5, 20_000_000 + dice.below(2_000_000.0) as u64, false);
            assert!(!catchup.is_at_risk(3600.0, Some(20.0)), "after {look} looks: {:?}", catchup.seconds());
        }
        assert!(!catchup.is_at_risk(41.0, Some(20.0)));
        assert!(catchup.is_at_risk(39.0, Some(20.0)) && catchup.is_at_risk(3600.0, Some(1801.0)));
    }

    #[test]
    fn a_time_in_which_nothing_was_to_move_or_was_seen_is_none_of_the_course() {
        let (mut catchup, mut now) = (Catchup::default(), 0);
        for second in 1..=90 {
            now = second * SLICE;
            catchup.look(now, 1_000_000 + second * 1000, false);
        }
        assert_eq!(catchup.seconds(), Some([f64::INFINITY; 2]));
        for _ in 0..2 {
            // Two seconds pass without a look, then it gains.
            now += 2 * SLICE;
            catchup.look(now, 2_000_000, false);
            assert_eq!(catchup.seconds(), None, "nothing is known of it");
        }
        for second in 1..=5 {
            catchup.look(now + second * SLICE, 2_000_000 - second * 1000, false);
        }
        assert!(catchup.seconds().is_some_and(|[half, _]| (half - 1995.0).abs() < 1.0));
        catchup.begin_anew();
        assert_eq!(catchup.seconds(), None);
    }
}
