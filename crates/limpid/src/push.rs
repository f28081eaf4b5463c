//! Metrics on their way to somebody who does not scrape: by Prometheus' remote write, by OTLP.
//!
//! Owns: a thread for each address, its turns, what is told of failures. Does not own: one push (`receiver`), the message
//! (`limpid-telemetry`).
//!
//! Invariant: nobody waits for a receiver. What it does not take is counted and gone, so that one that is away costs a
//! request in each turn and no memory; counters catch up with the next message by themselves.

mod receiver;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_config::PipelineSpec;
use limpid_connector::{Clock, Stop};
use limpid_model::Fault;
use limpid_telemetry::{Event, MetricsPushed, MetricsRefused, PipelineTelemetry, Registry};

use crate::observe::moment;
use crate::otlp::{Destination, Signal};
use crate::run::spawn;
use receiver::{Address, Receiver};

/// A receiver that takes longer is as good as away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One pipeline's metrics, for one receiver.
pub struct Pushed {
    address: Address,
    every: Duration,
    pipeline: String,
    registry: Arc<Registry>,
    telemetry: PipelineTelemetry,
}

impl Pushed {
    /// What a pipeline's file has pushed: nothing, or one for each receiver.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` as for a [`Destination`].
    pub fn of(
        spec: &PipelineSpec,
        registry: &Arc<Registry>,
        telemetry: &PipelineTelemetry,
    ) -> Result<Vec<Self>, Fault> {
        let metrics = &spec.telemetry.metrics;
        let remote = metrics.remote_write.as_ref().map(|url| Address::RemoteWrite(url.reveal().to_owned()));
        let otlp = match &metrics.otlp {
            Some(url) => Destination::of(Signal::Metrics, Some(url), metrics.protocol)?.map(Address::Otlp),
            None => None,
        };
        let pushed = |address| Self {
            address,
            every: metrics.push_every,
            pipeline: spec.name.to_string(),
            registry: Arc::clone(registry),
            telemetry: telemetry.clone(),
        };
        Ok(remote.into_iter().chain(otlp).map(pushed).collect())
    }
}

/// The threads; dropped, they end without a last message.
pub struct Pushers {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Pushers {
    /// Starts a thread for each address. `instance` tells this process from others.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for what is no address.
    pub fn start(all: Vec<Pushed>, instance: &str, clock: &Clock) -> Result<Self, Fault> {
        let mut by_address: BTreeMap<Address, Vec<Pushed>> = BTreeMap::new();
        for one in all {
            by_address.entry(one.address.clone()).or_default().push(one);
        }
        let stop = Stop::new();
        let mut threads = Vec::new();
        for (address, pipelines) in by_address {
            let receiver = Receiver::new(address, instance, clock.wall_micros())?;
            let pusher = Pusher { receiver, pipelines, clock: clock.clone() };
            let stop = stop.clone();
            threads.push(spawn("push", move || pusher.run(&stop)));
        }
        Ok(Self { stop, threads })
    }

    /// Sends what there is once more, and ends.
    pub fn finish(self) {
        self.stop.raise();
        for thread in self.threads {
            // One that panicked has told so on stderr, and no metric is worth more.
            let _ = thread.join();
        }
    }
}

struct Pusher {
    receiver: Receiver,
    pipelines: Vec<Pushed>,
    clock: Clock,
}

impl Pusher {
    fn run(&self, stop: &Stop) {
        let every = self.pipelines.iter().map(|one| one.every).min().unwrap_or(TIMEOUT);
        let mut works = None;
        let (receiver, endpoint) = (self.receiver.word(), self.receiver.endpoint());
        loop {
            let is_last = stop.wait(every);
            let pushed = self.receiver.push(&self.pipelines, moment(&self.clock));
            for one in &self.pipelines {
                match &pushed {
                    Ok(()) => {
                        MetricsPushed { receiver, endpoint, is_again: works == Some(false) }.emit(&one.telemetry);
                    }
                    Err(fault) => {
                        let is_first = works != Some(false);
                        MetricsRefused { receiver, fault, is_first }.emit(&one.telemetry);
                    }
                }
            }
            works = Some(pushed.is_ok());
            if is_last {
                return;
            }
        }
    }
}

/// Percent-decoding; what is none stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let pair = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| *byte == b'%') {
            Some(value) => {
                out.push(value);
                rest = &behind[2..];
            }
            None => {
                out.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What tells this process from others, as a scrape has it: the machine's name and the port of the HTTP API.
pub fn instance(port: u16) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}:{port}")
}
