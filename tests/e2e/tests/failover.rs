//! A list of servers: what takes over from what, what never does, and why.
//!
//! Owns: pairs of servers that replicate, and what goes wrong with one of them. Does not own: one server that comes back
//! (`outages.rs`).
//!
//! Invariant: the servers replicate by their own means, set up by their own client; the oracle is the SELECT of the server
//! that is left, and Apache's console consumer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria, mysqld_minimal};
use limpid_e2e::{
    Case, Db, Ended, Limpid, PATIENCE, Pair, Pipeline, Spec, Writer, check_exactly_once, check_nothing_lost, limpid,
    seen_in, wait_until,
};
use limpid_stack::kafka::Isolation;
use limpid_stack::{mariadb, mysql, ports, require};

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";
const BIG: &str = "create table t (id bigint primary key, v bigint, pad longtext)";

fn running(pipeline: &Pipeline, arguments: &[&str]) -> Result<Limpid> {
    let limpid = pipeline.run(arguments)?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    Ok(limpid)
}

fn stopped(limpid: &mut Limpid) -> Result<()> {
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    Ok(())
}

/// The health metric of each endpoint is told in lines of the log: the last one that stands.
fn reads_from(limpid: &Limpid, endpoint: &str) -> bool {
    let said = limpid.stderr();
    let last = said.lines().rev().find(|line| line.contains("the connection stands") && line.contains("\"input\""));
    last.is_some_and(|line| line.contains(endpoint))
}

/// Some of the load of `outages.rs`, at the first of a pair.
struct Load<'a> {
    case: Case<'a>,
    limpid: Limpid,
    delivery: &'static str,
}

impl<'a> Load<'a> {
    fn start(pair: &'a Pair, delivery: &'static str, bootstrap: &str) -> Result<Self> {
        let name = format!("over_{}", delivery.replace('-', "_"));
        let change = |spec: Spec| spec.source(&pair.url()).to_kafka(bootstrap).delivery(delivery);
        let case = Case::unstarted(pair.first(), &name, TABLE, change)?;
        let limpid = running(&case.pipeline, &[])?;
        Ok(Self { case, limpid, delivery })
    }

    fn writer(&self, db: Db, number: u64) -> Result<Writer> {
        let writer = Writer::start(db.session()?, &self.case.name, number)?;
        wait_until("some statements", PATIENCE, || writer.statements() > 200)?;
        Ok(writer)
    }
}

