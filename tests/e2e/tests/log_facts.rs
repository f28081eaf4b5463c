//! What the logs of both servers really hold: rolled-back groups, savepoints, two-phase ALTER, XA.
//!
//! Owns: one test a fact. Does not own: the harness (`limpid-e2e`).
//!
//! Invariant: the oracle is the table's own SELECT; where a test needs a thing to be in the log, it looks with the
//! server's own reader, so that no test passes because its hazard was not there.

use std::time::Duration;

use anyhow::{Result, ensure};
use limpid_e2e::servers::{both, maria, maria_minimal, mysqld_minimal};
use limpid_e2e::{Case, Db, Ended, PATIENCE, Spec, page, wait_until};
use limpid_stack::{mariadb, mysql, require};

const TABLE: &str = "create table t (id bigint primary key, v bigint, pad longtext);";
const TABLES: &str = "create table t (id bigint primary key, v bigint, pad longtext); \
                      create table m (id int) engine=myisam;";

/// `count` rows from `first` on, 100 kB each, in one statement.
fn bulk(db: Db, first: u32, count: u32) -> String {
    let last = first + count - 1;
    if db.is_maria() {
        format!("insert into t select seq, 1, repeat('x', 100000) from seq_{first}_to_{last};")
    } else {
        format!(
            "insert into t with recursive s as (select {first} n union all select n + 1 from s where n < {last}) \
             select n, 1, repeat('x', 100000) from s;"
        )
    }
}

fn ensure_logged(db: Db, from: &str, text: &str) -> Result<()> {
    let log = db.logged_since(from)?;
    ensure!(log.contains(text), "the hazard is not there: no {text} in\n{log}");
    Ok(())
}

#[test]
fn a_transaction_rolled_back_beside_a_temporary_table_leaves_no_row() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "temporary", TABLE)?;
        let from = db.end_of_log()?;
        case.sql(
            "insert into t values (1, 1, ''); \
             begin; insert into t values (2, 1, ''); create temporary table x (a int); rollback; \
             begin; insert into t values (3, 1, ''); create temporary table y (a int); drop temporary table y; rollback; \
             insert into t values (4, 1, '')",
        )?;
        if db.is_maria() {
            ensure_logged(db, &from, "ROLLBACK")?;
        }
        case.read()?;
        case.check("t", "id, v")?;
        ensure!(case.operations("t") == "cc", "{:?}", case.operations("t"));
    }
    Ok(())
}

#[test]
fn rows_after_a_savepoint_that_was_rolled_back_to_beside_another_engine_are_not_rows() -> Result<()> {
    for db in [maria(), mysqld_minimal()].into_iter().flatten() {
        let mut case = Case::begin(db, "mixed", TABLES)?;
        let from = db.end_of_log()?;
        case.sql(
            "begin; insert into t values (2, 1, ''); savepoint a; insert into t values (3, 1, ''); \
             insert into m values (3); rollback to a; commit; \
             begin; insert into t values (4, 1, ''); savepoint a; insert into t values (5, 1, ''); savepoint B; \
             update t set v = 9 where id = 4; insert into m values (5); rollback to b; insert into t values (6, 1, ''); \
             rollback to savepoint A; insert into t values (7, 1, ''); commit",
        )?;
        if db.is_maria() {
            ensure_logged(db, &from, "ROLLBACK TO")?;
        }
        case.read()?;
        case.check("t", "id, v")?;
        case.check("m", "id")?;
    }
    Ok(())
}

#[test]
fn savepoints_of_one_engine_leave_only_what_was_kept() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "savepoints", TABLE)?;
        case.sql(
            "begin; insert into t values (1, 1, ''); savepoint a; insert into t values (2, 1, ''); savepoint b; \
             update t set v = 2 where id = 1; rollback to b; rollback to a; insert into t values (3, 1, ''); \
             savepoint a; delete from t where id = 1; release savepoint a; commit; \
             begin; insert into t values (4, 1, ''); rollback",
        )?;
        case.read()?;
        case.check("t", "id, v")?;
    }
    Ok(())
}

#[test]
fn a_large_transaction_that_commits_is_whole() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "large_commit", TABLE)?;
        case.sql(&format!(
            "begin; {} update t set v = 2 where id <= 10; commit; insert into t values (999, 1, '')",
            bulk(db, 1, 120)
        ))?;
        case.read()?;
        case.check("t", "id, v")?;
    }
    Ok(())
}

#[test]
fn a_large_transaction_that_is_rolled_back_leaves_no_row() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "large_rollback", TABLE)?;
    let from = db.end_of_log()?;
    case.sql(&format!(
        "begin; {} create temporary table x (a int); rollback; insert into t values (999, 1, '')",
        bulk(db, 1, 120)
    ))?;
    ensure_logged(db, &from, "ROLLBACK")?;
    case.read()?;
    case.check("t", "id, v")?;
    ensure!(case.operations("t") == "c", "{:?}", case.operations("t"));
    Ok(())
}

/// Once with the undone rows on both sides of the place where the group became too large to hold, once with all of
/// them behind it, and with rows of the same group after them.
#[test]
fn rows_undone_inside_a_large_transaction_are_not_rows() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "large_undone", TABLES)?;
    let from = db.end_of_log()?;
    case.sql(&format!(
        "begin; {} savepoint a; {} insert into m values (1); rollback to a; {} commit; ",
        bulk(db, 1, 50),
        bulk(db, 101, 50),
        bulk(db, 201, 30),
    ))?;
    case.sql(&format!(
        "begin; {} savepoint a; {} insert into m values (2); rollback to a; {} commit; insert into t values (999, 1, '')",
        bulk(db, 301, 100),
        bulk(db, 401, 30),
        bulk(db, 501, 30),
    ))?;
    // Small enough to be held, too large to leave in one piece.
    case.sql(&format!(
        "begin; {} savepoint a; {} insert into m values (3); rollback to a; {} commit",
        bulk(db, 601, 10),
        bulk(db, 701, 10),
        bulk(db, 801, 10),
    ))?;
    ensure_logged(db, &from, "ROLLBACK TO")?;
    case.read()?;
    case.check("t", "id, v")?;
    case.check("m", "id")
}

