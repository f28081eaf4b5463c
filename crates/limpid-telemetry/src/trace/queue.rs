//! Kept transactions on their way to whoever sends them.
//!
//! Owns: the bound, the counters of what becomes of traces. Does not own: sending (the binary).
//!
//! Invariant: nobody who puts in ever waits; what does not fit is dropped, counted, and no trace's exemplar.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::keep::Why;
use super::kept::KeptTrace;
use crate::catalogue::{TRACES_DROPPED_TOTAL, TRACES_KEPT_TOTAL, TRACES_SENT_TOTAL};
use crate::instruments::Counter;
use crate::registry::Registry;

/// Some 8,000 transactions of one batch each.
pub(crate) const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Why a trace was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// More wait than there is room for: the collector is slow or away.
    QueueFull,
    /// Too many with a reason this second.
    Spared,
    /// The collector does not answer.
    Unreachable,
    /// The collector answers that it does not want them.
    Refused,
    /// The process ended first.
    Stopped,
}

impl Dropped {
    const ALL: [Dropped; 5] =
        [Dropped::QueueFull, Dropped::Spared, Dropped::Unreachable, Dropped::Refused, Dropped::Stopped];

    /// The label.
    pub const fn word(self) -> &'static str {
        match self {
            Dropped::QueueFull => "queue_full",
            Dropped::Spared => "rate",
            Dropped::Unreachable => "unreachable",
            Dropped::Refused => "refused",
            Dropped::Stopped => "stopped",
        }
    }
}

/// Between the delivery and the sender.
#[derive(Debug)]
pub struct TraceQueue {
    waiting: Mutex<Waiting>,
    bytes_max: usize,
    kept: [Arc<Counter>; Why::ALL.len()],
    dropped: [Arc<Counter>; Dropped::ALL.len()],
    sent: Arc<Counter>,
}

#[derive(Debug, Default)]
struct Waiting {
    traces: VecDeque<(KeptTrace, usize)>,
    bytes: usize,
}

impl TraceQueue {
    pub(crate) fn new(registry: &Registry, pipeline: &str, bytes_max: usize) -> Arc<Self> {
        let kept = Why::ALL.map(|why| registry.counter(&TRACES_KEPT_TOTAL, &[pipeline, why.word()]));
        let dropped = Dropped::ALL.map(|why| registry.counter(&TRACES_DROPPED_TOTAL, &[pipeline, why.word()]));
        let sent = registry.counter(&TRACES_SENT_TOTAL, &[pipeline]);
        Arc::new(Self { waiting: Mutex::default(), bytes_max, kept, dropped, sent })
    }

    /// False where there was no room.
    pub(crate) fn put(&self, trace: KeptTrace) -> bool {
        let (bytes, why) = (trace.bytes(), trace.why);
        let mut waiting = self.waiting.lock().expect("never held across a panic");
        let has_room = waiting.bytes + bytes <= self.bytes_max;
        if has_room {
            waiting.bytes += bytes;
            waiting.traces.push_back((trace, bytes));
        }
        drop(waiting);
        if has_room {
            self.kept[Why::ALL.iter().position(|known| *known == why).unwrap_or_default()].add(1);
        } else {
            self.dropped(Dropped::QueueFull, 1);
        }
        has_room
    }

    /// The oldest, at most so many.
    pub fn take(&self, traces_max: usize) -> Vec<KeptTrace> {
        let mut waiting = self.waiting.lock().expect("never held across a panic");
        let count = traces_max.min(waiting.traces.len());
        let taken: Vec<(KeptTrace, usize)> = waiting.traces.drain(..count).collect();
        waiting.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_iter().map(|(trace, _)| trace).collect()
    }

    /// So many will not be sent.
    pub fn dropped(&self, why: Dropped, traces: usize) {
        self.dropped[Dropped::ALL.iter().position(|known| *known == why).unwrap_or_default()].add(traces as u64);
    }

    /// So many were taken by the collector.
    pub fn sent(&self, traces: usize) {
        self.sent.add(traces as u64);
    }
}
