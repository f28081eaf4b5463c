//! Rows that cannot be delivered: parked with their keys or put aside, kept over kills, replayed, dropped.
//!
//! Owns: the cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the table's own SELECT and Apache's console consumer, reading committed records. Every row
//! has a version that its writer raised, so that the order of a key shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, broker, maria, mysqld};
use limpid_e2e::{Ended, Limpid, PATIENCE, Pipeline, limpid, wait_until};
use limpid_stack::TempDir;
use limpid_stack::kafka::{Isolation, Server};
use serde_json::Value;

/// What the topic takes at first; a small row is below it, one with [`BIG`] characters above.
const LIMIT: &str = "20000";
const BIG: u32 = 30_000;

/// A database with the table `t`, its topic with a small limit, and a pipeline between them.
struct Scene {
    name: String,
    broker: &'static Server,
    db: Db<'static>,
    pipeline: Pipeline,
    _dir: TempDir,
}

impl Scene {
    fn begin(name: &str, db: Option<Db<'static>>, delivery: &str, lines: &str) -> Result<Option<Self>> {
        Self::begin_with(name, db, delivery, lines, "snapshot: never\n  start: head", "")
    }

    /// `lines` of the file's top level, `source` of its source, `sink` of its sink.
    fn begin_with(
        name: &str,
        db: Option<Db<'static>>,
        delivery: &str,
        lines: &str,
        source: &str,
        sink: &str,
    ) -> Result<Option<Self>> {
        let (Some(broker), Some(db)) = (broker(), db) else { return Ok(None) };
        let name = format!("{name}_{}", db.word());
        db.sql(&format!(
            "create database {name}; use {name};
             create table t (id bigint primary key, v bigint not null, pad longtext) character set latin1;
             create table u (id bigint primary key, v bigint not null)"
        ))?;
        broker.create_topic(&format!("{name}.{name}.t"), 1, &[("max.message.bytes", LIMIT)])?;
        let dir = TempDir::new(&name)?;
        let (port, bootstrap) = (db.port(), broker.bootstrap());
        let delivery = match delivery {
            "exactly-once" => "exactly-once\n  commit-interval: 20ms",
            other => other,
        };
        let yaml = format!(
            "name: {name}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  tables: [\"{name}.*\"]\n  \
             {source}\nsink:\n  type: kafka\n  brokers: [\"{bootstrap}\"]\n  delivery: {delivery}\n{sink}{lines}"
        );
        let pipeline = Pipeline::write(dir.path(), &name, &yaml)?;
        Ok(Some(Self { name, broker, db, pipeline, _dir: dir }))
    }

    fn sql(&self, script: &str) -> Result<String> {
        self.db.sql(&format!("use {}; {script}", self.name))
    }

    fn run(&self, arguments: &[&str]) -> Result<Running<'_>> {
        let limpid = self.pipeline.run(arguments)?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        limpid.wait_for("the server listens", PATIENCE)?;
        let said = limpid.stderr();
        let line = said.lines().find(|line| line.contains("the server listens")).context("it says where it listens")?;
        let line: Value = serde_json::from_str(line)?;
        let address = line["metadata"]["address"].as_str().context("the line has the address")?.to_owned();
        Ok(Running { scene: self, limpid, url: format!("http://{address}") })
    }

    fn topic(&self, table: &str) -> String {
        format!("{0}.{0}.{table}", self.name)
    }

    /// Waits until a consumer would be given so many records.
    fn arrive(&self, table: &str, count: u64) -> Result<()> {
        let seen = || self.broker.count(&self.topic(table), Isolation::ReadCommitted).unwrap_or(0);
        wait_until(&format!("{count} records of {table}"), PATIENCE, || seen() >= count)
            .with_context(|| format!("{} are there", seen()))
    }

    /// The versions of a key in the order in which a consumer is given them; 0 for a deletion, none for a tombstone.
    fn versions(&self, id: i64) -> Result<Vec<i64>> {
        let mut versions = Vec::new();
        for record in self.broker.consume(&self.topic("t"), Isolation::ReadCommitted)? {
            let key: Value = serde_json::from_slice(&record.key.context("a record has a key")?)?;
            let Some(value) = record.value.filter(|_| key["id"] == id) else { continue };
            let value: Value = serde_json::from_slice(&value)?;
            versions.push(value["after"]["v"].as_i64().unwrap_or(0));
        }
        Ok(versions)
    }

    fn raise_limit(&self) -> Result<()> {
        let (bootstrap, topic) = (self.broker.bootstrap(), self.topic("t"));
        let args = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", &topic];
        let setting = ["--add-config", "max.message.bytes=1000000"];
        self.broker.tool("kafka.admin.ConfigCommand", &[&args[..], &setting].concat()).map(drop)
    }

    fn big(&self, id: i64, v: i64) -> Result<()> {
        self.sql(&format!("replace into t values ({id}, {v}, repeat('x', {BIG}))")).map(drop)
    }

    fn small(&self, id: i64, v: i64) -> Result<()> {
        self.sql(&format!("insert into t values ({id}, {v}, 's') on duplicate key update v = {v}, pad = 's'")).map(drop)
    }
}

