//! `limpid doctor` against real servers: what is well passes, and each thing that is broken has its finding.
//!
//! Owns: breaking one thing at a time. Does not own: what a run does about it (`start.rs`, `logins.rs`, `bad_input.rs`).
//!
//! Invariant: the rights that `--grants` prints are given as they are, by the server's own client, and are enough.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, both, broker, maria};
use limpid_e2e::{Ended, PATIENCE, Pipeline, Spec, limpid};
use limpid_stack::{TempDir, mariadb, require};
use serde_json::Value;

/// What the doctor says.
struct Said {
    code: Ended,
    checks: Vec<Value>,
    stdout: String,
}

impl Said {
    /// Outcome and code of a check; a failure of the test where there is none.
    fn of(&self, check: &str) -> (&str, &str) {
        let found = self.checks.iter().find(|found| found["check"] == check);
        let found = found.unwrap_or_else(|| panic!("{check} is not in {}", self.stdout));
        (found["outcome"].as_str().unwrap_or_default(), found["error_code"].as_str().unwrap_or_default())
    }

    fn remedy(&self, check: &str) -> &str {
        let found = self.checks.iter().find(|found| found["check"] == check);
        found.and_then(|found| found["remedy"].as_str()).unwrap_or_default()
    }
}

fn doctor(pipeline: &Pipeline) -> Result<Said> {
    let (file, data) = (pipeline.file.display().to_string(), pipeline.data_dir.display().to_string());
    let mut asked = limpid(&["doctor", &file, "--data-dir", &data, "--format", "json"])?;
    let code = asked.wait(PATIENCE)?;
    let (stdout, said) = (asked.stdout(), asked.stderr());
    let document: Value = serde_json::from_str(&stdout).with_context(|| format!("{code:?}: {stdout}{said}"))?;
    let checks = document["checks"].as_array().cloned().unwrap_or_default();
    ensure!(!stdout.contains("Secret-1") && !said.contains("Secret-1"), "a password in {stdout}{said}");
    // Whatever is not well says how to mend it.
    for check in checks.iter().filter(|check| check["outcome"] != "pass") {
        ensure!(check["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{check}");
    }
    Ok(Said { code, checks, stdout })
}

/// A global setting of a shared server, which is put back as it was however the test ends.
struct Setting<'a> {
    db: Db<'a>,
    name: &'static str,
    before: String,
}

impl<'a> Setting<'a> {
    fn of(db: Db<'a>, name: &'static str) -> Result<Self> {
        let before = db.sql(&format!("select @@global.{name}"))?.trim().to_owned();
        Ok(Self { db, name, before })
    }
}

impl Drop for Setting<'_> {
    fn drop(&mut self) {
        // A server that is gone has nothing to put back.
        let _ = self.db.sql(&format!("set global {} = {}", self.name, self.before));
    }
}

fn of_spec(dir: &Path, name: &str, spec: &Spec) -> Result<Said> {
    doctor(&Pipeline::write(dir, name, &spec.yaml())?)
}

