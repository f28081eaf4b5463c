//! The position record as it is stored.
//!
//! Owns: its wire form: one JSON object with `"v":1`. Does not own: what the record means (`limpid-model`), where it
//! is kept (the sinks, `limpid-state`).
//!
//! Invariant: whatever this release writes it reads back equal; a field that a later release adds is ignored, one that
//! is missing or of the wrong kind is refused, and so is a version above our own.

use std::fmt;

use limpid_model::{ChangeNumber, Epoch, PipelineId, PipelineName, PositionRecord};
use serde_json::{Map, Value};

use crate::json::{put_text, put_u64};

/// The version written, and the highest that is read.
pub const VERSION: u64 = 1;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not JSON, or not an object.
    Syntax(String),
    /// A later release wrote it.
    Newer(u64),
    /// A field is not there, or not what it must be.
    Field(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(what) => write!(f, "the position record is not a JSON object: {what}"),
            Self::Newer(version) => {
                write!(f, "the position record has version {version}; this release reads up to {VERSION}")
            }
            Self::Field(name) => write!(f, "the position record's field {name:?} is missing or malformed"),
        }
    }
}

impl std::error::Error for RecordError {}

/// The record's bytes.
pub fn encode(record: &PositionRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"v\":");
    put_u64(&mut out, VERSION);
    text(&mut out, "pipeline", record.pipeline.as_str());
    text(&mut out, "id", &record.id.to_string());
    number(&mut out, "epoch", record.epoch.0);
    number(&mut out, "change", record.change.0);
    text(&mut out, "delivered", &record.delivered);
    text(&mut out, "read_from", &record.read_from);
    list(&mut out, "undecided", &record.undecided);
    number(&mut out, "rows_done", record.rows_done);
    list(&mut out, "cursors", &record.cursors);
    number(&mut out, "schema_version", record.schema_version as u64);
    if let Some(selection) = record.selection {
        // As text: tools that read it take numbers for doubles.
        text(&mut out, "selection", &format!("{selection:016x}"));
    }
    if !record.flow.is_empty() {
        list(&mut out, "flow", &record.flow);
    }
    out.push(b'}');
    out
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn quoted(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    put_text(out, value.as_bytes());
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, field: &str, value: &str) {
    name(out, field);
    quoted(out, value);
}

fn number(out: &mut Vec<u8>, field: &str, value: u64) {
    name(out, field);
    put_u64(out, value);
}

fn list(out: &mut Vec<u8>, field: &str, values: &[String]) {
    name(out, field);
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quoted(out, value);
    }
    out.push(b']');
}

/// The record in `bytes`.
///
/// # Errors
/// [`RecordError`]: the bytes come from outside and nothing of them is trusted.
pub fn decode(bytes: &[u8]) -> Result<PositionRecord, RecordError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| RecordError::Syntax(error.to_string()))?;
    let Value::Object(fields) = value else {
        return Err(RecordError::Syntax("it is another kind of value".to_owned()));
    };
    match take_number(&fields, "v")? {
        VERSION => {}
        newer if newer > VERSION => return Err(RecordError::Newer(newer)),
        _ => return Err(RecordError::Field("v")),
    }
    let schema_version = take_number(&fields, "schema_version")?;
    Ok(PositionRecord {
        pipeline: PipelineName::parse(take_text(&fields, "pipeline")?).ok_or(RecordError::Field("pipeline"))?,
        id: PipelineId::parse(take_text(&fields, "id")?).ok_or(RecordError::Field("id"))?,
        epoch: Epoch(take_number(&fields, "epoch")?),
        change: ChangeNumber(take_number(&fields, "change")?),
        delivered: take_text(&fields, "delivered")?.to_owned(),
        read_from: take_text(&fields, "read_from")?.to_owned(),
        undecided: take_list(&fields, "undecided")?,
        rows_done: take_number(&fields, "rows_done")?,
        cursors: take_list(&fields, "cursors")?,
        schema_version: schema_version.try_into().map_err(|_| RecordError::Field("schema_version"))?,
        selection: take_selection(&fields)?,
        flow: if fields.contains_key("flow") { take_list(&fields, "flow")? } else { Vec::new() },
    })
}

