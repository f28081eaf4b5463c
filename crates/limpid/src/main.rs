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

/// Commits memory as it is used: with the default 90 MB stay resident where 40 are in use.
fn commit_on_use() {
    // The allocator's numbers for `eager_commit` and `arena_eager_commit`, which the crate does not name.
    for option in [3, 4] {
        // SAFETY: sets one number of the allocator's own table; legal at any time.
        unsafe { libmimalloc_sys::mi_option_set(option, 0) };
    }
}

fn main() -> ExitCode {
    commit_on_use();
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
