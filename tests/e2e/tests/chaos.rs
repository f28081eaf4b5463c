//! Killed at random moments, servers that stand still, a clock that jumps: nothing is lost, nothing is doubled.
//!
//! Owns: the random moments. Does not own: the named places (`crash.rs`, `snapshot.rs`), cut connections
//! (`outages.rs`).
//!
//! Invariant: the oracle is the table's own SELECT and Apache's console consumer. Moments are random; the seed is
//! printed and `LIMPID_SEED` repeats it.
#![expect(clippy::disallowed_methods, reason = "a moment is random only by the real clock; nothing is awaited by it")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria, mysqld};
use limpid_e2e::{
    Case, Db, Ended, PATIENCE, Seeded, Skew, Writer, call, check_exactly_once, check_nothing_lost, page, seen_in,
    wait_until,
};
use limpid_stack::kafka::{self, Isolation};
use limpid_stack::{mariadb, require};

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";

/// So many kills in one run of the tests; `make soak` has fifty.
fn kills() -> usize {
    if std::env::var_os("LIMPID_SOAK").is_some() { 50 } else { 8 }
}

fn begin<'a>(db: Db<'a>, name: &str, bootstrap: &str, delivery: &str) -> Result<(Case<'a>, Vec<Writer>)> {
    let case = Case::unstarted(db, name, TABLE, |spec| spec.to_kafka(bootstrap).delivery(delivery))?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    limpid.kill()?;
    let writers = [Writer::start(db.session()?, &case.name, 0)?, Writer::start(db.session()?, &case.name, 1)?];
    Ok((case, writers.into()))
}

fn finish(case: &Case, writers: Vec<Writer>, broker: &kafka::Server, delivery: &str, restarts: usize) -> Result<()> {
    for writer in writers {
        writer.stop()?;
    }
    case.pipeline.run_to_end()?;
    let seen = seen_in(&broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?)?;
    let table = case.sql("select id, v from t")?;
    if delivery == "exactly-once" {
        return check_exactly_once(&seen, &table);
    }
    check_nothing_lost(&seen, &table, restarts)?;
    for (id, history) in &seen {
        let mut known = 0;
        for version in history.iter().flatten() {
            ensure!(*version <= known + 1, "key {id}: version {version} comes before {}", known + 1);
            known = known.max(*version);
        }
    }
    Ok(())
}

fn killed_at_random_moments(db: Db, name: &str, delivery: &str) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let (case, writers) = begin(db, name, &broker.bootstrap(), delivery)?;
    let mut dice = Seeded::new();
    for _ in 0..kills() {
        let mut limpid = case.pipeline.run(&[])?;
        // From the middle of its start to well into its work.
        std::thread::sleep(Duration::from_millis(u64::from(dice.below(1500)) + 20));
        ensure!(limpid.is_running(), "it ended by itself: {}", limpid.stderr());
        limpid.kill()?;
    }
    finish(&case, writers, broker, delivery, kills())
}

#[test]
fn killed_at_random_moments_each_version_of_each_key_stands_once() -> Result<()> {
    maria().into_iter().try_for_each(|db| killed_at_random_moments(db, "random_once", "exactly-once"))
}

#[test]
fn killed_at_random_moments_versions_repeat_and_none_is_missing_or_early() -> Result<()> {
    mysqld().into_iter().try_for_each(|db| killed_at_random_moments(db, "random_least", "at-least-once"))
}

/// Connections stay open and nothing answers: longer than a commit may take, then all goes on.
#[test]
fn a_broker_that_stands_still_during_commits_loses_and_doubles_nothing() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let Some(broker) = require(kafka::start(&kafka::Options::default())) else { return Ok(()) };
    let (case, writers) = begin(db, "still_broker", &broker.bootstrap(), "exactly-once")?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let still = if std::env::var_os("LIMPID_SOAK").is_some() { 45 } else { 12 };
    for _ in 0..2 {
        let before = writers.iter().map(Writer::statements).sum::<u64>();
        wait_until("more statements", PATIENCE, || writers.iter().map(Writer::statements).sum::<u64>() > before + 200)?;
        broker.pause()?;
        std::thread::sleep(Duration::from_secs(still));
        broker.resume()?;
    }
    // It is a broker again once it commits; a drain while it is away is another matter.
    let seen = || broker.count(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted).unwrap_or(0);
    let before = seen();
    let address = limpid.address()?;
    wait_until("rows to be committed again", PATIENCE, || seen() > before + 200).with_context(|| {
        let told = ["/api/v1/pipelines", "/metrics"].map(|path| page(&address, path).unwrap_or_default());
        format!("{} {} records; {told:?}; {}", seen(), broker.log_tail(), limpid.stderr())
    })?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    finish(&case, writers, &broker, "exactly-once", 0).with_context(|| limpid.stderr())
}

