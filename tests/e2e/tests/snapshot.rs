//! Tables copied while they are written.
//!
//! Owns: live copies, crashes in them, tables of every sort, what an operator may say. Does not own: chunks and fences
//! on their own (`limpid-mysql`), the plan (`limpid-engine`).
//!
//! Invariant: the oracle is the table's own SELECT, and Apache's console consumer where the sink is Kafka.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, both_minimal, broker, maria, mysqld};
use limpid_e2e::{
    Case, Db, Ended, PATIENCE, Pipeline, Seeded, Spec, Worker, Writer, check_copied, seen_in, wait_until,
};
use limpid_stack::kafka::Isolation;

const TABLE: &str = "create table t (id bigint primary key, v bigint not null, pad varchar(100) not null)";

/// Rows in `t` before anything starts; chunks of 100 make sixty of them.
const ROWS: u64 = 6000;

fn preload(case: &Case) -> Result<()> {
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id},1,'{}')", "z".repeat(50))).collect();
        case.sql(&format!("insert into t values {}", rows.join(",")))?;
    }
    Ok(())
}

/// Two writers that together have every row.
fn writers(case: &Case) -> Result<Vec<Writer>> {
    let half = ROWS / 2;
    let start = |first| Writer::start_over(case.db.session()?, &case.name, first, vec![1; half as usize]);
    Ok(vec![start(0)?, start(half)?])
}

fn go_on(writers: &[Writer], statements: u64) -> Result<()> {
    let count = || writers.iter().map(Writer::statements).sum::<u64>();
    let before = count();
    wait_until("more statements", PATIENCE, || count() > before + statements)
}

fn check(case: &Case, restarts: usize) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    case.pipeline.run_to_end()?;
    let records = broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)?;
    check_copied(&seen_in(&records)?, &case.sql("select id, v from t")?, restarts)
}

/// Exactly once: a row is read once, a change is told once, and no key goes back although we were killed.
fn check_once(case: &Case) -> Result<()> {
    let Some(broker) = broker() else { return Ok(()) };
    check(case, 0)?;
    let mut told = HashSet::new();
    for record in broker.consume(&format!("{0}.{0}.t", case.name), Isolation::ReadCommitted)? {
        let Some(value) = &record.value else { continue };
        let value: serde_json::Value = serde_json::from_slice(value)?;
        let (op, id) = (value["op"].to_string(), value["after"]["id"].to_string());
        // Of a deletion nothing tells one from the next.
        if value["after"].is_null() {
            continue;
        }
        let version = if op == "\"r\"" { String::new() } else { value["after"]["v"].to_string() };
        ensure!(told.insert((op.clone(), id.clone(), version.clone())), "key {id}: {op} {version} stands twice");
    }
    Ok(())
}

fn live<'a>(db: Db<'a>, name: &str, snapshot: &str) -> Result<Option<Case<'a>>> {
    live_with(db, name, snapshot, "at-least-once")
}

fn live_with<'a>(db: Db<'a>, name: &str, snapshot: &str, delivery: &str) -> Result<Option<Case<'a>>> {
    let Some(broker) = broker() else { return Ok(None) };
    let case = Case::unstarted(db, name, TABLE, |spec| {
        spec.to_kafka(&broker.bootstrap()).snapshot(snapshot).delivery(delivery)
    })?;
    preload(&case)?;
    Ok(Some(case))
}

fn copied_while_written(db: Db, name: &str) -> Result<()> {
    let Some(case) = live(db, name, "{ chunk-rows: 100, parallel: 2, slowdown: 100 }")? else { return Ok(()) };
    let writers = writers(&case)?;
    go_on(&writers, 50)?;
    let mut limpid = case.pipeline.run(&[])?;
    limpid.wait_for("the tables are copied", PATIENCE)?;
    go_on(&writers, 50)?;
    for writer in writers {
        writer.stop()?;
    }
    limpid.signal(libc::SIGTERM);
    let ended = limpid.wait(PATIENCE)?;
    ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
    check(&case, 0).with_context(|| limpid.stderr())
}

#[test]
fn a_table_that_is_copied_while_it_is_written_arrives_whole_and_never_goes_back() -> Result<()> {
    both().into_iter().try_for_each(|db| copied_while_written(db, "live"))
}

/// Without GTIDs the fence of MySQL is made with a lock.
#[test]
fn the_same_where_the_log_names_no_columns_and_mysql_has_no_gtids() -> Result<()> {
    both_minimal().into_iter().try_for_each(|db| copied_while_written(db, "live_min"))
}

