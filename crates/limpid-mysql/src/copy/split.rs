//! Borders that part a table into ranges of about equal size.
//!
//! Owns: where the borders are, and what finding them may cost. Does not own: keys as texts (`copy::keys`).
//!
//! Invariant: whatever the borders, each key belongs to exactly one range; only sizes depend on estimates.

use limpid_connector::{Clock, KeyRange};
use limpid_model::{Fault, TableName};

use super::cells::key_values;
use super::keys::{Key, SqlRange};
use super::known::Known;
use super::link::Link;
use crate::client::QueryError;
use crate::position::Flavor;

/// A range smaller than this is read in less time than borders are found in.
const ROWS_MIN: u64 = 50_000;

/// Whole numbers of which at least so many are there for one that is: borders are computed.
const SPAN_PER_ROW_MAX: i128 = 4;

/// Walking an index costs time in proportion to the table: at a million keys a second this is ten million rows. What is
/// left then is the last range.
const WALK_SECONDS_MAX: u64 = 10;

/// Ranges in key order that together are the table; one where it has no key.
///
/// # Errors
/// Those of queries.
pub fn ranges(link: &mut Link, clock: &Clock, known: &Known, pieces: u32) -> Result<Vec<KeyRange>, Fault> {
    let Some(key) = &known.key else { return Ok(vec![KeyRange::default()]) };
    let rows = estimate(link, &known.name)?;
    let pieces = u64::from(pieces).min(rows / ROWS_MIN).max(1);
    let borders = match computed(link, known, key, rows, pieces)? {
        Some(borders) => borders,
        None => walked(link, clock, known, key, rows, pieces)?,
    };
    let ends = borders.iter().cloned().map(Some).chain([None]);
    let starts = [None].into_iter().chain(borders.iter().cloned().map(Some));
    Ok(starts.zip(ends).map(|(after, until)| KeyRange { after, until }).collect())
}

/// The server's estimate of a table's rows.
fn estimate(link: &mut Link, table: &TableName) -> Result<u64, Fault> {
    let literal = |name: &str| format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
    let sql = format!(
        "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        literal(&table.schema),
        literal(&table.table)
    );
    let rows = link.ask("estimate the size of a table", &sql)?;
    Ok(rows.first().and_then(|row| number(row.first()?.as_deref()?)).map_or(0, |rows| rows.max(0) as u64))
}

fn number(text: &[u8]) -> Option<i128> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Borders at equal distances, where the key is one whole number and most of its numbers are there.
fn computed(link: &mut Link, known: &Known, key: &Key, rows: u64, pieces: u64) -> Result<Option<Vec<String>>, Fault> {
    let [column] = key.columns.as_slice() else { return Ok(None) };
    if !column.is_int || pieces < 2 {
        return Ok(None);
    }
    let sql = format!("SELECT MIN({0}), MAX({0}) FROM {1}", column.name, known.from());
    let ends = link.ask("find the ends of a table", &sql)?;
    let end = |index: usize| ends.first().and_then(|row| number(row.get(index)?.as_deref()?));
    let (Some(first), Some(last)) = (end(0), end(1)) else { return Ok(Some(Vec::new())) };
    let span = last - first + 1;
    if span > i128::from(rows) * SPAN_PER_ROW_MAX {
        return Ok(None);
    }
    let pieces = i128::from(pieces);
    let border = |nth: i128| key.text(&[format!("i{}", first + span * nth / pieces - 1)]);
    Ok(Some((1..pieces).map(border).collect()))
}

/// Borders found by going through the index in steps.
fn walked(
    link: &mut Link,
    clock: &Clock,
    known: &Known,
    key: &Key,
    rows: u64,
    pieces: u64,
) -> Result<Vec<String>, Fault> {
    let mut borders: Vec<String> = Vec::new();
    let step = (rows / pieces).max(1);
    let begin = clock.nanos();
    for _ in 1..pieces {
        let spent = (clock.nanos() - begin) / 1_000_000_000;
        if spent >= WALK_SECONDS_MAX {
            break;
        }
        limit(link, WALK_SECONDS_MAX - spent)?;
        let range = KeyRange { after: borders.last().cloned(), until: None };
        let range = key.range(&known.name, &range)?;
        match border(link, known, key, &range, step - 1)? {
            Some(values) => borders.push(key.text(&values)),
            None => break,
        }
    }
    limit(link, 0)?;
    Ok(borders)
}

/// The key so many rows behind a range's start; `None` where there is none, or it takes too long.
fn border(
    link: &mut Link,
    known: &Known,
    key: &Key,
    range: &SqlRange,
    rows_between: u64,
) -> Result<Option<Vec<String>>, Fault> {
    let sql = known.select_key(key, range, rows_between);
    let found = find(link, known, key, &sql);
    match found {
        // The statement's time ran out, on either server.
        Err(QueryError::Server(error)) if matches!(error.number, 1969 | 3024) => Ok(None),
        Err(error) => Err(link.table_fault("find the borders of a table's ranges", error, &known.name)),
        Ok(values) => Ok(values),
    }
}

fn find(link: &mut Link, known: &Known, key: &Key, sql: &str) -> Result<Option<Vec<String>>, QueryError> {
    let client = &mut link.client;
    let statement = client.prepare(sql)?;
    let announced = client.execute(statement)?;
    let reads = known.key_reads(key, &announced);
    let mut found = None;
    let mut failed = None;
    loop {
        let packet = client.read_packet()?;
        match packet.first() {
            Some(0xfe) if packet.len() < 9 => break,
            Some(0xff) => {
                failed = Some(QueryError::Server(crate::client::server_error(&packet)));
                break;
            }
            _ => found = reads.as_ref().and_then(|reads| key_values(&packet, reads, 0..key.columns.len())),
        }
    }
    client.close(statement)?;
    failed.map_or(Ok(found), Err)
}

/// Bounds the time of the session's next statements; 0 is no bound.
fn limit(link: &mut Link, seconds: u64) -> Result<(), Fault> {
    let sql = match link.facts.flavor {
        Flavor::MySql => format!("SET SESSION max_execution_time={}", seconds * 1000),
        Flavor::MariaDb => format!("SET SESSION max_statement_time={seconds}"),
    };
    link.run("bound the time of a statement", &sql)
}
