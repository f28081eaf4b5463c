//! How old what the sink has is, on one clock.
//!
//! Owns: where the end of the log was at which look, until it is delivered. Does not own: looking (`watch`), what is
//! told before the first mark is reached (the meter, from commit times).
//!
//! Invariant: whatever was committed before the instant told is at the sink. The instant is a look's own time, taken
//! before the source was asked, so no clock but ours is in it, and no commit time, which a session may set.
//!
//! Caught up, it is the time of the last look; behind, the last look whose end of the log is delivered: that is older
//! than the oldest commit that is not, by one period at most, or by a hundredth of the lag (of the greatest since we were
//! caught up) where that is more.

use std::collections::VecDeque;

/// Marks kept: at one a period of 200 ms, 200 s behind. Beyond it every other is given up, and only every other of those
/// that come is kept, so that they lie evenly.
const MARKS_MAX: usize = 1024;

/// Ends of the log that are not delivered yet.
#[derive(Debug)]
pub(crate) struct Marks<P> {
    /// When the source was asked, and what it said; the oldest first.
    ahead: VecDeque<(u64, P)>,
    upto: Option<u64>,
    /// Of so many marks one is kept, besides the newest, which the next one replaces.
    one_of: u64,
    /// Since one was kept.
    passed_over: u64,
}

impl<P> Default for Marks<P> {
    fn default() -> Self {
        Self { ahead: VecDeque::new(), upto: None, one_of: 1, passed_over: 0 }
    }
}

impl<P> Marks<P> {
    /// The log ended at `head` when it was asked after. `is_same`: as at the look before.
    pub(crate) fn saw(&mut self, asked_nanos: u64, head: P, is_same: bool) {
        if self.ahead.is_empty() || (self.one_of > 1 && self.ahead.len() < MARKS_MAX / 4) {
            self.one_of = (self.one_of / 2).max(1);
        }
        if is_same || self.passed_over > 0 {
            self.ahead.pop_back();
        }
        if !is_same {
            self.passed_over = (self.passed_over + 1) % self.one_of;
        }
        if self.ahead.len() >= MARKS_MAX {
            let mut index = 0;
            self.ahead.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            (self.one_of, self.passed_over) = (self.one_of * 2, 0);
        }
        self.ahead.push_back((asked_nanos, head));
    }

    /// Passes the marks that are delivered. Returns the time before which every commit is at the sink. A mark that is
    /// neither delivered nor ahead (`None`: the log is another server's) tells nothing any more and is dropped.
    pub(crate) fn pass(&mut self, is_delivered: impl Fn(&P) -> Option<bool>) -> Option<u64> {
        while let Some((asked_nanos, head)) = self.ahead.front() {
            match is_delivered(head) {
                Some(true) => self.upto = self.upto.max(Some(*asked_nanos)),
                None => {}
                Some(false) => break,
            }
            self.ahead.pop_front();
        }
        self.upto
    }

    /// Nothing waits to be delivered.
    pub(crate) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caught_up_it_is_the_last_look_and_behind_the_last_one_that_is_delivered() {
        let mut marks = Marks::default();
        assert_eq!(marks.pass(|_| Some(true)), None, "nothing is known before the first look");
        marks.saw(10, 100, false);
        assert_eq!(marks.pass(|head| Some(*head <= 99)), None);
        marks.saw(20, 200, false);
        marks.saw(30, 200, true);
        assert_eq!(marks.pass(|head| Some(*head <= 100)), Some(10));
        assert_eq!(marks.pass(|head| Some(*head <= 199)), Some(10), "it grows old while we stand");
        assert_eq!(marks.pass(|head| Some(*head <= 200)), Some(30));
        marks.saw(40, 200, true);
        assert_eq!(marks.pass(|head| Some(*head <= 200)), Some(40), "idle");
        assert!(marks.is_empty());
        marks.saw(50, 7, false);
        marks.saw(60, 300, false);
        let other = |head: &i32| (*head != 7).then_some(*head <= 300);
        assert_eq!(marks.pass(other), Some(60), "a mark of another log is in nobody's way");
    }

    #[test]
    fn a_long_lag_costs_bounded_memory_and_is_told_to_a_hundredth() {
        let mut marks = Marks::default();
        let hours = 5 * 3600 * 10;
        for look in 1..=hours {
            marks.saw(look, look, false);
            assert!(marks.ahead.len() <= MARKS_MAX);
        }
        for done in (1..hours).step_by(977) {
            let upto = marks.pass(|head| Some(*head <= done)).unwrap_or(0);
            assert!(upto <= done, "never fresher than it is");
            assert!(done - upto <= hours / 100, "{done} is told as {upto}");
        }
    }
}
