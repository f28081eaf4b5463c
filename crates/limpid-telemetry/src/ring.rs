//! A memory of recent rows: which passed, when, in which batch and transaction.
//!
//! Owns: the frames and their bytes, one writer, any number of readers. Does not own: keys (a hash is kept, never a
//! value), what becomes of an answer (`limpid trace`).
//!
//! Invariant: a batch is remembered whole or not at all; the oldest batches go first, whole. The writer never waits;
//! a reader that is overtaken drops what it read of that batch and goes on with the oldest that is left.
//!
//! A frame is a batch: 16 words of header, 4 a transaction, 1 a row, one after the other in a circle of words. Frames
//! are found by walking from the oldest: a lookup reads all of the 16 MiB in about 4 ms, which people do now and then;
//! an index would cost the row's path each time.
//!
//! The writer moves `tail` past the frames it is about to overwrite, writes, then moves `head`. A reader takes both,
//! reads, and looks at `tail` again: what lies before it now may have been overwritten while it was read.
//!
//! Measured (`examples/telemetry_cost.rs`, release, two shared cores): see there; 1.1 ns a row in batches of 1,000.

mod frame;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock};

use limpid_model::{Batch, CommitTime, StageTimes, TxnId};

use crate::instruments::Counter;
use crate::moment::Moment;
use crate::registry::Sampled;
use frame::{HEADER_WORDS, Header, TXN_WORDS, Txn};

/// What the decision record settled: about 1.9 million rows in bulk, 0.4 million single-row transactions.
pub(crate) const RING_BYTES: usize = 16 * 1024 * 1024;

/// Made when first reached, so that an idle pipeline holds none of it.
const SEGMENT_WORDS: usize = 128 * 1024;

/// Answers to one lookup: the newest. A hot key may have a million.
const FOUND_MAX: usize = 256;

/// Distinct servers (with tags) that transactions come from; beyond that they are remembered as anonymous.
const ORIGINS_MAX: usize = 4096;

/// One row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The batch, by the engine's number, and its rows and bytes.
    pub seq: u64,
    pub rows: u32,
    pub bytes: u64,
    /// Monotonic nanoseconds, one a stage.
    pub times: [u64; 8],
    /// The wall clock's reading at the acknowledgement.
    pub acked_wall_micros: i64,
    /// The row's transaction. The tag's index in it means nothing: the tag stands beside.
    pub txn: TxnId,
    pub tag: Option<Arc<str>>,
    pub commit: CommitTime,
    /// The row's number in its transaction, from 0, over the captured tables.
    pub ordinal: u64,
    /// Where the whole batch went, if to one place: partition, first and last offset.
    pub place: Option<(i32, (i64, i64))>,
}

/// Where a transaction came from, as far as many share it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Uuid([u8; 16], Option<Arc<str>>),
    Domain(u32, u32),
}

/// What readers see.
#[derive(Debug)]
pub struct Ring {
    segments: Box<[OnceLock<Box<[AtomicU64]>>]>,
    segment_words: usize,
    words: u64,
    /// Words ever written; the end of the newest frame.
    head: AtomicU64,
    /// Where the oldest frame begins.
    tail: AtomicU64,
    /// Locked by the writer when a new server turns up, by a reader once a lookup.
    origins: Mutex<Vec<Origin>>,
    /// Batches too large to be remembered.
    skipped: Counter,
}

impl Ring {
    /// A ring of so many bytes, and the one who may write to it.
    pub fn new(bytes: usize) -> (Arc<Ring>, RingWriter) {
        let segment_words = SEGMENT_WORDS.min((bytes / 8).max(HEADER_WORDS));
        let segments = (bytes / 8 / segment_words).max(1);
        let ring = Arc::new(Ring {
            segments: (0..segments).map(|_| OnceLock::new()).collect(),
            segment_words,
            words: (segments * segment_words) as u64,
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            origins: Mutex::default(),
            skipped: Counter::default(),
        });
        let writer = RingWriter { ring: Arc::clone(&ring), txns: Vec::new(), last_origin: None };
        (ring, writer)
    }

    /// The delivered rows with this key hash, oldest first; the newest 256 where there are more.
    pub fn find(&self, key_hash: u64) -> Vec<Found> {
        if key_hash == NOT_DELIVERED {
            return Vec::new();
        }
        let mut found = VecDeque::new();
        let mut of_frame = Vec::new();
        let end = self.head.load(Ordering::Acquire);
        // After the end was read: a frame below it names only origins that are known by now.
        let origins = self.origins.lock().expect("never held across a panic").clone();
        let mut at = self.tail.load(Ordering::Acquire);
        while at < end {
            of_frame.clear();
            let len = self.find_in(at, key_hash, &origins, &mut of_frame);
            match self.overtaken(at) {
                Some(tail) => at = tail,
                None => {
                    at += len;
                    found.extend(of_frame.drain(..));
                    found.drain(..found.len().saturating_sub(FOUND_MAX));
                }
            }
        }
        found.into()
    }

