//! `limpid plan`: what a start would do, told before.
//!
//! Owns: the cases. Does not own: what a start does (`start.rs`, `snapshot.rs`, `instances.rs`).
//!
//! Invariant: each thing that is foretold is then seen to happen, and foretelling it changed nothing: no topic, no
//! record, no state.

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, broker, maria};
use limpid_e2e::{Case, Ended, PATIENCE, limpid, wait_until};
use limpid_stack::kafka::Isolation;
use serde_json::Value;

/// The plan, and what the command ended with.
fn plan(case: &Case) -> Result<(Ended, Value)> {
    let (file, data) = (case.pipeline.file.display().to_string(), case.pipeline.data_dir.display().to_string());
    let mut asked = limpid(&["plan", &file, "--data-dir", &data, "--format", "json"])?;
    let ended = asked.wait(PATIENCE)?;
    let document = serde_json::from_str(&asked.stdout()).with_context(|| asked.stderr())?;
    Ok((ended, document))
}

fn action<'a>(plan: &'a Value, table: &str) -> &'a str {
    let tables = plan["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = tables.iter().find(|found| found["table"] == table);
    found.and_then(|found| found["action"].as_str()).unwrap_or("not captured")
}

#[test]
fn what_is_planned_is_what_happens_and_planning_changes_nothing() -> Result<()> {
    for db in both() {
        let Some(broker) = broker() else { return Ok(()) };
        let tables = "create table t (id int primary key); insert into t values (1), (2); create table keyless (a int)";
        let mut case = Case::unstarted(db, "planned", tables, |spec| {
            spec.to_kafka(&broker.bootstrap()).delivery("exactly-once").snapshot("initial")
        })?;
        let topic = format!("{0}.{0}.t", case.name);
        let (ended, first) = plan(&case)?;
        ensure!(ended == Ended::Code(0) && first["start"] == "first" && first["position"].is_string(), "{first}");
        ensure!((action(&first, "t"), action(&first, "keyless")) == ("copy", "copy"), "{first}");
        ensure!(first["tables"][0]["has_key"] == false && first["tables"][1]["has_key"] == true, "{first}");
        ensure!(first["tables"][1]["topic"] == topic.as_str(), "{first}");
        ensure!(first["tables"][1]["topic_exists"] == false && first["snapshot"]["tables"] == 2, "{first}");
        ensure!(!case.pipeline.data_dir.exists(), "planning made a state directory");
        // The same again: the topic was not made by asking.
        ensure!(plan(&case)?.1["tables"][1]["topic_exists"] == false);
        case.read()?;
        ensure!(broker.count(&topic, Isolation::ReadCommitted)? == 2);
        case.sql("create table later (id int primary key); insert into later values (7)")?;
        let (ended, second) = plan(&case)?;
        ensure!(ended == Ended::Code(0) && second["start"] == "resume", "{second}");
        ensure!((action(&second, "t"), action(&second, "later")) == ("stream", "copy"), "{second}");
        ensure!(second["tables"][2]["topic_exists"] == true && second["snapshot"]["tables"] == 1, "{second}");
        // The plan shut nobody out: the record's epoch is that of the run.
        let running = case.pipeline.run(&[])?;
        running.wait_for("the tables are copied", PATIENCE)?;
        let (ended, refused) = plan(&case)?;
        ensure!(ended == Ended::Code(1) && refused["error_code"] == "STATE_LOCKED", "{refused}");
        // Another directory knows nothing of what the sink has. Who asks from there looks at the sink, and shuts nobody
        // out: the one that runs delivers on.
        let own = case.pipeline.clone();
        case.pipeline = own.with_data_dir("empty");
        let (ended, empty) = plan(&case)?;
        ensure!(ended == Ended::Code(1) && empty["error_code"] == "STATE_EMPTY", "{empty}");
        case.sql("insert into t values (3)")?;
        let seen = || broker.count(&topic, Isolation::ReadCommitted).unwrap_or(0);
        wait_until("the row behind the plan", PATIENCE, || seen() == 3).with_context(|| running.stderr())?;
        ensure!(!running.stderr().contains("FENCED"), "{}", running.stderr());
        drop(running);
        let (ended, said) = case.run(&["--on-halt", "exit"])?;
        ensure!(ended == Ended::Code(1) && said.contains("STATE_EMPTY"), "{ended:?} {said}");
    }
    Ok(())
}

#[test]
fn a_change_of_what_is_captured_and_a_position_that_is_gone_are_told() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case =
        Case::begin(db, "replanned", "create table t (id int primary key); create table u (id int primary key)")?;
    case.sql("insert into t values (1)")?;
    case.read()?;
    let (ended, same) = plan(&case)?;
    ensure!(ended == Ended::Code(0) && same["start"] == "resume" && same["selection_changed"] == false, "{same}");
    ensure!(same["snapshot"]["tables"] == 0 && action(&same, "t") == "stream", "{same}");
    ensure!(same["tables"][0]["topic"].is_null(), "a pipe has no topics: {same}");
    let yaml = std::fs::read_to_string(&case.pipeline.file)?;
    let fewer = yaml.replace(&format!("[\"{}.*\"]", case.name), &format!("[\"{}.t\"]", case.name));
    std::fs::write(&case.pipeline.file, &fewer)?;
    let (ended, other) = plan(&case)?;
    ensure!(ended == Ended::Code(0) && other["selection_changed"] == true, "{other}");
    ensure!(action(&other, "u") == "not captured", "{other}");
    // A first start at a place that is not there.
    std::fs::write(&case.pipeline.file, fewer.replace("start: head", "start: \"file:nosuch.000009:4\""))?;
    case.pipeline = case.pipeline.with_data_dir("elsewhere");
    let (ended, gone) = plan(&case)?;
    ensure!(ended == Ended::Code(1) && gone["start"] == "refused", "{gone}");
    let code = gone["error_code"].as_str().unwrap_or_default().to_owned();
    case.read_to_halt(&code)?;
    Ok(())
}
