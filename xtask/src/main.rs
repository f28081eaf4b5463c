//! `cargo xtask`: the project's own chores.
//!
//! Owns: the table of commands.
//! Does not own: any of them; each is a file beside this one.
#![expect(
    clippy::disallowed_methods,
    reason = "runs tools and real servers on the real clock; nothing here is simulated"
)]

mod bench;
mod demo;
mod licences;
mod mutations;
mod shell;
mod stack;
mod test_run;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo                        a shop under load, its rows in Kafka, and the proof that both are equal
  test                        format, tidy, licences, clippy, build and all tests, as CI runs them
  tidy                        the house rules that no other tool checks
  licences                    licences, banned crates and sources of every dependency (deny.toml)
  bench [WORK ...]            loads, contenders and figures (bulk, snapshot, kafka, cost, idle, ...)
  mutations [NAME ...]        breaks the code on purpose and demands that a test sees it (tests/mutations.toml)
  stack fetch                 download the servers that Debian does not package
  stack up|down|status        MariaDB, MySQL, Kafka and Prometheus on this machine, for trying things out";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo"] => demo::run(),
        ["test"] => test_run::run(),
        ["tidy"] => tidy::run(),
        ["licences"] => licences::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["mutations", names @ ..] => mutations::run(names),
        ["stack", "fetch"] => stack::fetch(),
        ["stack", "up"] => stack::up(),
        ["stack", "down"] => stack::down(),
        ["stack", "status"] => stack::status(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
