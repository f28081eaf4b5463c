//! Delivered batches that are not told of yet.
//!
//! Owns: what is kept of one until then, how many wait. Does not own: which may wait (`output`), telling (the meter).
//!
//! Invariant: told in the order in which they were delivered. What is kept of one keeps its room for the next.

use limpid_model::Batch;
use smallvec::SmallVec;

use super::DeliveredTo;
use crate::moment::Moment;

/// So many are told of at once. What telling touches beside the batch, its own code above all, is in no cache any more when a batch is
/// delivered: told of by itself a batch takes twice as long as behind another. At full speed it is a tenth of a second's.
const TOLD_AT_ONCE: usize = 32;

#[derive(Default)]
pub(super) struct Waiting {
    /// Room for those that wait, and those that do.
    room: Vec<One>,
    count: usize,
}

/// A delivered batch, without its rows.
#[derive(Default)]
pub(super) struct One {
    pub batch: Batch,
    pub record_bytes: usize,
    delivered: Vec<To>,
    pub now: Moment,
    /// The time before which every commit was known to be at the sink when it was delivered.
    pub fresh: Option<i64>,
}

/// As [`DeliveredTo`].
struct To {
    table: u16,
    place: Option<Box<str>>,
    partition: i32,
    offsets: (i64, i64),
    records: u32,
    last_bytes: Option<u32>,
}

impl Waiting {
    /// Keeps what there is to tell; true when it is time to do so.
    pub(super) fn add(
        &mut self,
        batch: &Batch,
        record_bytes: usize,
        delivered: &[DeliveredTo<'_>],
        (now, fresh): (Moment, Option<i64>),
    ) -> bool {
        if self.count == self.room.len() {
            self.room.push(One::default());
        }
        let one = &mut self.room[self.count];
        batch.outline(&mut one.batch);
        (one.record_bytes, one.now, one.fresh) = (record_bytes, now, fresh);
        one.delivered.clear();
        one.delivered.extend(delivered.iter().map(|to| To {
            table: to.table,
            place: to.place.map(Into::into),
            partition: to.partition,
            offsets: to.offsets,
            records: to.records,
            last_bytes: to.last_bytes,
        }));
        self.count += 1;
        self.count == TOLD_AT_ONCE
    }

    /// Those that wait, which then do no longer.
    pub(super) fn take(&mut self) -> &[One] {
        &self.room[..std::mem::take(&mut self.count)]
    }
}

impl One {
    pub(super) fn delivered(&self) -> SmallVec<[DeliveredTo<'_>; 4]> {
        self.delivered.iter().map(To::as_it_came).collect()
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
