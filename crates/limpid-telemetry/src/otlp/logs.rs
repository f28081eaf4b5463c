//! Log lines as OTLP has them.
//!
//! Owns: the message `ExportLogsServiceRequest`, the numbers of severities. Does not own: sending it (the binary), the lines
//! (`log`).
//!
//! Invariant: a record says what the line says, under the line's own keys.
//!
//! Source: opentelemetry-proto 1.7, `logs/v1/logs.proto`, `collector/logs/v1`; "Logs Data Model" of OpenTelemetry.

use prost::Message;

use super::{Any, AnyValue, KeyValue, Resource, Scope, SentBy, attribute, nanos};
use crate::log::{Level, LogRecord, Value};
use crate::trace::names;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    records: Vec<SentRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct SentRecord {
    #[prost(fixed64, tag = "1")]
    time: u64,
    #[prost(int32, tag = "2")]
    severity: i32,
    #[prost(string, tag = "3")]
    severity_text: String,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    span_id: Vec<u8>,
    /// When it was seen, which is when it was written.
    #[prost(fixed64, tag = "11")]
    observed: u64,
}

/// The message for these lines.
pub fn log_request(by: &SentBy, records: &[LogRecord]) -> Vec<u8> {
    let message = Export {
        resource_logs: vec![ResourceLogs {
            resource: Some(by.resource()),
            scope_logs: vec![ScopeLogs { scope: Some(by.scope()), records: records.iter().map(sent).collect() }],
            schema_url: names::SCHEMA_URL.into(),
        }],
    };
    message.encode_to_vec()
}

fn sent(record: &LogRecord) -> SentRecord {
    let time = nanos(record.wall_micros);
    SentRecord {
        time,
        severity: severity(record.level),
        severity_text: record.level.word().to_owned(),
        body: Some(AnyValue { value: Some(Any::Text(record.message.clone())) }),
        attributes: record.facts.iter().map(|(name, value)| attribute(name, any(value))).collect(),
        trace_id: record.trace_id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        span_id: record.span_id.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        observed: time,
    }
}

/// The first of the four numbers that each level has.
const fn severity(level: Level) -> i32 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
    }
}

fn any(value: &Value) -> Any {
    match value {
        Value::Text(text) => Any::Text(text.clone()),
        Value::Number(number) => Any::Number(i64::try_from(*number).unwrap_or(i64::MAX)),
        Value::Flag(flag) => Any::Flag(*flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_ids_and_the_kinds_of_its_line() {
        let record = LogRecord {
            wall_micros: 5,
            level: Level::Warn,
            message: "away".into(),
            trace_id: Some(0xabc),
            span_id: Some(0xd),
            facts: vec![("metadata.pause_ms".into(), Value::Number(7)), ("metadata.again".into(), Value::Flag(true))],
        };
        let by = SentBy { service: "limpid".into(), ..SentBy::default() };
        let without = LogRecord { trace_id: None, span_id: None, ..record.clone() };
        let export = Export::decode(&*log_request(&by, &[record, without])).unwrap();
        assert_eq!(export.resource_logs[0].resource, Some(by.resource()));
        let [with, without] = &export.resource_logs[0].scope_logs[0].records[..] else { panic!("{export:?}") };
        assert_eq!(
            (&with.trace_id[..], &with.span_id[..]),
            (&0xabc_u128.to_be_bytes()[..], &0xd_u64.to_be_bytes()[..])
        );
        assert_eq!((with.severity, &*with.severity_text, with.time), (13, "WARN", 5000));
        let expected = [attribute("metadata.pause_ms", Any::Number(7)), attribute("metadata.again", Any::Flag(true))];
        assert_eq!(with.attributes, expected);
        assert!(without.trace_id.is_empty() && without.span_id.is_empty(), "none is no id of zeros");
    }
}
