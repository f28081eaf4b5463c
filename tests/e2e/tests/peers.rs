//! What other tools get wrong on these very servers: sessions with settings of their own, odd tables.
//!
//! Owns: one test a case of silence, phantom or needless stop. Does not own: definitions that move (`definitions.rs`).
//!
//! Invariant: the oracle is the table's own SELECT; a table that cannot be followed halts alone and by its code.

use anyhow::{Context, Result, ensure};
use limpid_e2e::servers::{both, both_minimal, maria, maria_minimal, mysqld};
use limpid_e2e::{Case, Spec};

const TWO: &str = "create table t (id int primary key, v int, b blob); create table other (id int primary key)";

fn accept(spec: Spec) -> Spec {
    spec.source("row-image: accept")
}

#[test]
fn a_json_update_of_a_session_that_logs_differences_is_whole() -> Result<()> {
    let Some(db) = mysqld() else { return Ok(()) };
    for (name, meta) in [("partial_json", "full"), ("partial_json_accept", "accept")] {
        let change = |spec: Spec| if meta == "accept" { accept(spec) } else { spec };
        let mut case = Case::begin_with(db, name, "create table t (id int primary key, j json)", change)?;
        case.sql("insert into t values (1, '{\"a\": 1, \"b\": [1, 2, 3], \"c\": \"long enough to pay\"}'), (2, '{}')")?;
        let from = db.end_of_log()?;
        case.sql(
            "set binlog_row_value_options=PARTIAL_JSON; \
             update t set j = json_set(j, '$.a', 77) where id = 1; \
             update t set j = json_replace(j, '$.b[1]', 99) where id = 1; \
             update t set j = json_remove(j, '$.b[0]') where id = 1; \
             update t set j = json_set(j, '$.new', cast('{\"x\": null}' as json)) where id = 2",
        )?;
        ensure!(db.logged_since(&from)?.contains("Update_rows_partial"), "no partial update in the log");
        case.read()?;
        ensure!(case.operations("t") == "ccuuuu", "{}", case.operations("t"));
        // Debezium's text has no spaces between tokens; no string here holds one of these pairs.
        let theirs = case.sql("select id, replace(replace(j, ': ', ':'), ', ', ',') from t order by id")?;
        let last = |id: i64| {
            let of_id = |change: &&limpid_e2e::Change| change.after["id"] == id;
            case.changes("t").into_iter().rfind(of_id).and_then(|change| change.after["j"].as_str().map(str::to_owned))
        };
        let ours = format!("1\t{}\n2\t{}\n", last(1).unwrap_or_default(), last(2).unwrap_or_default());
        ensure!(ours == theirs, "{ours} is not {theirs}");
    }
    Ok(())
}

#[test]
fn a_change_logged_as_a_statement_halts_its_table_alone() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "statement", TWO)?;
        case.sql(
            "insert into t values (1, 1, ''); insert into other values (1); \
             set session binlog_format=STATEMENT; update t set v = 2 where id = 1; \
             set session binlog_format=ROW; insert into t values (2, 2, ''); insert into other values (2)",
        )?;
        let said = case.read()?;
        ensure!(said.contains("STATEMENT_CHANGE") && said.contains(&format!("{}.t", case.name)), "{said}");
        ensure!(case.operations("t") == "c", "{:?}", case.changes("t"));
        case.check("other", "id")?;
        // Durably so: a restart does not take it up again.
        case.sql("insert into t values (3, 3, ''); insert into other values (3)")?;
        case.read()?;
        ensure!(case.operations("t") == "c", "{:?}", case.changes("t"));
        case.check("other", "id")?;
    }
    Ok(())
}

/// What a session in MIXED format logs as text, and what it must log as rows.
#[test]
fn a_mixed_session_is_never_a_silence() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "mixed_session", TWO)?;
        case.sql(
            "set session binlog_format=MIXED; insert into other values (floor(rand() * 0) + 5); \
             insert into other values (length(uuid())); insert into t values (1, 1, '')",
        )?;
        let said = case.read()?;
        ensure!(said.contains("STATEMENT_CHANGE"), "{said}");
        ensure!(case.operations("t").is_empty(), "{:?}", case.changes("t"));
        let log = case.operations("other");
        ensure!(log == "cc" || said.contains(&format!("{}.other", case.name)), "{log}: {said}");
    }
    Ok(())
}

