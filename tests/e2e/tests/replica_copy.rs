//! Tables copied from a replica while the log is read at its primary.
//!
//! Owns: copies under writers, a replica that stops and starts, servers that are no whole replica. Does not own: copies from
//! the server of the log (`snapshot.rs`).
//!
//! Invariant: the oracle is the primary's own SELECT and Apache's console consumer. Where rows were read is told by the
//! servers' own counters.

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::broker;
use limpid_e2e::{Case, Db, Ended, PATIENCE, Pair, Spec, Writer, check_copied, limpid, seen_in, wait_until};
use limpid_stack::kafka::Isolation;

const ROWS: u64 = 6000;

/// Of each of two writers. One that goes as fast as the primary lets it may outrun the replica for ever.
const WRITES_PER_SECOND: u32 = 100;

const TABLES: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null); \
                      create table keyless (a int); insert into keyless values (1), (2), (2); \
                      create table isam (id int primary key) engine=myisam; insert into isam values (1), (2)";

fn rows_read(db: Db) -> Result<u64> {
    let name = if db.is_maria() { "Rows_read" } else { "Innodb_rows_read" };
    let status = db.sql(&format!("show global status like '{name}'"))?;
    Ok(status.trim().rsplit('\t').next().unwrap_or_default().parse()?)
}

fn from_replica(pair: &Pair, spec: Spec) -> Spec {
    let replica = format!("snapshot-from: mysql://127.0.0.1:{}", pair.second().port());
    spec.source(&replica)
        .snapshot("{ mode: initial, parallel: 2, chunk-rows: 200, rows-per-second: 3000, slowdown: 100 }")
}

fn copied(pair: &Pair) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let change = |spec: Spec| from_replica(pair, spec).to_kafka(&broker.bootstrap()).delivery("exactly-once");
    let case = Case::unstarted(pair.first(), "elsewhere", TABLES, change)?;
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id},1,'{}')", "z".repeat(50))).collect();
        case.sql(&format!("insert into t values {}", rows.join(",")))?;
    }
    pair.settle()?;
    let before = [rows_read(pair.first())?, rows_read(pair.second())?];
    let half = ROWS / 2;
    let start = |first| {
        Writer::start_at_rate(pair.first().session()?, &case.name, first, vec![1; half as usize], WRITES_PER_SECOND)
    };
    let writers = vec![start(0)?, start(half)?];
    let (file, data) = (case.pipeline.file.display().to_string(), case.pipeline.data_dir.display().to_string());
    let mut plan = limpid(&["plan", &file, "--data-dir", &data])?;
    ensure!(plan.wait(PATIENCE)? == Ended::Code(0), "{}", plan.stderr());
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    // In the middle of the copy the replica stands still, and the stream goes on.
    let read = || Ok::<_, anyhow::Error>(rows_read(pair.second())? - before[1]);
    wait_until("some of the copy", PATIENCE, || read().is_ok_and(|rows| rows > 600))
        .with_context(|| limpid.stderr())?;
    pair.second().sql("stop slave")?;
    limpid.wait_for("has not got as far as the stream", PATIENCE)?;
    let topic = format!("{0}.{0}.t", case.name);
    let count = || broker.consume(&topic, Isolation::ReadCommitted).map_or(0, |records| records.len());
    let so_far = count();
    wait_until("the stream to go on", PATIENCE, || count() > so_far + 50).with_context(|| limpid.stderr())?;
    pair.second().sql("start slave")?;
    limpid.wait_for("the tables are copied", PATIENCE)?;
    for writer in writers {
        writer.stop()?;
    }
    // The copy has read at the replica alone what a copy reads.
    let [first, second] = [rows_read(pair.first())? - before[0], rows_read(pair.second())? - before[1]];
    ensure!(second >= ROWS && second > first, "{first} rows were read at the primary, {second} at the replica");
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    case.pipeline.run_to_end()?;
    let records = broker.consume(&topic, Isolation::ReadCommitted)?;
    check_copied(&seen_in(&records)?, &case.sql("select id, v from t")?, 0).with_context(|| limpid.stderr())?;
    // Without a key or transactions they are read at the primary, and each row once.
    for (table, rows) in [("keyless", 3), ("isam", 2)] {
        let found = broker.consume(&format!("{0}.{0}.{table}", case.name), Isolation::ReadCommitted)?.len();
        ensure!(found == rows, "{found} rows of {table}, not {rows}");
    }
    refused(pair)
}

fn halted(pair: &Pair, name: &str, code: &str, what: &str) -> Result<()> {
    // Even where a position that is gone would be given up: this one is not.
    let change = |spec: Spec| from_replica(pair, spec).snapshot("{ mode: when-needed, parallel: 2 }");
    let mut case = Case::unstarted(pair.first(), name, "create table t (id int primary key)", change)?;
    case.sql("insert into t values (1)")?;
    if name != "alone" {
        pair.settle()?;
    }
    let said = case.read_to_halt(code)?;
    ensure!(said.contains(what), "{said}");
    ensure!(case.seen.is_empty(), "{:?}", case.seen);
    Ok(())
}

/// What is no whole replica: one that somebody writes to, and one that follows nobody.
fn refused(pair: &Pair) -> Result<()> {
    let domain = if pair.first().is_maria() { "set gtid_domain_id=77;" } else { "" };
    pair.second().sql(&format!("{domain} create database stray"))?;
    halted(pair, "stray", "SOURCE_REPLICA_UNFIT", "the source never had")?;
    pair.promote()?;
    halted(pair, "alone", "SOURCE_REPLICA_UNFIT", "no replica")
}

#[test]
fn a_copy_from_a_replica_of_mariadb_under_writers_is_what_the_primary_has() -> Result<()> {
    Pair::maria()?.map_or(Ok(()), |pair| copied(&pair))
}

#[test]
fn a_copy_from_a_replica_of_mysql_under_writers_is_what_the_primary_has() -> Result<()> {
    Pair::mysql()?.map_or(Ok(()), |pair| copied(&pair))
}
