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
use crate::otlp::{Any, KeyValue, OtlpMessage, PARTS_BYTES_MAX, Resource, Scope, SentBy, text};

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

/// The messages for traces with these spans. What does not fit in one goes on in the next: a receiver puts a trace together from
/// whatever messages bring of it.
pub fn requests(by: &SentBy, traces: impl Iterator<Item = Vec<Span>>) -> Vec<OtlpMessage> {
    requests_of(by, traces, PARTS_BYTES_MAX)
}

fn requests_of(by: &SentBy, traces: impl Iterator<Item = Vec<Span>>, bytes_max: usize) -> Vec<OtlpMessage> {
    let (mut messages, mut spans, mut bytes, mut ends) = (Vec::new(), Vec::new(), 0, 0);
    for trace in traces {
        for span in &trace {
            let span = sent(span);
            let more = span.encoded_len();
            if bytes + more > bytes_max && bytes > 0 {
                messages.push(OtlpMessage { bytes: message(by, std::mem::take(&mut spans)), ends });
                (bytes, ends) = (0, 0);
            }
            bytes += more;
            spans.push(span);
        }
        ends += 1;
    }
    if ends > 0 {
        messages.push(OtlpMessage { bytes: message(by, spans), ends });
    }
    messages
}

fn message(by: &SentBy, spans: Vec<SentSpan>) -> Vec<u8> {
    let message = Export {
        resource_spans: vec![ResourceSpans {
            resource: Some(by.resource()),
            scope_spans: vec![ScopeSpans { scope: Some(by.scope()), spans }],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::ids::SpanId;

    fn trace(id: u128, spans: u64) -> Vec<Span> {
        let span = |number| Span {
            trace_id: id,
            id: SpanId(number),
            parent: 0,
            name: "x".repeat(1000),
            kind: Kind::Internal,
            start: 0,
            end: 1,
            attributes: Vec::new(),
            links: Vec::new(),
            trace_state: String::new(),
            is_error: false,
        };
        (1..=spans).map(span).collect()
    }

    fn spans_of(message: &OtlpMessage) -> Vec<(u128, u64)> {
        let mut export = Export::decode(&*message.bytes).unwrap();
        let ResourceSpans { resource, scope_spans, .. } = export.resource_spans.remove(0);
        assert!(resource.is_some_and(|resource| resource != Resource::default()), "each message says who sends it");
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        let spans = scope_spans.iter().flat_map(|scope| &scope.spans);
        spans.map(|span| (number(&span.trace_id), number(&span.span_id) as u64)).collect()
    }

    #[test]
    fn a_message_is_closed_by_its_bytes_and_no_span_is_lost() {
        let by = SentBy { service: "limpid".into(), ..SentBy::default() };
        let traces = [(1, 2), (2, 5), (3, 1), (4, 1)];
        // Three of some 1,040 bytes fit.
        let messages = requests_of(&by, traces.iter().map(|(id, spans)| trace(*id, *spans)), 3500);
        let expected: [(&[(u128, u64)], usize); 3] =
            [(&[(1, 1), (1, 2), (2, 1)], 1), (&[(2, 2), (2, 3), (2, 4)], 0), (&[(2, 5), (3, 1), (4, 1)], 3)];
        let found: Vec<_> = messages.iter().map(|message| (spans_of(message), message.ends)).collect();
        assert_eq!(found, expected.map(|(spans, ends)| (spans.to_vec(), ends)));
        assert_eq!(requests_of(&by, std::iter::empty(), 3500), []);
    }

    #[test]
    fn a_transaction_with_a_trace_for_each_change_stays_below_grpcs_bound() {
        let messages = requests(&SentBy::default(), (0..4000).map(|id| trace(id, 5)));
        assert!(messages.iter().all(|message| message.bytes.len() < 4 * 1024 * 1024), "{}", messages.len());
        assert_eq!(messages.iter().map(|message| message.ends).sum::<usize>(), 4000);
    }
}
