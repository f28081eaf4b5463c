//! Rows rejected, masked, renamed and routed on their way, from both servers to a broker.
//!
//! Owns: the cases. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the server's own SELECT, which computes masks itself (HMAC by its SHA2 of inner and outer
//! block), and Apache's console consumer reading committed records. No value that a mask hides is in any record, nor in any
//! file of ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{Db, both, broker, maria, mysqld};
use limpid_e2e::{
    Case, Ended, Limpid, PATIENCE, Pipeline, call, check_exactly_once, limpid, page, seen_in, wait_until,
};
use limpid_stack::TempDir;
use limpid_stack::kafka::{Isolation, Server};
use serde_json::Value;

/// The key of every hash here.
const KEY: &str = "kept-in-the-environment";

/// A database, a pipeline with transforms that copies and follows it, and the topics that come of it.
struct Scene {
    name: String,
    broker: &'static Server,
    db: Db<'static>,
    pipeline: Pipeline,
    dir: TempDir,
}

impl Scene {
    /// `top` stands at the file's top level; `DB` in it is the database.
    fn begin(
        name: &str,
        db: Db<'static>,
        tables: &str,
        (source, sink, top): (&str, &str, &str),
    ) -> Result<Option<Self>> {
        let Some(broker) = broker() else { return Ok(None) };
        let name = format!("{name}_{}", db.word());
        db.sql(&format!("create database {name} character set utf8mb4; use {name}; {tables}"))?;
        let dir = TempDir::new(&name)?;
        let (port, bootstrap) = (db.port(), broker.bootstrap());
        let yaml = format!(
            "name: {name}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  tables: [\"{name}.*\"]\n  {source}\n\
             sink:\n  type: kafka\n  brokers: [\"{bootstrap}\"]\n  {sink}\n{}",
            top.replace("DB", &name)
        );
        let pipeline = Pipeline::write(dir.path(), &name, &yaml)?;
        Ok(Some(Self { name, broker, db, pipeline, dir }))
    }

    fn sql(&self, script: &str) -> Result<String> {
        self.db.sql(&format!("use {}; {script}", self.name))
    }

    fn run(&self, arguments: &[&str]) -> Result<Limpid> {
        self.pipeline.run_in(&[("MASK_KEY", KEY.into())], arguments)
    }

    fn run_to_end(&self) -> Result<()> {
        let mut limpid = self.run(&["--until", "caught-up"])?;
        let ended = limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "ended with {ended:?}: {}", limpid.stderr());
        Ok(())
    }

    /// Every record of a topic: key and value, values of tombstones left out.
    fn records(&self, topic: &str) -> Result<Vec<(Value, Value)>> {
        let mut records = Vec::new();
        for record in self.broker.consume(topic, Isolation::ReadCommitted)? {
            let Some(value) = record.value else { continue };
            let key = record.key.map_or(Ok(Value::Null), |key| serde_json::from_slice(&key))?;
            records.push((key, serde_json::from_slice(&value)?));
        }
        Ok(records)
    }

    /// What a consumer that keeps the last row of each key has: the columns named, tab by tab as the server's client
    /// prints them.
    fn rows(&self, topic: &str, columns: &[&str]) -> Result<Vec<String>> {
        let mut last = BTreeMap::new();
        for (key, value) in self.records(topic)? {
            let row = &value["after"];
            match row.is_null() {
                true => last.remove(&key.to_string()),
                false => last.insert(key.to_string(), line(row, columns)?),
            };
        }
        let mut rows: Vec<String> = last.into_values().collect();
        rows.sort();
        Ok(rows)
    }

    fn check(&self, topic: &str, columns: &[&str], select: &str) -> Result<()> {
        let mut theirs: Vec<String> = self.sql(select)?.lines().map(str::to_owned).collect();
        theirs.sort();
        let ours = self.rows(topic, columns)?;
        ensure!(ours == theirs && !ours.is_empty(), "{topic} has\n{ours:#?}\nthe server has\n{theirs:#?}");
        Ok(())
    }

    fn has_topic(&self, topic: &str) -> bool {
        self.broker.offsets(topic, Isolation::ReadCommitted).is_ok()
    }

    /// No record of these topics and no file of ours holds any of these texts. They are words: digits alone stand in some
    /// time or position sooner or later.
    fn check_hidden(&self, topics: &[String], hidden: &[&str]) -> Result<()> {
        for topic in topics {
            for record in self.broker.consume(topic, Isolation::ReadCommitted)? {
                let bytes = [record.key.unwrap_or_default(), record.value.unwrap_or_default()].concat();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let shown = hidden.iter().find(|hidden| text.contains(**hidden));
                ensure!(shown.is_none(), "{topic} shows {shown:?}: {text}");
            }
        }
        check_files(self.dir.path(), hidden)
    }
}

