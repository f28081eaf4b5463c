//! Lines on their way to a collector.
//!
//! Owns: a line as it is kept until it is sent, the bound on those, the counters of what becomes of them. Does not own: sending
//! (the binary), the message (`otlp`).
//!
//! Invariant: who writes a line never waits for a collector; what does not fit is dropped and counted.

use std::sync::Arc;

use super::{Level, Line, Value};
use crate::catalogue::{LOG_LINES_DROPPED_TOTAL, LOG_LINES_SENT_TOTAL};
use crate::instruments::Counter;
use crate::registry::Registry;
use crate::waiting::{Dropped, Waiting};

/// Some 3,000 lines. Encoded, all of them would stay below gRPC's usual bound of 4 MiB, so that any message of them does.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;

/// What a line takes beside its texts.
const LINE_BYTES: usize = 128;

/// What a fact takes beside its texts.
const FACT_BYTES: usize = 64;

/// Why a line is not sent. None is held back for a rate.
const REASONS: [Dropped; 4] = [Dropped::QueueFull, Dropped::Unreachable, Dropped::Refused, Dropped::Stopped];

/// A line that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    pub wall_micros: i64,
    pub level: Level,
    pub message: String,
    pub trace_id: Option<u128>,
    pub span_id: Option<u64>,
    /// The line's other keys that say something, in their order; those of `metadata` as `metadata.<name>`.
    pub facts: Vec<(String, Value)>,
}

/// Between the log and the sender.
#[derive(Debug)]
pub struct LogQueue {
    waiting: Waiting<LogRecord>,
    dropped: [Arc<Counter>; REASONS.len()],
    sent: Arc<Counter>,
}

impl LogRecord {
    pub(super) fn of(wall_micros: i64, line: &Line<'_>) -> Self {
        let mut facts = Vec::new();
        let mut text = |name: &str, value: Option<&str>| {
            facts.extend(value.map(|value| (name.to_owned(), Value::Text(value.to_owned()))));
        };
        text("pipeline", Some(line.pipeline).filter(|pipeline| !pipeline.is_empty()));
        text("component", Some(line.component).filter(|component| !component.is_empty()));
        text("schema", line.schema);
        text("table", line.table);
        text("operation", line.operation);
        facts.extend(line.duration_ms.map(|duration| ("duration_ms".to_owned(), Value::Number(duration))));
        facts.extend(line.error.iter().map(|error| ("error".to_owned(), Value::Text(error.clone()))));
        facts.extend(line.error_code.map(|code| ("error_code".to_owned(), Value::Text(code.to_owned()))));
        facts.extend(line.metadata.iter().map(|(name, value)| (format!("metadata.{name}"), value.clone())));
        let Line { level, trace_id, span_id, .. } = *line;
        Self { wall_micros, level, message: line.message.clone(), trace_id, span_id, facts }
    }

    fn bytes(&self) -> usize {
        let fact = |(name, value): &(String, Value)| {
            let text = if let Value::Text(text) = value { text.len() } else { 0 };
            FACT_BYTES + name.len() + text
        };
        LINE_BYTES + self.message.len() + self.facts.iter().map(fact).sum::<usize>()
    }
}

impl LogQueue {
    /// Empty, for the lines of a pipeline.
    pub fn new(registry: &Registry, pipeline: &str) -> Arc<Self> {
        let dropped = REASONS.map(|why| registry.counter(&LOG_LINES_DROPPED_TOTAL, &[pipeline, why.word()]));
        let sent = registry.counter(&LOG_LINES_SENT_TOTAL, &[pipeline]);
        Arc::new(Self { waiting: Waiting::new(QUEUE_BYTES), dropped, sent })
    }

    pub(super) fn put(&self, record: LogRecord) {
        let bytes = record.bytes();
        if !self.waiting.put(record, bytes) {
            self.dropped(Dropped::QueueFull, 1);
        }
    }

    /// The oldest, at most so many.
    pub fn take(&self, lines_max: usize) -> Vec<LogRecord> {
        self.waiting.take(lines_max)
    }

    /// So many will not be sent.
    pub fn dropped(&self, why: Dropped, lines: usize) {
        let counters = REASONS.iter().zip(&self.dropped);
        counters.filter(|(known, _)| **known == why).for_each(|(_, counter)| counter.add(lines as u64));
    }

    /// So many were taken by the collector.
    pub fn sent(&self, lines: usize) {
        self.sent.add(lines as u64);
    }
}
