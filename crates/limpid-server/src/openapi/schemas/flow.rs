//! The schemas of the ledger of flow.
//!
//! Owns: `Flow` and its parts. Does not own: the other schemas (the folder's front file).
//!
//! Invariant: as there.

use serde_json::{Value, json};

use super::{count, list, text, time};

pub(super) fn document() -> Value {
    super::object(&[
        ("whole", json!({"type": "boolean", "description": "Every row since the pipeline's first is counted"})),
        ("tables", list("FlowTable")),
        ("windows", list("FlowWindow")),
        ("findings", list("FlowWindow")),
    ])
}

pub(super) fn table() -> Value {
    let rows = |description: &str| json!({"type": "integer", "description": description});
    super::object(&[
        ("schema", text("For MySQL the database; `__other__` for tables beyond the bound")),
        ("table", text("`__other__` for tables beyond the bound")),
        ("read", rows("From the log")),
        ("copied", rows("From the table itself")),
        ("replayed", rows("Were kept, and went to the sink after all")),
        ("filtered", rows("Rejected by a rule, or of an operation that the format skips")),
        ("delivered", rows("The sink acknowledged their records")),
        ("parked", rows("Kept with their key")),
        ("dead_lettered", rows("Kept by themselves")),
        ("overtaken", rows("Copied, and left out since the stream had told of their key meanwhile")),
        ("withheld", rows("Their table was halted at them or before them")),
        ("in_flight", rows("Read or copied, and not behind a saved position yet; 0 in a window")),
        ("difference", rows("Lost; below 0: delivered twice. Anything but 0 is a mistake of ours")),
    ])
}

pub(super) fn window() -> Value {
    super::object(&[
        ("number", count("From 1, without gaps")),
        ("from", text("The position behind which it begins")),
        ("to", text("The position at which it ends")),
        ("at", time("When it was saved")),
        ("tables", list("FlowTable")),
    ])
}
