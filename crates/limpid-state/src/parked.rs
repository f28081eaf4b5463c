//! Rows that could not be delivered, and those that wait behind them.
//!
//! Owns: the table `parked_row`, in the order in which rows were parked. Does not own: which rows are parked, what
//! their bodies mean (`limpid-engine`), where large bodies lie (`body`).
//!
//! Invariant: each row has the change number that the state got with it. A position record passes the row exactly when
//! its own change number is at or above that: what lies beyond the record a start goes on from is read again, and is
//! therefore forgotten at that start ([`settle`]); a replay whose number the record has reached is done. A supersession
//! has a number too, and is taken back where the record does not pass what superseded the row.

pub(crate) mod body;

use std::path::Path;

use limpid_model::{ChangeNumber, FaultCode, PipelineName, TableName};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::seal::Seal;
use crate::store::StateError;
use crate::{faults, halted, layout, pipeline};

/// Why a row is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedKind {
    /// Later changes of its keys queue behind it.
    Parked,
    /// Later changes of its keys went on.
    DeadLetter,
}

impl ParkedKind {
    /// The word used in the API.
    pub const fn word(self) -> &'static str {
        match self {
            ParkedKind::Parked => "parked",
            ParkedKind::DeadLetter => "dead_letter",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [ParkedKind::Parked, ParkedKind::DeadLetter].into_iter().find(|kind| kind.word() == word)
    }
}

/// A row to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToPark {
    pub kind: ParkedKind,
    pub table: TableName,
    /// Digests of its keys; two where it got another key. Empty for a row without any.
    pub keys: Vec<u128>,
    pub operation: String,
    /// Text of the position behind it: for people.
    pub position: String,
    /// Microseconds since 1970 by the machine's clock.
    pub at_micros: i64,
    /// What its own fault is, without row values; `None` for a row that waits behind another.
    pub fault: Option<(FaultCode, String)>,
    /// A later version of its key follows it already.
    pub superseded: bool,
    /// Opaque here.
    pub body: Vec<u8>,
}

/// A row that is kept, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRow {
    /// Rises with each row of a state.
    pub id: u64,
    pub kind: ParkedKind,
    pub table: TableName,
    pub keys: Vec<u128>,
    pub operation: String,
    pub position: String,
    pub at_micros: i64,
    pub fault: Option<(FaultCode, String)>,
    /// A later version of its key was delivered.
    pub superseded: bool,
    /// The change number the state had with it.
    pub change: ChangeNumber,
    /// Length of its body.
    pub bytes: u64,
}

/// As it is stored: the code may be one that a later release made.
struct Stored {
    row: ParkedRow,
    kind: String,
    code: String,
    message: String,
    replay: u64,
    body_sum: i64,
    /// The body is in a file.
    is_beside: bool,
    /// The change number that the state got when a later row superseded it.
    superseded_change: Option<u64>,
    seal: i64,
}

const COLUMNS: &str = "id, kind, schema_name, table_name, keys, operation, position, at_micros, code, message,
  superseded, replay, change_number, bytes, body_sum, body IS NULL, superseded_change, seal";

impl Stored {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let (schema, table): (String, String) = (row.get(2)?, row.get(3)?);
        let (keys, _) = row.get_ref(4)?.as_blob()?.as_chunks::<16>();
        Ok(Self {
            row: ParkedRow {
                id: unsigned(0)?,
                kind: ParkedKind::Parked,
                table: TableName::new(&schema, &table),
                keys: keys.iter().map(|key| u128::from_be_bytes(*key)).collect(),
                operation: row.get(5)?,
                position: row.get(6)?,
                at_micros: row.get(7)?,
                fault: None,
                superseded: row.get(10)?,
                change: ChangeNumber(unsigned(12)?),
                bytes: unsigned(13)?,
            },
            kind: row.get(1)?,
            code: row.get(8)?,
            message: row.get(9)?,
            replay: unsigned(11)?,
            body_sum: row.get(14)?,
            is_beside: row.get(15)?,
            superseded_change: row.get::<_, Option<i64>>(16)?.map(i64::cast_unsigned),
            seal: row.get(17)?,
        })
    }

    fn seal(&self, name: &PipelineName) -> Seal {
        let row = &self.row;
        let seal = Seal::of("parked_row")
            .number(row.id)
            .text(name.as_str())
            .text(&self.kind)
            .text(&row.table.schema)
            .text(&row.table.table)
            .bytes(&key_bytes(&row.keys))
            .text(&row.operation)
            .text(&row.position)
            .number(row.at_micros.cast_unsigned())
            .text(&self.code)
            .text(&self.message)
            .number(row.superseded.into())
            .number(self.replay)
            .number(row.change.0)
            .number(row.bytes)
            .number(self.body_sum.cast_unsigned());
        // A row that was sealed before there was such a number has none.
        match self.superseded_change {
            Some(change) => seal.number(change),
            None => seal,
        }
    }

    /// What this release knows of it.
    fn known(mut self, path: &Path) -> Result<ParkedRow, StateError> {
        let newer = |what: &str| {
            let sentence = format!("a parked row has {what}, which this release does not know");
            StateError::from(faults::fault(FaultCode::StateNewer, sentence, path))
        };
        self.row.kind = ParkedKind::parse(&self.kind).ok_or_else(|| newer(&format!("the kind {}", self.kind)))?;
        if self.row.superseded {
            // Nothing waits for it any more. What it was is kept, should that be taken back.
            self.row.kind = ParkedKind::DeadLetter;
        }
        if !self.code.is_empty() {
            let code = FaultCode::parse(&self.code).ok_or_else(|| newer(&format!("the code {}", self.code)))?;
            self.row.fault = Some((code, self.message));
        }
        Ok(self.row)
    }
}

