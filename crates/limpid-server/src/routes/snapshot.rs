//! What an operator asks of a pipeline: copies of tables, a pause.
//!
//! Owns: what a call may say. Does not own: who may call (`gate`), the copies (`limpid-engine`).
//!
//! Invariant: a call that is accepted is with the pipeline; whether it can be done is told by its status and its log.

use hyper::StatusCode;
use limpid_engine::CopyRequest;
use limpid_model::TableName;

use super::Asked;
use super::status::unknown;
use crate::answer::Answer;
use crate::api::AcceptedDocument;
use crate::site::Site;

/// `action` is `copy` (with `table` and perhaps `where`), `pause`, `resume` or `stop`.
pub(super) fn ask(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    match request(asked) {
        Ok(request) => {
            shown.view.handle.ask_copy(request);
            Answer::json(StatusCode::ACCEPTED, &AcceptedDocument { accepted: true })
        }
        Err(answer) => answer,
    }
}

/// Reads no further until resumed.
pub(super) fn pause(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    shown.view.handle.pause();
    Answer::json(StatusCode::ACCEPTED, &AcceptedDocument { accepted: true })
}

/// Goes on.
pub(super) fn resume(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    shown.view.handle.resume();
    Answer::json(StatusCode::ACCEPTED, &AcceptedDocument { accepted: true })
}

fn request(asked: &Asked<'_>) -> Result<CopyRequest, Answer> {
    let (action, table, condition) = (asked.parameter("action")?, asked.parameter("table")?, asked.parameter("where")?);
    let alone = table.is_none() && condition.is_none();
    match action.as_deref() {
        Some("copy") => {
            let table = table.as_deref().and_then(|table| table.split_once('.'));
            let named = table.filter(|(schema, table)| !schema.is_empty() && !table.is_empty());
            let (schema, table) = named.ok_or_else(|| Answer::bad_request("table must be schema.table"))?;
            let condition = condition.map(std::borrow::Cow::into_owned).filter(|text| !text.trim().is_empty());
            Ok(CopyRequest::Table { table: TableName::new(schema, table), condition })
        }
        Some("pause") if alone => Ok(CopyRequest::Pause),
        Some("resume") if alone => Ok(CopyRequest::Resume),
        Some("stop") if alone => Ok(CopyRequest::Stop),
        Some("pause" | "resume" | "stop") => {
            Err(Answer::bad_request("table and where are of use with action=copy only"))
        }
        Some(_) | None => Err(Answer::bad_request("action must be copy, pause, resume or stop")),
    }
}
