//! Looking rows up in the ring.
//!
//! Owns: the walk over the frames, what is concluded from one. Does not own: the answer to people.
//!
//! Invariant: an offset is told as a row's own only where it follows from what was counted; where it does not, the span
//! that it lies in is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use limpid_model::{CommitTime, Op, RowMark, StageTimes, TxnId};

use super::frame::{Done, Fate, Frame, Place, Txn};
use super::{Origin, Ring};

/// Answers to one lookup: the newest. A hot key may have a million.
pub(super) const FOUND_MAX: usize = 256;

/// Frames that a reader takes hold of at once: some microseconds, for which the writer may have to wait.
const HELD_MAX: usize = 64;

/// One row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The batch, by the engine's number in its attempt, and its rows and bytes.
    pub seq: u64,
    pub attempt: u32,
    pub rows: u32,
    pub bytes: u64,
    pub times: StageTimes,
    /// Every record of the batch is durable.
    pub done: bool,
    /// The wall clock's reading at the acknowledgement; before that, when the batch was handed to the sink.
    pub wall_micros: i64,
    /// 61 bits of the key's hash.
    pub key_hash: u64,
    pub op: Op,
    /// `None`: it goes with its batch.
    pub fate: Option<Fate>,
    /// The row's transaction. The tag's index in it means nothing: the tag stands beside.
    pub txn: TxnId,
    pub tag: Option<Arc<str>>,
    pub commit: CommitTime,
    /// The row's number in its transaction, from 0, over the captured tables.
    pub ordinal: u64,
    /// The partition, where the batch's records of the table went to one.
    pub partition: Option<i32>,
    pub offset: Offset,
    /// The seed of the table, where the batch tells.
    pub table: Option<u64>,
}

/// What is known of the offset of a row's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Nothing, or there is none.
    Unknown,
    /// Its first record's own.
    At(i64),
    /// One of these, both included.
    Within(i64, i64),
}

/// What a walk looks for in a frame.
trait Wanted {
    /// The indices of the rows wanted, in their order: the newest [`FOUND_MAX`].
    fn rows(&mut self, frame: &Seen<'_>, hits: &mut VecDeque<usize>);
    /// The seed of the rows' table, where that is known.
    fn table(&self) -> Option<u64>;
}

/// A frame being read.
struct Seen<'a> {
    frame: &'a Frame,
    /// Looked at once: what is concluded is of one time.
    done: Option<&'a Done>,
    origins: &'a [Origin],
    tombstones: bool,
}

impl Ring {
    /// The rows of a table (its seed) with this key hash, oldest first; the newest 256 where there are more.
    pub fn find(&self, table: u64, key_hash: u64) -> Vec<Found> {
        self.walk(&mut OfKey { table, key_hash: RowMark::kept_of(key_hash) })
    }

    /// The rows of the transactions that are wanted, oldest first; the newest 256 where there are more.
    pub fn find_txns(&self, wanted: impl FnMut(TxnId, Option<&Arc<str>>) -> bool) -> Vec<Found> {
        self.walk(&mut OfTxn(wanted))
    }

    fn walk(&self, wanted: &mut impl Wanted) -> Vec<Found> {
        let mut found: VecDeque<Found> = VecDeque::new();
        let (mut of_frame, mut held) = (Vec::new(), Vec::with_capacity(HELD_MAX));
        let (mut next, end) = {
            let frames = self.frames();
            (frames.gone, frames.gone + frames.kept.len() as u64)
        };
        // After the end was read: the frames before it name only origins that are known by now.
        let origins = self.origins().clone();
        while next < end {
            next = self.hold(next, end, &mut held);
            for frame in held.drain(..) {
                let seen =
                    Seen { frame: &frame, done: frame.done.get(), origins: &origins, tombstones: self.tombstones };
                seen.find(wanted, &mut of_frame);
                found.extend(of_frame.drain(..));
                found.drain(..found.len().saturating_sub(FOUND_MAX));
            }
        }
        found.into()
    }

    /// Takes hold of the frames from number `from` on, or from the oldest that is left; returns the number behind them.
    pub(super) fn hold(&self, from: u64, end: u64, held: &mut Vec<Arc<Frame>>) -> u64 {
        let frames = self.frames();
        let from = from.max(frames.gone);
        let upto = end.min(from + HELD_MAX as u64).max(from);
        held.extend(frames.kept.range((from - frames.gone) as usize..(upto - frames.gone) as usize).cloned());
        upto
    }
}

/// Rows with a key.
struct OfKey {
    table: u64,
    /// What marks keep of it.
    key_hash: u64,
}

impl Wanted for OfKey {
    fn rows(&mut self, seen: &Seen<'_>, hits: &mut VecDeque<usize>) {
        let is_hit = |(_, mark): &(usize, &RowMark)| mark.key_hash() == self.key_hash;
        let rows = seen.frame.marks.iter().enumerate().filter(is_hit).map(|(row, _)| row);
        hits.extend(rows.filter(|row| seen.mark(*row).is_some()));
        hits.drain(..hits.len().saturating_sub(FOUND_MAX));
    }

    fn table(&self) -> Option<u64> {
        Some(self.table)
    }
}

/// Rows of transactions.
struct OfTxn<F>(F);

