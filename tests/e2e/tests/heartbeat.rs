//! Heartbeats through the log of real servers.
//!
//! Owns: that they come through and nothing of them is delivered, over kills, lost rights and foreign rows. Does not own: whether
//! the lag they tell is true (`lag_truth`).
//!
//! Invariant: what was delivered is what the server's own SELECT has, and no row of the heartbeat's table is in it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::both;
use limpid_e2e::truth::sample;
use limpid_e2e::{Db, Ended, Limpid, PATIENCE, Pipeline, Spec, limpid, page, wait_until};
use limpid_stack::TempDir;

fn told(limpid: &Limpid, name: &str) -> Option<f64> {
    sample(&page(&limpid.address().ok()?, "/metrics").ok()?, &format!("{name}{{"))
}

fn at_least(limpid: &Limpid, name: &str, count: f64) -> Result<()> {
    wait_until(name, PATIENCE, || told(limpid, name).is_some_and(|told| told >= count)).with_context(|| limpid.stderr())
}

/// What `limpid doctor` prints of the pipeline.
fn doctor(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    let file = pipeline.file.display().to_string();
    let mut doctor = limpid(&[&["doctor", &file][..], arguments].concat())?;
    doctor.wait(PATIENCE)?;
    Ok(doctor.stdout())
}

fn delivered(limpid: &Limpid, what: &str) -> Result<()> {
    wait_until(what, PATIENCE, || limpid.stdout().contains(what)).with_context(|| limpid.stderr())
}

const SEEN: &str = "gravity_input_probe_latency_count";
const DELIVERED: &str = "limpid_heartbeat_delivery_seconds_count";

/// An account that may read what is captured, and nothing else; the heartbeat's schema is not there.
fn prepare(db: &Db<'_>, name: &str) -> Result<String> {
    let log = if db.is_maria() { "binlog monitor" } else { "replication client" };
    db.sql(&format!(
        "create database {name}; create table {name}.t (id int primary key, b text); \
         create user {name}@'%' identified by 'pw'; grant replication slave, {log} on *.* to {name}@'%'; \
         grant select on {name}.* to {name}@'%'"
    ))?;
    let spec = Spec::new(name, db.port())
        .source(&format!("user: {name}"))
        .source("password: pw")
        .source(&format!("heartbeat: {{ every: 50ms, table: {name}_beat.heartbeat }}"));
    Ok(spec.yaml())
}

