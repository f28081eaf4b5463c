//! What is remembered of a row once its batch is gone.
//!
//! Owns: the number that stands for a row's key and operation. Does not own: the key's hash (`keyhash`), who remembers rows, and for how
//! long (the ring of `limpid-telemetry`).
//!
//! Invariant: a mark says nothing of a row's values but whether its key may be a given one.

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

/// A batch's marks may have room for so large a part more: the next that gets it may have some more rows.
const SPARE: usize = 4;

/// Gives back what room the marks of a batch do not need, once all are there: whoever remembers its rows keeps their marks as they are. For
/// whoever made them, in whose cache they are.
pub fn fit_marks(marks: &mut Vec<RowMark>) {
    if marks.capacity() > marks.len() + marks.len() / SPARE {
        marks.shrink_to(marks.len() + marks.len() / (2 * SPARE));
    }
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

    fn fitted(rows: u64, room: usize) -> usize {
        let mut marks: Vec<RowMark> = Vec::with_capacity(room);
        marks.extend((0..rows).map(|number| RowMark::new(number << 3, Op::Insert)));
        fit_marks(&mut marks);
        assert!(
            marks.iter().zip(0..).all(|(mark, number)| mark.key_hash() == number << 3) && marks.len() as u64 == rows
        );
        marks.capacity()
    }

    #[test]
    fn a_small_batch_does_not_keep_the_room_of_a_large_one() {
        assert_eq!((fitted(10, 10_000), fitted(1100, 2048)), (11, 1237));
    }

    #[test]
    fn batches_of_about_one_size_need_no_new_memory() {
        assert_eq!((fitted(1000, 1200), fitted(1100, 1237)), (1200, 1237));
    }
}
