//! Rows that could not be delivered: shown, replayed, dropped.
//!
//! Owns: what a call may say, the documents. Does not own: who may call (`gate`), doing it (`limpid-engine`).
//!
//! Invariant: keys and bytes of rows are given to an operator alone, by a call of its own that the audit tells of.
//! Reading rows waits for the state's lock, which is held for a commit at most; reading outcomes waits for nothing.

use hyper::StatusCode;
use limpid_engine::{Body, Handle, ParkedAction, ParkedOutcome, ParkedRow, ParkedSelection};
use limpid_model::{Fault, FaultCode, TableName};
use limpid_telemetry::rfc3339;

use super::Asked;
use super::status::unknown;
use crate::answer::Answer;
use crate::api::{
    ParkedAskDocument, ParkedBodyDocument, ParkedColumn, ParkedDocument, ParkedEntry, ParkedOutcomeDocument,
    ParkedRecord, ParkedRefusal,
};
use crate::site::Site;

/// Everything that is kept, without keys. `table`; `outcomes=true`: only what became of the last calls, which takes
/// nothing out of the state.
pub(super) fn list(site: &Site, asked: &Asked<'_>) -> Answer {
    with_handle(site, asked, |handle| {
        let (table, is_outcomes) = (table(asked)?, flag(asked, "outcomes")?);
        let rows = if is_outcomes { Vec::new() } else { handle.parked_rows().map_err(failed)? };
        let wanted = rows.iter().filter(|row| table.as_ref().is_none_or(|table| row.table == *table));
        let entries = wanted.map(entry).collect();
        let outcomes = handle.parked_outcomes().into_iter().map(outcome).collect();
        Ok(Answer::json(StatusCode::OK, &ParkedDocument { entries, outcomes }))
    })
}

/// One row: cause, position and sizes.
pub(super) fn show(site: &Site, asked: &Asked<'_>) -> Answer {
    with_handle(site, asked, |handle| one(handle, asked, Bytes::Hidden))
}

/// One row with its bytes.
pub(super) fn raw(site: &Site, asked: &Asked<'_>) -> Answer {
    with_handle(site, asked, |handle| one(handle, asked, Bytes::Shown))
}

/// Hands rows to the sink. With `id` (several apart by commas) or `all=true`; `table`, `force=true`.
pub(super) fn replay(site: &Site, asked: &Asked<'_>) -> Answer {
    with_handle(site, asked, |handle| {
        let force = flag(asked, "force")?;
        ask(handle, ParkedAction::Replay { force }, asked)
    })
}

/// Gives rows up.
pub(super) fn drop_rows(site: &Site, asked: &Asked<'_>) -> Answer {
    with_handle(site, asked, |handle| ask(handle, ParkedAction::Drop, asked))
}

fn with_handle(site: &Site, asked: &Asked<'_>, answer: impl FnOnce(&Handle) -> Result<Answer, Answer>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    answer(&shown.view.handle).unwrap_or_else(|refusal| refusal)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Hidden,
    Shown,
}

fn one(handle: &Handle, asked: &Asked<'_>, bytes: Bytes) -> Result<Answer, Answer> {
    let ids = ids(asked)?.filter(|ids| ids.len() == 1);
    let id =
        ids.and_then(|ids| ids.first().copied()).ok_or_else(|| Answer::bad_request("id must be one row's number"))?;
    let rows = handle.parked_rows().map_err(failed)?;
    let row = rows.iter().find(|row| row.id == id);
    let row = row.ok_or_else(|| Answer::not_found(format!("no row {id} is kept")))?;
    let body = handle.parked_body(id).map_err(failed)?;
    Ok(Answer::json(StatusCode::OK, &shown(row, &body, bytes)))
}

