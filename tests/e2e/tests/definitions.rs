//! Definitions that move while rows are written, while we run and while we do not.
//!
//! Owns: renames, swaps, columns that come and go, tables made anew. Does not own: what single DDL statements do to the
//! schema history (`limpid-mysql`).
//!
//! Invariant: on servers whose log does not name columns a table's rows fit the definition of their place in the log.
//! The oracle is the table's own SELECT.

use anyhow::{Result, ensure};
use limpid_e2e::servers::{both, both_minimal};
use limpid_e2e::{Case, Db, fold};

/// Both flavours, each with a log that names columns and one that does not.
fn all() -> Vec<Db<'static>> {
    [both(), both_minimal()].concat()
}

fn in_order(said: &str) -> Result<()> {
    ensure!(!said.contains("TABLE_SCHEMA_MISMATCH") && !said.contains("STATEMENT_CHANGE"), "{said}");
    Ok(())
}

#[test]
fn columns_that_come_go_move_and_change_names_while_we_are_stopped() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "alter", "create table t (id int primary key, a int, b varchar(20))")?;
        case.sql("insert into t values (1, 1, 'one')")?;
        case.read()?;
        case.sql(
            "insert into t values (2, 2, 'two'); alter table t add column c int first, add column d varchar(9) after id; \
             insert into t values (7, 3, 'd', 3, 'three'); alter table t modify b varchar(30) first, drop column d; \
             insert into t values ('four', 8, 4, 4); alter table t change a n bigint, rename to u; \
             insert into u values ('five', 9, 5, 5000000000); update u set n = 11 where id = 1",
        )?;
        // Before the next statements, and after a restart with what is known by then.
        in_order(&case.read()?)?;
        case.sql("alter table u drop column c, add column (x int, y int default 5); insert into u values ('six', 6, 6, 6, 6)")?;
        in_order(&case.read()?)?;
        let row = |table: &str, index: usize| case.changes(table)[index].after.to_string();
        ensure!(row("t", 1) == r#"{"a":2,"b":"two","id":2}"#, "{}", row("t", 1));
        ensure!(row("t", 2) == r#"{"a":3,"b":"three","c":7,"d":"d","id":3}"#, "{}", row("t", 2));
        ensure!(row("t", 3) == r#"{"a":4,"b":"four","c":8,"id":4}"#, "{}", row("t", 3));
        ensure!(row("u", 0) == r#"{"b":"five","c":9,"id":5,"n":5000000000}"#, "{}", row("u", 0));
        ensure!(row("u", 1) == r#"{"b":"one","c":null,"id":1,"n":11}"#, "{}", row("u", 1));
        ensure!(row("u", 2) == r#"{"b":"six","id":6,"n":6,"x":6,"y":6}"#, "{}", row("u", 2));
    }
    Ok(())
}

/// Two columns of one type change places: a definition read too late would swap their values unseen.
#[test]
fn columns_of_one_type_that_change_places_keep_their_values() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "swap", "create table t (id int primary key, a int, b int)")?;
        case.sql(
            "insert into t values (1, 10, 20); alter table t change a b int, change b a int; \
             insert into t values (2, 21, 11); alter table t modify a int after id; insert into t values (3, 12, 22)",
        )?;
        in_order(&case.read()?)?;
        let rows: Vec<_> = case.changes("t").iter().map(|change| change.after.to_string()).collect();
        let expected = [r#"{"a":10,"b":20,"id":1}"#, r#"{"a":11,"b":21,"id":2}"#, r#"{"a":12,"b":22,"id":3}"#];
        ensure!(rows == expected, "{rows:?}");
    }
    Ok(())
}

/// As gh-ost does it: a ghost table is filled beside the original, then both change names in one statement.
#[test]
fn a_ghost_table_takes_its_originals_place() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "ghost", "create table t (id int primary key, v int)")?;
        case.sql("insert into t values (1, 1), (2, 2)")?;
        case.sql(
            "create table _t_gho like t; alter table _t_gho add column w int not null default 0 first; \
             insert ignore into _t_gho (id, v) select id, v from t lock in share mode; \
             update t set v = 3 where id = 1; replace into _t_gho (id, v) values (1, 3); \
             rename table t to _t_del, _t_gho to t; insert into t values (7, 3, 3); update t set w = 9, v = 4 where id = 1; \
             drop table _t_del",
        )?;
        in_order(&case.read()?)?;
        case.check("t", "id, v")?;
        ensure!(case.changes("t")[3].after["w"] == 7, "{:?}", case.changes("t")[3]);
    }
    Ok(())
}

