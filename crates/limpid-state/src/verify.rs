//! Reading every row once, at the opening.
//!
//! Owns: which rows are read and what must fit together. Does not own: SQLite's own check (`open`), the seals.
//!
//! Invariant: a state that opens has nothing missing and nothing altered. Without this, a pipeline's name with one bit
//! flipped would be another pipeline, and ours would begin anew at the head of the log. The rows are few; the largest,
//! a schema history, has some megabytes.

use std::path::Path;

use limpid_model::PipelineName;
use rusqlite::{Connection, Transaction};

use crate::store::StateError;
use crate::{checkpoint, faults, flow, halted, history, parked, pipeline};

/// Finds damage that leaves the file well-formed.
pub(crate) fn verify(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    let transaction = connection.transaction()?;
    // Rows of a pipeline that is not there: one of the two names was altered.
    let mut strays = transaction.prepare("PRAGMA foreign_key_check")?;
    if let Some(stray) = strays.query([])?.next()? {
        let table: String = stray.get(0)?;
        return Err(
            faults::corrupt(format!("the state is damaged: a row of {table} belongs to no pipeline"), path).into()
        );
    }
    drop(strays);
    for name in names(&transaction, path)? {
        let identity = pipeline::identity(&transaction, &name, path)?;
        checkpoint::load(&transaction, &name, identity.id, path)?;
        history::verify(&transaction, &name, path)?;
        halted::verify(&transaction, &name, path)?;
        parked::verify(&transaction, &name, path)?;
        flow::verify(&transaction, &name, path)?;
    }
    Ok(())
}

fn names(transaction: &Transaction<'_>, path: &Path) -> Result<Vec<PipelineName>, StateError> {
    let mut select = transaction.prepare("SELECT name FROM pipeline")?;
    let mut names = Vec::new();
    for text in select.query_map([], |row| row.get::<_, String>(0))? {
        let name = PipelineName::parse(&text?);
        names.push(name.ok_or_else(|| faults::corrupt("the stored name of a pipeline is damaged", path))?);
    }
    Ok(names)
}