fn ask(handle: &Handle, action: ParkedAction, asked: &Asked<'_>) -> Result<Answer, Answer> {
    let (ids, all, table) = (ids(asked)?, flag(asked, "all")?, table(asked)?);
    if ids.is_some() == all {
        return Err(Answer::bad_request("either id or all=true says which rows"));
    }
    let number = handle.ask_parked(action, ParkedSelection { ids, table });
    let number = number.ok_or_else(|| Answer::bad_request("too many such calls wait: is the pipeline running?"))?;
    Ok(Answer::json(StatusCode::ACCEPTED, &ParkedAskDocument { number }))
}

fn flag(asked: &Asked<'_>, name: &str) -> Result<bool, Answer> {
    match asked.parameter(name)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Answer::bad_request(format!("{name} must be true or false"))),
    }
}

fn ids(asked: &Asked<'_>) -> Result<Option<Vec<u64>>, Answer> {
    let Some(text) = asked.parameter("id")? else { return Ok(None) };
    let ids = text.split(',').map(|id| id.parse().ok()).collect::<Option<Vec<u64>>>();
    ids.map(Some).ok_or_else(|| Answer::bad_request("id must be numbers of rows, apart by commas"))
}

fn table(asked: &Asked<'_>) -> Result<Option<TableName>, Answer> {
    let Some(text) = asked.parameter("table")? else { return Ok(None) };
    let named = text.split_once('.').filter(|(schema, table)| !schema.is_empty() && !table.is_empty());
    let (schema, table) = named.ok_or_else(|| Answer::bad_request("table must be schema.table"))?;
    Ok(Some(TableName::new(schema, table)))
}

pub(super) fn failed(fault: Fault) -> Answer {
    match fault.code() {
        FaultCode::HttpNotFound => Answer::not_found(fault.to_string()),
        code => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, code, fault.to_string()),
    }
}

fn entry(row: &ParkedRow) -> ParkedEntry {
    let hash = |key: &u128| format!("{:016x}", key >> 64);
    let (code, message) = row.fault.as_ref().map(|(code, message)| (code.to_string(), message.clone())).unzip();
    ParkedEntry {
        id: row.id,
        kind: row.kind.word().to_owned(),
        schema: row.table.schema.to_string(),
        table: row.table.table.to_string(),
        // The half of the digest by which rows are known elsewhere.
        key_hash: row.keys.first().map(hash),
        more_key_hashes: row.keys.iter().skip(1).map(hash).collect(),
        operation: row.operation.clone(),
        position: row.position.clone(),
        at: rfc3339(row.at_micros),
        error_code: code,
        message,
        superseded: row.superseded,
        bytes: row.bytes,
    }
}

fn outcome(outcome: ParkedOutcome) -> ParkedOutcomeDocument {
    let ParkedOutcome { number, done, refused, interrupted } = outcome;
    let refused = refused.into_iter().map(|(id, reason)| ParkedRefusal { id, reason }).collect();
    ParkedOutcomeDocument { number, done, refused, interrupted }
}

fn shown(row: &ParkedRow, body: &Body, bytes: Bytes) -> ParkedBodyDocument {
    let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| bytes.len() as u64);
    let text = |content: &Option<Vec<u8>>| content.as_ref().filter(|_| bytes == Bytes::Shown).map(|bytes| text(bytes));
    let records = body.records.iter().map(|record| ParkedRecord {
        key_bytes: length(&record.key),
        value_bytes: length(&record.value),
        headers: record.headers.len() as u64,
        key: text(&record.key),
        value: text(&record.value),
    });
    let columns = body.cells.iter().map(|cell| ParkedColumn {
        image: if cell.is_after { "after" } else { "before" }.to_owned(),
        column: cell.column.clone(),
        bytes: length(&cell.bytes),
        value: text(&cell.bytes),
    });
    ParkedBodyDocument {
        entry: entry(row),
        topic: body.topic.clone(),
        records: records.collect(),
        columns: columns.collect(),
    }
}

/// Text where it is some, else digits.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let digits = digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
            "0x".chars().chain(digits).collect()
        }
    }
}
