//! A table version compiled: everything of its records that does not depend on a row.
//!
//! Owns: field prefixes, forms, the constant parts of the source block, the key's columns, the topic. Does not own:
//! values.
//!
//! Invariant: a plan is made once per table version and holds the schema, so that its address stays its own.

use std::sync::Arc;

use limpid_model::{Column, TableSchema};

use super::form::Form;
use super::options::DebeziumOptions;
use crate::json::{Piece, put_text};
use crate::topic::{TopicError, TopicRegistry};

/// One column: its form and `,"name":`.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    pub(super) prefix: Piece,
    pub(super) form: Form,
    pub(super) nullable: bool,
}

/// One column of the key.
#[derive(Debug)]
pub(super) struct KeyPlan {
    pub(super) column: u16,
    pub(super) prefix: Piece,
}

/// A compiled table version.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub(super) schema: Arc<TableSchema>,
    pub(super) topic: Result<Arc<str>, TopicError>,
    pub(super) columns: Vec<ColumnPlan>,
    pub(super) key: Vec<KeyPlan>,
    /// `{"before":null,"after":`
    pub(super) no_before: Piece,
    /// `,"source":{` up to and with `"ts_ms":`.
    pub(super) source_head: Piece,
    /// `,"snapshot":"false"` up to and with `"ts_us":`.
    pub(super) source_stream: Piece,
    /// The same of a row that a snapshot read.
    pub(super) source_snapshot: Piece,
    /// `,"table":` up to and with `"server_id":`.
    pub(super) source_table: Piece,
}

impl TablePlan {
    pub(super) fn compile(schema: &Arc<TableSchema>, options: &DebeziumOptions, topics: &TopicRegistry) -> Self {
        let head = format!(
            ",\"source\":{{\"version\":\"{}\",\"connector\":\"{}\",\"name\":\"{}\",\"ts_ms\":",
            options.compat.version(),
            options.connector.word(),
            escaped(options.pipeline.as_str()),
        );
        let schema_name = escaped(&schema.name.schema);
        let source = |snapshot: &str| {
            Piece::new(
                format!(",\"snapshot\":\"{snapshot}\",\"db\":\"{schema_name}\",\"sequence\":null,\"ts_us\":")
                    .as_bytes(),
            )
        };
        let table = format!(",\"table\":\"{}\",\"server_id\":", escaped(&schema.name.table));
        let prefix = |column: &Column| Piece::new(format!(",\"{}\":", escaped(&column.name)).as_bytes());
        Self {
            schema: Arc::clone(schema),
            topic: topics.topic_of(&options.pipeline, &schema.name),
            columns: schema
                .columns
                .iter()
                .map(|column| ColumnPlan {
                    prefix: prefix(column),
                    form: Form::of(column, options),
                    nullable: column.nullable,
                })
                .collect(),
            key: key_columns(schema, options)
                .into_iter()
                .map(|column| KeyPlan { column, prefix: prefix(&schema.columns[column as usize]) })
                .collect(),
            no_before: Piece::new(b"{\"before\":null,\"after\":"),
            source_head: Piece::new(head.as_bytes()),
            source_stream: source("false"),
            source_snapshot: source("incremental"),
            source_table: Piece::new(table.as_bytes()),
        }
    }
}

/// The columns of the record's key: those that an option names (the ones the table has), else the table's own key.
fn key_columns(schema: &TableSchema, options: &DebeziumOptions) -> Vec<u16> {
    match options.message_key_columns.iter().find(|entry| entry.matches(&schema.name)) {
        Some(entry) => {
            let find = |name: &String| {
                let same = |column: &Column| column.name.eq_ignore_ascii_case(name);
                schema.columns.iter().position(same).map(|index| index as u16)
            };
            entry.columns.iter().filter_map(find).collect()
        }
        None => schema.key.to_vec(),
    }
}

fn escaped(text: &str) -> String {
    let mut bytes = Vec::new();
    put_text(&mut bytes, text.as_bytes());
    String::from_utf8(bytes).expect("escaped text is UTF-8")
}
