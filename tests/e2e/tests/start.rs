//! Where a pipeline begins and ends, and what keeps it from beginning.
//!
//! Owns: start and end positions, resuming, each fault of a source with its code. Does not own: TLS and logins
//! (`logins.rs`), outages (`outages.rs`).
//!
//! Invariant: a fault is known by its code and its exit code; the oracle of a start is the rows that come.

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, both_minimal, maria, mysqld};
use limpid_e2e::{Case, Db, Ended, PATIENCE, Spec, wait_until};
use limpid_stack::{mariadb, mysql, ports, require};

const TABLE: &str = "create table t (id int primary key)";

fn ids(case: &Case) -> Vec<i64> {
    case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect()
}

/// A second pipeline on the case's database, with changed lines.
fn other<'a>(case: &Case<'a>, name: &str, lines: &[&str]) -> Result<Case<'a>> {
    let mut spec = Spec::new(&format!("{}_{name}", case.name), case.db.port());
    spec = spec.source(&format!("tables: [\"{}.*\"]", case.name));
    for line in lines {
        spec = spec.source(line);
    }
    let dir = limpid_stack::TempDir::new(name)?;
    let pipeline = limpid_e2e::Pipeline::write(dir.path(), name, &spec.yaml())?;
    Ok(Case { db: case.db, name: case.name.clone(), dir, pipeline, seen: Vec::new() })
}

#[test]
fn a_start_at_each_kind_of_place_sees_what_is_after_it() -> Result<()> {
    for db in [both(), both_minimal()].concat() {
        let mut case = Case::begin(db, "places", TABLE)?;
        case.sql("insert into t values (1)")?;
        let (file, gtids) = (db.end_of_log()?, db.gtids()?);
        case.sql("insert into t values (2), (3)")?;
        case.read()?;
        ensure!(ids(&case) == [1, 2, 3], "head: {:?}", ids(&case));
        let mut starts = vec![("earliest".to_owned(), vec![1, 2, 3]), (file, vec![2, 3])];
        if gtids.len() > "gtid:".len() {
            starts.push((gtids, vec![2, 3]));
        }
        for (index, (start, expected)) in starts.iter().enumerate() {
            let mut other = other(&case, &format!("at{index}"), &[&format!("start: \"{start}\"")])?;
            other.read()?;
            let earlier = (0..index).map(|index| 100 + index as i64);
            let expected: Vec<i64> = expected.iter().copied().chain(earlier).collect();
            ensure!(ids(&other) == expected, "{start}: {:?}", ids(&other));
            // The next life goes on where this one ended, whatever `start` says.
            case.sql(&format!("insert into t values (10{index})"))?;
            other.seen.clear();
            other.read()?;
            ensure!(ids(&other).last() == Some(&(100 + index as i64)), "{start}: {:?}", ids(&other));
            ensure!(!ids(&other).contains(&1), "{start}: {:?}", ids(&other));
        }
    }
    Ok(())
}

/// A set that lacks one transaction in the middle is a place: that transaction comes, its neighbours do not.
#[test]
fn a_start_at_a_set_with_a_gap_sees_what_is_in_the_gap() -> Result<()> {
    let Some(db) = mysqld() else { return Ok(()) };
    let case = Case::begin(db, "gap", TABLE)?;
    let uuid = db.sql("select @@server_uuid")?.trim().to_owned();
    let mut gtids = Vec::new();
    // Their own ids, far from those that the server gives out.
    for id in 1..=3 {
        let gtid = 1_000_000 + id;
        case.sql(&format!("set gtid_next='{uuid}:{gtid}'; insert into t values ({id}); set gtid_next=automatic"))?;
        gtids.push(gtid);
    }
    let all = db.gtids()?;
    let with_gap = all.replace(&format!("{}-{}", gtids[0], gtids[2]), &format!("{}:{}", gtids[0], gtids[2]));
    ensure!(all != with_gap, "{all}");
    let mut other = other(&case, "at", &[&format!("start: \"{with_gap}\"")])?;
    other.read()?;
    ensure!(ids(&other) == [2], "{with_gap}: {:?}", ids(&other));
    Ok(())
}

