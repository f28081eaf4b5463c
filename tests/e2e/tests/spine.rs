//! What a running instance tells of itself, against what the servers themselves say.
//!
//! Owns: counts, lag and freshness through a real Prometheus, the form of log lines, the probes. Does not own: the
//! exposition's grammar (`limpid-telemetry`), the API's bounds (`limpid-server`).
//!
//! Invariant: expected numbers come from SELECT, the server's own log position and a broker's own count.

use std::cell::RefCell;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{broker, maria};
use limpid_e2e::{Db, Limpid, PATIENCE, Pipeline, Spec, get, page, wait_until};
use limpid_stack::kafka::Isolation;
use limpid_stack::{TempDir, kafka, mariadb, prometheus, require};
use serde_json::Value;

fn document(address: &str, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&page(address, path)?)?)
}

fn status(address: &str) -> Result<Value> {
    Ok(document(address, "/api/v1/pipelines")?["pipelines"][0].clone())
}

/// Waits until the pipeline's status says so; what it said last is in the error.
fn until(what: &str, address: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let last = RefCell::new(Value::Null);
    let found = wait_until(what, PATIENCE, || {
        *last.borrow_mut() = status(address).unwrap_or_default();
        holds(&last.borrow())
    });
    found.with_context(|| format!("the last status was {:#}", last.borrow()))?;
    Ok(last.into_inner())
}

/// The value that Prometheus has of an expression with one result.
fn value(server: &prometheus::Server, expression: &str) -> Result<f64> {
    let answer: Value = serde_json::from_str(&server.query(expression)?)?;
    let result = answer["data"]["result"].as_array().context("a result")?;
    ensure!(result.len() == 1, "{expression} gives {} series: {answer}", result.len());
    Ok(result[0]["value"][1].as_str().context("a value")?.parse()?)
}

fn offset(db: &Db<'_>) -> Result<u64> {
    let end = db.end_of_log()?;
    Ok(end.rsplit(':').next().context("an offset")?.parse()?)
}

const ACCOUNT_PASSWORD: &str = "hush-hush-17";

/// Of whoever pushes; this Prometheus asks for none.
const ACCOUNT: &str = "pusher";
const PUSH_PASSWORD: &str = "hush%40hush-18";

fn start(db: &Db<'_>, broker: &kafka::Server, name: &str, dir: &TempDir) -> Result<Limpid> {
    db.sql(&format!(
        "create database {name}; create table {name}.t (a int primary key, secret varchar(40)); \
         create table {name}.u (a int primary key); create user {name}@'127.0.0.1' identified by '{ACCOUNT_PASSWORD}'; \
         grant replication slave, binlog monitor on *.* to {name}@'127.0.0.1'; grant select on {name}.* to {name}@'127.0.0.1'"
    ))?;
    let spec = Spec::new(name, db.port())
        .source(&format!("user: {name}"))
        .source(&format!("password: {ACCOUNT_PASSWORD}"))
        .to_kafka(&broker.bootstrap());
    let logs = format!(
        "telemetry: {{ ring: {{ bytes: 1MiB }}, logs: {{ file: {:?}, rotate: {{ bytes: 1KiB, keep: 100 }} }} }}\n",
        dir.path().join("log")
    );
    let pipeline = Pipeline::write(dir.path(), name, &(spec.yaml() + &logs))?;
    let limpid = pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    Ok(limpid)
}

/// The log file and those before it have every line of the pipeline's, in their order, and none is above its bound.
fn logged_whole(dir: &TempDir, said: &str) -> Result<()> {
    let mut older = 0;
    while dir.path().join(format!("log.{}", older + 1)).exists() {
        older += 1;
    }
    ensure!(older > 0, "the log was never put aside");
    let mut all = String::new();
    let names = (1..=older).rev().map(|number| format!("log.{number}")).chain(["log".to_owned()]);
    for name in names {
        let text = std::fs::read_to_string(dir.path().join(name))?;
        ensure!(text.len() <= 1024 || text.lines().count() == 1, "{} bytes in one file", text.len());
        all.push_str(&text);
    }
    let said: Vec<&str> = said.lines().filter(|line| line.contains("\"pipeline\":\"spinelines\"")).collect();
    ensure!(all.lines().eq(said.iter().copied()), "the log file has\n{all}\nand stderr\n{said:#?}");
    Ok(())
}

