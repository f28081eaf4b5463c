//! What users write wrong and what their machines lack: a code, a sentence with its place, what to do, an exit code.
//!
//! Owns: files, secrets, topics, states. Does not own: what a server refuses (`start.rs`, `logins.rs`), full disks
//! (`full_disk.rs`).
//!
//! Invariant: nothing panics, no secret is ever said, and a fault of a file names its line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria};
use limpid_e2e::{Case, Ended, PATIENCE, Pipeline, Spec};
use limpid_stack::TempDir;

const TABLE: &str = "create table t (id int primary key, pad longtext)";

/// Runs a file that must be refused with `code` and ends with 2; `line` is where the fault is.
fn refused(name: &str, yaml: &str, code: &str, words: &[&str]) -> Result<()> {
    let dir = TempDir::new(name)?;
    let pipeline = Pipeline::write(dir.path(), name, yaml)?;
    let mut limpid = pipeline.run(&["--until", "caught-up"])?;
    let ended = limpid.wait(PATIENCE)?;
    let said = limpid.stderr();
    ensure!(ended == Ended::Code(2), "{name}: {ended:?}: {said}");
    ensure!(said.contains(&format!("error[{code}]: ")), "{name}: {said}");
    ensure!(said.contains(&format!("--> {}:", pipeline.file.display())), "{name}: no place in {said}");
    ensure!(said.contains("help: ") && said.contains(&format!("docs/faults/{code}.md")), "{name}: no help in {said}");
    for word in words {
        ensure!(said.contains(word), "{name}: no {word:?} in {said}");
    }
    ensure!(!said.contains("panicked") && !said.contains("hunter2"), "{name}: {said}");
    Ok(())
}

fn yaml(change: impl FnOnce(Spec) -> Spec) -> String {
    change(Spec::new("shop", 3306)).yaml()
}

#[test]
fn mistakes_in_a_file_are_told_with_line_and_remedy() -> Result<()> {
    refused("unknown", &yaml(|s| s.source("tabels: [a.b]")), "CONFIG_UNKNOWN_KEY", &["tabels", "tables", ":10:"])?;
    refused("ill_typed", &yaml(|s| s.source("server-id: many")), "CONFIG_WRONG_TYPE", &["server-id"])?;
    refused("choice", &yaml(|s| s.source("row-image: most")), "CONFIG_BAD_VALUE", &["row-image", "full", "accept"])?;
    refused("missing", &yaml(|s| s).replace("  user: root\n", ""), "CONFIG_MISSING_KEY", &["user"])?;
    let variable = yaml(|s| s.source("password: ${env:LIMPID_E2E_NOT_SET}"));
    refused("variable", &variable, "CONFIG_VARIABLE_MISSING", &["LIMPID_E2E_NOT_SET"])?;
    let secret = yaml(|s| s.source("password: ${file:/nowhere/secret}"));
    refused("secret", &secret, "CONFIG_SECRET_UNREADABLE", &["/nowhere/secret"])?;
    refused("address", &yaml(|s| s.source("url: \"http://u:hunter2@h\"")), "CONFIG_BAD_VALUE", &["url"])?;
    refused("syntax", "name: shop\nsource: [\n", "CONFIG_SYNTAX", &[])?;
    refused("sink", &yaml(|s| s.sink("type: carrier-pigeon")), "CONFIG_BAD_VALUE", &["type"])
}

#[test]
fn what_is_not_in_this_version_is_refused_by_name() -> Result<()> {
    for (name, text, word) in [
        ("transforms", yaml(|s| s) + "transforms: [{ type: outbox }]\n", "outbox"),
        ("verify", yaml(|s| s) + "verify: { cycle: 24h }\n", "verify"),
        ("format", yaml(|s| s.sink("format: avro")), "format"),
    ] {
        refused(name, &text, "NOT_IN_THIS_VERSION", &[word])?;
    }
    Ok(())
}

#[test]
fn exactly_once_is_refused_where_the_sink_has_no_transactions() -> Result<()> {
    for kind in ["stdout", "null", "file\n  path: /tmp/x"] {
        let text =
            yaml(|s| s.sink(&format!("type: {kind}"))).replace("delivery: at-least-once", "delivery: exactly-once");
        refused("exactly", &text, "CONFIG_BAD_VALUE", &["delivery", "exactly-once"])?;
    }
    Ok(())
}

#[test]
fn two_files_with_one_name_and_a_file_that_is_not_there_are_refused() -> Result<()> {
    let dir = TempDir::new("names")?;
    let first = Pipeline::write(dir.path(), "first", &yaml(|s| s))?;
    let second = Pipeline::write(dir.path(), "second", &yaml(|s| s))?;
    for (file, code) in
        [(second.file.as_path(), "CONFIG_DUPLICATE_NAME"), (Path::new("/nowhere.yaml"), "CONFIG_UNREADABLE")]
    {
        let mut limpid = first.run(&[file.to_str().context("a path in UTF-8")?])?;
        let ended = limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(2) && limpid.stderr().contains(code), "{ended:?}: {}", limpid.stderr());
    }
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_halts_where_none_may_be_made() -> Result<()> {
    let (Some(db), Some(broker)) = (maria(), broker()) else { return Ok(()) };
    let mut case = Case::unstarted(db, "no_topic", TABLE, |spec| {
        spec.to_kafka(&broker.bootstrap()).sink("topic-creation: { enabled: false }").source("start: earliest")
    })?;
    case.sql("insert into t values (1, '')")?;
    let said = case.read_to_halt("TOPIC_MISSING")?;
    ensure!(said.contains("no_topic_maria.no_topic_maria.t"), "{said}");
    // Once it is there, the row is not lost.
    broker.create_topic("no_topic_maria.no_topic_maria.t", 1, &[])?;
    case.read()?;
    let count = broker.count("no_topic_maria.no_topic_maria.t", limpid_stack::kafka::Isolation::ReadCommitted)?;
    ensure!(count == 1, "{count} records");
    Ok(())
}

#[test]
fn a_state_of_a_newer_release_or_without_rights_is_refused() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "newer", TABLE)?;
    let database = fs::read_dir(&case.pipeline.data_dir)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3")))
        .context("a database in the data directory")?;
    // SQLite keeps `user_version` at byte 60 of a file; nothing else holds it.
    let whole = fs::read(&database)?;
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&i32::MAX.to_be_bytes());
    fs::write(&database, &newer)?;
    let (ended, said) = case.run(&["--until", "caught-up"])?;
    ensure!(matches!(ended, Ended::Code(1 | 2)) && said.contains("STATE_NEWER"), "{ended:?}: {said}");
    let mut torn = whole.clone();
    for byte in &mut torn[4096..] {
        *byte ^= 0x5a;
    }
    fs::write(&database, &torn)?;
    let (ended, said) = case.run(&["--until", "caught-up"])?;
    ensure!(matches!(ended, Ended::Code(1 | 2)) && said.contains("STATE_CORRUPT"), "{ended:?}: {said}");
    fs::write(&database, &whole)?;
    case.sql("insert into t values (1, '')")?;
    case.read()?;
    case.check("t", "id")
}
