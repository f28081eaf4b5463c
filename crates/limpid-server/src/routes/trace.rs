//! Where a row is: every change of a key or of a transaction that is remembered, and what became of it.
//!
//! Owns: what a call may ask for, having a key be watched. Does not own: finding (`limpid-telemetry`), what is said of a change
//! (`change`).
//!
//! Invariant: no value of a row is in an answer, and none of a key in an error. What cannot be known is null or
//! `evicted`, never guessed.

mod change;

use hyper::StatusCode;
use limpid_engine::ParkedRow;
use limpid_model::TxnId;
use limpid_telemetry::trace::{KeyRefused, LEASE_NANOS, NamedTxn, TraceId, parts_of, trace_id, txn_text, typed_hash};
use limpid_telemetry::{Found, KnownTable};
use serde_json::Value;

use super::status::unknown;
use super::{Asked, shortened};
use crate::answer::Answer;
use crate::api::{TraceDocument, WatchDocument};
use crate::site::{Shown, Site};
use change::Scene;

/// By `table` and `key`, by `position`, or by `trace_id`.
pub(super) fn trace(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    found(site, shown, asked).unwrap_or_else(|refusal| refusal)
}

/// Has a key be watched for a while: its transactions are kept as traces, and their records say so. By `table` and `key`.
pub(super) fn watch(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    watched(site, shown, asked).unwrap_or_else(|refusal| refusal)
}

fn watched(site: &Site, shown: &Shown, asked: &Asked<'_>) -> Result<Answer, Answer> {
    let Wanted::Key { table, hash } = wanted(shown, asked)? else {
        return Err(Answer::bad_request("what is watched is a key: table and key say which"));
    };
    let watched = shown.view.meter.watch(hash, site.now().nanos);
    let seconds = if watched { LEASE_NANOS as f64 / 1e9 } else { 0.0 };
    let (pipeline, table) = (shown.view.name.clone(), table.schema.name.to_string());
    let key_hash = format!("{hash:016x}");
    Ok(Answer::json(StatusCode::OK, &WatchDocument { pipeline, table, key_hash, watched, seconds }))
}

/// What was asked for.
enum Wanted {
    Key { table: KnownTable, hash: u64 },
    Txn(NamedTxn),
    Trace(TraceId),
}

fn found(site: &Site, shown: &Shown, asked: &Asked<'_>) -> Result<Answer, Answer> {
    let wanted = wanted(shown, asked)?;
    let (now, ring) = (site.now(), shown.view.meter.ring());
    let same = |txn: &NamedTxn, id: TxnId, tag: &str| id.is_same(txn.id) && *tag == *txn.tag;
    let found = match &wanted {
        Wanted::Key { table, hash } => ring.find(table.schema.key_seed, *hash),
        Wanted::Txn(txn) => ring.find_txns(|id, tag| same(txn, id, tag.map_or("", |tag| tag))),
        Wanted::Trace(trace) => {
            let named = shown.view.meter.named_by(trace.0);
            ring.find_txns(|id, tag| {
                let (text, tag) = (txn_text(id, tag.map(|tag| &**tag)), tag.map_or("", |tag| tag));
                let is_own = text.is_some_and(|text| trace_id(&shown.view.name, &text) == *trace);
                is_own || named.iter().any(|txn| same(txn, id, tag))
            })
        }
    };
    let kept = kept(shown, &wanted, &found)?;
    let scene = Scene::new(shown, kept);
    let mut changes = scene.changes(&found);
    if changes.is_empty() {
        changes.push(match &wanted {
            Wanted::Key { .. } | Wanted::Trace(_) => scene.evicted(),
            Wanted::Txn(txn) => scene.derived(txn),
        });
    }
    let (table, key_hash, watched) = match &wanted {
        Wanted::Key { table, hash } => {
            let watched = shown.view.meter.is_watched(*hash, now.nanos);
            (Some(table.schema.name.to_string()), Some(format!("{hash:016x}")), Some(watched))
        }
        Wanted::Txn(_) | Wanted::Trace(_) => (None, None, None),
    };
    let (pipeline, reach_seconds) = (shown.view.name.clone(), ring.reach_seconds(now.nanos));
    let document = TraceDocument { pipeline, table, key_hash, reach_seconds, watched, changes };
    Ok(Answer::json(StatusCode::OK, &document))
}

