//! One push to one receiver.
//!
//! Owns: the message and the request of each kind of receiver. Does not own: turns, what is told of them (`push`).
//!
//! Invariant: every kind is sent the same series. A login is in nothing that is shown.

use std::fmt;
use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode};
use limpid_server::client::Client;
use limpid_telemetry::{Moment, OtlpMetrics, RemoteWrite, SentBy};

use super::Pushed;
use crate::login;
use crate::otlp::{Call, Destination, NotTaken};

/// Who is pushed to, as the file has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// With user and password, if it has some.
    RemoteWrite(String),
    Otlp(Destination),
}

/// Who is pushed to, ready to be.
pub enum Receiver {
    RemoteWrite { client: Client, endpoint: String, authorization: Option<String>, instance: String },
    Otlp { call: Box<Call>, endpoint: String, by: SentBy, since_micros: i64 },
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::RemoteWrite(url) => write!(f, "RemoteWrite({})", login::apart(url).0),
            Address::Otlp(destination) => destination.fmt(f),
        }
    }
}

impl Receiver {
    /// `instance` tells this process from others; counters are told of as counted since `since_micros`. A request has `timeout`.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for what is no address.
    pub fn new(address: Address, instance: &str, since_micros: i64, timeout: Duration) -> Result<Self, Fault> {
        match address {
            Address::RemoteWrite(url) => {
                let (endpoint, authorization) = login::apart(&url);
                let client = Client::new(&endpoint, timeout).map_err(|fault| {
                    let text = "telemetry.metrics.remote-write is no http:// or https:// address";
                    Fault::new(FaultCode::ConfigBadValue, Component::Server, text).because(fault)
                })?;
                Ok(Receiver::RemoteWrite { client, endpoint, authorization, instance: instance.to_owned() })
            }
            Address::Otlp(destination) => {
                let call = Box::new(Call::new(&destination, timeout)?);
                let by = destination.sent_by(instance);
                Ok(Receiver::Otlp { call, endpoint: destination.shown, by, since_micros })
            }
        }
    }

    /// The label that tells it from others.
    pub const fn word(&self) -> &'static str {
        match self {
            Receiver::RemoteWrite { .. } => "remote-write",
            Receiver::Otlp { .. } => "otlp",
        }
    }

    pub fn endpoint(&self) -> &str {
        match self {
            Receiver::RemoteWrite { endpoint, .. } | Receiver::Otlp { endpoint, .. } => endpoint,
        }
    }

    /// Sends what these pipelines' metrics are now.
    ///
    /// # Errors
    /// `METRICS_PUSH_FAILED`, also where only some were refused.
    pub fn push(&self, pipelines: &[Pushed], now: Moment) -> Result<(), Fault> {
        // What is no pipeline's stands in each registry, and is sent once.
        let all = pipelines.iter().enumerate().map(|(number, one)| (one, number == 0));
        match self {
            Receiver::RemoteWrite { client, endpoint, authorization, instance } => {
                let mut message = RemoteWrite::new("limpid", instance, now);
                all.for_each(|(one, process)| message.add(&one.registry, &one.pipeline, process, now));
                remote_write(client, endpoint, authorization.as_deref(), &message)
            }
            Receiver::Otlp { call, by, since_micros, .. } => {
                let mut metrics = OtlpMetrics::new(*since_micros, now);
                all.for_each(|(one, process)| metrics.add(&one.registry, &one.pipeline, process, now));
                let failed = |not: NotTaken| not.fault(FaultCode::MetricsPushFailed);
                let mut rejected = 0;
                for message in metrics.messages(by) {
                    rejected += call.send(&message).map_err(failed)?;
                }
                if rejected > 0 { Err(failed(call.not_taken_in_part(rejected))) } else { Ok(()) }
            }
        }
    }
}

fn remote_write(
    client: &Client,
    endpoint: &str,
    authorization: Option<&str>,
    message: &RemoteWrite,
) -> Result<(), Fault> {
    let mut headers = vec![
        ("Content-Type", "application/x-protobuf"),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let refused =
        |text: String| Fault::new(FaultCode::MetricsPushFailed, Component::Server, text).about(endpoint.to_owned());
    match client.post("", &headers, &message.body()) {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(refused(format!("the receiver of metrics answers {}", answer.status))),
        Err(fault) => Err(refused("the receiver of metrics does not answer".to_owned()).because(fault)),
    }
}
