//! `limpid position`: where a running pipeline's stream is, and having it go on elsewhere.
//!
//! Owns: asking the person twice, waiting for what comes of it. Does not own: the call (`limpid-server`), moving
//! (`limpid-engine`).
//!
//! Invariant: nothing is moved unless the person said so twice, the second time by the pipeline's name; success is said
//! only once the stream stands at the new position.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::{Component, Fault, FaultCode};
use limpid_server::api::{MoveDocument, PositionDocument};
use limpid_server::client::Client;
use serde_json::json;

use crate::cli::{Form, PositionCommand, PositionSetArguments, PositionShowArguments};
use crate::report;
use crate::status::{client, exit_code};

/// 0 when it is done, 1 when it cannot be, 2 when the call is refused, 3 when nobody answers, 12 when the stream is
/// still on its way.
pub fn position(what: &PositionCommand) -> u8 {
    let done = match what {
        PositionCommand::Show(arguments) => show(arguments),
        PositionCommand::Set(arguments) => set(arguments),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("{}", report::fault(&fault));
        exit_code(&fault)
    })
}

fn show(arguments: &PositionShowArguments) -> Result<u8, Fault> {
    let document = client(&arguments.instance)?.position(&arguments.pipeline)?;
    match arguments.format {
        Form::Text => print!("{}", text(&document)),
        Form::Json => println!("{:#}", json!(document)),
    }
    Ok(0)
}

fn text(document: &PositionDocument) -> String {
    let dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mut out = format!("position   {}\nhead       {}\n", dash(&document.position), dash(&document.head));
    if let Some(to) = &document.moving_to {
        out += &format!("moving to  {to}\n");
    }
    if let Some(refused) = &document.refused {
        out += &format!("refused    {}: {} ({})\n", refused.code, refused.message, refused.page);
    }
    out
}

fn set(arguments: &PositionSetArguments) -> Result<u8, Fault> {
    let client = client(&arguments.instance)?;
    let asked = client.ask_move(&arguments.pipeline, &arguments.position)?;
    let from = asked.from.as_deref().unwrap_or("-");
    println!("{}: the stream would leave {from}", asked.pipeline);
    println!("and go on at {}", asked.to);
    println!("Changes between the two are delivered again, or never, whichever way it goes.");
    if arguments.dry_run {
        return Ok(0);
    }
    if !is_confirmed(arguments, &asked)? {
        eprintln!("nothing was done");
        return Ok(2);
    }
    client.confirm_move(&asked)?;
    follow(&client, &asked)
}

/// By the options, or by asking twice.
fn is_confirmed(arguments: &PositionSetArguments, asked: &MoveDocument) -> Result<bool, Fault> {
    if let Some(name) = &arguments.confirm {
        return Ok(arguments.yes && *name == asked.pipeline);
    }
    if !std::io::stdin().is_terminal() {
        let text = "nobody can be asked here: give --yes and --confirm with the pipeline's name";
        return Err(Fault::new(FaultCode::UsageInvalid, Component::Server, text));
    }
    Ok((arguments.yes || answer("Go on? Type yes: ")? == "yes")
        && answer("Type the pipeline's name to confirm: ")? == asked.pipeline)
}

fn answer(question: &str) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(FaultCode::UsageInvalid, Component::Server, "the answer cannot be read").because(error)
    };
    eprint!("{question}");
    std::io::stderr().flush().map_err(unreadable)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
    Ok(line.trim().to_owned())
}

/// A drain may take as long as a pipeline's end does.
const FOLLOW_SECONDS: u64 = 30;
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn follow(client: &Client, asked: &MoveDocument) -> Result<u8, Fault> {
    let clock = Clock::system();
    let end = clock.nanos() + FOLLOW_SECONDS * 1_000_000_000;
    loop {
        let seen = client.position(&asked.pipeline)?;
        match (seen.moving_to, seen.refused) {
            (None, None) => {
                println!("moved: {}", asked.to);
                return Ok(0);
            }
            (None, Some(why)) => {
                eprintln!("error[{}]: {}", why.code, why.message);
                eprintln!("help: {} ({})", why.remedy, why.page);
                return Ok(1);
            }
            (Some(_), _) if clock.nanos() > end => {
                eprintln!("not there yet; limpid position show {} tells", asked.pipeline);
                return Ok(12);
            }
            (Some(_), _) => clock.sleep(LOOK_EVERY),
        }
    }
}
