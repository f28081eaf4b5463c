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

pub static QUALITY_NULL_RATIO: Metric = Metric::gauge("limpid_quality_null_ratio", "ratio")
    .labels(&["pipeline", "schema", "table", "column"])
    .says("The part of a column's values that were NULL, in the last window of sampled rows.")
    .answers("Does somebody no longer fill a column?")
    .beside(&QUALITY_DRIFTS_TOTAL);

pub static QUALITY_LENGTH_BYTES: Metric = Metric::gauge("limpid_quality_length_bytes", "bytes")
    .labels(&["pipeline", "schema", "table", "column"])
    .says("Mean length of a column's texts or bytes as they are read, in the last window of sampled rows.")
    .answers("Do texts become shorter or longer than they used to be?")
    .beside(&QUALITY_DRIFTS_TOTAL);

pub static QUALITY_DISTINCT_RATIO: Metric = Metric::gauge("limpid_quality_distinct_ratio", "ratio")
    .labels(&["pipeline", "schema", "table", "column"])
    .says("Distinct values by values, about, in the last window of sampled rows.")
    .answers("Does a column suddenly hold one value only, or many more than it used to?")
    .beside(&QUALITY_DRIFTS_TOTAL);

pub static QUALITY_DRIFTS_TOTAL: Metric = Metric::counter("limpid_quality_drifts_total", "drifts")
    .labels(&["pipeline", "schema", "table", "column", "measure"])
    .says("How often a column's null_ratio, length or distinct_ratio left what was usual for it.")
    .answers("Which column is no longer as it was?")
    .beside(&QUALITY_DRIFTING_COLUMNS);

pub static QUALITY_DRIFTING_COLUMNS: Metric = Metric::gauge("limpid_quality_drifting_columns", "columns")
    .says("Columns of which a measure is not as usual at the moment.")
    .answers("Is the data that comes in odd right now?")
    .beside(&QUALITY_DRIFTS_TOTAL);

pub static QUALITY_SAMPLED_ROWS_TOTAL: Metric = Metric::counter("limpid_quality_sampled_rows_total", "rows")
    .on_use()
    .says("Rows that the columns' measures are taken of.")
    .answers("How large is the sample?")
    .beside(&INPUT_COUNTER);