/// Numbers that jump and a second domain, as after a fail-over or with several writers.
#[test]
fn a_start_at_gtids_of_several_domains_sees_what_is_after_each() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let case = Case::begin(db, "domains", TABLE)?;
    case.sql("set session gtid_domain_id=7; set session gtid_seq_no=1000; insert into t values (1)")?;
    let place = db.gtids()?;
    ensure!(place.contains("7-1-1000"), "{place}");
    case.sql("insert into t values (2); set session gtid_domain_id=7; set session gtid_seq_no=5000; insert into t values (3)")?;
    let mut after = other(&case, "after", &[&format!("start: \"{place}\"")])?;
    after.read()?;
    ensure!(ids(&after) == [2, 3], "{place}: {:?}", ids(&after));
    case.sql("set session gtid_domain_id=7; insert into t values (4)")?;
    after.read()?;
    ensure!(ids(&after) == [2, 3, 4], "{:?}", ids(&after));
    Ok(())
}

#[test]
fn an_end_at_a_position_is_exact_and_a_success() -> Result<()> {
    for db in [both(), both_minimal()].concat() {
        let mut case = Case::begin(db, "until", TABLE)?;
        case.sql("insert into t values (1); begin; insert into t values (2); insert into t values (3); commit")?;
        let mut ends = vec![db.end_of_log()?];
        let gtids = db.gtids()?;
        if gtids.len() > "gtid:".len() {
            ends.push(gtids);
        }
        case.sql("insert into t values (4)")?;
        for end in ends {
            let mut other = other(&case, "until", &["start: earliest"])?;
            let (ended, said) = other.run(&["--until", &end])?;
            ensure!(ended == Ended::Code(0), "{end}: {ended:?} {said}");
            ensure!(ids(&other) == [1, 2, 3], "{end}: {:?}", ids(&other));
        }
        case.read()?;
        ensure!(ids(&case) == [1, 2, 3, 4], "{:?}", ids(&case));
    }
    Ok(())
}

#[test]
fn an_end_that_can_never_come_is_refused() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "never", TABLE)?;
        for end in ["tomorrow", "gtid:zzz"] {
            let (ended, said) = case.run(&["--until", end])?;
            ensure!(ended == Ended::Code(1) && said.contains("POSITION_INVALID"), "{end}: {ended:?} {said}");
        }
        let from_file = format!("start: \"{}\"", db.end_of_log()?);
        let mut other = other(&case, "file", &[&from_file])?;
        let (ended, said) = other.run(&["--until", &db.gtids()?])?;
        ensure!(ended == Ended::Code(1) && said.contains("POSITION_INVALID"), "{ended:?} {said}");
    }
    Ok(())
}

/// One run that must halt with `code` and end with 1.
fn halts(db: Db, name: &str, lines: &[&str], code: &str) -> Result<String> {
    let case = Case::unstarted(db, name, TABLE, |spec| lines.iter().fold(spec, |spec, line| spec.source(line)));
    case?.read_to_halt(code).with_context(|| format!("{name} on {}", db.word()))
}

#[test]
fn a_text_that_is_no_position_is_refused_before_anything_is_read() -> Result<()> {
    for db in both() {
        for (index, text) in ["file:bin", "gtid:zzz", "lsn:1/2", "file:bin.000001:x"].iter().enumerate() {
            let mut case =
                Case::unstarted(db, &format!("text{index}"), TABLE, |spec| spec.source(&format!("start: \"{text}\"")))?;
            let (ended, said) = case.run(&["--until", "caught-up"])?;
            let refused = matches!(ended, Ended::Code(1 | 2));
            ensure!(
                refused && (said.contains("POSITION_INVALID") || said.contains("CONFIG_BAD_VALUE")),
                "{text}: {said}"
            );
        }
    }
    Ok(())
}

#[test]
fn an_account_without_the_rights_is_told_the_grant() -> Result<()> {
    for db in both() {
        db.sql(
            "create user if not exists few@'127.0.0.1' identified by 'Few-1'; grant select on *.* to few@'127.0.0.1'",
        )?;
        let said =
            halts(db, "rights", &["user: few", "password: Few-1", "tls: { mode: preferred }"], "SOURCE_GRANT_MISSING")?;
        ensure!(said.contains("GRANT REPLICATION SLAVE"), "{said}");
        ensure!(!said.contains("Few-1"), "a password in {said}");
    }
    Ok(())
}