/// Kills the first until the second takes over. A replica may lack what the dead one sent to us and not to it; then nothing
/// is read from it, and it gets what it lacks once the first is back.
fn kill_until_taken_over(pair: &Pair, loads: &[Load<'_>]) -> Result<()> {
    for number in 0..6 {
        let writers = loads.iter().map(|load| load.writer(pair.first(), 2 * number)).collect::<Result<Vec<_>>>()?;
        pair.kill_first()?;
        drop(writers);
        let second = &pair.endpoints()[1];
        let before: Vec<_> = loads.iter().map(|load| load.limpid.stderr().len()).collect();
        let lacks = |load: &Load, from: usize| load.limpid.stderr()[from..].contains("has not got yet");
        wait_until("each to go over or to wait", PATIENCE, || {
            let mut all = loads.iter().zip(&before);
            all.all(|(load, from)| reads_from(&load.limpid, second) || lacks(load, *from))
        })
        .with_context(|| loads.iter().map(|load| load.limpid.stderr()).collect::<String>())?;
        if loads.iter().all(|load| reads_from(&load.limpid, second)) {
            return Ok(());
        }
        pair.restart_first()?;
        pair.settle()?;
    }
    anyhow::bail!("the replica lacked something each time")
}

fn taken_over(pair: &Pair) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let deliveries = ["at-least-once", "exactly-once"];
    let loads = deliveries.map(|delivery| Load::start(pair, delivery, &broker.bootstrap()));
    let mut loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    pair.settle()?;
    // Somebody writes to the replica: it is told before, by the doctor, and when it takes over.
    let domain = if pair.first().is_maria() { "set gtid_domain_id=77;" } else { "" };
    pair.second().sql(&format!("{domain} create database stray; create table stray.s (id int primary key)"))?;
    let file = loads[0].case.pipeline.file.display().to_string();
    let mut doctor = limpid(&["doctor", &file, "--format", "json"])?;
    doctor.wait(PATIENCE)?;
    let told = doctor.stdout();
    ensure!(told.matches("\"source.server\"").count() == 2 && told.contains("\"source.errant\""), "{told}");

    kill_until_taken_over(pair, &loads)?;
    pair.promote()?;
    let writers = loads.iter().map(|load| load.writer(pair.second(), 1)).collect::<Result<Vec<_>>>()?;
    writers.into_iter().try_for_each(Writer::stop)?;
    for load in &mut loads {
        let said = load.limpid.stderr();
        ensure!(said.contains("passed_over") && said.contains("has transactions of its own"), "{said}");
        stopped(&mut load.limpid)?;
        // The first is dead still: a new process finds the second by itself.
        load.case.pipeline.run_to_end()?;
        let records = broker.consume(&format!("{0}.{0}.t", load.case.name), Isolation::ReadCommitted)?;
        let table = pair.second().sql(&format!("select id, v from {}.t", load.case.name))?;
        let checked = match load.delivery {
            "exactly-once" => check_exactly_once(&seen_in(&records)?, &table),
            _ => check_nothing_lost(&seen_in(&records)?, &table, 14),
        };
        checked.with_context(|| load.limpid.stderr())?;
    }
    Ok(())
}

#[test]
fn a_replica_of_mariadb_takes_over_from_a_killed_primary_without_a_gap() -> Result<()> {
    Pair::maria()?.map_or(Ok(()), |pair| taken_over(&pair))
}

#[test]
fn a_replica_of_mysql_takes_over_from_a_killed_primary_without_a_gap() -> Result<()> {
    Pair::mysql()?.map_or(Ok(()), |pair| taken_over(&pair))
}

fn listed<'a>(pair: &'a Pair, name: &str, table: &str) -> Result<Case<'a>> {
    let case = Case::begin_with(pair.first(), name, table, |spec| spec.source(&pair.url()))?;
    pair.settle()?;
    Ok(case)
}

/// Killed with a position inside a transaction, which then only the replica has.
fn inside(pair: &Pair) -> Result<()> {
    let mut case = listed(pair, "inside", BIG)?;
    let mut limpid = running(&case.pipeline, &["--failpoint", "after-state:1"])?;
    wait_until("a save to be due", PATIENCE, || limpid.age() > Duration::from_millis(1200))?;
    let last = if case.db.is_maria() {
        "insert into t select seq, 1, repeat('x', 100000) from seq_1_to_120;"
    } else {
        "insert into t with recursive s as (select 1 n union all select n + 1 from s where n < 120) \
         select n, 1, repeat('x', 100000) from s;"
    };
    case.sql(&format!("begin; {last} update t set v = 2 where id <= 10; commit"))?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Signal(9), "ended with {ended:?}: {}", limpid.stderr());
    case.keep(&limpid)?;
    let first = case.seen.len();
    ensure!((1..130).contains(&first), "{first} rows before the kill, not inside: {}", limpid.stderr());
    pair.settle()?;
    pair.kill_first()?;
    case.db = pair.second();
    let said = case.read()?;
    ensure!(said.contains("passed_over"), "{said}");
    ensure!(case.seen.len() == 130, "{} rows with {first} before the kill, not 130", case.seen.len());
    case.check("t", "id, v")
}

#[test]
fn a_transaction_goes_on_at_the_replica_behind_the_rows_that_were_done() -> Result<()> {
    Pair::both()?.iter().try_for_each(inside)
}

