//! The command line.
//!
//! Owns: commands, options and their help. Does not own: what they do.
//!
//! Invariant: names and meanings are the contract's; a command of a later release is not there at all.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Moves data between databases, and shows the truth about every row on its way.
#[derive(Debug, Parser)]
#[command(name = "limpid", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one or more pipelines in the foreground
    Run(RunArguments),
    /// Check pipeline files without connecting to anything
    Validate(ValidateArguments),
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// Pipeline files: YAML, TOML or JSON by extension
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the state is kept
    #[arg(long, default_value = "./limpid-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// End at `caught-up` or at a position instead of running on
    #[arg(long, value_name = "caught-up|POSITION")]
    pub until: Option<String>,
    /// What a halted pipeline does to the process: `stay`, or `exit` (the default with --until)
    #[arg(long, value_enum)]
    pub on_halt: Option<OnHalt>,
    /// Decoding and encoding threads; one less than the cores by default
    #[arg(long, hide = true)]
    pub workers: Option<usize>,
    /// Kill the process at a place, for tests: NAME:COUNT
    #[arg(long, hide = true, value_name = "NAME:COUNT")]
    pub failpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnHalt {
    Stay,
    Exit,
}

#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}