struct Running<'a> {
    scene: &'a Scene,
    limpid: Limpid,
    url: String,
}

impl Running<'_> {
    /// One call of `limpid dlq`: its code and what it printed and said.
    fn dlq(&self, what: &str, arguments: &[&str]) -> Result<(Ended, String)> {
        let call = [&["dlq", what, &self.scene.name], arguments, &["--server", &self.url]].concat();
        let mut call = limpid(&call)?;
        let ended = call.wait(PATIENCE)?;
        Ok((ended, call.stdout() + &call.stderr()))
    }

    fn entries(&self) -> Result<Vec<Value>> {
        let (ended, said) = self.dlq("list", &["--format", "json"])?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {said}");
        let list: Value = serde_json::from_str(&said)?;
        Ok(list["entries"].as_array().context("a list")?.clone())
    }

    fn wait_for_entries(&self, count: usize) -> Result<Vec<Value>> {
        wait_until(&format!("{count} kept rows"), PATIENCE, || self.entries().is_ok_and(|found| found.len() == count))
            .with_context(|| format!("{:?} {}", self.entries(), self.limpid.stderr()))?;
        self.entries()
    }

    fn kill(mut self) -> Result<()> {
        self.limpid.kill()
    }

    fn stop(mut self) -> Result<()> {
        self.limpid.signal(libc::SIGTERM);
        let ended = self.limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "ended with {ended:?}: {}", self.limpid.stderr());
        Ok(())
    }
}

