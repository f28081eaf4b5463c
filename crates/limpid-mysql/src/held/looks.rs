//! What the server lists as prepared, beside what we hold: the head's connection looks, the stream listens.
//!
//! Owns: the board between the two, reading `XA RECOVER`. Does not own: the connection (`head`), what a verdict leads
//! to (`held`).
//!
//! Invariant: a transaction is given up only after two looks in a row at the stream's own server did not list it, at the
//! end of the log that was taken after the second. Both servers list a transaction until its decision is in the log, so a
//! decision that somebody made is below that end. One that was not listed yet (a server may wait for a replica between
//! its log and its list) is taken back when it is.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::spool::Identity;
use crate::client::TextRows;
use crate::copy::ServerMark;
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
    /// The server that the stream reads. What another one lists says nothing.
    server: Option<ServerMark>,
    held: HashMap<String, Watched>,
}

#[derive(Debug)]
struct Watched {
    xid: Xid,
    /// How many looks in a row did not list it.
    missed: u32,
    /// The end of the log after the second of them.
    verdict: Option<LogPosition>,
    is_given_up: bool,
    /// The server lists it again, or at last.
    is_back: bool,
}

/// What looks led to, by name.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub forgotten: HashSet<String>,
    pub back: HashSet<String>,
}

impl Looks {
    /// From the stream: the server that it reads.
    pub fn belong_to(&self, server: ServerMark) {
        self.board().server = Some(server);
    }

    /// From the stream: what is held now.
    pub(super) fn hold<'a>(&self, held: impl Iterator<Item = &'a Identity>) {
        let mut board = self.board();
        let mut before = std::mem::take(&mut board.held);
        for identity in held {
            let xid = || identity.xid.clone();
            let fresh = || Watched { xid: xid(), missed: 0, verdict: None, is_given_up: false, is_back: false };
            let watched = before.remove(&identity.name).unwrap_or_else(fresh);
            board.held.insert(identity.name.clone(), watched);
        }
        self.is_holding.store(!board.held.is_empty(), Ordering::Relaxed);
    }

    /// True while it is worth looking.
    pub fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::Relaxed)
    }

    /// From the head: what a server lists. True if something was missing twice, and the end of the log is asked for.
    pub fn listed(&self, server: &ServerMark, listed: &HashSet<Xid>) -> bool {
        let mut board = self.board();
        if board.server.as_ref() != Some(server) {
            return false;
        }
        let mut is_missing = false;
        for watched in board.held.values_mut() {
            if watched.is_given_up {
                if listed.contains(&watched.xid) {
                    watched.is_back = true;
                    self.has_verdicts.store(true, Ordering::Release);
                }
                continue;
            }
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
            if watched.missed >= 2 && watched.verdict.is_none() && !watched.is_given_up {
                watched.verdict = Some(head.clone());
                self.has_verdicts.store(true, Ordering::Release);
            }
        }
    }

    /// From the head: the account may not look.
    pub fn refused(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// From the stream: something is to be given up once a place is reached, or to be taken back.
    #[inline]
    pub(super) fn has_verdicts(&self) -> bool {
        self.has_verdicts.load(Ordering::Acquire)
    }

    /// From the stream: those whose place is reached, and those that are back. Both are watched on.
    pub(super) fn take_verdicts(&self, is_reached: impl Fn(&LogPosition) -> bool) -> Verdicts {
        let mut board = self.board();
        let (mut verdicts, mut is_waiting) = (Verdicts::default(), false);
        for (name, watched) in &mut board.held {
            if watched.is_back {
                (watched.is_back, watched.is_given_up, watched.missed) = (false, false, 0);
                verdicts.back.insert(name.clone());
            } else if watched.verdict.as_ref().is_some_and(&is_reached) {
                (watched.verdict, watched.is_given_up) = (None, true);
                verdicts.forgotten.insert(name.clone());
            }
            is_waiting |= watched.verdict.is_some();
        }
        self.has_verdicts.store(is_waiting, Ordering::Relaxed);
        verdicts
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
