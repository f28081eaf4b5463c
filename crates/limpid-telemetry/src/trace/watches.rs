//! Keys that somebody watches.
//!
//! Owns: which, and for how long. Does not own: finding their rows in a batch (`gather`, `stamp`), who may watch (the
//! server).
//!
//! Invariant: while nobody watches, a look is one load. A key is watched for as long as somebody says so again and again:
//! whoever goes away without a word is forgotten.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

/// Keys that are watched at a time: each is asked for several times a second by its watcher.
const WATCHED_MAX: usize = 1024;

/// How long a key is watched unless its watcher says so again, which it does four times a second.
pub const LEASE_NANOS: u64 = 10_000_000_000;

/// One pipeline's. Shared by its workers, its delivery and the server.
#[derive(Debug, Default)]
pub struct Watches {
    any: AtomicBool,
    /// When each ends, by our monotonic clock. Locked once a batch while somebody watches.
    keys: Mutex<HashMap<u64, u64>>,
}

impl Watches {
    /// Somebody watches this key from now on, or still. False where too many are watched.
    pub fn renew(&self, key_hash: u64, now_nanos: u64) -> bool {
        let mut keys = self.keys();
        keys.retain(|_, until| *until > now_nanos);
        let has_room = keys.len() < WATCHED_MAX || keys.contains_key(&key_hash);
        if has_room {
            keys.insert(key_hash, now_nanos + LEASE_NANOS);
        }
        self.any.store(!keys.is_empty(), Relaxed);
        has_room
    }

    /// The keys that are watched at this time; `None` where none is.
    #[inline]
    pub(super) fn look(&self, now_nanos: u64) -> Option<Watched<'_>> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let mut keys = self.keys();
        keys.retain(|_, until| *until > now_nanos);
        self.any.store(!keys.is_empty(), Relaxed);
        (!keys.is_empty()).then_some(Watched(keys))
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.keys.lock().expect("never held across a panic")
    }
}

/// What is watched now.
pub(super) struct Watched<'a>(MutexGuard<'a, HashMap<u64, u64>>);

impl Watched<'_> {
    /// The transactions of the batch that a watched key is in, each once, in their order.
    pub(super) fn txns(&self, rows: &[limpid_model::RowHeader]) -> Vec<u32> {
        let mut txns: Vec<u32> =
            rows.iter().filter(|row| self.0.contains_key(&row.key_hash)).map(|row| row.txn).collect();
        txns.dedup();
        txns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_watched_until_its_watcher_is_gone() {
        let watches = Watches::default();
        assert!(watches.look(0).is_none() && watches.renew(5, 0) && watches.look(LEASE_NANOS - 1).is_some());
        assert!(watches.renew(5, LEASE_NANOS - 1) && watches.look(LEASE_NANOS + 1).is_some(), "its watcher is there");
        assert!(watches.look(2 * LEASE_NANOS).is_none() && watches.look(0).is_none(), "and then is not");
    }

    #[test]
    fn so_many_keys_are_watched_and_no_more() {
        let watches = Watches::default();
        assert!((0..WATCHED_MAX as u64).all(|key| watches.renew(key, 0)));
        assert!(!watches.renew(5000, 0) && watches.renew(3, 0), "one that is watched already goes on");
        assert!(watches.renew(5000, LEASE_NANOS + 1), "those that went away make room");
    }
}