fn key_bytes(keys: &[u128]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_be_bytes()).collect()
}

/// Keeps rows in their order; returns the change number and the ids. Large bodies are in their files already.
pub(crate) fn park(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    rows: &[ToPark],
    path: &Path,
) -> Result<(ChangeNumber, Vec<u64>), StateError> {
    let change = pipeline::raise_change(transaction, name, path)?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        let (code, message) = row.fault.as_ref().map_or(("", ""), |(code, message)| (code.as_str(), message.as_str()));
        let is_beside = body::is_large(&row.body);
        let body_sum = body::sum(&row.body);
        // The id is part of the seal, so the seal follows.
        transaction.execute(
            "INSERT INTO parked_row (pipeline, kind, schema_name, table_name, keys, operation, position, at_micros,
               code, message, superseded, superseded_change, replay, change_number, bytes, body_sum, body, seal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?15, ?16, 0, ?11, ?12, ?13, ?14, 0)",
            params![
                name.as_str(),
                row.kind.word(),
                &*row.table.schema,
                &*row.table.table,
                key_bytes(&row.keys),
                row.operation,
                row.position,
                row.at_micros,
                code,
                message,
                change.0.cast_signed(),
                row.body.len() as i64,
                body_sum,
                (!is_beside).then_some(&row.body),
                row.superseded,
                row.superseded.then_some(change.0.cast_signed()),
            ],
        )?;
        let id = transaction.last_insert_rowid().cast_unsigned();
        if is_beside {
            body::write(path, id, &row.body)?;
        }
        seal_again(transaction, name, id)?;
        ids.push(id);
    }
    Ok((change, ids))
}

