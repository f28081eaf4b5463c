//! A row is followed by its key, its transaction and its trace.
//!
//! Owns: `limpid trace` on real servers. Does not own: unit facts of the ring, the key's texts and the ids.
//!
//! Invariant: the oracles are Apache's console consumer, which says at which partition and offset a key's record is, and
//! the server's own GTIDs.

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, both, broker, maria};
use limpid_e2e::{Case, Ended, Limpid, PATIENCE, call, wait_until};
use limpid_stack::kafka::{self, Isolation, Record, Server};
use limpid_stack::require;
use serde_json::Value;

/// A pipeline that runs, and asking it.
struct Running {
    name: String,
    address: String,
    limpid: Limpid,
}

impl Running {
    fn start(case: &Case) -> Result<Self> {
        let limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        Ok(Self { name: case.name.clone(), address: limpid.address()?, limpid })
    }

    fn said(&self, arguments: &[&str]) -> Result<(Ended, String)> {
        call("trace", &self.address, &[&[self.name.as_str()], arguments].concat())
    }

    /// The changes that an answer has.
    fn changes(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let (ended, said) = self.said(&[arguments, &["--format", "json"]].concat())?;
        ensure!(ended == Ended::Code(0), "{arguments:?}: {ended:?} {said}");
        let document: Value = serde_json::from_str(&said)?;
        Ok(document["changes"].as_array().context("a list")?.clone())
    }

    /// Waits until the outcomes of a key's changes are these.
    fn wait_for(&self, table: &str, key: &str, outcomes: &[&str]) -> Result<Vec<Value>> {
        let found = || self.changes(&["--table", table, "--key", key]).unwrap_or_default();
        let outcome = |change: &Value| change["outcome"].as_str().unwrap_or_default().to_owned();
        wait_until(&format!("{outcomes:?} of {key}"), PATIENCE, || {
            found().iter().map(outcome).eq(outcomes.iter().map(|word| (*word).to_owned()))
        })
        .with_context(|| format!("{:#?} {}", found(), self.limpid.stderr()))?;
        Ok(found())
    }

    fn stop(mut self) -> Result<()> {
        self.limpid.signal(libc::SIGTERM);
        let ended = self.limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {}", self.limpid.stderr());
        Ok(())
    }
}

/// A case that writes to this broker, its topics with so many partitions.
fn begin<'a>(
    db: Db<'a>,
    broker: &Server,
    name: &str,
    tables: &str,
    partitions: i32,
    names: &[&str],
) -> Result<Case<'a>> {
    let bootstrap = broker.bootstrap();
    let case = Case::unstarted(db, name, tables, |spec| spec.to_kafka(&bootstrap).source("start: head"))?;
    for table in names {
        broker.create_topic(&format!("{0}.{0}.{table}", case.name), partitions, &[("max.message.bytes", "20000")])?;
    }
    Ok(case)
}

/// The record at a change's target, by a consumer.
fn record_at<'a>(records: &'a [Record], change: &Value) -> Result<&'a Record> {
    let (partition, offset) = (change["target"]["partition"].as_i64(), change["target"]["offset"].as_i64());
    let is_there = |record: &&Record| Some(i64::from(record.partition)) == partition && Some(record.offset) == offset;
    records.iter().find(is_there).with_context(|| format!("no record at {change:#}"))
}

fn json(bytes: &Option<Vec<u8>>) -> Result<Value> {
    Ok(serde_json::from_slice(bytes.as_deref().context("it is not null")?)?)
}