#[test]
fn the_rights_that_it_prints_are_what_was_missing_and_are_enough() -> Result<()> {
    let Some(kafka) = broker() else { return Ok(()) };
    for db in both() {
        let dir = TempDir::new("doctor")?;
        let name = format!("doc_tor_{}", db.word());
        db.sql(&format!(
            "create database {name}; create table {name}.t (id int primary key); create database other; \
             create user {name}@'127.0.0.1' identified by 'Secret-1'; create table other.t (id int primary key)"
        ))?;
        let spec = Spec::new(&name, db.port()).source(&format!("user: {name}")).source("password: Secret-1");
        let pipeline = Pipeline::write(dir.path(), &name, &spec.to_kafka(&kafka.bootstrap()).yaml())?;
        let before = doctor(&pipeline)?;
        ensure!(before.code == Ended::Code(10), "{}", before.stdout);
        ensure!(before.of("source.connection").0 == "pass" && before.of("source.version").0 == "pass");
        ensure!(before.of("source.grants") == ("fail", "SOURCE_GRANT_MISSING"), "{}", before.stdout);

        let mut printed = limpid(&["doctor", "--grants", &pipeline.file.display().to_string()])?;
        ensure!(printed.wait(PATIENCE)? == Ended::Code(0), "{}", printed.stderr());
        let sql = printed.stdout();
        ensure!(sql.contains("GRANT ") && !sql.to_lowercase().contains("all privileges"), "{sql}");
        db.sql(&sql)?;

        let after = doctor(&pipeline)?;
        ensure!(after.code == Ended::Code(0), "{}", after.stdout);
        for check in [
            "state.directory",
            "source.log",
            "source.log-metadata",
            "source.grants",
            "source.tables",
            "source.keys",
            "source.server-id",
            "source.clock",
            "source.tls",
            "sink.connection",
            "sink.record-size",
            "sink.replication",
            "sink.topics",
            "sink.position-topic",
        ] {
            ensure!(after.of(check).0 == "pass", "{check}: {}", after.stdout);
        }
        // Only where traces are kept is it of interest whether the log has statements.
        ensure!(!after.stdout.contains("source.statements"), "{}", after.stdout);
        let text = std::fs::read_to_string(&pipeline.file)?;
        let traces = "telemetry:\n  traces: { otlp: \"http://127.0.0.1:4317\" }\n";
        let traced = Pipeline::write(dir.path(), &format!("{name}_traced"), &format!("{text}{traces}"))?;
        let setting = if db.is_maria() { "binlog_annotate_row_events" } else { "binlog_rows_query_log_events" };
        let _restored = Setting::of(db, setting)?;
        for (value, expected) in [("OFF", "warn"), ("ON", "pass")] {
            db.sql(&format!("set global {setting} = {value}"))?;
            let said = doctor(&traced)?;
            ensure!(said.of("source.statements").0 == expected, "{setting}={value}: {}", said.stdout);
            let is_told = said.remedy("source.statements").contains(&format!("SET GLOBAL {setting}=ON"));
            ensure!(is_told == (value == "OFF"), "{}", said.stdout);
        }
        // And no more than enough: each right that is taken away is missed, and a run says the same.
        db.sql(&format!("revoke select on `{}`.* from {name}@'127.0.0.1'", name.replace('_', "\\_")))?;
        let without = doctor(&pipeline)?;
        ensure!(without.of("source.grants") == ("fail", "SOURCE_GRANT_MISSING"), "{}", without.stdout);
        ensure!(without.remedy("source.grants").contains("SELECT"), "{}", without.stdout);
        db.sql(&format!("drop database {name}; drop database other; drop user {name}@'127.0.0.1'"))?;
    }
    Ok(())
}

#[test]
fn each_setting_that_is_wrong_at_the_server_has_its_finding() -> Result<()> {
    let extra_args = [
        "--binlog-format=MIXED",
        "--binlog-row-metadata=NO_LOG",
        "--binlog-expire-logs-seconds=3600",
        "--expire-logs-days=0.041667",
    ];
    let options = mariadb::Options { extra_args: extra_args.map(str::to_owned).into(), ..mariadb::Options::default() };
    let Some(server) = require(mariadb::start(&options)) else { return Ok(()) };
    server.sql("create database shop; create table shop.keyless (a int); create table shop.t (id int primary key)")?;
    // Stays prepared after its connection is gone.
    let mut session = server.session()?;
    for statement in ["xa start 'x'", "insert into shop.t values (1)", "xa end 'x'", "xa prepare 'x'"] {
        session.exec(statement)?;
    }
    drop(session);
    let dir = TempDir::new("doctor")?;
    let sink = dir.path().join("rows.jsonl");
    let spec = Spec::new("shop", server.port()).source("server-id: 1").sink("type: file");
    let spec = spec.sink(&format!("path: {}", sink.display()));
    let said = of_spec(dir.path(), "shop", &spec)?;
    ensure!(said.code == Ended::Code(10), "{}", said.stdout);
    for (check, expected) in [
        ("source.log", ("fail", "SOURCE_LOG_FORMAT")),
        ("source.log-metadata", ("warn", "")),
        ("source.retention", ("warn", "")),
        ("source.server-id", ("fail", "SOURCE_SERVER_ID_CLASH")),
        ("source.xa", ("warn", "")),
        ("source.keys", ("warn", "")),
        ("source.tables", ("pass", "")),
        ("source.grants", ("pass", "")),
        ("sink.directory", ("pass", "")),
    ] {
        ensure!(said.of(check) == expected, "{check}: {}", said.stdout);
    }
    ensure!(said.stdout.contains("shop.keyless") && !said.stdout.contains("shop.t,"), "{}", said.stdout);

    server.sql("set global binlog_format=ROW; set global binlog_row_image=MINIMAL")?;
    let image = of_spec(dir.path(), "image", &spec)?;
    ensure!(image.of("source.log") == ("fail", "SOURCE_ROW_IMAGE"), "{}", image.stdout);
    let elsewhere = spec.source("tables: [\"nowhere.*\"]").sink("path: /nowhere/rows.jsonl");
    let lost = of_spec(dir.path(), "lost", &elsewhere)?;
    ensure!(lost.of("source.tables").0 == "warn" && lost.of("sink.directory").0 == "fail", "{}", lost.stdout);
    Ok(())
}