/// Leaves only the newest log file.
fn purge(db: Db) -> Result<()> {
    db.sql("flush logs")?;
    wait_until("the purge", PATIENCE, || {
        let files = db.sql("show binary logs").unwrap_or_default();
        let last = files.lines().last().and_then(|line| line.split('\t').next()).unwrap_or_default().to_owned();
        // A file that somebody who has just left still holds is not purged, without a word.
        let _ = db.sql(&format!("purge binary logs to '{last}'"));
        files.lines().count() == 1
    })
}

fn purged(pair: &Pair) -> Result<()> {
    let mut case = listed(pair, "gone", "create table t (id int primary key)")?;
    case.sql("insert into t values (1)")?;
    pair.settle()?;
    purge(pair.first())?;
    let said = case.read()?;
    ensure!(said.contains("SOURCE_LOG_PURGED") && said.contains("passed_over"), "{said}");
    ensure!(case.operations("t") == "c", "{:?}", case.changes("t"));

    case.sql("insert into t values (2)")?;
    pair.settle()?;
    [pair.first(), pair.second()].into_iter().try_for_each(purge)?;
    let said = case.read_to_halt("SOURCE_LOG_PURGED")?;
    let plan = said.lines().rev().find(|line| line.contains("no server of the list")).context("a plan")?;
    ensure!(pair.endpoints().iter().all(|endpoint| plan.contains(&format!("{endpoint}: "))), "{plan}");
    ensure!(case.operations("t") == "c", "{:?}", case.changes("t"));
    Ok(())
}

#[test]
fn a_server_that_still_has_the_log_is_read_and_where_none_has_it_the_plan_is_told() -> Result<()> {
    Pair::both()?.iter().try_for_each(purged)
}

/// The second goes its own way without what was read from the first.
fn lost(pair: &Pair) -> Result<()> {
    let mut case = listed(pair, "lost", "create table t (id int primary key)")?;
    pair.promote()?;
    case.sql("insert into t values (1), (2)")?;
    case.sql("insert into t values (3)")?;
    case.read()?;
    ensure!(case.operations("t") == "ccc", "{:?}", case.changes("t"));
    for id in 100..110 {
        pair.second().sql(&format!("insert into {}.t values ({id})", case.name))?;
    }
    pair.kill_first()?;
    let mut limpid = case.pipeline.run(&["--until", "caught-up"])?;
    limpid.wait_for("no server of the list can be read now", PATIENCE)?;
    let said = limpid.stderr();
    ensure!(said.contains("SOURCE_CHANGED") && said.contains("never had"), "{said}");
    ensure!(limpid.is_running() && limpid.stdout().is_empty(), "{said}{}", limpid.stdout());
    // The first has it all and comes back.
    pair.restart_first()?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    case.keep(&limpid)?;
    ensure!(case.operations("t") == "ccc", "{:?}", case.changes("t"));
    // Without it nobody can go on: told at once, with what is said of each.
    case.sql("insert into t values (4)")?;
    purge(pair.first())?;
    let said = case.read_to_halt("SOURCE_LOG_PURGED")?;
    let plan = said.lines().rev().find(|line| line.contains("no server of the list")).context("a plan")?;
    ensure!(plan.contains("SOURCE_CHANGED") && plan.contains("SOURCE_LOG_PURGED"), "{plan}");
    ensure!(case.operations("t") == "ccc", "{:?}", case.changes("t"));
    Ok(())
}

#[test]
fn a_server_that_never_got_what_was_delivered_is_not_read() -> Result<()> {
    Pair::both()?.iter().try_for_each(lost)
}

/// A replica that has fetched what it lacks and does not apply it yet is waited for.
fn behind(pair: &Pair) -> Result<()> {
    let mut case = listed(pair, "behind", "create table t (id int primary key)")?;
    pair.second().sql("stop slave sql_thread")?;
    case.sql("insert into t values (1)")?;
    case.read()?;
    pair.kill_first()?;
    let mut limpid = case.pipeline.run(&["--until", "caught-up"])?;
    limpid.wait_for("SOURCE_BEHIND", PATIENCE)?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    pair.second().sql("start slave sql_thread")?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    case.keep(&limpid)?;
    ensure!(case.operations("t") == "c", "{:?}", case.changes("t"));
    Ok(())
}

