//! Events that no server at hand can be made to write, built by hand from the formats' documents.
//!
//! Owns: what becomes of each. Does not own: payloads (`payload`), tagged GTIDs (`events`), what real servers write
//! (`tests/log_features.rs`).

use limpid_model::{Batch, FaultCode};

use crate::events::{IGNORABLE_FLAG, number};
use crate::fixture::{self, Log};
use crate::position::Flavor;
use crate::replay::LogFile;
use crate::rows::kind;
use crate::selection::Selection;

fn code(log: &Log) -> Option<FaultCode> {
    log.read(Flavor::MySql).fault.map(|fault| fault.code())
}

#[test]
fn an_incident_halts_before_what_follows_it_from_fixture() {
    let mut log = Log::new("8.0.36", true);
    log.transaction(1, 1).push(number::INCIDENT, 0, &[1, 0, 4, b'l', b'o', b's', b't']).transaction(2, 2);
    let read = log.read(Flavor::MySql);
    assert_eq!(read.fault.map(|fault| fault.code()), Some(FaultCode::LogIncident));
    assert!(!read.rows.iter().any(|(id, ..)| *id == 2));
}

#[test]
fn events_without_rows_are_passed_over_from_fixture() {
    let mut log = Log::new("8.4.3", true);
    log.push(number::PREVIOUS_GTIDS, IGNORABLE_FLAG, &[0; 8]);
    for kind in [
        number::INTVAR,
        number::RAND,
        number::USER_VAR,
        number::BEGIN_LOAD_QUERY,
        number::HEARTBEAT,
        number::HEARTBEAT_V2,
        number::IGNORABLE,
        number::ROWS_QUERY,
        number::TRANSACTION_CONTEXT,
        number::VIEW_CHANGE,
        number::ANNOTATE_ROWS,
        number::BINLOG_CHECKPOINT,
        number::MARIA_GTID_LIST,
        number::STOP,
    ] {
        log.push(kind, 0, &[0; 9]);
    }
    log.transaction(1, 1);
    let read = log.read(Flavor::MySql);
    assert!(read.fault.is_none(), "{:?}", read.fault);
    assert_eq!((read.ids(), read.unknown_events), (vec![1], 0));
}

#[test]
fn a_place_in_a_file_goes_on_where_a_log_is_rotated_and_then_still_from_fixture() {
    let mut log = Log::new("8.0.36", true);
    log.transaction(1, 1);
    let before = log.len();
    let rotate = [&9000u64.to_le_bytes()[..], b"bin.000002"].concat();
    log.push(number::ROTATE, 0, &rotate);
    let read = log.read(Flavor::MySql);
    assert!(read.fault.is_none(), "{:?}", read.fault);
    assert_eq!(read.ends.last().map(String::as_str), Some("file:bin.000002:9000"));
    // Within a file too: what a server writes when it opens or closes one.
    let mut closed = Log::new("8.0.36", true);
    closed.transaction(1, 1).push(number::STOP, 0, &[]);
    assert!(closed.len() > before);
    assert_eq!(closed.read(Flavor::MySql).ends.last(), Some(&format!("file:bin.000001:{}", closed.len())));
}

#[test]
fn an_unknown_event_is_passed_over_only_where_its_writer_says_so_from_fixture() {
    let mut log = Log::new("9.9.0", true);
    log.push(120, IGNORABLE_FLAG, &[1, 2, 3]).transaction(1, 1);
    let read = log.read(Flavor::MySql);
    assert_eq!((read.ids(), read.unknown_events), (vec![1], 1));
    log.push(120, 0, &[1, 2, 3]);
    assert_eq!(code(&log), Some(FaultCode::LogEventUnknown));
}

