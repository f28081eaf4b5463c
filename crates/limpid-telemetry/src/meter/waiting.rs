//! Batches that are with the sink, and what is not told of yet.
//!
//! Owns: what is kept of a batch until it is told of, how much waits. Does not own: telling (`deliveries`), what an outline says.
//!
//! Invariant: each batch is told of as handed in before it is told of as delivered. What was kept of one is room for the next.

use std::collections::VecDeque;
use std::sync::Arc;

use limpid_model::{Batch, RowMark};
use smallvec::SmallVec;

use super::DeliveredTo;
use crate::moment::Moment;
use crate::outline::Outline;
use crate::ring::Fate;

/// So much is told of at once: half of it batches that are handed in, half of it such that are delivered. What telling touches beside the
/// batch, its own code above all, is in no cache any more when the next batch comes: told of by itself a batch takes twice as long as
/// behind another. At full speed it is a tenth of a second's.
const TOLD_AT_ONCE: usize = 64;

/// The room of an outline is kept for the next unless it is one of many small transactions, of which each takes a hundred bytes.
const TXNS_KEPT: usize = 64;

#[derive(Default)]
pub(super) struct Waiting {
    /// In the order in which they were handed in.
    batches: VecDeque<Known>,
    /// So many of the last are not told of as handed in.
    new: usize,
    /// The numbers of those that are delivered, in the order in which they were.
    delivered: VecDeque<u64>,
    /// Some that were told of, for their room.
    #[expect(clippy::vec_box, reason = "they are handed on without being moved")]
    spare: Vec<Box<One>>,
    /// No marks: of those in `spare`.
    none: Arc<Vec<RowMark>>,
}

/// What is looked for stands beside, so that nothing is read of a batch that is not.
struct Known {
    seq: u64,
    is_delivered: bool,
    one: Box<One>,
}

/// A batch that is with the sink or not told of.
#[derive(Default)]
pub(super) struct One {
    pub outline: Outline,
    /// The wall clock when it was handed in; `None` for one without rows, of which nobody is told before it is delivered.
    pub handed_in: Option<i64>,
    /// Rows of it that go no further.
    pub kept: Vec<(u32, Fate)>,
    pub delivered: Delivered,
}

/// What is known of a batch once it is delivered.
#[derive(Default)]
pub(super) struct Delivered {
    pub record_bytes: usize,
    pub now: Moment,
    /// The time before which every commit was known to be at the sink then.
    pub fresh: Option<i64>,
    to: Vec<To>,
}

/// As [`DeliveredTo`].
#[derive(Default)]
struct To {
    table: u16,
    place: Option<Box<str>>,
    partition: i32,
    offsets: (i64, i64),
    records: u32,
    last_bytes: Option<u32>,
}

impl Waiting {
    /// A batch is handed in. Its marks are taken; so are `kept`, its rows that go no further. True when it is time to tell.
    pub(super) fn handed_in(&mut self, batch: &mut Batch, kept: &mut Vec<(u32, Fate)>, wall_micros: i64) -> bool {
        let one = self.begin(batch.seq);
        one.outline.take(batch);
        one.handed_in = Some(wall_micros);
        std::mem::swap(&mut one.kept, kept);
        self.is_time()
    }

    /// A batch is delivered. True when it is time to tell.
    pub(super) fn delivered(
        &mut self,
        batch: &Batch,
        record_bytes: usize,
        delivered: &[DeliveredTo<'_>],
        (now, fresh): (Moment, Option<i64>),
    ) -> bool {
        let is_it = |known: &Known| known.seq == batch.seq && !known.is_delivered;
        let at = self.batches.iter().position(is_it).unwrap_or_else(|| {
            self.begin(batch.seq).outline.note(batch);
            self.batches.len() - 1
        });
        let Known { is_delivered, one, .. } = &mut self.batches[at];
        *is_delivered = true;
        one.outline.times = batch.times;
        (one.delivered.record_bytes, one.delivered.now, one.delivered.fresh) = (record_bytes, now, fresh);
        one.delivered.note(delivered);
        self.delivered.push_back(batch.seq);
        self.is_time()
    }

    fn begin(&mut self, seq: u64) -> &mut One {
        let mut one = self.spare.pop().unwrap_or_default();
        one.handed_in = None;
        one.kept.clear();
        self.new += 1;
        self.batches.push_back(Known { seq, is_delivered: false, one });
        &mut self.batches.back_mut().expect("one was just put there").one
    }

    fn is_time(&self) -> bool {
        self.new + self.delivered.len() >= TOLD_AT_ONCE
    }

    /// Those that are not told of as handed in, which then are.
    pub(super) fn handed_in_since(&mut self) -> impl Iterator<Item = &One> {
        let told = self.batches.len() - std::mem::take(&mut self.new);
        self.batches.range(told..).map(|known| &*known.one)
    }

    /// The next to tell of as delivered.
    pub(super) fn next_delivered(&mut self) -> Option<Box<One>> {
        let seq = self.delivered.pop_front()?;
        let at = self.batches.iter().position(|known| known.is_delivered && known.seq == seq)?;
        self.batches.remove(at).map(|known| known.one)
    }

    /// Of one nothing is to be told any more.
    pub(super) fn is_told(&mut self, mut one: Box<One>) {
        if self.spare.len() < TOLD_AT_ONCE && one.outline.txns.capacity() <= TXNS_KEPT {
            // Marks are not room but somebody's memory.
            one.outline.marks = Arc::clone(&self.none);
            self.spare.push(one);
        }
    }

    /// Those that are with the sink come again, under other numbers.
    pub(super) fn forget(&mut self) {
        (self.new, self.delivered) = (0, VecDeque::new());
        self.batches.clear();
    }
}

impl Delivered {
    fn note(&mut self, delivered: &[DeliveredTo<'_>]) {
        self.to.resize_with(delivered.len(), To::default);
        for (to, DeliveredTo { table, place, partition, offsets, records, last_bytes }) in
            self.to.iter_mut().zip(delivered)
        {
            if to.place.as_deref() != *place {
                to.place = place.map(Into::into);
            }
            (to.table, to.partition, to.offsets) = (*table, *partition, *offsets);
            (to.records, to.last_bytes) = (*records, *last_bytes);
        }
    }

    pub(super) fn to(&self) -> SmallVec<[DeliveredTo<'_>; 4]> {
        self.to.iter().map(To::as_it_came).collect()
    }
}

impl To {
    fn as_it_came(&self) -> DeliveredTo<'_> {
        DeliveredTo {
            table: self.table,
            place: self.place.as_deref(),
            partition: self.partition,
            offsets: self.offsets,
            records: self.records,
            last_bytes: self.last_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
