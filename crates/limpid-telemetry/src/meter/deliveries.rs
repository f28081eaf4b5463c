//! Telling of batches that are handed to the sink, and delivered.
//!
//! Owns: when one is told of, what is told in which order. Does not own: what waits (`waiting`), the labelled series (`output`).
//!
//! Invariant: batches are told of in the order in which they were handed in, and in that in which they were delivered, each once, and
//! before anybody reads.

use std::sync::{Arc, Mutex};

use limpid_model::Batch;

use super::DeliveredTo;
use super::bound::Bound;
use super::freshness::Freshness;
use super::output::Output;
use super::waiting::Delivered;
use crate::moment::{Moment, seconds};
use crate::outline::Outline;
use crate::registry::Settle;

/// What is handed in and delivered, as it is told, and where it is added.
pub(super) struct Deliveries {
    pub bound: Bound,
    pub freshness: Arc<Freshness>,
    /// Locked twice a batch by the delivery.
    pub output: Mutex<Output>,
}

impl Deliveries {
    pub(super) fn handed_in(&self, batch: &mut Batch, now: Moment) {
        let mut output = self.output.lock().expect("never held across a panic");
        if output.handed_in(batch, now) {
            self.tell_all(&mut output);
        }
    }

    pub(super) fn durable(&self, batch: &Batch, record_bytes: usize, delivered: &[DeliveredTo<'_>], now: Moment) {
        let mut output = self.output.lock().expect("never held across a panic");
        let fresh = self.freshness.upto();
        if output.waiting.delivered(batch, record_bytes, delivered, (now, fresh)) {
            self.tell_all(&mut output);
        }
    }

    /// Tells of those that wait.
    fn tell_all(&self, output: &mut Output) {
        let mut waiting = std::mem::take(&mut output.waiting);
        for one in waiting.handed_in_since() {
            if let Some(wall_micros) = one.handed_in {
                output.push(&one.outline, &one.kept, wall_micros);
            }
        }
        while let Some(one) = waiting.next_delivered() {
            self.tell(output, &one.outline, &one.delivered, &one.delivered.to());
            waiting.is_told(one);
        }
        output.waiting = waiting;
    }

    fn tell(&self, output: &mut Output, batch: &Outline, delivered: &Delivered, to: &[DeliveredTo<'_>]) {
        let now = delivered.now;
        let changes = output.durable(&self.bound, batch, to, (now, delivered.fresh));
        output.remember(batch, delivered.record_bytes, to, now);
        let told = output.trace(batch, to, now);
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
