//! XA transactions from their PREPARE to their end.
//!
//! Owns: rows held over kills of us and of the server, decisions in any order, what is forgotten, missing or older
//! than we are. Does not own: the log's events one by one (`limpid-mysql`).
//!
//! Invariant: the oracle is the table's own SELECT and the order in which rows come; nobody but the server's sessions
//! decides anything.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, broker, maria, mysqld, mysqld_minimal};
use limpid_e2e::{
    Case, Db, Ended, PATIENCE, Seeded, Spec, Writer, XaWriter, check_copied, check_exactly_once, check_nothing_lost,
    seen_in, wait_until,
};
use limpid_engine::failpoint::POINTS;
use limpid_stack::kafka::Isolation;
use limpid_stack::{Session, mariadb, mysql, require};

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";
const BULKY: &str = "create table t (id bigint primary key, v bigint not null, pad mediumtext not null)";

/// What one test leaves prepared is what another finds before its start, so they have the servers in turn.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ids(case: &Case) -> Vec<i64> {
    case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect()
}

/// A session that has prepared `script` as `xid`.
fn prepared(case: &Case, xid: &str, script: &str) -> Result<Session> {
    let mut session = case.db.session()?;
    session.exec(&format!("use {}", case.name))?;
    session.exec(&format!("xa start '{xid}'"))?;
    for statement in script.split(';') {
        session.exec(statement)?;
    }
    session.exec(&format!("xa end '{xid}'"))?;
    session.exec(&format!("xa prepare '{xid}'"))?;
    Ok(session)
}

/// The files in which rows are held.
fn held(case: &Case) -> Result<Vec<std::path::PathBuf>> {
    let dir = case.pipeline.data_dir.join("held").join(&case.name);
    let paths = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let paths = paths.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "xa")).collect())
}

/// Starts, waits until it has read what there is, and kills it.
fn run_and_kill(case: &mut Case, until: impl Fn(&Case, &str) -> bool) -> Result<()> {
    let mut limpid = case.pipeline.run(&[])?;
    wait_until("what is to be seen before the kill", PATIENCE, || until(case, &limpid.stdout()))?;
    limpid.kill()?;
    case.keep(&limpid)
}

fn flows_at_its_commit(db: Db) -> Result<()> {
    let mut case = Case::begin(db, "commits", TABLE)?;
    case.sql("insert into t values (1, 1, '')")?;
    let mut session =
        prepared(&case, "c", "insert into t values (2, 1, ''), (3, 1, ''); update t set v = 2 where id = 1")?;
    case.sql("insert into t values (4, 1, '')")?;
    run_and_kill(&mut case, |case, lines| lines.contains("\"id\":4") && held(case).is_ok_and(|held| held.len() == 1))?;
    // Killed before its position was saved, it may tell again what it told.
    case.read()?;
    ensure!(!ids(&case).contains(&2), "{}: {:?}", db.word(), ids(&case));
    ensure!(held(&case)?.len() == 1, "{:?}", held(&case));
    let (_, exported) = case.pipeline.state("export", &[])?;
    let exported: serde_json::Value = serde_json::from_str(&exported.stdout())?;
    ensure!(exported.to_string().contains("X'63',X'',1@") && exported["change"].as_u64() >= Some(1), "{exported}");
    case.seen.clear();
    case.sql("insert into t values (5, 1, '')")?;
    session.exec("xa commit 'c'")?;
    case.sql("insert into t values (6, 1, '')")?;
    case.read()?;
    ensure!(ids(&case) == [5, 2, 3, 1, 6], "{}: {:?}", db.word(), ids(&case));
    let said = case.read()?;
    ensure!(ids(&case).len() == 5 && held(&case)?.is_empty(), "{:?} {:?} {said}", ids(&case), held(&case));
    // And one that is rolled back was never there.
    let mut session = prepared(&case, "r", "insert into t values (7, 1, '')")?;
    case.read()?;
    ensure!(held(&case)?.len() == 1, "{:?}", held(&case));
    session.exec("xa rollback 'r'")?;
    case.sql("insert into t values (8, 1, '')")?;
    case.read()?;
    case.read()?;
    ensure!(ids(&case) == [5, 2, 3, 1, 6, 8] && held(&case)?.is_empty(), "{:?} {:?}", ids(&case), held(&case));
    Ok(())
}

