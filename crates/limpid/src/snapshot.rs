//! `limpid snapshot`, `pause` and `resume`: what an operator asks of a running instance.
//!
//! Owns: the words on the way. Does not own: the call (`limpid-server`), the copy (`limpid-engine`).
//!
//! Invariant: what was asked is said, and nothing is said to be done that only was accepted.

use limpid_model::Fault;

use crate::cli::{PauseArguments, SnapshotArguments};
use crate::report;
use crate::status::{client, exit_code};

/// Asks for each table in turn. 2 when the call is refused, 3 when nobody answers.
pub fn snapshot(arguments: &SnapshotArguments) -> u8 {
    ended(ask(arguments))
}

/// Has the pipeline read no further, or go on. 2 when the call is refused, 3 when nobody answers.
pub fn pause_or_resume(arguments: &PauseArguments, word: &str) -> u8 {
    if arguments.dry_run {
        println!("would ask: {word} {}", arguments.pipeline);
        return 0;
    }
    let asked = client(&arguments.instance).and_then(|client| client.ask_pipeline(&arguments.pipeline, word));
    if asked.is_ok() {
        println!("asked: {word} {}", arguments.pipeline);
    }
    ended(asked)
}

fn ended(asked: Result<(), Fault>) -> u8 {
    match asked {
        Ok(()) => 0,
        Err(fault) => {
            eprintln!("{}", report::fault(&fault));
            exit_code(&fault)
        }
    }
}

fn ask(arguments: &SnapshotArguments) -> Result<(), Fault> {
    let client = client(&arguments.instance)?;
    let name = &arguments.pipeline;
    let actions = [(arguments.pause, "pause"), (arguments.resume, "resume"), (arguments.stop, "stop")];
    let action = actions.into_iter().find_map(|(given, action)| given.then_some(action));
    let mut calls: Vec<(String, Vec<(&str, &str)>)> = Vec::new();
    match action {
        Some(action) => calls.push((format!("{action} copies of {name}"), vec![("action", action)])),
        None => {
            for table in &arguments.table {
                let mut parameters = vec![("action", "copy"), ("table", table)];
                parameters.extend(arguments.condition.as_deref().map(|condition| ("where", condition)));
                calls.push((format!("copy {table} of {name}"), parameters));
            }
        }
    }
    for (words, parameters) in calls {
        if arguments.dry_run {
            println!("would ask: {words}");
        } else {
            client.ask_snapshot(name, &parameters)?;
            println!("asked: {words}");
        }
    }
    Ok(())
}
