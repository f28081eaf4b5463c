//! What is remembered of a row once its batch is gone.
//!
//! Owns: the number that stands for a row's key and operation. Does not own: the key's hash (`keyhash`), where marks are
//! kept (the ring of `limpid-telemetry`).
//!
//! Invariant: no mark is zero, so that zero is free to stand for no row.

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

    /// As a number, which is never zero.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The mark that a number stands for; `None` for one that is none.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if matches!(bits & OP_BITS, 1..=5) { Some(Self(bits)) } else { None }
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
            assert_eq!(RowMark::from_bits(mark.to_bits()), Some(mark));
            assert_ne!(RowMark::new(0, op).to_bits(), 0);
        }
        assert_eq!([0, 6, 7, 8].map(RowMark::from_bits), [None; 4]);
    }
}