/// The first piece's position is saved at once, since none was for a second; then the process dies. The second life
/// begins inside the transaction behind the rows that were counted, and not one of them comes twice.
#[test]
fn a_large_transaction_goes_on_behind_the_rows_that_were_done_before_a_kill() -> Result<()> {
    // Servers of its own: the first position that is saved must be this transaction's.
    if let Some(server) = require(mariadb::start(&mariadb::Options::default())) {
        killed_inside(Db::Maria(&server), "killed")?;
    }
    let extra_args = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned).to_vec();
    if let Some(server) = require(mysql::start(&mysql::Options { extra_args, ..mysql::Options::default() })) {
        killed_inside(Db::MySql(&server), "killed")?;
    }
    Ok(())
}

fn killed_inside(db: Db, name: &str) -> Result<()> {
    let mut case = Case::begin(db, name, TABLE)?;
    let mut limpid = case.pipeline.run(&["--failpoint", "after-state:1"])?;
    limpid.wait_for("running", PATIENCE)?;
    wait_until("a save to be due", PATIENCE, || limpid.age() > Duration::from_millis(1200))?;
    case.sql(&format!("begin; {} update t set v = 2 where id <= 10; commit", bulk(db, 1, 120)))?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Signal(9), "ended with {ended:?}: {}", limpid.stderr());
    case.keep(&limpid)?;
    let first = case.seen.len();
    ensure!((1..130).contains(&first), "{first} rows before the kill, not inside: {}", limpid.stderr());
    case.read()?;
    ensure!(case.seen.len() == 130, "{} rows with {first} before the kill, not 130", case.seen.len());
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the pipeline is running", PATIENCE)?;
    let flow = page(&limpid.address()?, &format!("/api/v1/pipelines/{}/flow", case.name));
    limpid.kill()?;
    let flow: serde_json::Value = serde_json::from_str(&flow?)?;
    let table = &flow["tables"][0];
    ensure!(table["read"] == 130 && table["delivered"] == 130, "rows read again count once: {flow}");
    case.check("t", "id, v")
}

#[test]
fn a_two_phase_alter_is_applied_once_and_a_failed_one_never() -> Result<()> {
    for db in [maria(), maria_minimal()].into_iter().flatten() {
        let mut case = Case::begin(db, "two_phase", "create table t (id int primary key, v int)")?;
        let from = db.end_of_log()?;
        case.sql("insert into t values (1, 5), (2, 5)")?;
        case.sql("set binlog_alter_two_phase=1; alter table t add column c int not null default 7 first")?;
        case.sql("insert into t values (70, 3, 6)")?;
        let failed = case.sql("set binlog_alter_two_phase=1; alter table t add column d int first, add unique (v)");
        ensure!(failed.is_err(), "two equal values under a unique key");
        case.sql("update t set v = 8 where id = 3; set binlog_alter_two_phase=1; alter table t drop column c")?;
        case.sql("insert into t values (4, 9)")?;
        for text in ["START ALTER", "COMMIT ALTER", "ROLLBACK ALTER"] {
            ensure_logged(db, &from, text)?;
        }
        let said = case.read()?;
        ensure!(!said.contains("TABLE_SCHEMA"), "{} and {said}", case.operations("t"));
        case.check("t", "id, v")?;
        ensure!(case.operations("t") == "cccuc", "{}", case.operations("t"));
        let after = |index: usize| case.changes("t")[index].after.to_string();
        ensure!(after(2) == r#"{"c":70,"id":3,"v":6}"#, "{}", after(2));
        ensure!(after(4) == r#"{"id":4,"v":9}"#, "{}", after(4));
    }
    Ok(())
}

#[test]
fn a_prepared_xa_transaction_of_other_tables_does_not_halt() -> Result<()> {
    for db in both() {
        let only_t = |spec: Spec| {
            let line = format!("tables: [\"{}.t\"]", spec.name);
            spec.source(&line)
        };
        let tables = format!("{TABLE} create table other (id int primary key)");
        let mut case = Case::begin_with(db, "xa_other", &tables, only_t)?;
        for (id, ending) in [("o1", "commit"), ("o2", "rollback")] {
            case.sql(&format!(
                "insert into t values ({n}, 1, ''); xa start '{id}'; insert into other values ({n}); xa end '{id}'; \
                 xa prepare '{id}'; xa {ending} '{id}'; insert into t values (10 + {n}, 1, '')",
                n = &id[1..]
            ))?;
        }
        let said = case.read()?;
        ensure!(!said.contains("XA_COMMIT_UNKNOWN"), "{said}");
        case.check("t", "id, v")?;
    }
    Ok(())
}

#[test]
fn an_xa_transaction_committed_in_one_phase_is_a_transaction() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "xa_one", TABLE)?;
        case.sql(
            "xa start 'p'; insert into t values (1, 1, ''), (2, 1, ''); update t set v = 2 where id = 2; xa end 'p'; \
             xa commit 'p' one phase; xa start 'q'; insert into t values (3, 1, ''); xa end 'q'; xa rollback 'q'; \
             insert into t values (4, 1, '')",
        )?;
        case.read()?;
        case.check("t", "id, v")?;
        ensure!(case.operations("t") == "ccuc", "{:?}", case.operations("t"));
    }
    Ok(())
}