/// Linked without that option, librdkafka's threads ask a broker that stands still again and again, a whole core each.
#[test]
fn librdkafka_waits_by_our_poll_and_not_by_the_c_librarys() -> Result<()> {
    let program = limpid_e2e::program();
    let nm =
        std::process::Command::new("nm").args(["-D", "--undefined-only"]).arg(program).output().context("run nm")?;
    let text = String::from_utf8(nm.stdout)?;
    let wanted: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()?.split('@').next()).collect();
    ensure!(wanted.contains(&"ppoll") && !wanted.contains(&"poll"), "of the C library it wants {wanted:?}");
    Ok(())
}

/// By the C library's, each record with headers costs half as much again. What a library allocates another part frees, so it is
/// all of these functions or none, and for libraries that are loaded too.
#[test]
fn everybody_in_the_process_allocates_by_our_allocator() -> Result<()> {
    let program = limpid_e2e::program();
    let nm = std::process::Command::new("nm").args(["-D", "--defined-only"]).arg(program).output().context("run nm")?;
    let text = String::from_utf8(nm.stdout)?;
    let ours: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    for name in ["malloc", "calloc", "realloc", "free", "memalign", "aligned_alloc", "posix_memalign", "strdup"] {
        ensure!(ours.contains(&name), "{name} is the C library's");
    }
    Ok(())
}

/// The server's process stops for longer than it may be silent, and goes on as if nothing had been.
#[test]
fn a_source_that_stands_still_is_noticed_and_nothing_is_lost_or_doubled() -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return Ok(()) };
    let (case, writers) = begin(Db::Maria(&server), "still_source", &broker.bootstrap(), "exactly-once")?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let written = || writers.iter().map(Writer::statements).sum::<u64>();
    let before = written();
    wait_until("more statements", PATIENCE, || written() > before + 200)?;
    server.pause()?;
    let still = if std::env::var_os("LIMPID_SOAK").is_some() { 60 } else { 12 };
    std::thread::sleep(Duration::from_secs(still));
    let at = limpid.address()?;
    let (_, said) = call("status", &at, &["--format", "json"])?;
    let shown: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(shown["pipelines"][0]["verdict"] == "blind", "nobody sees the head, and the verdict is {shown}");
    server.resume()?;
    limpid.wait_for("SOURCE_UNREACHABLE", PATIENCE)?;
    let before = written();
    wait_until("more statements", PATIENCE, || written() > before + 200)?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    finish(&case, writers, broker, "exactly-once", 0).with_context(|| limpid.stderr())
}

/// The wall clock of our process goes an hour ahead, two back, and is right again; a kill falls into the past. A
/// stand-in for the machine's own clock, see `Skew`.
#[test]
fn a_wall_clock_of_ours_that_jumps_loses_doubles_and_stops_nothing() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let (case, writers) = begin(db, "jumps", &broker.bootstrap(), "exactly-once")?;
    case.sql("create table jumps (id int primary key)")?;
    let skew = Skew::new("jumps")?;
    let [topic, jumps] = ["t", "jumps"].map(|table| format!("{0}.{0}.{table}", case.name));
    let count = |topic: &str| broker.count(topic, Isolation::ReadCommitted).unwrap_or(0);
    let seen = || count(&topic);
    let mut limpid = case.pipeline.run_in(&skew.variables(), &[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    for (nth, (hours, is_killed)) in (1..).zip([(1, false), (-1, true), (0, false)]) {
        skew.set(hours * 3600)?;
        // What is written now is made by that clock; rows of the writers may have been made before.
        case.sql(&format!("insert into jumps values ({nth})"))?;
        let before = seen();
        wait_until("the row of this clock", PATIENCE, || count(&jumps) == nth).with_context(|| limpid.stderr())?;
        wait_until("more rows", PATIENCE, || seen() > before + 200).with_context(|| limpid.stderr())?;
        let (_, said) = call("status", &limpid.address()?, &["--format", "json"])?;
        let shown: serde_json::Value = serde_json::from_str(&said)?;
        ensure!(shown["pipelines"][0]["phase"] == "running", "{shown}");
        if is_killed {
            limpid.kill()?;
            limpid = case.pipeline.run_in(&skew.variables(), &[])?;
            limpid.wait_for("the pipeline is running", PATIENCE)?;
        }
    }
    let said = limpid.stderr();
    ensure!(!said.contains("\"level\":\"ERROR\""), "{said}");
    // Records say when they were made, and did so by each clock.
    let mut hours = Vec::new();
    for record in broker.consume(&jumps, Isolation::ReadCommitted)? {
        let value = record.value.context("a row")?;
        let value: serde_json::Value = serde_json::from_slice(&value)?;
        let made = value["ts_ms"].as_i64().context("when it was made")?;
        let committed = value["source"]["ts_ms"].as_i64().context("when it was committed")?;
        let nth = value["after"]["id"].as_i64().context("which row it is")?;
        hours.push((nth, (made - committed + 1_800_000).div_euclid(3_600_000)));
    }
    hours.sort_unstable();
    ensure!(hours == [(1, 1), (2, -1), (3, 0)], "{hours:?}: {said}");
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    finish(&case, writers, broker, "exactly-once", 1)
}
