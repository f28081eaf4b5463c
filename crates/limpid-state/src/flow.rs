//! The ledger of flow: what became of the rows up to the saved position, by table.
//!
//! Owns: the tables `flow`, `flow_total` and `flow_window`. Does not own: what is counted (`limpid-engine`).
//!
//! Invariant: a window is kept in the transaction that saves the position it ends at, and the totals with it: they are
//! the sums of all windows that ever were. Few windows are kept, and as many again that did not add up.

use std::collections::BTreeMap;
use std::path::Path;

use limpid_model::{FlowCounts, FlowSums, PipelineName, TableName};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::seal::Seal;
use crate::store::StateError;
use crate::{faults, layout};

/// Windows that are kept, and windows that did not add up.
const WINDOWS_MAX: u64 = 64;

/// The rows between two saved positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowWindow {
    /// From 1, without gaps.
    pub number: u64,
    /// The text of the position behind which it begins, and of the one at which it ends.
    pub from: String,
    pub to: String,
    /// When it ended: microseconds since 1970 by the machine's clock.
    pub at_micros: i64,
    pub sums: FlowSums,
}

/// What is kept of a pipeline's flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowState {
    /// That of the last window; 0 before the first.
    pub number: u64,
    /// Every row since the pipeline's first is counted. No: a state was restored or rebuilt in between.
    pub is_whole: bool,
    pub totals: BTreeMap<TableName, FlowCounts>,
    /// The oldest first.
    pub windows: Vec<FlowWindow>,
}

impl Default for FlowState {
    fn default() -> Self {
        Self { number: 0, is_whole: true, totals: BTreeMap::new(), windows: Vec::new() }
    }
}

fn head_seal(name: &PipelineName, number: u64, is_whole: bool) -> Seal {
    Seal::of("flow").text(name.as_str()).number(number).number(is_whole.into())
}

fn total_seal(name: &PipelineName, schema: &str, table: &str, counts: &str) -> Seal {
    Seal::of("flow_total").text(name.as_str()).text(schema).text(table).text(counts)
}

/// As it is stored.
struct Stored {
    number: u64,
    from: String,
    to: String,
    at_micros: i64,
    /// One text a table, each behind its length: names may hold anything.
    sums: String,
    differs: bool,
}