#[test]
fn less_than_full_rows_halt_their_table_alone() -> Result<()> {
    for db in both() {
        for image in ["minimal", "noblob"] {
            let mut case = Case::begin(db, &format!("image_{image}"), TWO)?;
            case.sql(&format!(
                "insert into t values (1, 1, 'x'); set session binlog_row_image={image}; \
                 update t set v = 2 where id = 1; delete from t where id = 1; \
                 set session binlog_row_image=full; insert into t values (2, 2, ''); flush tables t; \
                 insert into t values (3, 3, ''); insert into other values (2)"
            ))?;
            let said = case.read()?;
            ensure!(said.contains("ROW_IMAGE_PARTIAL"), "{said}");
            ensure!(case.operations("t") == "c", "{image}: {:?}", case.changes("t"));
            case.check("other", "id")?;
        }
    }
    Ok(())
}

#[test]
fn absent_columns_are_left_out_where_less_than_full_rows_are_accepted() -> Result<()> {
    for db in both() {
        let mut case = Case::begin_with(db, "image_accept", TWO, accept)?;
        case.sql(
            "insert into t values (1, 1, 'x'); set session binlog_row_image=minimal; \
             update t set v = null where id = 1; insert into t (id) values (2); delete from t where id = 1; \
             set session binlog_row_image=noblob; update t set v = 5 where id = 2",
        )?;
        case.read()?;
        ensure!(case.operations("t") == "cucd-u", "{}", case.operations("t"));
        let texts: Vec<_> = case.changes("t").iter().map(|c| format!("{} {}", c.before, c.after)).collect();
        let expected = [
            r#"null {"b":"eA==","id":1,"v":1}"#,
            // Null is a value; what the log does not have is not there.
            r#"{"id":1} {"v":null}"#,
            r#"null {"id":2}"#,
            r#"{"id":1} null"#,
            "null null",
            r#"{"id":2,"v":null} {"id":2,"v":5}"#,
        ];
        ensure!(texts == expected, "{texts:#?}");
        ensure!(case.changes("t")[1].key == serde_json::json!({ "id": 1 }), "{}", case.changes("t")[1].key);
    }
    Ok(())
}

#[test]
fn sequences_neither_stop_the_stream_nor_make_rows() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "sequences", "create sequence s; create table t (id int primary key)")?;
    for _ in 0..2 {
        case.sql("insert into t values (nextval(s)), (nextval(s)); create or replace sequence u start with 10")?;
        case.sql("do nextval(u); do setval(s, 100); insert into t values (nextval(s)); alter sequence s increment 2")?;
        let said = case.read()?;
        ensure!(!said.contains("TABLE_SCHEMA"), "{said}");
        case.check("t", "id")?;
    }
    let tables: std::collections::BTreeSet<_> = case.seen.iter().map(|change| change.table.clone()).collect();
    ensure!(tables.len() == 1, "{tables:?}");
    Ok(())
}

/// The log has each former version of a row as a row; what SELECT shows is what counts.
#[test]
fn former_versions_of_system_versioned_rows_are_not_rows() -> Result<()> {
    for db in [maria(), maria_minimal()].into_iter().flatten() {
        let tables = "create table t (id int primary key, v int) with system versioning; \
                      create table p (id int primary key, v int, s timestamp(6) generated always as row start, \
                      e timestamp(6) generated always as row end, period for system_time(s, e)) with system versioning";
        let mut case = Case::begin(db, "versioned", tables)?;
        for round in 1..3 {
            for table in ["t", "p"] {
                case.sql(&format!(
                    "insert into {table} (id, v) values ({round}, 1), (1{round}, 1); update {table} set v = 2 where id = {round}; \
                     delete from {table} where id = 1{round}; update {table} set v = v + 1"
                ))?;
            }
            let said = case.read()?;
            ensure!(!said.contains("TABLE_SCHEMA"), "{said}");
            for table in ["t", "p"] {
                case.check(table, "id, v").with_context(|| format!("{:#?}", case.changes(table)))?;
                ensure!(case.changes(table).iter().all(|change| change.key["id"].is_number()), "a row without its key");
            }
        }
    }
    Ok(())
}

/// MariaDB logs what changes them as statements whatever the format: a halt with its reason, not a silence.
#[test]
fn tables_versioned_by_transaction_halt() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let tables = "create table t (id int primary key); \
                  create table x (id int primary key, s bigint unsigned generated always as row start, \
                  e bigint unsigned generated always as row end, period for system_time(s, e)) with system versioning";
    let mut case = Case::begin(db, "by_transaction", tables)?;
    case.sql("insert into x (id) values (1); insert into t values (1)")?;
    let said = case.read()?;
    ensure!(said.contains("STATEMENT_CHANGE") && said.contains("by_transaction_maria.x"), "{said}");
    ensure!(case.operations("x").is_empty(), "{:?}", case.changes("x"));
    case.check("t", "id")
}

