//! A plan as text and as JSON.
//!
//! Owns: the words. Does not own: what is planned (`plan`).
//!
//! Invariant: estimates are called so; what is not known is a dash or null.

use std::fmt::Write;

use limpid_model::FaultCode;
use serde_json::{Value, json};

use super::{Begins, Plan, Planned, Work};
use crate::progress::bytes_text;
use crate::report;

/// Rows and bytes that are to be copied, and in how many chunks.
fn work(plan: &Plan) -> (usize, u64, u64, u64) {
    let copied = plan.tables.iter().filter(|table| matches!(table.work, Work::Copy | Work::GoOn));
    copied.fold((0, 0, 0, 0), |(tables, rows, bytes, chunks), table| {
        let found = &table.found;
        let more = if found.has_key { found.rows.div_ceil(u64::from(plan.chunk_rows)).max(1) } else { 1 };
        (tables + 1, rows + found.rows, bytes + found.bytes, chunks + more)
    })
}

pub(super) fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("a string takes all");
    line(format_args!("{}", plan.name));
    match &plan.begins {
        Begins::First(position) => line(format_args!("  start      nothing is stored: a first start, at {position}")),
        Begins::At(position) => line(format_args!("  start      goes on behind what is delivered, at {position}")),
        Begins::Anew(code) => {
            line(format_args!("  start      the position is gone ({code}): everything is copied anew"));
        }
        Begins::Waits(fault) | Begins::Refused(fault) => {
            let word =
                if matches!(plan.begins, Begins::Waits(_)) { "tried again until this is over" } else { "REFUSED" };
            line(format_args!("  start      {word}"));
            report::fault(fault).lines().for_each(|text| line(format_args!("             {text}")));
        }
    }
    if plan.reselected {
        line(format_args!("  selection  other tables or columns are captured than before"));
    }
    if plan.recounted {
        line(format_args!("             rows of the transaction in progress are delivered again"));
    }
    match work(plan) {
        (0, ..) => line(format_args!("  snapshot   nothing to copy")),
        (tables, rows, bytes, chunks) => line(format_args!(
            "  snapshot   {tables} tables, some {rows} rows and {} by the source's estimate, in some {chunks} chunks, {} at \
             a time",
            bytes_text(bytes),
            plan.parallel
        )),
    }
    let made = plan.tables.iter().filter(|table| table.to.is_there == Some(false)).count();
    if made > 0 {
        line(format_args!("  topics     {made} would be made"));
    }
    for rule in &plan.idle_rules {
        line(format_args!("  warning    the rule {rule} matches none of the tables captured: it hides nothing"));
    }
    line(format_args!("  tables     {} captured", plan.tables.len()));
    for Planned { found, work, to } in &plan.tables {
        let key = if found.has_key { "" } else { ", no key: read whole while the stream stands" };
        let to = match &to.topic {
            None => String::new(),
            Some(Ok(topic)) => format!(" -> {topic}{}", there(to.is_there)),
            Some(Err(fault)) => format!(" -> {}", fault.code()),
        };
        line(format_args!(
            "    {:<8} {}  (some {} rows, {}{key}){to}",
            work.word(),
            found.name,
            found.rows,
            bytes_text(found.bytes)
        ));
    }
    out
}

const fn there(is_there: Option<bool>) -> &'static str {
    match is_there {
        Some(true) => "",
        Some(false) => " (would be made)",
        None => " (this user may not see it)",
    }
}

pub(super) fn document(plan: &Plan) -> Value {
    let (start, position, code): (&str, Option<&str>, Option<FaultCode>) = match &plan.begins {
        Begins::First(position) => ("first", Some(position), None),
        Begins::At(position) => ("resume", Some(position), None),
        Begins::Anew(code) => ("anew", None, Some(*code)),
        Begins::Waits(fault) => ("waits", None, Some(fault.code())),
        Begins::Refused(fault) => ("refused", None, Some(fault.code())),
    };
    let (tables, rows, bytes, chunks) = work(plan);
    let listed = plan.tables.iter().map(|Planned { found, work, to }| {
        json!({
            "schema": &*found.name.schema,
            "table": &*found.name.table,
            "action": work.word().replace(' ', "_"),
            "rows_estimated": found.rows,
            "bytes_estimated": found.bytes,
            "has_key": found.has_key,
            "topic": to.topic.as_ref().and_then(|topic| topic.as_ref().ok()),
            "topic_exists": to.is_there,
            "error_code": to.topic.as_ref().and_then(|topic| topic.as_ref().err()).map(|fault| fault.code().as_str()),
        })
    });
    json!({
        "pipeline": plan.name,
        "start": start,
        "position": position,
        "error_code": code.map(FaultCode::as_str),
        "selection_changed": plan.reselected,
        "rows_repeated": plan.recounted,
        "snapshot": {"tables": tables, "rows_estimated": rows, "bytes_estimated": bytes, "chunks_estimated": chunks},
        "idle_rules": plan.idle_rules,
        "tables": listed.collect::<Vec<_>>(),
    })
}
