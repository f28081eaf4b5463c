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
use std::time::Duration;

use limpid_config::PipelineSpec;
use limpid_connector::{Clock, Stop};
use limpid_model::Fault;
use limpid_telemetry::{Event, MetricsPushed, MetricsRefused, PipelineTelemetry, Registry};

use crate::crew::Crew;
use crate::observe::moment;
use crate::otlp::{Destination, LAST_TIMEOUT, Signal, TIMEOUT};
use receiver::{Address, Receiver};

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

/// Starts a thread for each address. `instance` tells this process from others.
///
/// # Errors
/// `CONFIG_BAD_VALUE` for what is no address.
pub fn start(all: Vec<Pushed>, instance: &str, clock: &Clock, crew: &Crew) -> Result<(), Fault> {
    let mut by_address: BTreeMap<Address, Vec<Pushed>> = BTreeMap::new();
    for one in all {
        by_address.entry(one.address.clone()).or_default().push(one);
    }
    // One for all: what counts belongs to the process.
    let since = clock.wall_micros();
    for (address, pipelines) in by_address {
        let receiver = Receiver::new(address.clone(), instance, since, TIMEOUT)?;
        let last = Receiver::new(address, instance, since, LAST_TIMEOUT)?;
        let pusher = Pusher { receiver, last, pipelines, clock: clock.clone() };
        crew.spawn("push", move |stop| pusher.run(stop));
    }
    Ok(())
}

struct Pusher {
    receiver: Receiver,
    /// The same, for the message that is sent while the process ends.
    last: Receiver,
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
            let pushed = if is_last { &self.last } else { &self.receiver }.push(&self.pipelines, moment(&self.clock));
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

/// What tells this process from others, as a scrape has it: the machine's name and the port of the HTTP API.
pub fn instance(port: u16) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{host}:{port}")
}
