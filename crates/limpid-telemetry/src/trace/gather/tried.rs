//! Attempts that failed, by the transaction that was with the sink then.
//!
//! Owns: which are remembered until their transaction is decided about. Does not own: what is told of them (`gather`).
//!
//! Invariant: bounded; where there is no room, the transaction that failed first is forgotten. So what never comes again
//! holds nothing up.

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::super::kept::{TRIES_MAX, Try};

/// Transactions whose delivery failed and that did not come again yet.
const TRIED_MAX: usize = 4096;

/// One pipeline's.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// With its place in the order.
    tries: HashMap<u128, (u64, Vec<Try>)>,
    order: BTreeMap<u64, u128>,
    next: u64,
}

impl Tried {
    /// An attempt of this transaction failed.
    pub(super) fn note(&mut self, id: u128, tried: Try) {
        if let Some((_, tries)) = self.tries.get_mut(&id) {
            if tries.len() < TRIES_MAX {
                tries.push(tried);
            }
            return;
        }
        if self.tries.len() >= TRIED_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.tries.remove(&oldest);
        }
        self.tries.insert(id, (self.next, vec![tried]));
        self.order.insert(self.next, id);
        self.next += 1;
    }

    /// Its attempts that failed, which are over.
    pub(super) fn take(&mut self, id: u128) -> Vec<Try> {
        if self.tries.is_empty() {
            return Vec::new();
        }
        let Some((place, tries)) = self.tries.remove(&id) else { return Vec::new() };
        self.order.remove(&place);
        tries
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::FaultCode;

    use super::*;

    const TRY: Try = Try { sent: 1, failed: 2, code: FaultCode::SinkUnreachable };

    #[test]
    fn what_failed_first_makes_room_for_what_failed_last() {
        let mut tried = Tried::default();
        for id in 0..TRIED_MAX as u128 + 2 {
            tried.note(id, TRY);
        }
        assert!([0, 1].into_iter().all(|id| tried.take(id).is_empty()) && tried.take(2).len() == 1);
        tried.note(9_000_000, TRY);
        assert_eq!((tried.take(3).len(), tried.take(3).len()), (1, 0), "there was room, and each is told of once");
        (0..20).for_each(|_| tried.note(4, TRY));
        assert_eq!(tried.take(4).len(), TRIES_MAX);
        assert_eq!(tried.tries.len(), tried.order.len());
    }
}
