//! One group of the log: a transaction from its first event to its end, and what becomes of its rows.
//!
//! Owns: savepoint marks, rolled-back ranges, the verdict at the end. Does not own: events and batches (`assemble`),
//! the second pass over the log (`lookahead`).
//!
//! Invariant: a range that a ROLLBACK TO undid is never part of what a group yields. On MariaDB a group flagged
//! transactional may still end in ROLLBACK, so nothing is known of its rows before its end.

use std::sync::Arc;

use limpid_model::{TraceContext, TxnId};

use crate::ddl::Xid;
use crate::events::AlterPhase;

/// How many savepoints and undone ranges of one transaction are remembered: 16 bytes and a name each, so about 8 MB
/// at worst. A transaction with more is refused rather than guessed.
pub const MARKS_MAX: usize = 100_000;

/// Savepoints of one transaction and the ranges of the log that were undone.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    savepoints: Vec<(Vec<u8>, u64)>,
    undone: Vec<(u64, u64)>,
}

/// Why a mark could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkError {
    /// More than [`MARKS_MAX`].
    TooMany,
    /// A rollback to a savepoint that the log never set.
    NoSuchSavepoint,
}

impl Marks {
    /// `SAVEPOINT name` at log offset `at`; a name set again moves, as SQL has it.
    pub fn savepoint(&mut self, name: &[u8], at: u64) -> Result<(), MarkError> {
        let name = name.to_ascii_lowercase();
        self.savepoints.retain(|(known, _)| *known != name);
        if self.savepoints.len() >= MARKS_MAX {
            return Err(MarkError::TooMany);
        }
        self.savepoints.push((name, at));
        Ok(())
    }

    /// `ROLLBACK TO name` at log offset `at`: everything since the savepoint is undone, later savepoints are gone.
    pub fn rollback_to(&mut self, name: &[u8], at: u64) -> Result<(), MarkError> {
        let name = name.to_ascii_lowercase();
        let index = self.savepoints.iter().position(|(known, _)| *known == name).ok_or(MarkError::NoSuchSavepoint)?;
        let from = self.savepoints[index].1;
        self.savepoints.truncate(index + 1);
        while self.undone.last().is_some_and(|(start, _)| *start >= from) {
            self.undone.pop();
        }
        if let Some((_, end)) = self.undone.last_mut()
            && *end >= from
        {
            *end = at;
            return Ok(());
        }
        if self.undone.len() >= MARKS_MAX {
            return Err(MarkError::TooMany);
        }
        self.undone.push((from, at));
        Ok(())
    }

    /// True when the event that begins at `at` was undone.
    #[inline]
    pub fn is_undone(&self, at: u64) -> bool {
        if self.undone.is_empty() {
            return false;
        }
        let after = self.undone.partition_point(|(start, _)| *start <= at);
        after > 0 && at < self.undone[after - 1].1
    }

    /// The ranges that were undone, in order.
    pub fn into_undone(self) -> Vec<(u64, u64)> {
        self.undone
    }

    /// Marks of which nothing is left but the ranges.
    pub fn of_undone(undone: Vec<(u64, u64)>) -> Self {
        Self { savepoints: Vec::new(), undone }
    }

    /// True when nothing was undone.
    pub fn nothing_undone(&self) -> bool {
        self.undone.is_empty()
    }
}

/// How a group ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Committed,
    RolledBack,
    /// XA PREPARE: undecided.
    Prepared,
}

/// What a look ahead in the log found.
#[derive(Clone, Debug)]
pub struct Fate {
    pub ending: Ending,
    pub marks: Marks,
}

/// A group in progress.
#[derive(Debug)]
pub struct Group {
    pub id: TxnId,
    /// Of a tagged MySQL id.
    pub tag: Option<Arc<str>>,
    /// Where its first event begins: what a restart inside it goes back to.
    pub begin: u64,
    pub commit_micros: u64,
    pub alter: Option<AlterPhase>,
    /// Index of its transaction header in the batch being built; set with its first captured event.
    pub txn: Option<u32>,
    pub marks: Marks,
    /// Set once a look ahead has told how it ends: pieces of it may leave.
    pub fate: Option<Fate>,
    /// Bytes of captured events held.
    pub bytes: u64,
    /// True once a piece of it left.
    pub left: bool,
    /// BEGIN or XA START was seen.
    pub begun: bool,
    /// Its end was seen; pieces of it are still to leave.
    pub ended: bool,
    /// XA START was seen: its rows are gathered apart, since whether it is prepared or committed at once is not known.
    pub xa: bool,
    /// The XA transaction that is decided with it.
    pub decides: Option<Xid>,
    pub thread: u32,
    /// The traces that its statements named, with the place of each.
    pub contexts: Vec<(u64, TraceContext)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_after_a_savepoint_are_undone_and_rows_before_it_are_not() {
        let mut marks = Marks::default();
        marks.savepoint(b"a", 100).unwrap();
        marks.savepoint(b"b", 200).unwrap();
        marks.rollback_to(b"B", 300).unwrap();
        assert!(!marks.is_undone(150) && marks.is_undone(200) && marks.is_undone(299) && !marks.is_undone(300));
        marks.rollback_to(b"a", 400).unwrap();
        assert!(!marks.is_undone(99) && marks.is_undone(100) && marks.is_undone(250) && marks.is_undone(350));
        assert!(!marks.is_undone(400));
        assert_eq!(marks.rollback_to(b"b", 500), Err(MarkError::NoSuchSavepoint), "gone with the outer one");
    }

    #[test]
    fn a_savepoint_set_again_moves() {
        let mut marks = Marks::default();
        marks.savepoint(b"a", 100).unwrap();
        marks.savepoint(b"a", 200).unwrap();
        marks.rollback_to(b"a", 300).unwrap();
        assert!(!marks.is_undone(150) && marks.is_undone(250));
    }
}
