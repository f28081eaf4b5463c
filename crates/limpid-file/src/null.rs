//! The sink that drops everything.
//!
//! Owns: counting. Does not own: anything else: with a format the rows are encoded before they come here, without one
//! they are only decoded.
//!
//! Invariant: every batch is reported durable by the next poll, in order.

use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Sink, SinkEvent};
use limpid_model::Fault;

use crate::tally;

/// Batches that may wait for a poll. The engine polls after each write, so one is the rule; a caller that does not is
/// told so before they pile up.
const HELD_BATCHES_MAX: usize = 64;

/// Takes everything at once.
#[derive(Debug)]
pub struct NullSink {
    clock: Clock,
    #[expect(clippy::vec_box, reason = "batches travel boxed and leave as they came")]
    held: Vec<Box<EncodedBatch>>,
    records: u64,
    bytes: u64,
}

impl NullSink {
    pub fn new(clock: Clock) -> Self {
        Self { clock, held: Vec::new(), records: 0, bytes: 0 }
    }

    /// Records dropped so far, and the bytes of their keys, values and headers.
    pub fn dropped(&self) -> (u64, u64) {
        (self.records, self.bytes)
    }
}

impl Sink for NullSink {
    fn open(&mut self) -> Result<(), Fault> {
        self.held.clear();
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        if self.held.len() >= HELD_BATCHES_MAX {
            return Ok(Accepted::Full(batch));
        }
        self.records += batch.records.len() as u64;
        self.bytes += batch.bytes.len() as u64;
        self.held.push(batch);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.held.is_empty() {
            // Nothing can come: waiting is what keeps a caller that polls in a loop from turning in it.
            self.clock.sleep(wait);
        }
        events.extend(self.held.drain(..).map(tally::durable));
        Ok(())
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn save_record(&mut self, _record: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn held_bytes(&self) -> (u64, u64) {
        let held = self.held.iter().map(|batch| batch.bytes.len() as u64).sum();
        (held, u64::MAX)
    }

    fn endpoint(&self) -> String {
        "null".to_owned()
    }
}
