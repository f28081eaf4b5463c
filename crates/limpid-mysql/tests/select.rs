//! Rows as our source reads them from the log, against the same rows as the server's SELECT shows them.
//!
//! Owns: making changes at random on real servers, and the comparison. Does not own: the servers (`limpid-stack`),
//! reading and writing values as text (`select/reader.rs`), types and values (`select/random.rs`).
//!
//! Invariant: after each statement the row is asked for, so every image of every row is compared, not only the last.
//! Each server is tried with a fixed seed and with one from the clock, which is printed.

#[path = "select/random.rs"]
mod random;
#[path = "select/reader.rs"]
mod reader;

use std::collections::BTreeMap;

use limpid_model::Op;
use limpid_mysql::Flavor;
use limpid_stack::{Session, mariadb, mysql, require};

use random::{Column, Kind, Random};
use reader::{Change, Value};

#[test]
fn rows_of_mariadb_are_what_its_select_shows() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    for seed in [1, clock_seed()] {
        compare(server.session().unwrap(), server.port(), Flavor::MariaDb, seed);
    }
}

#[test]
fn rows_of_mysql_are_what_its_select_shows() {
    let Some(server) = require(mysql::start(&mysql::Options::default())) else { return };
    for seed in [1, clock_seed()] {
        compare(server.session().unwrap(), server.port(), Flavor::MySql, seed);
    }
}

/// `LIMPID_SELECT_SEED` repeats a run.
#[expect(clippy::disallowed_methods, reason = "a seed that nobody chose; it is printed")]
fn clock_seed() -> u64 {
    let given = std::env::var("LIMPID_SELECT_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(2, |time| time.as_secs() % 1_000_000_007)
    })
}

fn compare(mut session: Session, port: u16, flavor: Flavor, seed: u64) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for setting in ["time_zone='+00:00'", "sql_mode='ALLOW_INVALID_DATES'", "NAMES utf8mb4"] {
        session.exec(&format!("SET {setting}")).unwrap();
    }
    session.exec("DROP DATABASE IF EXISTS picked").unwrap();
    session.exec("CREATE DATABASE picked").unwrap();
    let sets = "SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME <> 'binary'";
    let charsets: Vec<String> = session.exec(sets).unwrap().lines().map(str::to_owned).collect();
    let from = place(&mut session);
    let mut tables = BTreeMap::new();
    let mut expected = Vec::new();
    for number in 0..6 {
        // Half of the tables are named by the log itself, half by the catalogue.
        let metadata = if number % 2 == 0 { "FULL" } else { "MINIMAL" };
        session.exec(&format!("SET GLOBAL binlog_row_metadata={metadata}")).unwrap();
        let table = format!("picked.t{number}");
        let columns = random::columns(&mut random, flavor, &charsets);
        expected.extend(fill(&mut session, &mut random, &table, &columns));
        tables.insert(table, columns);
    }
    let log = reader::read(port, &from, "picked");
    assert_eq!((log.fault, &log.table_faults), (None, &Vec::new()), "seed {seed}");
    for (nth, (ours, theirs)) in log.changes.iter().zip(&expected).enumerate() {
        let columns = &tables[&theirs.table];
        assert_eq!((&ours.table, ours.op), (&theirs.table, theirs.op), "seed {seed}, change {nth}");
        same(&ours.before, &theirs.before, columns, &format!("seed {seed}, change {nth} of {}, before", theirs.table));
        same(&ours.after, &theirs.after, columns, &format!("seed {seed}, change {nth} of {}, after", theirs.table));
    }
    assert_eq!(log.changes.len(), expected.len(), "seed {seed}");
}

/// Makes a table and changes its rows; gives what the server showed after each change.
fn fill(session: &mut Session, random: &mut Random, table: &str, columns: &[Column]) -> Vec<Change> {
    let declared: Vec<String> = columns.iter().map(|column| format!("{} {}", column.name, column.declared)).collect();
    let create = format!("CREATE TABLE {table} (id INT PRIMARY KEY, {}) ENGINE=InnoDB", declared.join(", "));
    session.exec(&create).unwrap_or_else(|error| panic!("{create}\n{error}"));
    let mut rows: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    let mut changes = Vec::new();
    for _ in 0..45 {
        let id = random.below(18);
        let known = rows.get(&id).cloned();
        let values: Vec<String> = columns.iter().map(|column| column.value(random)).collect();
        let delete = random.below(6) == 0;
        let statement = match &known {
            None => format!("INSERT INTO {table} VALUES ({id}, {})", values.join(", ")),
            Some(_) if delete => format!("DELETE FROM {table} WHERE id={id}"),
            Some(_) => {
                let sets = columns.iter().zip(&values).filter(|_| random.below(3) > 0);
                let sets: Vec<String> = sets.map(|(column, value)| format!("{}={value}", column.name)).collect();
                format!("UPDATE {table} SET id=id, {} WHERE id={id}", sets.join(", ")).replace(",  WHERE", " WHERE")
            }
        };
        // What a server refuses even so (a point that is none) is not in its log.
        if session.exec(&statement).is_err() {
            continue;
        }
        let now = show(session, table, columns, id);
        if now == known {
            continue;
        }
        let op = match (&known, &now) {
            (None, _) => Op::Insert,
            (_, None) => Op::Delete,
            _ => Op::Update,
        };
        let (before, after) = (known.unwrap_or_default(), now.clone().unwrap_or_default());
        changes.push(Change { table: table.to_owned(), op, before, after, contexts: Vec::new() });
        match now {
            Some(now) => drop(rows.insert(id, now)),
            None => drop(rows.remove(&id)),
        }
    }
    assert!(changes.len() > 15, "the server took only {} of 45 changes of\n{create}", changes.len());
    changes
}

/// The row as the server shows it.
fn show(session: &mut Session, table: &str, columns: &[Column], id: u64) -> Option<Vec<Value>> {
    let selected: Vec<String> = columns.iter().map(Column::select).collect();
    let answer = session.exec(&format!("SELECT id, {} FROM {table} WHERE id={id}", selected.join(", "))).unwrap();
    let line = answer.lines().next()?;
    Some(line.split('\t').map(|text| (text != "NULL").then(|| text.to_owned())).collect())
}

fn same(ours: &[Value], theirs: &[Value], columns: &[Column], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (nth, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let column = nth.checked_sub(1).and_then(|nth| columns.get(nth));
        let float = column.is_some_and(|column| column.kind == Kind::Float);
        let number = |value: &Value| value.as_ref().map(|text| text.parse::<f64>().unwrap().to_bits());
        let equal = if float { number(ours) == number(theirs) } else { ours == theirs };
        assert!(equal, "{what}: {column:?}\n  ours   {ours:?}\n  theirs {theirs:?}");
    }
}

/// The end of the log.
fn place(session: &mut Session) -> String {
    let status = session.exec("SHOW MASTER STATUS").unwrap();
    let mut fields = status.split('\t');
    let (file, offset) = (fields.next().unwrap(), fields.next().unwrap());
    format!("file:{file}:{offset}")
}
