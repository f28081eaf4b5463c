//! What an operator asks of a running pipeline over its API.
//!
//! Owns: copies of tables, pauses. Does not own: who may ask (`exposed.rs`, `limpid-server`), copies themselves
//! (`snapshot.rs`).
//!
//! Invariant: the calls are the binary's own commands; the oracle is what comes out, and the table's own SELECT.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use limpid_e2e::servers::both;
use limpid_e2e::{Case, Ended, Limpid, PATIENCE, call, wait_until};

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";

/// Rows in `t` before anything starts.
const ROWS: u64 = 6000;

fn preload(case: &Case) -> Result<()> {
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id},1,'z')")).collect();
        case.sql(&format!("insert into t values {}", rows.join(",")))?;
    }
    Ok(())
}

/// One call of an operator; what it ended with and said.
fn ask(address: &str, arguments: &[&str]) -> Result<(Ended, String)> {
    call("snapshot", address, arguments)
}

#[test]
fn an_operator_has_tables_of_a_running_pipeline_copied_pauses_and_stops_that() -> Result<()> {
    for db in both() {
        let tables = format!(
            "{TABLE}; create table u (id int primary key); insert into u values (1); create table keyless (a int); \
             insert into keyless values (1), (2)"
        );
        let throttled = "{ mode: never, chunk-rows: 100, rows-per-second: 3000 }";
        let mut case = Case::unstarted(db, "asked", &tables, |spec| spec.snapshot(throttled))?;
        preload(&case)?;
        let mut running = case.pipeline.run(&[])?;
        running.wait_for("the pipeline is running", PATIENCE)?;
        let at = running.address()?;
        let name = case.name.clone();
        let table = format!("{name}.t");
        let lines = |limpid: &Limpid| limpid.stdout().lines().count();
        for (arguments, word) in [
            (vec!["nosuch", "--table", &table], "HTTP_NOT_FOUND"),
            (vec![&name, "--table", "t"], "HTTP_BAD_REQUEST"),
            (vec![&name, "--pause", "--table", &table], "USAGE_INVALID"),
        ] {
            let (ended, said) = ask(&at, &arguments)?;
            ensure!(ended == Ended::Code(2) && said.contains(word), "{arguments:?}: {ended:?} {said}");
        }
        ensure!(ask(&at, &[&name, "--table", &table, "--dry-run"])?.1.contains("would ask"));
        // What is not captured, and a condition that is none, are told in the log and halt nothing.
        ensure!(ask(&at, &[&name, "--table", "no.such"])?.0 == Ended::Code(0));
        running.wait_for("no captured table has this name", PATIENCE)?;
        ensure!(ask(&at, &[&name, "--table", &table, "--where", "nosuch = 1"])?.0 == Ended::Code(0));
        running.wait_for("\"error_code\":\"SOURCE_QUERY_FAILED\"", PATIENCE)?;
        ensure!(lines(&running) == 0, "{} rows before any was asked for", lines(&running));
        // The stream stands still for a table without a key, and goes on where that cannot be read.
        let keyless = format!("{name}.keyless");
        ensure!(ask(&at, &[&name, "--table", &keyless, "--where", "nosuch = 1"])?.0 == Ended::Code(0));
        wait_until("the second refusal", PATIENCE, || running.stderr().matches("SOURCE_QUERY_FAILED").count() >= 3)?;
        ensure!(ask(&at, &[&name, "--table", &keyless, "--where", "a = 2"])?.0 == Ended::Code(0));
        wait_until("the one row", PATIENCE, || lines(&running) == 1)?;
        let condition = "id % 2 = 0";
        ensure!(ask(&at, &[&name, "--table", &table, "--where", condition])?.0 == Ended::Code(0));
        wait_until("some rows", PATIENCE, || lines(&running) > 400)?;
        ensure!(ask(&at, &[&name, "--pause"])?.0 == Ended::Code(0));
        // A restart finds what was asked for in the record: the pause is over, the copy goes on.
        case.sql("insert into u values (2)")?;
        wait_until("the stream's row", PATIENCE, || running.stdout().contains("\"op\":\"c\""))?;
        running.signal(libc::SIGTERM);
        ensure!(running.wait(PATIENCE)? == Ended::Code(0), "{}", running.stderr());
        case.keep(&running)?;
        let first = case.changes("t").len() as u64;
        ensure!(first > 300 && first < ROWS / 2, "{first} rows before the pause");
        let mut running = case.pipeline.run(&[])?;
        running.wait_for("the tables are copied", PATIENCE)?;
        let at = running.address()?;
        ensure!(ask(&at, &[&name, "--table", &table])?.0 == Ended::Code(0));
        let rows = lines(&running);
        wait_until("some rows of the second copy", PATIENCE, || lines(&running) > rows + 200)?;
        ensure!(ask(&at, &[&name, "--stop"])?.0 == Ended::Code(0));
        case.sql("insert into u values (3)")?;
        wait_until("the stream's row", PATIENCE, || running.stdout().contains("\"op\":\"c\""))?;
        running.signal(libc::SIGTERM);
        ensure!(running.wait(PATIENCE)? == Ended::Code(0), "{}", running.stderr());
        case.keep(&running)?;
        ensure!(case.operations("u") == "cc", "{}", case.operations("u"));
        let ids: HashSet<i64> = case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect();
        let even = (0..ROWS as i64).step_by(2).filter(|id| ids.contains(id)).count() as u64;
        ensure!(even == ROWS / 2, "{even} of the rows that meet the condition");
        ensure!((ids.len() as u64) < ROWS, "the second copy was stopped, and yet all rows came");
        // Nothing is left to do.
        case.seen.clear();
        case.read()?;
        ensure!(case.seen.is_empty(), "{} changes after all was done or stopped", case.seen.len());
    }
    Ok(())
}