/// The rows of the state that may be among those asked for: all of the key, or those that the ring says were kept.
fn kept(shown: &Shown, wanted: &Wanted, found: &[Found]) -> Result<Vec<ParkedRow>, Answer> {
    let rows = || shown.view.handle.parked_rows().map_err(super::dlq::failed);
    match wanted {
        Wanted::Key { table, hash } => {
            let mut rows = rows()?;
            let is_of_key = |row: &ParkedRow| row.keys.iter().any(|key| (key >> 64) as u64 == *hash);
            rows.retain(|row| row.table == table.schema.name && is_of_key(row));
            Ok(rows)
        }
        Wanted::Txn(_) | Wanted::Trace(_) if found.iter().any(|found| found.fate.is_some()) => {
            let mut rows = rows()?;
            let hashes: Vec<u64> = found.iter().map(|found| found.key_hash).collect();
            rows.retain(|row| row.keys.iter().any(|key| hashes.contains(&change::rounded((key >> 64) as u64))));
            Ok(rows)
        }
        Wanted::Txn(_) | Wanted::Trace(_) => Ok(Vec::new()),
    }
}

fn wanted(shown: &Shown, asked: &Asked<'_>) -> Result<Wanted, Answer> {
    let (table, key) = (asked.parameter("table")?, asked.parameter("key")?);
    let (position, trace) = (asked.parameter("position")?, asked.parameter("trace_id")?);
    match (table, key, position, trace) {
        (Some(table), Some(key), None, None) => {
            let table = known(shown, &table)?;
            let hash = hash(&table, &key).map_err(|KeyRefused(why)| Answer::bad_request(why))?;
            Ok(Wanted::Key { table, hash })
        }
        (None, None, Some(position), None) => {
            let txn = shown.view.positions.transaction(&position);
            let text = "position must name one transaction by its GTID: 0-1-57, or uuid:57";
            txn.map(Wanted::Txn).ok_or_else(|| Answer::bad_request(text))
        }
        (None, None, None, Some(trace)) => {
            let trace = TraceId::parse(&trace);
            trace.map(Wanted::Trace).ok_or_else(|| Answer::bad_request("trace_id must be 32 hexadecimal digits"))
        }
        _ => Err(Answer::bad_request("either table and key, or position, or trace_id says what to follow")),
    }
}

/// A table that rows were seen of, by its name with or without its schema.
fn known(shown: &Shown, text: &str) -> Result<KnownTable, Answer> {
    let mut tables = shown.view.meter.known_tables();
    match text.split_once('.') {
        Some((schema, table)) => {
            tables.retain(|known| *known.schema.name.schema == *schema && *known.schema.name.table == *table);
        }
        None => tables.retain(|known| *known.schema.name.table == *text),
    }
    let text = shortened(text);
    match tables.len() {
        0 => Err(Answer::not_found(format!("no row of a table {text} was seen since the process began"))),
        1 => Ok(tables.remove(0)),
        _ => Err(Answer::bad_request(format!("several schemas have a table {text}: say schema.table"))),
    }
}

fn hash(table: &KnownTable, text: &str) -> Result<u64, KeyRefused> {
    let parts = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => {
            let text = |value: Value| match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text)),
                Value::Bool(flag) => Ok(Some(flag.to_string())),
                Value::Number(number) => Ok(Some(number.to_string())),
                Value::Array(_) | Value::Object(_) => Err(KeyRefused("a key's value is a text or a number".to_owned())),
            };
            fields.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect::<Result<Vec<_>, _>>()?
        }
        _ => parts_of(&table.schema, text)?,
    };
    typed_hash(&table.schema, &parts)
}
