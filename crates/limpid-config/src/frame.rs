//! What every pipeline file has, whatever it connects.
//!
//! Owns: the frame's tables of keys and the specification they become. Does not own: the connectors' keys, the way
//! from files to specifications (`load`).
//!
//! Invariant: no `Option` here means "the default"; and a value that this version does not have cannot be said.

mod format;
mod snapshot;
mod telemetry;

use std::fmt;
use std::time::Duration;

use limpid_model::PipelineName;

use crate::faults::Complaint;
use crate::key::{Choice, Choices, Key};
use crate::node::Place;
use crate::reader::{Reader, Section};
pub(crate) use format::FORMAT;
pub use format::{
    BigintUnsigned, BinaryHandling, Compat, DecimalHandling, FormatName, FormatSpec, SkippedOperations, TimePrecision,
    Tinyint1,
};
use snapshot::SNAPSHOT;
pub use snapshot::{SnapshotMode, SnapshotSpec};
pub(crate) use telemetry::TELEMETRY;
pub use telemetry::{
    Granularity, LogFormat, LogLevel, LogsSpec, MetricsSpec, OtlpProtocol, QualitySpec, TelemetrySpec, TraceHeaders,
    TracesSpec,
};

/// Below a second every pipeline would be late, above a month none ever.
const LAG_LIMIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600));

/// The top level.
pub(crate) const FRAME: &[Key] = &[
    Key::text("name").required().doc("The pipeline's name: unique in a process, part of topics, metrics and ids."),
    Key::duration("lag-limit", LAG_LIMIT.0, LAG_LIMIT.1).default("60s").doc("Above it the verdict is `warn`."),
    Key::system("source").required().doc("Where changes come from."),
    Key::transforms("transforms").doc("What is done to changes on their way, in this order."),
    Key::system("sink").required().doc("Where changes go."),
    Key::choice::<OnRowError>("on-row-error")
        .default("park-key")
        .doc("What happens to a row that cannot be delivered."),
    Key::section("telemetry", TELEMETRY).doc("What is told about the pipeline, and to whom."),
    Key::later_block("verify", &["cycle", "read-rows-per-second", "parallel", "window", "repair"])
        .doc("Proofs that source and target are equal."),
    Key::later_block("alerts", &["evaluator", "heartbeat-url", "rules", "checks", "channels"])
        .doc("Who is told when something is wrong."),
    Key::later_block("heal", &["mode", "allow"]).doc("What is mended without a person."),
];

/// In every `source`, beside its connector's own keys.
pub(crate) const SOURCE: &[Key] = &[
    // `load` refuses its absence, since it knows what there is to choose from.
    Key::text("type").doc("Which system."),
    Key::choice::<SnapshotMode>("snapshot")
        .default("initial")
        .or_table(SNAPSHOT)
        .doc("Whether the tables are copied before the stream is followed."),
    Key::text("start")
        .default("head")
        .doc("Where the stream begins when nothing is stored and no snapshot sets it: head, earliest, or a position."),
    Key::section("heartbeat", HEARTBEAT).optional().doc("A row of our own, written to measure the way through."),
];

const HEARTBEAT: &[Key] = &[
    Key::bool("enabled").default("true").doc("Off: none is written, as without the block."),
    Key::duration("every", Duration::from_millis(10), Duration::from_secs(3600)).default("1s").doc("How often."),
    Key::text("table")
        .default("limpid.heartbeat")
        .doc("The schema.table that it is written to; made where it is missing."),
];

/// In every transform, beside its kind's own keys.
pub(crate) const TRANSFORM: &[Key] = &[
    Key::text("type").doc("What it does."),
    Key::text("name").doc("What it is called in metrics and answers; left out, its type and its number in the list."),
];

/// In every `sink`, beside its connector's own keys and those of the format.
pub(crate) const SINK: &[Key] = &[
    Key::text("type").doc("Which system."),
    Key::choice::<Delivery>("delivery")
        .default("at-least-once")
        .doc("What a restart may do to rows delivered just before it."),
];

