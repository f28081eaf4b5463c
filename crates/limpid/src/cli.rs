//! The command line.
//!
//! Owns: commands, options and their help, and the names of later releases. Does not own: what they do.
//!
//! Invariant: names and meanings are the contract's; a command or option of a later release is refused by its name,
//! never ignored.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Ask the real systems whether pipelines would run, and how to mend what stands in their way
    Doctor(DoctorArguments),
    /// Say what starting a pipeline would do, and do nothing
    Plan(PlanArguments),
    /// Ask a running instance where its pipelines are
    Status(StatusArguments),
    /// Watch a running instance live, in the terminal
    Top(TopArguments),
    /// Look at, copy or rebuild a pipeline's state while it does not run
    State {
        #[command(subcommand)]
        what: StateCommand,
    },
    /// Have a running pipeline read no further until it is resumed
    Pause(PauseArguments),
    /// Have a paused pipeline go on, or a halted one try again
    Resume(PauseArguments),
    /// Copy tables of a running pipeline anew, or pause, resume or stop such copies
    Snapshot(SnapshotArguments),
    /// Ask where a running pipeline's stream is, or have it go on elsewhere
    Position {
        #[command(subcommand)]
        what: PositionCommand,
    },
    /// Look at rows of a running pipeline that could not be delivered, replay or drop them
    Dlq {
        #[command(subcommand)]
        what: DlqCommand,
    },
    /// Ask a running pipeline where a row is: when it passed which stage, and where it went or what it waits for
    Trace(TraceArguments),
    /// Write what other tools read: the metric catalogue, the configuration's JSON schema, the API's description
    Export {
        #[arg(value_enum)]
        what: Artefact,
    },
    /// Write a completion script for a shell
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual page
    Man,
}

/// Commands of the contract that come with later releases.
pub const LATER_COMMANDS: &[&str] =
    &["tap", "verify", "heal", "migrate", "monitor", "check", "alerts", "grafana", "debezium", "convert"];

/// Options of the contract that come with later releases.
pub const LATER_OPTIONS: &[&str] = &["--raw"];

#[derive(Debug, Args)]
pub struct RunArguments {
    /// Pipeline files: YAML, TOML or JSON by extension
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the state is kept
    #[arg(long, default_value = "./limpid-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the HTTP API and the metrics are served
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Listen beyond this machine without tokens, knowingly
    #[arg(long)]
    pub insecure: bool,
    /// Who may ask: a file with lines NAME ROLE TOKEN, read again when it changes
    #[arg(long, value_name = "FILE")]
    pub auth_token_file: Option<PathBuf>,
    /// The certificate to serve HTTPS with, and those above it, as PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A further port for the metrics and the probes alone
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// End at `caught-up` or at a position instead of running on
    #[arg(long, value_name = "caught-up|POSITION")]
    pub until: Option<String>,
    /// What a halted pipeline does to the process: `stay`, or `exit` (the default with --until)
    #[arg(long, value_enum)]
    pub on_halt: Option<OnHalt>,
    /// Go on from a state that does not fit the sink's position record, as it is
    #[arg(long)]
    pub accept_new_state: bool,
    /// The form of log lines; the pipeline file's by default
    #[arg(long, value_enum)]
    pub log_format: Option<LogStyle>,
    /// Decoding and encoding threads; one less than the cores by default
    #[arg(long, hide = true)]
    pub workers: Option<usize>,
    /// Tell nothing of rows: no metric, no line, no ring; for measuring what telling costs
    #[arg(long, hide = true)]
    pub unobserved: bool,
    /// Tell of some batches and not of others, by turns, and write what each turn took; for measuring what telling costs
    #[arg(long, hide = true, value_name = "FILE")]
    pub turns: Option<PathBuf>,
    /// Kill the process at a place, for tests: NAME:COUNT
    #[arg(long, hide = true, value_name = "NAME:COUNT")]
    pub failpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnHalt {
    Stay,
    Exit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogStyle {
    Json,
    Text,
}

#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
}

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the state would be kept
    #[arg(long, default_value = "./limpid-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    /// Print the SQL that grants the least that is needed, and nothing else
    #[arg(long)]
    pub grants: bool,
}

#[derive(Debug, Args)]
pub struct PlanArguments {
    /// The pipeline's file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the state is kept
    #[arg(long, default_value = "./limpid-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub instance: InstanceArguments,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
}

#[derive(Debug, Args)]
pub struct TopArguments {
    #[command(flatten)]
    pub instance: InstanceArguments,
    /// How often to look
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    pub interval: Duration,
}

