//! The reader thread: from the stream into the first channel.
//!
//! Owns: numbering batches, taking budget. Does not own: decoding.
//!
//! Invariant: batches are numbered from 0 without gaps; what happened before a batch travels with it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use limpid_connector::{ChangeStream, Next};
use limpid_model::Fault;

use super::{Ended, Raw, Shared};
use crate::failpoint::{Point, pass};

/// A stop is noticed at least this often.
const LOOK_UP: Duration = Duration::from_millis(100);

pub(super) fn run(mut stream: Box<dyn ChangeStream>, out: &Sender<Raw>, shared: &Shared) -> Result<Ended, Fault> {
    let mut seq = 0;
    let mut encoded = shared.take_spare();
    loop {
        if shared.stop.is_raised() || shared.abort.is_raised() {
            return Ok(Ended::Stopped);
        }
        for table in shared.newly_halted() {
            stream.halt_table(&table);
        }
        let started = shared.clock.nanos();
        match stream.next(&mut encoded.batch, LOOK_UP)? {
            Next::Batch => {}
            Next::Idle => {
                shared.observer.idle(started);
                continue;
            }
            Next::End => return Ok(Ended::Reached),
        }
        pass(Point::AfterRead);
        let batch = &mut encoded.batch;
        batch.seq = seq;
        seq += 1;
        batch.times.read = started;
        let taken = batch.raw_bytes() as u64;
        shared.observer.read(batch);
        if !shared.budget.take(taken, &shared.abort) {
            return Ok(Ended::Stopped);
        }
        batch.times.queued = shared.clock.nanos();
        shared.observer.blocked(batch.times.queued);
        let raw =
            Raw { encoded: std::mem::replace(&mut encoded, shared.take_spare()), events: stream.take_events(), taken };
        if out.send(raw).is_err() {
            return Ok(Ended::Stopped);
        }
        shared.waiting.0.store(out.len(), Ordering::Relaxed);
        pass(Point::AfterQueue);
    }
}
