//! A memory of recent rows: which passed, when, in which batch and transaction, and what became of them.
//!
//! Owns: the frames and their bound in bytes, one writer, any number of readers, the memory of marks while no batch and no frame has
//! it. Does not own: keys (a hash is kept, never a value), what is answered to whom (`trace`, the server).
//!
//! Invariant: a batch is remembered whole or not at all; the oldest batches go first, whole. The writer waits for a reader at most
//! while that takes hold of a few dozen frames; what a reader holds stays as it is until it lets go.
//!
//! A frame is a batch: what was known when it was handed to the sink, the marks of its rows as their decoder made them, 32 bytes
//! a transaction, and, once it is acknowledged, where it went. Nothing is copied or read per row, so that remembering a batch
//! costs the same whatever its size. Frames are looked through from the oldest on: with 0.35 million transactions that takes some
//! 1 ms by key and 28 by trace id, a hash a transaction. People do that now and then; an index would cost the row's path each time.

mod frame;
mod look;
mod writer;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use limpid_model::{RowMark, TxnId};

use crate::instruments::Counter;
use crate::moment::Moment;
use crate::registry::Sampled;
pub use frame::Fate;
use frame::Frame;
pub use look::{Found, Offset};
pub use writer::RingWriter;
pub(crate) use writer::{Delivery, PlaceOf, Remember};

/// What the decision record settled: about 1.8 million rows in bulk, 0.4 million single-row transactions.
pub(crate) const RING_BYTES: usize = 16 * 1024 * 1024;

/// Memory of marks that is kept for batches to come, beside the ring's bytes: 1 MB in bulk. Given back and asked for again it costs more than all else that is done of a batch
/// here, since one thread makes it and another gives it back.
const ROOM_MAX: usize = 64;

/// The marks of a usual batch have a tenth of this room.
const ROOM_ROWS_MAX: usize = 16 * 1024;

/// Distinct servers (with tags) that transactions come from; beyond that they are remembered as anonymous.
const ORIGINS_MAX: usize = 4096;

/// Where a transaction came from, as far as many share it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Uuid([u8; 16], Option<Arc<str>>),
    Domain(u32, u32),
}

/// What readers see.
#[derive(Debug)]
pub struct Ring {
    bytes_max: usize,
    /// Locked by the writer once a batch, by a reader a few times a lookup.
    frames: Mutex<Frames>,
    /// Locked by the writer when a new server turns up, by a reader once a lookup.
    origins: Mutex<Vec<Origin>>,
    /// What forgotten frames had their marks in. Locked by the reader once a batch, by the writer for each that it forgets.
    room: Mutex<Vec<Vec<RowMark>>>,
    /// Batches too large to be remembered.
    skipped: Counter,
    /// A deletion has two records.
    tombstones: bool,
}

/// The frames, the oldest first.
#[derive(Debug, Default)]
struct Frames {
    /// How many were forgotten.
    gone: u64,
    kept: VecDeque<Arc<Frame>>,
    bytes: usize,
}

impl Ring {
    /// A ring of so many bytes, and the one who may write to it.
    pub fn new(bytes: usize, tombstones: bool) -> (Arc<Ring>, RingWriter) {
        let (frames, origins, room) = (Mutex::default(), Mutex::default(), Mutex::default());
        let ring = Arc::new(Ring { bytes_max: bytes, frames, origins, room, skipped: Counter::default(), tombstones });
        let writer = RingWriter::new(Arc::clone(&ring));
        (ring, writer)
    }

    /// How far back it reaches, in seconds; `None` while it is empty.
    pub fn reach_seconds(&self, nanos: u64) -> Option<f64> {
        let oldest = self.frames().kept.front().map(|frame| frame.times.read);
        oldest.map(|read| nanos.saturating_sub(read) as f64 * 1e-9)
    }

    /// Batches that were too large to be remembered.
    pub fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    /// Room for the marks of a batch to come; none while nothing was forgotten.
    pub(crate) fn room(&self) -> Vec<RowMark> {
        self.room.lock().expect("never held across a panic").pop().unwrap_or_default()
    }

    fn give_room(&self, mut marks: Vec<RowMark>) {
        let mut room = self.room.lock().expect("never held across a panic");
        if room.len() < ROOM_MAX && marks.capacity() <= ROOM_ROWS_MAX {
            marks.clear();
            room.push(marks);
        }
    }

    fn frames(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().expect("never held across a panic")
    }

    fn origins(&self) -> MutexGuard<'_, Vec<Origin>> {
        self.origins.lock().expect("never held across a panic")
    }
}

impl Origin {
    /// A transaction with this number from there. The tag's index in it means nothing: the tag stands beside.
    fn txn(&self, number: u64) -> (TxnId, Option<&Arc<str>>) {
        match self {
            Origin::Uuid(sid, tag) => (TxnId::Uuid { sid: *sid, gno: number, tag: 0 }, tag.as_ref()),
            Origin::Domain(domain, server) => (TxnId::Domain { domain: *domain, server: *server, seq: number }, None),
        }
    }
}

impl Sampled for Ring {
    fn sample(&self, now: Moment) -> Option<f64> {
        self.reach_seconds(now.nanos)
    }
}

#[cfg(test)]
mod tests;
