//! What Gravity never told: freshness, position, doubts, and what was folded or coerced.
//!
//! Owns: the definitions named `limpid_<noun>_<unit>[_total]`. Does not own: Gravity's names (`pipeline`).
//!
//! Invariant: a number that could mislead (a full label set, a value that lost something) has a counter here.

use super::Metric;
use super::pipeline::{EMITTER_SCHEDULER_COUNTER, ERROR_TOTAL, EVENT_TIME_LATENCY, INPUT_LATENCY, THROUGHPUT};

pub static BUILD_INFO: Metric = Metric::gauge("limpid_build_info", "1")
    .labels(&["version", "commit"])
    .always()
    .says("1; what runs stands in the labels.")
    .answers("Which version is this?")
    .beside(&super::process::START_TIME_SECONDS);

pub static FRESHNESS: Metric = Metric::gauge("limpid_freshness_seconds", "seconds")
    .says("Age of what the sink has: of the last look at the head when caught up, else of the oldest commit not yet there.")
    .answers("How old is the newest state that the target is sure to show?")
    .beside(&POSITION_LAG_BYTES);

pub static POSITION_LAG_BYTES: Metric = Metric::gauge("limpid_position_lag_bytes", "bytes")
    .says("Bytes of the source's log between the position delivered and the head, at the last look.")
    .answers("How far behind are we?")
    .beside(&FRESHNESS);

pub static INPUT_BYTES_TOTAL: Metric = Metric::counter("limpid_input_bytes_total", "bytes")
    .says("Bytes of the source's log that were read.")
    .answers("How fast does the log come?")
    .beside(&POSITION_LAG_BYTES);

pub static INPUT_BLOCKED_SECONDS_TOTAL: Metric = Metric::counter("limpid_input_blocked_seconds_total", "seconds")
    .says("Time that the reader waited for room further down.")
    .answers("Is it the sink that sets the pace?")
    .beside(&INPUT_LATENCY);

pub static UNKNOWN_EVENTS_TOTAL: Metric = Metric::counter("limpid_unknown_events_total", "events")
    .says("Events of the log of a kind that this version does not know and may pass over.")
    .answers("Does the server write something that we do not know?")
    .beside(&DOUBTS_TOTAL);

pub static DOUBTS_TOTAL: Metric = Metric::counter("limpid_doubts_total", "doubts")
    .labels(&["pipeline", "code"])
    .says("Odd things in the log that needed no action, by code.")
    .answers("Is there something to look into before it becomes a fault?")
    .beside(&ERROR_TOTAL);

pub static COERCED_VALUES_TOTAL: Metric = Metric::counter("limpid_coerced_values_total", "values")
    .labels(&["pipeline", "kind"])
    .says("Values that lost something on the way: impossible_date, malformed_text, or unrepresentable in the format.")
    .answers("Does the target hold exactly what the source holds?")
    .beside(&super::quality::QUALITY_VALUES_TOTAL);

pub static METRIC_PUSHES_TOTAL: Metric = Metric::counter("limpid_metric_pushes_total", "messages")
    .labels(&["pipeline", "receiver", "outcome"])
    .says("Messages with metrics that were pushed, by receiver and outcome: taken, or failed, which is gone, all or a part of it.")
    .answers("Does whoever watches us by pushed metrics still get them?")
    .beside(&ERROR_TOTAL);

pub static FILTERED_TOTAL: Metric = Metric::counter("limpid_filtered_total", "changes")
    .labels(&["pipeline", "rule"])
    .says("Rows, and statements that changed a definition, that a rule of the transforms rejected.")
    .answers("Which rule keeps back what is missing at the target?")
    .beside(&EMITTER_SCHEDULER_COUNTER);

pub static HALTED_TABLES: Metric = Metric::gauge("limpid_halted_tables", "tables")
    .says("Tables whose rows are delivered no longer.")
    .answers("Is some table left behind?")
    .beside(&ERROR_TOTAL);

pub static FOLDED_LABELS_TOTAL: Metric = Metric::counter("limpid_folded_labels_total", "label sets")
    .labels(&["pipeline", "label"])
    .says("Tables, columns (sketch: measured ones), or whole label sets (series), that came after their bound was reached and stand under __other__.")
    .answers("Is a table missing from the dashboards?")
    .beside(&THROUGHPUT);

pub static RING_REACH_SECONDS: Metric = Metric::gauge("limpid_ring_reach_seconds", "seconds")
    .says("How far back single rows are remembered in memory.")
    .answers("How long ago may a row be that we can still explain?")
    .beside(&EVENT_TIME_LATENCY);
