//! What a reader knows of a table, and whether it still holds.
//!
//! Owns: asking for one table's definition, the statement that selects its rows. Does not own: definitions
//! (`catalogue`, `history`), keys as conditions (`copy::keys`).
//!
//! Invariant: rows are decoded by a definition that the server confirmed while it could not change: `SHOW CREATE TABLE`
//! gives the text that it gave around the reading of the catalogue.

use std::any::Any;
use std::sync::Arc;

use limpid_connector::JsonText;
use limpid_model::{Fault, TableName, TableSchema};

use super::cells::Read;
use super::keys::{Key, KeyColumn, SqlRange};
use super::link::Link;
use super::shape;
use crate::catalogue::quoted;
use crate::catalogue::{self, Scope};
use crate::client::QueryError;
use crate::history::TableDefinition;
use crate::mapping::{Layout, Wire};
use crate::schemas::mismatch_fault;
use crate::selection::Selection;

/// A table as its rows are read.
pub struct Known {
    pub name: TableName,
    /// The statement that would make it, without what inserts change.
    create: Vec<u8>,
    pub definition: Arc<TableDefinition>,
    pub schema: Arc<TableSchema>,
    pub layout: Arc<dyn Any + Send + Sync>,
    /// Of the captured columns.
    wires: Vec<Wire>,
    pub key: Option<Key>,
}

/// So often a definition is read again when it changes under our eyes.
const TRIES_MAX: usize = 10;

impl Known {
    /// Asks the server. `None`: there is no such table, or no row of it is captured.
    ///
    /// # Errors
    /// Those of queries; `ROW_UNDECODABLE` for a column that cannot be read.
    pub fn learn(link: &mut Link, name: &TableName, selection: &Selection) -> Result<Option<Self>, Fault> {
        let mut tries = 0;
        loop {
            let Some(create) = create_text(link, name)? else { return Ok(None) };
            let definition = definition(link, name)?;
            tries += 1;
            if create_text(link, name)?.as_ref() != Some(&create) {
                if tries >= TRIES_MAX {
                    return Err(link.restless(name));
                }
                continue;
            }
            let Some(definition) = definition.filter(|definition| !definition.is_sequence) else { return Ok(None) };
            return Self::build(name, create, definition, selection).map(Some);
        }
    }

    fn build(
        name: &TableName,
        create: Vec<u8>,
        definition: Arc<TableDefinition>,
        selection: &Selection,
    ) -> Result<Self, Fault> {
        let keep = |column: &str| selection.takes_column(name, column);
        let (schema, layout): (TableSchema, Layout) =
            shape::of_definition(name, &definition, 0, &keep).map_err(|mismatch| mismatch_fault(&mismatch, name))?;
        let wires = layout.columns.iter().filter(|column| column.captured).map(|column| column.wire).collect();
        let key = Key::of(&definition, &schema);
        let (schema, layout) = (Arc::new(schema), Arc::new(layout));
        Ok(Self { name: name.clone(), create, definition, schema, layout, wires, key })
    }

    /// True while the server still has the table as we know it; `None` when it is gone. To be asked while a lock keeps
    /// it so.
    ///
    /// # Errors
    /// Those of a query.
    pub fn holds(&self, link: &mut Link) -> Result<Option<bool>, Fault> {
        Ok(create_text(link, &self.name)?.map(|create| create == self.create))
    }

    /// True where a snapshot of the engine and the log agree.
    pub fn is_innodb(&self) -> bool {
        self.definition.engine == "innodb"
    }

    /// The name as SQL.
    pub fn from(&self) -> String {
        format!("{}.{}", quoted(&self.name.schema), quoted(&self.name.table))
    }

    /// Members come as numbers: their texts are in the column's character set and may hold anything.
    fn select_list(&self) -> String {
        let column = |(column, wire): (&limpid_model::Column, &Wire)| match wire {
            Wire::Enum { .. } | Wire::Set { .. } => format!("CAST({} AS UNSIGNED)", quoted(&column.name)),
            _ => quoted(&column.name),
        };
        let columns: Vec<String> = self.schema.columns.iter().zip(&self.wires).map(column).collect();
        // A selection may leave a table without a column, and still it has rows.
        if columns.is_empty() { "NULL".to_owned() } else { columns.join(", ") }
    }