#[test]
fn a_log_that_nobody_decrypted_is_told_from_a_broken_one_from_fixture() {
    let mut log = Log::new("10.11.19-MariaDB", true);
    log.transaction(1, 1).push(number::START_ENCRYPTION, 0, &[1, 1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    let mut decrypted = log.bytes().to_vec();
    log.transaction(2, 2);
    assert_eq!(log.read(Flavor::MySql).ids(), [1, 2], "decrypted on the way, the event means nothing");
    // Of the same length, but of other bytes than its checksum was made of.
    let begin = decrypted.len();
    decrypted.extend_from_slice(&log.bytes()[begin..]);
    decrypted[begin + 25] ^= 0x55;
    let fault = fixture::read(decrypted, Flavor::MySql).fault.map(|fault| fault.code());
    assert_eq!(fault, Some(FaultCode::LogEncrypted));
    let mut broken = log.bytes().to_vec();
    let last = broken.len() - 6;
    broken[last] ^= 0x55;
    assert_eq!(fixture::read(broken, Flavor::MySql).fault.map(|fault| fault.code()), Some(FaultCode::LogChecksum));
}

#[test]
fn a_gtid_of_no_possible_number_is_refused_from_fixture() {
    for gno in [0, u64::MAX, 1 << 63] {
        let mut log = Log::new("8.0.36", true);
        log.transaction(gno, 1);
        assert_eq!(code(&log), Some(FaultCode::LogMalformed), "{gno}");
    }
}

/// VECTOR(3) of MySQL 9: type 242, a length of four bytes, optional metadata 13 with the dimensions.
#[test]
fn vectors_are_read_from_fixture() {
    let mut map = vec![1, 0, 0, 0, 0, 0, 1, 0, 4];
    map.extend_from_slice(b"shop\0\x01t\0");
    map.extend_from_slice(&[2, 3, 242, 1, 4, 2]);
    map.extend_from_slice(&[4, 5, 2, b'i', b'd', 1, b'v', 8, 1, 0, 13, 1, 3]);
    let mut row = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 2, 0xff, 0, 7, 0, 0, 0];
    row.extend_from_slice(&12u32.to_le_bytes());
    for value in [1.5f32, -2.0, 0.25] {
        row.extend_from_slice(&value.to_le_bytes());
    }
    let mut log = Log::new("9.0.1", true);
    log.push(number::GTID, 0, &fixture::gtid(1)).push(number::QUERY, 0, &fixture::query("BEGIN"));
    log.push(number::TABLE_MAP, 0, &map).push(kind::WRITE_V2, 0, &row).push(number::XID, 0, &[0; 8]);
    let read = log.read(Flavor::MySql);
    assert!(read.fault.is_none(), "{:?}", read.fault);
    assert_eq!(read.ids(), [7]);
    assert_eq!(read.last_types, ["Int { bits: 32, signed: true }", "Vector { dimensions: 3 }"]);
    assert_eq!(read.last_bytes, [1.5f32, -2.0, 0.25].map(f32::to_le_bytes).concat());
}

/// `CREATE TABLE ... SELECT`: a table and its rows in one transaction.
#[test]
fn a_definition_stays_with_the_rows_of_its_transaction_wherever_a_batch_ends_from_fixture() {
    let mut log = Log::new("8.0.36", true);
    log.push(number::GTID, 0, &fixture::gtid(1)).push(number::QUERY, 0, &fixture::query("CREATE TABLE a (id INT)"));
    log.push(number::GTID, 0, &fixture::gtid(2)).push(number::QUERY, 0, &fixture::query("BEGIN"));
    log.push(number::QUERY, 0, &fixture::query("CREATE TABLE b (id INT) START TRANSACTION"));
    log.push(number::TABLE_MAP, 0, &fixture::table_map(1)).push(kind::WRITE_V2, 0, &fixture::rows(1, [1]));
    log.push(number::XID, 0, &[0; 8]);
    for events in 0..=8 {
        let selection = Selection { tables: vec!["shop.*".to_owned()], columns: Vec::new() };
        let mut file = LogFile::open(log.bytes().to_vec().into(), "bin.000001", Flavor::MySql, selection).unwrap();
        let (mut batch, mut told) = (Batch::default(), Vec::new());
        let mut tell = |batch: &Batch| {
            let of = |one: &limpid_model::Definition| batch.txns.iter().any(|txn| txn.id == one.txn);
            told.extend(batch.control.ddl.iter().map(|one| (one.table.to_string(), of(one))));
        };
        file.take_after(events, &mut batch).unwrap();
        tell(&batch);
        while file.next(&mut batch).unwrap() {
            tell(&batch);
        }
        assert_eq!(told, [("a".to_owned(), false), ("b".to_owned(), true)], "cut after {events} events");
    }
}

/// As servers would write one that also changed a table outside transactions.
#[test]
fn rows_of_an_xa_group_that_ends_in_a_rollback_are_dropped_from_fixture() {
    for end in ["XA ROLLBACK X'61',X'',1", "XA COMMIT X'61',X'',1"] {
        let mut log = Log::new("8.0.36", true);
        log.push(number::GTID, 0, &fixture::gtid(1)).push(number::QUERY, 0, &fixture::query("XA START X'61',X'',1"));
        log.push(number::TABLE_MAP, 0, &fixture::table_map(1)).push(kind::WRITE_V2, 0, &fixture::rows(1, [1]));
        log.push(number::QUERY, 0, &fixture::query("XA END X'61',X'',1"));
        log.push(number::QUERY, 0, &fixture::query(end)).transaction(2, 2);
        let read = log.read(Flavor::MySql);
        assert!(read.fault.is_none(), "{:?}", read.fault);
        let expected = if end.starts_with("XA ROLLBACK") { vec![2] } else { vec![1, 2] };
        assert_eq!(read.ids(), expected, "{end}");
        assert_eq!(read.rows.last().map(|(_, gno, _)| *gno), Some(2));
    }
}
