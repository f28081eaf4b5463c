//! The JSON form of an exported state.
//!
//! Owns: writing and reading it, version 1. Does not own: what the parts mean, the record's own form
//! (`limpid-codec::record`).
//!
//! Invariant: what was written reads back equal; anything else is refused with the field's name, and nothing of it is
//! taken.

use std::path::Path;

use limpid_codec::record;
use limpid_model::{ChangeNumber, Component, Epoch, Fault, FaultCode, PipelineId, PipelineName, TableName};
use limpid_state::{Checkpoint, HaltedTable, PipelineState, SchemaHistory};
use serde_json::{Value, json};

const VERSION: u64 = 1;

/// All of it.
pub fn of(name: &PipelineName, state: &PipelineState) -> Value {
    let mut value = summary(name, state);
    value["record"] = state
        .checkpoint
        .as_ref()
        .map_or(Value::Null, |found| serde_json::from_slice(&record::encode(&found.record)).unwrap_or_default());
    value["history"] = state.history.as_ref().map_or(Value::Null, |history| {
        json!({
            "version": history.version,
            "holds_from": history.holds_from,
            "definitions": hex(&history.definitions),
        })
    });
    value
}

/// Without what only a machine reads.
pub fn summary(name: &PipelineName, state: &PipelineState) -> Value {
    let halted = state.halted.iter().map(|halted| {
        json!({
            "schema": &*halted.table.schema,
            "table": &*halted.table.table,
            "code": halted.code.as_str(),
            "position": halted.position,
            "at_micros": halted.at_micros,
            "message": halted.message,
        })
    });
    json!({
        "v": VERSION,
        "pipeline": name.as_str(),
        "id": state.id.to_string(),
        "epoch": state.epoch.0,
        "change": state.change.0,
        "position": state.checkpoint.as_ref().map(|found| found.record.delivered.as_str()),
        "halted": halted.collect::<Vec<_>>(),
    })
}

/// Reads an export of this pipeline.
///
/// # Errors
/// `USAGE_INVALID`: the file cannot be read, or is no such export.
pub fn read(name: &PipelineName, path: &Path) -> Result<PipelineState, Fault> {
    let invalid = |text: String| {
        let fault = Fault::new(FaultCode::UsageInvalid, Component::State, text).about(path.display().to_string());
        fault.help("give what `limpid state export` wrote for this pipeline")
    };
    let bytes = std::fs::read(path).map_err(|error| invalid(format!("the export cannot be read: {}", error.kind())))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| invalid("the export is no JSON".to_owned()))?;
    if value["v"].as_u64() != Some(VERSION) {
        return Err(invalid("the export is of another version, or no export".to_owned()));
    }
    if value["pipeline"].as_str() != Some(name.as_str()) {
        return Err(invalid(format!("the export is not of the pipeline {name}")));
    }
    parts(name, &value).map_err(|field| invalid(format!("the export's field `{field}` is missing or malformed")))
}

fn parts(name: &PipelineName, value: &Value) -> Result<PipelineState, &'static str> {
    let id = value["id"].as_str().and_then(PipelineId::parse).ok_or("id")?;
    let epoch = Epoch(value["epoch"].as_u64().ok_or("epoch")?);
    let change = ChangeNumber(value["change"].as_u64().ok_or("change")?);
    let checkpoint = match &value["record"] {
        Value::Null => None,
        found => {
            let record = record::decode(found.to_string().as_bytes()).map_err(|_| "record")?;
            let fits = record.pipeline == *name && record.id == id && record.epoch <= epoch && record.change <= change;
            Some(Checkpoint { selection: record.selection.unwrap_or_default(), record })
                .filter(|_| fits)
                .ok_or("record")
                .map(Some)?
        }
    };
    let history = match &value["history"] {
        Value::Null => None,
        found => Some(history(found).ok_or("history")?),
    };
    let halted = value["halted"].as_array().ok_or("halted")?.iter().map(halted).collect::<Option<_>>();
    Ok(PipelineState { id, epoch, change, checkpoint, history, halted: halted.ok_or("halted")? })
}

fn history(value: &Value) -> Option<SchemaHistory> {
    Some(SchemaHistory {
        version: value["version"].as_u64()?.try_into().ok()?,
        holds_from: value["holds_from"].as_str()?.to_owned(),
        definitions: unhex(value["definitions"].as_str()?)?,
    })
}

fn halted(value: &Value) -> Option<HaltedTable> {
    let text = |field: &str| value[field].as_str();
    Some(HaltedTable {
        table: TableName::new(text("schema")?, text("table")?),
        code: FaultCode::parse(text("code")?)?,
        position: text("position")?.to_owned(),
        at_micros: value["at_micros"].as_i64()?,
        message: text("message")?.to_owned(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[digit as usize]))
        .collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.len().is_multiple_of(2).then(|| text.as_bytes().chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> PipelineState {
        let bytes = br#"{"v":1,"pipeline":"shop","id":"00000000000000000000000000000007","epoch":3,"change":2,
            "delivered":"gtid:0-1-5","read_from":"gtid:0-1-5","undecided":[],"rows_done":0,"cursors":["c"],
            "schema_version":4,"selection":"00000000000000ff"}"#;
        let record = record::decode(bytes).unwrap();
        PipelineState {
            id: PipelineId(7),
            epoch: Epoch(4),
            change: ChangeNumber(u64::MAX),
            checkpoint: Some(Checkpoint { record, selection: 255 }),
            history: Some(SchemaHistory { version: 4, holds_from: "p".into(), definitions: (0..=255).collect() }),
            halted: vec![HaltedTable {
                table: TableName::new("shop", "t"),
                code: FaultCode::RowUndecodable,
                position: "p".into(),
                at_micros: -1,
                message: "m".into(),
            }],
        }
    }

    #[test]
    fn an_export_reads_back_equal_and_a_changed_one_is_refused_by_its_field() {
        let name = PipelineName::parse("shop").unwrap();
        let value = of(&name, &state());
        assert_eq!(parts(&name, &value), Ok(state()));
        for field in ["id", "epoch", "change", "halted"] {
            let mut changed = value.clone();
            changed[field] = json!({});
            assert_eq!(parts(&name, &changed), Err(field));
        }
        for (field, inner) in [("record", "delivered"), ("history", "definitions")] {
            let mut changed = value.clone();
            changed[field][inner] = json!("0");
            changed[field]["v"] = json!(9);
            assert_eq!(parts(&name, &changed), Err(field), "{inner}");
        }
        // A record of a later life than the state's own is of another state.
        let mut changed = value;
        changed["record"]["epoch"] = json!(5);
        assert_eq!(parts(&name, &changed), Err("record"));
    }
}