fn check_files(dir: &Path, hidden: &[&str]) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            check_files(&path, hidden)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let shown = hidden.iter().find(|hidden| text.contains(**hidden));
        ensure!(shown.is_none(), "{} holds {shown:?}", path.display());
    }
    Ok(())
}

fn line(row: &Value, columns: &[&str]) -> Result<String> {
    ensure!(row.as_object().is_some_and(|row| row.len() == columns.len()), "other columns than {columns:?}: {row}");
    let cell = |column: &&str| match &row[*column] {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(columns.iter().map(cell).collect::<Vec<_>>().join("\t"))
}

/// HMAC-SHA-256 under [`KEY`] of an expression of bytes, as SQL.
fn hmac(bytes: &str) -> String {
    let block = |pad: u8| -> String {
        let key = KEY.bytes().chain(std::iter::repeat(0)).take(64);
        key.map(|byte| format!("{:02x}", byte ^ pad)).collect()
    };
    let inner = format!("unhex(sha2(concat(x'{}', {bytes}), 256))", block(0x36));
    format!("sha2(concat(x'{}', {inner}), 256)", block(0x5c))
}

/// The value of a counter's sample on a page of metrics; 0 when it is not there.
fn counted(page: &str, sample: &str) -> u64 {
    let found = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse::<f64>().ok());
    found.unwrap_or(0.0) as u64
}

const USERS: &str = "create table users (id bigint primary key, email varchar(80) character set latin1, phone varchar(20), \
                     pin binary(6), code bigint unsigned, born date, note text, secret text);
                     create table audit (id bigint primary key, v int);
                     create table noise (id bigint primary key, v int);
                     create table logs_a (id bigint primary key, v int);
                     create table logs_b (id bigint primary key, v int);
                     insert into users values
                       (1, 'åsa@hidden.example', '+46 hidden 678', x'0102', 18446744073709551615, '1970-05-06', 'hidden one', 'hidden s'),
                       (2, null, null, null, null, null, null, null),
                       (3, '', '1234', x'000000000000', 0, '2001-02-03', '', ''),
                       (4, 'gone@hidden.example', '12345', x'ff', 7, '1999-01-01', 'hidden', 'hidden');
                     insert into audit values (1, 1), (2, 1);
                     insert into noise values (1, 1), (2, 2), (3, 3);
                     insert into logs_a values (1, 1); insert into logs_b values (2, 1)";

