//! `source.snapshot`: whether and how tables are copied.
//!
//! Owns: its keys, as a word and as a table, and what they say. Does not own: copying (`limpid-engine`).
//!
//! Invariant: a word and a table with that word as its `mode` say the same.

use std::time::Duration;

use crate::faults::Complaint;
use crate::key::{Choice, Choices, Key};
use crate::reader::Reader;

/// In place of the word of `source.snapshot`.
pub(super) const SNAPSHOT: &[Key] = &[
    Key::choice::<SnapshotMode>("mode").default("initial").doc("Whether the tables are copied."),
    Key::text_map("where").doc("A condition by table, as `schema.table`: only rows that meet it are copied."),
    Key::uint("parallel", 1, 16).default("2").doc("Connections that read tables."),
    Key::uint("chunk-rows", 100, 1_000_000).default("8192").doc("Rows read at once."),
    Key::uint("rows-per-second", 1, 1_000_000_000).optional().doc("Rows read a second at most."),
    Key::uint("threads-running", 1, 100_000)
        .optional()
        .doc("Reading waits while the source runs more statements than this at once."),
    Key::duration("replica-lag", Duration::from_secs(1), Duration::from_secs(24 * 3600))
        .optional()
        .doc("Reading waits while the server read from is further behind its own source."),
    Key::uint("slowdown", 1, 100).default("5").doc(
        "Percent of their statements that others at the source may lose to reading while it is busy; 100: no bound.",
    ),
    Key::uint("duty", 1, 100).default("100").doc("Percent of the time in which a connection reads."),
];

/// Whether tables are copied first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotMode {
    Initial,
    Never,
    Only,
    WhenNeeded,
}

impl Choices for SnapshotMode {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("initial", SnapshotMode::Initial, "Once, at the first start, while the stream runs."),
        Choice::new("never", SnapshotMode::Never, "The stream alone."),
        Choice::new("only", SnapshotMode::Only, "The copy alone: the pipeline ends with it."),
        Choice::new("when-needed", SnapshotMode::WhenNeeded, "At the first start, and when the position is lost."),
    ];
}

/// Whether and how tables are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSpec {
    pub mode: SnapshotMode,
    /// Conditions by table, as `schema.table`.
    pub predicates: Vec<(String, String)>,
    pub parallel: usize,
    pub chunk_rows: u32,
    pub rows_per_second: Option<u64>,
    pub threads_running: Option<u64>,
    pub replica_lag: Option<Duration>,
    pub slowdown_percent: u8,
    pub duty_percent: u8,
}

impl SnapshotSpec {
    pub(crate) fn read(keys: &Reader<'_>) -> Option<Self> {
        let (mode, keys) = keys.choice_or_table("snapshot");
        let mut predicates = Vec::new();
        for (table, condition) in keys.text_map("where") {
            if table.split_once('.').is_none_or(|(schema, table)| schema.is_empty() || table.is_empty()) {
                let complaint = Complaint::bad_value("has a name that is no `schema.table`");
                return keys.refuse("where", complaint.help("write each table with its schema"));
            }
            predicates.push((table, condition.reveal().to_owned()));
        }
        Some(Self {
            mode,
            predicates,
            parallel: keys.uint("parallel") as usize,
            chunk_rows: keys.uint("chunk-rows") as u32,
            rows_per_second: keys.optional_uint("rows-per-second"),
            threads_running: keys.optional_uint("threads-running"),
            replica_lag: keys.optional_duration("replica-lag"),
            slowdown_percent: keys.uint("slowdown") as u8,
            duty_percent: keys.uint("duty") as u8,
        })
    }
}
