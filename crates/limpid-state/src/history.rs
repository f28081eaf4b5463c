//! What the tables looked like, for as long as a restart may need it.
//!
//! Owns: the table `schema_history`. Does not own: what the bytes mean (the sources).
//!
//! Invariant: the history in force at the checkpoint, and the one in force at the checkpoint before it, are there.
//!
//! How a history is found: positions cannot be compared here, so a history is found by its version. Versions rise
//! strictly along the log (a table dropped raises it too), and a position record says in `schema_version` which
//! one is in force at its `read_from`; so the history of a position is the highest stored version at or below that.
//! - A DDL is read: its history is saved at once, next to the earlier ones. The checkpoint is still before it. A crash
//!   here finds the earlier one, reads the DDL again and saves the same version again.
//! - The checkpoint passes the DDL: what is older than the history in force at the *replaced* checkpoint goes. One
//!   checkpoint of slack, because the sink's record wins at a start and may be that much behind.
//! - A restart goes another way (more tables are captured, other versions follow): the first version saved replaces all
//!   from it on, since they describe a reading of the log that no checkpoint passed.

use std::path::Path;

use limpid_model::PipelineName;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::seal::Seal;
use crate::store::StateError;
use crate::{checkpoint, pipeline};

/// The schema history of a source in its own stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaHistory {
    pub version: u32,
    /// Text of the position from which it holds: for people.
    pub holds_from: String,
    pub definitions: Vec<u8>,
}

impl SchemaHistory {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<(Self, i64)> {
        Ok((Self { version: row.get(0)?, holds_from: row.get(1)?, definitions: row.get(2)? }, row.get(3)?))
    }

    fn seal(&self, name: &PipelineName) -> Seal {
        Seal::of("schema_history")
            .text(name.as_str())
            .number(self.version.into())
            .text(&self.holds_from)
            .bytes(&self.definitions)
    }
}

pub(crate) fn save(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    version: u32,
    holds_from: &str,
    definitions: &[u8],
    path: &Path,
) -> Result<(), StateError> {
    pipeline::identity(transaction, name, path)?;
    if let Some(needed) = checkpoint::schema_version(transaction, name)?
        && version <= needed
        && let Some(stored) = in_force(transaction, name, needed, path)?
    {
        let same = stored.version == version && stored.definitions == definitions;
        assert!(same, "history {version} of {name} would replace what the checkpoint at version {needed} needs");
        return Ok(());
    }
    let history = SchemaHistory { version, holds_from: holds_from.to_owned(), definitions: definitions.to_owned() };
    transaction
        .execute("DELETE FROM schema_history WHERE pipeline = ?1 AND version >= ?2", params![name.as_str(), version])?;
    transaction.execute(
        "INSERT INTO schema_history (pipeline, version, holds_from, definitions, seal) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name.as_str(), version, holds_from, definitions, history.seal(name).stored()],
    )?;
    Ok(())
}

pub(crate) fn forget(transaction: &Transaction<'_>, name: &PipelineName) -> Result<(), StateError> {
    transaction.execute("DELETE FROM schema_history WHERE pipeline = ?1", [name.as_str()])?;
    Ok(())
}

/// The highest version at or below `schema_version`.
pub(crate) fn in_force(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    schema_version: u32,
    path: &Path,
) -> Result<Option<SchemaHistory>, StateError> {
    let found = transaction.query_row(
        "SELECT version, holds_from, definitions, seal FROM schema_history
         WHERE pipeline = ?1 AND version <= ?2 ORDER BY version DESC LIMIT 1",
        params![name.as_str(), schema_version],
        SchemaHistory::from_row,
    );
    let Some((history, seal)) = found.optional()? else { return Ok(None) };
    history.seal(name).check(seal, "schema history", path)?;
    Ok(Some(history))
}

/// Checks every row's seal, one in memory at a time.
pub(crate) fn verify(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<(), StateError> {
    let mut select =
        transaction.prepare("SELECT version, holds_from, definitions, seal FROM schema_history WHERE pipeline = ?1")?;
    for row in select.query_map([name.as_str()], SchemaHistory::from_row)? {
        let (history, seal) = row?;
        history.seal(name).check(seal, "schema history", path)?;
    }
    Ok(())
}

/// Drops what is older than the history in force at `needed`.
pub(crate) fn prune(transaction: &Transaction<'_>, name: &PipelineName, needed: u32) -> Result<(), StateError> {
    transaction.execute(
        "DELETE FROM schema_history WHERE pipeline = ?1 AND version <
           (SELECT max(version) FROM schema_history WHERE pipeline = ?1 AND version <= ?2)",
        params![name.as_str(), needed],
    )?;
    Ok(())
}
