//! A line as JSON.
//!
//! Owns: the order of the keys and the escapes. Does not own: which lines there are.
//!
//! Invariant: one object, on one line, whatever the texts hold; seven keys always, the others where they apply.

use std::fmt::Write;

use super::{Line, Value, calendar};

pub(super) fn write(out: &mut String, wall_micros: i64, line: &Line<'_>) {
    out.push_str("{\"timestamp\":\"");
    out.push_str(&calendar::rfc3339(wall_micros));
    out.push('"');
    text(out, "level", line.level.word());
    text(out, "pipeline", line.pipeline);
    text(out, "component", line.component);
    text(out, "trace_id", &line.trace_id.map(|id| format!("{id:032x}")).unwrap_or_default());
    text(out, "span_id", &line.span_id.map(|id| format!("{id:016x}")).unwrap_or_default());
    text(out, "message", &line.message);
    for (key, value) in [("schema", line.schema), ("table", line.table), ("operation", line.operation)] {
        value.into_iter().for_each(|value| text(out, key, value));
    }
    if let Some(duration_ms) = line.duration_ms {
        write!(out, ",\"duration_ms\":{duration_ms}").expect("a string takes all");
    }
    line.error.iter().for_each(|error| text(out, "error", error));
    line.error_code.iter().for_each(|code| text(out, "error_code", code));
    if !line.metadata.is_empty() {
        metadata(out, &line.metadata);
    }
    out.push('}');
}

fn metadata(out: &mut String, facts: &[(&str, Value)]) {
    out.push_str(",\"metadata\":{");
    for (index, (name, value)) in facts.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quoted(out, name);
        out.push(':');
        match value {
            Value::Text(text) => quoted(out, text),
            Value::Number(number) => write!(out, "{number}").expect("a string takes all"),
            Value::Flag(flag) => write!(out, "{flag}").expect("a string takes all"),
        }
    }
    out.push('}');
}

fn text(out: &mut String, key: &str, value: &str) {
    out.push(',');
    quoted(out, key);
    out.push(':');
    quoted(out, value);
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // DEL and the C1 controls are legal in JSON, but steer terminals; the two separators end lines for some
            // readers.
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a string takes all");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