#[test]
fn later_changes_of_a_parked_key_queue_behind_it_over_a_kill_and_a_replay_brings_them_in_order() -> Result<()> {
    for (db, delivery) in [(maria(), "at-least-once"), (mysqld(), "exactly-once")] {
        // The default: what is not written out parks the key.
        let Some(scene) = Scene::begin("parked", db, delivery, "")? else { return Ok(()) };
        let running = scene.run(&[])?;
        scene.small(1, 1)?;
        scene.small(2, 1)?;
        scene.sql(&format!("update t set v = 2, pad = repeat('x', {BIG}) where id = 1"))?;
        scene.small(1, 3)?;
        scene.small(2, 2)?;
        scene.small(3, 1)?;
        scene.arrive("t", 4)?;
        let entries = running.wait_for_entries(2)?;
        ensure!(entries[0]["error_code"] == "RECORD_TOO_LARGE" && entries[0]["kind"] == "parked", "{entries:?}");
        // The second has the large value in its image from before.
        ensure!(entries[1]["kind"] == "parked" && entries[1]["key_hash"] == entries[0]["key_hash"], "{entries:?}");
        ensure!(!entries[0].to_string().contains("xxx"), "no value is listed");
        // What it was parked for stands in a position that the sink has, so that a kill keeps it.
        scene.small(2, 3)?;
        scene.arrive("t", 5)?;
        running.kill()?;
        scene.small(1, 4)?;
        scene.small(3, 2)?;
        let running = scene.run(&[])?;
        let entries = running.wait_for_entries(3)?;
        ensure!(entries[2]["error_code"].is_null(), "it has no fault of its own, and waits: {entries:?}");
        let status: Value = {
            let mut call = limpid(&["status", "--format", "json", "--server", &running.url])?;
            call.wait(PATIENCE)?;
            serde_json::from_str(&call.stdout())?
        };
        ensure!(status["pipelines"][0]["rows_parked"] == 3, "{status}");
        // Nothing has changed: the first row is refused again, and all of the key stays.
        let (ended, said) = running.dlq("replay", &["--all"])?;
        ensure!(ended == Ended::Code(1) && said.contains("0 rows delivered"), "{ended:?}: {said}");
        ensure!(said.contains("RECORD_TOO_LARGE"), "{said}");
        let told = running.limpid.stderr();
        ensure!(!told.contains("rows that were kept are delivered"), "none was: {told}");
        let entries = running.wait_for_entries(3)?;
        scene.raise_limit()?;
        let id = entries[1]["id"].to_string();
        let (_, would) = running.dlq("replay", &[&id, "--dry-run"])?;
        ensure!(would.matches("would ask: replay").count() == 3, "all of its key: {would}");
        // One row of a key stands for all of it.
        let (ended, said) = running.dlq("replay", &[&id])?;
        ensure!(ended == Ended::Code(0) && said.contains("3 rows delivered"), "{ended:?}: {said}");
        running.wait_for_entries(0)?;
        scene.small(1, 5)?;
        scene.small(9, 1)?;
        wait_until("the last row", PATIENCE, || scene.versions(9).is_ok_and(|versions| !versions.is_empty()))?;
        running.stop()?;
        let versions = scene.versions(1)?;
        let mut once = versions.clone();
        once.dedup();
        ensure!(once == [1, 2, 3, 4, 5], "{delivery}: {versions:?}");
        ensure!(delivery == "at-least-once" || versions == once, "{delivery}: {versions:?}");
        let others = scene.versions(2)?;
        ensure!(others.last() == Some(&3), "{others:?}");
    }
    Ok(())
}

#[test]
fn a_dead_letter_is_never_written_over_a_later_version_unless_forced() -> Result<()> {
    let lines = "on-row-error: dead-letter\n";
    let Some(scene) = Scene::begin("dead", maria(), "exactly-once", lines)? else { return Ok(()) };
    let running = scene.run(&[])?;
    scene.small(1, 1)?;
    scene.sql(&format!("update t set v = 2, pad = repeat('x', {BIG}) where id = 1"))?;
    // It has the large value in its image from before.
    scene.small(1, 3)?;
    scene.small(1, 4)?;
    scene.big(2, 1)?;
    scene.big(3, 1)?;
    scene.small(9, 1)?;
    scene.arrive("t", 3)?;
    let entries = running.wait_for_entries(4)?;
    let ids: Vec<String> = entries.iter().map(|entry| entry["id"].to_string()).collect();
    ensure!(entries.iter().all(|entry| entry["kind"] == "dead_letter"), "{entries:?}");
    let superseded: Vec<bool> = entries.iter().filter_map(|entry| entry["superseded"].as_bool()).collect();
    ensure!(superseded == [true, true, false, false], "{entries:?}");
    scene.raise_limit()?;
    let (ended, said) = running.dlq("replay", &[&ids[0]])?;
    ensure!(ended == Ended::Code(1) && said.contains("a later version"), "{ended:?}: {said}");
    ensure!(scene.versions(1)? == [1, 4]);
    // What it holds is shown to whoever asks for it.
    let (_, hidden) = running.dlq("show", &[&ids[2]])?;
    let (_, raw) = running.dlq("show", &[&ids[2], "--raw"])?;
    ensure!(hidden.contains("RECORD_TOO_LARGE") && !hidden.contains("xxx") && raw.contains("xxx"), "{hidden}");
    let (ended, said) = running.dlq("replay", &[&ids[2]])?;
    ensure!(ended == Ended::Code(0) && said.contains("1 rows delivered"), "{ended:?}: {said}");
    let (ended, said) = running.dlq("drop", &[&ids[3]])?;
    ensure!(ended == Ended::Code(0) && said.contains("1 rows dropped"), "{ended:?}: {said}");
    ensure!(running.dlq("drop", &[&ids[3]])?.0 == Ended::Code(1), "it is gone");
    let (ended, said) = running.dlq("replay", &["--all", "--force"])?;
    ensure!(ended == Ended::Code(0) && said.contains("2 rows delivered"), "{ended:?}: {said}");
    running.wait_for_entries(0)?;
    running.stop()?;
    ensure!(scene.versions(1)? == [1, 4, 2, 3], "{:?}", scene.versions(1)?);
    ensure!(scene.versions(2)? == [1] && scene.versions(3)?.is_empty());
    Ok(())
}

