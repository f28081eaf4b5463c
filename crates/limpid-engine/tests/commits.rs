//! When rows that wait for their commit are committed.
//!
//! Owns: a sink whose commits take a time of their own, on a clock that is turned by hand. Does not own: what is in a
//! commit (`limpid-kafka`).
//!
//! Invariant: nothing here waits for real time but the test's own patience.
#![expect(clippy::disallowed_methods, reason = "a pipeline runs on a thread of its own")]

#[path = "memory/pipeline.rs"]
mod pipeline;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Keeping, Sink, SinkEvent};
use limpid_model::Fault;

use pipeline::{Running, until};

/// What a commit takes.
const COMMIT: Duration = Duration::from_millis(300);

/// When commits began and ended, in milliseconds.
type Commits = Arc<Mutex<Vec<(u64, u64)>>>;

/// A sink that takes whatever comes while nothing is being committed.
struct Slow {
    clock: Clock,
    /// What the engine is told that a receipt takes.
    receipt_bytes: u64,
    arrived: Vec<EncodedBatch>,
    receipts: Vec<EncodedBatch>,
    begun: Option<u64>,
    commits: Commits,
}

impl Sink for Slow {
    fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }
    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        if self.begun.is_some() {
            return Ok(Accepted::Full(batch));
        }
        self.arrived.push(*batch);
        Ok(Accepted::Taken)
    }
    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        // A manual clock is moved on by this, and no real time passes.
        self.clock.sleep(wait.max(Duration::from_millis(1)));
        std::thread::yield_now();
        for batch in self.arrived.drain(..) {
            self.receipts.push(*batch.receipt());
            events.push(SinkEvent::Arrived { batch: Box::new(batch), receipt_bytes: self.receipt_bytes });
        }
        let now = self.clock.nanos();
        if let Some(begun) = self.begun.take_if(|begun| now >= *begun + COMMIT.as_nanos() as u64) {
            events.extend(self.receipts.drain(..).map(durable));
            events.push(SinkEvent::RecordSaved);
            self.commits.lock().unwrap().push((begun / 1_000_000, now / 1_000_000));
        }
        Ok(())
    }
    fn keeping(&self) -> Keeping {
        Keeping::Together { every: Duration::from_millis(100), takes_max: Duration::from_secs(1) }
    }
    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn save_record(&mut self, _: &[u8]) -> Result<(), Fault> {
        self.begun = Some(self.clock.nanos());
        Ok(())
    }
    fn held_bytes(&self) -> (u64, u64) {
        (0, 1 << 20)
    }
    fn endpoint(&self) -> String {
        "slow".to_owned()
    }
}

fn durable(receipt: EncodedBatch) -> SinkEvent {
    SinkEvent::Durable { batch: Box::new(receipt), delivered: Vec::new() }
}

/// The time without a commit between each of five and the next, in milliseconds.
fn rests(receipt_bytes: u64) -> Vec<u64> {
    let (clock, commits) = (Clock::manual(), Commits::default());
    let (arrived, receipts) = (Vec::new(), Vec::new());
    let inner = Arc::clone(&commits);
    let sink = Slow { clock: clock.clone(), receipt_bytes, arrived, receipts, begun: None, commits: inner };
    let running = Running::start((0..200_000).map(|id| vec![id]).collect(), Box::new(sink), &clock);
    // The first two are those of the start: the epoch, the position.
    until("six commits of rows", || commits.lock().unwrap().len() >= 8);
    running.stop();
    let commits = commits.lock().unwrap();
    commits[2..8].windows(2).map(|pair| pair[1].0 - pair[0].1).collect()
}

#[test]
fn a_commit_that_takes_long_is_followed_by_a_time_without_one() {
    let rests = rests(1);
    assert!(rests.iter().all(|rest| (1000..1100).contains(rest)), "{rests:?}");
}

#[test]
fn receipts_that_take_too_much_room_wait_for_no_time() {
    let rests = rests(9 << 20);
    assert!(rests.iter().all(|rest| *rest < 100), "{rests:?}");
}