#[test]
fn a_row_is_followed_by_key_to_its_record_and_found_again_by_transaction_and_trace() -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let tables = "create table t (id bigint primary key, v int not null);
        create table c (a int, b varchar(40) collate utf8mb4_general_ci, d decimal(12,3), primary key (a, b, d)) \
         character set utf8mb4";
    for db in both() {
        let case = begin(db, broker, "traced", tables, 3, &["t", "c"])?;
        let running = Running::start(&case)?;
        case.sql("insert into t values (1, 1)")?;
        let gtid = db.gtids()?;
        case.sql("update t set v = 2 where id = 1; delete from t where id = 1")?;
        case.sql("begin; insert into t values (7, 1); insert into c values (3, 'Äpfel, x', 1.5); insert into t values (8, 1); commit")?;
        let found = running.wait_for("t", "1", &["delivered", "delivered", "delivered"])?;
        running.wait_for("c", "a=3,b=Äpfel, x,d=1.500", &["delivered"])?;
        let composite = running.changes(&["--table", "c", "--key", r#"{"d": "1.5", "b": "Äpfel, x", "a": 3}"#])?;
        let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
        for (change, op) in found.iter().zip(["c", "u", "d"]) {
            let record = record_at(&records, change)?;
            ensure!(json(&record.key)? == serde_json::json!({"id": 1}), "{change:#}");
            ensure!(json(&record.value)?["op"] == op, "{change:#}");
            let names: Vec<_> = change["stages"].as_array().into_iter().flatten().map(|stage| &stage["name"]).collect();
            ensure!(names.starts_with(&[&"committed".into(), &"read".into()]), "{change:#}");
            ensure!(
                change["attempts"] == 1 && change["target"]["topic"] == format!("{0}.{0}.t", case.name),
                "{change:#}"
            );
        }
        let records = broker.consume(&format!("{0}.{0}.c", case.name), Isolation::ReadCommitted)?;
        ensure!(json(&record_at(&records, &composite[0])?.key)?["b"] == "Äpfel, x", "{composite:#?}");
        // Of its transaction it is one of three.
        let trace = composite[0]["trace_id"].as_str().context("it has a trace")?.to_owned();
        let whole = running.changes(&["--trace-id", &trace])?;
        ensure!(whole.len() == 3 && whole.iter().all(|change| change["trace_id"] == trace.as_str()), "{whole:#?}");
        ensure!(whole[1]["key_hash"] == composite[0]["key_hash"] && whole[1]["ordinal"] == 1, "{whole:#?}");
        let position = composite[0]["position"].as_str().context("it has a position")?;
        let same = running.changes(&["--position", position])?;
        let named =
            |changes: &[Value]| -> Vec<Value> { changes.iter().map(|change| change["key_hash"].clone()).collect() };
        ensure!(named(&same) == named(&whole), "{same:#?}");
        // The server's own word for the first transaction.
        let first = running.changes(&["--position", &gtid])?;
        ensure!(first.len() == 1 && first[0]["trace_id"] == found[0]["trace_id"], "{first:#?}");
        let (_, said) = running.said(&["--table", "c", "--key", "a=3,b=Äpfel, x,d=1.5"])?;
        ensure!(said.contains("delivered") && said.contains("offset") && !said.contains("pfel"), "{said}");
        for (arguments, code, word) in [
            (vec!["--table", "nosuch", "--key", "1"], 2, "HTTP_NOT_FOUND"),
            (vec!["--table", "t", "--key", "x"], 2, "HTTP_BAD_REQUEST"),
            (vec!["--table", "c", "--key", "a=3"], 2, "HTTP_BAD_REQUEST"),
            (vec!["--position", "file:bin.000001:4"], 2, "HTTP_BAD_REQUEST"),
            (vec!["--table", "t"], 2, "USAGE_INVALID"),
        ] {
            let (ended, said) = running.said(&arguments)?;
            ensure!(ended == Ended::Code(code) && said.contains(word), "{arguments:?}: {ended:?} {said}");
        }
        running.stop()?;
        restarted(&case, db, &gtid, &found[0])?;
    }
    Ok(())
}

/// Another process remembers nothing; from a position it derives the same, and a replay gives the same trace.
fn restarted(case: &Case, db: Db, gtid: &str, first: &Value) -> Result<()> {
    let running = Running::start(case)?;
    case.sql("insert into t values (9, 1)")?;
    running.wait_for("t", "9", &["delivered"])?;
    running.wait_for("t", "1", &["evicted"])?;
    let derived = running.changes(&["--position", gtid])?;
    ensure!(derived[0]["outcome"] == "delivered" && derived[0]["known"] == "derived", "{derived:#?}");
    ensure!(derived[0]["trace_id"] == first["trace_id"], "{derived:#?}");
    // Back to before the first.
    let before = db.gtids()?;
    let (ended, said) =
        call("position", &running.address, &["set", &case.name, gtid, "--yes", "--confirm", &case.name])?;
    ensure!(ended == Ended::Code(0), "{said}");
    let again = running.wait_for("t", "1", &["delivered", "delivered"])?;
    ensure!(again[0]["trace_id"] != first["trace_id"], "the first is not read again");
    ensure!(db.gtids()? == before, "nothing was written meanwhile");
    running.stop()
}

#[test]
fn a_row_that_is_kept_says_so_and_one_that_the_sink_has_not_acknowledged_waits() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let Some(broker) = require(kafka::start(&kafka::Options::default())) else { return Ok(()) };
    let table = "create table t (id bigint primary key, pad longtext)";
    let case = begin(db, &broker, "kept_traced", table, 1, &["t"])?;
    let yaml = std::fs::read_to_string(&case.pipeline.file)?.replace("halt-table", "park-key");
    std::fs::write(&case.pipeline.file, yaml)?;
    let running = Running::start(&case)?;
    case.sql("insert into t values (1, 'a'), (2, repeat('x', 30000)), (3, 'b'); update t set pad = 'c' where id = 2")?;
    let kept = running.wait_for("t", "2", &["parked", "parked"])?;
    ensure!(kept[0]["error_code"] == "RECORD_TOO_LARGE" && kept[0]["kept_id"].is_u64(), "{kept:#?}");
    ensure!(kept[1]["kept_id"].as_u64() > kept[0]["kept_id"].as_u64(), "{kept:#?}");
    let beside = running.wait_for("t", "3", &["delivered"])?;
    ensure!(beside[0]["trace_id"] == kept[0]["trace_id"], "of one transaction");
    let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    ensure!(json(&record_at(&records, &beside[0])?.key)? == serde_json::json!({"id": 3}), "{beside:#?}");
    broker.pause()?;
    case.sql("insert into t values (4, 'd')")?;
    let waiting = running.wait_for("t", "4", &["waiting"]);
    broker.resume()?;
    let waiting = waiting?;
    ensure!(waiting[0]["waits_for"].as_str().is_some_and(|what| what.contains("sink")), "{waiting:#?}");
    ensure!(waiting[0]["target"].is_null(), "{waiting:#?}");
    let arrived = running.wait_for("t", "4", &["delivered"])?;
    ensure!(arrived[0]["trace_id"] == waiting[0]["trace_id"], "{arrived:#?}");
    running.stop()
}
