//! What an operator asks of a pipeline: copies of tables, pauses, another position, another try.
//!
//! Owns: requests until an attempt takes them, the pause of copies and that of all reading. Does not own: who may ask (`limpid-server`), the plan.
//!
//! Invariant: a request is kept until an attempt runs that can take it; a pause outlives attempts, not the process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use limpid_model::TableName;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyRequest {
    /// Copies the table from its beginning, whatever was copied of it before; only rows that meet the condition.
    Table {
        table: TableName,
        condition: Option<String>,
    },
    /// Reads no further chunk until resumed.
    Pause,
    Resume,
    /// Gives up what an operator asked for; the copy that the pipeline's file asks for goes on.
    Stop,
}

/// Shared by a pipeline's handle and its attempts.
#[derive(Debug, Default)]
pub(crate) struct Control {
    waiting: Mutex<Vec<CopyRequest>>,
    any: AtomicBool,
    paused: AtomicBool,
    stream_paused: AtomicBool,
    /// The reader has seen the pause and reads no more.
    stands: AtomicBool,
    /// Where the stream is to go on instead.
    target: Mutex<Option<String>>,
    is_moving: AtomicBool,
    /// A halted pipeline is to be tried again.
    again: AtomicBool,
}

impl Control {
    pub(crate) fn ask(&self, request: CopyRequest) {
        match request {
            CopyRequest::Pause => self.paused.store(true, Ordering::Release),
            CopyRequest::Resume => self.paused.store(false, Ordering::Release),
            request => {
                self.waiting.lock().expect("never held across a panic").push(request);
                self.any.store(true, Ordering::Release);
            }
        }
    }

    /// Whether nothing further is to be read, neither of the log nor of tables.
    pub(crate) fn stream_is_paused(&self) -> bool {
        self.stream_paused.load(Ordering::Acquire)
    }

    /// For the reader: whether it is to stand, which it does from here on.
    pub(crate) fn stand_if_paused(&self) -> bool {
        let is_paused = self.stream_is_paused();
        self.stands.store(is_paused, Ordering::Release);
        is_paused
    }

    /// Whether nothing further is read.
    pub(crate) fn stands(&self) -> bool {
        self.stream_is_paused() && self.stands.load(Ordering::Acquire)
    }

    pub(crate) fn pause_stream(&self, is_paused: bool) {
        self.stream_paused.store(is_paused, Ordering::Release);
    }

    /// The stream is to go on at this position.
    pub(crate) fn move_to(&self, target: String) {
        let mut asked = self.target.lock().expect("never held across a panic");
        *asked = Some(target);
        // Under the lock: cleared with the target, it must not outlive it.
        self.is_moving.store(true, Ordering::Release);
    }

    /// For the reader: whether the attempt is to end, so that another begins elsewhere.
    pub(crate) fn is_moving(&self) -> bool {
        self.is_moving.load(Ordering::Acquire)
    }

    /// Where the next attempt begins, if somebody asked for a place; kept until [`Control::moved`].
    pub(crate) fn target(&self) -> Option<String> {
        self.target.lock().expect("never held across a panic").clone()
    }

    /// The stream stands at `target`, or cannot. One that was asked for meanwhile is still to come.
    pub(crate) fn moved(&self, target: &str) {
        let mut asked = self.target.lock().expect("never held across a panic");
        if asked.as_deref() == Some(target) {
            *asked = None;
            self.is_moving.store(false, Ordering::Release);
        }
    }

    pub(crate) fn try_again(&self) {
        self.again.store(true, Ordering::Release);
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_again(&self) -> bool {
        self.again.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire) || self.stream_is_paused()
    }

    /// What was asked since the last call.
    pub(crate) fn take(&self) -> Vec<CopyRequest> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.waiting.lock().expect("never held across a panic"))
    }
}