#[test]
fn heartbeats_come_through_and_are_never_delivered() -> Result<()> {
    for db in both() {
        let name = format!("beat_{}", db.word());
        let dir = TempDir::new(&name)?;
        let pipeline = Pipeline::write(dir.path(), &name, &prepare(&db, &name)?)?;
        let before = doctor(&pipeline, &[])?;
        ensure!(before.contains(&format!("lacks CREATE ON `{}\\_beat`.*", name.replace('_', "\\_"))), "{before}");
        // As they are printed, while neither the table nor its schema is there; and they are enough.
        db.sql(&doctor(&pipeline, &["--grants"])?)?;
        let granted = doctor(&pipeline, &[])?;
        ensure!(granted.contains("the account has what is needed"), "{granted}");
        let mut limpid = pipeline.run(&[])?;
        at_least(&limpid, SEEN, 5.0)?;
        at_least(&limpid, DELIVERED, 5.0)?;
        let beats = format!("{name}_beat.heartbeat");
        db.sql(&format!(
            "insert into {name}.t values (1, 'x'); insert into {beats} values ('another', 7, 7), ('{name}x', 8, 8); \
             update {beats} set beat=9 where pipeline='another'; delete from {beats} where pipeline='{name}x'"
        ))?;
        let sum = |what: &str| told(&limpid, &format!("{what}_sum")).context("a sum");
        let (seen, count) = (sum("gravity_input_probe_latency")?, told(&limpid, SEEN).context("a count")?);
        ensure!(seen > 0.0 && seen / count < 0.5, "{seen} s in {count}");
        ensure!(told(&limpid, "limpid_heartbeat_lag_seconds").is_some_and(|lag| lag > 0.0 && lag < 5.0));
        // A right that is lost and given back.
        let user = format!("{name}@'%'");
        db.sql(&format!("revoke insert, update on {beats} from {user}"))?;
        at_least(&limpid, "limpid_heartbeat_failures_total", 2.0)?;
        // Nobody knows the lag meanwhile, so none is told.
        let address = limpid.address()?;
        wait_until("no lag is told", PATIENCE, || {
            let Ok(page) = page(&address, "/metrics") else { return false };
            let told = |name: &str| sample(&page, &format!("{name}{{")).is_some();
            told("limpid_heartbeat_failures_total") && !told("limpid_heartbeat_lag_seconds")
        })?;
        let doctor = doctor(&pipeline, &[])?;
        ensure!(doctor.contains(&format!("lacks INSERT ON `{name}_beat`.`heartbeat`")), "{doctor}");
        db.sql(&format!("insert into {name}.t values (2, 'y')"))?;
        delivered(&limpid, "\"id\":2")?;
        db.sql(&format!("grant insert, update on {beats} to {user}"))?;
        limpid.wait_for("heartbeats are written again", PATIENCE)?;
        let said = limpid.stderr();
        let warned = said.lines().filter(|line| line.contains("\"WARN\"")).collect::<Vec<_>>();
        ensure!(warned.len() == 1 && warned[0].contains("SOURCE_GRANT_MISSING"), "told once: {warned:#?}");
        ensure!(warned[0].contains("GRANT CREATE, INSERT, SELECT, UPDATE ON `"), "with what mends it: {warned:#?}");
        // Those of an earlier life are nobody's, and the position has moved with them.
        let first = limpid.stdout();
        limpid.kill()?;
        let mut limpid = pipeline.run(&[])?;
        at_least(&limpid, DELIVERED, 5.0)?;
        db.sql(&format!("insert into {name}.t values (3, 'z')"))?;
        delivered(&limpid, "\"id\":3")?;
        limpid.signal(libc::SIGTERM);
        ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
        let records = first + &limpid.stdout();
        ensure!(!records.contains("heartbeat") && !records.contains("another"), "{records}");
        let id =
            |line: &str| line.split("\"key\":{\"id\":").nth(1).and_then(|rest| rest.split('}').next()?.parse().ok());
        let ids: BTreeSet<u32> = records.lines().filter_map(id).collect();
        ensure!(ids == BTreeSet::from([1, 2, 3]), "every row, some twice: {records}");
    }
    Ok(())
}

#[test]
fn a_paused_pipeline_tells_no_lag_by_heartbeat_and_a_captured_table_is_delivered_too() -> Result<()> {
    let Some(db) = both().into_iter().next() else { return Ok(()) };
    let name = "beat_captured";
    let dir = TempDir::new(name)?;
    let yaml = prepare(&db, name)?.replace("tables: [\"beat_captured.*\"]", "tables: [\"beat_captured*.*\"]");
    db.sql("create database beat_captured_beat; grant create, insert, select, update on beat_captured_beat.* to beat_captured@'%'")?;
    let pipeline = Pipeline::write(dir.path(), name, &yaml)?;
    let mut limpid = pipeline.run(&[])?;
    at_least(&limpid, DELIVERED, 5.0)?;
    delivered(&limpid, "\"table\":\"heartbeat\"")?;
    let address = limpid.address()?;
    ensure!(limpid_e2e::call("pause", &address, &[name])?.0 == Ended::Code(0), "{}", limpid.stderr());
    wait_until("no lag is told", PATIENCE, || {
        page(&address, "/metrics").is_ok_and(|page| !page.contains("limpid_heartbeat_lag_seconds{"))
    })?;
    let before = told(&limpid, DELIVERED).context("a count")?;
    ensure!(limpid_e2e::call("resume", &address, &[name])?.0 == Ended::Code(0), "{}", limpid.stderr());
    at_least(&limpid, DELIVERED, before + 5.0)?;
    limpid.kill()
}