/// So many of the places are tried in one run, others in the next; `make soak` tries all.
const PLACES_A_RUN: usize = 4;

/// The places that a copy passes, each killed in its turn, and a second life that is killed on its way back.
fn killed_everywhere(db: Db, name: &str, delivery: &str) -> Result<()> {
    let places = [
        "after-chunk",
        "after-admission",
        "after-copied",
        "before-write",
        "after-write",
        "after-ack",
        "after-window",
        "before-record",
        "record-under-way",
        "after-record",
        "after-epoch",
        "before-state",
        "after-state",
        "after-decode",
        "after-encode",
    ];
    // Slow enough that every life finds some of it left.
    let throttled = "{ chunk-rows: 100, parallel: 2, rows-per-second: 400, slowdown: 100 }";
    let Some(case) = live_with(db, name, throttled, delivery)? else { return Ok(()) };
    let writers = writers(&case)?;
    let mut restarts = 0;
    for place in Seeded::new().part(&places, PLACES_A_RUN) {
        let nth = places.iter().position(|known| *known == place).unwrap_or_default();
        let once = ["before-record", "record-under-way", "after-record", "after-epoch", "before-state", "after-state"];
        let first = if once.contains(&place) { 1 } else { 2 + nth };
        for count in [first, 1] {
            let mut limpid = case.pipeline.run(&["--failpoint", &format!("{place}:{count}")])?;
            let ended = limpid.wait(PATIENCE)?;
            ensure!(ended == Ended::Signal(9), "{place}: ended with {ended:?}: {}", limpid.stderr());
            ensure!(!limpid.stderr().contains("the tables are copied"), "{place}: nothing was left to copy");
            restarts += 1;
        }
    }
    for writer in writers {
        writer.stop()?;
    }
    Pipeline::write(case.dir.path(), &case.name, &unthrottled(&case)?)?;
    match delivery {
        "exactly-once" => check_once(&case),
        _ => check(&case, restarts),
    }
}

/// The pipeline's file without the rate.
fn unthrottled(case: &Case) -> Result<String> {
    let yaml = std::fs::read_to_string(&case.pipeline.file)?;
    Ok(yaml.replace(", rows-per-second: 400", ""))
}

#[test]
fn a_copy_from_mariadb_that_is_killed_at_every_place_loses_nothing() -> Result<()> {
    maria().into_iter().try_for_each(|db| killed_everywhere(db, "copy_crash", "at-least-once"))
}

#[test]
fn a_copy_from_mariadb_that_is_killed_at_every_place_doubles_nothing_exactly_once() -> Result<()> {
    maria().into_iter().try_for_each(|db| killed_everywhere(db, "copy_once", "exactly-once"))
}

#[test]
fn a_copy_from_mysql_that_is_killed_at_every_place_doubles_nothing_exactly_once() -> Result<()> {
    mysqld().into_iter().try_for_each(|db| killed_everywhere(db, "copy_once", "exactly-once"))
}

#[test]
fn a_copy_from_mysql_that_is_killed_at_every_place_loses_nothing() -> Result<()> {
    mysqld().into_iter().try_for_each(|db| killed_everywhere(db, "copy_crash", "at-least-once"))
}

/// What was copied before a kill and saved is not copied again.
#[test]
fn a_copy_goes_on_behind_the_chunks_that_were_saved() -> Result<()> {
    for db in both() {
        let mut case = Case::unstarted(db, "resume", TABLE, |spec| {
            spec.snapshot("{ chunk-rows: 100, parallel: 1, rows-per-second: 1500, slowdown: 100 }")
        })?;
        preload(&case)?;
        let mut limpid = case.pipeline.run(&["--failpoint", "after-state:2"])?;
        ensure!(limpid.wait(PATIENCE)? == Ended::Signal(9), "{}", limpid.stderr());
        case.keep(&limpid)?;
        let first = case.operations("t").len() as u64;
        ensure!((300..ROWS).contains(&first), "{first} rows before the kill: it proves nothing");
        case.read()?;
        let all = case.operations("t").len() as u64;
        ensure!(all < ROWS + first / 2, "{all} rows in all, {first} of them before the kill");
        case.check("t", "id, v, pad")?;
    }
    Ok(())
}

