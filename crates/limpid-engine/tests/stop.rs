//! A stop is answered in its time, whatever the sink does.
//!
//! Owns: sinks that take nothing, or acknowledge nothing, on a clock that is turned by hand. Does not own: drains that
//! end well (`limpid-e2e`).
//!
//! Invariant: nothing here waits for real time but the test's own patience.
#![expect(clippy::disallowed_methods, reason = "a pipeline runs on a thread of its own")]

#[path = "memory/pipeline.rs"]
mod pipeline;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Keeping, Sink, SinkEvent};
use limpid_engine::Outcome;
use limpid_model::{Fault, FaultCode};

use pipeline::{Running, until};

/// A sink that gets no further once it has a batch.
struct Stuck {
    clock: Clock,
    takes: bool,
    keeping: Keeping,
    was_asked: Arc<AtomicBool>,
    held: Vec<EncodedBatch>,
}

impl Sink for Stuck {
    fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }
    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        self.was_asked.store(true, Ordering::SeqCst);
        if !self.takes {
            return Ok(Accepted::Full(batch));
        }
        self.held.push(*batch);
        Ok(Accepted::Taken)
    }
    fn poll(&mut self, wait: Duration, _: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        // A manual clock is moved on by this, and no real time passes.
        self.clock.sleep(wait.max(Duration::from_millis(1)));
        std::thread::yield_now();
        Ok(())
    }
    fn keeping(&self) -> Keeping {
        self.keeping
    }
    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn save_record(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    fn held_bytes(&self) -> (u64, u64) {
        (self.held.len() as u64, 1 << 20)
    }
    fn endpoint(&self) -> String {
        "stuck".to_owned()
    }
}

/// What the pipeline ends with when it is stopped while its sink is stuck.
fn stopped(takes: bool, transactions: usize) -> Outcome {
    let clock = Clock::manual();
    // Far more than what may be in flight.
    let log = [vec![1], vec![2]].into_iter().chain((0..transactions).map(|_| (0..20_000).collect())).collect();
    let was_asked = Arc::new(AtomicBool::new(false));
    let keeping = Keeping::Nowhere;
    let sink = Stuck { clock: clock.clone(), takes, keeping, was_asked: Arc::clone(&was_asked), held: Vec::new() };
    let running = Running::start(log, Box::new(sink), &clock);
    until("the sink to be asked", || was_asked.load(Ordering::SeqCst));
    running.stop()
}

fn is_timed_out(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Halted(fault) if fault.code() == FaultCode::DrainTimedOut)
}

#[test]
fn a_sink_that_is_full_does_not_keep_a_stop_from_being_answered() {
    let outcome = stopped(false, 0);
    assert!(is_timed_out(&outcome), "{outcome:?}");
}

#[test]
fn a_sink_that_acknowledges_nothing_does_not_either_while_the_reader_waits_for_room() {
    let outcome = stopped(true, 100);
    assert!(is_timed_out(&outcome), "{outcome:?}");
}
