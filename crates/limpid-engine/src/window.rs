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
