//! Who writes into the ring.
//!
//! Owns: frames as batches are handed to the sink, and what is known of them once they are acknowledged. Does not own:
//! reading.
//!
//! Invariant: nothing of a batch's rows is copied or looked at, but of rows that were not delivered after all.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use limpid_model::{Op, TxnHeader, TxnId};

use super::frame::{Done, Fate, Frame, PLACES_MAX, Place, Txn};
use super::{ORIGINS_MAX, Origin, Ring};
use crate::outline::Outline;

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

/// The one who writes. Used by one thread at a time.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    /// The origin of the last transaction and its number: mostly that of the next, too.
    last_origin: Option<(Origin, u16)>,
    attempt: u32,
    /// Frames whose batches are with the sink. As many as are in flight.
    open: VecDeque<Open>,
}

/// A frame that is completed later.
#[derive(Debug)]
struct Open {
    /// Beside the frame, so that none is read that is not looked for.
    seq: u64,
    frame: Arc<Frame>,
}

impl RingWriter {
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        Self { ring, last_origin: None, attempt: 0, open: VecDeque::new() }
    }

    /// An attempt begins: what the one before had with the sink comes again.
    pub(crate) fn started(&mut self) {
        self.attempt += 1;
        self.open.clear();
    }

    /// Remembers a batch that is handed to the sink, if it has rows. They stand in the order of their transactions.
    /// `kept` are those that go no further.
    pub(crate) fn push(&mut self, batch: &Outline, kept: &[(u32, Fate)], wall_micros: i64) {
        if batch.marks.is_empty() {
            return;
        }
        let frame = Arc::new(self.frame(batch, kept, wall_micros));
        let bytes = frame.bytes();
        if bytes > self.ring.bytes_max {
            self.ring.skipped.add(1);
        } else {
            let mut frames = self.ring.frames();
            frames.kept.push_back(Arc::clone(&frame));
            frames.bytes += bytes;
            while frames.bytes > self.ring.bytes_max {
                let oldest = frames.kept.pop_front().expect("one frame is not above the bound");
                frames.bytes -= oldest.bytes();
                frames.gone += 1;
                let marks = Arc::into_inner(oldest).and_then(|frame| Arc::into_inner(frame.marks));
                marks.into_iter().for_each(|marks| self.ring.give_room(marks));
            }
        }
        self.open.push_back(Open { seq: batch.seq, frame });
    }

    fn frame(&mut self, batch: &Outline, kept: &[(u32, Fate)], wall_micros: i64) -> Frame {
        let mut runs = batch.runs.iter().copied().peekable();
        let txn = |(index, txn): (usize, &TxnHeader)| {
            let mut rows = 0;
            while let Some(run) = runs.next_if(|run| run.txn == index as u32) {
                rows += run.rows;
            }
            let tag = match txn.id {
                TxnId::Uuid { tag, .. } if tag > 0 => batch.tags().get(usize::from(tag) - 1),
                _ => None,
            };
            let (origin, number) = self.origin(txn.id, tag);
            Txn { origin, rows, number, commit: txn.commit }
        };
        let txns = batch.txns.iter().enumerate().map(txn).collect();
        let filtered = batch.filtered().iter().map(|filtered| (filtered.row, Fate::Filtered(filtered.rule)));
        let has_rows = |counts: &&[u32; Op::COUNT]| **counts != [0; Op::COUNT];
        Frame {
            times: batch.times,
            seq: batch.seq,
            attempt: self.attempt,
            tables: batch.counts.iter().filter(has_rows).count() as u16,
            wall_micros,
            rows_before: batch.txns.first().map_or(0, |txn| txn.rows_before),
            marks: Arc::clone(&batch.marks),
            txns,
            fates: filtered.chain(kept.iter().copied()).collect(),
            done: OnceLock::new(),
        }
    }

    /// Every record of a batch is durable. One that was not remembered before is now.
    pub(crate) fn complete(&mut self, batch: &Outline, remember: Remember<'_>, delivery: Delivery<'_>) {
        let known = |open: &VecDeque<Open>| open.iter().position(|open| open.seq == batch.seq);
        let found = known(&self.open).or_else(|| {
            self.push(batch, &[], delivery.acked_wall_micros);
            known(&self.open)
        });
        let Some(Open { frame, .. }) = found.and_then(|index| self.open.remove(index)) else { return };
        let place = |place: &PlaceOf| {
            let PlaceOf { table, partition, offsets, records } = *place;
            Place { table, partition, records, offsets }
        };
        let done = Done {
            acked: batch.times.acked,
            saved: batch.times.saved,
            bytes: delivery.bytes,
            wall_micros: delivery.acked_wall_micros,
            places: delivery.places.iter().take(PLACES_MAX).map(place).collect(),
            places_lost: delivery.places.len() > PLACES_MAX,
            withheld: match remember {
                Remember::All => Box::default(),
                Remember::Tables(there) => withheld(batch, &frame, there),
            },
        };
        // A frame is completed once: what comes again has a frame of its own.
        let _ = frame.done.set(done);
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
        let mut origins = self.ring.origins();
        let index = match origins.iter().position(|known| *known == origin) {
            Some(index) => index,
            None if origins.len() < ORIGINS_MAX => {
                origins.push(origin.clone());
                origins.len() - 1
            }
            None => return (None, 0),
        };
        drop(origins);
        self.last_origin = Some((origin, index as u16));
        (Some(index as u16), number)
    }
}

/// Rows of tables that were halted while the batch was with the sink, but for those whose fate is known.
fn withheld(batch: &Outline, frame: &Frame, there: &[bool]) -> Box<[bool]> {
    let fates: HashSet<u32> = frame.fates.iter().map(|(row, _)| *row).collect();
    let is_there = |table: u16| there.get(usize::from(table)) == Some(&true);
    let rows = batch.rows().zip(0..);
    rows.map(|((_, table), index)| !is_there(table) && !fates.contains(&index)).collect()
}