#[test]
fn tables_of_every_kind_of_key_and_engine_are_copied_as_they_are() -> Result<()> {
    const TABLES: &str = "
        create table none (a int, b varchar(20));
        create table isam (id int primary key, b varchar(20)) engine=myisam;
        create table isam_none (a int) engine=myisam;
        create table pair (a int, b varchar(20) character set utf8mb4 collate utf8mb4_general_ci, c int, primary key (a, b));
        create table words (w varchar(40) character set utf8mb4 collate utf8mb4_unicode_ci primary key, c int);
        create table big (n bigint unsigned primary key);
        create table day (d date primary key, c int);
        create table money (m decimal(20,4) primary key);
        create table bytes_t (k binary(8) primary key);
        create table uniq (a int not null, b int, unique key (a));
        create table empty_t (id int primary key);
        set names utf8mb4;
        insert into none values (1,'x'),(1,'x'),(null,null),(2,'y');
        insert into isam values (1,'a'),(2,'b'),(3,null);
        insert into isam_none values (5),(6);
        insert into pair values (1,'a',1),(1,'B',2),(1,'c',3),(2,'a',4),(2,'Ö',5);
        insert into words values ('Zebra',1),('apple',2),('Äpfel',3),('😀',4),('',5);
        insert into big values (0),(1),(9223372036854775808),(18446744073709551615);
        insert into day values ('0001-01-01',1),('9999-12-31',2),('2024-02-29',3);
        insert into money values (-9999999999999999.9999),(0),(0.0001),(9999999999999999.9999);
        insert into bytes_t values (x'0000000000000000'),(x'00ff00ff00ff00ff'),(x'ffffffffffffffff');
        insert into uniq values (3,null),(1,1),(2,null);";
    for db in both() {
        let mut case = Case::unstarted(db, "kinds", TABLES, |spec| spec.snapshot("initial"))?;
        case.read()?;
        let others: Vec<&str> = case.seen.iter().map(|change| change.op.as_str()).filter(|op| *op != "r").collect();
        ensure!(others.is_empty(), "{others:?}");
        case.sql("insert into none values (7,'z'); update isam set b='q' where id=1; delete from pair where c=4")?;
        case.read()?;
        for (table, columns) in [
            ("none", "a, b"),
            ("isam", "id, b"),
            ("isam_none", "a"),
            ("pair", "a, b, c"),
            ("words", "w, c"),
            ("uniq", "a, b"),
            ("empty_t", "id"),
        ] {
            case.check(table, columns)?;
        }
        for (table, rows) in [("big", 4), ("day", 3), ("money", 4), ("bytes_t", 3)] {
            ensure!(case.operations(table) == "r".repeat(rows), "{table}: {:?}", case.operations(table));
        }
    }
    Ok(())
}

/// The stream stands still for a table without a key, and goes on behind it.
#[test]
fn a_table_without_a_key_is_copied_once_while_it_is_written() -> Result<()> {
    for db in both() {
        let table = "create table t (id bigint, v bigint, key (id))";
        let mut case = Case::unstarted(db, "keyless", table, |spec| spec.snapshot("initial"))?;
        let rows: Vec<String> = (0..5000).map(|id| format!("({id},1)")).collect();
        case.sql(&format!("insert into t values {}", rows.join(",")))?;
        let mut session = db.session()?;
        session.exec(&format!("use {}", case.name))?;
        let mut turn = 0u64;
        let writer = Worker::start(move || {
            turn += 1;
            session.exec(&format!("update t set v = v + 1 where id = {}", turn * 7 % 5000)).map(drop)
        });
        let mut limpid = case.pipeline.run(&[])?;
        limpid.wait_for("the tables are copied", PATIENCE)?;
        writer.end()?;
        limpid.signal(libc::SIGTERM);
        ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
        case.keep(&limpid)?;
        case.read()?;
        // What the stream said before is in the table as it was read; nothing comes between its rows.
        let operations = case.operations("t");
        let first = operations.find('r').context("the table was copied")?;
        ensure!(operations[first..].starts_with(&"r".repeat(5000)), "{operations}");
        ensure!(!operations[first + 5000..].contains('r'), "{operations}");
        case.seen.drain(..first);
        case.check("t", "id, v")?;
    }
    Ok(())
}

