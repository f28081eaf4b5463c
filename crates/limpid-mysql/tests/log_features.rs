//! Optional features of the servers' logs, written by the servers themselves.
//!
//! Owns: turning each feature on, and what must come of it. Does not own: reading (`select/reader.rs`), features of
//! servers that are not at hand, which are built by hand beside the code.
//!
//! Invariant: what is expected is what was written, or the fault of the table that was written in a way we refuse.

#[path = "select/reader.rs"]
mod reader;

use limpid_connector::{StartPoint, Until};
use limpid_model::{FaultCode, Op, TraceContext};
use limpid_stack::{Session, mariadb, mysql, require};

use reader::{Log, hex, read, read_while};

const FROM: &str = "file:bin.000001:4";

fn mariadb_with(args: &[&str]) -> Option<mariadb::Server> {
    let extra_args = args.iter().map(|arg| (*arg).to_owned()).collect();
    require(mariadb::start(&mariadb::Options { extra_args, ..mariadb::Options::default() }))
}

fn run(session: &mut Session, statements: &[&str]) {
    for statement in statements {
        session.exec(statement).unwrap_or_else(|error| panic!("{statement}\n{error}"));
    }
}

/// The changes as `op before after`, values with commas between them.
fn told(log: &Log) -> Vec<String> {
    let values = |values: &[reader::Value]| {
        values.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(",")
    };
    let op = |op: Op| ["i", "u", "d", "t", "r"][op as usize];
    let told =
        |change: &reader::Change| format!("{} {} {}", op(change.op), values(&change.before), values(&change.after));
    log.changes.iter().map(told).collect()
}

fn sound(log: &Log) {
    assert_eq!((log.fault, &log.table_faults), (None, &Vec::new()));
}

#[test]
fn compressed_rows_and_statements_of_mariadb_are_read() {
    let args = ["--log-bin-compress=ON", "--log-bin-compress-min-len=10", "--binlog-row-metadata=MINIMAL"];
    let Some(server) = mariadb_with(&args) else { return };
    let long = "\u{e9}".repeat(3_000);
    let mut session = server.session().unwrap();
    let insert = format!("insert into shop.t values (1, '{long}'), (2, null)");
    let update = "update shop.t set b=concat('x', ifnull(b, '')) order by id";
    // Only the log says what the table was before its column was renamed, in a compressed statement.
    let create = "create table shop.t (id int primary key, b text character set latin1 comment 'so long that it pays')";
    let annotate = "set session binlog_annotate_row_events=off";
    run(&mut session, &[annotate, "create database shop", create, &insert, update, "delete from shop.t where id=2"]);
    let status = server.sql("show global status like 'Binlog_bytes_written'").unwrap();
    assert!(status.split('\t').nth(1).unwrap().trim().parse::<u64>().unwrap() < 5_000, "{status} is not compressed");
    let log = read(server.port(), FROM, "shop");
    sound(&log);
    let (a, b) = (hex(long.as_bytes()), hex(format!("x{long}").as_bytes()));
    let expected = [
        format!("i  1,{a}"),
        "i  2,NULL".to_owned(),
        format!("u 1,{a} 1,{b}"),
        "u 2,NULL 2,78".to_owned(),
        "d 2,78 ".to_owned(),
    ];
    assert_eq!(told(&log), expected);
}

/// The setting may change at any time: the log goes on in a new file then, and older files stay as they are.
#[test]
fn logs_with_and_without_checksums_are_read_whatever_the_server_writes_now() {
    let check = |port: u16, mut session: Session, at_end: &str| {
        let create =
            ["create database shop", "create table shop.t (id int primary key)", "insert into shop.t values (1)"];
        run(&mut session, &create);
        for (id, checksum) in [(2, "CRC32"), (3, "NONE"), (4, "CRC32"), (5, at_end)] {
            let set = format!("set global binlog_checksum={checksum}");
            run(&mut session, &[&set, &format!("insert into shop.t values ({id})")]);
        }
        let log = read(port, FROM, "shop");
        sound(&log);
        assert_eq!(told(&log), [1, 2, 3, 4, 5].map(|id| format!("i  {id}")));
        let live = || {
            let next = if at_end == "NONE" { "CRC32" } else { "NONE" };
            run(&mut session, &["insert into shop.t values (6)", &format!("set global binlog_checksum={next}")]);
            run(&mut session, &["insert into shop.t values (7)"]);
        };
        let log = read_while(port, (StartPoint::Head, Until::Forever), "shop", live, 2);
        sound(&log);
        assert_eq!(told(&log), ["i  6", "i  7"]);
    };
    for at_end in ["NONE", "CRC32"] {
        if let Some(server) = mariadb_with(&["--binlog-checksum=NONE"]) {
            check(server.port(), server.session().unwrap(), at_end);
        }
        let extra_args = vec!["--binlog-checksum=NONE".to_owned()];
        if let Some(server) = require(mysql::start(&mysql::Options { extra_args, ..mysql::Options::default() })) {
            check(server.port(), server.session().unwrap(), at_end);
        }
    }
}

