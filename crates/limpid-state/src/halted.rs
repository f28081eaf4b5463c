//! Tables that were stopped.
//!
//! Owns: the table `halted_table`. Does not own: when a table is halted, and what an operator may do about it.
//!
//! Invariant: a table has one fault or none, and it is its first.

use std::path::Path;

use limpid_model::{FaultCode, PipelineName, TableName};
use rusqlite::{Row, Transaction, params};

use crate::seal::Seal;
use crate::store::StateError;
use crate::{faults, pipeline};

/// A table none of whose rows flow until an operator clears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltedTable {
    pub table: TableName,
    pub code: FaultCode,
    /// The text of the position up to which its rows are right.
    pub position: String,
    /// Microseconds since 1970 by the machine's clock.
    pub at_micros: i64,
    /// The fault's sentence; no row values.
    pub message: String,
}

/// As it is stored: the code may be one that a later release made.
struct Stored {
    schema: String,
    table: String,
    code: String,
    position: String,
    at_micros: i64,
    message: String,
}

impl Stored {
    fn of(halted: &HaltedTable) -> Self {
        Self {
            schema: halted.table.schema.to_string(),
            table: halted.table.table.to_string(),
            code: halted.code.as_str().to_owned(),
            position: halted.position.clone(),
            at_micros: halted.at_micros,
            message: halted.message.clone(),
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        let stored = Self {
            schema: row.get(0)?,
            table: row.get(1)?,
            code: row.get(2)?,
            position: row.get(3)?,
            at_micros: row.get(4)?,
            message: row.get(5)?,
        };
        Ok((stored, row.get(6)?))
    }

    fn seal(&self, name: &PipelineName) -> Seal {
        Seal::of("halted_table")
            .text(name.as_str())
            .text(&self.schema)
            .text(&self.table)
            .text(&self.code)
            .text(&self.position)
            .number(self.at_micros.cast_unsigned())
            .text(&self.message)
    }
}

pub(crate) fn save(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    halted: &HaltedTable,
    path: &Path,
) -> Result<(), StateError> {
    pipeline::identity(transaction, name, path)?;
    let stored = Stored::of(halted);
    transaction.execute(
        "INSERT OR IGNORE INTO halted_table
           (pipeline, schema_name, table_name, code, position, at_micros, message, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            name.as_str(),
            stored.schema,
            stored.table,
            stored.code,
            stored.position,
            stored.at_micros,
            stored.message,
            stored.seal(name).stored(),
        ],
    )?;
    Ok(())
}

pub(crate) fn clear(transaction: &Transaction<'_>, name: &PipelineName, table: &TableName) -> Result<bool, StateError> {
    let cleared = transaction.execute(
        "DELETE FROM halted_table WHERE pipeline = ?1 AND schema_name = ?2 AND table_name = ?3",
        params![name.as_str(), &*table.schema, &*table.table],
    )?;
    Ok(cleared > 0)
}

pub(crate) fn load(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    path: &Path,
) -> Result<Vec<HaltedTable>, StateError> {
    let known = |stored: Stored| -> Result<HaltedTable, StateError> {
        let Some(code) = FaultCode::parse(&stored.code) else {
            let sentence = format!("a table was halted with {}, which this release does not know", stored.code);
            return Err(faults::fault(FaultCode::StateNewer, sentence, path).into());
        };
        Ok(HaltedTable {
            table: TableName::new(&stored.schema, &stored.table),
            code,
            position: stored.position,
            at_micros: stored.at_micros,
            message: stored.message,
        })
    };
    rows(transaction, name, path)?.into_iter().map(known).collect()
}

/// Checks every row's seal.
pub(crate) fn verify(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<(), StateError> {
    rows(transaction, name, path).map(drop)
}

fn rows(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<Vec<Stored>, StateError> {
    let mut select = transaction.prepare(
        "SELECT schema_name, table_name, code, position, at_micros, message, seal
         FROM halted_table WHERE pipeline = ?1 ORDER BY schema_name, table_name",
    )?;
    let mut rows = Vec::new();
    for row in select.query_map([name.as_str()], Stored::from_row)? {
        let (stored, seal) = row?;
        stored.seal(name).check(seal, "halted table", path)?;
        rows.push(stored);
    }
    Ok(rows)
}
