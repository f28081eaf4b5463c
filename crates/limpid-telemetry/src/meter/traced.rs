//! What a pipeline keeps as traces.
//!
//! Owns: turning it on, what is watched, what a row's trace is called. Does not own: which transactions are kept (`trace`),
//! handing batches on (`output`).
//!
//! Invariant: as the meter's: any thread may call, and each call is short.

use std::sync::Arc;

use limpid_model::{Batch, FaultCode};

use super::PipelineMeter;
use crate::moment::Moment;
use crate::trace::{Granularity, NamedTxn, RowTrace, TraceOptions, TraceQueue, Tracer, Watches, of_row};

impl PipelineMeter {
    /// Keeps transactions as traces from now on, and those of keys that are watched. Before the first batch; what is kept
    /// waits in the queue returned.
    pub fn traces(&self, options: TraceOptions, watches: Arc<Watches>) -> Arc<TraceQueue> {
        let tracer = Tracer::new(&self.registry, &self.pipeline, options, watches);
        let queue = Arc::clone(tracer.queue());
        self.deliveries.output.lock().expect("never held across a panic").tracer = Some(tracer);
        queue
    }

    /// Keeps all transactions with this key for a while; whoever watches it says so again and again. False where that
    /// cannot be: nothing is kept as a trace, or too many keys are watched.
    pub fn watch(&self, key_hash: u64, nanos: u64) -> bool {
        let output = self.deliveries.output.lock().expect("never held across a panic");
        output.tracer.as_ref().is_some_and(|tracer| tracer.watches().renew(key_hash, nanos))
    }

    /// Whether somebody watches this key now.
    pub fn is_watched(&self, key_hash: u64, nanos: u64) -> bool {
        let output = self.deliveries.output.lock().expect("never held across a panic");
        output.tracer.as_ref().is_some_and(|tracer| tracer.watches().has(key_hash, nanos))
    }

    /// The transactions that an application named this trace in, of late; none where nothing is kept as a trace.
    pub fn named_by(&self, trace_id: u128) -> Vec<NamedTxn> {
        self.settle();
        let output = self.deliveries.output.lock().expect("never held across a panic");
        output.tracer.as_ref().map_or(Vec::new(), |tracer| tracer.named_by(trace_id))
    }

    /// What the trace of a row is called, whether it is kept or not.
    pub fn trace_of(&self, batch: &Batch, row: u32) -> Option<RowTrace> {
        let output = self.deliveries.output.lock().expect("never held across a panic");
        let granularity = output.tracer.as_ref().map_or(Granularity::Transaction, Tracer::granularity);
        drop(output);
        of_row(&self.pipeline, granularity, batch, row)
    }

    /// An attempt of the pipeline ended with this fault: what was with the sink comes again.
    pub fn attempt_failed(&self, code: FaultCode, now: Moment) {
        // What was handed in is with the sink, and what was acknowledged is not, told or not.
        self.settle();
        if let Some(tracer) = &mut self.deliveries.output.lock().expect("never held across a panic").tracer {
            tracer.failed(code, now);
        }
    }
}
