//! What waits to be sent to a collector.
//!
//! Owns: the bound, and why something is not sent. Does not own: what waits (`trace`, `log`), counting it.
//!
//! Invariant: nobody who puts in ever waits for a sender; what does not fit is refused.

use std::collections::VecDeque;
use std::sync::Mutex;

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// More wait than there is room for: the collector is slow or away.
    QueueFull,
    /// Too many with a reason this second.
    Spared,
    /// The collector does not answer, or answers that it cannot for now, however often it is tried.
    Unreachable,
    /// The collector answers that it does not want them, or some of them.
    Refused,
    /// The process ended first.
    Stopped,
}

impl Dropped {
    pub(crate) const ALL: [Dropped; 5] =
        [Dropped::QueueFull, Dropped::Spared, Dropped::Unreachable, Dropped::Refused, Dropped::Stopped];

    /// The label.
    pub const fn word(self) -> &'static str {
        match self {
            Dropped::QueueFull => "queue_full",
            Dropped::Spared => "rate",
            Dropped::Unreachable => "unreachable",
            Dropped::Refused => "refused",
            Dropped::Stopped => "stopped",
        }
    }

    /// The place in [`Dropped::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Oldest first.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// Short critical section: one in, or some out.
    held: Mutex<Held<T>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Held<T> {
    all: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> Waiting<T> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { held: Mutex::new(Held { all: VecDeque::new(), bytes: 0 }), bytes_max }
    }

    /// False where there is no room for so many bytes.
    pub(crate) fn put(&self, one: T, bytes: usize) -> bool {
        let mut held = self.held.lock().expect("never held across a panic");
        let has_room = held.bytes + bytes <= self.bytes_max;
        if has_room {
            held.bytes += bytes;
            held.all.push_back((one, bytes));
        }
        has_room
    }

    /// The oldest, at most so many.
    pub(crate) fn take(&self, count_max: usize) -> Vec<T> {
        let mut held = self.held.lock().expect("never held across a panic");
        let count = count_max.min(held.all.len());
        let taken: Vec<(T, usize)> = held.all.drain(..count).collect();
        held.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_iter().map(|(one, _)| one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_something_was_taken() {
        let waiting = Waiting::new(10);
        assert_eq!([(1, 6), (2, 4), (3, 1)].map(|(one, bytes)| waiting.put(one, bytes)), [true, true, false]);
        assert_eq!(waiting.take(1), [1]);
        assert!(waiting.put(4, 6) && !waiting.put(5, 1));
        assert_eq!(waiting.take(usize::MAX), [2, 4]);
        assert!(waiting.take(1).is_empty());
    }

    #[test]
    fn every_reason_has_its_place() {
        for (place, why) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(why.index(), place, "{}", why.word());
        }
    }
}
