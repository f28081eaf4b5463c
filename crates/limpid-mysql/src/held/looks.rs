//! What the server lists as prepared, beside what we hold: the head's connection looks, the stream listens.
//!
//! Owns: the board between the two, reading `XA RECOVER`. Does not own: the connection (`head`), what a verdict leads
//! to (`held`).
//!
//! Invariant: a transaction is given up only after two looks in a row did not list it, at the end of the log that was
//! taken after the second. Both servers list a transaction until its decision is in the log, so a decision that
//! somebody made is below that end.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::spool::Identity;
use crate::client::TextRows;
use crate::ddl::Xid;
use crate::position::LogPosition;

/// What stream and head tell each other.
#[derive(Debug, Default)]
pub struct Looks {
    is_holding: AtomicBool,
    has_verdicts: AtomicBool,
    is_refused: AtomicBool,
    /// Short critical section: a few ids.
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    held: HashMap<String, Watched>,
}

#[derive(Debug)]
struct Watched {
    xid: Xid,
    /// How many looks in a row did not list it.
    missed: u32,
    /// The end of the log after the second of them.
    verdict: Option<LogPosition>,
}

impl Looks {
    /// From the stream: what is held now.
    pub(super) fn hold<'a>(&self, held: impl Iterator<Item = &'a Identity>) {
        let mut board = self.board();
        let mut before = std::mem::take(&mut board.held);
        for identity in held {
            let fresh = || Watched { xid: identity.xid.clone(), missed: 0, verdict: None };
            let watched = before.remove(&identity.name).unwrap_or_else(fresh);
            board.held.insert(identity.name.clone(), watched);
        }
        self.is_holding.store(!board.held.is_empty(), Ordering::Relaxed);
    }

    /// True while it is worth looking.
    pub fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::Relaxed)
    }

    /// From the head: what the server lists. True if something was missing twice, and the end of the log is asked for.
    pub fn listed(&self, listed: &HashSet<Xid>) -> bool {
        let mut board = self.board();
        let mut is_missing = false;
        for watched in board.held.values_mut() {
            watched.missed = if listed.contains(&watched.xid) { 0 } else { watched.missed + 1 };
            if watched.missed == 0 {
                watched.verdict = None;
            }
            is_missing |= watched.missed >= 2 && watched.verdict.is_none();
        }
        is_missing
    }

    /// From the head: the end of the log, taken after the last [`Looks::listed`].
    pub fn ends_at(&self, head: &LogPosition) {
        for watched in self.board().held.values_mut() {
            if watched.missed >= 2 && watched.verdict.is_none() {
                watched.verdict = Some(head.clone());
                self.has_verdicts.store(true, Ordering::Release);
            }
        }
    }

    /// From the head: the account may not look.
    pub fn refused(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// From the stream: something is to be given up once a place is reached.
    #[inline]
    pub(super) fn has_verdicts(&self) -> bool {
        self.has_verdicts.load(Ordering::Acquire)
    }

    /// From the stream: the names of those whose place is reached.
    pub(super) fn take_verdicts(&self, is_reached: impl Fn(&LogPosition) -> bool) -> HashSet<String> {
        let mut board = self.board();
        let reached = |watched: &Watched| watched.verdict.as_ref().is_some_and(&is_reached);
        let names: HashSet<String> =
            board.held.iter().filter(|(_, watched)| reached(watched)).map(|(name, _)| name.clone()).collect();
        board.held.retain(|name, _| !names.contains(name));
        let is_waiting = board.held.values().any(|watched| watched.verdict.is_some());
        self.has_verdicts.store(is_waiting, Ordering::Relaxed);
        names
    }

    pub(super) fn take_refusal(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed) && self.is_refused.swap(false, Ordering::Relaxed)
    }

    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().expect("never held across a panic")
    }
}

/// The ids in an answer to `XA RECOVER`: format, two lengths, the bytes of both parts.
pub fn recovered(rows: &TextRows) -> HashSet<Xid> {
    let id = |row: &Vec<Option<Vec<u8>>>| {
        let number = |index: usize| std::str::from_utf8(row.get(index)?.as_deref()?).ok()?.parse::<u64>().ok();
        let data = row.get(3)?.as_deref()?;
        let (gtrid, rest) = data.split_at_checked(number(1)? as usize)?;
        let bqual = rest.get(..number(2)? as usize)?;
        Some(Xid { format: number(0)?, gtrid: gtrid.to_vec(), bqual: bqual.to_vec() })
    };
    rows.iter().filter_map(id).collect()
}
