//! Which batches are durable, and up to where without a gap.
//!
//! Owns: the order of batches in flight. Does not own: saving the position (`delivery`).
//!
//! Invariant: the position that comes out covers only batches that are durable and have nothing undurable before
//! them. Acknowledgements may come in any order. Pure: no clock, no I/O.

use std::collections::VecDeque;

/// Batches in flight, oldest first. `P` is what a batch completes: its position.
#[derive(Debug)]
pub struct Window<P> {
    first: u64,
    flight: VecDeque<Slot<P>>,
}

#[derive(Debug)]
struct Slot<P> {
    end: Option<P>,
    durable: bool,
}

impl<P> Window<P> {
    /// An empty window whose next batch is number `first`.
    pub fn new(first: u64) -> Self {
        Self { first, flight: VecDeque::new() }
    }

    /// A batch is handed to the sink. Numbers come without gaps.
    pub fn open(&mut self, seq: u64, end: P) {
        assert_eq!(seq, self.first + self.flight.len() as u64, "batches reach the window in order and without gaps");
        self.flight.push_back(Slot { end: Some(end), durable: false });
    }

    /// A batch became durable; returns the furthest position that is now covered, if it moved.
    ///
    /// A number that was never opened or is closed already is our own mistake, and would move a checkpoint wrongly.
    pub fn close(&mut self, seq: u64) -> Option<P> {
        let index = seq.checked_sub(self.first).expect("a batch is acknowledged once");
        let slot = self.flight.get_mut(index as usize).expect("only opened batches are acknowledged");
        assert!(!slot.durable, "a batch is acknowledged once");
        slot.durable = true;
        let mut covered = None;
        while self.flight.front().is_some_and(|slot| slot.durable) {
            covered = self.flight.pop_front().and_then(|slot| slot.end);
            self.first += 1;
        }
        covered
    }

    /// What the batch that was opened last completes, while it is in flight. It may still change: what a batch
    /// completes is settled only when the sink has taken it.
    pub fn newest_mut(&mut self) -> Option<&mut P> {
        self.flight.back_mut().and_then(|slot| slot.end.as_mut())
    }

    /// The number before which everything is durable.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Batches in flight.
    pub fn len(&self) -> usize {
        self.flight.len()
    }

    pub fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_holds_the_position_back() {
        let mut window = Window::new(5);
        for seq in 5..9 {
            window.open(seq, seq * 10);
        }
        assert_eq!(window.close(6), None);
        assert_eq!(window.close(8), None);
        assert_eq!(window.close(5), Some(60));
        assert_eq!(window.close(7), Some(80));
        assert!(window.is_empty());
    }

    /// Batches are opened in their order and acknowledged in any.
    #[test]
    fn over_a_million_random_steps_the_position_is_that_of_the_last_batch_before_the_first_gap() {
        for seed in 1..=10u64 {
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut roll = |below: usize| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice as usize % below
            };
            let mut window = Window::new(0);
            let (mut opened, mut done) = (0u64, 0u64);
            let (mut out, mut early) = (Vec::new(), std::collections::BTreeSet::new());
            for _ in 0..100_000 {
                if out.is_empty() || (out.len() < 64 && roll(2) == 0) {
                    window.open(opened, opened);
                    out.push(opened);
                    opened += 1;
                    continue;
                }
                let seq = out.swap_remove(roll(out.len()));
                early.insert(seq);
                let mut covered = None;
                while early.remove(&done) {
                    covered = Some(done);
                    done += 1;
                }
                assert_eq!(window.close(seq), covered, "seed {seed}: {seq} is acknowledged, {out:?} are out");
                assert_eq!(window.is_empty(), out.is_empty(), "seed {seed}: {out:?} are out");
            }
            assert!(done > 40_000, "seed {seed}: {done}");
        }
    }

    #[test]
    #[should_panic(expected = "acknowledged once")]
    fn an_acknowledgement_counts_once() {
        let mut window = Window::new(0);
        window.open(0, ());
        window.open(1, ());
        window.close(1);
        window.close(1);
    }
}
