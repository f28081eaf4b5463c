//! What values are worth: how many did not come through as they are.
//!
//! Owns: the definitions of data quality by column. Does not own: who finds values odd.
//!
//! Invariant: labels name columns, never values.

use super::Metric;
use super::pipeline::INPUT_COUNTER;

pub static QUALITY_VALUES_TOTAL: Metric = Metric::counter("limpid_quality_values_total", "values")
    .labels(&["pipeline", "schema", "table", "column", "reason"])
    .says("Values that were not delivered as they are stored, or were put together, each once a row image.")
    .answers("Which column loses something on the way, and why?")
    .beside(&INPUT_COUNTER);