#[test]
fn only_rows_that_meet_a_tables_condition_are_copied_and_a_bad_condition_halts_with_its_table() -> Result<()> {
    for db in both() {
        let snapshot = format!("{{ where: {{ cond_{}.t: \"v > 5 or id = 1\" }} }}", db.word());
        let tables = format!("{TABLE}; create table u (id int primary key); insert into u values (1)");
        let mut case = Case::unstarted(db, "cond", &tables, |spec| spec.snapshot(&snapshot))?;
        case.sql("insert into t values (1,1,''),(2,5,''),(3,6,''),(4,7,'')")?;
        case.read()?;
        let mut ids: Vec<i64> = case.changes("t").iter().filter_map(|change| change.after["id"].as_i64()).collect();
        ids.sort_unstable();
        ensure!(ids == [1, 3, 4], "{ids:?}");
        ensure!(case.operations("u") == "r");
        let bad = format!("{{ where: {{ badcond_{}.t: \"nosuch > 5\" }} }}", db.word());
        let mut case = Case::unstarted(db, "badcond", TABLE, |spec| spec.snapshot(&bad))?;
        case.sql("insert into t values (1,1,'')")?;
        let said = case.read_to_halt("SOURCE_QUERY_FAILED")?;
        ensure!(said.contains(&format!("{}.t", case.name)), "{said}");
        let slip = format!("{{ where: {{ slip_{}.tt: \"id > 5\" }} }}", db.word());
        let mut case = Case::unstarted(db, "slip", TABLE, |spec| spec.snapshot(&slip))?;
        case.sql("insert into t values (1,1,'')")?;
        let (ended, said) = case.run(&["--until", "caught-up"])?;
        ensure!(ended == Ended::Code(2) && said.contains("CONFIG_BAD_VALUE"), "{ended:?}: {said}");
        ensure!(said.contains(".tt") && case.seen.is_empty(), "{said}");
    }
    Ok(())
}

#[test]
fn a_table_that_is_captured_later_is_copied_at_the_next_start_and_the_others_are_not() -> Result<()> {
    for db in both() {
        let tables = format!("{TABLE}; create table u (id int primary key); insert into u values (1),(2)");
        let mut case = Case::unstarted(db, "later", &tables, |spec| spec.snapshot("initial"))?;
        let capture = |case: &Case, tables: &str| -> Result<()> {
            let line = format!("tables: [\"{}.{tables}\"]", case.name);
            let spec = Spec::new(&case.name, case.db.port()).source(&line).snapshot("initial");
            Pipeline::write(case.dir.path(), &case.name, &spec.yaml()).map(drop)
        };
        capture(&case, "t")?;
        case.sql("insert into t values (1,1,'')")?;
        case.read()?;
        // Made under the stream's eyes, which then had no eyes for its rows.
        case.sql("create table scratch (id int primary key); insert into scratch values (1), (2)")?;
        case.read()?;
        ensure!((case.operations("t"), case.operations("u")) == ("r".into(), String::new()), "{:?}", case.seen);
        case.sql("insert into u values (3)")?;
        capture(&case, "*")?;
        case.read()?;
        case.sql("insert into u values (4); create table made (id int primary key); insert into made values (1)")?;
        case.read()?;
        case.read()?;
        ensure!(case.operations("t") == "r", "{:?}", case.operations("t"));
        case.check("u", "id")?;
        case.check("made", "id")?;
        ensure!(case.operations("scratch") == "rr", "{:?}", case.operations("scratch"));
    }
    Ok(())
}

#[test]
fn a_copy_alone_ends_with_it_and_what_is_written_later_is_not_waited_for() -> Result<()> {
    for db in both() {
        let mut case = Case::unstarted(db, "alone", TABLE, |spec| spec.snapshot("only"))?;
        case.sql("insert into t values (1,1,''),(2,1,'')")?;
        let (ended, said) = case.run(&[])?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {said}");
        ensure!(case.operations("t") == "rr", "{:?}", case.operations("t"));
        let mut other = Case::unstarted(db, "done", TABLE, |spec| spec.snapshot("initial"))?;
        other.sql("insert into t values (1,1,''),(2,1,'')")?;
        let (ended, said) = other.run(&["--until", "snapshot-done"])?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {said}");
        other.sql("insert into t values (3,1,'')")?;
        other.read()?;
        ensure!(other.operations("t") == "rrc", "{:?}", other.operations("t"));
    }
    Ok(())
}

