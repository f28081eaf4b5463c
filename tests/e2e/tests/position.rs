//! A pipeline whose position an operator sets, and one that has halted and goes on.
//!
//! Owns: `limpid position`, `resume` of what has halted. Does not own: what a start makes of a stored position
//! (`start.rs`).
//!
//! Invariant: the calls are the binary's own commands; the oracle is what comes out.

use anyhow::{Result, ensure};
use limpid_e2e::servers::{Db, both, broker, maria};
use limpid_e2e::{Case, Ended, Limpid, PATIENCE, call, limpid, wait_until};
use limpid_stack::kafka::Isolation;
use limpid_stack::{mariadb, ports, require};

const TABLE: &str = "create table t (id int primary key)";

/// `limpid position set`, confirmed.
fn set(running: &Limpid, name: &str, position: &str) -> Result<(Ended, String)> {
    call("position", &running.address()?, &["set", name, position, "--yes", "--confirm", name])
}

fn started(case: &Case) -> Result<Limpid> {
    let running = case.pipeline.run(&[])?;
    running.wait_for("the pipeline is running", PATIENCE)?;
    Ok(running)
}

/// How often a row of this id was written.
fn times(running: &Limpid, id: u32) -> usize {
    running.stdout().lines().filter(|line| line.contains(&format!("\"after\":{{\"id\":{id}"))).count()
}

fn arrives(running: &Limpid, id: u32, count: usize) -> Result<()> {
    wait_until(&format!("{count} times row {id}"), PATIENCE, || times(running, id) == count)
}

fn ends_well(mut running: Limpid) -> Result<Limpid> {
    running.signal(libc::SIGTERM);
    ensure!(running.wait(PATIENCE)? == Ended::Code(0), "{}", running.stderr());
    Ok(running)
}

#[test]
fn a_position_that_is_set_is_gone_on_from_and_one_that_is_none_changes_nothing() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "moved", TABLE)?;
        let (running, name) = (started(&case)?, case.name.clone());
        case.sql("insert into t values (1)")?;
        arrives(&running, 1, 1)?;
        let after_one = db.gtids()?;
        case.sql("insert into t values (2); alter table t add column v int default 5; insert into t values (3, 6)")?;
        arrives(&running, 3, 1)?;
        // Nothing happens unless it was said twice.
        let at = running.address()?;
        for (arguments, code, word) in [
            (vec!["set", &name, &after_one], 2, "USAGE_INVALID"),
            (vec!["set", &name, &after_one, "--yes", "--confirm", "other"], 2, "nothing was done"),
            (vec!["set", &name, &after_one, "--confirm", &name], 2, "nothing was done"),
            (vec!["set", "nosuch", &after_one, "--yes", "--confirm", "nosuch"], 2, "HTTP_NOT_FOUND"),
            (vec!["set", &name, &after_one, "--dry-run"], 0, "would leave"),
        ] {
            let (ended, said) = call("position", &at, &arguments)?;
            ensure!(ended == Ended::Code(code) && said.contains(word), "{arguments:?}: {ended:?} {said}");
        }
        // Back, over a change of the table's definition, and back again.
        for count in 2..4 {
            let (ended, said) = set(&running, &name, &after_one)?;
            ensure!(ended == Ended::Code(0) && said.contains("moved"), "{ended:?} {said}");
            arrives(&running, 3, count)?;
            ensure!(times(&running, 1) == 1 && times(&running, 2) == count, "{}", running.stdout());
        }
        let (ended, said) = set(&running, &name, "gtid:nonsense")?;
        ensure!(ended == Ended::Code(1) && said.contains("POSITION_INVALID"), "{ended:?} {said}");
        case.sql("insert into t values (4, 7)")?;
        arrives(&running, 4, 1)?;
        // Forward: what lies between is never read.
        ensure!(call("pause", &at, &[&name])?.0 == Ended::Code(0));
        wait_until("the reader to stand", PATIENCE, || {
            call("status", &at, &[]).is_ok_and(|said| said.1.contains("paused"))
        })?;
        case.sql("insert into t values (5, 8)")?;
        ensure!(set(&running, &name, &db.gtids()?)?.0 == Ended::Code(0));
        ensure!(call("resume", &at, &[&name])?.0 == Ended::Code(0));
        case.sql("insert into t values (6, 9)")?;
        arrives(&running, 6, 1)?;
        ensure!(times(&running, 5) == 0, "a row that was passed over came");
        let (_, shown) = call("position", &at, &["show", &name, "--format", "json"])?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        ensure!(shown["moving_to"].is_null() && shown["refused"].is_null() && shown["position"].is_string(), "{shown}");
        case.keep(&ends_well(running)?)?;
        // A later start goes on from there.
        let rows = case.seen.len();
        case.sql("insert into t values (10, 1)")?;
        case.read()?;
        ensure!(case.seen.len() == rows + 1, "{} rows after one more", case.seen.len() - rows);
    }
    Ok(())
}

