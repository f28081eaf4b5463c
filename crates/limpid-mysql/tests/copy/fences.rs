//! Chunks read under writers: with the stream they make exactly what the server then holds.
//!
//! The engine's part is played by the simplest thing that does it: keys that the stream touches from before a chunk is
//! read until it is admitted are dropped from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use limpid_connector::{Admission, ChunkAsk, KeyRange};
use limpid_model::{Batch, Op};
use limpid_stack::Session;

use super::follow::{Follower, Plain, Site, Stops, chunk_rows, name, rows};
use super::random::Random;

type Table = BTreeMap<Plain, Vec<Plain>>;

const KEYS: u64 = 3_000;

pub fn check(site: &mut Site, engine: &str) {
    let table = format!("f_{}", engine.to_lowercase());
    site.run(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT, w VARCHAR(60)) ENGINE={engine}"));
    for first in (0..KEYS).step_by(500) {
        let values: Vec<String> =
            (first..first + 500).map(|id| format!("({id}, 0, REPEAT('w', {}))", id % 60)).collect();
        site.run(&format!("INSERT INTO {table} VALUES {}", values.join(",")));
    }
    let mut follower = site.follow();
    let stop = AtomicBool::new(false);
    let mut copy = Table::new();
    let mut touched_sum = 0;
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for seed in 1..4 {
            let (session, table, stop) = (site.another(), table.clone(), &stop);
            scope.spawn(move || write(session, &table, seed, stop));
        }
        // More than once: later times over rows that the first has put there.
        for pass in 0..60 {
            touched_sum += copy_once(site, &mut follower, &table, &mut copy);
            if pass > 0 && touched_sum > 40 {
                break;
            }
        }
    });
    assert!(touched_sum > 40, "the writers touched only {touched_sum} rows of chunks on their way");
    catch_up(site, &mut follower, &table, &mut copy);
    let sql = format!("SELECT id, v, LENGTH(w) FROM {table} ORDER BY id");
    let theirs: Vec<String> = site.run(&sql).lines().map(str::to_owned).collect();
    let ours: Vec<String> = copy.values().map(|row| shown(row)).collect();
    assert!(theirs.len() > 1_000);
    assert_eq!(ours, theirs, "{table}");
}

fn shown(row: &[Plain]) -> String {
    match row {
        [Plain::Scalar(_, id, _), Plain::Scalar(_, v, _), Plain::Bytes(_, w, _)] => format!("{id}\t{v}\t{}", w.len()),
        other => panic!("{other:?}"),
    }
}

/// Changes rows at random until told to stop.
fn write(mut session: Session, table: &str, seed: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    while !stop.load(Ordering::Relaxed) {
        let id = random.below(KEYS);
        let v = random.below(1_000_000);
        let statement = match random.below(5) {
            0 => format!("DELETE FROM {table} WHERE id={id}"),
            1 => format!("REPLACE INTO {table} VALUES ({id}, {v}, 'new')"),
            2 => format!("UPDATE {table} SET v=v+1 WHERE id BETWEEN {id} AND {}", id + 5),
            // A key that moves.
            3 => format!("UPDATE IGNORE {table} SET id={v} MOD {KEYS} WHERE id={id}"),
            _ => format!("INSERT IGNORE INTO {table} VALUES ({id}, {v}, 'x')"),
        };
        // Deadlocks happen; what was rolled back is in nobody's log.
        let _ = session.exec(&statement);
    }
}

/// All chunks of the table; gives how many of their rows were dropped.
fn copy_once(site: &Site, follower: &mut Follower, table: &str, copy: &mut Table) -> usize {
    let name = name(table);
    let mut reader = site.reader();
    let mut rest = Some(KeyRange::default());
    let mut dropped = 0;
    while let Some(range) = rest {
        let ask = ChunkAsk { table: &name, range: &range, predicate: None, rows_max: 150, bytes_max: 1 << 20 };
        let mut chunk = reader.read(&ask).unwrap().unwrap();
        let mut touched = BTreeSet::new();
        let weighed = follower.until_weighed(&mut chunk, |batch| touched.extend(apply(batch, table, copy)));
        assert_eq!(weighed, Admission::Admitted);
        for row in chunk_rows(&chunk) {
            let key = row.after[0].clone();
            if touched.contains(&key) {
                dropped += 1;
            } else {
                copy.insert(key, row.after);
            }
        }
        rest = chunk.rest;
    }
    dropped
}

/// Applies what the stream says, and gives the keys it touched.
fn apply(batch: &Batch, table: &str, copy: &mut Table) -> Vec<Plain> {
    let mut keys = Vec::new();
    for row in rows(batch, table) {
        if let Some(key) = row.before.first() {
            keys.push(key.clone());
            copy.remove(key);
        }
        if let Some(key) = row.after.first() {
            assert!(matches!(row.op, Op::Insert | Op::Update));
            keys.push(key.clone());
            copy.insert(key.clone(), row.after);
        }
    }
    keys
}

/// To the end of the log: a chunk read now is admitted there.
fn catch_up(site: &Site, follower: &mut Follower, table: &str, copy: &mut Table) {
    let (name, range) = (name(table), KeyRange::default());
    let ask = ChunkAsk { table: &name, range: &range, predicate: None, rows_max: 1, bytes_max: 1 << 20 };
    let mut last = site.reader().read(&ask).unwrap().unwrap();
    follower.until_weighed(&mut last, |batch| drop(apply(batch, table, copy)));
}