/// As pt-online-schema-change does it: triggers keep the copy in step.
#[test]
fn a_copy_kept_by_triggers_takes_its_originals_place() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "trigger", "create table t (id int primary key, v int)")?;
        case.sql("insert into t values (1, 1), (2, 2), (3, 3)")?;
        case.sql(
            "create table _t_new like t; alter table _t_new add column w int; \
             create trigger pt_ins after insert on t for each row replace into _t_new (id, v) values (new.id, new.v); \
             create trigger pt_upd after update on t for each row replace into _t_new (id, v) values (new.id, new.v); \
             create trigger pt_del after delete on t for each row delete ignore from _t_new where id = old.id; \
             insert low_priority ignore into _t_new (id, v) select id, v from t; \
             insert into t values (4, 4); update t set v = 22 where id = 2; delete from t where id = 3; \
             rename table t to _t_old, _t_new to t; drop table _t_old; insert into t values (5, 5, 5)",
        )?;
        in_order(&case.read()?)?;
        // The copy's rows are under its own name until it takes the place.
        let mut copied = fold(&case.seen, &format!("{}._t_new", case.name), &["id", "v"])?;
        copied.push("5\t5".to_owned());
        let theirs: Vec<_> = case.sql("select id, v from t order by id")?.lines().map(str::to_owned).collect();
        ensure!(copied == theirs, "{copied:?} is not {theirs:?}");
        let last = case.changes("t").last().map(|change| change.after.to_string());
        ensure!(last.as_deref() == Some(r#"{"id":5,"v":5,"w":5}"#), "{last:?}");
    }
    Ok(())
}

#[test]
fn names_that_move_along_a_chain_keep_their_tables_apart() -> Result<()> {
    for db in all() {
        let tables = "create table a (id int primary key, x int); create table b (id int primary key, y varchar(9), z int); \
                      create table c (id int primary key)";
        let mut case = Case::begin(db, "chain", tables)?;
        case.sql(
            "insert into a values (1, 1); insert into b values (1, 'b', 1); insert into c values (1); \
             rename table a to tmp, b to a, c to b, tmp to c; \
             insert into a values (2, 'was b', 2); insert into b values (2); insert into c values (2, 2)",
        )?;
        in_order(&case.read()?)?;
        let last = |table: &str| case.changes(table).last().map(|change| change.after.to_string()).unwrap_or_default();
        ensure!(last("a") == r#"{"id":2,"y":"was b","z":2}"#, "{}", last("a"));
        ensure!(last("b") == r#"{"id":2}"#, "{}", last("b"));
        ensure!(last("c") == r#"{"id":2,"x":2}"#, "{}", last("c"));
    }
    Ok(())
}

#[test]
fn a_truncation_empties_the_topics_table() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "truncate", "create table t (id int primary key)")?;
        case.sql("insert into t values (1), (2); truncate t; insert into t values (3)")?;
        in_order(&case.read()?)?;
        ensure!(case.operations("t") == "cctc", "{}", case.operations("t"));
        case.check("t", "id")?;
    }
    Ok(())
}

#[test]
fn tables_made_from_others_are_followed() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "made", "create table t (id int primary key, v varchar(9) not null)")?;
        case.sql(
            "insert into t values (1, 'a'), (2, 'b'); create table l like t; insert into l select * from t; \
             insert into l values (3, 'c')",
        )?;
        // MySQL with enforced GTIDs refuses it before 8.0.21.
        let selected = case.sql("create table s (n int auto_increment primary key) select id, v from t").is_ok();
        if selected {
            case.sql("insert into s (id, v) values (9, 'z')")?;
        }
        in_order(&case.read()?)?;
        case.check("l", "id, v")?;
        if selected {
            case.check("s", "n, id, v")?;
        }
    }
    Ok(())
}

#[test]
fn a_table_that_is_dropped_and_made_anew_is_another_table() -> Result<()> {
    for db in all() {
        let mut case = Case::begin(db, "anew", "create table t (id int primary key, a int, b int)")?;
        case.sql(
            "insert into t values (1, 1, 1); drop table t; create table t (k varchar(9) primary key, n bigint); \
             insert into t values ('x', 5)",
        )?;
        in_order(&case.read()?)?;
        case.sql("drop table t; create table t (id int primary key); insert into t values (1)")?;
        in_order(&case.read()?)?;
        let rows: Vec<_> =
            case.changes("t").iter().map(|change| (change.key.to_string(), change.after.to_string())).collect();
        let expected = [
            (r#"{"id":1}"#, r#"{"a":1,"b":1,"id":1}"#),
            (r#"{"k":"x"}"#, r#"{"k":"x","n":5}"#),
            (r#"{"id":1}"#, r#"{"id":1}"#),
        ];
        let expected = expected.map(|(key, row)| (key.to_owned(), row.to_owned()));
        ensure!(rows == expected, "{rows:?}");
    }
    Ok(())
}
