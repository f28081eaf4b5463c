//! Known histories, and the check that none of them is lost.
//!
//! Owns: writers whose every version is predictable, reading a topic, comparing. Does not own: servers.
//!
//! Invariant: each key's `v` goes 1, 2, 3, ... whatever the statement; a key belongs to one writer. So a topic is
//! whole exactly if each key shows every version up to the table's own, and its fold equals the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_stack::Session;
use limpid_stack::kafka::Record;
use serde_json::Value;

use crate::worker::Worker;

/// Writes until told to stop.
pub struct Writer {
    statements: Arc<AtomicU64>,
    worker: Worker,
}

/// Keys of one writer: enough that batches hold many, few enough that each has a long history.
const KEYS: u64 = 40;

impl Writer {
    /// Writes to keys of range `number`, none of which is in `db.t` yet.
    pub fn start(session: Session, database: &str, number: u64) -> Result<Self> {
        Self::start_over(session, database, number * KEYS, vec![0; KEYS as usize])
    }

    /// Writes to keys from `first` on, which have these versions now; 0 for one that is not there.
    pub fn start_over(session: Session, database: &str, first: u64, versions: Vec<u64>) -> Result<Self> {
        Self::start_at_rate(session, database, first, versions, u32::MAX)
    }

    /// The same, with so many statements a second at most: a server that follows this one must be able to keep up.
    pub fn start_at_rate(
        mut session: Session,
        database: &str,
        first: u64,
        mut versions: Vec<u64>,
        per_second: u32,
    ) -> Result<Self> {
        session.exec(&format!("use {database}"))?;
        let statements = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&statements);
        let mut turn = first + 1;
        let worker = Worker::start(move || {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            session.exec(&step(first, turn >> 33, &mut versions))?;
            counted.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(1) / per_second);
            Ok(())
        });
        Ok(Self { statements, worker })
    }

    /// Statements so far.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Ends it and reports what went wrong. One whose server went down under it is dropped instead.
    pub fn stop(self) -> Result<()> {
        self.worker.end()
    }
}

/// One statement or transaction, and the versions after it.
fn step(first: u64, turn: u64, versions: &mut [u64]) -> String {
    let keys = versions.len() as u64;
    let index = (turn % keys) as usize;
    let (id, other) = (first + index as u64, first + (index as u64 + 1) % keys);
    let next = |versions: &mut [u64], index: usize| {
        versions[index] += 1;
        versions[index]
    };
    let replace = |id: u64, v: u64| format!("insert into t values ({id}, {v}, repeat('x', {}))", v % 90);
    if versions[index] == 0 {
        let v = next(versions, index);
        return replace(id, v);
    }
    match (turn / keys) % 10 {
        // Gone and back again.
        0 => {
            let v = next(versions, index);
            format!("begin; delete from t where id = {id}; commit; {}", replace(id, v))
        }
        // Two rows in one transaction.
        1 | 2 => {
            let v = next(versions, index);
            let second = (index + 1) % keys as usize;
            let mut sql = format!("begin; update t set v = {v} where id = {id};");
            if versions[second] > 0 {
                let w = next(versions, second);
                sql += &format!(" update t set v = {w} where id = {other};");
            }
            sql + " commit"
        }
        _ => {
            let v = next(versions, index);
            format!("update t set v = {v}, pad = repeat('y', {}) where id = {id}", v % 90)
        }
    }
}

/// What a topic shows of one key, in the order of its partition: `Some(v)` for a row, `None` for its deletion.
pub type Seen = BTreeMap<u64, Vec<Option<u64>>>;

/// Reads the envelopes of a topic as any consumer of Debezium's JSON would.
pub fn seen_in(records: &[Record]) -> Result<Seen> {
    let mut ordered: Vec<&Record> = records.iter().collect();
    ordered.sort_by_key(|record| (record.partition, record.offset));
    let mut seen = Seen::new();
    for record in ordered {
        let key: Value = serde_json::from_slice(record.key.as_deref().context("every row has a key")?)?;
        let id = key["id"].as_u64().context("the key is the primary key")?;
        let Some(value) = &record.value else { continue };
        let value: Value = serde_json::from_slice(value)?;
        let version = match value["op"].as_str() {
            Some("c" | "u" | "r") => Some(value["after"]["v"].as_u64().context("a version")?),
            Some("d") => None,
            other => anyhow::bail!("an unexpected operation {other:?}"),
        };
        seen.entry(id).or_default().push(version);
    }
    Ok(seen)
}

/// The same where no restart may show: each version of each key once, in its order.
pub fn check_exactly_once(seen: &Seen, table: &str) -> Result<()> {
    check_nothing_lost(seen, table, 0)?;
    for (id, history) in seen {
        let versions: Vec<u64> = history.iter().flatten().copied().collect();
        let twice = versions.windows(2).find(|pair| pair[1] <= pair[0]);
        ensure!(twice.is_none(), "key {id} shows {twice:?}: one of them twice");
    }
    Ok(())
}

/// Compares what was seen with the table (`select id, v` as tab-separated text) after so many restarts.
pub fn check_nothing_lost(seen: &Seen, table: &str, restarts: usize) -> Result<()> {
    check_from(seen, table, restarts, |_| 1)
}

/// The same for a table that was copied while it was written: of each key whatever version was there when its rows
/// began to be watched, and every later one.
pub fn check_copied(seen: &Seen, table: &str, restarts: usize) -> Result<()> {
    check_from(seen, table, restarts, |found| found[0])
}

fn check_from(seen: &Seen, table: &str, restarts: usize, first: impl Fn(&[u64]) -> u64) -> Result<()> {
    let rows: BTreeMap<u64, u64> = table
        .lines()
        .map(|line| {
            let (id, v) = line.split_once('\t').context("two columns")?;
            Ok((id.parse()?, v.parse()?))
        })
        .collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "the table is empty: nothing was proved");
    for (id, last) in &rows {
        let history = seen.get(id).with_context(|| format!("key {id} is not in the topic at all"))?;
        ensure!(history.last() == Some(&Some(*last)), "key {id} ends as {:?}, the table has {last}", history.last());
        let mut found: Vec<u64> = history.iter().flatten().copied().collect();
        let back = found.windows(2).filter(|pair| pair[1] < pair[0]).count();
        ensure!(back <= restarts, "key {id} goes back {back} times in {restarts} restarts");
        found.sort_unstable();
        found.dedup();
        let whole: Vec<u64> = (first(&found)..=*last).collect();
        let missing: Vec<_> = whole.iter().filter(|version| !found.contains(version)).take(10).collect();
        ensure!(found == whole, "key {id} lacks versions {missing:?} of {last}");
    }
    let gone: Vec<_> = seen.iter().filter(|(id, _)| !rows.contains_key(id)).collect();
    for (id, history) in gone {
        ensure!(history.last() == Some(&None), "key {id} is not in the table, but ends as {:?}", history.last());
    }
    Ok(())
}
