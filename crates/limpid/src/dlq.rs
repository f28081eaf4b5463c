//! `limpid dlq`: rows of a running instance that could not be delivered.
//!
//! Owns: the text form, waiting for an outcome. Does not own: the calls (`limpid-server`), replays (`limpid-engine`).
//!
//! Invariant: keys and bytes are shown only with `--raw`; nothing is said to be done that only was asked for.

use std::collections::HashSet;
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
        let found = client.parked(&rows.pipeline, None)?.entries;
        let (would, stay) = foretell(&found, rows, word, force);
        would.iter().for_each(|entry| println!("would ask: {word} {}", line(entry)));
        stay.iter().for_each(|(id, why)| println!("{id} would stay: {why}"));
        return Ok(u8::from(!stay.is_empty()));
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

/// The rows that would go, and those asked for that would not. Of a parked row that is replayed, all of its key go.
fn foretell<'a>(
    entries: &'a [ParkedEntry],
    rows: &DlqRowsArguments,
    word: &str,
    force: bool,
) -> (Vec<&'a ParkedEntry>, Vec<(u64, &'static str)>) {
    let of_table =
        |entry: &ParkedEntry| rows.table.as_ref().is_none_or(|t| *t == format!("{}.{}", entry.schema, entry.table));
    let mut stay: Vec<(u64, &'static str)> = Vec::new();
    let is_kept = |id: &u64| entries.iter().any(|entry| entry.id == *id);
    stay.extend(rows.ids.iter().filter(|id| !is_kept(id)).map(|id| (*id, "no such row is kept")));
    let is_replay = word == "replay";
    let mut ids: HashSet<u64> = HashSet::new();
    for entry in entries.iter().filter(|entry| of_table(entry) && (rows.all || rows.ids.contains(&entry.id))) {
        if is_replay && entry.superseded && !force {
            stay.push((entry.id, "a later version of its key was delivered; --force writes over it"));
        } else {
            ids.insert(entry.id);
        }
    }
    let parked: Vec<&ParkedEntry> = entries.iter().filter(|entry| is_replay && entry.kind == "parked").collect();
    let mut keys: HashSet<&String> = HashSet::new();
    loop {
        let before = ids.len();
        for entry in parked.iter().filter(|entry| ids.contains(&entry.id)) {
            keys.extend(hashes(entry));
        }
        let of_keys = parked.iter().filter(|entry| hashes(entry).any(|hash| keys.contains(hash)));
        let of_keys: Vec<u64> = of_keys.map(|entry| entry.id).collect();
        ids.extend(of_keys);
        if ids.len() == before {
            return (entries.iter().filter(|entry| ids.contains(&entry.id)).collect(), stay);
        }
    }
}

fn hashes(entry: &ParkedEntry) -> impl Iterator<Item = &String> {
    entry.key_hash.iter().chain(&entry.more_key_hashes)
}

fn wait(client: &Client, rows: &DlqRowsArguments, number: u64) -> Result<Option<ParkedOutcomeDocument>, Fault> {
    let clock = Clock::system();
    let deadline = clock.nanos() + rows.wait.as_nanos() as u64;
    loop {
        let outcomes = client.parked_outcomes(&rows.pipeline)?;
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