const TRANSFORMS: &str = "transforms:
  - { type: reject, name: no-deletes, match: { table: DB.audit, op: delete } }
  - { type: reject, match: { table: \"DB.noise\" } }
  - { type: rename, match: { table: DB.users }, to: people }
  - { type: drop-columns, match: { table: DB.users }, columns: secret }
  - { type: rename-columns, match: { table: DB.users }, columns: { email: mail } }
  - { type: mask, match: { table: DB.users }, columns: [email, pin, code], with: hash, key: \"${env:MASK_KEY}\" }
  - { type: mask, match: { table: DB.users }, columns: [phone], with: partial, first: 1, last: 3 }
  - { type: mask, match: { table: DB.users }, columns: [note, born], with: redact, text: \"-\" }
  - { type: route, match: { table: \"DB.logs_*\" }, topic: \"{pipeline}.all-logs\", shared: true }
";

#[test]
fn rows_come_out_rejected_renamed_routed_and_masked_as_the_server_says_and_every_one_is_counted() -> Result<()> {
    for db in both() {
        let delivery =
            if db.is_maria() { "delivery: at-least-once" } else { "delivery: exactly-once\n  commit-interval: 20ms" };
        let parts = ("snapshot: initial", delivery, TRANSFORMS);
        let Some(scene) = Scene::begin("transforms", db, USERS, parts)? else { return Ok(()) };
        scene.run(&["--until", "snapshot-done"])?.wait(PATIENCE)?;
        let limpid = scene.run(&[])?;
        limpid.wait_for("the pipeline is running", PATIENCE)?;
        scene.sql(
            "insert into users values (5, 'new@hidden.example', '9hidden765', x'aabb', 12, '1980-01-01', 'hidden', 'hidden');
             update users set email = 'moved@hidden.example', phone = '5hidden001' where id = 1;
             update users set note = 'hidden too', pin = x'01020304' where id = 3;
             delete from users where id = 4;
             begin; insert into noise values (4, 4); insert into audit values (3, 1); update noise set v = 9; commit;
             delete from audit where id = 1; update audit set v = 2 where id = 2;
             insert into logs_a values (3, 1); insert into logs_b values (4, 1); alter table noise add w int;
             delete from noise; insert into audit values (9, 9)",
        )?;
        let of = |topic: &str| format!("{0}.{0}.{topic}", scene.name);
        check_counts(&scene, limpid)?;
        let select = format!(
            "select id, {}, if(char_length(phone) > 4, concat(left(phone, 1), repeat('*', char_length(phone) - 4), right(phone, 3)), \
             repeat('*', char_length(phone))), {}, {}, if(born is null, null, 0), if(note is null, null, '-') from users",
            hmac("cast(convert(email using utf8mb4) as binary)"),
            hmac("pin"),
            hmac("cast(cast(code as char) as binary)"),
        );
        scene.check(&of("people"), &["id", "mail", "phone", "pin", "code", "born", "note"], &select)?;
        // A deletion that nobody was told of.
        scene.check(&of("audit"), &["id", "v"], "select id, v from audit union all select 1, 1")?;
        let logs = format!("{}.all-logs", scene.name);
        scene.check(&logs, &["id", "v"], "select id, v from logs_a union all select id, v from logs_b")?;
        let sources = scene.records(&of("people"))?;
        ensure!(sources.iter().all(|(_, value)| value["source"]["table"] == "users"), "the source is what it is");
        ensure!(scene.has_topic(&of("people")), "a topic that is there");
        for untouched in ["users", "noise", "logs_a"] {
            ensure!(!scene.has_topic(&of(untouched)), "{untouched} has a topic");
        }
        scene.check_hidden(&[of("people"), of("audit"), logs], &["hidden"])?;
    }
    Ok(())
}

/// Of the second life: what was read is what was rejected and what was delivered, and each rule has its own.
fn check_counts(scene: &Scene, mut limpid: Limpid) -> Result<()> {
    let address = limpid.address()?;
    let status = || -> Result<Value> {
        let (_, said) = call("status", &address, &["--format", "json"])?;
        Ok(serde_json::from_str::<Value>(&said)?["pipelines"][0].take())
    };
    let count = |status: &Value, name: &str| status[name].as_u64().unwrap_or(u64::MAX);
    // 4 of users, 4 of audit with a deletion, 2 of logs; of noise 1 + 4 + 4.
    let whole = |status: &Value| count(status, "rows_read") == 19 && count(status, "rows_delivered") == 9;
    wait_until("the counts", PATIENCE, || status().is_ok_and(|status| whole(&status)))
        .with_context(|| format!("{:?}", status()))?;
    ensure!(count(&status()?, "rows_filtered") == 10, "{}", status()?);
    let metrics = page(&address, "/metrics")?;
    let name = &scene.name;
    let rule = |rule: &str| counted(&metrics, &format!("limpid_filtered_total{{pipeline=\"{name}\",rule=\"{rule}\"}}"));
    // The statement that changed the definition of `noise` too.
    ensure!((rule("no-deletes"), rule("reject-2"), rule("mask-6")) == (1, 10, 0), "{metrics}");
    let total = |metric: &str| counted(&metrics, &format!("{metric}{{pipeline=\"{name}\"}}"));
    let totals =
        ["gravity_input_emitter_counter", "gravity_emitter_scheduler_counter", "gravity_scheduler_output_counter"];
    ensure!(totals.map(total) == [19, 9, 9], "{metrics}");
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
    ensure!(!limpid.stderr().contains("hidden") && !metrics.contains("hidden"), "a value is told");
    Ok(())
}

#[test]
fn a_snapshot_shows_what_the_stream_shows() -> Result<()> {
    for db in both() {
        let top =
            TRANSFORMS.replace("name: no-deletes, match: { table: DB.audit, op: delete }", "match: { op: update }");
        let columns = ["id", "mail", "phone", "pin", "code", "born", "note"];
        let mut shown = Vec::new();
        for (name, source) in [("copied", "snapshot: initial"), ("followed", "snapshot: never\n  start: earliest")] {
            let parts = (source, "delivery: at-least-once", top.as_str());
            let Some(scene) = Scene::begin(name, db, USERS, parts)? else { return Ok(()) };
            scene.run_to_end()?;
            shown.push(scene.rows(&format!("{0}.{0}.people", scene.name), &columns)?);
        }
        ensure!(shown[0] == shown[1] && shown[0].len() == 4, "{shown:#?}");
    }
    Ok(())
}

#[test]
fn nothing_is_lost_or_doubled_exactly_once_when_killed_among_rejected_rows() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let tables = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null); create table noise like t";
    let top = "transforms:\n  - { type: reject, match: { table: DB.noise } }\n  - { type: mask, match: { table: DB.t }, columns: pad, \
               with: redact }\n";
    let parts = ("snapshot: never\n  start: head", "delivery: exactly-once\n  commit-interval: 20ms", top);
    let Some(scene) = Scene::begin("killed", db, tables, parts)? else { return Ok(()) };
    scene.run_to_end()?;
    // One transaction that comes in many batches, rejected rows between the others and at its ends; then small ones.
    let rows = |table: &str, from: u32, count: u32| {
        format!("insert into {table} select seq, 1, repeat('x', 90) from seq_{from}_to_{};", from + count - 1)
    };
    let large: String = (0..60).map(|n| rows("noise", n * 400 + 1, 400) + &rows("t", n * 400 + 1, 400)).collect();
    let small: String = (0..60).map(|n| rows("noise", 50_001 + n, 1) + &rows("t", 50_001 + n * 3, 3)).collect();
    let many = format!("begin; {large} {} commit; {small}", rows("noise", 40_001, 900));
    for (place, count) in
        [("after-write", 6), ("after-ack", 9), ("record-under-way", 2), ("before-write", 20), ("after-record", 3)]
    {
        if place == "after-write" {
            scene.sql(&many)?;
        } else {
            scene.sql("update t set v = v + 1 where id % 10 = 0; update noise set v = v + 1 where id % 10 = 0; update t set v = v + 1 where id > 50000")?;
        }
        let mut limpid = scene.run(&["--failpoint", &format!("{place}:{count}")])?;
        limpid.wait_for_kill(|| scene.sql("update t set v = v + 1 where id = 50001")).with_context(|| place)?;
    }
    scene.run_to_end()?;
    let records = scene.broker.consume(&format!("{0}.{0}.t", scene.name), Isolation::ReadCommitted)?;
    check_exactly_once(&seen_in(&records)?, &scene.sql("select id, v from t")?)?;
    ensure!(!scene.has_topic(&format!("{0}.{0}.noise", scene.name)), "noise came through");
    Ok(())
}

#[test]
fn a_row_that_cannot_be_delivered_is_kept_behind_its_masks() -> Result<()> {
    let Some(db) = mysqld() else { return Ok(()) };
    let tables = "create table t (id varchar(40) primary key, mail varchar(80), pad longtext) character set latin1";
    let top = "transforms:\n  - { type: mask, match: { table: DB.t }, columns: [id, mail], with: hash, key: \"${env:MASK_KEY}\" }\n";
    let parts = ("snapshot: never\n  start: head", "delivery: at-least-once", top);
    let Some(scene) = Scene::begin("kept", db, tables, parts)? else { return Ok(()) };
    let topic = format!("{0}.{0}.t", scene.name);
    scene.broker.create_topic(&topic, 1, &[("max.message.bytes", "20000")])?;
    let limpid = scene.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let address = limpid.address()?;
    scene
        .sql("insert into t values ('hidden-key', 'hidden-mail', repeat('x', 30000)), ('other', 'hidden-mail', 'x')")?;
    scene.sql("update t set pad = 'small' where id = 'hidden-key'")?;
    let url = format!("http://{address}");
    let dlq = |arguments: &[&str]| -> Result<Value> {
        let mut call = limpid_e2e::limpid(&[&["dlq"], arguments, &["--format", "json", "--server", &url]].concat())?;
        ensure!(call.wait(PATIENCE)? == Ended::Code(0), "{}", call.stderr());
        Ok(serde_json::from_str(&call.stdout())?)
    };
    let entries = || dlq(&["list", &scene.name]).map(|list| list["entries"].as_array().cloned().unwrap_or_default());
    wait_until("two rows of the key", PATIENCE, || entries().is_ok_and(|entries| entries.len() == 2))?;
    let entries = entries()?;
    ensure!(entries[0]["kind"] == "parked" && entries[0]["key_hash"] == entries[1]["key_hash"], "{entries:?}");
    let mut shown = String::new();
    for entry in &entries {
        let id = entry["id"].to_string();
        shown.push_str(&dlq(&["show", &scene.name, id.trim_matches('"'), "--raw"])?.to_string());
    }
    let masked = scene.sql(&format!("select {}", hmac("'hidden-key'")))?;
    ensure!(shown.contains(masked.trim()) && !shown.contains("hidden"), "{shown}");
    drop(limpid);
    scene.check_hidden(&[topic], &["hidden-key", "hidden-mail"])
}

#[test]
fn a_change_that_takes_a_masked_column_away_halts_its_table_and_no_other() -> Result<()> {
    for db in both() {
        let tables = "create table t (id int primary key, email varchar(80)); create table u (id int primary key, email varchar(80))";
        let mut case = Case::begin_with(db, "unmasked", tables, |spec| spec)?;
        let yaml = fs::read_to_string(&case.pipeline.file)?;
        let rule = format!(
            "transforms:\n  - {{ type: mask, match: {{ table: \"{}.*\" }}, columns: email, with: redact }}\n",
            case.name
        );
        fs::write(&case.pipeline.file, yaml + &rule)?;
        case.sql("insert into t values (1, 'hidden-1'); insert into u values (1, 'hidden-1')")?;
        case.sql("alter table t change email mail varchar(80); insert into t values (2, 'hidden-2')")?;
        case.sql("insert into u values (2, 'hidden-2'); update t set mail = 'hidden-3'; insert into u values (3, 'hidden-3')")?;
        let said = case.read()?;
        ensure!(said.contains("TRANSFORM_COLUMN_MISSING") && said.contains(&format!("{}.t", case.name)), "{said}");
        ensure!((case.operations("t").as_str(), case.operations("u").as_str()) == ("c", "ccc"), "{:?}", case.seen);
        case.sql("insert into t values (3, 'hidden-4'); insert into u values (4, 'hidden-4')")?;
        case.read()?;
        ensure!((case.operations("t").as_str(), case.operations("u").as_str()) == ("c", "cccc"), "{:?}", case.seen);
        ensure!(!format!("{:?}", case.seen).contains("hidden") && !said.contains("hidden"), "{:?}", case.seen);
    }
    Ok(())
}

#[test]
fn a_key_that_would_be_dropped_or_blurred_halts_its_table_unless_another_key_is_chosen() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let tables = "create table t (id int primary key, code int not null, v int)";
    for (number, (rule, key, code)) in [
        ("drop-columns, columns: id", "", Some("TRANSFORM_KEY_COLUMN")),
        ("drop-columns, columns: id", "NAME.t:code", None),
        ("mask, columns: code, with: redact", "NAME.t:code", Some("TRANSFORM_KEY_COLUMN")),
        ("mask, columns: id, with: redact", "NAME.t:code", Some("TRANSFORM_KEY_COLUMN")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut case = Case::begin_with(db, &format!("keys{number}"), tables, |spec| {
            let key = key.replace("NAME", &spec.name);
            if key.is_empty() { spec } else { spec.sink(&format!("message-key-columns: \"{key}\"")) }
        })?;
        let yaml = fs::read_to_string(&case.pipeline.file)?;
        let (kind, rest) = rule.split_once(',').context("a kind and its keys")?;
        let rule = format!("transforms:\n  - {{ type: {kind}, match: {{ table: {}.t }},{rest} }}\n", case.name);
        fs::write(&case.pipeline.file, yaml + &rule)?;
        case.sql("insert into t values (1, 10, 5); update t set v = 6; delete from t")?;
        let said = case.read()?;
        match code {
            Some(code) => ensure!(said.contains(code) && case.seen.is_empty(), "{number}: {said} {:?}", case.seen),
            None => {
                ensure!(case.operations("t") == "cud-", "{:?}", case.seen);
                let all = case.seen.iter().all(|change| change.key == serde_json::json!({ "code": 10 }));
                ensure!(all && case.seen[0].after == serde_json::json!({ "code": 10, "v": 5 }), "{:?}", case.seen);
            }
        }
    }
    Ok(())
}

#[test]
fn a_plan_names_the_topics_that_transforms_lead_to() -> Result<()> {
    let Some(db) = mysqld() else { return Ok(()) };
    let parts = ("snapshot: initial", "delivery: at-least-once", TRANSFORMS);
    let Some(scene) = Scene::begin("planned", db, USERS, parts)? else { return Ok(()) };
    let file = scene.pipeline.file.display().to_string();
    let yaml = fs::read_to_string(&file)?.replace("${env:MASK_KEY}", "sixteen-bytes-and-more");
    fs::write(&file, yaml)?;
    let mut plan = limpid(&["plan", &file, "--data-dir", &scene.pipeline.data_dir.display().to_string()])?;
    ensure!(plan.wait(PATIENCE)? == Ended::Code(0), "{}", plan.stderr());
    let (text, name) = (plan.stdout(), &scene.name);
    ensure!(text.contains(&format!("{name}.{name}.people")) && text.contains(&format!("{name}.all-logs")), "{text}");
    ensure!(!text.contains(&format!("{name}.{name}.users")), "{text}");
    Ok(())
}
