//! Metrics on their way to somebody who does not scrape: Prometheus' remote write.
//!
//! Owns: a thread for each address, its turns, what is told of failures. Does not own: the message (`limpid-telemetry`), the
//! request (`limpid-server`).
//!
//! Invariant: nobody waits for a receiver. What it does not take is counted and gone, so that one that is away costs a
//! request in each turn and no memory; counters catch up with the next message by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::client::{Client, base64};
use limpid_telemetry::{Event, MetricsPushed, MetricsRefused, PipelineTelemetry, Registry, RemoteWrite};

use crate::observe::moment;
use crate::run::spawn;

/// A receiver that takes longer is as good as away.
const TIMEOUT: Duration = Duration::from_secs(5);

const RECEIVER: &str = "remote-write";

/// One pipeline's metrics.
pub struct Pushed {
    /// With user and password, if it has some.
    pub url: String,
    pub every: Duration,
    pub pipeline: String,
    pub registry: Arc<Registry>,
    pub telemetry: PipelineTelemetry,
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
        let mut by_address: BTreeMap<String, Vec<Pushed>> = BTreeMap::new();
        for one in all {
            by_address.entry(one.url.clone()).or_default().push(one);
        }
        let stop = Stop::new();
        let mut threads = Vec::new();
        for (url, pipelines) in by_address {
            let pusher = Pusher::new(&url, pipelines, instance.to_owned(), clock.clone())?;
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
    client: Client,
    endpoint: String,
    authorization: Option<String>,
    pipelines: Vec<Pushed>,
    instance: String,
    clock: Clock,
}

impl Pusher {
    fn new(url: &str, pipelines: Vec<Pushed>, instance: String, clock: Clock) -> Result<Self, Fault> {
        let (address, login) = without_login(url);
        let client = Client::new(&address, TIMEOUT).map_err(|fault| {
            let text = "telemetry.metrics.remote-write is no http:// or https:// address";
            Fault::new(FaultCode::ConfigBadValue, Component::Server, text).because(fault)
        })?;
        let authorization = login.map(|login| format!("Basic {}", base64(&login)));
        Ok(Self { client, endpoint: address, authorization, pipelines, instance, clock })
    }

    fn run(&self, stop: &Stop) {
        let every = self.pipelines.iter().map(|one| one.every).min().unwrap_or(TIMEOUT);
        let mut works = None;
        loop {
            let is_last = stop.wait(every);
            let pushed = self.push();
            for one in &self.pipelines {
                match &pushed {
                    Ok(()) => {
                        let (endpoint, is_again) = (&*self.endpoint, works == Some(false));
                        MetricsPushed { receiver: RECEIVER, endpoint, is_again }.emit(&one.telemetry);
                    }
                    Err(fault) => {
                        let is_first = works != Some(false);
                        MetricsRefused { receiver: RECEIVER, fault, is_first }.emit(&one.telemetry);
                    }
                }
            }
            works = Some(pushed.is_ok());
            if is_last {
                return;
            }
        }
    }

    fn push(&self) -> Result<(), Fault> {
        let now = moment(&self.clock);
        let mut message = RemoteWrite::new("limpid", &self.instance, now);
        for (number, one) in self.pipelines.iter().enumerate() {
            // What is no pipeline's stands in each registry, and is sent once.
            message.add(&one.registry, &one.pipeline, number == 0, now);
        }
        let mut headers = vec![
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        headers.extend(self.authorization.as_deref().map(|value| ("Authorization", value)));
        let refused = |text: String| {
            Fault::new(FaultCode::MetricsPushFailed, Component::Server, text).about(self.endpoint.clone())
        };
        match self.client.post("", &headers, &message.body()) {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(refused(format!("the receiver of metrics answers {}", answer.status))),
            Err(fault) => Err(refused("the receiver of metrics does not answer".to_owned()).because(fault)),
        }
    }
}

/// The address without what stands before an `@`, and that, decoded.
fn without_login(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((login, host)) => (format!("{scheme}://{host}{}", &rest[end..]), Some(decoded(login))),
        None => (url.to_owned(), None),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_no_part_of_the_address() {
        let check = |url: &str, address: &str, login: Option<&str>| {
            assert_eq!(without_login(url), (address.to_owned(), login.map(str::to_owned)), "{url}");
        };
        check("http://h:9090/api/v1/write", "http://h:9090/api/v1/write", None);
        check("https://u:p%40s@h/x@y", "https://h/x@y", Some("u:p@s"));
        check("http://u:100%@h", "http://h", Some("u:100%"));
        check("nonsense", "nonsense", None);
    }
}