/// No chunk that was read before a truncate or a change of the definition may follow it.
#[test]
fn a_truncate_and_a_new_column_in_the_middle_of_a_copy_leave_what_the_table_has() -> Result<()> {
    for db in both() {
        let throttled = "{ chunk-rows: 100, rows-per-second: 2000 }";
        let mut case = Case::unstarted(db, "cut", TABLE, |spec| spec.snapshot(throttled))?;
        preload(&case)?;
        let mut limpid = case.pipeline.run(&[])?;
        wait_until("some rows", PATIENCE, || limpid.stdout().lines().count() > 500)?;
        case.sql("alter table t add column w int default 7 after v; insert into t values (100000,1,5,'')")?;
        let rows = limpid.stdout().lines().count();
        wait_until("more rows", PATIENCE, || limpid.stdout().lines().count() > rows + 500)?;
        case.sql("truncate table t; insert into t values (1,1,5,'after'),(200000,1,6,'')")?;
        limpid.wait_for("the tables are copied", PATIENCE)?;
        limpid.signal(libc::SIGTERM);
        ensure!(limpid.wait(PATIENCE)? == Ended::Code(0), "{}", limpid.stderr());
        case.keep(&limpid)?;
        case.read()?;
        // Rows of the table's first form have nothing to compare; what counts came after the truncate.
        let place = case.seen.iter().rposition(|change| change.op == "t").context("the truncate is told")?;
        ensure!(place > 1000, "the truncate came before the copy");
        case.seen.drain(..place);
        case.check("t", "id, v, w, pad")?;
    }
    Ok(())
}

/// The log is gone: with `when-needed` everything is copied anew.
#[test]
fn a_position_that_is_gone_is_answered_with_a_new_copy_where_that_was_asked_for() -> Result<()> {
    let own = limpid_stack::mariadb::Options::default();
    let Some(server) = limpid_stack::require(limpid_stack::mariadb::start(&own)) else { return Ok(()) };
    let db = Db::Maria(&server);
    let mut case = Case::unstarted(db, "needed", TABLE, |spec| spec.snapshot("when-needed"))?;
    case.sql("insert into t values (1,1,''),(2,1,'')")?;
    case.read()?;
    ensure!(case.operations("t") == "rr", "{:?}", case.operations("t"));
    // The definitions that are stored have been through a change: those of the new copy are not their next ones.
    case.sql("alter table t add column more int default 1; insert into t values (4,1,'',2)")?;
    case.read()?;
    case.sql("update t set v=2 where id=1; reset master; insert into t values (3,1,'',3)")?;
    case.read()?;
    ensure!(case.operations("t") == "rrcrrrr", "{:?}", case.operations("t"));
    Ok(())
}

#[test]
fn the_rate_in_rows_is_kept() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let throttled = "{ chunk-rows: 100, rows-per-second: 2000 }";
    let mut case = Case::unstarted(db, "rate", TABLE, |spec| spec.snapshot(throttled))?;
    preload(&case)?;
    case.read()?;
    ensure!(case.operations("t").len() as u64 == ROWS);
    let millis: Vec<i64> = case.changes("t").iter().filter_map(|change| change.ts_ms).collect();
    let took = millis.last().zip(millis.first()).map(|(last, first)| last - first).context("records have a time")?;
    // Never faster; a busy machine may be slower.
    ensure!(took >= 2500, "6000 rows at 2000 a second took {took} ms");
    Ok(())
}

/// Whether others lose anything to it is for the bench to say; that they are given their turns is seen here.
#[test]
fn a_source_that_others_keep_busy_is_read_in_turns_unless_that_was_not_wanted() -> Result<()> {
    const TOLD: &str = "the source is busy: tables are copied for a part of the time";
    let cases =
        [(maria(), "turns", "", true), (mysqld(), "turns", "", true), (maria(), "noturns", ", slowdown: 100", false)];
    for (db, name, slowdown, is_told) in cases {
        let Some(db) = db else { continue };
        let snapshot = format!("{{ chunk-rows: 500{slowdown} }}");
        let Some(case) = live(db, name, &snapshot)? else { return Ok(()) };
        // Enough rows that they are not all read before anybody looks at the others.
        for _ in 0..2 {
            case.sql("insert into t select id + (select max(id) + 1 from t), 1, pad from t")?;
        }
        let writers = writers(&case)?;
        go_on(&writers, 50)?;
        let mut limpid = case.pipeline.run(&[])?;
        let told = if is_told { TOLD } else { "the tables are copied" };
        limpid.wait_for(told, PATIENCE)?;
        for writer in writers {
            writer.stop()?;
        }
        limpid.wait_for("the tables are copied", PATIENCE)?;
        limpid.signal(libc::SIGTERM);
        let ended = limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "{ended:?}: {}", limpid.stderr());
        ensure!(limpid.stderr().contains(TOLD) == is_told, "{name}: {}", limpid.stderr());
        // All of it arrives, however it is read.
        check(&case, 0).with_context(|| limpid.stderr())?;
    }
    Ok(())
}