#[test]
fn a_replica_that_lags_is_waited_for() -> Result<()> {
    Pair::both()?.iter().try_for_each(behind)
}

#[test]
fn without_gtids_nothing_takes_over() -> Result<()> {
    let lease = ports::lease()?;
    let list = |port: u16| format!("url: mysql://127.0.0.1:{},127.0.0.1:{port}", lease.port());
    if let Some(db) = mysqld_minimal() {
        // No server of a list may be without them, whichever is read.
        let url = format!("url: mysql://127.0.0.1:{0},localhost:{0}", db.port());
        let mut case =
            Case::unstarted(db, "no_gtids", "create table t (id int primary key)", |spec| spec.source(&url))?;
        let said = case.read_to_halt("POSITION_INVALID")?;
        ensure!(said.contains("gtid_mode is not ON"), "{said}");
    }
    // A place in the files of the first is none in those of the second.
    let Some(db) = maria() else { return Ok(()) };
    let start = format!("start: \"{}\"", db.end_of_log()?);
    let change = |spec: Spec| spec.source(&list(db.port())).source(&start);
    let case = Case::unstarted(db, "by_file", "create table t (id int primary key)", change)?;
    let limpid = case.pipeline.run(&[])?;
    limpid.wait_for("no server of the list can be read now", PATIENCE)?;
    ensure!(limpid.stderr().contains("holds on the server that it was read from"), "{}", limpid.stderr());
    Ok(())
}

/// Its log would lack whatever it got from the first, and nobody would notice.
#[test]
fn a_server_that_does_not_log_what_it_replicates_is_not_read() -> Result<()> {
    let extra_args = vec!["--log-slave-updates=OFF".to_owned()];
    let Some(silent) = require(mariadb::start(&mariadb::Options { extra_args, ..mariadb::Options::default() })) else {
        return Ok(());
    };
    let Some(db) = maria() else { return Ok(()) };
    let url = format!("url: mysql://127.0.0.1:{},127.0.0.1:{}", silent.port(), db.port());
    let mut case = Case::begin_with(db, "silent", "create table t (id int primary key)", |spec| spec.source(&url))?;
    case.sql("insert into t values (1)")?;
    let said = case.read()?;
    ensure!(said.contains("SOURCE_LOG_OFF") && said.contains("passed_over"), "{said}");
    case.check("t", "id")
}

/// What is done under the same data but another name is the same log, by GTID and by place.
#[test]
fn a_server_that_comes_back_with_another_uuid_is_gone_on_with() -> Result<()> {
    let Some(server) = require(mysql::start(&mysql::Options::default())) else { return Ok(()) };
    let db = Db::MySql(&server);
    let start = format!("start: \"{}\"", db.end_of_log()?);
    let by_gtid = Case::begin(db, "uuid_gtid", "create table t (id int primary key)")?;
    let by_file = Case::begin_with(db, "uuid_file", "create table t (id int primary key)", |spec| spec.source(&start))?;
    let mut cases = [by_gtid, by_file];
    let mut lives = Vec::new();
    for case in &cases {
        lives.push(running(&case.pipeline, &[])?);
        case.sql("insert into t values (1)")?;
    }
    let before = server.sql("select @@server_uuid")?;
    // In good order: it ends every dump as if its log ended there.
    server.stop()?;
    std::fs::remove_file(server.dir().join("data/auto.cnf"))?;
    server.restart()?;
    ensure!(server.sql("select @@server_uuid")? != before, "the same uuid");
    for (case, limpid) in cases.iter_mut().zip(&mut lives) {
        case.sql("insert into t values (2)")?;
        wait_until("the row", PATIENCE, || limpid.stdout().contains("\"id\":2")).with_context(|| limpid.stderr())?;
        stopped(limpid)?;
        case.keep(limpid)?;
        case.read()?;
        ensure!(case.operations("t") == "cc", "{:?}", case.changes("t"));
        case.check("t", "id")?;
    }
    Ok(())
}