#[test]
fn who_cannot_be_reached_and_who_refuses_are_told_apart() -> Result<()> {
    let dir = TempDir::new("doctor")?;
    let away = of_spec(dir.path(), "away", &Spec::new("shop", 1).to_kafka("127.0.0.1:1"))?;
    ensure!(away.code == Ended::Code(3), "{}", away.stdout);
    ensure!(away.of("source.connection") == ("fail", "SOURCE_UNREACHABLE"), "{}", away.stdout);
    ensure!(away.of("sink.connection") == ("fail", "SINK_UNREACHABLE"), "{}", away.stdout);
    if let Some(db) = maria() {
        let wrong = Spec::new("shop", db.port()).source("user: nobody").source("password: Secret-1");
        let refused = of_spec(dir.path(), "refused", &wrong)?;
        ensure!(refused.code == Ended::Code(10), "{}", refused.stdout);
        ensure!(refused.of("source.connection") == ("fail", "SOURCE_AUTH_FAILED"), "{}", refused.stdout);
    }
    let file = dir.path().join("bad.yaml");
    std::fs::write(&file, "name: shop\nsauce: {}\n")?;
    let mut bad = limpid(&["doctor", &file.display().to_string()])?;
    ensure!(bad.wait(PATIENCE)? == Ended::Code(2) && bad.stdout().is_empty(), "{}", bad.stderr());
    Ok(())
}

#[test]
fn topics_that_will_not_do_are_named_and_none_is_made() -> Result<()> {
    let (Some(db), Some(kafka)) = (maria(), broker()) else { return Ok(()) };
    let dir = TempDir::new("doctor")?;
    db.sql("create database doctopics; create table doctopics.t (id int primary key)")?;
    kafka.create_topic("doctor.two", 2, &[("cleanup.policy", "compact")])?;
    kafka.create_topic("doctor.aged", 1, &[])?;
    let spec = |line: &str| Spec::new("doctopics", db.port()).to_kafka(&kafka.bootstrap()).sink(line);
    for (name, line, check, code) in [
        ("off", "topic-creation: { enabled: false }", "sink.topics", "TOPIC_MISSING"),
        ("many", "topic-creation: { replication-factor: 3 }", "sink.replication", "TOPIC_CREATION_REFUSED"),
        ("two", "position-topic: doctor.two", "sink.position-topic", "POSITION_TOPIC_INVALID"),
        ("aged", "position-topic: doctor.aged", "sink.position-topic", "POSITION_TOPIC_INVALID"),
    ] {
        let said = of_spec(dir.path(), name, &spec(line))?;
        ensure!(said.of(check) == ("fail", code) && said.code == Ended::Code(10), "{name}: {}", said.stdout);
    }
    kafka.create_topic("thin", 1, &[("min.insync.replicas", "2")])?;
    let thin = of_spec(dir.path(), "thin", &spec("topic: thin"))?;
    ensure!(thin.of("sink.topics") == ("fail", "SINK_WRITE_FAILED"), "{}", thin.stdout);
    let listed =
        kafka.tool("org.apache.kafka.tools.TopicCommand", &["--bootstrap-server", &kafka.bootstrap(), "--list"])?;
    ensure!(listed.contains("thin") && !listed.contains("doctopics.doctopics.t"), "{listed}");
    db.sql("drop database doctopics").map(drop)
}

#[test]
fn an_instance_that_runs_is_seen_and_not_disturbed() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let dir = TempDir::new("doctor")?;
    db.sql("create database docruns; create table docruns.t (id int primary key)")?;
    let pipeline = Pipeline::write(dir.path(), "docruns", &Spec::new("docruns", db.port()).yaml())?;
    let mut instance = pipeline.run(&[])?;
    instance.wait_for("the pipeline is running", PATIENCE)?;
    let said = doctor(&pipeline)?;
    ensure!(said.code == Ended::Code(0), "{}", said.stdout);
    ensure!(said.of("state.lock").0 == "warn" && said.of("source.server-id").0 == "warn", "{}", said.stdout);
    db.sql("insert into docruns.t values (1)")?;
    limpid_e2e::wait_until("the row", PATIENCE, || instance.stdout().contains("\"id\":1"))?;
    ensure!(instance.is_running(), "{}", instance.stderr());
    db.sql("drop database docruns").map(drop)
}
