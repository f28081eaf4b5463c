//! Kept traces on their way to a collector, by OTLP.
//!
//! Owns: which options a file means, what is told of failures. Does not own: which are kept and their spans
//! (`limpid-telemetry`), sending and where to (`otlp`).
//!
//! Invariant: as for everything that goes by OTLP: nobody waits for a collector.

use std::sync::Arc;

use limpid_config::{Granularity, PipelineSpec, TracesSpec};
use limpid_model::{Fault, FaultCode};
use limpid_telemetry::trace::{self, KeptTrace, SpanMaker, TraceOptions, TraceQueue, Watches};
use limpid_telemetry::{Dropped, Event, OtlpMessage, PipelineTelemetry, SentBy, TracesRefused, TracesTaken};

use crate::otlp::{Destination, NotTaken, Outgoing, Signal};

/// One pipeline's traces.
pub struct Traced {
    destination: Destination,
    maker: SpanMaker,
    queue: Arc<TraceQueue>,
    telemetry: PipelineTelemetry,
}

impl Traced {
    /// Has a pipeline keep traces, of what is watched among others; `None` where its file has none.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for an address that is none.
    pub fn of(
        spec: &PipelineSpec,
        telemetry: &PipelineTelemetry,
        watches: Arc<Watches>,
    ) -> Result<Option<Self>, Fault> {
        let Some(traces) = &spec.telemetry.traces else { return Ok(None) };
        let destination = Destination::of(Signal::Traces, traces.otlp.as_ref(), traces.protocol)?;
        let Some(destination) = destination else { return Ok(None) };
        let options = options(traces);
        let queue = telemetry.meter.traces(options, watches);
        let maker = SpanMaker {
            pipeline: spec.name.to_string(),
            granularity: options.granularity,
            base: trace::BaseRate::new(options.sample),
            is_kafka: spec.sink.kind == "kafka",
        };
        Ok(Some(Self { destination, maker, queue, telemetry: telemetry.clone() }))
    }
}

fn options(traces: &TracesSpec) -> TraceOptions {
    TraceOptions {
        sample: traces.sample,
        slow_nanos: traces.slow.as_nanos() as u64,
        granularity: match traces.granularity {
            Granularity::Transaction => trace::Granularity::Transaction,
            Granularity::Change => trace::Granularity::Change,
        },
    }
}

impl Outgoing for Traced {
    type One = KeptTrace;

    const THREAD: &'static str = "traces";

    fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Some thousand spans of some 500 bytes: 64 a trace, five for each of the 256 changes of a transaction that have traces of their
    /// own.
    fn count_max(&self) -> usize {
        match self.maker.granularity {
            trace::Granularity::Transaction => 64,
            trace::Granularity::Change => 4,
        }
    }

    fn take(&self, count_max: usize) -> Vec<KeptTrace> {
        self.telemetry.meter.settle();
        self.queue.take(count_max)
    }

    fn messages(&self, by: &SentBy, some: &[KeptTrace]) -> Vec<OtlpMessage> {
        trace::requests(by, some.iter().map(|kept| self.maker.spans(kept)))
    }

    fn taken(&self, count: usize, is_again: bool) {
        self.queue.sent(count);
        TracesTaken { endpoint: &self.destination.shown, is_again }.emit(&self.telemetry);
    }

    fn refused(&self, not: NotTaken, is_first: bool) {
        TracesRefused { fault: &not.fault(FaultCode::TraceSendFailed), is_first }.emit(&self.telemetry);
    }

    fn dropped(&self, why: Dropped, count: usize) {
        self.queue.dropped(why, count);
    }
}
