//! Telling of delivered batches.
//!
//! Owns: when one is told of, what is told in which order. Does not own: what waits (`waiting`), the labelled series (`output`).
//!
//! Invariant: batches are told of in the order in which they were delivered, each once, and before anybody reads.

use std::sync::{Arc, Mutex};

use limpid_model::Batch;

use super::DeliveredTo;
use super::bound::Bound;
use super::freshness::Freshness;
use super::output::Output;
use crate::moment::{Moment, seconds};
use crate::registry::Settle;

/// What is delivered, as it is told, and where it is added.
pub(super) struct Deliveries {
    pub bound: Bound,
    pub freshness: Arc<Freshness>,
    /// Locked once a batch by the delivery.
    pub output: Mutex<Output>,
}

impl Deliveries {
    pub(super) fn durable(&self, batch: &Batch, record_bytes: usize, delivered: &[DeliveredTo<'_>], now: Moment) {
        let mut output = self.output.lock().expect("never held across a panic");
        let fresh = self.freshness.upto();
        if !output.can_wait(batch, delivered) {
            self.tell_all(&mut output);
            self.tell(&mut output, batch, record_bytes, delivered, (now, fresh));
        } else if output.waiting.add(batch, record_bytes, delivered, (now, fresh)) {
            self.tell_all(&mut output);
        }
    }

    /// Tells of those that wait, in the order in which they were delivered.
    fn tell_all(&self, output: &mut Output) {
        let mut waiting = std::mem::take(&mut output.waiting);
        for one in waiting.take() {
            self.tell(output, &one.batch, one.record_bytes, &one.delivered(), (one.now, one.fresh));
        }
        output.waiting = waiting;
    }

    /// `fresh` is as it was when the batch was delivered.
    fn tell(
        &self,
        output: &mut Output,
        batch: &Batch,
        record_bytes: usize,
        delivered: &[DeliveredTo<'_>],
        (now, fresh): (Moment, Option<i64>),
    ) {
        let changes = output.durable(&self.bound, batch, delivered, (now, fresh));
        output.remember(batch, record_bytes, delivered, now);
        let told = output.trace(batch, delivered, now);
        if let Some(upto) = output.close(batch, now) {
            self.freshness.told(upto);
        }
        let times = &batch.times;
        self.bound.submit_latency.observe(seconds(times.encoded, times.sent), changes);
        self.bound.output_latency.observe(seconds(times.sent, times.acked), changes);
        self.bound.total_latency.observe(seconds(times.encoded, times.acked), changes);
        self.bound.process_time.observe(seconds(times.read, times.acked), changes);
        self.bound.ack_latency.observe(seconds(times.acked, now.nanos), changes);
        if let Some(told) = told {
            self.bound.exemplify(times, told, now);
        }
        self.bound.delivered.add(changes);
        self.bound.rate.add(now.nanos, changes);
    }
}

impl Settle for Deliveries {
    fn settle(&self) {
        self.tell_all(&mut self.output.lock().expect("never held across a panic"));
    }
}
