//! Looking rows up in the ring.
//!
//! Owns: the walk over the frames, what is concluded from one. Does not own: the answer to people.
//!
//! Invariant: an offset is told as a row's own only where it follows from what was counted; where it does not, the span
//! that it lies in is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use limpid_model::{CommitTime, Op, RowMark, TxnId};

use super::frame::{Fate, HEADER_WORDS, Header, PLACE_WORDS, Parts, Place, TXN_WORDS, Txn, read_exception};
use super::{Origin, Ring};

/// Answers to one lookup: the newest. A hot key may have a million.
pub(super) const FOUND_MAX: usize = 256;

/// One row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The batch, by the engine's number in its attempt, and its rows and bytes.
    pub seq: u64,
    pub attempt: u32,
    pub rows: u32,
    pub bytes: u64,
    /// Monotonic nanoseconds, one a stage.
    pub times: [u64; 8],
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
    /// The indices of the rows wanted, in their order.
    fn rows(&mut self, frame: &Frame<'_>, hits: &mut VecDeque<u64>);
    /// The seed of the rows' table, where that is known.
    fn table(&self) -> Option<u64>;
}

/// A frame being read. May be overwritten meanwhile, which the walk finds out; so no number of it is trusted.
struct Frame<'a> {
    ring: &'a Ring,
    origins: &'a [Origin],
    at: u64,
    header: Header,
    parts: Parts,
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
        let mut of_frame = Vec::new();
        let end = self.head.load(Ordering::Acquire);
        // After the end was read: a frame below it names only origins that are known by now.
        let origins = self.origins.lock().expect("never held across a panic").clone();
        let mut at = self.tail.load(Ordering::Acquire);
        while at < end {
            of_frame.clear();
            let header = self.header(at);
            let parts = header.parts();
            if parts.len <= self.words {
                let frame = Frame { ring: self, origins: &origins, at, header, parts };
                frame.find(wanted, &mut of_frame);
            }
            match self.overtaken(at) {
                Some(tail) => at = tail,
                None => {
                    at += parts.len;
                    found.extend(of_frame.drain(..));
                    found.drain(..found.len().saturating_sub(FOUND_MAX));
                }
            }
        }
        found.into()
    }
}

/// Rows with a key.
struct OfKey {
    table: u64,
    /// What marks keep of it.
    key_hash: u64,
}

impl Wanted for OfKey {
    fn rows(&mut self, frame: &Frame<'_>, hits: &mut VecDeque<u64>) {
        let (rows, mut row) = (u64::from(frame.header.rows), 0);
        while row < rows {
            let run = frame.ring.run(frame.at + frame.parts.rows + row, (rows - row) as usize);
            let is_hit = |word: u64| RowMark::from_bits(word).is_some_and(|mark| mark.key_hash() == self.key_hash);
            let matches = run.iter().enumerate().filter(|(_, word)| is_hit(word.load(Ordering::Relaxed)));
            hits.extend(matches.map(|(offset, _)| row + offset as u64));
            hits.drain(..hits.len().saturating_sub(FOUND_MAX));
            row += run.len() as u64;
        }
    }

    fn table(&self) -> Option<u64> {
        Some(self.table)
    }
}

/// Rows of transactions.
struct OfTxn<F>(F);

impl<F: FnMut(TxnId, Option<&Arc<str>>) -> bool> Wanted for OfTxn<F> {
    fn rows(&mut self, frame: &Frame<'_>, hits: &mut VecDeque<u64>) {
        let mut first = 0;
        for index in 0..u64::from(frame.header.txns) {
            let txn = frame.txn(index);
            let (id, tag) = frame.id(&txn);
            let next = first + u64::from(txn.rows);
            if self.0(id, tag) {
                let from = next.saturating_sub(FOUND_MAX as u64).max(first);
                hits.extend((from..next).filter(|row| frame.mark(*row).is_some()));
                hits.drain(..hits.len().saturating_sub(FOUND_MAX));
            }
            first = next;
        }
    }

    fn table(&self) -> Option<u64> {
        None
    }
}