    /// How far back it reaches, in seconds; `None` while it is empty.
    pub fn reach_seconds(&self, nanos: u64) -> Option<f64> {
        let end = self.head.load(Ordering::Acquire);
        let mut at = self.tail.load(Ordering::Acquire);
        while at < end {
            let header = self.header(at);
            match self.overtaken(at) {
                Some(tail) => at = tail,
                None => return Some(nanos.saturating_sub(header.times[0]) as f64 * 1e-9),
            }
        }
        None
    }

    /// Batches that were too large to be remembered.
    pub fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    /// Where the oldest frame begins now, if that is past `at`: what was read there may be of any time.
    fn overtaken(&self, at: u64) -> Option<u64> {
        // After the reads, before the load: pairs with the writer's fence between moving the tail and overwriting.
        fence(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Relaxed);
        (tail > at).then_some(tail)
    }

    /// The rows with this hash in the frame at `at`; returns the frame's length. May read nonsense while it is being
    /// overwritten, which the caller finds out; so no number read here is trusted to be in range.
    fn find_in(&self, at: u64, key_hash: u64, origins: &[Origin], found: &mut Vec<Found>) -> u64 {
        let header = self.header(at);
        let (txns, rows) = (u64::from(header.txns), u64::from(header.rows));
        let len = HEADER_WORDS as u64 + txns * TXN_WORDS as u64 + rows;
        if len > self.words {
            return len;
        }
        let first = at + len - rows;
        let (mut row, mut hits) = (0, VecDeque::new());
        while row < rows {
            let run = self.run(first + row, (rows - row) as usize);
            let matches = run.iter().enumerate().filter(|(_, word)| word.load(Ordering::Relaxed) == key_hash);
            hits.extend(matches.map(|(offset, _)| row + offset as u64));
            hits.drain(..hits.len().saturating_sub(FOUND_MAX));
            row += run.len() as u64;
        }
        found.extend(hits.into_iter().filter_map(|row| self.found(at, &header, row, origins)));
        len
    }

    fn found(&self, at: u64, header: &Header, row: u64, origins: &[Origin]) -> Option<Found> {
        let mut first = 0;
        for index in 0..u64::from(header.txns) {
            let words = self.words_at::<TXN_WORDS>(at + HEADER_WORDS as u64 + index * TXN_WORDS as u64);
            let txn = Txn::read(&words);
            let next = first + u64::from(txn.rows);
            if row < next {
                let before = if index == 0 { header.rows_before } else { 0 };
                let origin = txn.origin.and_then(|origin| origins.get(origin as usize));
                let (id, tag) = match origin {
                    None => (TxnId::Anonymous, None),
                    Some(Origin::Uuid(sid, tag)) => (TxnId::Uuid { sid: *sid, gno: txn.number, tag: 0 }, tag.clone()),
                    Some(Origin::Domain(domain, server)) => {
                        (TxnId::Domain { domain: *domain, server: *server, seq: txn.number }, None)
                    }
                };
                return Some(Found {
                    seq: header.seq,
                    rows: header.rows,
                    bytes: header.bytes,
                    times: header.times,
                    acked_wall_micros: header.acked_wall_micros,
                    txn: id,
                    tag,
                    commit: txn.commit,
                    ordinal: before + row - first,
                    place: header.place,
                });
            }
            first = next;
        }
        None
    }

    fn header(&self, at: u64) -> Header {
        Header::read(&self.words_at(at))
    }

    fn words_at<const N: usize>(&self, at: u64) -> [u64; N] {
        std::array::from_fn(|index| self.run(at + index as u64, 1)[0].load(Ordering::Relaxed))
    }

    fn store(&self, at: u64, words: &[u64]) {
        for (index, word) in words.iter().enumerate() {
            self.run(at + index as u64, 1)[0].store(*word, Ordering::Relaxed);
        }
    }

    /// The words from `at` on that lie side by side: at least one, at most `words`.
    #[inline]
    fn run(&self, at: u64, words: usize) -> &[AtomicU64] {
        let index = (at % self.words) as usize;
        let (segment, from) = (index / self.segment_words, index % self.segment_words);
        let made = || (0..self.segment_words).map(|_| AtomicU64::new(0)).collect();
        let segment = self.segments[segment].get_or_init(made);
        &segment[from..self.segment_words.min(from + words)]
    }
}

impl Sampled for Ring {
    fn sample(&self, now: Moment) -> Option<f64> {
        self.reach_seconds(now.nanos)
    }
}

/// What is known of a delivered batch beside the batch itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub bytes: u64,
    pub acked_wall_micros: i64,
    pub place: Option<(i32, (i64, i64))>,
}

/// Which of a batch's rows were delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remember<'a> {
    All,
    /// Those of the tables that are true. The others are kept as [`NOT_DELIVERED`], since a row's ordinal is its place.
    Tables(&'a [bool]),
}