/// What is promised of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

impl Choices for Delivery {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("at-least-once", Delivery::AtLeastOnce, "Rows may repeat after a restart, never go missing."),
        Choice::new("exactly-once", Delivery::ExactlyOnce, "Rows and position in one transaction, where the sink can."),
    ];
}

/// What happens to a row that cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRowError {
    ParkKey,
    DeadLetter,
    HaltTable,
}

impl Choices for OnRowError {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("park-key", OnRowError::ParkKey, "Later changes of its key queue behind it, the others go on."),
        Choice::new("dead-letter", OnRowError::DeadLetter, "It is put aside, later changes of its key go on."),
        Choice::new("halt-table", OnRowError::HaltTable, "Its table stops, the others go on."),
    ];
}

/// Where a stream begins when nothing is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where the log ends now.
    Head,
    /// The oldest place the server still has.
    Earliest,
    /// A position in the source's own grammar, unread.
    Position(String),
}

/// One pipeline, all defaults filled in.
#[derive(Clone, Debug)]
pub struct PipelineSpec {
    pub name: PipelineName,
    /// Where the name is written.
    pub place: Place,
    pub lag_limit: Duration,
    pub source: SourceSpec,
    pub transforms: Vec<TransformSpec>,
    pub sink: SinkSpec,
    pub on_row_error: OnRowError,
    pub telemetry: TelemetrySpec,
}

#[derive(Clone)]
pub struct SourceSpec {
    /// The connector's name in the registry.
    pub kind: &'static str,
    pub snapshot: SnapshotSpec,
    pub start: Start,
    /// Where `start` is written, for the connector that finds it to be no position.
    pub start_place: Place,
    pub heartbeat: Option<HeartbeatSpec>,
    /// What the connector reads.
    pub section: Section,
}

/// A row of our own that is written to the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatSpec {
    pub every: Duration,
    pub schema: String,
    pub table: String,
}

impl HeartbeatSpec {
    /// `None` where it is left out, is off, or its table is no name, which is complained of.
    pub(crate) fn read(keys: &Reader<'_>) -> Option<Self> {
        let keys = keys.optional_section("heartbeat")?;
        let (is_on, text) = (keys.bool("enabled"), keys.text("table"));
        let name = text.split_once('.').filter(|(schema, table)| !schema.is_empty() && !table.is_empty());
        let Some((schema, table)) = name else {
            return keys.refuse("table", Complaint::bad_value("is no schema.table"));
        };
        is_on.then(|| Self { every: keys.duration("every"), schema: schema.to_owned(), table: table.to_owned() })
    }
}

#[derive(Clone)]
pub struct TransformSpec {
    /// The transform's type in the registry.
    pub kind: &'static str,
    /// The user's, or type and number.
    pub name: String,
    /// What the transform reads.
    pub section: Section,
}

#[derive(Clone)]
pub struct SinkSpec {
    /// The connector's name in the registry.
    pub kind: &'static str,
    pub delivery: Delivery,
    /// `None`: nothing is encoded (a `null` sink without a format only lets rows be decoded).
    pub format: Option<FormatSpec>,
    /// What the connector reads.
    pub section: Section,
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SourceSpec");
        shown.field("kind", &self.kind).field("snapshot", &self.snapshot).field("start", &self.start);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for TransformSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformSpec").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SinkSpec");
        shown.field("kind", &self.kind).field("delivery", &self.delivery).field("format", &self.format);
        shown.finish_non_exhaustive()
    }
}

impl Start {
    pub(crate) fn read(keys: &Reader<'_>) -> Self {
        match keys.text("start") {
            text if text == "head" => Self::Head,
            text if text == "earliest" => Self::Earliest,
            text => Self::Position(text),
        }
    }
}
