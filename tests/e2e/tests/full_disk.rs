//! A disk without room: waited for, said so, and nothing is lost or torn when there is room again.
//!
//! Owns: full disks under the sink's file, the state, rows that are held for an XA decision, rows that are kept. Does
//! not own: the statement of the state alone (`limpid-state`).
//!
//! Invariant: the disk is a real file system, small; the oracle is the server's own SELECT.

use std::fs;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, broker, maria};
use limpid_e2e::{Case, Ended, PATIENCE, SmallDisk, Spec, call, changes_in, wait_until};
use limpid_stack::TempDir;
use limpid_stack::kafka::Isolation;

const TABLE: &str = "create table t (id int primary key, pad longtext)";

#[test]
fn a_full_disk_at_the_sink_is_waited_for_and_no_line_is_lost_or_torn() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let dir = TempDir::new("full_sink")?;
    let Some(disk) = SmallDisk::mount(dir.path(), 3)? else { return Ok(()) };
    let path = disk.path().join("rows.jsonl");
    let line = format!("path: {}", path.display());
    let mut case = Case::begin_with(db, "full_sink", TABLE, |spec| spec.sink("type: file").sink(&line))?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let ballast = disk.fill();
    case.sql("insert into t select seq, repeat('x', 10000) from seq_1_to_100")?;
    limpid.wait_for("SINK_DISK_FULL", PATIENCE)?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    fs::remove_file(ballast)?;
    let last = || fs::read_to_string(&path).unwrap_or_default().contains("\"id\":100,");
    wait_until("the last line", PATIENCE, last).with_context(|| limpid.stderr())?;
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
    case.seen = changes_in(&fs::read_to_string(&path)?)?;
    let mut ids: Vec<_> = case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids == (1..=100).collect::<Vec<i64>>(), "{} of 100 rows", ids.len());
    Ok(())
}

#[test]
fn a_full_disk_at_the_state_is_waited_for() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let dir = TempDir::new("full_state")?;
    let Some(disk) = SmallDisk::mount(dir.path(), 2)? else { return Ok(()) };
    let mut case = Case::unstarted(db, "full_state", TABLE, |spec| spec)?;
    case.pipeline.data_dir = disk.path().join("data");
    case.read()?;
    let limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let ballast = disk.fill();
    // Each definition is kept, so room is needed soon.
    for nth in 0..40 {
        case.sql(&format!("alter table t add column c{nth} int; insert into t (id) values ({nth})"))?;
    }
    limpid.wait_for("STATE_DISK_FULL", PATIENCE)?;
    fs::remove_file(ballast)?;
    wait_until("the last row", PATIENCE, || limpid.stdout().contains("\"id\":39,")).with_context(|| limpid.stderr())
}

/// Rows of a prepared transaction have no room to be held: nothing passes them, and they are whole once there is room.
#[test]
fn a_full_disk_under_held_rows_is_waited_for_and_none_is_lost() -> Result<()> {
    for db in both() {
        let dir = TempDir::new("full_held")?;
        let Some(disk) = SmallDisk::mount(dir.path(), 24)? else { return Ok(()) };
        let mut case = Case::unstarted(db, "full_held", TABLE, |spec| spec)?;
        case.pipeline.data_dir = disk.path().join("data");
        case.read()?;
        let limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        let ballast = disk.fill();
        let mut session = db.session()?;
        session.exec(&format!("use {}; xa start 'f'", case.name))?;
        for id in 100..112 {
            session.exec(&format!("insert into t values ({id}, repeat('x', 1000000))"))?;
        }
        session.exec("xa end 'f'; xa prepare 'f'")?;
        case.sql("insert into t values (1, '')")?;
        limpid.wait_for("STATE_DISK_FULL", PATIENCE)?;
        ensure!(!limpid.stdout().contains("\"id\":1,"), "a row passed what could not be held");
        fs::remove_file(ballast)?;
        wait_until("the row behind it", PATIENCE, || limpid.stdout().contains("\"id\":1,"))
            .with_context(|| limpid.stderr())?;
        session.exec("xa commit 'f'")?;
        wait_until("its rows", PATIENCE, || limpid.stdout().contains("\"id\":111,"))
            .with_context(|| limpid.stderr())?;
        case.keep(&limpid)?;
        ensure!(case.operations("t") == "c".repeat(13), "{}", case.operations("t"));
        case.check("t", "id, pad")?;
    }
    Ok(())
}

/// A row that the topic does not take has no room to be kept: nothing passes it, and it is kept once there is room.
#[test]
fn a_full_disk_under_kept_rows_is_waited_for_and_each_is_kept_once() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let dir = TempDir::new("full_kept")?;
    let Some(disk) = SmallDisk::mount(dir.path(), 24)? else { return Ok(()) };
    let change = |spec: Spec| spec.to_kafka(&broker.bootstrap()).delivery("exactly-once");
    let mut case = Case::unstarted(db, "full_kept", TABLE, change)?;
    case.pipeline.data_dir = disk.path().join("data");
    let topic = format!("{0}.{0}.t", case.name);
    broker.create_topic(&topic, 1, &[("max.message.bytes", "20000")])?;
    let yaml = fs::read_to_string(&case.pipeline.file)?.replace("on-row-error: halt-table", "on-row-error: park-key");
    ensure!(yaml.contains("park-key"), "{yaml}");
    fs::write(&case.pipeline.file, yaml)?;
    let limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let arrived = |count| broker.count(&topic, Isolation::ReadCommitted).is_ok_and(|found| found == count);
    // Its limit is known from here on.
    case.sql("insert into t values (1, '')")?;
    wait_until("the first row", PATIENCE, || arrived(1)).with_context(|| limpid.stderr())?;
    let ballast = disk.fill();
    // A body of this size is in a file of its own.
    case.sql("insert into t values (2, repeat('x', 2000000)); insert into t values (3, '')")?;
    limpid.wait_for("STATE_DISK_FULL", PATIENCE)?;
    ensure!(arrived(1), "a row passed one that could not be kept");
    fs::remove_file(ballast)?;
    wait_until("the row behind it", PATIENCE, || arrived(2)).with_context(|| limpid.stderr())?;
    let at = limpid.address()?;
    let (_, said) = call("dlq", &at, &["list", &case.name, "--format", "json"])?;
    let listed: serde_json::Value = serde_json::from_str(&said)?;
    let entries = listed["entries"].as_array().context("a list")?;
    ensure!(entries.len() == 1 && entries[0]["error_code"] == "RECORD_TOO_LARGE", "{listed}");
    let (_, shown) = call("dlq", &at, &["show", &case.name, &entries[0]["id"].to_string(), "--raw"])?;
    let there = shown.matches('x').count();
    ensure!(there >= 2_000_000, "{there} of its bytes are kept");
    Ok(())
}
