//! What became of the rows, as the ledger of flow has it.
//!
//! Owns: the definitions. Does not own: the counting (`limpid-engine`).
//!
//! Invariant: counted when a position is saved, so that every row counts once, whatever is sent again.

use super::Metric;
use super::pipeline::OUTPUT_COUNTER;
use super::spine::FILTERED_TOTAL;

pub static FLOW_ROWS_TOTAL: Metric = Metric::counter("limpid_flow_rows_total", "rows")
    .labels(&["pipeline", "schema", "table", "fate"])
    .says(
        "Rows up to the saved position by what became of them: read, copied and replayed come in; filtered, delivered, \
         parked, dead_lettered, overtaken and withheld go out, and are as many.",
    )
    .answers("Where did the rows of this table go?")
    .beside(&FILTERED_TOTAL);

pub static FLOW_DIFFERENCE_ROWS: Metric = Metric::gauge("limpid_flow_difference_rows", "rows")
    .labels(&["pipeline", "schema", "table"])
    .says(
        "Rows that came in since the pipeline began and of which nobody knows what became; below 0 where some came out \
         twice. Anything but 0 is a mistake of ours.",
    )
    .answers("Did a row get lost or doubled inside?")
    .beside(&OUTPUT_COUNTER);
