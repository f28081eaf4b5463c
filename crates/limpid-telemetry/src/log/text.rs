//! A line for people.
//!
//! Owns: its layout. Does not own: colours: meaning is never in them.
//!
//! Invariant: one line, whatever the texts hold; a terminal is never steered by a text from outside.

use std::fmt::Write;

use super::{Line, Value, calendar};

/// `<time> <level> <pipeline> <component>: <message> [table=..] [..] [error=".."]`.
pub(super) fn write(out: &mut String, wall_micros: i64, line: &Line<'_>) {
    write!(out, "{} {:<5}", calendar::rfc3339(wall_micros), line.level.word()).expect("a string takes all");
    for word in [line.pipeline, line.component].into_iter().filter(|word| !word.is_empty()) {
        out.push(' ');
        plain(out, word);
    }
    out.push_str(": ");
    plain(out, &line.message);
    match (line.schema, line.table) {
        (Some(schema), Some(table)) => fact(out, "table", &format!("{schema}.{table}")),
        (None, Some(table)) => fact(out, "table", table),
        (schema, None) => schema.into_iter().for_each(|schema| fact(out, "schema", schema)),
    }
    line.operation.iter().for_each(|operation| fact(out, "operation", operation));
    line.duration_ms.iter().for_each(|duration| fact(out, "duration", &format!("{duration}ms")));
    for (name, value) in &line.metadata {
        match value {
            Value::Text(text) => fact(out, name, text),
            Value::Number(number) => fact(out, name, &number.to_string()),
            Value::Flag(flag) => fact(out, name, &flag.to_string()),
        }
    }
    line.error_code.iter().for_each(|code| fact(out, "code", code));
    line.error.iter().for_each(|error| fact(out, "error", error));
    line.trace_id.iter().for_each(|id| fact(out, "trace", &format!("{id:032x}")));
}

/// `name=value`, quoted where it holds blanks or is empty.
fn fact(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push('=');
    let quotes = value.is_empty() || value.contains([' ', '"', '=']);
    if quotes {
        out.push('"');
    }
    for c in value.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        plain(out, c.encode_utf8(&mut [0; 4]));
    }
    if quotes {
        out.push('"');
    }
}

fn plain(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() || c == '\u{2028}' || c == '\u{2029}' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
}
