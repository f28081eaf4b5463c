//! OTLP's messages: what spans, metrics and log records have in common.
//!
//! Owns: who sends (`Resource`, `Scope`), attributes, and the messages below it. Does not own: sending them (the binary), spans
//! (`trace`).
//!
//! Invariant: ids are 16 and 8 bytes, most significant first; times are nanoseconds since 1970.
//!
//! Source: opentelemetry-proto 1.7, `common/v1/common.proto`, `resource/v1/resource.proto`. By hand rather than from
//! `opentelemetry-otlp`, as the decision record says.

mod answer;
mod logs;
mod metrics;

use prost::{Message, Oneof};

pub use answer::rejected;
pub use logs::log_request;
pub use metrics::OtlpMetrics;

use crate::trace::names;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// What one message has of spans or points, encoded: half of gRPC's usual bound of 4 MiB, since what stands around them comes on top.
pub(crate) const PARTS_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A message as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpMessage {
    pub bytes: Vec<u8>,
    /// So many traces or lines are whole with it.
    pub ends: usize,
}

/// Who sends.
#[derive(Clone, Debug, Default)]
pub struct SentBy {
    pub service: String,
    pub version: String,
    pub instance: String,
    /// Further attributes of the resource, which win over these three.
    pub further: Vec<(String, String)>,
}

impl SentBy {
    pub(crate) fn resource(&self) -> Resource {
        let known = [
            (names::SERVICE_NAME, &self.service),
            (names::SERVICE_VERSION, &self.version),
            (names::SERVICE_INSTANCE, &self.instance),
        ];
        let is_ours = |name: &str| !self.further.iter().any(|(further, _)| further == name);
        let ours = known.into_iter().filter(|(name, _)| is_ours(name)).map(|(name, value)| text(name, value));
        Resource { attributes: ours.chain(self.further.iter().map(|(name, value)| text(name, value))).collect() }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope { name: names::SCOPE.into(), version: self.version.clone() }
    }
}

pub(crate) fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::Text(value.to_owned()))
}

/// Microseconds since 1970, as OTLP has times.
pub(crate) fn nanos(micros: i64) -> u64 {
    micros.max(0) as u64 * 1000
}
