//! What the lines of the `stdout` and `file` sinks show, read as any consumer of Debezium's JSON would.
//!
//! Owns: reading lines, folding them to the rows a table must have. Does not own: what a line should say.
//!
//! Invariant: a fold is by images: an update or a deletion of a row that is not there is an error, so a phantom, a
//! doubled and a lost row all show.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// One line.
#[derive(Clone, Debug)]
pub struct Change {
    /// The topic without the pipeline's name: `schema.table`.
    pub table: String,
    pub key: Value,
    /// `c`, `u`, `d`, `t`, `r`; empty for a tombstone.
    pub op: String,
    pub before: Value,
    pub after: Value,
    pub headers: Value,
    /// When the record was made.
    pub ts_ms: Option<i64>,
}

/// Reads the lines of a sink.
pub fn changes_in(lines: &str) -> Result<Vec<Change>> {
    lines.lines().map(change_in).collect()
}

fn change_in(line: &str) -> Result<Change> {
    let mut line: Value = serde_json::from_str(line).with_context(|| format!("a line is no JSON: {line}"))?;
    let topic = line["topic"].as_str().context("a line has a topic")?;
    let table = topic.split_once('.').context("a topic begins with the pipeline's name")?.1.to_owned();
    let mut value = line["value"].take();
    let op = value["op"].as_str().unwrap_or_default().to_owned();
    ensure!(value.is_null() || !op.is_empty(), "a value has an operation");
    Ok(Change {
        table,
        op,
        ts_ms: value["ts_ms"].as_i64(),
        key: line["key"].take(),
        before: value.get_mut("before").map(Value::take).unwrap_or_default(),
        after: value.get_mut("after").map(Value::take).unwrap_or_default(),
        headers: line["headers"].take(),
    })
}

/// The rows that remain after all changes of `table`, as the batch form of the server's client prints `columns`, sorted.
pub fn fold(changes: &[Change], table: &str, columns: &[&str]) -> Result<Vec<String>> {
    let mut rows: Vec<String> = Vec::new();
    // Of rows that have a key, for those that are read beside the stream: the later word on a key counts.
    let mut by_key: HashMap<String, String> = HashMap::new();
    for change in changes.iter().filter(|change| change.table == table) {
        match change.op.as_str() {
            "r" if !change.key.is_null() => {
                let known = by_key.get(&change.key.to_string());
                if let Some(place) = known.and_then(|known| rows.iter().rposition(|row| row == known)) {
                    rows.swap_remove(place);
                }
                rows.push(row(&change.after, columns)?);
            }
            "c" | "r" => rows.push(row(&change.after, columns)?),
            "u" => {
                remove(&mut rows, &row(&change.before, columns)?)?;
                rows.push(row(&change.after, columns)?);
            }
            "d" => remove(&mut rows, &row(&change.before, columns)?)?,
            "t" => rows.clear(),
            "" => {}
            other => bail!("an unexpected operation {other:?}"),
        }
        match change.after.is_null() {
            true => by_key.remove(&change.key.to_string()),
            false => by_key.insert(change.key.to_string(), row(&change.after, columns)?),
        };
    }
    rows.sort();
    Ok(rows)
}

fn remove(rows: &mut Vec<String>, row: &str) -> Result<()> {
    let place = rows.iter().rposition(|known| known == row);
    let place = place.with_context(|| format!("a change of the row {row:?}, which is not there"))?;
    rows.swap_remove(place);
    Ok(())
}

fn row(image: &Value, columns: &[&str]) -> Result<String> {
    let mut texts = Vec::new();
    for column in columns {
        let value = image.get(column).with_context(|| format!("an image lacks the column {column}: {image}"))?;
        texts.push(match value {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
    }
    Ok(texts.join("\t"))
}