/// Which running instance, and how to reach it.
#[derive(Debug, Args)]
pub struct InstanceArguments {
    /// The instance to ask
    #[arg(long, env = "LIMPID_SERVER", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub server: String,
    /// The token to show, alone in a file
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The authorities to trust in the place of the system's, as PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    pub timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write all that is stored of the pipeline to standard output, as JSON
    Export(StateArguments),
    /// Replace all that is stored of the pipeline; what was there is backed up first
    Import(ImportArguments),
    /// Copy the whole state beside itself
    Backup(StateArguments),
    /// Read all of it, and say what is there
    Check(CheckArguments),
}

#[derive(Debug, Args)]
pub struct StateArguments {
    /// The pipeline's file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the state is kept
    #[arg(long, default_value = "./limpid-data", value_name = "DIR")]
    pub data_dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("origin").required(true))]
pub struct ImportArguments {
    #[command(flatten)]
    pub state: StateArguments,
    /// Rebuild it from the position record at the sink
    #[arg(long, group = "origin")]
    pub from_sink: bool,
    /// Take what `export` wrote
    #[arg(long, group = "origin", value_name = "EXPORT")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    #[command(flatten)]
    pub state: StateArguments,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List the rows that are kept
    List(DlqListArguments),
    /// Show what is kept of one row
    Show(DlqShowArguments),
    /// Hand rows to the sink, with all rows of their keys, and wait for the outcome
    Replay(DlqReplayArguments),
    /// Give rows up
    Drop(DlqRowsArguments),
}

#[derive(Debug, Args)]
pub struct DlqListArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// These rows only
    #[arg(value_name = "ID")]
    pub ids: Vec<u64>,
    /// All rows, which is what no ID means too
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Rows of this table only, as schema.table
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// With the keys, which takes an operator
    #[arg(long)]
    pub raw: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
pub struct DlqShowArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    #[arg(value_name = "ID")]
    pub id: u64,
    /// With keys and bytes, which takes an operator
    #[arg(long)]
    pub raw: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
pub struct DlqReplayArguments {
    #[command(flatten)]
    pub rows: DlqRowsArguments,
    /// Dead letters too that a later version of their key has followed, which the target then forgets
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct DlqRowsArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// Which rows
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub ids: Vec<u64>,
    /// All rows
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Rows of this table only, as schema.table
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Say what would be asked, and ask nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for the outcome
    #[arg(long, default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub wait: Duration,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["table", "position", "trace_id"]))]
pub struct TraceArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// The row's table, as schema.table, or its name where one schema has it
    #[arg(long, requires = "key", value_name = "TABLE")]
    pub table: Option<String>,
    /// The row's key: the value alone, a=1,b=x, or a JSON object
    #[arg(long, requires = "table", value_name = "KEY")]
    pub key: Option<String>,
    /// All rows of a transaction, by its GTID
    #[arg(long, value_name = "POSITION")]
    pub position: Option<String>,
    /// All rows of a transaction, by its trace
    #[arg(long, value_name = "ID")]
    pub trace_id: Option<String>,
    /// Go on telling of changes as they come, until interrupted
    #[arg(long, requires = "table")]
    pub watch: bool,
    /// Show the key as it was typed, not hashed
    #[arg(long, requires = "table")]
    pub raw: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
pub struct PauseArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// Say what would be asked, and ask nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
pub struct SnapshotArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// A table to copy, as schema.table; may be given several times
    #[arg(long, required_unless_present_any = ["pause", "resume", "stop"], value_name = "TABLE")]
    pub table: Vec<String>,
    /// Copy only rows that meet this condition
    #[arg(long = "where", requires = "table", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Read no further chunk until resumed
    #[arg(long, conflicts_with_all = ["table", "resume", "stop"])]
    pub pause: bool,
    /// Go on
    #[arg(long, conflicts_with_all = ["table", "stop"])]
    pub resume: bool,
    /// Give up the copies that were asked for in this way
    #[arg(long, conflicts_with = "table")]
    pub stop: bool,
    /// Say what would be asked, and ask nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Subcommand)]
pub enum PositionCommand {
    /// Where the stream is, and what became of the last move
    Show(PositionShowArguments),
    /// Go on at another position; asks twice
    Set(PositionSetArguments),
}

#[derive(Debug, Args)]
pub struct PositionShowArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// The form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Form,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

#[derive(Debug, Args)]
pub struct PositionSetArguments {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    pub pipeline: String,
    /// Where to go on, in the text form that `show` prints
    #[arg(value_name = "POSITION")]
    pub position: String,
    /// The answer to the first question
    #[arg(long)]
    pub yes: bool,
    /// The answer to the second question: the pipeline's name
    #[arg(long, value_name = "PIPELINE")]
    pub confirm: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub instance: InstanceArguments,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("a number of seconds from 1 to 3600 is expected".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Artefact {
    /// The metric catalogue, as Markdown
    Metrics,
    /// The JSON schema of pipeline files
    Schema,
    /// The OpenAPI document of the HTTP API
    Openapi,
}