impl Frame<'_> {
    fn find(&self, wanted: &mut impl Wanted, found: &mut Vec<Found>) {
        let mut hits = VecDeque::new();
        wanted.rows(self, &mut hits);
        if hits.is_empty() {
            return;
        }
        let fates: HashMap<u32, Option<Fate>> = (0..u64::from(self.header.exceptions))
            .map(|index| read_exception(self.word(self.parts.exceptions + index)))
            .collect();
        let placed = self.header.placed.min(self.header.places);
        let places = (0..u64::from(placed))
            .map(|index| Place::read(&self.ring.words_at(self.at + self.parts.places + index * PLACE_WORDS as u64)));
        let mut places: Vec<Place> = places.collect();
        let mut tables: Vec<u64> = places.iter().map(|place| place.table).collect();
        tables.dedup();
        let only = if self.header.tables == 1 { tables.first().copied() } else { None };
        let table = wanted.table().or(only);
        places.retain(|place| Some(place.table) == table);
        for row in hits {
            let fate = fates.get(&(row as u32)).copied().flatten();
            found.extend(self.found(row, fate, table, &places, &fates));
        }
    }

    fn found(
        &self,
        row: u64,
        fate: Option<Fate>,
        table: Option<u64>,
        places: &[Place],
        fates: &HashMap<u32, Option<Fate>>,
    ) -> Option<Found> {
        let (txn, ordinal) = self.txn_of(row)?;
        let (id, tag) = self.id(&txn);
        let Header { seq, attempt, rows, bytes, times, done, wall_micros, places_lost, .. } = self.header;
        let mark = self.mark(row)?;
        let one = match places {
            [only] if done && fate.is_none() && !places_lost && only.partition >= 0 => Some(*only),
            _ => None,
        };
        Some(Found {
            seq,
            attempt,
            rows,
            bytes,
            times,
            done,
            wall_micros,
            key_hash: mark.key_hash(),
            op: mark.op(),
            fate,
            txn: id,
            tag: tag.cloned(),
            commit: txn.commit,
            ordinal,
            partition: one.map(|place| place.partition),
            offset: one.map_or(Offset::Unknown, |place| self.offset(row, &place, fates)),
            table,
        })
    }

    /// The offset of a row whose table's records all went to this place. Records stand there in the order of their rows,
    /// one a row, or two for a deletion with its tombstone; where the counts say otherwise, no more is told.
    fn offset(&self, row: u64, place: &Place, fates: &HashMap<u32, Option<Fate>>) -> Offset {
        let (first, last) = place.offsets;
        if first < 0 {
            return Offset::Unknown;
        }
        if self.header.tables != 1 {
            // Rows do not say whose they are. Those without a record say so, and this one does not: a single record of its
            // table is its own.
            return if place.records == 1 && first == last { Offset::At(first) } else { Offset::Within(first, last) };
        }
        let is_gapless = last - first + 1 == i64::from(place.records);
        if !is_gapless {
            return Offset::Within(first, last);
        }
        let (mut all, mut deleted, mut before, mut deleted_before) = (0i64, 0i64, 0i64, 0i64);
        for index in 0..u64::from(self.header.rows) {
            let is_there = !matches!(fates.get(&(index as u32)), Some(Some(_)));
            let Some(mark) = self.mark(index).filter(|_| is_there) else { continue };
            let is_deletion = i64::from(mark.op() == Op::Delete);
            (all, deleted) = (all + 1, deleted + is_deletion);
            if index < row {
                (before, deleted_before) = (before + 1, deleted_before + is_deletion);
            }
        }
        // A change of a key has more than one, and so nothing makes up for them: all rows have at least as many as here.
        let of_deletions = i64::from(self.ring.tombstones);
        match i64::from(place.records) == all + of_deletions * deleted {
            true => Offset::At(first + before + of_deletions * deleted_before),
            false => Offset::Within(first, last),
        }
    }

    /// The transaction of a row, and the row's number in it.
    fn txn_of(&self, row: u64) -> Option<(Txn, u64)> {
        let mut first = 0;
        for index in 0..u64::from(self.header.txns) {
            let txn = self.txn(index);
            let next = first + u64::from(txn.rows);
            if row < next {
                let before = if index == 0 { self.header.rows_before } else { 0 };
                return Some((txn, before + row - first));
            }
            first = next;
        }
        None
    }

    fn txn(&self, index: u64) -> Txn {
        Txn::read(&self.ring.words_at(self.at + HEADER_WORDS as u64 + index * TXN_WORDS as u64))
    }

    fn id(&self, txn: &Txn) -> (TxnId, Option<&Arc<str>>) {
        match txn.origin.and_then(|origin| self.origins.get(origin as usize)) {
            None => (TxnId::Anonymous, None),
            Some(Origin::Uuid(sid, tag)) => (TxnId::Uuid { sid: *sid, gno: txn.number, tag: 0 }, tag.as_ref()),
            Some(Origin::Domain(domain, server)) => {
                (TxnId::Domain { domain: *domain, server: *server, seq: txn.number }, None)
            }
        }
    }

    /// `None` for a row that nobody shall find.
    fn mark(&self, row: u64) -> Option<RowMark> {
        RowMark::from_bits(self.word(self.parts.rows + row))
    }

    fn word(&self, part: u64) -> u64 {
        self.ring.run(self.at + part, 1)[0].load(Ordering::Relaxed)
    }
}
