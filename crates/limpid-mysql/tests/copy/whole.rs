//! Tables without a key, read whole under writers while the stream stands at the fence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use limpid_connector::{Admission, ChunkAsk, KeyRange};
use limpid_model::Batch;
use limpid_stack::Session;

use super::follow::{Follower, Plain, Site, Stops, chunk_rows, name, rows};
use super::random::Random;

/// How often each row is there.
type Bag = BTreeMap<Vec<Plain>, i64>;

pub fn check(site: &mut Site, engine: &str) {
    let table = format!("w_{}", engine.to_lowercase());
    site.run(&format!("CREATE TABLE {table} (a INT, b VARCHAR(200)) ENGINE={engine}"));
    for first in (0..20_000).step_by(1_000) {
        let values: Vec<String> =
            (first..first + 1_000).map(|n| format!("({}, REPEAT('b', {}))", n % 700, n % 200)).collect();
        site.run(&format!("INSERT INTO {table} VALUES {}", values.join(",")));
    }
    let mut follower = site.follow();
    let stop = AtomicBool::new(false);
    let mut bag = Bag::new();
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for seed in 1..4 {
            let (session, table, stop) = (site.another(), table.clone(), &stop);
            scope.spawn(move || write(session, &table, seed, stop));
        }
        for _ in 0..3 {
            copy(site, &mut follower, &table, &mut bag);
        }
    });
    catch_up(site, &mut follower, &table, &mut bag);
    let sql = format!("SELECT COUNT(*), SUM(a), SUM(LENGTH(b)), SUM(a * LENGTH(b)) FROM {table}");
    let theirs = site.run(&sql);
    assert!(bag.values().all(|count| *count >= 0), "{table}: rows went that never were there");
    let sum = |value: &dyn Fn(&[Plain]) -> i64| -> i64 { bag.iter().map(|(row, count)| value(row) * count).sum() };
    let ours = [sum(&|_| 1), sum(&a), sum(&b), sum(&|row| a(row) * b(row))].map(|sum| sum.to_string()).join("\t");
    assert_eq!(ours, theirs.trim_end(), "{table}");
}

fn a(row: &[Plain]) -> i64 {
    match &row[0] {
        Plain::Scalar(_, a, _) => *a as i64,
        other => panic!("{other:?}"),
    }
}

fn b(row: &[Plain]) -> i64 {
    match &row[1] {
        Plain::Bytes(_, b, _) => b.len() as i64,
        other => panic!("{other:?}"),
    }
}

fn write(mut session: Session, table: &str, seed: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    while !stop.load(Ordering::Relaxed) {
        let (a, len) = (random.below(700), random.below(200));
        let statement = match random.below(3) {
            0 => format!("DELETE FROM {table} WHERE a={a} LIMIT 3"),
            1 => format!("UPDATE {table} SET b=REPEAT('u', {len}) WHERE a={a} LIMIT 3"),
            _ => format!("INSERT INTO {table} VALUES ({a}, REPEAT('i', {len})), ({a}, REPEAT('j', {len}))"),
        };
        let _ = session.exec(&statement);
    }
}

fn copy(site: &Site, follower: &mut Follower, table: &str, bag: &mut Bag) {
    let mut reader = site.reader();
    let name = name(table);
    let fence = reader.begin_whole(&name, None).unwrap().unwrap();
    follower.stream.hold_at(Some(fence));
    bag.clear();
    let mut pieces = 0;
    let mut idle = 0;
    // What lies before the fence is in the table already.
    while let Some(mut chunk) = reader.read_whole(200_000).unwrap() {
        assert!(chunk.bytes < 200_000 + 1_000);
        assert_eq!(follower.until_weighed(&mut chunk, |_| ()), Admission::Admitted);
        idle += usize::from(follower.next().is_none());
        for row in chunk_rows(&chunk) {
            *bag.entry(row.after).or_default() += 1;
        }
        pieces += 1;
    }
    assert!(pieces > 5, "{pieces}");
    assert_eq!(idle, pieces, "the stream yields nothing beyond the fence");
    follower.stream.hold_at(None);
}

fn apply(batch: &Batch, table: &str, bag: &mut Bag) {
    for row in rows(batch, table) {
        for (image, step) in [(row.before, -1), (row.after, 1)] {
            if !image.is_empty() {
                *bag.entry(image).or_default() += step;
            }
        }
    }
}

fn catch_up(site: &mut Site, follower: &mut Follower, table: &str, bag: &mut Bag) {
    let _ = site.session.exec("CREATE TABLE w_mark (id INT PRIMARY KEY)");
    let range = KeyRange::default();
    let ask = ChunkAsk { table: &name("w_mark"), range: &range, predicate: None, rows_max: 1, bytes_max: 1 << 20 };
    let mut mark = site.reader().read(&ask).unwrap().unwrap();
    assert_eq!(follower.until_weighed(&mut mark, |batch| apply(batch, table, bag)), Admission::Admitted);
}