fn seal_again(transaction: &Transaction<'_>, name: &PipelineName, id: u64) -> Result<(), StateError> {
    let stored = one(transaction, name, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    transaction.execute(
        "UPDATE parked_row SET seal = ?2 WHERE id = ?1",
        params![id.cast_signed(), stored.seal(name).stored()],
    )?;
    Ok(())
}

fn one(transaction: &Transaction<'_>, name: &PipelineName, id: u64) -> Result<Option<Stored>, StateError> {
    let found = transaction.query_row(
        &format!("SELECT {COLUMNS} FROM parked_row WHERE pipeline = ?1 AND id = ?2"),
        params![name.as_str(), id.cast_signed()],
        Stored::from_row,
    );
    Ok(found.optional()?)
}

fn rows(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<Vec<Stored>, StateError> {
    let mut select =
        transaction.prepare(&format!("SELECT {COLUMNS} FROM parked_row WHERE pipeline = ?1 ORDER BY id"))?;
    let mut rows = Vec::new();
    for stored in select.query_map([name.as_str()], Stored::from_row)? {
        let stored = stored?;
        stored.seal(name).check(stored.seal, "parked row", path)?;
        rows.push(stored);
    }
    Ok(rows)
}

/// All that is kept of a pipeline, in its order.
pub(crate) fn load(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    path: &Path,
) -> Result<Vec<ParkedRow>, StateError> {
    rows(transaction, name, path)?.into_iter().map(|stored| stored.known(path)).collect()
}

/// The body of a row, if the row is there.
pub(crate) fn load_body(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    id: u64,
    path: &Path,
) -> Result<Option<Vec<u8>>, StateError> {
    let Some(stored) = one(transaction, name, id)? else { return Ok(None) };
    let body = match stored.is_beside {
        true => body::read(path, id)?,
        false => {
            transaction.query_row("SELECT body FROM parked_row WHERE id = ?1", [id.cast_signed()], |row| row.get(0))?
        }
    };
    if body.len() as u64 != stored.row.bytes || body::sum(&body) != stored.body_sum {
        return Err(faults::corrupt(format!("the body of the parked row {id} is damaged"), path).into());
    }
    Ok(Some(body))
}

/// Forgets rows; returns those that were there. Their files go once that is durable.
pub(crate) fn drop_rows(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    ids: &[u64],
) -> Result<Vec<u64>, StateError> {
    let mut delete = transaction.prepare("DELETE FROM parked_row WHERE pipeline = ?1 AND id = ?2")?;
    let mut gone = Vec::new();
    for id in ids {
        if delete.execute(params![name.as_str(), id.cast_signed()])? > 0 {
            gone.push(*id);
        }
    }
    Ok(gone)
}

/// A later version of their keys is about to be delivered: nothing waits for these rows any more.
pub(crate) fn supersede(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    ids: &[u64],
    path: &Path,
) -> Result<ChangeNumber, StateError> {
    let change = pipeline::raise_change(transaction, name, path)?;
    mark_superseded(transaction, name, ids, Some(change))?;
    Ok(change)
}

/// With the change number that says so, or no longer.
fn mark_superseded(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    ids: &[u64],
    change: Option<ChangeNumber>,
) -> Result<(), StateError> {
    for id in ids {
        // The first that superseded it is the one that counts.
        let changed = transaction.execute(
            "UPDATE parked_row SET superseded = ?3, superseded_change = ?4
             WHERE pipeline = ?1 AND id = ?2 AND superseded <> ?3",
            params![name.as_str(), id.cast_signed(), change.is_some(), change.map(|change| change.0.cast_signed())],
        )?;
        if changed > 0 {
            seal_again(transaction, name, *id)?;
        }
    }
    Ok(())
}

/// The rows are about to be handed to the sink: a record with the number returned has them delivered, and those of
/// `older` superseded by them.
pub(crate) fn begin_replay(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    (ids, older): (&[u64], &[u64]),
    path: &Path,
) -> Result<ChangeNumber, StateError> {
    let change = pipeline::raise_change(transaction, name, path)?;
    for id in ids {
        mark_replay(transaction, name, *id, change)?;
    }
    mark_superseded(transaction, name, older, Some(change))?;
    Ok(change)
}

fn mark_replay(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    id: u64,
    change: ChangeNumber,
) -> Result<(), StateError> {
    transaction.execute(
        "UPDATE parked_row SET replay = ?3 WHERE pipeline = ?1 AND id = ?2",
        params![name.as_str(), id.cast_signed(), change.0.cast_signed()],
    )?;
    seal_again(transaction, name, id)
}

/// Rows of a replay could not be delivered again, and were not begun: they stay, with the new cause.
pub(crate) fn fail_replay(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    rows: &[(u64, (FaultCode, String))],
) -> Result<(), StateError> {
    for (id, (code, message)) in rows {
        transaction.execute(
            "UPDATE parked_row SET code = ?3, message = ?4 WHERE pipeline = ?1 AND id = ?2",
            params![name.as_str(), id.cast_signed(), code.as_str(), message],
        )?;
        if one(transaction, name, *id)?.is_some() {
            seal_again(transaction, name, *id)?;
        }
    }
    Ok(())
}

/// A start goes on from a record with this change number: what it does not pass is read again, what it passes of a
/// replay is delivered. Rows of a halted table are not read again: they stay as they are, whatever the record passes.
pub(crate) fn settle(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    passed: ChangeNumber,
    path: &Path,
) -> Result<(), StateError> {
    let halted = halted::load(transaction, name, path)?;
    for stored in rows(transaction, name, path)? {
        let id = stored.row.id;
        let is_delivered = stored.replay != 0 && stored.replay <= passed.0;
        let is_halted = halted.iter().any(|halted| halted.table == stored.row.table);
        let is_read_again = stored.row.change > passed && !is_halted;
        if is_read_again || is_delivered {
            drop_rows(transaction, name, &[id])?;
            continue;
        }
        if stored.replay != 0 {
            mark_replay(transaction, name, id, ChangeNumber(0))?;
        }
        // Of a halted table what superseded it may be at the sink, and does not come again.
        if !is_halted && stored.superseded_change.is_some_and(|change| change > passed.0) {
            mark_superseded(transaction, name, &[id], None)?;
        }
    }
    Ok(())
}

/// Checks every row's seal; bodies are checked when they are read.
pub(crate) fn verify(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<(), StateError> {
    if layout::has_column(transaction, "parked_row", "superseded_change")? {
        rows(transaction, name, path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
