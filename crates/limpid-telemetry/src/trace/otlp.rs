//! Spans as OTLP has them.
//!
//! Owns: the message `ExportTraceServiceRequest`. Does not own: sending it (the binary), the spans (`spans`), what
//! it has in common with others (`crate::otlp`).
//!
//! Invariant: ids are 16 and 8 bytes, most significant first; times are nanoseconds since 1970.
//!
//! Source: opentelemetry-proto 1.7, `trace/v1/trace.proto`, `collector/trace/v1`.

use limpid_model::TraceContext;
use prost::Message;

use super::names;
use super::spans::{Attribute, Kind, Span};
use crate::otlp::{Any, KeyValue, Resource, Scope, SentBy, text};

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<SentSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct SentSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<SentLink>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SentLink {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    /// 2 an error.
    #[prost(int32, tag = "3")]
    code: i32,
}

/// W3C's flag for a trace that is kept; all that are sent are.
const SAMPLED: u32 = 1;

/// The message for these spans.
pub fn request(by: &SentBy, spans: &[Span]) -> Vec<u8> {
    let message = Export {
        resource_spans: vec![ResourceSpans {
            resource: Some(by.resource()),
            scope_spans: vec![ScopeSpans { scope: Some(by.scope()), spans: spans.iter().map(sent).collect() }],
            schema_url: names::SCHEMA_URL.into(),
        }],
    };
    message.encode_to_vec()
}

fn sent(span: &Span) -> SentSpan {
    let attribute = |(name, value): &(&'static str, Attribute)| match value {
        Attribute::Text(value) => text(name, value),
        Attribute::Number(value) => crate::otlp::attribute(name, Any::Number(*value)),
    };
    SentSpan {
        trace_id: span.trace_id.to_be_bytes().to_vec(),
        span_id: span.id.0.to_be_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: if span.parent == 0 { Vec::new() } else { span.parent.to_be_bytes().to_vec() },
        name: span.name.clone(),
        kind: match span.kind {
            Kind::Internal => 1,
            Kind::Client => 3,
            Kind::Producer => 4,
            Kind::Consumer => 5,
        },
        start: span.start.max(0) as u64,
        end: span.end.max(0) as u64,
        attributes: span.attributes.iter().map(attribute).collect(),
        links: span.links.iter().map(link).collect(),
        status: span.is_error.then_some(Status { code: 2 }),
        flags: SAMPLED,
    }
}

fn link(context: &TraceContext) -> SentLink {
    SentLink {
        trace_id: context.trace_id.to_be_bytes().to_vec(),
        span_id: context.span_id.to_be_bytes().to_vec(),
        flags: u32::from(context.is_sampled),
    }
}