#[test]
fn an_encrypted_log_of_mariadb_reaches_us_decrypted() {
    let folder = std::env::temp_dir().join(format!("limpid-keys-{}", std::process::id()));
    std::fs::write(&folder, format!("1;{}\n", "0123456789abcdef".repeat(4))).unwrap();
    let key = format!("--file-key-management-filename={}", folder.display());
    let plugin = "--plugin-load-add=file_key_management";
    let server = mariadb_with(&[plugin, &key, "--encrypt-binlog=ON"]);
    let Some(server) = server else { return };
    let mut session = server.session().unwrap();
    run(&mut session, &["create database shop", "create table shop.t (id int primary key)", "flush binary logs"]);
    run(&mut session, &["insert into shop.t values (7)"]);
    let log = read(server.port(), FROM, "shop");
    drop(server);
    std::fs::remove_file(&folder).unwrap();
    sound(&log);
    assert_eq!(told(&log), ["i  7"]);
}

#[test]
fn xa_in_one_phase_is_an_ordinary_transaction_on_both_servers() {
    let script = [
        "create database shop",
        "create table shop.t (id int primary key)",
        "xa start 'one'",
        "insert into shop.t values (1)",
        "xa end 'one'",
        "xa commit 'one' one phase",
        "insert into shop.t values (2)",
    ];
    if let Some(server) = mariadb_with(&[]) {
        run(&mut server.session().unwrap(), &script);
        let log = read(server.port(), FROM, "shop");
        sound(&log);
        assert_eq!(told(&log), ["i  1", "i  2"]);
    }
    if let Some(server) = require(mysql::start(&mysql::Options::default())) {
        run(&mut server.session().unwrap(), &script);
        let log = read(server.port(), FROM, "shop");
        sound(&log);
        assert_eq!(told(&log), ["i  1", "i  2"]);
    }
}

#[test]
fn xa_in_two_phases_flows_where_it_is_committed_and_not_where_it_is_prepared() {
    let script = [
        "create database shop",
        "create table shop.t (id int primary key)",
        "insert into shop.t values (1)",
        "xa start 'two'",
        "insert into shop.t values (2)",
        "xa end 'two'",
        "xa prepare 'two'",
    ];
    let check = |port: u16, mut session: Session, mut other: Session| {
        run(&mut session, &script);
        run(&mut other, &["insert into shop.t values (3)"]);
        run(&mut session, &["xa commit 'two'"]);
        run(&mut other, &["insert into shop.t values (4)"]);
        let log = read(port, FROM, "shop");
        sound(&log);
        assert_eq!(told(&log), ["i  1", "i  3", "i  2", "i  4"]);
    };
    if let Some(server) = mariadb_with(&[]) {
        check(server.port(), server.session().unwrap(), server.session().unwrap());
    }
    if let Some(server) = require(mysql::start(&mysql::Options::default())) {
        check(server.port(), server.session().unwrap(), server.session().unwrap());
    }
}

/// INTVAR, RAND and USER_VAR stand before the statements; LOAD DATA has events of its own.
#[test]
fn a_change_that_is_logged_as_text_halts_its_table_and_no_other() {
    let file = std::env::temp_dir().join(format!("limpid-load-{}", std::process::id()));
    std::fs::write(&file, "5\n6\n").unwrap();
    let load = format!("load data local infile '{}' into table shop.loaded", file.display());
    let script = [
        "create database shop",
        "create table shop.t (id int primary key)",
        "create table shop.loaded (id int primary key)",
        "create table shop.counted (id int primary key auto_increment, r double, v int)",
        "set session binlog_format=statement, @v=5",
        "insert into shop.counted (r, v) values (rand(), @v)",
        &load,
        "set session binlog_format=row",
        "insert into shop.counted (v) values (1)",
        "insert into shop.loaded values (9)",
        "insert into shop.t values (1)",
    ];
    let expect = |log: Log| {
        assert_eq!(log.fault, None);
        let halted = |table: &str| (table.to_owned(), FaultCode::StatementChange);
        assert_eq!(log.table_faults, [halted("shop.counted"), halted("shop.loaded")]);
        assert_eq!(told(&log), ["i  1"]);
    };
    if let Some(server) = mariadb_with(&["--local-infile=ON"]) {
        run(&mut server.session().unwrap(), &script);
        expect(read(server.port(), FROM, "shop"));
    }
    let extra_args = ["--local-infile=ON", "--binlog-format=ROW"].map(str::to_owned).to_vec();
    if let Some(server) = require(mysql::start(&mysql::Options { extra_args, ..mysql::Options::default() })) {
        run(&mut server.session().unwrap(), &script);
        expect(read(server.port(), FROM, "shop"));
    }
    std::fs::remove_file(&file).unwrap();
}

