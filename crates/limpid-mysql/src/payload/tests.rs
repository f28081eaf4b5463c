//! Compressed transactions, built by hand from the format's description: no server at hand writes them (8.0.20).
//!
//! Owns: what is read of sound ones, and that nothing is read of others. Does not own: events inside (`assemble`).

use std::io::Write;

use limpid_model::FaultCode;

use crate::events::number;
use crate::fixture::{self, Log, Read, inner};
use crate::gtid::parse_uuid;
use crate::position::Flavor;
use crate::rows::kind;

const NONE: u8 = 255;
const ZSTD: u8 = 0;

/// The events of one transaction that writes these ids, a row an event.
fn transaction(ids: std::ops::Range<i32>) -> Vec<u8> {
    let mut events = inner(number::QUERY, &fixture::query("BEGIN"));
    for id in ids {
        events.extend(inner(number::TABLE_MAP, &fixture::table_map(1)));
        events.extend(inner(kind::WRITE_V2, &fixture::rows(1, [id])));
    }
    events.extend(inner(number::XID, &[9; 8]));
    events
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A length-encoded integer of 8 bytes, whatever its value.
fn number(value: u64) -> Vec<u8> {
    let mut out = vec![9, 0xfe];
    out.extend_from_slice(&value.to_le_bytes());
    out
}

/// The body: compression, decompressed size and size as fields, the end of fields, the payload.
fn body(compression: u8, inflated: Option<u64>, payload: &[u8]) -> Vec<u8> {
    let mut out = if compression < 251 { vec![2, 1, compression] } else { vec![2, 3, 0xfc, compression, 0] };
    if let Some(size) = inflated {
        out.push(3);
        out.extend(number(size));
    }
    out.push(1);
    out.extend(number(payload.len() as u64));
    out.push(0);
    out.extend_from_slice(payload);
    out
}

/// A plain transaction of row 1, one with this payload, a plain one of row 99.
fn read(checksum: bool, payload: &[u8]) -> Read {
    let mut log = Log::new("8.4.3", checksum);
    log.transaction(1, 1).push(number::GTID, 0, &fixture::gtid(2));
    log.push(number::TRANSACTION_PAYLOAD, 0, payload).transaction(3, 99);
    log.read(Flavor::MySql)
}

#[test]
fn a_compressed_transaction_is_read_as_the_plain_one_from_fixture() {
    let events = transaction(10..60);
    let size = Some(events.len() as u64);
    for checksum in [true, false] {
        for body in [body(ZSTD, size, &zstd(&events)), body(NONE, None, &events), body(NONE, size, &events)] {
            let read = read(checksum, &body);
            assert!(read.fault.is_none(), "{:?}", read.fault);
            assert_eq!(read.ids(), (1..2).chain(10..60).chain(99..100).collect::<Vec<i64>>());
            assert!(read.rows[1..51].iter().all(|(_, gno, _)| *gno == 2));
        }
    }
}

#[test]
fn the_position_after_a_compressed_transaction_is_behind_its_event_from_fixture() {
    let events = transaction(10..12);
    let mut log = Log::new("8.4.3", true);
    log.push(number::GTID, 0, &fixture::gtid(2));
    log.push(number::TRANSACTION_PAYLOAD, 0, &body(ZSTD, Some(events.len() as u64), &zstd(&events)));
    assert_eq!(log.read(Flavor::MySql).ends, [format!("file:bin.000001:{}", log.len())]);
}

#[test]
fn a_broken_payload_is_a_fault_and_no_part_of_it_is_read_from_fixture() {
    let events = transaction(10..60);
    let (packed, size) = (zstd(&events), events.len() as u64);
    let half = &events[..events.len() / 2];
    let mut flipped = packed.clone();
    flipped[0] ^= 0xff;
    let mut wrong_size_field = body(ZSTD, Some(size), &packed);
    wrong_size_field.push(0);
    let within = |kind: u8, inside: &[u8]| {
        let events = [transaction(10..11), inner(kind, inside)].concat();
        body(ZSTD, Some(events.len() as u64), &zstd(&events))
    };
    let nested = within(number::TRANSACTION_PAYLOAD, &body(NONE, None, &events));
    let mut tiny = events.clone();
    tiny[9..13].copy_from_slice(&18u32.to_le_bytes());
    let mut huge = events.clone();
    huge[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
    for (what, body) in [
        ("zstd cut short", body(ZSTD, Some(size), &packed[..packed.len() - 9])),
        ("nothing compressed", body(ZSTD, Some(size), &[])),
        ("no zstd at all", body(ZSTD, Some(size), b"not a frame, but a text")),
        ("no frame of zstd", body(ZSTD, Some(size), &flipped)),
        ("claims to be smaller", body(ZSTD, Some(size - 1), &packed)),
        ("claims to be larger", body(ZSTD, Some(size + 1), &packed)),
        ("claims to be huge", body(ZSTD, Some(u64::MAX), &packed)),
        ("does not say its size", body(ZSTD, None, &packed)),
        ("ends inside an event", body(NONE, None, half)),
        ("ends inside an event, compressed", body(ZSTD, Some(half.len() as u64), &zstd(half))),
        ("another payload size", wrong_size_field),
        ("an unknown compression", body(7, Some(size), &packed)),
        ("no fields", Vec::new()),
        ("fields that do not end", vec![2, 1, 0, 3]),
        ("an event shorter than its header", body(NONE, None, &tiny)),
        ("an event longer than all", body(NONE, None, &huge)),
        ("a payload inside", nested),
        ("a GTID inside", within(number::GTID, &fixture::gtid(5))),
        ("a rotation inside", within(number::ROTATE, b"\x04\0\0\0\0\0\0\0bin.000009")),
        ("a format inside", within(number::FORMAT_DESCRIPTION, &[4, 0])),
        ("a rollback to a savepoint", {
            let undo = |sql: &str| inner(number::QUERY, &fixture::query(sql));
            let events = [undo("BEGIN"), undo("SAVEPOINT `a`"), undo("ROLLBACK TO `a`")].concat();
            body(NONE, None, &events)
        }),
    ] {
        let read = read(true, &body);
        assert_eq!(read.fault.as_ref().map(|fault| fault.code()), Some(FaultCode::LogPayloadCorrupt), "{what}");
        assert!(read.ids().iter().all(|id| *id == 1), "{what}: {:?}", read.ids());
    }
}

#[test]
fn a_large_compressed_transaction_leaves_in_pieces_from_fixture() {
    let mut events = inner(number::QUERY, &fixture::query("BEGIN"));
    events.extend(inner(number::TABLE_MAP, &fixture::table_map(1)));
    for first in 0..300 {
        events.extend(inner(kind::WRITE_V2, &fixture::rows(1, first * 10_000..(first + 1) * 10_000)));
    }
    events.extend(inner(number::XID, &[9; 8]));
    let (packed, size) = (zstd(&events), events.len() as u64);
    let read_whole = read(true, &body(ZSTD, Some(size), &packed));
    assert!(read_whole.fault.is_none(), "{:?}", read_whole.fault);
    assert_eq!(read_whole.ids(), (1..2).chain(0..3_000_000).chain(99..100).collect::<Vec<i64>>());
    assert!(read_whole.batches > 20, "{} batches", read_whole.batches);
    // Were it found out at its end only, most of it would have left by then.
    let read_cut = read(true, &body(ZSTD, Some(size), &packed[..packed.len() - 100]));
    assert_eq!(read_cut.fault.map(|fault| fault.code()), Some(FaultCode::LogPayloadCorrupt));
    assert!(read_cut.rows.len() <= 1, "{} rows left", read_cut.rows.len());
}

#[test]
fn a_payload_under_a_tagged_gtid_carries_the_tag_from_fixture() {
    // Version 1, size, then fields: flags, the UUID's bytes, the number 4, the tag, all in the serialization form.
    let uuid = parse_uuid("01020304-0506-0708-090a-0b0c0d0e0f10").unwrap();
    let mut fields = vec![0, 0, 0, 2];
    fields.extend(uuid.iter().map(|byte| byte << 1));
    fields.extend_from_slice(&[4, 4 << 2, 6, 4 << 1]);
    fields.extend_from_slice(b"blue");
    let mut tagged = vec![1 << 1, (fields.len() as u8 + 2) << 1];
    tagged.extend(fields);
    let events = transaction(10..12);
    let mut log = Log::new("8.4.3", true);
    log.transaction(1, 1).push(number::GTID_TAGGED, 0, &tagged);
    log.push(number::TRANSACTION_PAYLOAD, 0, &body(ZSTD, Some(events.len() as u64), &zstd(&events)));
    log.push(number::HEARTBEAT_V2, 0, &[0, 0]).transaction(3, 99);
    let read = log.read(Flavor::MySql);
    assert!(read.fault.is_none(), "{:?}", read.fault);
    let blue = Some("blue".to_owned());
    assert_eq!(read.rows, [(1, 1, None), (10, 4, blue.clone()), (11, 4, blue), (99, 3, None)]);
}
