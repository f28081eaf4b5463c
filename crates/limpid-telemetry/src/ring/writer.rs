//! Who writes into the ring.
//!
//! Owns: frames as batches are handed to the sink, and what is known of them once they are acknowledged. Does not own:
//! reading.
//!
//! Invariant: a row's mark is written once; of a frame that is in the ring already only the header, the places and the
//! rows that were not delivered after all change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use limpid_model::{Batch, Op, RowMark, StageTimes, TxnId};

use super::frame::{COMPLETING, Fate, Header, Place, STATE_WORD, Txn, exception, read_exception};
use super::{ORIGINS_MAX, Origin, Ring};

/// Places that a batch of many rows has room for.
const PLACES_MAX: usize = 16;

/// The place of a batch that was too large.
const SKIPPED: u64 = u64::MAX;

/// What is known of a delivered batch beside the batch itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub bytes: u64,
    pub acked_wall_micros: i64,
    pub places: &'a [PlaceOf],
}

/// Records of one table that went to one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceOf {
    /// The table's seed.
    pub table: u64,
    pub partition: i32,
    pub offsets: (i64, i64),
    pub records: u32,
}

/// Which of a batch's rows were delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remember<'a> {
    All,
    /// Those of the tables that are true. The others are found no longer: their table is halted.
    Tables(&'a [bool]),
}

/// Instead of the mark of a row that nobody shall find; it stays, since a row's ordinal is its place.
const NOT_DELIVERED: u64 = 0;

/// The one who writes. Used by one thread at a time.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    /// Rows of each of the batch's transactions; kept for its room.
    txns: Vec<u32>,
    /// The origin of the last transaction and its number: mostly that of the next, too.
    last_origin: Option<(Origin, u16)>,
    attempt: u32,
    /// Frames whose batches are with the sink. As many as are in flight.
    open: VecDeque<Open>,
    /// Words of each frame in the ring, the oldest first: so that nothing is read of the ring, which is in nobody's cache,
    /// when a frame is forgotten. A batch of one row has 25 words, so 16 MiB have 84,000 at the most.
    lens: VecDeque<u32>,
}

/// A frame that is completed later.
#[derive(Debug)]
struct Open {
    seq: u64,
    /// Where it begins, or [`SKIPPED`].
    at: u64,
    header: Header,
}