#[test]
fn a_paused_pipeline_reads_nothing_until_it_is_resumed_and_then_everything() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "paused", "create table t (id int primary key)")?;
        let mut running = case.pipeline.run(&[])?;
        running.wait_for("the pipeline is running", PATIENCE)?;
        let (at, name) = (running.address()?, case.name.clone());
        case.sql("insert into t values (1)")?;
        wait_until("the first row", PATIENCE, || running.stdout().contains("\"id\":1"))?;
        ensure!(call("pause", &at, &["nosuch"])?.0 == Ended::Code(2));
        ensure!(call("pause", &at, &[&name])?.0 == Ended::Code(0));
        let phase = || -> Result<String> {
            let document: serde_json::Value = serde_json::from_str(&call("status", &at, &["--format", "json"])?.1)?;
            let pipeline = &document["pipelines"][0];
            Ok(format!("{} {}", pipeline["phase"], pipeline["verdict"]))
        };
        wait_until("the reader to stand", PATIENCE, || phase().is_ok_and(|phase| phase == "\"paused\" \"stop\""))?;
        // Two looks at the head after the row: a pipeline that still read would have had it.
        case.sql("insert into t values (2)")?;
        let behind = || -> Result<bool> {
            let document: serde_json::Value = serde_json::from_str(&call("status", &at, &["--format", "json"])?.1)?;
            Ok(document["pipelines"][0]["lag_bytes"].as_u64().is_some_and(|bytes| bytes > 0))
        };
        wait_until("the lag to show", PATIENCE, || behind().unwrap_or(false))?;
        ensure!(!running.stdout().contains("\"id\":2"), "a paused pipeline read on");
        ensure!(call("resume", &at, &[&name])?.0 == Ended::Code(0));
        wait_until("the second row", PATIENCE, || running.stdout().contains("\"id\":2"))?;
        ensure!(phase()?.starts_with("\"running\""), "{}", phase()?);
        running.signal(libc::SIGTERM);
        ensure!(running.wait(PATIENCE)? == Ended::Code(0), "{}", running.stderr());
        case.keep(&running)?;
        ensure!(case.operations("t") == "cc", "{}", case.operations("t"));
    }
    Ok(())
}
