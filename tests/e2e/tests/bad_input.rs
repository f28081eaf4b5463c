//! What users write wrong and what their machines lack: a code, a sentence with its place, what to do, an exit code.
//!
//! Owns: files, secrets, topics, disks, states. Does not own: what a server refuses (`start.rs`, `logins.rs`).
//!
//! Invariant: nothing panics, no secret is ever said, and a fault of a file names its line.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria};
use limpid_e2e::{Case, Ended, Pipeline, Spec, wait_until};
use limpid_stack::TempDir;

const TABLE: &str = "create table t (id int primary key, pad longtext)";
const WAIT: Duration = Duration::from_secs(30);

/// Runs a file that must be refused with `code` and ends with 2; `line` is where the fault is.
fn refused(name: &str, yaml: &str, code: &str, words: &[&str]) -> Result<()> {
    let dir = TempDir::new(name)?;
    let pipeline = Pipeline::write(dir.path(), name, yaml)?;
    let mut limpid = pipeline.run(&["--until", "caught-up"])?;
    let ended = limpid.wait(WAIT)?;
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
        ("transforms", yaml(|s| s) + "transforms: [{ type: rename }]\n", "transforms"),
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
        let ended = limpid.wait(WAIT)?;
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

/// A small file system; `None` (said aloud) where this user may not mount one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(dir: &Path, megabytes: u32) -> Result<Option<Self>> {
        let path = dir.join("disk");
        fs::create_dir_all(&path)?;
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "limpid-e2e"]).arg(&path).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Ok(Some(Self(path)));
        }
        eprintln!("SKIPPED: a full disk needs the right to mount a tmpfs");
        Ok(None)
    }

    /// Takes all of the room that is left; the file that gives it back when it is removed.
    fn fill(&self) -> std::path::PathBuf {
        let path = self.0.join("ballast");
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", path.display())).output();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_at_the_sink_is_waited_for_and_no_line_is_lost_or_torn() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let dir = TempDir::new("full_sink")?;
    let Some(disk) = SmallDisk::mount(dir.path(), 3)? else { return Ok(()) };
    let path = disk.0.join("rows.jsonl");
    let line = format!("path: {}", path.display());
    let mut case = Case::begin_with(db, "full_sink", TABLE, |spec| spec.sink("type: file").sink(&line))?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", WAIT)?;
    let ballast = disk.fill();
    case.sql("insert into t select seq, repeat('x', 10000) from seq_1_to_100")?;
    limpid.wait_for("SINK_DISK_FULL", WAIT)?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    fs::remove_file(ballast)?;
    let last = || fs::read_to_string(&path).unwrap_or_default().contains("\"id\":100,");
    wait_until("the last line", WAIT, last).with_context(|| limpid.stderr())?;
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(WAIT)? == Ended::Code(0), "{}", limpid.stderr());
    case.seen = limpid_e2e::changes_in(&fs::read_to_string(&path)?)?;
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
    case.pipeline.data_dir = disk.0.join("data");
    case.read()?;
    let limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", WAIT)?;
    let ballast = disk.fill();
    // Each definition is kept, so room is needed soon.
    for nth in 0..40 {
        case.sql(&format!("alter table t add column c{nth} int; insert into t (id) values ({nth})"))?;
    }
    limpid.wait_for("STATE_DISK_FULL", WAIT)?;
    fs::remove_file(ballast)?;
    wait_until("the last row", WAIT, || limpid.stdout().contains("\"id\":39,")).with_context(|| limpid.stderr())
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
