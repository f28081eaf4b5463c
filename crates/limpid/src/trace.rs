//! `limpid trace`: where a row of a running pipeline is.
//!
//! Owns: the text form, following a key and having it watched meanwhile. Does not own: the document (`limpid-server`).
//!
//! Invariant: what is not known is shown as `-` or left out, never as a number. A key is shown hashed unless `--raw`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::api::{TraceChange, TraceDocument, TraceTarget};
use limpid_server::client::Client;

use crate::cli::{Form, TraceArguments};
use crate::report;
use crate::status::{client, exit_code};

/// How often a key that is followed is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is asked to be watched on: well within the time that a watch lasts, and each is told in the audit.
const WATCH_EVERY: Duration = Duration::from_secs(10);

/// 0 with an answer, also one that knows nothing; 2 when the call is refused, 3 when nobody answers.
pub fn trace(arguments: &TraceArguments) -> u8 {
    let ended = client(&arguments.instance).and_then(|client| match arguments.watch {
        true => watch(&client, arguments),
        false => ask(&client, arguments).and_then(|document| show(&document, arguments)),
    });
    match ended {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!("{}", report::fault(&fault));
            exit_code(&fault)
        }
    }
}

fn parameters(arguments: &TraceArguments) -> Vec<(&str, &str)> {
    let named = [
        ("table", &arguments.table),
        ("key", &arguments.key),
        ("position", &arguments.position),
        ("trace_id", &arguments.trace_id),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}

fn ask(client: &Client, arguments: &TraceArguments) -> Result<TraceDocument, Fault> {
    client.trace(&arguments.pipeline, &parameters(arguments))
}

fn show(document: &TraceDocument, arguments: &TraceArguments) -> Result<(), Fault> {
    match arguments.format {
        Form::Json => println!("{}", json(serde_json::to_string(document))?),
        Form::Text => print!("{}{}", head(document, arguments), document.changes.iter().map(text).collect::<String>()),
    }
    Ok(())
}

/// The same for the live view, in lines.
///
/// # Errors
/// What the instance says of it, or that nobody answers.
pub fn lines(client: &Client, pipeline: &str, parameters: &[(&str, &str)]) -> Result<Vec<String>, Fault> {
    let document = client.trace(pipeline, parameters)?;
    let text: String = document.changes.iter().rev().map(text).collect();
    Ok(if text.is_empty() {
        vec!["nothing is known of it".to_owned()]
    } else {
        text.lines().map(str::to_owned).collect()
    })
}

/// Tells of each change when it is new, and again when what became of it is. Ends with the process.
fn watch(client: &Client, arguments: &TraceArguments) -> Result<(), Fault> {
    let clock = Clock::system();
    let mut told: HashMap<String, String> = HashMap::new();
    let (mut is_first, mut lease) = (true, Lease::default());
    loop {
        // Before the look: what comes after it is kept.
        lease.renew(client, arguments, &clock)?;
        let document = ask(client, arguments)?;
        if std::mem::take(&mut is_first) && arguments.format == Form::Text {
            print!("{}", head(&document, arguments));
        }
        let mut now = HashMap::new();
        for change in &document.changes {
            let name = identity(change);
            if told.get(&name) != Some(&change.outcome) {
                match arguments.format {
                    Form::Json => println!("{}", json(serde_json::to_string(change))?),
                    Form::Text => print!("{}", text(change)),
                }
            }
            now.insert(name, change.outcome.clone());
        }
        told = now;
        if std::io::stdout().flush().is_err() {
            return Ok(());
        }
        clock.sleep(LOOK_EVERY);
    }
}

/// That the key's transactions are kept as traces, which takes an operator. Whoever is none follows the key all the same.
#[derive(Default)]
struct Lease {
    asked: Option<u64>,
    is_refused: bool,
}

impl Lease {
    fn renew(&mut self, client: &Client, arguments: &TraceArguments, clock: &Clock) -> Result<(), Fault> {
        let now = clock.nanos();
        let is_due = self.asked.is_none_or(|asked| now - asked >= WATCH_EVERY.as_nanos() as u64);
        if self.is_refused || !is_due {
            return Ok(());
        }
        self.asked = Some(now);
        match client.watch_key(&arguments.pipeline, &parameters(arguments)) {
            Ok(_) => {}
            Err(fault) if matches!(fault.code(), FaultCode::AuthForbidden | FaultCode::CrossSiteRefused) => {
                self.is_refused = true;
                eprintln!("its transactions are not kept as traces for this: {fault}");
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

/// What tells changes of one key apart.
fn identity(change: &TraceChange) -> String {
    let read = change.stages.first().and_then(|stage| stage.at.as_deref()).unwrap_or_default();
    match (&change.trace_id, change.ordinal) {
        (Some(trace), Some(ordinal)) => format!("{trace}/{ordinal}"),
        _ => format!("{:?} {read}", change.kept_id),
    }
}

fn json(text: serde_json::Result<String>) -> Result<String, Fault> {
    text.map_err(|error| {
        Fault::new(FaultCode::HttpAnswerFailed, Component::Server, "the answer is no JSON").because(error)
    })
}

fn head(document: &TraceDocument, arguments: &TraceArguments) -> String {
    let reach = document
        .reach_seconds
        .map_or("nothing is remembered yet".to_owned(), |seconds| format!("rows are remembered for {seconds:.0} s"));
    let what = match (&document.table, &document.key_hash, &arguments.key) {
        (Some(table), _, Some(key)) if arguments.raw => format!(" {table} key {key}"),
        (Some(table), Some(hash), _) => format!(" {table} key {hash}"),
        _ => String::new(),
    };
    let kept = match document.watched {
        Some(true) if arguments.watch => "  its transactions are kept as traces while it is watched\n",
        Some(_) | None => "",
    };
    format!("{}:{what}  ({reach})\n{kept}", document.pipeline)
}

fn text(change: &TraceChange) -> String {
    let mut out = String::new();
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let ordinal = change.ordinal.map_or(String::new(), |ordinal| format!(" row {ordinal}"));
    let operation = change.operation.as_deref().unwrap_or("change");
    let _ = writeln!(out, "{operation} {}{ordinal}: {}", dash(&change.position), outcome(change));
    if let Some(note) = &change.note {
        let _ = writeln!(out, "  note       {note}");
    }
    let _ = writeln!(out, "  trace      {}", dash(&change.trace_id));
    if let Some(target) = &change.target {
        let _ = writeln!(out, "  target     {}", place(target));
    }
    if let Some(attempts) = change.attempts.filter(|attempts| *attempts > 1) {
        let _ = writeln!(out, "  attempts   {attempts}");
    }
    for stage in &change.stages {
        let took = stage.duration_us.map_or(String::new(), |micros| format!("  +{:.3} ms", micros as f64 / 1000.0));
        let uncertain = change.committed_at_uncertainty_seconds.filter(|_| stage.name == "committed");
        let uncertain = uncertain.map_or(String::new(), |seconds| format!("  up to {seconds} s later"));
        let derived = if stage.known == "derived" { "  (derived)" } else { "" };
        let at = stage.at.as_deref().unwrap_or("-");
        let _ = writeln!(out, "  {:<9}  {:<12} {at}{took}{uncertain}{derived}", stage.component, stage.name);
    }
    out
}

fn outcome(change: &TraceChange) -> String {
    let mut out = change.outcome.clone();
    let mut add = |word: &str, what: Option<&str>| {
        if let Some(what) = what {
            let _ = write!(out, " {word} {what}");
        }
    };
    add("by rule", change.rule.as_deref());
    add("for", change.waits_for.as_deref());
    add("because of", change.error_code.as_deref());
    add("as", change.kept_id.map(|id| id.to_string()).as_deref());
    if change.known == "derived" {
        out.push_str(" (derived)");
    }
    out
}

fn place(target: &TraceTarget) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let topic = target.topic.as_deref().unwrap_or("-");
    let offset = match (target.offset_first, target.offset_last) {
        (Some(first), Some(last)) => format!("between {first} and {last}"),
        _ => number(target.offset),
    };
    format!("{topic}, partition {}, offset {offset}", number(target.partition.map(i64::from)))
}
