//! Marks for the tests of others.
//!
//! Owns: marks of made-up chunks. Does not own: what they mean (`copy`).
//!
//! Invariant: a mark made here is of no chunk that was read.

use super::*;

pub(crate) fn chunk(table: &str, lane: u64, ends: bool) -> Mark {
    let id = ChunkId { table: TableName::new("s", table), lane };
    Mark::Chunk { id, window: touched::Touched::default().open(&TableName::new("s", table)), ends }
}

pub(crate) fn whole(table: &str, rows: u64) -> Mark {
    Mark::Whole { id: ChunkId { table: TableName::new("s", table), lane: 1 }, rows }
}