/// A dump that runs is not touched by it; the next one is refused, with the statement that gives the right back.
#[test]
fn a_right_that_is_taken_away_halts_and_given_back_goes_on() -> Result<()> {
    for db in limpid_e2e::servers::both() {
        let log = if db.is_maria() { "binlog monitor" } else { "replication client" };
        db.sql(&format!(
            "create user taken@'127.0.0.1' identified by 'Secret-1'; \
             grant replication slave, {log}, select on *.* to taken@'127.0.0.1'"
        ))?;
        let change = |spec: Spec| spec.source("user: taken").source("password: Secret-1");
        let mut case = Case::begin_with(db, "taken", "create table t (id int primary key)", change)?;
        let mut limpid = running(&case.pipeline, &["--on-halt", "exit"])?;
        db.sql("revoke replication slave on *.* from taken@'127.0.0.1'")?;
        case.sql("insert into t values (1)")?;
        wait_until("the row", PATIENCE, || limpid.stdout().contains("\"id\":1")).with_context(|| limpid.stderr())?;
        let ids = db.sql("select id from information_schema.processlist where user = 'taken'")?;
        for id in ids.lines() {
            // One may be gone by itself.
            let _ = db.sql(&format!("kill {id}"));
        }
        let ended = limpid.wait(PATIENCE)?;
        case.keep(&limpid)?;
        let said = limpid.stderr();
        ensure!(ended == Ended::Code(1) && said.contains("SOURCE_GRANT_MISSING"), "{ended:?}: {said}");
        ensure!(said.contains("GRANT REPLICATION SLAVE"), "{said}");
        case.sql("insert into t values (2)")?;
        db.sql("grant replication slave on *.* to taken@'127.0.0.1'")?;
        case.read()?;
        case.check("t", "id")?;
        db.sql("drop user taken@'127.0.0.1'")?;
    }
    Ok(())
}

/// Prepared at the first, decided at the second: the rows are those that we hold.
fn decided_elsewhere(pair: &Pair) -> Result<()> {
    let mut case = listed(pair, "overxa", TABLE)?;
    let mut limpid = running(&case.pipeline, &[])?;
    let mut session = pair.first().session()?;
    let change = "insert into t values (2, 1, '')";
    for sql in [&format!("use {}", case.name), "xa start 'x'", change, "xa end 'x'", "xa prepare 'x'"] {
        session.exec(sql)?;
    }
    case.sql("insert into t values (1, 1, '')")?;
    wait_until("the row behind it", PATIENCE, || limpid.stdout().contains("\"id\":1,"))
        .with_context(|| limpid.stderr())?;
    pair.settle()?;
    drop(session);
    pair.kill_first()?;
    let second = &pair.endpoints()[1];
    wait_until("the second to be read", PATIENCE, || reads_from(&limpid, second)).with_context(|| limpid.stderr())?;
    pair.promote()?;
    pair.second().sql(&format!("use {}; insert into t values (3, 1, ''); xa commit 'x'", case.name))?;
    wait_until("its rows", PATIENCE, || limpid.stdout().contains("\"id\":2,")).with_context(|| limpid.stderr())?;
    stopped(&mut limpid)?;
    case.keep(&limpid)?;
    let seen: Vec<i64> = case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect();
    ensure!(seen == [1, 3, 2], "{seen:?}");
    let there = pair.second().sql(&format!("select id from {}.t order by id", case.name))?;
    ensure!(there.split_whitespace().eq(["1", "2", "3"]), "{there}");
    Ok(())
}

#[test]
fn what_was_prepared_at_a_killed_primary_flows_when_its_replica_commits_it() -> Result<()> {
    Pair::both()?.iter().try_for_each(decided_elsewhere)
}
