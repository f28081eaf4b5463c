//! Kafka transactions, as far as one client has them.
//!
//! Owns: the calls that fence, begin, commit and undo, and what librdkafka says to them. Does not own: what goes into a
//! transaction (`producer`), when it ends (`sink::saving`), faults (`faults`).
//!
//! Invariant: a commit is one call, never resumed. librdkafka hands results over in a single place: a call that gives up
//! while its first step is still queued leaves a result behind that the next call takes for its own (seen: a commit
//! "done" that was never sent, and librdkafka's own assertion). Whoever gives up makes a new client. And a commit is
//! asked for only when every message is reported and its event is dropped: librdkafka waits for that, and nobody else
//! polls our queue.

use rdkafka_sys as rd;

use super::client::{Client, Code, text};
use crate::faults::Said;

mod raw {
    use std::ffi::c_int;

    use rdkafka_sys as rd;

    // As in `client`: codes are numbers.
    unsafe extern "C" {
        pub fn rd_kafka_error_code(error: *const rd::rd_kafka_error_t) -> c_int;
    }
}

/// One call's share of a wait for fencing.
const FENCE_STEP_MS: i32 = 2_000;

/// How long a commit may take: two round trips, or a broker that comes back after a kill.
pub(crate) const COMMIT_MS_MAX: i32 = 10_000;

/// One call's share of undoing.
const UNDO_STEP_MS: i32 = 100;

/// How far a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// Call again.
    Pending,
}

impl Client {
    /// Takes the transactional id over: what an earlier holder left open is aborted, and the holder is shut out.
    pub fn init_transactions(&self) -> Result<Progress, Said> {
        // SAFETY: the handle lives; the error is ours.
        progress(unsafe { rd::rd_kafka_init_transactions(self.raw(), FENCE_STEP_MS) })
    }

    pub fn begin_transaction(&self) -> Result<(), Said> {
        // SAFETY: as above.
        progress(unsafe { rd::rd_kafka_begin_transaction(self.raw()) }).map(drop)
    }

    /// Blocks until it is through. After an error this client commits nothing more.
    pub fn commit_transaction(&self) -> Result<(), Said> {
        // SAFETY: as above.
        let progress = progress(unsafe { rd::rd_kafka_commit_transaction(self.raw(), COMMIT_MS_MAX) })?;
        match progress {
            Progress::Done => Ok(()),
            Progress::Pending => Err(super::send::said(Code::TIMED_OUT)),
        }
    }

    pub fn abort_transaction(&self) -> Result<Progress, Said> {
        // SAFETY: as above.
        progress(unsafe { rd::rd_kafka_abort_transaction(self.raw(), UNDO_STEP_MS) })
    }
}

/// Takes an error over. What librdkafka calls retriable is not over yet, or was not begun for a passing reason.
fn progress(error: *mut rd::rd_kafka_error_t) -> Result<Progress, Said> {
    if error.is_null() {
        return Ok(Progress::Done);
    }
    // SAFETY: the error is ours, read before it is destroyed, once.
    unsafe {
        let is_retriable = rd::rd_kafka_error_is_retriable(error) != 0;
        let said = Said { code: Code(raw::rd_kafka_error_code(error)), text: text(rd::rd_kafka_error_string(error)) };
        rd::rd_kafka_error_destroy(error);
        if is_retriable { Ok(Progress::Pending) } else { Err(said) }
    }
}