/// Bytes of the files of a folder whose names begin so.
fn bytes_of(folder: &Path, begin: &str) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(begin) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// The disk that is taken is between what the files had before and after the look.
fn disk_is_as_the_files_are(address: &str, dir: &TempDir, data_dir: &Path) -> Result<()> {
    let files = || -> Result<[u64; 2]> { Ok([bytes_of(data_dir, "limpid.db")?, bytes_of(dir.path(), "log")?]) };
    let before = files()?;
    let (_, page) = get(address, "/metrics")?;
    let after = files()?;
    for (index, kept) in ["state", "logs"].into_iter().enumerate() {
        let start = format!("limpid_disk_bytes{{kept=\"{kept}\"}} ");
        let told = page.lines().find_map(|line| line.strip_prefix(&start)).with_context(|| page.clone())?;
        let (told, range) = (told.parse::<f64>()? as u64, before[index]..=after[index]);
        ensure!(told > 0 && range.contains(&told), "{kept}: {told} bytes, and the files have {range:?}");
    }
    Ok(())
}

#[test]
fn counts_lag_and_freshness_are_what_the_servers_say_and_prometheus_stores() -> Result<()> {
    // Its own servers: the broker is stopped for a while, and nobody else may write to the log.
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return Ok(()) };
    let db = Db::Maria(&server);
    let Some(broker) = require(kafka::start(&kafka::Options::default())) else { return Ok(()) };
    let dir = TempDir::new("spine")?;
    let mut limpid = start(&db, &broker, "spine", &dir)?;
    let address = limpid.address()?;
    let config = format!(
        "scrape_configs:\n- job_name: limpid\n  scrape_interval: 250ms\n  static_configs: [{{targets: ['{address}']}}]\n"
    );
    let Some(prometheus) = require(prometheus::start(&prometheus::Options { config, ..Default::default() })) else {
        return Ok(());
    };
    db.sql("use spine; insert into t select seq, concat('v-', seq) from seq_1_to_300; update t set secret = 'w-1' where a < 100; \
            delete from t where a > 250; insert into u values (1), (2)")?;
    let caught_up =
        until("caught up", &address, |pipeline| pipeline["lag_bytes"] == 0 && pipeline["rows_delivered"] == 451)?;
    ensure!(caught_up["freshness_seconds"].as_f64().is_some_and(|age| age < 5.0), "{caught_up}");
    // Stored exactly, in both directions: 300 + 99 + 50 of t, 2 of u; each delete is followed by a tombstone.
    let at_broker: u64 = ["t", "u"]
        .iter()
        .map(|table| broker.count(&format!("spine.spine.{table}"), Isolation::ReadCommitted))
        .sum::<Result<u64>>()?;
    ensure!(at_broker == 451 + 50, "the broker has {at_broker}");
    for (expression, expected) in [
        ("gravity_input_counter{table=\"t\",subtype=\"insert\"}", 300.0),
        ("gravity_input_counter{table=\"t\",subtype=\"update\"}", 99.0),
        ("gravity_input_counter{table=\"t\",subtype=\"delete\"}", 50.0),
        ("gravity_input_counter{table=\"u\",subtype=\"insert\"}", 2.0),
        ("gravity_scheduler_output_counter", 451.0),
        ("sum(gravity_output_counter)", 501.0),
        ("gravity_event_time_latency_count", 451.0),
        ("gravity_process_time_latency_count", 451.0),
        ("sum(gravity_data_lag_seconds_count)", 451.0),
        ("limpid_position_lag_bytes", 0.0),
        ("gravity_connection_health{component=\"input\"}", 1.0),
        ("gravity_connection_health{component=\"output\"}", 1.0),
    ] {
        let said = RefCell::new(None);
        let stored = wait_until(expression, PATIENCE, || {
            *said.borrow_mut() = value(&prometheus, expression).ok();
            *said.borrow() == Some(expected)
        });
        stored.with_context(|| format!("{expression} is {:?}, not {expected}", said.borrow()))?;
    }
    // A stopped broker: the lag is exactly what the log grew by since, and freshness grows.
    let from = offset(&db)?;
    broker.pause()?;
    db.sql("use spine; insert into t select seq, repeat('x', 30) from seq_1001_to_1500")?;
    let behind = offset(&db)? - from;
    until("behind by what the log grew", &address, |pipeline| pipeline["lag_bytes"] == behind)?;
    let first =
        until("late", &address, |pipeline| pipeline["freshness_seconds"].as_f64().is_some_and(|age| age > 2.0))?;
    let later =
        until("later", &address, |pipeline| pipeline["freshness_seconds"].as_f64().is_some_and(|age| age > 4.0))?;
    ensure!(first["rows_delivered"] == 451 && later["rows_delivered"] == 451, "nothing was delivered: {later}");
    until("a stall", &address, |pipeline| pipeline["verdict"] == "stall")?;
    // More than fits between the two: the reader is held up, and the sink is named.
    db.sql("use spine; insert into t select seq, repeat('y', 40) from seq_10001_to_160000")?;
    let held_up = |pipeline: &Value| {
        let stage = |number: usize, state: &str| pipeline["stages"][number][state].as_f64().unwrap_or(-1.0);
        pipeline["bottleneck"]["component"] == "output" && stage(0, "blocked") > 0.3 && stage(3, "busy") > 0.7
    };
    let named = until("the sink is named", &address, held_up)?;
    for stage in named["stages"].as_array().context("stages")? {
        let all: f64 = ["busy", "blocked", "idle"].iter().filter_map(|state| stage[*state].as_f64()).sum();
        ensure!((all - 1.0).abs() < 1e-6, "the whole of its time: {stage}");
    }
    let (_, metrics) = get(&address, "/metrics")?;
    ensure!(metrics.matches("limpid_stage_time_ratio{").count() == 12, "four stages in three states: {metrics}");
    broker.resume()?;
    let all = 951 + 150_000;
    until("caught up again", &address, |pipeline| pipeline["lag_bytes"] == 0 && pipeline["rows_delivered"] == all)?;
    until("nobody is in the way", &address, |pipeline| {
        pipeline["bottleneck"].is_null() && pipeline["stages"][0]["idle"].as_f64().is_some_and(|idle| idle > 0.5)
    })?;
    // At 8 bytes a row, a ring of a megabyte has gone round once.
    let trace = document(&address, "/api/v1/pipelines/spine/trace?table=spine.t&key=1")?;
    ensure!(trace["changes"][0]["outcome"] == "evicted", "{trace}");
    let (code, page) = get(&address, "/metrics")?;
    ensure!(
        code == 200 && !page.contains(ACCOUNT_PASSWORD) && !page.contains("v-7"),
        "a secret or a value in the metrics"
    );
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == limpid_e2e::Ended::Code(0), "{}", limpid.stderr());
    Ok(())
}

