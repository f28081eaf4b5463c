//! The schemas of the documents.
//!
//! Owns: types, words and units of the fields in `api`. Does not own: which path answers with which (`openapi`).
//!
//! Invariant: each schema lists every field, and requires every field: a number that nobody knows is null, not absent.

mod flow;
mod quality;
mod trace;

use limpid_model::ALL_CODES;
use serde_json::{Map, Value, json};

pub(super) fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

pub(super) fn all() -> Value {
    json!({
        "Status": object(&[("pipelines", list("Pipeline"))]),
        "Pipeline": pipeline(),
        "Stage": stage(),
        "Bottleneck": bottleneck(),
        "Table": table(),
        "Fault": fault(),
        "FaultCode": fault_code(),
        "Component": words(&["input", "filter", "scheduler", "output", "state", "server"]),
        "Health": object(&[("status", reference("HealthWord")), ("components", list("ComponentHealth"))]),
        "ComponentHealth": component_health(),
        "HealthWord": words(&["ok", "degraded", "failed"]),
        "GravityStatuses": json!({"oneOf": [reference("GravityStatus"), list("GravityStatus")]}),
        "GravityStatus": gravity(),
        "GravityWatermark": object(&[("ProcessTime", time("By our clock")), ("EventTime", time("By the source's"))]),
        "Build": object(&[("version", text("The release")), ("commit", text("What it was built from"))]),
        "Accepted": object(&[("accepted", json!({"type": "boolean", "description": "Always true"}))]),
        "Position": object(&[
            ("pipeline", text("Its name")),
            ("position", maybe(text("The last position saved"))),
            ("head", maybe(text("The end of the source's log at the last look"))),
            ("moving_to", maybe(text("Where an operator had it go, until it is there or cannot"))),
            ("refused", maybe(reference("Fault"))),
        ]),
        "Move": moved(),
        "Parked": object(&[("entries", list("ParkedEntry")), ("outcomes", list("ParkedOutcome"))]),
        "ParkedEntry": parked_entry(),
        "ParkedOutcome": object(&[
            ("number", count("Of the call")),
            ("done", count("Rows delivered or dropped")),
            ("refused", list("ParkedRefusal")),
            ("interrupted", json!({"type": "boolean", "description": "The pipeline restarted before it was done"})),
        ]),
        "ParkedRefusal": object(&[("id", count("The row that stays")), ("reason", text("Why"))]),
        "ParkedAsk": object(&[("number", count("Finds the outcome in the list"))]),
        "ParkedBody": object(&[
            ("entry", reference("ParkedEntry")),
            ("topic", maybe(text("Where its records go"))),
            ("records", list("ParkedRecord")),
            ("columns", list("ParkedColumn")),
        ]),
        "ParkedRecord": object(&[
            ("key_bytes", maybe(count("Length of the key"))),
            ("value_bytes", maybe(count("Length of the value"))),
            ("headers", count("How many it has")),
            ("key", maybe(text("Text, or digits behind 0x"))),
            ("value", maybe(text("Text, or digits behind 0x"))),
        ]),
        "ParkedColumn": parked_column(),
        "Flow": flow::document(),
        "FlowTable": flow::table(),
        "FlowWindow": flow::window(),
        "Quality": quality::document(),
        "QualityOdd": quality::odd(),
        "QualitySample": quality::sample(),
        "QualityColumn": quality::column(),
        "QualityMeasure": quality::measure(),
        "Trace": trace::document(),
        "Watch": trace::watch(),
        "TraceChange": trace::change(),
        "TraceTarget": trace::target(),
        "TraceStage": trace::stage(),
        "Error": error(),
    })
}

fn error() -> Value {
    let body = object(&[
        ("code", reference("FaultCode")),
        ("message", text("What went wrong")),
        ("help", text("What to do")),
        ("page", text("The code's page in the documentation")),
    ]);
    object(&[("error", body)])
}

fn pipeline() -> Value {
    object(&[
        ("name", text("Unique in the process")),
        ("phase", words(&["starting", "running", "paused", "draining", "halted", "done"])),
        ("since", time("When it came into its phase")),
        ("verdict", words(&["ok", "idle", "warn", "stall", "stop", "rewind", "blind"])),
        ("reason", text("Why the verdict is what it is")),
        ("position", maybe(text("The last position saved"))),
        ("head", maybe(text("The end of the source's log at the last look"))),
        ("head_seen_at", maybe(time("When that look was taken"))),
        ("freshness_seconds", maybe(number("How old what the sink has is"))),
        ("lag_bytes", maybe(count("Bytes of log between what is delivered and the head"))),
        ("lag_transactions", maybe(count("Transactions between what is delivered and the head"))),
        ("retention_runway_seconds", maybe(number("For how long the source keeps the log that a restart would need"))),
        ("retention_ends_by", maybe(words(&["expiry", "size", "purges"]))),
        ("catchup_p50_seconds", maybe(number("Until the head is followed again; null while nothing is gained on it"))),
        ("catchup_p90_seconds", maybe(number("The same, later in one of ten cases"))),
        ("rows_read", count("Since the process began")),
        ("rows_delivered", count("Since the process began")),
        ("rows_filtered", count("Since the process began")),
        ("rows_parked", count("Kept now: rows that wait with parked keys")),
        ("rows_dead", count("Kept now: dead letters")),
        ("rows_in_flight", count("Read, and not behind a saved position yet")),
        ("flow_findings", count("Windows of the ledger of flow whose rows do not add up; there should be none")),
        ("rows_per_second", number("Delivered, over the last 10 whole seconds")),
        ("stages", list("Stage")),
        ("bottleneck", maybe(reference("Bottleneck"))),
        ("tables", list("Table")),
        ("fault", maybe(reference("Fault"))),
    ])
}