#[test]
fn a_position_that_is_set_is_in_the_record_that_beats_the_state() -> Result<()> {
    let (Some(broker), Some(db)) = (broker(), maria()) else { return Ok(()) };
    let mut case =
        Case::begin_with(db, "moved_once", TABLE, |spec| spec.to_kafka(&broker.bootstrap()).delivery("exactly-once"))?;
    let topic = format!("{0}.{0}.t", case.name);
    let (mut running, name) = (started(&case)?, case.name.clone());
    let before = db.gtids()?;
    case.sql("insert into t values (1); insert into t values (2)")?;
    let seen = || broker.count(&topic, Isolation::ReadCommitted).unwrap_or(0);
    wait_until("both rows", PATIENCE, || seen() == 2)?;
    ensure!(set(&running, &name, &before)?.0 == Ended::Code(0));
    wait_until("both rows again", PATIENCE, || seen() == 4)?;
    running.kill()?;
    case.read()?;
    case.sql("insert into t values (3)")?;
    case.read()?;
    let mut ids: Vec<i64> = broker
        .consume(&topic, Isolation::ReadCommitted)?
        .iter()
        .filter_map(|record| record.value.as_deref().and_then(|value| serde_json::from_slice(value).ok()))
        .filter_map(|value: serde_json::Value| value["after"]["id"].as_i64())
        .collect();
    // The rows are in several partitions, which have no common order.
    ids.sort_unstable();
    ensure!(ids == [1, 1, 2, 2, 3], "{ids:?}");
    Ok(())
}

/// What halted is mended: by the operator's word it goes on, without a restart of the process.
#[test]
fn a_halted_pipeline_goes_on_when_it_is_resumed_or_its_position_is_set() -> Result<()> {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return Ok(()) };
    let db = Db::Maria(&server);
    let case = Case::begin(db, "halted", TABLE)?;
    let rights = "replication slave, binlog monitor, select on *.* to";
    db.sql(&format!("create user limpid@'%' identified by 'p'; grant {rights} limpid@'%'"))?;
    let yaml = std::fs::read_to_string(&case.pipeline.file)?;
    std::fs::write(&case.pipeline.file, yaml.replace("user: root", "user: limpid\n  password: p"))?;
    let (running, name) = (started(&case)?, case.name.clone());
    let at = running.address()?;
    case.sql("insert into t values (1)")?;
    arrives(&running, 1, 1)?;
    let cut = |account: &str| -> Result<()> {
        let sql = "select id from information_schema.processlist where user = '";
        for id in db.sql(&format!("{sql}{account}'"))?.lines() {
            // Some are gone by themselves by now.
            let _ = db.sql(&format!("kill {id}"));
        }
        Ok(())
    };
    db.sql("revoke replication slave on *.* from limpid@'%'")?;
    cut("limpid")?;
    running.wait_for("\"error_code\":\"SOURCE_GRANT_MISSING\"", PATIENCE)?;
    let phase = |word: &str| call("status", &at, &[]).is_ok_and(|(_, said)| said.contains(word));
    wait_until("the halt", PATIENCE, || phase("halted ("))?;
    case.sql("insert into t values (2)")?;
    db.sql(&format!("grant {rights} limpid@'%'"))?;
    ensure!(call("resume", &at, &[&name])?.0 == Ended::Code(0));
    arrives(&running, 2, 1)?;
    ensure!(phase("running ("), "{:?}", call("status", &at, &[])?);
    // The log is gone altogether.
    db.sql("reset master")?;
    case.sql("insert into t values (3)")?;
    cut("limpid")?;
    wait_until("the second halt", PATIENCE, || phase("halted ("))?;
    let (ended, said) = set(&running, &name, "file:nosuch.000099:4")?;
    ensure!(ended == Ended::Code(1), "{ended:?} {said}");
    let (ended, said) = set(&running, &name, &db.gtids()?)?;
    ensure!(ended == Ended::Code(0), "{ended:?} {said}");
    case.sql("insert into t values (4)")?;
    arrives(&running, 4, 1)?;
    ensure!(times(&running, 3) == 0, "a row before the position came");
    ends_well(running)?;
    Ok(())
}

/// A server of the list that is away is no reason to keep trying what the one in use has refused.
#[test]
fn a_position_that_is_none_is_refused_at_once_though_another_server_of_the_list_is_away() -> Result<()> {
    let extra_args = vec!["--log-slave-updates".to_owned()];
    let Some(server) = require(mariadb::start(&mariadb::Options { extra_args, ..Default::default() })) else {
        return Ok(());
    };
    let (db, nowhere) = (Db::Maria(&server), ports::lease()?);
    let (here, away) = (format!("127.0.0.1:{}", db.port()), format!("127.0.0.1:{}", nowhere.port()));
    let case = Case::unstarted(db, "listed", TABLE, |spec| spec.source(&format!("url: mysql://{away},{here}")))?;
    let (file, data) = (case.pipeline.file.display().to_string(), case.pipeline.data_dir.display().to_string());
    let mut plan = limpid(&["plan", &file, "--data-dir", &data])?;
    ensure!(plan.wait(PATIENCE)? == Ended::Code(0) && plan.stdout().contains("a first start"), "{}", plan.stderr());
    let (running, name) = (started(&case)?, case.name.clone());
    case.sql("insert into t values (1)")?;
    arrives(&running, 1, 1)?;
    let (ended, said) = set(&running, &name, "gtid:nonsense")?;
    ensure!(ended == Ended::Code(1), "{ended:?} {said}");
    case.sql("insert into t values (2)")?;
    arrives(&running, 2, 1)?;
    ends_well(running)?;
    Ok(())
}