fn take_number(fields: &Map<String, Value>, name: &'static str) -> Result<u64, RecordError> {
    fields.get(name).and_then(Value::as_u64).ok_or(RecordError::Field(name))
}

fn take_text<'a>(fields: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, RecordError> {
    fields.get(name).and_then(Value::as_str).ok_or(RecordError::Field(name))
}

/// Later than the first release's fields, so that it may be absent.
fn take_selection(fields: &Map<String, Value>) -> Result<Option<u64>, RecordError> {
    let Some(value) = fields.get("selection") else { return Ok(None) };
    let number = value.as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
    number.map(Some).ok_or(RecordError::Field("selection"))
}

fn take_list(fields: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, RecordError> {
    let list = fields.get(name).and_then(Value::as_array).ok_or(RecordError::Field(name))?;
    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or(RecordError::Field(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> PositionRecord {
        PositionRecord {
            pipeline: PipelineName::parse("shop").unwrap(),
            id: PipelineId(7),
            epoch: Epoch(3),
            change: ChangeNumber(u64::MAX),
            delivered: "gtid:0-1-5+0-1-6/17".to_owned(),
            read_from: "gtid:0-1-5".to_owned(),
            undecided: vec!["X'61','',1".to_owned(), "\"\\\u{1}é".to_owned()],
            rows_done: 17,
            cursors: vec!["shop.orders:\"a\"".to_owned()],
            schema_version: 9,
            selection: Some(u64::MAX - 1),
            flow: vec!["4 5".to_owned(), "1,0,0,0,1,0,0,0,0 4 shoporders".to_owned()],
        }
    }

    #[test]
    fn a_record_survives_its_wire_form() {
        let bytes = encode(&sample());
        assert!(bytes.starts_with(b"{\"v\":1,\"pipeline\":\"shop\","), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(decode(&bytes), Ok(sample()));
    }

    /// Each case takes the sample, changes or drops one field, and says what reading it gives.
    fn check(field: &str, value: Option<Value>, expected: Result<(), RecordError>) {
        let mut json: Value = serde_json::from_slice(&encode(&sample())).unwrap();
        let fields = json.as_object_mut().unwrap();
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
        let got = decode(json.to_string().as_bytes());
        assert_eq!(got.map(|record| assert_eq!(record, sample())), expected, "{field}");
    }

    #[test]
    fn unknown_fields_are_ignored_missing_and_wrong_ones_refused() {
        check("later", Some(Value::from(1)), Ok(()));
        check("v", Some(Value::from(2)), Err(RecordError::Newer(2)));
        check("v", Some(Value::from(0)), Err(RecordError::Field("v")));
        for field in [
            "v",
            "pipeline",
            "id",
            "epoch",
            "change",
            "delivered",
            "read_from",
            "undecided",
            "rows_done",
            "cursors",
            "schema_version",
        ] {
            check(field, None, Err(RecordError::Field(field)));
            check(field, Some(Value::from(-1)), Err(RecordError::Field(field)));
        }
        check("selection", Some(Value::from(7)), Err(RecordError::Field("selection")));
        check("selection", Some(Value::from("x")), Err(RecordError::Field("selection")));
        check("schema_version", Some(Value::from(1u64 << 32)), Err(RecordError::Field("schema_version")));
        check("pipeline", Some(Value::from("a b")), Err(RecordError::Field("pipeline")));
        check("cursors", Some(Value::from(vec![1])), Err(RecordError::Field("cursors")));
        check("flow", Some(Value::from(7)), Err(RecordError::Field("flow")));
    }

    #[test]
    fn a_record_of_an_earlier_release_has_neither_selection_nor_flow() {
        let record = PositionRecord { selection: None, flow: Vec::new(), ..sample() };
        assert_eq!(decode(&encode(&record)), Ok(record));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["", "[]", "1", "{", "{\"v\":1}{"] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
