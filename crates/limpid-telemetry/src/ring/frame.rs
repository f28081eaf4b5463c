//! A batch in the ring.
//!
//! Owns: what is remembered of one, and how many bytes that is. Does not own: which batches are remembered.
//!
//! Invariant: only what is known once the batch is acknowledged is added, once and at once.

use std::sync::{Arc, OnceLock};

use limpid_model::{CommitTime, FaultCode, RowMark, StageTimes};
use smallvec::SmallVec;

/// Places of a batch that are remembered.
pub(super) const PLACES_MAX: usize = 16;

/// What belongs to a frame beside what it says: the counts of whom it and its marks are held by, the marks' own bounds, and its
/// place in the queue.
const AROUND: usize = 64;

/// As it was handed to the sink.
#[derive(Debug)]
pub(super) struct Frame {
    pub times: StageTimes,
    pub seq: u64,
    /// Which attempt of the pipeline handed it to the sink.
    pub attempt: u32,
    /// The tables that the batch has rows of.
    pub tables: u16,
    /// The wall clock when the batch was handed to the sink.
    pub wall_micros: i64,
    /// Rows of the first transaction that came in earlier batches; the others begin here.
    pub rows_before: u64,
    /// The rows, in the order of their transactions.
    pub marks: Arc<Vec<RowMark>>,
    pub txns: SmallVec<[Txn; 1]>,
    /// Rows that go no further, in no order.
    pub fates: Box<[(u32, Fate)]>,
    pub done: OnceLock<Done>,
}

/// What is known of an acknowledged one.
#[derive(Debug)]
pub(super) struct Done {
    /// The two times that were not known before.
    pub acked: u64,
    pub saved: u64,
    pub bytes: u64,
    /// The wall clock at the acknowledgement.
    pub wall_micros: i64,
    pub places: SmallVec<[Place; 1]>,
    /// It went to more places than are remembered.
    pub places_lost: bool,
    /// By row: those that nobody shall find, since they were not delivered after all. Empty where all were.
    pub withheld: Box<[bool]>,
}

/// 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Txn {
    /// Index of the server it came from; `None` for one without a name.
    pub origin: Option<u16>,
    pub rows: u32,
    /// Its number at its origin.
    pub number: u64,
    pub commit: CommitTime,
}

const _: () = assert!(size_of::<Txn>() == 32);

/// Records of a batch that went to one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the table, as its seed.
    pub table: u64,
    pub partition: i32,
    pub records: u32,
    pub offsets: (i64, i64),
}

/// Why a row was not delivered with its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A rule rejected it, by its number.
    Filtered(u16),
    /// It waits with its key. Without a code it waits behind another.
    Parked(Option<FaultCode>),
    /// It was put aside.
    DeadLetter(Option<FaultCode>),
    /// Its table was halted at it or before it.
    Withheld(Option<FaultCode>),
    /// Nothing was sent of it: it was done before a restart, is overtaken by the stream while its table is copied, or
    /// is of an operation that is skipped.
    NoRecord,
}

impl Frame {
    /// What it takes of the ring's bytes, with those places that are known later.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Frame>()
            + AROUND
            + self.marks.capacity() * size_of::<RowMark>()
            + heap(self.txns.len(), 1) * size_of::<Txn>()
            + size_of_val(&*self.fates)
            + heap(self.marks.len().min(PLACES_MAX), 1) * size_of::<Place>()
    }
}

/// So many of them that are not in the frame itself, where so many are.
const fn heap(count: usize, inline: usize) -> usize {
    if count > inline { count } else { 0 }
}
