//! The schemas of a row's way.
//!
//! Owns: `Trace` and its parts. Does not own: the other schemas (the folder's front file).
//!
//! Invariant: as there.

use serde_json::{Value, json};

use super::{count, list, maybe, number, reference, text, time, words};

pub(super) fn document() -> Value {
    super::object(&[
        ("pipeline", text("Its name")),
        ("table", maybe(text("As schema.table"))),
        ("key_hash", maybe(text("The key, hashed"))),
        ("reach_seconds", maybe(number("How far back recent rows are remembered"))),
        (
            "watched",
            maybe(json!({"type": "boolean",
            "description": "Of a key: whether somebody has its transactions kept as traces now"})),
        ),
        ("changes", list("TraceChange")),
    ])
}

pub(super) fn watch() -> Value {
    super::object(&[
        ("pipeline", text("Its name")),
        ("table", text("As schema.table")),
        ("key_hash", text("The key, hashed")),
        (
            "watched",
            json!({"type": "boolean",
            "description": "False where the pipeline keeps no traces, or too many keys are watched"}),
        ),
        ("seconds", number("For how long, unless it is asked for again; 0 where it is not")),
    ])
}

pub(super) fn change() -> Value {
    super::object(&[
        ("trace_id", maybe(text("Of its transaction, the same for every replay"))),
        ("position", maybe(text("Its transaction; of a kept row, behind it"))),
        ("ordinal", maybe(count("Its number in the transaction, from 0"))),
        ("key_hash", maybe(text("Its key, hashed"))),
        ("operation", maybe(words(&["insert", "update", "delete", "truncate", "read"]))),
        ("committed_at", maybe(time("By the source's clock"))),
        ("committed_at_uncertainty_seconds", maybe(number("The true time lies within so much behind it"))),
        ("outcome", words(&["delivered", "filtered", "parked", "dead_lettered", "waiting", "evicted"])),
        ("waits_for", maybe(text("What it waits for now"))),
        ("note", maybe(text("What the outcome leaves open"))),
        ("rule", maybe(text("What rejected it"))),
        ("error_code", maybe(reference("FaultCode"))),
        ("kept_id", maybe(count("While it is kept: its number among kept rows"))),
        ("attempts", maybe(count("How often it was handed to the sink"))),
        ("target", maybe(reference("TraceTarget"))),
        ("stages", list("TraceStage")),
        ("known", known()),
    ])
}

pub(super) fn target() -> Value {
    let whole = |description: &str| maybe(json!({"type": "integer", "description": description}));
    super::object(&[
        ("topic", maybe(text("Null for a sink that has none"))),
        ("partition", whole("Null where the batch went to several")),
        ("offset", whole("Of its first record; null where it does not follow from what is remembered")),
        ("offset_first", whole("Where the offset is not known: not before this one")),
        ("offset_last", whole("And not after this one")),
    ])
}

pub(super) fn stage() -> Value {
    super::object(&[
        ("component", reference("Component")),
        ("name", text("committed, read, queued, decoded, transformed, encoded, sent, acknowledged, kept, saved")),
        ("at", maybe(time("When it was over"))),
        ("duration_us", maybe(count("Since the stage before"))),
        ("known", known()),
    ])
}

fn known() -> Value {
    words(&["remembered", "derived"])
}
