//! Kept traces on their way to a collector, by OTLP.
//!
//! Owns: a thread for each pipeline that has traces, its turns, what is told of failures. Does not own: which are kept and
//! their spans (`limpid-telemetry`), the request (`limpid-server`), where they are sent (`destination`).
//!
//! Invariant: nobody waits for a collector. What it does not take within three turns is dropped and counted; what waits
//! meanwhile is bounded by the queue.

mod destination;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_config::{Granularity, PipelineSpec, TracesSpec};
use limpid_connector::{Clock, Stop};
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::client::{Client, Grpc};
use limpid_telemetry::trace::{self, Dropped, KeptTrace, SentBy, SpanMaker, TraceOptions, TraceQueue, Watches};
use limpid_telemetry::{Event, PipelineTelemetry, TracesRefused, TracesTaken};

use crate::run::spawn;
use destination::{Destination, Wire};

/// A collector that takes longer is as good as away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a process that ends gives the collector in all.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// How often what was kept is sent.
const TURN: Duration = Duration::from_millis(500);

/// Transactions in one message: 64 spans of some 500 bytes each make 3 MiB at the most, below gRPC's usual bound of 4.
const TRACES_MAX: usize = 64;

/// A message is tried so often.
const TRIES_MAX: u32 = 3;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

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
        let Some(destination) = destination::of(traces, &|name| std::env::var(name).ok())? else { return Ok(None) };
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

/// The threads.
pub struct Senders {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Starts a thread for each pipeline. `instance` tells this process from others.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for what is no address.
    pub fn start(all: Vec<Traced>, instance: &str, clock: &Clock) -> Result<Self, Fault> {
        let stop = Stop::new();
        let mut threads = Vec::new();
        for traced in all {
            let sender = Sender::new(traced, instance, clock)?;
            let stop = stop.clone();
            threads.push(spawn("traces", move || sender.run(&stop)));
        }
        Ok(Self { stop, threads })
    }

    /// Sends what waits, for a second at the most, and ends.
    pub fn finish(self) {
        self.stop.raise();
        for thread in self.threads {
            // One that panicked has told so on stderr, and no trace is worth more.
            let _ = thread.join();
        }
    }
}

struct Sender {
    traced: Traced,
    by: SentBy,
    clock: Clock,
    call: Call,
    last_call: Call,
}

impl Sender {
    fn new(traced: Traced, instance: &str, clock: &Clock) -> Result<Self, Fault> {
        let Destination { service, resource, .. } = &traced.destination;
        let by = SentBy {
            service: service.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: instance.to_owned(),
            further: resource.clone(),
        };
        let call = Call::new(&traced.destination, TIMEOUT)?;
        let last_call = Call::new(&traced.destination, LAST_TIMEOUT)?;
        Ok(Self { traced, by, clock: clock.clone(), call, last_call })
    }

    fn run(&self, stop: &Stop) {
        let mut works = None;
        let mut waiting: Option<(Vec<KeptTrace>, u32)> = None;
        loop {
            let is_last = stop.wait(TURN);
            if is_last {
                return self.finish(waiting.map(|(traces, _)| traces), &mut works);
            }
            loop {
                let (traces, tried) = waiting.take().unwrap_or_else(|| (self.traced.queue.take(TRACES_MAX), 0));
                if traces.is_empty() {
                    break;
                }
                match self.send(&self.call, &traces, &mut works) {
                    Ok(()) => {}
                    Err(Dropped::Unreachable) if tried + 1 < TRIES_MAX => {
                        waiting = Some((traces, tried + 1));
                        break;
                    }
                    Err(why) => self.traced.queue.dropped(why, traces.len()),
                }
                if works == Some(false) {
                    break;
                }
            }
        }
    }

    /// Whatever still waits, as long as there is time.
    fn finish(&self, waiting: Option<Vec<KeptTrace>>, works: &mut Option<bool>) {
        let until = self.clock.nanos() + LAST_TIMEOUT.as_nanos() as u64;
        let mut waiting = waiting;
        loop {
            let traces = waiting.take().unwrap_or_else(|| self.traced.queue.take(TRACES_MAX));
            if traces.is_empty() {
                return;
            }
            let has_time = self.clock.nanos() < until;
            if !has_time || self.send(&self.last_call, &traces, works).is_err() {
                let rest = self.traced.queue.take(usize::MAX).len();
                return self.traced.queue.dropped(Dropped::Stopped, traces.len() + rest);
            }
        }
    }

    fn send(&self, call: &Call, traces: &[KeptTrace], works: &mut Option<bool>) -> Result<(), Dropped> {
        let spans: Vec<trace::Span> = traces.iter().flat_map(|kept| self.traced.maker.spans(kept)).collect();
        let message = trace::request(&self.by, &spans);
        let endpoint = &*self.traced.destination.shown;
        match call.send(&self.traced.destination, &message) {
            Ok(()) => {
                self.traced.queue.sent(traces.len());
                TracesTaken { endpoint, is_again: *works == Some(false) }.emit(&self.traced.telemetry);
                *works = Some(true);
                Ok(())
            }
            Err((why, fault)) => {
                TracesRefused { fault: &fault, is_first: *works != Some(false) }.emit(&self.traced.telemetry);
                *works = Some(false);
                Err(why)
            }
        }
    }
}

/// One way of asking.
enum Call {
    Grpc(Grpc),
    Http(Client),
}

impl Call {
    fn new(destination: &Destination, timeout: Duration) -> Result<Self, Fault> {
        let made = match destination.wire {
            Wire::Grpc => Grpc::new(&destination.url, timeout).map(Call::Grpc),
            Wire::Http => Client::new(&destination.url, timeout).map(Call::Http),
        };
        made.map_err(|fault| {
            let text = "telemetry.traces.otlp is no http:// or https:// address";
            Fault::new(FaultCode::ConfigBadValue, Component::Server, text).because(fault)
        })
    }

    fn send(&self, destination: &Destination, message: &[u8]) -> Result<(), (Dropped, Fault)> {
        let failed = |text: String| {
            Fault::new(FaultCode::TraceSendFailed, Component::Server, text).about(destination.shown.clone())
        };
        let away = |fault: Fault| (Dropped::Unreachable, failed("the collector does not answer".into()).because(fault));
        let refused = |is_passing: bool, text: String| {
            (if is_passing { Dropped::Unreachable } else { Dropped::Refused }, failed(text))
        };
        let headers: Vec<(&str, &str)> =
            destination.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match self {
            Call::Grpc(grpc) => {
                let status = grpc.call(EXPORT, &headers, message).map_err(away)?;
                if status.code == 0 {
                    return Ok(());
                }
                Err(refused(status.is_passing(), format!("the collector answers gRPC status {}", status.code)))
            }
            Call::Http(client) => {
                let headers = [&[("Content-Type", "application/x-protobuf")], &headers[..]].concat();
                let answer = client.post("", &headers, message).map_err(away)?;
                if (200..300).contains(&answer.status) {
                    return Ok(());
                }
                let is_passing = matches!(answer.status, 429 | 502 | 503 | 504);
                Err(refused(is_passing, format!("the collector answers {}", answer.status)))
            }
        }
    }
}