/// Settings of the whole server, so each server is this test's own.
#[test]
fn a_server_that_logs_otherwise_is_refused_each_with_its_code() -> Result<()> {
    let off = mariadb::Options { extra_args: vec!["--skip-log-bin".to_owned()], ..mariadb::Options::default() };
    if let Some(server) = require(mariadb::start(&off)) {
        halts(Db::Maria(&server), "off", &[], "SOURCE_LOG_OFF")?;
    }
    let maria = require(mariadb::start(&mariadb::Options::default()));
    let mysql = require(mysql::start(&mysql::Options::default()));
    for db in [maria.as_ref().map(Db::Maria), mysql.as_ref().map(Db::MySql)].into_iter().flatten() {
        db.sql("set global binlog_format=STATEMENT")?;
        halts(db, "statement", &[], "SOURCE_LOG_FORMAT")?;
        db.sql("set global binlog_format=ROW; set global binlog_row_image=MINIMAL")?;
        halts(db, "minimal", &[], "SOURCE_ROW_IMAGE")?;
        Case::begin_with(db, "minimal_accepted", TABLE, |spec| spec.source("row-image: accept"))?;
        db.sql("set global binlog_row_image=FULL")?;
        purged_then_reset(db)?;
    }
    Ok(())
}

fn purged_then_reset(db: Db) -> Result<()> {
    let mut case = Case::begin(db, "purged", TABLE)?;
    case.sql("insert into t values (1); flush logs; insert into t values (2); flush logs")?;
    let files = || -> Result<Vec<String>> {
        let files = db.sql("show binary logs")?;
        Ok(files.lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect())
    };
    // A file that a reader who has just left still holds is not purged, without a word.
    wait_until("the purge", PATIENCE, || {
        let left = files().unwrap_or_default();
        let last = left.last().cloned().unwrap_or_default();
        left.len() == 1 || (db.sql(&format!("purge binary logs to '{last}'")).is_err() && left.len() == 1)
    })?;
    case.read_to_halt("SOURCE_LOG_PURGED")?;
    ensure!(case.seen.is_empty(), "{:?}", case.seen);
    let mut case = Case::begin(db, "reset", TABLE)?;
    case.sql("insert into t values (1), (2)")?;
    case.read()?;
    // Another history under the same address: what was stored was never part of it.
    db.sql("reset master")?;
    case.sql("insert into t values (3)")?;
    let (ended, said) = case.run(&["--until", "caught-up"])?;
    ensure!(ended == Ended::Code(1), "{ended:?}: {said}");
    ensure!(said.contains("SOURCE_CHANGED"), "{said}");
    ensure!(ids(&case) == [1, 2], "{:?}", ids(&case));
    Ok(())
}

/// The server ends the older of two readers with one number.
#[test]
fn two_readers_with_one_server_id_are_told() -> Result<()> {
    for db in both() {
        let first = Case::begin_with(db, "clash", TABLE, |spec| spec.source("server-id: 4711"))?;
        let running = first.pipeline.run(&[])?;
        running.wait_for("the pipeline is running", PATIENCE)?;
        let second = other(&first, "second", &["server-id: 4711"])?;
        let second_running = second.pipeline.run(&[])?;
        let told = || [&running, &second_running].iter().any(|run| run.stderr().contains("SOURCE_SERVER_ID_CLASH"));
        wait_until("one of them to be told", PATIENCE, told).with_context(|| running.stderr())?;
        drop(second_running);
        first.sql("insert into t values (1)")?;
        wait_until("the row", PATIENCE, || running.stdout().contains("\"id\":1"))?;
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_is_tried_again() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let lease = ports::lease()?;
    let url = format!("url: mysql://127.0.0.1:{}", lease.port());
    let case = Case::unstarted(db, "away", TABLE, |spec| spec.source(&url))?;
    let mut limpid = case.pipeline.run(&["--until", "caught-up"])?;
    let tries = || limpid.stderr().matches("SOURCE_UNREACHABLE").count();
    wait_until("a second try", PATIENCE, || tries() >= 2).with_context(|| limpid.stderr())?;
    ensure!(limpid.is_running(), "{}", limpid.stderr());
    // And comes up when it does.
    let proxy = limpid_e2e::Proxy::start("127.0.0.1", lease.port(), format!("127.0.0.1:{}", db.port()))?;
    ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{} through {}", limpid.stderr(), proxy.address());
    Ok(())
}