/// The client's bytes are UTF-8, but the session calls them latin1: so each is a letter, for the server and for us.
#[test]
fn definitions_in_a_clients_own_character_set_name_what_the_server_names() {
    let script = [
        "create database shop",
        "set names latin1",
        "create table shop.t (id int primary key, `caf\u{e9}` enum('\u{107}','b') character set cp1250)",
        "set names utf8mb4",
        "alter table shop.t add column plain int first",
        "insert into shop.t values (0, 1, 1)",
    ];
    // The two bytes of that letter are an A with two dots and a double dagger of latin1.
    let expected = [format!("i  0,1,{}", hex("\u{c4}\u{2021}".as_bytes()))];
    let check = |port: u16, mut session: Session| {
        // From the log's end on, so that definitions are followed by their statements, not asked for.
        let live = (StartPoint::Head, Until::Forever);
        let log = read_while(port, live, "shop", || run(&mut session, &script), 1);
        sound(&log);
        assert_eq!(log.doubts, Vec::<String>::new());
        assert_eq!(told(&log), expected);
    };
    if let Some(server) = mariadb_with(&["--binlog-row-metadata=MINIMAL"]) {
        check(server.port(), server.session().unwrap());
    }
    let extra_args = vec!["--binlog-row-metadata=MINIMAL".to_owned()];
    if let Some(server) = require(mysql::start(&mysql::Options { extra_args, ..mysql::Options::default() })) {
        check(server.port(), server.session().unwrap());
    }
}

/// A large transaction leaves in pieces, and none counts the bytes of those behind it: each shares a block at most with
/// its neighbours.
#[test]
fn pieces_of_a_large_transaction_count_their_own_bytes() {
    let Some(server) = mariadb_with(&[]) else { return };
    let create = "create table shop.t (id int primary key, pad varchar(200))";
    let insert = "insert into shop.t select seq, repeat('x', 150) from shop.seq_1_to_30000";
    run(&mut server.session().unwrap(), &["create database shop", create, insert]);
    let size: u64 = server.sql("show master status").unwrap().split('\t').nth(1).unwrap().trim().parse().unwrap();
    assert!(size > 4 << 20, "{size} is no large transaction");
    let log = read(server.port(), FROM, "shop");
    sound(&log);
    assert_eq!(log.changes.len(), 30_000);
    assert!((size..3 * size).contains(&log.raw_bytes), "{} of {size}", log.raw_bytes);
}

/// The context with this number, as an application would write it.
fn traceparent(number: u64) -> String {
    format!("traceparent='00-{:032x}-{:016x}-01'", 0xabc, number)
}

fn named(numbers: &[u64]) -> Vec<TraceContext> {
    numbers.iter().map(|span_id| TraceContext { trace_id: 0xabc, span_id: *span_id, is_sampled: true }).collect()
}

#[test]
fn traces_that_applications_name_in_comments_are_found_on_both_servers() {
    fn check(session: &mut Session, port: u16) {
        let statements = [
            "create database shop".to_owned(),
            "create table shop.t (id int primary key, b text)".to_owned(),
            format!("/*{}*/ insert into shop.t values (1, '')", traceparent(1)),
            format!("insert into shop.t values (2, '') /*a='b',{}*/", traceparent(2)),
            format!("insert into shop.t values (3, '/*{}*/')", traceparent(99).replace('\'', "")),
            format!("prepare s from 'insert into shop.t values (?, ?) /*{}*/'", traceparent(4).replace('\'', "\\'")),
            "set @id=4, @b='x'".to_owned(),
            "execute s using @id, @b".to_owned(),
            "begin".to_owned(),
            format!("insert into shop.t values (5, '') /*{}*/", traceparent(5)),
            "savepoint a".to_owned(),
            format!("insert into shop.t values (99, '') /*{}*/", traceparent(99)),
            "rollback to a".to_owned(),
            format!("update shop.t set b='y' where id=5 -- {}", traceparent(6)),
            format!("insert into shop.t values (6, '') # {}", traceparent(5)),
            "commit".to_owned(),
            "insert into shop.t values (7, '')".to_owned(),
        ];
        run(session, &statements.iter().map(|statement| &**statement).collect::<Vec<_>>());
        let log = read(port, FROM, "shop");
        sound(&log);
        let told: Vec<_> = log.changes.iter().map(|change| change.contexts.clone()).collect();
        let both = named(&[5, 6]);
        let expected = [named(&[1]), named(&[2]), vec![], named(&[4]), both.clone(), both.clone(), both, vec![]];
        assert_eq!(told, expected);
    }
    if let Some(server) = mariadb_with(&[]) {
        let mut session = server.session().unwrap();
        check(&mut session, server.port());
        // One that leaves in pieces.
        run(
            &mut session,
            &[
                "create database large",
                "create table large.t (id int primary key, b text)",
                "use large",
                &format!("insert into large.t select seq, repeat('x', 200) from seq_1_to_60000 /*{}*/", traceparent(8)),
            ],
        );
        let log = read(server.port(), FROM, "large");
        sound(&log);
        assert_eq!(log.changes.len(), 60_000);
        assert!(log.changes.iter().all(|change| change.contexts == named(&[8])));
    }
    if let Some(server) = require(mysql::start(&mysql::Options::default())) {
        let mut session = server.session().unwrap();
        run(&mut session, &["set binlog_rows_query_log_events=on"]);
        check(&mut session, server.port());
    }
}
