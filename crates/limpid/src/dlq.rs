//! `limpid dlq`: rows of a running instance that could not be delivered.
//!
//! Owns: the text form, waiting for an outcome. Does not own: the calls (`limpid-server`), replays (`limpid-engine`).
//!
//! Invariant: keys and bytes are shown only with `--raw`; nothing is said to be done that only was asked for.

use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::api::{ParkedBodyDocument, ParkedDocument, ParkedEntry, ParkedOutcomeDocument};
use limpid_server::client::Client;
use serde_json::{Value, json};

use crate::cli::{DlqCommand, DlqListArguments, DlqReplayArguments, DlqRowsArguments, DlqShowArguments, Form};
use crate::progress::bytes_text;
use crate::report;
use crate::status::{client, exit_code};

/// How often the outcome is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waiting timed out.
const TIMED_OUT: u8 = 12;

/// 1 when rows stay that were to be replayed or dropped, 2 when the call is refused, 3 when nobody answers, 12 when the
/// outcome does not come in time.
pub fn dlq(command: &DlqCommand) -> u8 {
    let ended = match command {
        DlqCommand::List(arguments) => list(arguments),
        DlqCommand::Show(arguments) => show(arguments),
        DlqCommand::Replay(DlqReplayArguments { rows, force }) => ask(rows, "replay", *force),
        DlqCommand::Drop(rows) => ask(rows, "drop", false),
    };
    ended.unwrap_or_else(|fault| {
        eprintln!("{}", report::fault(&fault));
        exit_code(&fault)
    })
}

fn list(arguments: &DlqListArguments) -> Result<u8, Fault> {
    let client = client(&arguments.instance)?;
    let ParkedDocument { mut entries, .. } = client.parked(&arguments.pipeline, arguments.table.as_deref())?;
    entries.retain(|entry| arguments.ids.is_empty() || arguments.ids.contains(&entry.id));
    let mut keys = Vec::new();
    for entry in entries.iter().filter(|_| arguments.raw) {
        let row = client.parked_row(&arguments.pipeline, entry.id, true)?;
        keys.push(row.records.into_iter().find_map(|record| record.key));
    }
    match arguments.format {
        Form::Json => {
            let mut list = Vec::new();
            for (place, entry) in entries.iter().enumerate() {
                let mut value = as_json(serde_json::to_value(entry))?;
                if arguments.raw {
                    value["key"] = keys.get(place).cloned().flatten().map_or(Value::Null, Value::from);
                }
                list.push(value);
            }
            println!("{}", json!({ "entries": list }));
        }
        Form::Text => {
            for (place, entry) in entries.iter().enumerate() {
                let key = keys.get(place).cloned().flatten().map_or(String::new(), |key| format!("  key {key}"));
                println!("{}{key}", line(entry));
            }
            if entries.is_empty() {
                println!("no row is kept");
            }
        }
    }
    Ok(0)
}

fn line(entry: &ParkedEntry) -> String {
    let ParkedEntry { id, kind, schema, table, operation, at, .. } = entry;
    let why = match (&entry.error_code, &entry.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => "waits behind an earlier row of its key".to_owned(),
    };
    let superseded = if entry.superseded { "  superseded" } else { "" };
    let hash = entry.key_hash.as_deref().unwrap_or("-");
    let bytes = bytes_text(entry.bytes);
    format!("{id}  {kind}{superseded}  {schema}.{table}  {operation}  {hash}  {bytes}  {at}  {why}")
}

fn show(arguments: &DlqShowArguments) -> Result<u8, Fault> {
    let row = client(&arguments.instance)?.parked_row(&arguments.pipeline, arguments.id, arguments.raw)?;
    match arguments.format {
        Form::Json => println!("{}", as_json(serde_json::to_value(&row))?),
        Form::Text => print!("{}", text(&row)),
    }
    Ok(0)
}

fn text(row: &ParkedBodyDocument) -> String {
    let length = |bytes: Option<u64>| bytes.map_or("null".to_owned(), bytes_text);
    let mut out = format!("{}\n  position  {}\n", line(&row.entry), row.entry.position);
    if let Some(topic) = &row.topic {
        out += &format!("  to        {topic}\n");
    }
    for record in &row.records {
        let (key, value) = (length(record.key_bytes), length(record.value_bytes));
        out += &format!("  record    key {key}, value {value}, {} headers\n", record.headers);
        for (name, bytes) in [("key", &record.key), ("value", &record.value)] {
            out += &bytes.as_ref().map_or(String::new(), |bytes| format!("    {name} {bytes}\n"));
        }
    }
    for column in &row.columns {
        let value = column.value.as_ref().map_or(String::new(), |value| format!(" {value}"));
        out += &format!("  column    {} {}, {}{value}\n", column.image, column.column, length(column.bytes));
    }
    out
}

fn ask(rows: &DlqRowsArguments, word: &str, force: bool) -> Result<u8, Fault> {
    let client = client(&rows.instance)?;
    let ids = rows.ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    if rows.dry_run {
        let found = client.parked(&rows.pipeline, rows.table.as_deref())?.entries;
        let found = found.iter().filter(|entry| rows.all || rows.ids.contains(&entry.id));
        found.for_each(|entry| println!("would ask: {word} {}", line(entry)));
        return Ok(0);
    }
    let mut parameters = vec![if rows.all { ("all", "true") } else { ("id", ids.as_str()) }];
    parameters.extend(rows.table.as_deref().map(|table| ("table", table)));
    parameters.extend(force.then_some(("force", "true")));
    let number = client.ask_parked(&rows.pipeline, word, &parameters)?;
    let Some(outcome) = wait(&client, rows, number)? else {
        eprintln!("asked: {word}; not done yet, `limpid dlq list {}` tells on", rows.pipeline);
        return Ok(TIMED_OUT);
    };
    match rows.format {
        Form::Json => println!("{}", as_json(serde_json::to_value(&outcome))?),
        Form::Text => {
            let done = if word == "drop" { "dropped" } else { "delivered" };
            println!("{} rows {done}", outcome.done);
            outcome.refused.iter().for_each(|refused| println!("{} stays: {}", refused.id, refused.reason));
            if outcome.interrupted {
                println!("the pipeline restarted before it was done; ask again");
            }
        }
    }
    Ok(u8::from(!outcome.refused.is_empty() || outcome.interrupted))
}

fn wait(client: &Client, rows: &DlqRowsArguments, number: u64) -> Result<Option<ParkedOutcomeDocument>, Fault> {
    let clock = Clock::system();
    let deadline = clock.nanos() + rows.wait.as_nanos() as u64;
    loop {
        // Of a table that no row is kept of: the outcomes are what is asked for.
        let outcomes = client.parked(&rows.pipeline, rows.table.as_deref())?.outcomes;
        if let Some(outcome) = outcomes.into_iter().find(|outcome| outcome.number == number) {
            return Ok(Some(outcome));
        }
        if clock.nanos() > deadline {
            return Ok(None);
        }
        clock.sleep(LOOK_EVERY);
    }
}

fn as_json(document: serde_json::Result<Value>) -> Result<Value, Fault> {
    document.map_err(|error| {
        Fault::new(FaultCode::HttpAnswerFailed, Component::Server, "the answer is no JSON").because(error)
    })
}