#[test]
fn rows_of_a_prepared_transaction_flow_at_its_commit_over_a_kill_and_not_at_all_when_rolled_back() -> Result<()> {
    let _turn = alone();
    [both(), mysqld_minimal().into_iter().collect()].concat().into_iter().try_for_each(flows_at_its_commit)
}

#[test]
fn two_transactions_are_decided_in_the_other_order_and_an_id_is_used_again() -> Result<()> {
    let _turn = alone();
    for db in both() {
        let mut case = Case::begin(db, "crossed", TABLE)?;
        let mut one = prepared(&case, "x1", "insert into t values (1, 1, '')")?;
        let mut two = prepared(&case, "x2", "insert into t values (2, 1, '')")?;
        case.read()?;
        two.exec("xa commit 'x2'")?;
        drop(two);
        let mut again = prepared(&case, "x2", "update t set v = 2 where id = 2")?;
        case.read()?;
        ensure!(ids(&case) == [2], "{:?}", ids(&case));
        one.exec("xa commit 'x1'")?;
        case.read()?;
        again.exec("xa commit 'x2'")?;
        // All of it between two reads, so that nothing needs a file.
        let mut three = prepared(&case, "x3", "insert into t values (3, 1, '')")?;
        three.exec("xa commit 'x3'")?;
        case.read()?;
        ensure!(ids(&case) == [2, 1, 2, 3], "{:?}", ids(&case));
        case.check("t", "id, v")?;
    }
    Ok(())
}

/// Far beyond what is kept in memory, prepared and committed at once.
#[test]
fn a_large_transaction_is_held_in_a_file_and_flows_in_pieces() -> Result<()> {
    let _turn = alone();
    for db in both() {
        let mut case = Case::begin(db, "bulky", BULKY)?;
        let rows = |first: u32| -> String {
            let row = |id: u32| format!("({id}, 1, repeat('{}', 60000))", id % 10);
            let rows = |from: u32| (from..from + 40).map(row).collect::<Vec<_>>().join(",");
            (0..5).map(|part| format!("insert into t values {}", rows(first + part * 40))).collect::<Vec<_>>().join(";")
        };
        let mut session = prepared(&case, "big", &rows(1000))?;
        case.read()?;
        let size = held(&case)?.iter().map(|path| path.metadata().map_or(0, |data| data.len())).sum::<u64>();
        ensure!(size > 12_000_000, "{size}");
        case.sql("insert into t values (1, 1, '')")?;
        session.exec("xa commit 'big'")?;
        case.sql(&format!("xa start 'once'; {}; xa end 'once'; xa commit 'once' one phase", rows(2000)))?;
        case.read()?;
        ensure!(ids(&case)[..2] == [1, 1000] && ids(&case).len() == 401, "{:?}", ids(&case).len());
        case.check("t", "id, v, pad")?;
    }
    Ok(())
}

fn server_killed(server: Db, kill: impl Fn() -> Result<()>) -> Result<()> {
    let mut case = Case::begin(server, "reborn", TABLE)?;
    let session = prepared(&case, "s", "insert into t values (2, 1, '')")?;
    case.sql("insert into t values (1, 1, '')")?;
    let mut limpid = case.pipeline.run(&[])?;
    wait_until("the other row", PATIENCE, || limpid.stdout().contains("\"id\":1"))?;
    drop(session);
    kill()?;
    case.sql("insert into t values (3, 1, '')")?;
    wait_until("a row after the server's crash", PATIENCE, || limpid.stdout().contains("\"id\":3"))
        .with_context(|| limpid.stderr())?;
    case.sql("xa commit 's'")?;
    wait_until("the rows of the commit", PATIENCE, || limpid.stdout().contains("\"id\":2"))
        .with_context(|| limpid.stderr())?;
    limpid.kill()?;
    case.keep(&limpid)?;
    ensure!(ids(&case) == [1, 3, 2], "{:?}", ids(&case));
    forgotten(case)
}

