//! Where a restart goes on.
//!
//! Owns: the tables `checkpoint` and `checkpoint_item`. Does not own: what a position means, nor when one may be saved.
//!
//! Invariant: a pipeline has one checkpoint or none, replaced as a whole; it reads back equal to what was saved.

use std::path::Path;

use limpid_model::{ChangeNumber, Epoch, PipelineId, PipelineName, PositionRecord};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::seal::Seal;
use crate::store::StateError;
use crate::{history, pipeline};

const UNDECIDED: &str = "undecided";
const CURSOR: &str = "cursor";

/// The position record, and what it was saved with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub record: PositionRecord,
    /// Fingerprint of the selection of tables and columns that was captured up to there.
    pub selection: u64,
}

impl Checkpoint {
    fn seal(&self) -> Seal {
        let record = &self.record;
        Seal::of("checkpoint")
            .text(record.pipeline.as_str())
            .number(record.epoch.0)
            .number(record.change.0)
            .text(&record.delivered)
            .text(&record.read_from)
            .texts(&record.undecided)
            .number(record.rows_done)
            .texts(&record.cursors)
            .number(record.schema_version.into())
            .number(self.selection)
    }
}

/// True when it is the pipeline's first.
pub(crate) fn save(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    record: &PositionRecord,
    selection: u64,
    path: &Path,
) -> Result<bool, StateError> {
    let identity = pipeline::identity(transaction, name, path)?;
    assert!(record.pipeline == *name && record.id == identity.id, "a checkpoint of {name} is of that very pipeline");
    assert!(record.epoch == identity.epoch, "a checkpoint of {name} is of the life that was begun last");
    assert!(record.change <= identity.change, "a checkpoint of {name} has a change number that the state had");
    let replaced = schema_version(transaction, name)?;
    if let Some(replaced) = replaced {
        history::prune(transaction, name, replaced.min(record.schema_version))?;
    }
    // Items refer to the checkpoint, and it is replaced in place.
    transaction.execute("DELETE FROM checkpoint_item WHERE pipeline = ?1", [name.as_str()])?;
    let checkpoint = Checkpoint { record: record.clone(), selection };
    transaction.execute(
        "INSERT OR REPLACE INTO checkpoint
           (pipeline, epoch, change_number, delivered, read_from, rows_done, schema_version, selection, seal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            name.as_str(),
            record.epoch.0.cast_signed(),
            record.change.0.cast_signed(),
            record.delivered,
            record.read_from,
            record.rows_done.cast_signed(),
            record.schema_version,
            selection.cast_signed(),
            checkpoint.seal().stored(),
        ],
    )?;
    save_items(transaction, name, UNDECIDED, &record.undecided)?;
    save_items(transaction, name, CURSOR, &record.cursors)?;
    Ok(replaced.is_none())
}

fn save_items(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    kind: &str,
    items: &[String],
) -> Result<(), StateError> {
    let mut insert =
        transaction.prepare("INSERT INTO checkpoint_item (pipeline, kind, ordinal, item) VALUES (?1, ?2, ?3, ?4)")?;
    for (ordinal, item) in items.iter().enumerate() {
        insert.execute(params![name.as_str(), kind, ordinal as i64, item])?;
    }
    Ok(())
}

pub(crate) fn load(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    id: PipelineId,
    path: &Path,
) -> Result<Option<Checkpoint>, StateError> {
    let undecided = load_items(transaction, name, UNDECIDED)?;
    let cursors = load_items(transaction, name, CURSOR)?;
    let found = transaction.query_row(
        "SELECT epoch, change_number, delivered, read_from, rows_done, schema_version, selection, seal
         FROM checkpoint WHERE pipeline = ?1",
        [name.as_str()],
        |row| {
            let record = PositionRecord {
                pipeline: name.clone(),
                id,
                epoch: Epoch(unsigned(row, 0)?),
                change: ChangeNumber(unsigned(row, 1)?),
                delivered: row.get(2)?,
                read_from: row.get(3)?,
                undecided,
                rows_done: unsigned(row, 4)?,
                cursors,
                schema_version: row.get(5)?,
                selection: Some(unsigned(row, 6)?),
                flow: Vec::new(),
            };
            Ok((Checkpoint { record, selection: unsigned(row, 6)? }, row.get::<_, i64>(7)?))
        },
    );
    let Some((checkpoint, seal)) = found.optional()? else { return Ok(None) };
    checkpoint.seal().check(seal, "checkpoint", path)?;
    Ok(Some(checkpoint))
}

/// A number that is stored by its bits.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn load_items(transaction: &Transaction<'_>, name: &PipelineName, kind: &str) -> Result<Vec<String>, StateError> {
    let mut select =
        transaction.prepare("SELECT item FROM checkpoint_item WHERE pipeline = ?1 AND kind = ?2 ORDER BY ordinal")?;
    let items = select.query_map([name.as_str(), kind], |row| row.get(0))?;
    Ok(items.collect::<rusqlite::Result<_>>()?)
}

/// The history version that the present checkpoint needs.
pub(crate) fn schema_version(transaction: &Transaction<'_>, name: &PipelineName) -> Result<Option<u32>, StateError> {
    let found =
        transaction
            .query_row("SELECT schema_version FROM checkpoint WHERE pipeline = ?1", [name.as_str()], |row| row.get(0));
    Ok(found.optional()?)
}
