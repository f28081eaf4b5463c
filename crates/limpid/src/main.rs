//! The binary: reads the command line, puts the parts together, ends with the right code.
//!
//! Owns: the allocator, exit codes. Does not own: any work (the commands' modules), any connector (`registry`).
//!
//! Invariant: data goes to stdout, everything else to stderr; a failure ends with one report and its code.

mod cli;
mod crew;
mod disk;
mod dlq;
mod doctor;
mod export;
mod kept;
mod login;
mod logs;
mod observe;
mod otlp;
mod plan;
mod position;
mod progress;
mod push;
mod registry;
mod report;
mod run;
mod screen;
mod serve;
mod snapshot;
mod stamped;
mod state;
mod status;
mod top;
mod trace;
mod traces;
mod turns;
mod validate;
mod verdict;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use limpid_model::FaultCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps to the memory in use. Measured (`cargo xtask bench large single idle`) with and without huge pages: the peak of a
/// million small rows in one transaction 153 and 101 MB, of single-row transactions 111 and 79, idle 27 and 19.
///
/// The allocator is librdkafka's too (the feature `override`), which has a hundred thousand records under way: three million
/// records with a header each took 7.3 CPU s instead of 10.8, without any 6.1 and 6.3 (means of four rounds). Freed pages go back
/// after 25 ms: a copy of a million rows to Kafka by hand, five times each, had 93 MB at its highest with 10 and 25 ms, 97 with 50,
/// 100 with 100 (102 in one round of `bench kafka` with 25); a second made it 129. At 10 ms the stream took a third more of the system's time than at 100.
fn keep_memory_small() {
    // The allocator's numbers for `eager_commit`, `arena_eager_commit` and `purge_delay` (ms), which the crate does not name.
    for (option, value) in [(3, 0), (4, 0), (15, 25)] {
        // SAFETY: sets one number of the allocator's own table; legal at any time.
        unsafe { libmimalloc_sys::mi_option_set(option, value) };
    }
    // The allocator asks for huge pages, which make each first touch of a block cost 2 MiB. A kernel that does not know
    // the request goes on as before.
    // SAFETY: a flag of this process, without pointers.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

fn main() -> ExitCode {
    keep_memory_small();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let code = match cli.command {
        cli::Command::Run(arguments) => run::run(&arguments),
        cli::Command::Validate(arguments) => validate::validate(&arguments),
        cli::Command::Doctor(arguments) => doctor::doctor(&arguments),
        cli::Command::Plan(arguments) => plan::plan(&arguments),
        cli::Command::Status(arguments) => status::status(&arguments),
        cli::Command::Top(arguments) => top::top(&arguments),
        cli::Command::State { what } => state::state(&what),
        cli::Command::Pause(arguments) => snapshot::pause_or_resume(&arguments, "pause"),
        cli::Command::Resume(arguments) => snapshot::pause_or_resume(&arguments, "resume"),
        cli::Command::Position { what } => position::position(&what),
        cli::Command::Snapshot(arguments) => snapshot::snapshot(&arguments),
        cli::Command::Dlq { what } => dlq::dlq(&what),
        cli::Command::Trace(arguments) => trace::trace(&arguments),
        cli::Command::Export { what } => export::export(what),
        cli::Command::Completions { shell } => export::completions(shell),
        cli::Command::Man => export::man(),
    };
    ExitCode::from(code)
}

/// Help and version are no failures; what a later release has is told apart from what never was.
fn refused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let later = match error.kind() {
        ErrorKind::InvalidSubcommand => words.first().filter(|word| cli::LATER_COMMANDS.contains(&word.as_str())),
        ErrorKind::UnknownArgument => words.iter().find(|word| {
            let name = word.split('=').next().unwrap_or_default();
            cli::LATER_OPTIONS.contains(&name)
        }),
        _ => None,
    };
    match later {
        Some(word) => {
            let code = FaultCode::NotInThisVersion;
            eprintln!("error[{code}]: `{word}` is not in this version");
            eprintln!("help: `limpid --help` lists what this version has (docs/faults/{code}.md)");
        }
        None => {
            let code = FaultCode::UsageInvalid;
            let text = error.to_string();
            eprint!("{}", text.replacen("error:", &format!("error[{code}]:"), 1));
        }
    }
    ExitCode::from(2)
}