#[test]
fn lines_have_their_keys_in_order_and_neither_secret_nor_value() -> Result<()> {
    let (Some(broker), Some(db)) = (broker(), maria()) else { return Ok(()) };
    let dir = TempDir::new("spine-lines")?;
    let mut limpid = start(&db, broker, "spinelines", &dir)?;
    let address = limpid.address()?;
    db.sql(
        "use spinelines; insert into t values (1, 'a-precious-value'); set session binlog_format = statement; \
            insert into u values (77003311)",
    )?;
    limpid.wait_for("STATEMENT_CHANGE", PATIENCE)?;
    let pipeline = until("u halted", &address, |pipeline| {
        pipeline["tables"].as_array().is_some_and(|tables| tables.iter().any(|table| table["phase"] == "halted"))
    })?;
    let health = document(&address, "/healthz")?;
    ensure!(health["status"] == "degraded", "one table is halted, the others go on: {health}");
    for (path, expected) in [("/livez", 200), ("/readyz", 200), ("/startupz", 200), ("/nowhere", 404)] {
        ensure!(get(&address, path)?.0 == expected, "{path}");
    }
    disk_is_as_the_files_are(&address, &dir, &dir.path().join("spinelines-data"))?;
    ensure!(document(&address, "/status")?["name"] == "spinelines", "Gravity's shape names the pipeline");
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == limpid_e2e::Ended::Code(0), "{}", limpid.stderr());
    let said = limpid.stderr();
    logged_whole(&dir, &said)?;
    let order = [
        "timestamp",
        "level",
        "pipeline",
        "component",
        "trace_id",
        "span_id",
        "message",
        "schema",
        "table",
        "operation",
        "duration_ms",
        "error",
        "error_code",
        "metadata",
    ];
    for line in said.lines() {
        let parsed: Value = serde_json::from_str(line).with_context(|| format!("a line is JSON: {line}"))?;
        ensure!(parsed.as_object().is_some_and(|keys| keys.keys().all(|key| order.contains(&key.as_str()))), "{line}");
        let places: Vec<usize> = order.iter().filter_map(|key| line.find(&format!("\"{key}\":"))).collect();
        ensure!(places.len() >= 7 && places.is_sorted(), "keys out of order: {line}");
        let level = parsed["level"].as_str().unwrap_or_default();
        ensure!(level == "INFO" || line.contains("STATEMENT_CHANGE"), "an unlisted {level}: {line}");
    }
    let everything =
        format!("{said}{pipeline}{health}{}", get(&address, "/metrics").map(|(_, page)| page).unwrap_or_default());
    for hidden in [ACCOUNT_PASSWORD, "a-precious-value", "77003311"] {
        ensure!(!everything.contains(hidden), "{hidden} left the process");
    }
    Ok(())
}