/// At each place of a parking and of a replay, then to the end: each version of each key once, in order.
#[test]
fn killed_while_a_row_is_parked_or_replayed_nothing_is_lost_or_doubled() -> Result<()> {
    for (db, delivery) in [(maria(), "exactly-once"), (mysqld(), "at-least-once")] {
        let Some(scene) = Scene::begin("parkill", db, delivery, "on-row-error: park-key\n")? else { return Ok(()) };
        scene.run(&[])?.stop()?;
        // Killed between the state and the record: the row is read again, and is not queued twice.
        for (round, place) in ["after-parked:1", "before-record:1", "after-record:1"].into_iter().enumerate() {
            let mut running = scene.run(&["--failpoint", place])?;
            let v = 1 + 3 * round as i64;
            scene.big(1, v)?;
            scene.small(1, v + 1)?;
            scene.small(2, v)?;
            scene.small(1, v + 2)?;
            scene.small(2, v + 1)?;
            let ended = running.limpid.wait(PATIENCE)?;
            ensure!(ended == Ended::Signal(9), "{place}: {ended:?}: {}", running.limpid.stderr());
        }
        let running = scene.run(&[])?;
        // `replace` of a row that is there is an update.
        let queued = running.wait_for_entries(9)?;
        ensure!(queued[0]["error_code"] == "RECORD_TOO_LARGE", "{queued:?}");
        running.stop()?;
        scene.raise_limit()?;
        for place in ["after-replay-marked:1", "after-replay-durable:1"] {
            let mut running = scene.run(&["--failpoint", place])?;
            let before = running.entries()?.len();
            let _ = running.dlq("replay", &["--all", "--wait", "5"])?;
            let ended = running.limpid.wait(PATIENCE)?;
            ensure!(ended == Ended::Signal(9), "{place}: {ended:?}: {}", running.limpid.stderr());
            ensure!(before == 9, "{place}: {before} rows were kept");
        }
        let running = scene.run(&[])?;
        // In a transaction the record tells that the rows were committed; without, they go again.
        let left = if delivery == "exactly-once" { 0 } else { 9 };
        running.wait_for_entries(left)?;
        ensure!(running.dlq("replay", &["--all"])?.0 == Ended::Code(0));
        running.wait_for_entries(0)?;
        scene.small(1, 10)?;
        wait_until("the last row", PATIENCE, || scene.versions(1).is_ok_and(|versions| versions.last() == Some(&10)))?;
        running.stop()?;
        let all: Vec<i64> = (1..=10).collect();
        let versions = scene.versions(1)?;
        match delivery {
            "exactly-once" => {
                ensure!(versions == all, "{versions:?}");
                let others = scene.versions(2)?;
                ensure!(others == [1, 2, 4, 5, 7, 8], "{others:?}");
            }
            // The replay that was killed came through, and so did the one after it.
            _ => ensure!(versions == [&all[..9], &all].concat(), "{versions:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_changed_key_a_row_without_a_form_and_a_copied_row_are_parked_too() -> Result<()> {
    let (source, lines) = ("snapshot: initial\n  row-image: accept", "");
    let sink = "  message-key-columns: \"parkforms_maria.t:v\"\n";
    let begun = Scene::begin_with("parkforms", maria(), "exactly-once", lines, source, sink)?;
    let Some(scene) = begun else { return Ok(()) };
    scene.big(1, 1)?;
    scene.small(2, 5)?;
    let running = scene.run(&[])?;
    let entries = running.wait_for_entries(1)?;
    ensure!(entries[0]["operation"] == "read", "{entries:?}");
    scene.arrive("t", 1)?;
    // The record's key is `v`, which this image lacks.
    scene.sql("set session binlog_row_image = minimal; update t set pad = 'z' where id = 2")?;
    let entries = running.wait_for_entries(2)?;
    ensure!(entries[1]["error_code"] == "ROW_UNENCODABLE", "{entries:?}");
    let id = entries[1]["id"].to_string();
    let (_, raw) = running.dlq("show", &[&id, "--raw"])?;
    ensure!(raw.contains("after pad") && raw.contains(" z"), "{raw}");
    // From one key to another: both wait.
    scene.sql("update t set id = 3, v = 6 where id = 2")?;
    scene.sql("update t set v = 7 where id = 3")?;
    running.wait_for_entries(4)?;
    scene.raise_limit()?;
    let (ended, said) = running.dlq("replay", &["--all"])?;
    ensure!(ended == Ended::Code(1) && said.contains("1 rows delivered"), "{ended:?}: {said}");
    ensure!(said.contains("it has no record"), "{said}");
    running.wait_for_entries(3)?;
    ensure!(running.dlq("drop", &[&id])?.0 == Ended::Code(0));
    let (ended, said) = running.dlq("replay", &["--all", "--table", &format!("{}.t", scene.name)])?;
    ensure!(ended == Ended::Code(0) && said.contains("2 rows delivered"), "{ended:?}: {said}");
    running.wait_for_entries(0)?;
    running.stop()
}

/// One row has no form, the other none that the topic takes: they are known at different times.
#[test]
fn rows_of_one_batch_are_kept_in_the_logs_order_whoever_refuses_them() -> Result<()> {
    let (source, lines) = ("snapshot: never\n  start: head\n  row-image: accept", "on-row-error: dead-letter\n");
    let sink = "  message-key-columns: \"parkorder_maria.t:v\"\n";
    let begun = Scene::begin_with("parkorder", maria(), "exactly-once", lines, source, sink)?;
    let Some(scene) = begun else { return Ok(()) };
    let running = scene.run(&[])?;
    scene.small(1, 5)?;
    scene.arrive("t", 1)?;
    let transaction = |changes: &str| scene.sql(&format!("set binlog_row_image = minimal; begin; {changes}; commit"));
    transaction(&format!("insert into t values (2, 6, repeat('x', {BIG})); update t set pad = 'z' where id = 2"))?;
    // A row that is refused has superseded nothing.
    transaction(&format!("delete from t where id = 1; insert into t values (1, 5, repeat('x', {BIG}))"))?;
    let entries = running.wait_for_entries(4)?;
    let codes: Vec<&str> = entries.iter().filter_map(|entry| entry["error_code"].as_str()).collect();
    let expected = ["RECORD_TOO_LARGE", "ROW_UNENCODABLE", "ROW_UNENCODABLE", "RECORD_TOO_LARGE"];
    ensure!(codes == expected, "{entries:?}");
    let superseded =
        |entries: &[Value]| -> Vec<bool> { entries.iter().filter_map(|entry| entry["superseded"].as_bool()).collect() };
    ensure!(superseded(&entries) == [false; 4], "{entries:?}");
    scene.small(2, 7)?;
    scene.arrive("t", 2)?;
    let entries = running.entries()?;
    ensure!(superseded(&entries) == [true, true, false, false], "{entries:?}");
    let (ended, said) = running.dlq("replay", &[&entries[0]["id"].to_string(), "99", "--dry-run"])?;
    ensure!(ended == Ended::Code(1) && said.contains("a later version") && said.contains("no such row"), "{said}");
    running.stop()
}

#[test]
fn too_many_faults_halt_the_table_and_no_other() -> Result<()> {
    let Some(scene) = Scene::begin("parklimit", maria(), "at-least-once", "")? else { return Ok(()) };
    let running = scene.run(&[])?;
    for id in 0..25 {
        scene.big(id, 1)?;
    }
    running.limpid.wait_for("\"level\":\"ERROR\"", PATIENCE)?;
    let said = running.limpid.stderr();
    let line = said.lines().find(|line| line.contains("\"level\":\"ERROR\"")).unwrap_or_default();
    ensure!(line.contains("RECORD_TOO_LARGE") && line.contains("more than 1 %"), "{line}");
    ensure!(running.wait_for_entries(20)?.len() == 20, "what was parked before stays");
    scene.sql("insert into u values (1, 1)")?;
    scene.arrive("u", 1)?;
    scene.small(100, 1)?;
    scene.sql("insert into u values (2, 1)")?;
    scene.arrive("u", 2)?;
    ensure!(scene.broker.count(&scene.topic("t"), Isolation::ReadCommitted)? == 0, "the table is halted");
    running.kill()?;
    let running = scene.run(&[])?;
    ensure!(running.wait_for_entries(20)?.len() == 20, "they stay over a kill");
    running.stop()
}

#[test]
fn a_viewer_lists_and_only_an_operator_replays_drops_and_sees_bytes() -> Result<()> {
    let Some(scene) = Scene::begin("parkrights", maria(), "at-least-once", "")? else { return Ok(()) };
    let token = |name: &str| format!("0123456789abcdef-a-token-of-{name}");
    let file = |name: &str, text: &str| -> Result<String> {
        let path = scene._dir.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path.display().to_string())
    };
    let all = file("tokens", &format!("vera viewer {}\nada operator {}\n", token("vera"), token("ada")))?;
    let (vera, ada) = (file("vera", &token("vera"))?, file("ada", &token("ada"))?);
    let running = scene.run(&["--auth-token-file", &all])?;
    scene.big(1, 1)?;
    let listed = |who: &str| running.dlq("list", &["--format", "json", "--token-file", who]);
    wait_until("the row", PATIENCE, || listed(&vera).is_ok_and(|(_, said)| said.contains("RECORD_TOO_LARGE")))?;
    let list: Value = serde_json::from_str(&listed(&vera)?.1)?;
    let id = list["entries"][0]["id"].to_string();
    ensure!(running.dlq("show", &[&id, "--token-file", &vera])?.0 == Ended::Code(0));
    for arguments in [["show", "--raw"], ["replay", "--format=text"], ["drop", "--format=text"]] {
        let [what, option] = arguments;
        let (ended, said) = running.dlq(what, &[&id, option, "--token-file", &vera])?;
        ensure!(ended == Ended::Code(2) && said.contains("AUTH_FORBIDDEN"), "{what}: {ended:?} {said}");
        let (ended, said) = running.dlq(what, &[&id, option])?;
        ensure!(ended == Ended::Code(2) && said.contains("AUTH_TOKEN_INVALID"), "{what}: {ended:?} {said}");
    }
    ensure!(running.dlq("show", &[&id, "--raw", "--token-file", &ada])?.1.contains("xxx"));
    ensure!(running.dlq("drop", &[&id, "--token-file", &ada])?.0 == Ended::Code(0));
    let (ended, said) = running.dlq("show", &[&id, "--token-file", &ada])?;
    ensure!(ended == Ended::Code(2) && said.contains("HTTP_NOT_FOUND"), "{said}");
    let said = running.limpid.stderr();
    ensure!(said.contains("/dlq/drop") && said.contains("\"who\":\"ada\""), "the audit: {said}");
    running.stop()
}
