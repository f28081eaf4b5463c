//! The binary: reads the command line, puts the parts together, ends with the right code.
//!
//! Owns: the allocator, exit codes. Does not own: any work (the commands' modules), any connector (`registry`).
//!
//! Invariant: data goes to stdout, everything else to stderr; a failure ends with one report and its code.

mod cli;
mod observe;
mod registry;
mod report;
mod run;
mod validate;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let code = match cli.command {
        cli::Command::Run(arguments) => run::run(&arguments),
        cli::Command::Validate(arguments) => validate::validate(&arguments),
    };
    ExitCode::from(code)
}