impl RingWriter {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, txns: Vec::new(), last_origin: None, attempt: 0, open: VecDeque::new(), lens: VecDeque::new() }
    }

    /// An attempt begins: what the one before had with the sink comes again.
    pub(crate) fn started(&mut self) {
        self.attempt += 1;
        self.open.clear();
    }

    /// Remembers a batch that is handed to the sink, if it has rows. They stand in the order of their transactions.
    /// `kept` are those that go no further, in their order.
    pub(crate) fn push(&mut self, batch: &Batch, kept: &[(u32, Fate)], wall_micros: i64) {
        if batch.rows.is_empty() {
            return;
        }
        let header = self.header(batch, kept.len(), wall_micros);
        let parts = header.parts();
        let ring = Arc::clone(&self.ring);
        if parts.len > ring.words {
            ring.skipped.add(1);
            self.txns.clear();
            self.open.push_back(Open { seq: batch.seq, at: SKIPPED, header });
            return;
        }
        let at = ring.head.load(Ordering::Relaxed);
        self.make_room(at + parts.len);
        if batch.marks.len() == batch.rows.len() {
            ring.store_each(at + parts.rows, &batch.marks, |mark| mark.to_bits());
        } else {
            // Of a decoder that makes none: its rows are found by their transactions alone.
            ring.store_each(at + parts.rows, &batch.rows, |row| RowMark::new(0, row.op).to_bits());
        }
        count_rows(batch, &mut self.txns);
        for (index, txn) in batch.txns.iter().enumerate() {
            let tag = match txn.id {
                TxnId::Uuid { tag, .. } if tag > 0 => batch.tags.get(usize::from(tag) - 1),
                _ => None,
            };
            let (origin, number) = self.origin(txn.id, tag);
            let words = Txn { origin, rows: self.txns[index], number, commit: txn.commit }.words();
            ring.store(at + parts.txns + (index * words.len()) as u64, &words);
        }
        let filtered = batch.filtered.iter().map(|filtered| (filtered.row, Fate::Filtered(filtered.rule)));
        for (index, (row, fate)) in filtered.chain(kept.iter().copied()).enumerate() {
            ring.store(at + parts.exceptions + index as u64, &[exception(row, fate)]);
        }
        ring.store(at, &header.words());
        ring.head.store(at + parts.len, Ordering::Release);
        self.lens.push_back(parts.len as u32);
        self.open.push_back(Open { seq: batch.seq, at, header });
    }

    /// The rows of each transaction of the batch that was pushed last; `None` where it was too large.
    pub(crate) fn rows_of_txns(&self) -> Option<&[u32]> {
        (!self.txns.is_empty()).then_some(&self.txns)
    }

    fn header(&self, batch: &Batch, kept: usize, wall_micros: i64) -> Header {
        let rows = |counts: &&[u32; Op::COUNT]| **counts != [0; Op::COUNT];
        Header {
            times: times(batch),
            seq: batch.seq,
            rows: batch.rows.len() as u32,
            txns: batch.txns.len() as u32,
            bytes: 0,
            wall_micros,
            rows_before: batch.txns.first().map_or(0, |txn| txn.rows_before),
            exceptions: (batch.filtered.len() + kept) as u32,
            places: batch.rows.len().min(PLACES_MAX) as u16,
            tables: batch.counts.iter().filter(rows).count() as u16,
            placed: 0,
            attempt: self.attempt,
            done: false,
            places_lost: false,
        }
    }

    /// Every record of a batch is durable. One that was not remembered before is now.
    pub(crate) fn complete(&mut self, batch: &Batch, remember: Remember<'_>, delivery: Delivery<'_>) {
        let known = |open: &VecDeque<Open>| open.iter().position(|open| open.seq == batch.seq);
        let found = known(&self.open).or_else(|| {
            self.push(batch, &[], delivery.acked_wall_micros);
            known(&self.open)
        });
        let Some(Open { at, mut header, .. }) = found.and_then(|index| self.open.remove(index)) else { return };
        let ring = &*self.ring;
        // So many batches followed it that it is overwritten.
        if at == SKIPPED || at < ring.tail.load(Ordering::Relaxed) {
            return;
        }
        let parts = header.parts();
        if let Remember::Tables(there) = remember {
            self.forget(at, &header, batch, there);
        }
        let state = &ring.run(at + STATE_WORD as u64, 1)[0];
        state.store(header.words()[STATE_WORD] | COMPLETING, Ordering::Relaxed);
        // Whoever sees one of the words written after this also sees that.
        fence(Ordering::Release);
        let room = usize::from(header.places);
        for (index, place) in delivery.places.iter().take(room).enumerate() {
            let PlaceOf { table, partition, offsets, records } = *place;
            let words = Place { table, partition, records, offsets }.words();
            ring.store(at + parts.places + (index * words.len()) as u64, &words);
        }
        header.places_lost = delivery.places.len() > room;
        header.placed = delivery.places.len().min(room) as u16;
        (header.times, header.bytes) = (times(batch), delivery.bytes);
        (header.wall_micros, header.done) = (delivery.acked_wall_micros, true);
        let words = header.words();
        ring.store(at, &words[..STATE_WORD]);
        ring.store(at + STATE_WORD as u64 + 1, &words[STATE_WORD + 1..]);
        // Whoever reads that it is done reads all of the above too.
        state.store(words[STATE_WORD], Ordering::Release);
    }

    /// Rows of tables that were halted while the batch was with the sink, but for those whose fate is known.
    fn forget(&self, at: u64, header: &Header, batch: &Batch, there: &[bool]) {
        let parts = header.parts();
        let word = |place: u64| self.ring.run(at + place, 1)[0].load(Ordering::Relaxed);
        let fates = (0..u64::from(header.exceptions)).map(|index| read_exception(word(parts.exceptions + index)).0);
        let fates: std::collections::HashSet<u32> = fates.collect();
        for (index, row) in batch.rows.iter().enumerate() {
            if there.get(usize::from(row.table)) != Some(&true) && !fates.contains(&(index as u32)) {
                self.ring.store(at + parts.rows + index as u64, &[NOT_DELIVERED]);
            }
        }
    }

    /// Forgets the oldest frames until what ends at `end` fits.
    fn make_room(&mut self, end: u64) {
        let ring = &*self.ring;
        let mut tail = ring.tail.load(Ordering::Relaxed);
        while end - tail > ring.words {
            // The frames lie one after the other from the tail on.
            tail += u64::from(self.lens.pop_front().expect("what is in the ring is in frames"));
        }
        ring.tail.store(tail, Ordering::Relaxed);
        // Readers that see one of the words written after this also see the tail.
        fence(Ordering::Release);
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

/// Counts the rows of each transaction: by its events, unless those do not tell.
fn count_rows(batch: &Batch, txns: &mut Vec<u32>) {
    txns.clear();
    txns.resize(batch.txns.len(), 0);
    let mut told = 0;
    for event in batch.events.iter().filter(|event| event.rows > 0) {
        txns[event.txn as usize] += event.rows;
        told += event.rows as usize;
    }
    if told != batch.rows.len() {
        txns.fill(0);
        batch.rows.iter().for_each(|row| txns[row.txn as usize] += 1);
    }
}

fn times(batch: &Batch) -> [u64; 8] {
    let StageTimes { read, queued, decoded, transformed, encoded, sent, acked, saved } = batch.times;
    [read, queued, decoded, transformed, encoded, sent, acked, saved]
}
