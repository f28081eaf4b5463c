//! The ledger of flow: what comes in and what goes out adds up, over kills, and equals what others count.
//!
//! Owns: the cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracles are what this file wrote, row by row, and the distinct places in the log that Apache's console
//! consumer finds in the records, reading committed ones.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, broker, maria, mysqld};
use limpid_e2e::truth::sample;
use limpid_e2e::{Ended, Limpid, PATIENCE, Pipeline, call, page, wait_until};
use limpid_stack::TempDir;
use limpid_stack::kafka::{Isolation, Server};
use serde_json::Value;

/// What the topics of `p` and `k` take at first.
const LIMIT: &str = "20000";

/// Rows by table and what became of them.
type Counts = BTreeMap<(&'static str, &'static str), i64>;

struct Scene {
    name: String,
    broker: &'static Server,
    db: Db<'static>,
    pipeline: Pipeline,
    expected: Counts,
    _dir: TempDir,
}

/// `t`: every kind of change. `r`: its deletes are rejected, its truncates skipped. `p`: a key is parked. `k`: has no key,
/// so that what cannot be delivered is put aside.
const TABLES: &str = "create table t (id bigint primary key, v bigint not null);
     create table r (id bigint primary key, v bigint not null);
     create table p (id bigint primary key, v bigint not null, pad longtext) character set latin1;
     create table k (v bigint not null, pad longtext) character set latin1;
     insert into t values (900001, 1), (900002, 1), (900003, 1), (900004, 1), (900005, 1);
     insert into k values (1, 's'), (2, 's'), (3, 's')";

impl Scene {
    fn begin(db: Option<Db<'static>>, delivery: &str) -> Result<Option<Self>> {
        let (Some(broker), Some(db)) = (broker(), db) else { return Ok(None) };
        let name = format!("flow_{}", db.word());
        db.sql(&format!("create database {name}; use {name}; {TABLES}"))?;
        for table in ["p", "k"] {
            broker.create_topic(&format!("{name}.{name}.{table}"), 1, &[("max.message.bytes", LIMIT)])?;
        }
        let dir = TempDir::new(&name)?;
        let (port, bootstrap) = (db.port(), broker.bootstrap());
        let yaml = format!(
            "name: {name}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  tables: [\"{name}.*\"]\n  \
             snapshot: initial\nsink:\n  type: kafka\n  brokers: [\"{bootstrap}\"]\n  delivery: {delivery}\n\
             transforms:\n  - type: reject\n    match: {{ table: {name}.r, op: delete }}\n"
        );
        let pipeline = Pipeline::write(dir.path(), &name, &yaml)?;
        let expected = Counts::new();
        Ok(Some(Self { name, broker, db, pipeline, expected, _dir: dir }))
    }

    fn sql(&self, script: &str) -> Result<String> {
        self.db.sql(&format!("use {}; {script}", self.name))
    }

    fn expect(&mut self, table: &'static str, fates: &[(&'static str, i64)]) {
        for (fate, rows) in fates {
            *self.expected.entry((table, fate)).or_default() += rows;
        }
    }

    /// One round of changes, and what is to become of them.
    fn change(&mut self, round: i64) -> Result<()> {
        let (first, end) = (round * 100, round * 100 + 40);
        let many: Vec<String> = (first..end).map(|id| format!("({id}, 1)")).collect();
        let singles: String = (end..end + 10).map(|id| format!("insert into t values ({id}, 1);")).collect();
        self.sql(&format!("insert into t values {}; {singles}", many.join(",")))?;
        self.sql(&format!("update t set v = 2 where id between {first} and {}", first + 4))?;
        // One row becomes two records and a tombstone, three become two each.
        self.sql(&format!("update t set id = {} where id = {}", first + 90, first + 5))?;
        self.sql(&format!("delete from t where id between {} and {}", first + 10, first + 12))?;
        self.expect("t", &[("read", 59), ("delivered", 59)]);
        self.sql(&format!("insert into r values ({first}, 1), ({}, 1); delete from r", first + 1))?;
        self.expect("r", &[("read", 4), ("delivered", 2), ("filtered", 2)]);
        let park = if round == 1 { "insert into p values (1, 1, repeat('x', 30000));" } else { "" };
        self.sql(&format!("{park} update p set v = {round} + 1 where id = 1; insert into p values ({first}, 1, 's')"))?;
        let kept = 1 + i64::from(round == 1);
        self.expect("p", &[("read", kept + 1), ("delivered", 1), ("parked", kept)]);
        self.sql(&format!("insert into k values ({first}, repeat('x', 30000)), ({first}, 's')"))?;
        self.expect("k", &[("read", 2), ("delivered", 1), ("dead_lettered", 1)]);
        Ok(())
    }

    fn flow(&self, limpid: &Limpid) -> Result<Value> {
        let body = page(&limpid.address()?, &format!("/api/v1/pipelines/{}/flow", self.name))?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Waits until the ledger says what is expected, and nothing else.
    fn check(&self, limpid: &Limpid, when: &str) -> Result<()> {
        let found = || -> Result<Counts> {
            let flow = self.flow(limpid)?;
            ensure!(flow["whole"] == true && flow["findings"].as_array().is_some_and(Vec::is_empty), "{flow}");
            let mut counts = Counts::new();
            for table in flow["tables"].as_array().context("a list")? {
                for (name, fate, _) in self.names() {
                    let rows = table[fate].as_i64().context("a number")?;
                    if table["table"] == *name && rows != 0 {
                        counts.insert((name, fate), rows);
                    }
                }
            }
            Ok(counts)
        };
        wait_until(when, PATIENCE, || found().is_ok_and(|found| found == self.expected))
            .with_context(|| format!("{when}: {:?}, expected {:?}: {}", found(), self.expected, limpid.stderr()))
    }

    fn names(&self) -> Vec<(&'static str, &'static str, i64)> {
        const FATES: [&str; 11] = [
            "read",
            "copied",
            "replayed",
            "filtered",
            "delivered",
            "parked",
            "dead_lettered",
            "overtaken",
            "withheld",
            "in_flight",
            "difference",
        ];
        let of = |table: &'static str| FATES.map(|fate| (table, fate, 0));
        ["t", "r", "p", "k"].into_iter().flat_map(of).collect()
    }

    /// Rows of a table that a consumer finds: places in the log, and copied keys; with all records, tombstones left out.
    fn consumed(&self, table: &str) -> Result<(usize, usize)> {
        let (mut rows, mut records) = (BTreeSet::new(), 0);
        for record in self.broker.consume(&format!("{0}.{0}.{table}", self.name), Isolation::ReadCommitted)? {
            let Some(value) = record.value else { continue };
            let value: Value = serde_json::from_slice(&value)?;
            let source = &value["source"];
            rows.insert(match value["op"] == "r" {
                true => value["after"].to_string(),
                false => format!("{} {} {}", source["file"], source["pos"], source["row"]),
            });
            records += 1;
        }
        Ok((rows.len(), records))
    }

    fn raise_limit(&self) -> Result<()> {
        let (bootstrap, topic) = (self.broker.bootstrap(), format!("{0}.{0}.p", self.name));
        let args = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", &topic];
        let setting = ["--add-config", "max.message.bytes=1000000"];
        self.broker.tool("kafka.admin.ConfigCommand", &[&args[..], &setting].concat()).map(drop)
    }
}

