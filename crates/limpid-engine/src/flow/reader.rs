//! The reader thread: from the stream into the first channel.
//!
//! Owns: numbering batches, taking budget. Does not own: decoding.
//!
//! Invariant: batches are numbered from 0 without gaps; what happened before a batch travels with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use limpid_connector::{ChangeStream, Next, StreamEvent};
use limpid_model::{Batch, DdlKind, Definition, Fault, TableName};

use super::{Ended, Raw, Shared};
use crate::copy::{Copying, Passing};
use crate::failpoint::{Point, pass};
use crate::observe::Beat;
use crate::stages::State;

/// A stop is noticed at least this often.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The same while a chunk waits for the stream to reach its fence, and where nothing is done but to copy.
const LOOK_UP_COPYING: Duration = Duration::from_millis(1);

/// Where the next batch goes and which number it has.
struct Lane<'a> {
    out: &'a Sender<Raw>,
    shared: &'a Shared,
    seq: u64,
}

pub(super) fn run(mut stream: Box<dyn ChangeStream>, out: &Sender<Raw>, shared: &Shared) -> Result<Ended, Fault> {
    let mut lane = Lane { out, shared, seq: 0 };
    let mut encoded = shared.take_spare();
    loop {
        if shared.stop.is_raised() || shared.abort.is_raised() {
            return Ok(Ended::Stopped);
        }
        if shared.control.is_moving() {
            return Ok(Ended::Moving);
        }
        if shared.control.stand_if_paused() {
            // The server keeps its log; what it has sent already waits in the socket.
            let _stands = shared.stages.input.during(State::Idle, &shared.clock);
            shared.stop.wait(LOOK_UP);
            continue;
        }
        for table in shared.newly_halted() {
            stream.halt_table(&table);
        }
        if let Some(position) = shared.newly_saved() {
            stream.saved(&position);
        }
        let mut wait = LOOK_UP;
        if let Some(copying) = &shared.copying {
            if copying.is_busy() || shared.ends_when_copied {
                wait = LOOK_UP_COPYING;
            }
            if copying.waits_for_reader() {
                if !copying.stand_if_asked(&mut *stream) {
                    return Ok(Ended::Stopped);
                }
                for passing in copying.admit(&mut *stream) {
                    if !lane.pass(passing) {
                        return Ok(Ended::Stopped);
                    }
                }
            } else if shared.ends_when_copied && copying.is_finished() {
                return Ok(Ended::Reached);
            }
        }
        let started = shared.clock.nanos();
        shared.stages.input.enter(State::Busy, started);
        match stream.next(&mut encoded.batch, wait)? {
            Next::Batch => shared.stages.input.was(stream.waited().as_nanos() as u64, shared.clock.nanos()),
            Next::Idle => {
                shared.stages.input.was(stream.waited().as_nanos() as u64, shared.clock.nanos());
                shared.observer.idle(started);
                continue;
            }
            Next::End => return Ok(Ended::Reached),
        }
        pass(Point::AfterRead);
        encoded.batch.times.read = started + stream.waited().as_nanos() as u64;
        if let Some(copying) = &shared.copying {
            note_definitions(copying, &*stream, &encoded.batch);
        }
        shared.observer.read(&mut encoded.batch);
        let events = stream.take_events();
        tell_beats(&events, shared);
        let full = std::mem::replace(&mut encoded, shared.take_spare());
        if !lane.send(Raw { encoded: full, events, taken: 0, mark: None }) {
            return Ok(Ended::Stopped);
        }
        pass(Point::AfterQueue);
    }
}

/// Heartbeats that came with the batch.
fn tell_beats(events: &[StreamEvent], shared: &Shared) {
    for event in events {
        if let StreamEvent::Heartbeat { instance, number } = event
            && *instance == shared.standing.instance
            && let Some(sent) = shared.standing.beats.seen(*number)
        {
            let took_nanos = shared.clock.nanos().saturating_sub(sent);
            shared.observer.beat(Beat::Seen { took_nanos });
        }
    }
}

/// Tables that come and go under the stream's eyes need no copy, or no cursor any longer.
fn note_definitions(copying: &Copying, stream: &dyn ChangeStream, batch: &Batch) {
    for Definition { kind, schema, table, .. } in &batch.control.ddl {
        let name = TableName { schema: Arc::clone(schema), table: Arc::clone(table) };
        match kind {
            DdlKind::CreateTable if stream.captures(&name) => copying.created(&name),
            DdlKind::DropTable => copying.dropped(&name),
            _ => {}
        }
    }
}

impl Lane<'_> {
    /// Puts a batch of a copied table behind what was sent so far; false: everybody leaves.
    fn pass(&mut self, passing: Passing) -> bool {
        let mut encoded = self.shared.take_spare();
        encoded.batch = passing.batch;
        encoded.batch.times.read = self.shared.clock.nanos();
        self.send(Raw { encoded, events: Vec::new(), taken: 0, mark: Some(passing.mark) })
    }

    /// Numbers and sends a batch once there is room for it; false: everybody leaves.
    fn send(&mut self, mut raw: Raw) -> bool {
        let shared = self.shared;
        let batch = &mut raw.encoded.batch;
        batch.seq = self.seq;
        self.seq += 1;
        raw.taken = batch.raw_bytes() as u64;
        let _held_up = shared.stages.input.during(State::Blocked, &shared.clock);
        if !shared.budget.take(raw.taken, &shared.abort) {
            return false;
        }
        batch.times.queued = shared.clock.nanos();
        if raw.mark.is_none() {
            shared.observer.blocked(batch.times.queued);
        }
        if self.out.send(raw).is_err() {
            return false;
        }
        shared.waiting.0.store(self.out.len(), Ordering::Relaxed);
        true
    }
}