fn stage() -> Value {
    object(&[
        ("component", reference("Component")),
        ("busy", number("Part of the last ten seconds")),
        ("blocked", number("The same, waiting for the next stage")),
        ("idle", number("The same, with nothing to do")),
    ])
}

fn bottleneck() -> Value {
    object(&[
        ("component", reference("Component")),
        ("why", text("What keeps the others waiting")),
        ("help", text("What would help")),
    ])
}

fn moved() -> Value {
    object(&[
        ("pipeline", text("Its name")),
        ("from", maybe(text("The last position saved"))),
        ("to", text("Where it would go on")),
        ("confirm", text("To be sent back, once")),
        ("stands_seconds", count("For how long")),
    ])
}

fn parked_entry() -> Value {
    object(&[
        ("id", count("Never used twice")),
        ("kind", words(&["parked", "dead_letter"])),
        ("schema", text("For MySQL the database")),
        ("table", text("Its name")),
        ("key_hash", maybe(text("The row's key, hashed"))),
        (
            "more_key_hashes",
            json!({"type": "array", "items": text("A further key of the row, which waits under each")}),
        ),
        ("operation", words(&["insert", "update", "delete", "truncate", "read"])),
        ("position", text("Behind the row")),
        ("at", time("When it was kept")),
        ("error_code", maybe(reference("FaultCode"))),
        ("message", maybe(text("The fault's sentence; null for a row that waits behind another"))),
        ("superseded", json!({"type": "boolean", "description": "A later version of its key was delivered"})),
        ("bytes", count("Of what is kept of it")),
    ])
}

fn parked_column() -> Value {
    object(&[
        ("image", words(&["before", "after"])),
        ("column", text("Its name")),
        ("bytes", maybe(count("Length of the value"))),
        ("value", maybe(text("Text, or digits behind 0x"))),
    ])
}

fn table() -> Value {
    object(&[
        ("schema", text("For MySQL the database; `__other__` for tables beyond the bound")),
        ("table", text("`__other__` for tables beyond the bound")),
        ("phase", words(&["copying", "streaming", "halted"])),
        ("snapshot_ratio", maybe(number("Done of its snapshot, 0 to 1"))),
        ("rows", maybe(count("Delivered since the process began; null where `__other__` counts them"))),
        ("fault", maybe(reference("Fault"))),
    ])
}

fn fault() -> Value {
    object(&[
        ("code", reference("FaultCode")),
        ("component", reference("Component")),
        ("message", text("One sentence, without values and secrets")),
        ("object", maybe(text("What it is about"))),
        ("remedy", text("What to do")),
        ("page", text("The code's page in the documentation")),
        ("at", time("When it was seen")),
    ])
}

/// Open, since later releases have more.
fn fault_code() -> Value {
    let known: Vec<&str> = ALL_CODES.iter().map(|code| code.as_str()).collect();
    json!({"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", "description": "Stable", "examples": known})
}

fn component_health() -> Value {
    object(&[
        ("pipeline", text("Its name")),
        ("component", reference("Component")),
        ("endpoint", text("The system spoken to, without credentials; empty for our own parts")),
        ("status", reference("HealthWord")),
        ("since", time("Since when")),
        ("evidence", text("What this is concluded from")),
        ("error_code", maybe(reference("FaultCode"))),
        ("remedy", maybe(text("What to do"))),
        ("object", maybe(text("The table or other object it is about"))),
    ])
}

fn gravity() -> Value {
    object(&[
        ("name", text("The pipeline's name")),
        ("configHash", text("Tells two configurations apart")),
        ("position", text("The last position saved; empty before the first")),
        (
            "watermarks",
            json!({
                "type": "object",
                "description": "By stream: up to when everything is at the sink; empty while that is not known",
                "additionalProperties": reference("GravityWatermark"),
            }),
        ),
        ("stage", words(&["Full", "Incremental"])),
        ("version", text("The release")),
    ])
}

/// An object that has all of these fields, and may have others in a later release.
fn object(fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({"type": "object", "required": names, "properties": properties})
}

fn list(schema: &str) -> Value {
    json!({"type": "array", "items": reference(schema)})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn time(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}

fn number(description: &str) -> Value {
    json!({"type": "number", "description": description})
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn maybe(schema: Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}
