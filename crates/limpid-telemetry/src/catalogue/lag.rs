//! Lag that does not lie: how far behind, by whose clock, and how it is judged.
//!
//! Owns: the definitions. Does not own: freshness and bytes (`spine`), Gravity's own latencies (`pipeline`).
//!
//! Invariant: what a commit time is worth (the source's resolution, its clock's offset, what was not believed) stands
//! beside what is measured from it.

use super::Metric;
use super::buckets::{EVENT_TIME, LAG};
use super::pipeline::{DATA_LAG_SECONDS, EVENT_TIME_LATENCY};
use super::spine::{FRESHNESS, POSITION_LAG_BYTES};

pub static STREAM_VERDICT: Metric = Metric::gauge("limpid_stream_verdict", "1 or 0")
    .labels(&["pipeline", "verdict"])
    .says("1 for the worst that is true of ok, idle, warn, stall, stop, rewind and blind, 0 for the others.")
    .answers("Is the stream well, and if not, what is it?")
    .beside(&FRESHNESS);

pub static STAGE_TIME_RATIO: Metric = Metric::gauge("limpid_stage_time_ratio", "ratio")
    .labels(&["pipeline", "component", "state"])
    .says("Part of the last ten seconds that a stage was busy, blocked by the next one, or idle; output is busy while records are out.")
    .answers("Which stage sets the pace?")
    .beside(&FRESHNESS);

pub static POSITION_LAG_TRANSACTIONS: Metric = Metric::gauge("limpid_position_lag_transactions", "transactions")
    .says("Transactions between the position delivered and the head, at the last look; absent without GTIDs.")
    .answers("How many transactions are we behind?")
    .beside(&POSITION_LAG_BYTES);

pub static CLOCK_OFFSET_SECONDS: Metric = Metric::gauge("limpid_clock_offset_seconds", "seconds")
    .says("By how much the source's clock is ahead of ours; taken off whatever is measured from commit times.")
    .answers("Do the two clocks agree?")
    .beside(&CLOCK_OFFSET_UNCERTAINTY_SECONDS);

pub static CLOCK_OFFSET_UNCERTAINTY_SECONDS: Metric =
    Metric::gauge("limpid_clock_offset_uncertainty_seconds", "seconds")
        .says("The offset may be wrong by so much: half the way to the source and back, and what clocks drift since.")
        .answers("How exactly is the offset known?")
        .beside(&CLOCK_OFFSET_SECONDS);

pub static SOURCE_TIME_RESOLUTION_SECONDS: Metric = Metric::gauge("limpid_source_time_resolution_seconds", "seconds")
    .says("The step in which the source tells commit times; a lag may look older by so much, never younger.")
    .answers("How fine can a lag be that is measured from commit times?")
    .beside(&EVENT_TIME_LATENCY);

pub static COMMIT_TO_READ_SECONDS: Metric = Metric::histogram("limpid_commit_to_read_seconds", &EVENT_TIME)
    .labels(&["pipeline", "schema", "table"])
    .says("From the commit at the source until its first byte was read, per change and table.")
    .answers("Does a table's delay arise before us?")
    .beside(&READ_TO_DURABLE_SECONDS);

pub static READ_TO_DURABLE_SECONDS: Metric = Metric::histogram("limpid_read_to_durable_seconds", &LAG)
    .labels(&["pipeline", "schema", "table"])
    .says("From read by us until durable at the sink, per change and table.")
    .answers("Does a table's delay arise with us and the sink?")
    .beside(&DATA_LAG_SECONDS);

pub static DISBELIEVED_COMMITS_TOTAL: Metric = Metric::counter("limpid_disbelieved_commits_total", "transactions")
    .labels(&["pipeline", "why"])
    .says("Commit times not believed: ahead, after we had read them; behind, before a time by which all was delivered.")
    .answers("Does somebody set the time, or does a long statement commit late?")
    .beside(&SOURCE_TIME_RESOLUTION_SECONDS);

pub static RETENTION_RUNWAY_SECONDS: Metric = Metric::gauge("limpid_retention_runway_seconds", "seconds")
    .says("For how long the source keeps the log that a restart would need: the least of expiry, size and purges seen.")
    .answers("How long may the stream stand before its place is lost?")
    .beside(&CATCHUP_SECONDS);

pub static CATCHUP_SECONDS: Metric = Metric::gauge("limpid_catchup_seconds", "seconds")
    .labels(&["pipeline", "quantile"])
    .says("Until the head is followed again, at 0.5 and 0.9; 0 while it is, +Inf while nothing is gained on it.")
    .answers("When are we there again?")
    .beside(&RETENTION_RUNWAY_SECONDS);