impl<F: FnMut(TxnId, Option<&Arc<str>>) -> bool> Wanted for OfTxn<F> {
    fn rows(&mut self, seen: &Seen<'_>, hits: &mut VecDeque<usize>) {
        let mut first = 0;
        for txn in &seen.frame.txns {
            let (id, tag) = seen.id(txn);
            let next = first + txn.rows as usize;
            if self.0(id, tag) {
                let from = next.saturating_sub(FOUND_MAX).max(first);
                hits.extend((from..next).filter(|row| seen.mark(*row).is_some()));
                hits.drain(..hits.len().saturating_sub(FOUND_MAX));
            }
            first = next;
        }
    }

    fn table(&self) -> Option<u64> {
        None
    }
}

impl Seen<'_> {
    /// A row's mark; `None` for a row that nobody shall find.
    fn mark(&self, row: usize) -> Option<RowMark> {
        let is_withheld = || self.done.is_some_and(|done| done.withheld.get(row) == Some(&true));
        self.frame.marks.get(row).copied().filter(|_| !is_withheld())
    }

    /// The times of its stages, as far as they are known.
    fn times(&self) -> StageTimes {
        let (acked, saved) = self.done.map_or((0, 0), |done| (done.acked, done.saved));
        StageTimes { acked, saved, ..self.frame.times }
    }

    fn find(&self, wanted: &mut impl Wanted, found: &mut Vec<Found>) {
        let mut hits = VecDeque::new();
        wanted.rows(self, &mut hits);
        if hits.is_empty() {
            return;
        }
        let fates: HashMap<u32, Fate> = self.frame.fates.iter().copied().collect();
        let mut places = self.done.map_or(Vec::new(), |done| done.places.to_vec());
        let mut tables: Vec<u64> = places.iter().map(|place| place.table).collect();
        tables.dedup();
        let only = if self.frame.tables == 1 { tables.first().copied() } else { None };
        let table = wanted.table().or(only);
        places.retain(|place| Some(place.table) == table);
        found.extend(hits.into_iter().filter_map(|row| self.found(row, table, &places, &fates)));
    }

    fn found(&self, row: usize, table: Option<u64>, places: &[Place], fates: &HashMap<u32, Fate>) -> Option<Found> {
        let (frame, done) = (self.frame, self.done);
        let (txn, ordinal) = self.txn_of(row)?;
        let (id, tag) = self.id(txn);
        let (mark, fate) = (self.mark(row)?, fates.get(&(row as u32)).copied());
        let one = match (places, done) {
            ([only], Some(done)) if fate.is_none() && !done.places_lost && only.partition >= 0 => Some(only),
            _ => None,
        };
        Some(Found {
            seq: frame.seq,
            attempt: frame.attempt,
            rows: frame.marks.len() as u32,
            bytes: done.map_or(0, |done| done.bytes),
            times: self.times(),
            done: done.is_some(),
            wall_micros: done.map_or(frame.wall_micros, |done| done.wall_micros),
            key_hash: mark.key_hash(),
            op: mark.op(),
            fate,
            txn: id,
            tag: tag.cloned(),
            commit: txn.commit,
            ordinal,
            partition: one.map(|place| place.partition),
            offset: one.map_or(Offset::Unknown, |place| self.offset(row, place, fates)),
            table,
        })
    }

    /// The offset of a row whose table's records all went to this place. Records stand there in the order of their rows,
    /// one a row, or two for a deletion with its tombstone; where the counts say otherwise, no more is told.
    fn offset(&self, row: usize, place: &Place, fates: &HashMap<u32, Fate>) -> Offset {
        let (first, last) = place.offsets;
        if first < 0 {
            return Offset::Unknown;
        }
        if self.frame.tables != 1 {
            // Rows do not say whose they are. Those without a record say so, and this one does not: a single record of its
            // table is its own.
            return if place.records == 1 && first == last { Offset::At(first) } else { Offset::Within(first, last) };
        }
        let is_gapless = last - first + 1 == i64::from(place.records);
        if !is_gapless {
            return Offset::Within(first, last);
        }
        let (mut all, mut deleted, mut before, mut deleted_before) = (0i64, 0i64, 0i64, 0i64);
        for index in (0..self.frame.marks.len()).filter(|index| !fates.contains_key(&(*index as u32))) {
            let Some(mark) = self.mark(index) else { continue };
            let is_deletion = i64::from(mark.op() == Op::Delete);
            (all, deleted) = (all + 1, deleted + is_deletion);
            if index < row {
                (before, deleted_before) = (before + 1, deleted_before + is_deletion);
            }
        }
        // A change of a key has more than one, and so nothing makes up for them: all rows have at least as many as here.
        let of_deletions = i64::from(self.tombstones);
        match i64::from(place.records) == all + of_deletions * deleted {
            true => Offset::At(first + before + of_deletions * deleted_before),
            false => Offset::Within(first, last),
        }
    }

    /// The transaction of a row, and the row's number in it.
    fn txn_of(&self, row: usize) -> Option<(&Txn, u64)> {
        let mut first = 0;
        for (index, txn) in self.frame.txns.iter().enumerate() {
            let next = first + txn.rows as usize;
            if row < next {
                let before = if index == 0 { self.frame.rows_before } else { 0 };
                return Some((txn, before + (row - first) as u64));
            }
            first = next;
        }
        None
    }

    fn id(&self, txn: &Txn) -> (TxnId, Option<&Arc<str>>) {
        let origin = txn.origin.and_then(|origin| self.origins.get(usize::from(origin)));
        origin.map_or((TxnId::Anonymous, None), |origin| origin.txn(txn.number))
    }
}