/// The server forgets a prepared transaction without a word in its log, as a crash may make it.
fn forgotten(mut case: Case) -> Result<()> {
    case.read()?;
    let mut session = prepared(&case, "f", "insert into t values (4, 1, '')")?;
    let mut limpid = case.pipeline.run(&[])?;
    wait_until("it to be held", PATIENCE, || held(&case).is_ok_and(|held| held.len() == 1))?;
    drop(std::mem::replace(&mut session, case.db.session()?));
    let forget = || case.sql("set sql_log_bin = 0; xa rollback 'f'").is_ok();
    wait_until("the session to be gone", PATIENCE, forget)?;
    wait_until("it to be given up", PATIENCE, || limpid.stderr().contains("XA_ROLLED_BACK_UNSEEN"))
        .with_context(|| limpid.stderr())?;
    // A kill may come before the position that says so is saved, and then it is held again: it ends in order.
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    case.seen.clear();
    case.sql("insert into t values (5, 1, '')")?;
    case.read()?;
    ensure!(ids(&case).last() == Some(&5) && !ids(&case).contains(&4), "{:?}", ids(&case));
    ensure!(held(&case)?.is_empty(), "{:?}", held(&case));
    Ok(())
}

/// The servers are this test's own.
#[test]
fn a_server_killed_while_something_is_prepared_commits_it_later_and_what_it_forgot_is_given_up() -> Result<()> {
    let _turn = alone();
    if let Some(server) = require(mariadb::start(&mariadb::Options::default())) {
        server_killed(Db::Maria(&server), || {
            server.kill()?;
            server.restart()
        })?;
    }
    if let Some(server) = require(mysql::start(&mysql::Options::default())) {
        server_killed(Db::MySql(&server), || {
            server.kill()?;
            server.restart()
        })?;
    }
    Ok(())
}

#[test]
fn a_commit_of_what_was_prepared_before_the_first_start_halts() -> Result<()> {
    let _turn = alone();
    for db in both() {
        let mut case = Case::unstarted(db, "older", TABLE, |spec| spec)?;
        let mut session = prepared(&case, "o", "insert into t values (1, 1, '')")?;
        case.read()?;
        case.sql("insert into t values (2, 1, '')")?;
        case.read()?;
        session.exec("xa commit 'o'")?;
        case.sql("insert into t values (3, 1, '')")?;
        for _ in 0..2 {
            case.read_to_halt("XA_ROWS_BEFORE_START")?;
            ensure!(ids(&case) == [2], "{:?}", ids(&case));
        }
    }
    Ok(())
}

#[test]
fn rows_that_are_held_and_are_gone_from_the_disk_halt_and_are_told() -> Result<()> {
    let _turn = alone();
    for db in both() {
        let mut case = Case::begin(db, "gone", TABLE)?;
        let mut session = prepared(&case, "g", "insert into t values (1, 1, '')")?;
        case.read()?;
        for path in held(&case)? {
            std::fs::write(path, b"what a broken disk gives")?;
        }
        case.read_to_halt("XA_ROWS_LOST")?;
        session.exec("xa rollback 'g'")?;
        case.read_to_halt("XA_ROWS_LOST")?;
    }
    Ok(())
}