#[test]
fn inet6_and_compressed_columns_stop_nothing() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "columns", "create table t (id int primary key)")?;
    case.sql("insert into t values (1); alter table t add a inet6, add c varchar(1000) compressed, add u uuid")?;
    case.sql(
        "insert into t values (2, '2001:db8::ff', repeat('word ', 100), '123e4567-e89b-12d3-a456-426655440000'); \
         create table n (id int primary key, a inet6 default '::', b blob compressed); insert into n values (1, '::1', 'x'); \
         update t set c = 'short', a = null where id = 2",
    )?;
    let said = case.read()?;
    ensure!(!said.contains("TABLE_SCHEMA") && !said.contains("ROW_UND"), "{said}");
    ensure!(case.operations("t") == "ccu", "{}", case.operations("t"));
    let row = &case.changes("t")[1].after;
    let theirs = case.sql("select a from n")?;
    ensure!(case.changes("n")[0].after["a"] == theirs.trim(), "{:?}", case.changes("n"));
    ensure!(row["c"].as_str().is_some_and(|text| text.len() == 500 && text.starts_with("word word")), "{row}");
    ensure!(row["u"] == "123e4567-e89b-12d3-a456-426655440000", "{row}");
    ensure!(case.changes("t")[2].after["c"] == "short", "{:?}", case.changes("t")[2]);
    Ok(())
}

/// After a fail-over the last writer of a domain has another server id; the log is all there.
#[test]
fn a_restart_goes_on_where_the_last_writer_had_another_server_id() -> Result<()> {
    let Some(db) = maria() else { return Ok(()) };
    let mut case = Case::begin(db, "server_id", "create table t (id int primary key)")?;
    for (round, id) in [77, 1, 78].into_iter().enumerate() {
        case.sql(&format!("set session server_id={id}; insert into t values ({round})"))?;
        case.read()?;
        case.check("t", "id")?;
    }
    ensure!(case.operations("t") == "ccc", "{}", case.operations("t"));
    Ok(())
}

#[test]
fn what_a_session_keeps_out_of_the_log_is_invisible_and_stops_nothing() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "no_log", TWO)?;
        case.sql("set sql_log_bin=0; insert into t values (1, 1, ''), (2, 2, ''); create table hidden (id int)")?;
        case.sql("insert into t values (3, 3, ''); delete from t where id = 1; insert into hidden values (1)")?;
        let said = case.read()?;
        ensure!(case.operations("t") == "cd-", "{}", case.operations("t"));
        // The catalogue never showed the hidden table to us; with full metadata its rows are plain all the same.
        ensure!(case.operations("hidden") == "c", "{} {said}", case.operations("hidden"));
    }
    Ok(())
}

#[test]
fn statements_over_several_tables_and_rows_are_whole() -> Result<()> {
    for db in both() {
        let tables = "create table a (id int primary key, v int); create table b (id int primary key, v int); \
                      create table g (id int primary key, v int, d int as (v * 2) stored, w int as (v + 1) virtual)";
        let mut case = Case::begin(db, "many", tables)?;
        case.sql(
            "insert into a values (1, 1), (2, 2), (3, 3); insert into b select id, v * 10 from a; \
             update a join b using (id) set a.v = b.v, b.v = 0 where id < 3; delete a, b from a join b using (id) where id = 1; \
             replace into a values (2, 5), (9, 9); insert into a values (9, 1) on duplicate key update v = v + 100; \
             insert ignore into a values (9, 1), (10, 1); update a set id = 20 where id = 10; \
             insert into g (id, v) values (1, 1), (2, 2); update g set v = 5 where id = 1",
        )?;
        case.read()?;
        for table in ["a", "b"] {
            case.check(table, "id, v")?;
        }
        case.check("g", "id, v, d")?;
    }
    Ok(())
}

#[test]
fn loaded_data_is_rows() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "loaded", "create table t (id int primary key, s varchar(20))")?;
        let file = case.dir.path().join("rows.csv");
        let rows: String = (1..=1000).map(|id| format!("{id},row{id}\n")).collect();
        std::fs::write(&file, rows)?;
        let local = match db.is_maria() {
            true => "",
            false => "set global local_infile=1;",
        };
        case.sql(&format!(
            "{local} load data local infile '{}' into table t fields terminated by ','",
            file.display()
        ))?;
        case.read()?;
        ensure!(case.changes("t").len() == 1000, "{} rows", case.changes("t").len());
        case.check("t", "id, s")?;
    }
    Ok(())
}

