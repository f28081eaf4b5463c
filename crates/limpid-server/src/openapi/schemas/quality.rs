//! The schemas of data quality.
//!
//! Owns: `Quality` and its parts. Does not own: the other schemas (the folder's front file).
//!
//! Invariant: as there.

use serde_json::{Value, json};

use super::{count, list, maybe, number, object, reference, text, words};

pub(super) fn document() -> Value {
    object(&[
        ("odd", list("QualityOdd")),
        ("sample", maybe(reference("QualitySample"))),
        ("columns", list("QualityColumn")),
    ])
}

pub(super) fn odd() -> Value {
    object(&[
        ("schema", text("For MySQL the database; `__other__` for tables beyond the bound")),
        ("table", text("`__other__` for tables beyond the bound")),
        ("column", text("`__other__` for columns beyond the bound")),
        ("reason", words(&limpid_model::Oddity::ALL.map(limpid_model::Oddity::word))),
        ("values", count("Since the process began, each once a row image")),
    ])
}

pub(super) fn sample() -> Value {
    object(&[
        ("one_in", count("One batch in so many is looked at")),
        ("window_rows", count("So many sampled rows of a table are compared with those before")),
    ])
}

pub(super) fn column() -> Value {
    object(&[
        ("schema", text("For MySQL the database")),
        ("table", text("Its name")),
        ("column", text("Its name")),
        ("windows", count("Windows of its table that are over")),
        ("measures", list("QualityMeasure")),
    ])
}

pub(super) fn measure() -> Value {
    object(&[
        ("measure", words(&["null_ratio", "length", "distinct_ratio"])),
        ("last", maybe(number("In the last window that had enough of it"))),
        ("usual", maybe(number("What the windows before come to; null during the warm-up"))),
        ("drifting", json!({"type": "boolean", "description": "The last window was not as usual"})),
    ])
}