#[test]
fn a_state_rebuilt_from_the_sink_says_that_held_rows_are_not_there() -> Result<()> {
    let _turn = alone();
    let (Some(broker), Some(db)) = (broker(), maria()) else { return Ok(()) };
    let case = Case::unstarted(db, "rebuilt", TABLE, |spec| spec.to_kafka(&broker.bootstrap()))?;
    case.pipeline.run_to_end()?;
    let mut session = prepared(&case, "b", "insert into t values (1, 1, '')")?;
    case.pipeline.run_to_end()?;
    let new = case.pipeline.with_data_dir("new");
    let (ended, said) = new.state("import", &["--from-sink"])?;
    ensure!(ended == Ended::Code(0), "{}", said.stderr());
    let mut limpid = new.run(&["--until", "caught-up"])?;
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(1) && limpid.stderr().contains("XA_ROWS_LOST"), "{}", limpid.stderr());
    session.exec("xa rollback 'b'")?;
    Ok(())
}

/// So many of the places are tried in one run, others in the next; `make soak` tries all.
const PLACES_A_RUN: usize = 2;

/// The places that a restart and a stream pass where nothing is copied and no definition changes.
fn places() -> Vec<&'static str> {
    const NEVER: [&str; 5] = ["after-first-position", "after-chunk", "after-admission", "after-copied", "before-drain"];
    // No row is kept back here (`dead_letters.rs`).
    const PARKING: [&str; 3] = ["after-parked", "after-replay-marked", "after-replay-durable"];
    let never = |name: &str| name.contains("history") || NEVER.contains(&name) || PARKING.contains(&name);
    POINTS.iter().map(|(name, _)| *name).filter(|name| !never(name)).collect()
}

/// Four sessions that keep something prepared.
fn xa_writer(case: &Case, first: u64, version: u64) -> Result<XaWriter> {
    let sessions = (0..4).map(|_| case.db.session()).collect::<Result<Vec<_>>>()?;
    XaWriter::start(sessions, &case.name, first, version)
}

fn killed_everywhere(db: Db, name: &str, delivery: &str) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    let to_kafka = |spec: Spec| spec.to_kafka(&broker.bootstrap()).delivery(delivery);
    let case = Case::unstarted(db, name, TABLE, to_kafka)?;
    case.pipeline.run_to_end()?;
    let writer = Writer::start(db.session()?, &case.name, 0)?;
    let xa = xa_writer(&case, 1000, 0)?;
    let all = places();
    let tried = Seeded::new().part(&all, PLACES_A_RUN);
    for place in &tried {
        let count = match *place {
            // Passed once a save or once a life, so its first time must do.
            "after-fence" | "after-epoch" | "after-first-record" => 1,
            "before-record" | "record-under-way" | "after-record" | "before-state" | "after-state" => 1,
            _ => 3 + 7 * all.iter().position(|known| known == place).unwrap_or_default(),
        };
        let before = xa.decisions();
        let mut limpid = case.pipeline.run(&["--failpoint", &format!("{place}:{count}")])?;
        let ended = limpid.wait(PATIENCE)?;
        ensure!(format!("{ended:?}") == "Signal(9)", "{place}: ended with {ended:?}: {}", limpid.stderr());
        wait_until("more decisions", PATIENCE, || xa.decisions() > before)?;
    }
    let before = xa.decisions();
    wait_until("more decisions", PATIENCE, || xa.decisions() > before + 50)?;
    writer.stop()?;
    xa.stop()?;
    case.pipeline.run_to_end()?;
    let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    let (seen, table) = (seen_in(&records)?, case.sql("select id, v from t")?);
    match delivery {
        "exactly-once" => check_exactly_once(&seen, &table),
        _ => check_nothing_lost(&seen, &table, tried.len()),
    }
}

#[test]
fn nothing_is_lost_or_doubled_exactly_once_when_killed_everywhere_while_mariadb_holds_xa() -> Result<()> {
    let _turn = alone();
    maria().map_or(Ok(()), |db| killed_everywhere(db, "xa_once", "exactly-once"))
}

#[test]
fn nothing_is_lost_or_doubled_exactly_once_when_killed_everywhere_while_mysql_holds_xa() -> Result<()> {
    let _turn = alone();
    mysqld().map_or(Ok(()), |db| killed_everywhere(db, "xa_once", "exactly-once"))
}

