//! Beginning at the end of a log that others write to.
//!
//! Owns: that the place told is exact, and that nothing is missing behind it. Does not own: reading (`select/reader.rs`).
//!
//! Invariant: what is expected is the server's own answer, or follows from the numbers that it gave its transactions.

#[path = "select/reader.rs"]
mod reader;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use limpid_connector::{Next, Source, StartPoint, Until};
use limpid_model::Batch;
use limpid_mysql::{LogPosition, MySqlSource};
use limpid_stack::{mariadb, require};

use reader::{options, read, read_while};

const HEADS: usize = 300;
const ROWS: usize = 500;

fn server(args: &[&str]) -> Option<mariadb::Server> {
    let extra_args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let server = require(mariadb::start(&mariadb::Options { extra_args, ..mariadb::Options::default() }))?;
    let table = "create table shop.t (id bigint primary key auto_increment, v int)";
    server.sql(&format!("create database shop; {table}")).unwrap();
    Some(server)
}

/// Does something while so many sessions insert single rows, each a transaction.
fn while_written<T>(server: &mariadb::Server, writers: usize, body: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            let mut session = server.session().unwrap();
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    session.exec("insert into shop.t (v) values (1)").unwrap();
                }
            });
        }
        // The writers end even when it panics.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Heartbeats come ten times a second. Whoever waits for a batch has other things to mind in between: a stop, a pause, the
/// end of a copy.
#[test]
fn a_stream_at_the_end_of_the_log_comes_back_though_the_server_gives_signs_of_life() {
    let Some(server) = server(&[]) else { return };
    let mut source = MySqlSource::new(options(server.port(), "shop"));
    let mut stream = source.open(&StartPoint::Head, &Until::Forever, None).unwrap();
    let (told, came) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let next = stream.next(&mut Batch::default(), Duration::from_millis(450));
            told.send(matches!(next, Ok(Next::Idle))).unwrap();
        });
        let idle = came.recv_timeout(Duration::from_secs(30));
        // Ends the stream that did not come back.
        drop(server);
        assert_eq!(idle, Ok(true));
    });
}

#[test]
fn mariadbs_head_has_just_the_transactions_before_its_offset_while_others_write() {
    let Some(server) = server(&[]) else { return };
    let source = MySqlSource::new(options(server.port(), "shop"));
    let look = || source.foresee(&StartPoint::Head).unwrap();
    let heads = while_written(&server, 2, || (0..HEADS).map(|_| look()).collect::<Vec<_>>());
    let mut seen = HashSet::new();
    for head in &heads {
        let head: &LogPosition = head.downcast().unwrap();
        let exact = server.sql(&format!("select binlog_gtid_pos('{}', {})", head.file, head.offset)).unwrap();
        assert_eq!(head.gtids.as_ref().unwrap().to_string(), exact.trim(), "at {}:{}", head.file, head.offset);
        seen.insert(head.offset);
    }
    assert!(seen.len() > HEADS / 10, "others wrote: {} places", seen.len());
    let quiet = look();
    let quiet: &LogPosition = quiet.downcast().unwrap();
    let exact = server.sql("select @@gtid_binlog_pos").unwrap();
    assert_eq!(quiet.gtids.as_ref().unwrap().to_string(), exact.trim());
}

#[test]
fn a_stream_that_begins_at_mariadbs_head_misses_and_repeats_nothing_while_others_write() {
    let keys = std::env::temp_dir().join(format!("limpid-head-{}", std::process::id()));
    std::fs::write(&keys, format!("1;{}\n", "0123456789abcdef".repeat(4))).unwrap();
    let file = format!("--file-key-management-filename={}", keys.display());
    let encrypted = ["--plugin-load-add=file_key_management", &file, "--encrypt-binlog=ON"];
    for args in [&[][..], &["--binlog-checksum=NONE"], &encrypted] {
        let Some(server) = server(args) else { continue };
        let number = |text: &str| text.trim().rsplit('-').next().unwrap().parse::<u64>().unwrap();
        let before = number(&server.sql("select @@gtid_binlog_pos").unwrap());
        let log = while_written(&server, 1, || {
            // The writer is at work when the stream begins.
            while server.sql("select count(*) from shop.t").unwrap().trim().parse::<u64>().unwrap() < 50 {}
            read_while(server.port(), (StartPoint::Head, Until::Forever), "shop", || (), ROWS)
        });
        assert_eq!((log.fault, log.changes.len() >= ROWS), (None, true), "{args:?}");
        let ids: Vec<u64> =
            log.changes.iter().map(|change| change.after[0].as_ref().unwrap().parse().unwrap()).collect();
        let first = number(&log.opened_at) - before + 1;
        assert!(first > 50, "it began at the head: {first}");
        assert!(ids.iter().copied().eq(first..first + ids.len() as u64), "{args:?}: from {first}, {ids:?}");
        let whole = read(server.port(), "file:bin.000001:4", "shop").changes;
        assert_eq!(whole[first as usize - 1..][..ids.len()], log.changes, "{args:?}");
    }
    std::fs::remove_file(&keys).unwrap();
}