#[test]
fn what_comes_in_is_what_goes_out_over_kills_filters_kept_rows_and_replays() -> Result<()> {
    let kills = [["after-ack:4", "before-state:1"], ["record-under-way:1", "after-record:1"]];
    for ((db, delivery), kills) in [(maria(), "at-least-once"), (mysqld(), "exactly-once")].into_iter().zip(kills) {
        let Some(mut scene) = Scene::begin(db, delivery)? else { return Ok(()) };
        // Copies that are cut short count once: with the life that finished them.
        let mut limpid = scene.pipeline.run(&["--failpoint", "after-copied:1"])?;
        ensure!(limpid.wait(PATIENCE)? == Ended::Signal(9), "{}", limpid.stderr());
        let mut limpid = scene.pipeline.run(&[])?;
        scene.expect("t", &[("copied", 5), ("delivered", 5)]);
        scene.expect("k", &[("copied", 3), ("delivered", 3)]);
        scene.check(&limpid, "after the copy")?;
        limpid.kill()?;
        for (round, place) in (1..).zip(kills) {
            let mut limpid = scene.pipeline.run(&["--failpoint", place])?;
            limpid.wait_for("running", PATIENCE)?;
            scene.change(round).with_context(|| place.to_owned())?;
            let ended = limpid.wait(PATIENCE)?;
            ensure!(ended == Ended::Signal(9), "{place}: ended with {ended:?}: {}", limpid.stderr());
        }
        let mut limpid = scene.pipeline.run(&[])?;
        limpid.wait_for("running", PATIENCE)?;
        scene.change(3)?;
        scene.sql("truncate table r")?;
        scene.expect("r", &[("read", 1), ("filtered", 1)]);
        scene.check(&limpid, "after kills")?;
        scene.raise_limit()?;
        let table = format!("{}.p", scene.name);
        let (ended, said) = call("dlq", &limpid.address()?, &["replay", &scene.name, "--all", "--table", &table])?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {said}");
        scene.expect("p", &[("replayed", 4), ("delivered", 4)]);
        scene.check(&limpid, "after the replay")?;
        let metrics = page(&limpid.address()?, "/metrics")?;
        let series = |of: &str, end: &str| {
            let begins = format!("{of}{{pipeline=\"{0}\",schema=\"{0}\",table=\"t\"{end}}}", scene.name);
            sample(&metrics, &begins).with_context(|| begins)
        };
        ensure!(series("limpid_flow_difference_rows", "")? == 0.0, "{metrics}");
        ensure!(series("limpid_flow_rows_total", ",fate=\"read\"")? >= 59.0, "{metrics}");
        limpid.kill()?;
        let mut limpid = scene.pipeline.run(&[])?;
        scene.check(&limpid, "in a life that read nothing")?;
        limpid.kill()?;
        for table in ["t", "p"] {
            let (rows, records) = scene.consumed(table)?;
            let delivered = scene.expected[&(table, "delivered")] as usize;
            ensure!(rows == delivered, "{delivery}: a consumer finds {rows} rows of {table}, not {delivered}");
            // Each round has one row of `t` that becomes two records with a value.
            let more = if table == "t" { 3 } else { 0 };
            let once = delivery == "exactly-once";
            ensure!(!once || records == rows + more, "{records} records of {rows} rows of {table}");
        }
    }
    Ok(())
}
