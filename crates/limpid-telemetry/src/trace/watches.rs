//! Keys that somebody watches.
//!
//! Owns: which, and for how long. Does not own: finding their rows in a batch (`gather`, `stamp`), who may watch (the
//! server).
//!
//! Invariant: while nobody watches, a look is one load. A key is watched for as long as somebody says so again and again:
//! whoever goes away without a word is forgotten. What was decoded while a key was watched is of it whenever it is looked
//! at, so that records which say that their trace is kept are right however late they are acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use limpid_model::RowMark;

/// Keys that are watched at a time.
const WATCHED_MAX: usize = 1024;

/// With those that no longer are: what was decoded before may be with the sink still. The one that ended first goes.
const KNOWN_MAX: usize = 2 * WATCHED_MAX;

/// How long a key is watched unless its watcher says so again, which it does each 10 s.
pub const LEASE_NANOS: u64 = 30_000_000_000;

/// One pipeline's. Shared by its workers, its delivery and the server.
#[derive(Debug, Default)]
pub struct Watches {
    /// When the last of all ends.
    last: AtomicU64,
    /// When each ends or ended, by our monotonic clock, by what marks keep of its hash. Locked once a batch while somebody watches.
    keys: Mutex<HashMap<u64, u64>>,
}

impl Watches {
    /// Somebody watches this key from now on, or still. False where too many are watched.
    pub fn renew(&self, key_hash: u64, now_nanos: u64) -> bool {
        let key_hash = RowMark::kept_of(key_hash);
        let mut keys = self.keys();
        let others = keys.iter().filter(|(key, until)| **key != key_hash && **until > now_nanos).count();
        if others >= WATCHED_MAX {
            return false;
        }
        if keys.len() >= KNOWN_MAX
            && !keys.contains_key(&key_hash)
            && let Some(ended) = keys.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            keys.remove(&ended);
        }
        keys.insert(key_hash, now_nanos + LEASE_NANOS);
        self.last.fetch_max(now_nanos + LEASE_NANOS, Relaxed);
        true
    }

    /// Whether somebody watches this key.
    pub fn has(&self, key_hash: u64, now_nanos: u64) -> bool {
        self.keys().get(&RowMark::kept_of(key_hash)).is_some_and(|until| *until > now_nanos)
    }

    /// The keys that are watched of what was decoded at this time; `None` where none is.
    #[inline]
    pub(super) fn look(&self, decoded_nanos: u64) -> Option<Watched<'_>> {
        (self.last.load(Relaxed) > decoded_nanos).then(|| Watched { keys: self.keys(), decoded_nanos })
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.keys.lock().expect("never held across a panic")
    }
}

/// What was watched then. A watch that began since counts too: what was waiting meanwhile is the watcher's.
pub(super) struct Watched<'a> {
    keys: MutexGuard<'a, HashMap<u64, u64>>,
    decoded_nanos: u64,
}

impl Watched<'_> {
    /// The transactions of a batch that a watched key is in, each once, in their order. `txns` is that of each row.
    pub(super) fn txns(&self, marks: &[RowMark], txns: impl Iterator<Item = u32>) -> Vec<u32> {
        let is_watched =
            |mark: &RowMark| self.keys.get(&mark.key_hash()).is_some_and(|until| *until > self.decoded_nanos);
        let watched = marks.iter().zip(txns).filter(|(mark, _)| is_watched(mark));
        let mut txns: Vec<u32> = watched.map(|(_, txn)| txn).collect();
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
        assert!(watches.look(0).is_none() && watches.renew(40, 0) && watches.look(LEASE_NANOS - 1).is_some());
        assert!(watches.renew(40, LEASE_NANOS - 1) && watches.look(LEASE_NANOS + 1).is_some(), "its watcher is there");
        assert!(watches.look(2 * LEASE_NANOS).is_none(), "and then is not");
        let has = |nanos| (watches.has(40, nanos), watches.has(48, nanos));
        assert_eq!((has(LEASE_NANOS + 1), has(2 * LEASE_NANOS)), ((true, false), (false, false)));
        assert!(watches.look(LEASE_NANOS + 1).is_some(), "but was when this was decoded, however late it is looked at");
    }

    #[test]
    fn so_many_keys_are_watched_and_no_more() {
        let watches = Watches::default();
        assert!((0..WATCHED_MAX as u64).all(|key| watches.renew(key * 8, 0)));
        assert!(!watches.renew(50_000, 0) && watches.renew(24, 0), "one that is watched already goes on");
        assert!(
            (5000..5000 + WATCHED_MAX as u64).all(|key| watches.renew(key * 8, LEASE_NANOS + 1)),
            "those went away"
        );
        assert!(
            watches.renew(90_000, 3 * LEASE_NANOS) && watches.keys().len() == KNOWN_MAX,
            "bounded with those that ended"
        );
    }
}