/// Samples of a page, without what moves by itself.
fn samples(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn pushed_metrics_are_the_scraped_ones_and_a_receiver_that_is_away_costs_a_counter() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let Some(server) = require(prometheus::start(&prometheus::Options::default())) else { return Ok(()) };
    db.sql("create database pushed; create table pushed.t (a int primary key, b text)")?;
    let dir = TempDir::new("spine-pushed")?;
    let push = format!(
        "telemetry:\n  metrics: {{ remote-write: \"http://{ACCOUNT}:{PUSH_PASSWORD}@127.0.0.1:{}/api/v1/write\", push-every: 1s }}\n",
        server.port()
    );
    let spec = Spec::new("pushed", db.port());
    let pipeline = Pipeline::write(dir.path(), "pushed", &(spec.yaml() + &push))?;
    let mut limpid = pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let address = limpid.address()?;
    let port = address.rsplit(':').next().context("a port")?;
    db.sql("use pushed; insert into t select seq, 'a-precious-value' from seq_1_to_300; delete from t where a > 250")?;
    until("delivered", &address, |pipeline| pipeline["rows_delivered"] == 350)?;
    for (expression, expected) in [
        ("gravity_input_counter{pipeline=\"pushed\",table=\"t\",subtype=\"insert\",job=\"limpid\"}", 300.0),
        ("gravity_event_time_latency_bucket{pipeline=\"pushed\",le=\"+Inf\"}", 350.0),
        ("gravity_event_time_latency_count{pipeline=\"pushed\"}", 350.0),
        (&format!("count(process_start_time_seconds{{instance=~\".+:{port}\"}})"), 1.0),
    ] {
        wait_until(expression, PATIENCE, || value(&server, expression).is_ok_and(|value| value == expected))?;
    }
    // As many series as a scrape has at that moment.
    wait_until("every series is there", PATIENCE, || {
        let scraped = page(&address, "/metrics").map(|page| samples(&page)).unwrap_or_default();
        value(&server, "count({job=\"limpid\"})").is_ok_and(|pushed| pushed == scraped as f64)
    })?;
    drop(server);
    let failed = |at_least: f64| {
        wait_until("a push fails", PATIENCE, || {
            let page = page(&address, "/metrics").unwrap_or_default();
            let line = page.lines().find(|line| {
                line.starts_with("limpid_metric_pushes_total{pipeline=\"pushed\"")
                    && line.contains("outcome=\"failed\"")
            });
            let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            count.is_some_and(|count| count >= at_least)
        })
    };
    failed(1.0)?;
    db.sql("insert into pushed.t values (1000, null)")?;
    until("a row flows", &address, |pipeline| pipeline["rows_delivered"] == 351)?;
    failed(2.0)?;
    limpid.signal(libc::SIGTERM);
    ensure!(limpid.wait(PATIENCE)? == limpid_e2e::Ended::Code(0), "{}", limpid.stderr());
    let said = limpid.stderr();
    let told: Vec<&str> = said.lines().filter(|line| !line.contains("\"level\":\"INFO\"")).collect();
    ensure!(told.len() == 1 && told[0].contains("METRICS_PUSH_FAILED"), "told once, and nothing else: {told:#?}");
    ensure!(!said.contains(PUSH_PASSWORD) && !said.contains("a-precious-value"), "{said}");
    Ok(())
}
