//! A table version compiled: everything of its records that does not depend on a row.
//!
//! Owns: field prefixes, forms, the constant parts of the source block, the key's columns, the topic. Does not own:
//! values.
//!
//! Invariant: a plan is made once per table version and holds the schema, so that its address stays its own.

use std::sync::Arc;

use limpid_model::{Column, Component, Fault, FaultCode, Shown, ShownColumn, TableSchema, Target};

use super::form::Form;
use super::options::DebeziumOptions;
use crate::json::{Piece, put_text};
use crate::topic::TopicRegistry;

/// One column that is shown: its form and `,"name":`.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    /// Index of its cell in an image.
    pub(super) cell: u16,
    pub(super) prefix: Piece,
    pub(super) form: Form,
    pub(super) nullable: bool,
}

/// One column of the key.
#[derive(Debug)]
pub(super) struct KeyPlan {
    /// Index into [`TablePlan::columns`].
    pub(super) shown: u16,
    /// Index of its cell in an image.
    pub(super) column: u16,
    pub(super) prefix: Piece,
}

/// A compiled table version.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub(super) schema: Arc<TableSchema>,
    /// The topic, or why nothing of this table can be written.
    pub(super) topic: Result<Arc<str>, Unwritable>,
    pub(super) columns: Vec<ColumnPlan>,
    /// Every cell of an image is shown, in its order.
    pub(super) is_whole: bool,
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

/// Why nothing of a table can be written.
#[derive(Debug)]
pub(super) enum Unwritable {
    /// Who withholds it says why.
    Withheld,
    Topic(crate::topic::TopicError),
    /// A column of the record's key is not shown, or not as it is.
    Key(String),
}

impl Unwritable {
    pub(super) fn fault(&self, schema: &TableSchema) -> Option<Fault> {
        match self {
            Self::Withheld => None,
            Self::Topic(error) => Some(error.fault(&schema.name)),
            Self::Key(words) => Some(
                Fault::new(FaultCode::TransformKeyColumn, Component::Filter, words.clone())
                    .about(schema.name.to_string()),
            ),
        }
    }
}

impl TablePlan {
    pub(super) fn compile(
        schema: &Arc<TableSchema>,
        shown: &Shown,
        options: &DebeziumOptions,
        topics: &TopicRegistry,
    ) -> Self {
        let columns = shown_columns(schema, shown);
        let key = key_plan(schema, &columns, options);
        let target = match shown {
            Shown::As(table) => table.target.clone(),
            Shown::AsIs | Shown::Withheld => Target::of(&schema.name),
        };
        let topic = match (shown, &key) {
            (Shown::Withheld, _) => Err(Unwritable::Withheld),
            (_, Err(words)) => Err(Unwritable::Key(words.clone())),
            _ => topics.topic_of(&options.pipeline, &schema.name, &target).map_err(Unwritable::Topic),
        };
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
        Self {
            schema: Arc::clone(schema),
            topic,
            is_whole: columns.len() == schema.columns.len(),
            columns: columns
                .iter()
                .map(|ShownColumn { cell, column, .. }| ColumnPlan {
                    cell: *cell,
                    prefix: prefix(column),
                    form: Form::of(column, options),
                    nullable: column.nullable,
                })
                .collect(),
            key: key.unwrap_or_default(),
            no_before: Piece::new(b"{\"before\":null,\"after\":"),
            source_head: Piece::new(head.as_bytes()),
            source_stream: source("false"),
            source_snapshot: source("incremental"),
            source_table: Piece::new(table.as_bytes()),
        }
    }
}

fn prefix(column: &Column) -> Piece {
    Piece::new(format!(",\"{}\":", escaped(&column.name)).as_bytes())
}

fn shown_columns(schema: &TableSchema, shown: &Shown) -> Vec<ShownColumn> {
    let as_it_is =
        |(cell, column): (usize, &Column)| ShownColumn { cell: cell as u16, column: column.clone(), is_blurred: false };
    match shown {
        Shown::As(table) => table.columns.clone(),
        Shown::AsIs | Shown::Withheld => schema.columns.iter().enumerate().map(as_it_is).collect(),
    }
}

/// The record's key among the columns that are shown, or why there is none.
fn key_plan(schema: &TableSchema, columns: &[ShownColumn], options: &DebeziumOptions) -> Result<Vec<KeyPlan>, String> {
    let one = |column: u16| {
        let name = &schema.columns[usize::from(column)].name;
        let shown = columns.iter().position(|shown| shown.cell == column);
        let shown = shown.ok_or_else(|| format!("the column {name} is of the record's key and is dropped"))?;
        if columns[shown].is_blurred {
            return Err(format!("the column {name} is of the record's key, and its mask could make two keys equal"));
        }
        Ok(KeyPlan { shown: shown as u16, column, prefix: prefix(&columns[shown].column) })
    };
    key_columns(schema, options).into_iter().map(one).collect()
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
