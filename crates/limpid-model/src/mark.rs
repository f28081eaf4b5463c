//! What is remembered of a row once its batch is gone.
//!
//! Owns: the number that stands for a row's key and operation, the memory that a batch's marks are in. Does not own: the key's hash
//! (`keyhash`), who remembers rows, and for how long (the ring of `limpid-telemetry`).
//!
//! Invariant: marks that somebody keeps do not change.

use std::ops::Deref;
use std::sync::Arc;

use crate::batch::Op;

/// 61 bits of the hash of a row's key, and what happened to the row. 8 bytes.
///
/// It stands beside [`RowHeader`](crate::RowHeader) instead of in it, so that whoever remembers rows reads a quarter of the
/// lines of memory that both together have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct RowMark(u64);

/// The low bits of a mark, which hold its operation; the others are the hash's own.
const OP_BITS: u64 = 7;

impl RowMark {
    /// What a mark keeps of a key's hash.
    #[inline]
    pub const fn kept_of(key_hash: u64) -> u64 {
        key_hash & !OP_BITS
    }

    /// The mark of a row whose key has this hash.
    #[inline]
    pub const fn new(key_hash: u64, op: Op) -> Self {
        Self(Self::kept_of(key_hash) | (op as u64 + 1))
    }

    /// The hash of the row's key, as far as it is kept: its lowest three bits are zero.
    #[inline]
    pub const fn key_hash(self) -> u64 {
        Self::kept_of(self.0)
    }

    /// What happened to the row.
    pub const fn op(self) -> Op {
        match self.0 & OP_BITS {
            1 => Op::Insert,
            2 => Op::Update,
            3 => Op::Delete,
            4 => Op::Truncate,
            _ => Op::Read,
        }
    }
}

/// The marks of a batch's rows, in memory that outlives the batch where somebody keeps it: so that rows are remembered by whoever
/// decoded them, and nobody reads or writes their marks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Arc<Vec<RowMark>>);

/// Room beyond the rows, as a part of them, which the next batch may need and which is kept with the marks.
const SPARE: usize = 4;

impl Marks {
    /// To add some. What somebody keeps stays as it is.
    pub fn edit(&mut self) -> &mut Vec<RowMark> {
        Arc::make_mut(&mut self.0)
    }

    /// Gives back the room that is not needed, once all are there. For whoever made them, in whose cache they are.
    pub fn fit(&mut self) {
        if self.0.capacity() > enough_for(self.0.len())
            && let Some(own) = Arc::get_mut(&mut self.0)
        {
            own.shrink_to(own.len() + own.len() / (2 * SPARE));
        }
    }

    /// Takes all away, with room for about as many left.
    pub fn clear(&mut self) {
        let len = self.0.len();
        if len == 0 {
            return;
        }
        match Arc::get_mut(&mut self.0) {
            Some(own) if own.capacity() <= enough_for(len) => own.clear(),
            _ => self.0 = Arc::new(Vec::with_capacity(len + len / (2 * SPARE))),
        }
    }

    /// The marks, to keep: themselves, or a copy where most of their room would be kept for nothing.
    pub fn keep(&self) -> Arc<Vec<RowMark>> {
        if self.0.capacity() <= enough_for(self.0.len()) { Arc::clone(&self.0) } else { Arc::new(self.0.to_vec()) }
    }

    /// Room, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<RowMark>()
    }
}

impl Deref for Marks {
    type Target = [RowMark];

    fn deref(&self) -> &[RowMark] {
        &self.0
    }
}

/// The room that so many rows may have.
const fn enough_for(rows: usize) -> usize {
    rows + rows / SPARE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_its_hash_and_tells_operations_apart() {
        for op in [Op::Insert, Op::Update, Op::Delete, Op::Truncate, Op::Read] {
            let mark = RowMark::new(u64::MAX, op);
            assert_eq!((mark.op(), mark.key_hash()), (op, u64::MAX - 7));
        }
    }

    fn marked(numbers: std::ops::Range<u64>) -> Vec<RowMark> {
        numbers.map(|number| RowMark::new(number << 3, Op::Insert)).collect()
    }

    #[test]
    fn what_is_kept_is_what_was_marked_and_stays() {
        let mut marks = Marks::default();
        marks.edit().extend(marked(0..100));
        marks.clear();
        marks.edit().extend(marked(0..100));
        let kept = marks.keep();
        assert!(std::ptr::eq(&marks[0], &kept[0]), "without a copy");
        marks.clear();
        marks.edit().extend(marked(500..600));
        assert_eq!((&kept[..], &marks[..]), (&marked(0..100)[..], &marked(500..600)[..]));
        assert!(!std::ptr::eq(&marks[0], &kept[0]));
    }

    #[test]
    fn what_is_made_to_fit_is_kept_without_a_copy() {
        let mut marks = Marks::default();
        marked(0..1100).into_iter().for_each(|mark| marks.edit().push(mark));
        assert!(!std::ptr::eq(&marks[0], &marks.keep()[0]), "half of the room would be kept for nothing");
        marks.fit();
        let kept = marks.keep();
        assert!(std::ptr::eq(&marks[0], &kept[0]) && kept.capacity() < 1250 && kept[..] == marked(0..1100)[..]);
    }

    #[test]
    fn a_small_batch_does_not_keep_the_room_of_a_large_one() {
        let mut marks = Marks::default();
        marks.edit().extend(marked(0..10_000));
        marks.clear();
        marks.edit().extend(marked(0..10));
        assert_eq!((&marks.keep()[..], marks.keep().capacity()), (&marked(0..10)[..], 10));
        marks.clear();
        assert!(marks.heap_bytes() < 200, "{}", marks.heap_bytes());
    }

    #[test]
    fn batches_of_about_one_size_need_no_new_memory_while_nobody_keeps_them() {
        let mut marks = Marks::default();
        for size in [1000, 1100] {
            marks.edit().extend(marked(0..size));
            marks.clear();
            marks.clear();
        }
        marks.edit().extend(marked(0..1100));
        let room = marks.as_ptr();
        marks.clear();
        marks.edit().extend(marked(0..1200));
        assert_eq!(marks.as_ptr(), room);
    }
}