/// InnoDB carries out cascades below the log: the children's changes are in no log, so nobody who reads it sees them
/// (docs/mysql-source.md). What is shown is what was logged.
#[test]
fn what_foreign_keys_cascade_is_not_in_the_log() -> Result<()> {
    for db in both() {
        let tables = "create table p (id int primary key); \
                      create table c (id int primary key, p int, foreign key (p) references p (id) on delete cascade)";
        let mut case = Case::begin(db, "cascade", tables)?;
        case.sql("insert into p values (1), (2); insert into c values (10, 1), (20, 2); delete from p where id = 1")?;
        case.read()?;
        case.check("p", "id")?;
        ensure!(case.operations("c") == "cc", "{}: a server that logs cascades", case.operations("c"));
    }
    Ok(())
}

#[test]
fn tables_without_a_primary_key_are_whole() -> Result<()> {
    for db in both() {
        let tables = "create table t (a int, b varchar(10)); create table u (a int not null unique, b int)";
        let mut case = Case::begin(db, "no_key", tables)?;
        case.sql(
            "insert into t values (1, 'x'), (1, 'x'), (null, null); update t set b = 'y' where a = 1 limit 1; \
             delete from t where b = 'x' limit 1; insert into u values (1, 1); update u set a = 2",
        )?;
        case.read()?;
        case.check("t", "a, b")?;
        ensure!(case.changes("t").iter().all(|change| change.key.is_null()), "{:?}", case.changes("t"));
        // The first usable unique key stands in; a key that changes is a deletion and a row.
        ensure!(case.operations("u") == "cd-c", "{}", case.operations("u"));
        ensure!(case.changes("u")[0].key == serde_json::json!({ "a": 1 }), "{:?}", case.changes("u"));
    }
    Ok(())
}

/// A key that changes leaves the old one deleted (with its tombstone) and a new row, which point at each other.
#[test]
fn a_changed_key_is_a_deletion_and_a_row_that_know_of_each_other() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "key_change", "create table t (id int primary key, v int)")?;
        case.sql("insert into t values (1, 1); update t set id = 2 where id = 1; delete from t where id = 2")?;
        case.read()?;
        ensure!(case.operations("t") == "cd-cd-", "{}", case.operations("t"));
        let changes = case.changes("t");
        ensure!(changes[1].headers["__debezium.newkey"]["id"] == 2, "{:?}", changes[1]);
        ensure!(changes[3].headers["__debezium.oldkey"]["id"] == 1, "{:?}", changes[3]);
        ensure!(changes[2].key["id"] == 1 && changes[5].key["id"] == 2, "{changes:?}");
    }
    Ok(())
}

#[test]
fn unsigned_numbers_beyond_the_sign_are_themselves() -> Result<()> {
    for db in [both(), both_minimal()].concat() {
        let tables = "create table t (a tinyint unsigned primary key, b smallint unsigned, c mediumint unsigned, \
                      d int unsigned, e tinyint, f int, g bigint)";
        let mut case = Case::begin(db, "unsigned", tables)?;
        case.sql(
            "insert into t values (255, 65535, 16777215, 4294967295, -128, -2147483648, -9223372036854775808), \
             (128, 32768, 8388608, 2147483648, -1, -1, -1), (127, 1, 1, 1, 127, 2147483647, 9223372036854775807)",
        )?;
        case.read()?;
        case.check("t", "a, b, c, d, e, f, g")?;
    }
    Ok(())
}

/// Rows of one transaction and of a bulk statement keep their order.
#[test]
fn the_order_of_changes_is_the_order_of_the_log() -> Result<()> {
    for db in both() {
        let mut case = Case::begin(db, "order", "create table t (id int primary key, v int)")?;
        let values: Vec<String> = (0..5000).map(|id| format!("({id}, 0)")).collect();
        case.sql(&format!(
            "insert into t values {}; update t set v = id; update t set v = -1 where id % 2 = 0",
            values.join(",")
        ))?;
        case.read()?;
        let ids: Vec<i64> =
            case.changes("t").iter().take(5000).filter_map(|change| change.after["id"].as_i64()).collect();
        ensure!(ids == (0..5000).collect::<Vec<i64>>(), "rows of one statement are not in its order");
        case.check("t", "id, v")?;
    }
    Ok(())
}
