//! What a chunk's batches say of it, for whoever follows it on its way.
//!
//! Owns: its numbers and the times of its reading. Does not own: what is made of them (the observer).
//!
//! Invariant: no two chunks that were let in have the same numbers. One that is read again before it was let in has those it
//! had; what is read again after it was, or in another attempt, is another chunk.

use limpid_connector::Chunk;
use limpid_model::ChunkPart;

/// Of which attempt and which source the chunks are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) epoch: u64,
    /// `mariadb` or `mysql`.
    pub(crate) system: &'static str,
}

impl Told {
    /// Tells of a chunk that was read until now.
    pub(super) fn tell(self, chunk: &mut Chunk, (lane, number): (u64, u64), now_nanos: u64) {
        let began = now_nanos.saturating_sub(chunk.took.as_nanos() as u64);
        let (rows, bytes, mut rows_before) = (chunk.rows, chunk.bytes, 0);
        let last = chunk.batches.len().saturating_sub(1);
        for (index, batch) in chunk.batches.iter_mut().enumerate() {
            let (Self { epoch, system }, ends) = (self, index == last);
            let read = now_nanos;
            batch.chunk = Some(ChunkPart { epoch, lane, number, rows, bytes, began, read, rows_before, ends, system });
            rows_before += batch.rows.len() as u64;
        }
    }
}