    /// The statement that reads a range in the key's order, or the whole table where it has none.
    pub fn select(&self, range: &SqlRange, predicate: Option<&str>, rows_max: Option<u64>) -> String {
        let mut sql = format!("SELECT {} FROM {}", self.select_list(), self.from());
        if let Some(index) = self.key.as_ref().and_then(|key| key.index.as_ref()).filter(|_| rows_max.is_some()) {
            sql.push_str(&format!(" FORCE INDEX ({index})"));
        }
        let mut conditions = self.key.as_ref().map_or(Vec::new(), |key| key.condition(range));
        // The line end closes a comment that the condition may end in.
        conditions.extend(predicate.map(|predicate| format!("{predicate}\n")));
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE ({})", conditions.join(") AND (")));
        }
        if let (Some(key), Some(rows_max)) = (&self.key, rows_max) {
            sql.push_str(&format!(" ORDER BY {} LIMIT {rows_max}", key.order()));
        }
        sql
    }

    /// The statement that finds the key so many rows behind the start of a range.
    pub fn select_key(&self, key: &Key, range: &SqlRange, rows_between: u64) -> String {
        let column = |column: &KeyColumn| match self.wires[column.cell] {
            Wire::Enum { .. } | Wire::Set { .. } => format!("CAST({} AS UNSIGNED)", column.name),
            _ => column.name.clone(),
        };
        let columns: Vec<String> = key.columns.iter().map(column).collect();
        let mut sql = format!("SELECT {} FROM {}", columns.join(", "), self.from());
        if let Some(index) = &key.index {
            sql.push_str(&format!(" FORCE INDEX ({index})"));
        }
        let conditions = key.condition(range);
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE ({})", conditions.join(") AND (")));
        }
        sql.push_str(&format!(" ORDER BY {} LIMIT {rows_between}, 1", key.order()));
        sql
    }

    /// How the columns of [`Known::select_key`] are read.
    pub fn key_reads(&self, key: &Key, announced: &[u8]) -> Option<Vec<Read>> {
        let wires = key.columns.iter().map(|column| self.wires[column.cell]);
        wires.zip(announced).map(|(wire, code)| Read::of(wire, *code, JsonText::Server)).collect()
    }

    /// How the answer's columns are read; `None` where the server announces other types than the definition's.
    pub fn reads(&self, announced: &[u8], json_text: JsonText) -> Option<Vec<Read>> {
        if self.wires.is_empty() {
            return Some(Vec::new());
        }
        let fits = announced.len() == self.wires.len();
        let reads = self.wires.iter().zip(announced).map(|(wire, code)| Read::of(*wire, *code, json_text));
        reads.collect::<Option<Vec<_>>>().filter(|_| fits)
    }
}

fn create_text(link: &mut Link, name: &TableName) -> Result<Option<Vec<u8>>, Fault> {
    let sql = format!("SHOW CREATE TABLE {}.{}", quoted(&name.schema), quoted(&name.table));
    match link.client.query(&sql) {
        Ok(rows) => {
            let text = rows.into_iter().next().and_then(|row| row.into_iter().nth(1)).flatten();
            Ok(text.map(|text| without_counter(&text)))
        }
        // No such table, or no such database.
        Err(QueryError::Server(error)) if matches!(error.number, 1146 | 1049) => Ok(None),
        Err(error) => Err(link.table_fault("read the definition of a table", error, name)),
    }
}

/// Without any `AUTO_INCREMENT=n`, which every insert moves.
fn without_counter(create: &[u8]) -> Vec<u8> {
    const COUNTER: &[u8] = b" AUTO_INCREMENT=";
    let mut out = Vec::with_capacity(create.len());
    let mut rest = create;
    while let Some((first, behind)) = rest.split_first() {
        rest = match rest.strip_prefix(COUNTER) {
            Some(behind) => &behind[behind.iter().take_while(|byte| byte.is_ascii_digit()).count()..],
            None => {
                out.push(*first);
                behind
            }
        };
    }
    out
}

fn definition(link: &mut Link, name: &TableName) -> Result<Option<Arc<TableDefinition>>, Fault> {
    let queries = catalogue::Queries::new(link.facts.flavor, Scope::Table(name));
    let server = link.server_rows(&queries)?;
    let rows = catalogue::Rows {
        tables: link.ask("read the definition of a table", &queries.tables)?,
        columns: link.ask("read the definition of a table", &queries.columns)?,
        keys: link.ask("read the definition of a table", &queries.keys)?,
        ..server
    };
    let mut history = catalogue::history(link.facts.flavor, link.facts.version, &rows)
        .map_err(|unreadable| link.unreadable(unreadable))?;
    for table in catalogue::unsettled(&history) {
        let order = link.ask("read the keys of a table", &catalogue::show_index(&table))?;
        catalogue::order_keys(&mut history, &table, &order);
    }
    Ok(history.table(name).cloned())
}
