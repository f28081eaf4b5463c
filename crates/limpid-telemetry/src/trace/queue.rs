//! Kept transactions on their way to whoever sends them.
//!
//! Owns: how much may wait, the counters of what becomes of traces. Does not own: sending (the binary).
//!
//! Invariant: nobody who puts in ever waits; what does not fit is dropped, counted, and no trace's exemplar.

use std::sync::Arc;

use super::keep::Why;
use super::kept::KeptTrace;
use crate::catalogue::{TRACES_DROPPED_TOTAL, TRACES_KEPT_TOTAL, TRACES_SENT_TOTAL};
use crate::instruments::Counter;
use crate::registry::Registry;
use crate::waiting::{Dropped, Waiting};

/// Some 8,000 transactions of one batch each.
pub(crate) const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Between the delivery and the sender.
#[derive(Debug)]
pub struct TraceQueue {
    waiting: Waiting<KeptTrace>,
    kept: [Arc<Counter>; Why::ALL.len()],
    dropped: [Arc<Counter>; Dropped::ALL.len()],
    sent: Arc<Counter>,
}

impl TraceQueue {
    pub(crate) fn new(registry: &Registry, pipeline: &str, bytes_max: usize) -> Arc<Self> {
        let kept = Why::ALL.map(|why| registry.counter(&TRACES_KEPT_TOTAL, &[pipeline, why.word()]));
        let dropped = Dropped::ALL.map(|why| registry.counter(&TRACES_DROPPED_TOTAL, &[pipeline, why.word()]));
        let sent = registry.counter(&TRACES_SENT_TOTAL, &[pipeline]);
        Arc::new(Self { waiting: Waiting::new(bytes_max), kept, dropped, sent })
    }

    /// False where there was no room.
    pub(crate) fn put(&self, trace: KeptTrace) -> bool {
        let (bytes, why) = (trace.bytes(), trace.why);
        let has_room = self.waiting.put(trace, bytes);
        if has_room {
            self.kept[Why::ALL.iter().position(|known| *known == why).unwrap_or_default()].add(1);
        } else {
            self.dropped(Dropped::QueueFull, 1);
        }
        has_room
    }

    /// The oldest, at most so many.
    pub fn take(&self, traces_max: usize) -> Vec<KeptTrace> {
        self.waiting.take(traces_max)
    }

    /// So many will not be sent.
    pub fn dropped(&self, why: Dropped, traces: usize) {
        self.dropped[why.index()].add(traces as u64);
    }

    /// So many were taken by the collector.
    pub fn sent(&self, traces: usize) {
        self.sent.add(traces as u64);
    }
}