impl Stored {
    fn of(window: &FlowWindow) -> Self {
        Self {
            number: window.number,
            from: window.from.clone(),
            to: window.to.clone(),
            at_micros: window.at_micros,
            sums: packed(&window.sums.texts()),
            differs: window.sums.differs(),
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let stored = Self {
            number: row.get::<_, i64>(0)?.cast_unsigned(),
            from: row.get(1)?,
            to: row.get(2)?,
            at_micros: row.get(3)?,
            sums: row.get(4)?,
            differs: row.get(5)?,
        };
        Ok((stored, row.get(6)?))
    }

    fn seal(&self, name: &PipelineName) -> Seal {
        Seal::of("flow_window")
            .text(name.as_str())
            .number(self.number)
            .text(&self.from)
            .text(&self.to)
            .number(self.at_micros.cast_unsigned())
            .text(&self.sums)
            .number(self.differs.into())
    }
}

/// Texts one after the other, each behind its length.
fn packed(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{}:{text}", text.len())).collect()
}

fn unpacked(mut packed: &str) -> Option<Vec<&str>> {
    let mut texts = Vec::new();
    while !packed.is_empty() {
        let (length, rest) = packed.split_once(':')?;
        let (text, rest) = rest.split_at_checked(length.parse().ok()?)?;
        texts.push(text);
        packed = rest;
    }
    Some(texts)
}

/// Keeps a window, and the totals of its tables as they are with it.
pub(crate) fn save(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    window: &FlowWindow,
    (totals, is_whole): (&BTreeMap<TableName, FlowCounts>, bool),
) -> Result<(), StateError> {
    transaction.execute(
        "INSERT OR REPLACE INTO flow (pipeline, number, is_whole, seal) VALUES (?1, ?2, ?3, ?4)",
        params![
            name.as_str(),
            window.number.cast_signed(),
            is_whole,
            head_seal(name, window.number, is_whole).stored()
        ],
    )?;
    let mut total = transaction.prepare(
        "INSERT OR REPLACE INTO flow_total (pipeline, schema_name, table_name, counts, seal)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for table in window.sums.0.keys() {
        let Some(counts) = totals.get(table).map(FlowCounts::text) else { continue };
        let seal = total_seal(name, &table.schema, &table.table, &counts).stored();
        total.execute(params![name.as_str(), &*table.schema, &*table.table, counts, seal])?;
    }
    let stored = Stored::of(window);
    transaction.execute(
        "INSERT OR REPLACE INTO flow_window
           (pipeline, number, from_position, to_position, at_micros, sums, differs, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            name.as_str(),
            stored.number.cast_signed(),
            stored.from,
            stored.to,
            stored.at_micros,
            stored.sums,
            stored.differs,
            stored.seal(name).stored(),
        ],
    )?;
    prune(transaction, name, &stored)
}

fn prune(transaction: &Transaction<'_>, name: &PipelineName, last: &Stored) -> Result<(), StateError> {
    let oldest = last.number.saturating_sub(WINDOWS_MAX).cast_signed();
    transaction.execute(
        "DELETE FROM flow_window WHERE pipeline = ?1 AND number <= ?2 AND differs = 0",
        params![name.as_str(), oldest],
    )?;
    if last.differs {
        transaction.execute(
            "DELETE FROM flow_window WHERE pipeline = ?1 AND differs = 1 AND number NOT IN
               (SELECT number FROM flow_window WHERE pipeline = ?1 AND differs = 1 ORDER BY number DESC LIMIT ?2)",
            params![name.as_str(), WINDOWS_MAX.cast_signed()],
        )?;
    }
    Ok(())
}

pub(crate) fn load(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<FlowState, StateError> {
    let damaged = |what: &str| faults::corrupt(format!("the stored {what} of flow are damaged"), path);
    let head =
        transaction.query_row("SELECT number, is_whole, seal FROM flow WHERE pipeline = ?1", [name.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?, row.get::<_, i64>(2)?))
        });
    let Some((number, is_whole, seal)) = head.optional()? else { return Ok(FlowState::default()) };
    head_seal(name, number, is_whole).check(seal, "number of the ledger", path)?;
    let mut state = FlowState { number, is_whole, ..FlowState::default() };
    let mut select =
        transaction.prepare("SELECT schema_name, table_name, counts, seal FROM flow_total WHERE pipeline = ?1")?;
    let rows = select.query_map([name.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    })?;
    for row in rows {
        let (schema, table, text, seal) = row?;
        total_seal(name, &schema, &table, &text).check(seal, "total of a table", path)?;
        let counts = FlowCounts::parse(&text).ok_or_else(|| damaged("totals"))?;
        state.totals.insert(TableName::new(&schema, &table), counts);
    }
    let mut select = transaction.prepare(
        "SELECT number, from_position, to_position, at_micros, sums, differs, seal FROM flow_window
         WHERE pipeline = ?1 ORDER BY number",
    )?;
    for row in select.query_map([name.as_str()], Stored::from_row)? {
        let (stored, seal) = row?;
        stored.seal(name).check(seal, "window of flow", path)?;
        let sums = unpacked(&stored.sums).and_then(FlowSums::parse).ok_or_else(|| damaged("windows"))?;
        let Stored { number, from, to, at_micros, .. } = stored;
        state.windows.push(FlowWindow { number, from, to, at_micros, sums });
    }
    Ok(state)
}

/// Checks every seal.
pub(crate) fn verify(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<(), StateError> {
    if layout::has_column(transaction, "flow_window", "differs")? {
        load(transaction, name, path)?;
    }
    Ok(())
}