/// The hash of a row that nobody shall find. A key that hashes to it is not found either: one in 2^64.
const NOT_DELIVERED: u64 = 0;

/// The one who writes. Used by one thread at a time.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    /// Rows of each of the batch's transactions; kept for its room.
    txns: Vec<u32>,
    /// The origin of the last transaction and its number: mostly that of the next, too.
    last_origin: Option<(Origin, u16)>,
}

impl RingWriter {
    /// Remembers a batch that has rows. Its rows stand in the order of their transactions.
    pub(crate) fn push(&mut self, batch: &Batch, remember: Remember<'_>, delivery: Delivery) {
        let ring = Arc::clone(&self.ring);
        let len = (HEADER_WORDS + batch.txns.len() * TXN_WORDS + batch.rows.len()) as u64;
        if batch.rows.is_empty() {
            return;
        }
        if len > ring.words {
            ring.skipped.add(1);
            return;
        }
        let at = ring.head.load(Ordering::Relaxed);
        self.make_room(at + len);
        self.write_rows(at + len - batch.rows.len() as u64, batch, remember);
        for (index, txn) in batch.txns.iter().enumerate() {
            let tag = match txn.id {
                TxnId::Uuid { tag, .. } if tag > 0 => batch.tags.get(usize::from(tag) - 1),
                _ => None,
            };
            let (origin, number) = self.origin(txn.id, tag);
            let words = Txn { origin, rows: self.txns[index], number, commit: txn.commit }.words();
            ring.store(at + (HEADER_WORDS + index * TXN_WORDS) as u64, &words);
        }
        ring.store(at, &header(batch, delivery).words());
        ring.head.store(at + len, Ordering::Release);
    }

    /// Forgets the oldest frames until what ends at `end` fits.
    fn make_room(&self, end: u64) {
        let ring = &*self.ring;
        let mut tail = ring.tail.load(Ordering::Relaxed);
        while end - tail > ring.words {
            let header = ring.header(tail);
            tail += (HEADER_WORDS + header.txns as usize * TXN_WORDS + header.rows as usize) as u64;
        }
        ring.tail.store(tail, Ordering::Relaxed);
        // Readers that see one of the words written after this also see the tail.
        fence(Ordering::Release);
    }

    /// Writes the hashes, and counts the rows of each transaction on the way.
    fn write_rows(&mut self, first: u64, batch: &Batch, remember: Remember<'_>) {
        self.txns.clear();
        self.txns.resize(batch.txns.len(), 0);
        let (mut txn, mut since) = (batch.rows[0].txn, 0);
        let mut rows = &batch.rows[..];
        while !rows.is_empty() {
            let done = batch.rows.len() - rows.len();
            let run = self.ring.run(first + done as u64, rows.len());
            let (now, later) = rows.split_at(run.len());
            for (index, (word, row)) in run.iter().zip(now).enumerate() {
                let there = match remember {
                    Remember::All => true,
                    Remember::Tables(there) => there.get(usize::from(row.table)) == Some(&true),
                };
                word.store(if there { row.key_hash } else { NOT_DELIVERED }, Ordering::Relaxed);
                if row.txn != txn {
                    self.txns[txn as usize] += (done + index - since) as u32;
                    (txn, since) = (row.txn, done + index);
                }
            }
            rows = later;
        }
        self.txns[txn as usize] += (batch.rows.len() - since) as u32;
    }

    /// The number of a transaction's origin, and its own number there.
    fn origin(&mut self, id: TxnId, tag: Option<&Arc<str>>) -> (Option<u16>, u64) {
        let (origin, number) = match id {
            TxnId::Anonymous => return (None, 0),
            TxnId::Uuid { sid, gno, .. } => (Origin::Uuid(sid, tag.cloned()), gno),
            TxnId::Domain { domain, server, seq } => (Origin::Domain(domain, server), seq),
        };
        if let Some((last, index)) = &self.last_origin
            && *last == origin
        {
            return (Some(*index), number);
        }
        let mut origins = self.ring.origins.lock().expect("never held across a panic");
        let index = match origins.iter().position(|known| *known == origin) {
            Some(index) => index,
            None if origins.len() < ORIGINS_MAX => {
                origins.push(origin.clone());
                origins.len() - 1
            }
            None => return (None, 0),
        };
        self.last_origin = Some((origin, index as u16));
        (Some(index as u16), number)
    }
}

fn header(batch: &Batch, delivery: Delivery) -> Header {
    let StageTimes { read, queued, decoded, transformed, encoded, sent, acked, saved } = batch.times;
    Header {
        times: [read, queued, decoded, transformed, encoded, sent, acked, saved],
        seq: batch.seq,
        rows: batch.rows.len() as u32,
        txns: batch.txns.len() as u32,
        bytes: delivery.bytes,
        acked_wall_micros: delivery.acked_wall_micros,
        rows_before: batch.txns.first().map_or(0, |txn| txn.rows_before),
        place: delivery.place,
    }
}

#[cfg(test)]
mod tests;