#[test]
fn nothing_is_lost_when_killed_everywhere_while_mariadb_holds_xa() -> Result<()> {
    let _turn = alone();
    maria().map_or(Ok(()), |db| killed_everywhere(db, "xa_least", "at-least-once"))
}

#[test]
fn nothing_is_lost_when_killed_everywhere_while_mysql_holds_xa() -> Result<()> {
    let _turn = alone();
    mysqld().map_or(Ok(()), |db| killed_everywhere(db, "xa_least", "at-least-once"))
}

/// Killed between the pieces of a commit, it goes on behind the rows that are done. Fourteen of these rows are a piece,
/// so that the last piece ends where the transaction does.
#[test]
fn a_large_commit_goes_on_inside_after_a_kill() -> Result<()> {
    let _turn = alone();
    let Some(broker) = broker() else { return Ok(()) };
    for db in both() {
        let once =
            |spec: Spec| spec.to_kafka(&broker.bootstrap()).delivery("exactly-once").sink("commit-interval: 5ms");
        let case = Case::unstarted(db, "pieces", BULKY, once)?;
        case.pipeline.run_to_end()?;
        let row = |id: u32| format!("({id}, 1, repeat('{}', 20000))", id % 10);
        let rows = |from: u32| (from..from + 70).map(row).collect::<Vec<_>>().join(",");
        let script: Vec<String> = (0..15).map(|part| format!("insert into t values {}", rows(1 + part * 70))).collect();
        let mut session = prepared(&case, "p", &script.join(";"))?;
        session.exec("xa commit 'p'")?;
        case.sql("insert into t values (2000, 1, ''); insert into t values (2001, 1, '')")?;
        for place in ["after-record:2", "record-under-way:2", "after-write:5"] {
            let mut limpid = case.pipeline.run(&["--failpoint", place])?;
            limpid.wait_for_kill(|| case.sql("update t set v = v + 1 where id = 2001")).with_context(|| place)?;
        }
        // The second finds the position behind the rows of the first.
        case.pipeline.run_to_end()?;
        case.pipeline.run_to_end()?;
        let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
        check_exactly_once(&seen_in(&records)?, &case.sql("select id, v from t")?)?;
    }
    Ok(())
}

/// Rows in `t` before it is copied.
const ROWS: u64 = 3000;

#[test]
fn a_table_changed_by_xa_while_it_is_copied_is_whole_and_no_key_goes_back() -> Result<()> {
    let _turn = alone();
    let Some(broker) = broker() else { return Ok(()) };
    for db in both() {
        let copied = |spec: Spec| {
            let snapshot = "{ mode: initial, chunk-rows: 100, rows-per-second: 1500, slowdown: 100 }";
            spec.to_kafka(&broker.bootstrap()).snapshot(snapshot).delivery("exactly-once")
        };
        let case = Case::unstarted(db, "xa_copied", TABLE, copied)?;
        for first in (0..ROWS).step_by(1000) {
            let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id},1,'')")).collect();
            case.sql(&format!("insert into t values {}", rows.join(",")))?;
        }
        // At its first start something is prepared all the time.
        let writers: Vec<XaWriter> = (0..3).map(|part| xa_writer(&case, part * ROWS / 3, 1)).collect::<Result<_>>()?;
        let limpid = case.pipeline.run(&[])?;
        let count = || writers.iter().map(XaWriter::decisions).sum::<u64>();
        limpid.wait_for("the tables are copied", PATIENCE)?;
        ensure!(count() > 20, "{} decisions while it was copied", count());
        writers.into_iter().try_for_each(XaWriter::stop)?;
        drop(limpid);
        case.pipeline.run_to_end()?;
        let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
        check_copied(&seen_in(&records)?, &case.sql("select id, v from t")?, 0)?;
    }
    Ok(())
}
