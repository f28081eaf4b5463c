//! Values that a record cannot hold as they are.
//!
//! Owns: that each is counted, with its column and reason, and once. Does not own: how it is written instead (`rows`).

use crate::support::{Builder, Encoded, Val, column, encode, encoder, int, options, table, text};
use limpid_codec::{DebeziumOptions, TimePrecision, TinyInt1};
use limpid_model::{Cell, CellKind, Column, LogicalType, Oddity, Op};

/// Column, reason and count of each odd value.
pub fn odd(got: &Encoded) -> Vec<(u16, Oddity, u64)> {
    got.tally.odd.counts().iter().map(|odd| (odd.column, odd.why, odd.values)).collect()
}

fn check_column(column: Column, value: Val, change: impl Fn(&mut DebeziumOptions), expected: Option<Oddity>) {
    let schema = table("t", 1, vec![self::column("id", int(), false), column], &[0]);
    let mut options = options();
    change(&mut options);
    let image = [Val::Int(1), value];
    let builder = Builder::new().table(&schema).maria_txn(1).event(1).row(Op::Insert, &[], &image);
    let got = encode(&mut encoder(options), builder);
    assert!(got.tally.row_faults.is_empty(), "{:?}", got.tally);
    let expected: Vec<_> = expected.map(|why| (1, why, 1)).into_iter().collect();
    assert_eq!(odd(&got), expected, "{image:?}");
}

fn check(logical: LogicalType, value: Val, change: impl Fn(&mut DebeziumOptions), expected: Option<Oddity>) {
    check_column(column("v", logical, true), value, change, expected);
}

fn cell(kind: CellKind, value: i64) -> Val {
    Val::Cell(Cell::scaled(kind, value, 6))
}

#[test]
fn what_a_form_has_no_room_for_is_counted_with_its_reason() {
    use Oddity::{MalformedText, NotFinite, OutOfRange, Truncated, UnsignedWrap};
    let same = |_: &mut DebeziumOptions| {};
    let by = |precision| move |options: &mut DebeziumOptions| options.time_precision = precision;
    let unsigned = || LogicalType::Int { bits: 64, signed: false };
    check(unsigned(), Val::UInt(i64::MAX as u64), same, None);
    check(unsigned(), Val::UInt(i64::MAX as u64 + 1), same, Some(UnsignedWrap));
    let precise = |options: &mut DebeziumOptions| {
        options.bigint_unsigned_handling = limpid_codec::BigintUnsignedHandling::Precise;
    };
    check(unsigned(), Val::UInt(u64::MAX), precise, None);

    let (time, datetime) = (LogicalType::Time { digits: 6 }, LogicalType::DateTime { digits: 6 });
    let connect = TimePrecision::Connect;
    check(datetime.clone(), cell(CellKind::DateTime, -1), same, None);
    check(datetime.clone(), cell(CellKind::DateTime, -1), by(connect), Some(Truncated));
    check(datetime.clone(), cell(CellKind::DateTime, -2000), by(connect), None);
    check(time.clone(), cell(CellKind::Time, 1001), by(connect), Some(Truncated));
    let nanos = TimePrecision::Nanoseconds;
    check(datetime.clone(), cell(CellKind::DateTime, i64::MAX / 1000), by(nanos), None);
    check(datetime, cell(CellKind::DateTime, i64::MAX / 1000 + 1), by(nanos), Some(OutOfRange));
    let iso = TimePrecision::Isostring;
    check(time.clone(), cell(CellKind::Time, 86_399_999_999), by(iso), None);
    check(time.clone(), cell(CellKind::Time, 86_400_000_000), by(iso), Some(OutOfRange));
    check(time, cell(CellKind::Time, -1), by(iso), Some(OutOfRange));

    for (value, expected) in [(1.5, None), (0.0, None), (f64::MAX, None), (f64::NAN, Some(NotFinite))] {
        check(LogicalType::F64, Val::Cell(Cell::inline(CellKind::F64, value.to_bits())), same, expected);
        let small = u64::from((value as f32 / 4.0).to_bits());
        let expected = if value == f64::MAX { Some(NotFinite) } else { expected };
        check(LogicalType::F32, Val::Cell(Cell::inline(CellKind::F32, small)), same, expected);
        let mut point = vec![0, 0, 0, 0, 1, 1, 0, 0, 0];
        point.extend_from_slice(&1.0f64.to_le_bytes());
        point.extend_from_slice(&value.to_le_bytes());
        let expected = if value.is_finite() { None } else { Some(NotFinite) };
        check(LogicalType::Geometry { point: true }, Val::Bytes(CellKind::Geometry, point), same, expected);
        let vector = [1.0f32, value as f32].map(f32::to_le_bytes).concat();
        let expected = if (value as f32).is_finite() { None } else { Some(NotFinite) };
        check(LogicalType::Vector { dimensions: 2 }, Val::Bytes(CellKind::Vector, vector), same, expected);
    }

    let boolean = |options: &mut DebeziumOptions| options.tinyint1 = TinyInt1::Boolean;
    let tiny = || Column { tinyint1: true, ..column("v", LogicalType::Int { bits: 8, signed: true }, true) };
    check_column(tiny(), Val::Int(1), boolean, None);
    check_column(tiny(), Val::Int(5), boolean, Some(OutOfRange));
    check_column(tiny(), Val::Int(-1), boolean, Some(OutOfRange));
    check_column(tiny(), Val::Int(5), same, None);

    check(LogicalType::Text, Val::Text(b"a\xffb\xff".to_vec()), same, Some(MalformedText));
    check(LogicalType::Text, text("\u{fffd}"), same, None);
    check(LogicalType::Json, Val::Bytes(CellKind::Json, b"\"\xff\"".to_vec()), same, Some(MalformedText));
}

#[test]
fn a_value_is_counted_once_an_image_and_not_for_the_key_nor_for_a_row_without_record() {
    let enumeration = LogicalType::Enum { members: ["a".into()].into() };
    let columns = vec![column("k", LogicalType::Text, false), column("e", enumeration, true)];
    let schema = table("t", 1, columns, &[0]);
    let bad = || Val::Text(b"\xff".to_vec());
    let member = |number| Val::Cell(Cell::inline(CellKind::Enum, number));
    let malformed = |values| vec![(0, Oddity::MalformedText, values)];
    let start = || Builder::new().table(&schema).maria_txn(1).event(1);
    let kept = start().row(Op::Insert, &[], &[bad(), member(1)]);
    assert_eq!(odd(&encode(&mut encoder(options()), kept)), malformed(1));
    // Both images of a change have it; a changed key is written again in headers.
    let change = start().row(Op::Update, &[bad(), member(1)], &[Val::Text(b"\xff\xff".to_vec()), member(1)]);
    assert_eq!(odd(&encode(&mut encoder(options()), change)), malformed(2));
    let without_record = start().row(Op::Insert, &[], &[bad(), member(9)]).row(Op::Delete, &[bad(), member(1)], &[]);
    let got = encode(&mut encoder(options()), without_record);
    assert_eq!((odd(&got), got.tally.row_faults.len()), (malformed(1), 1));
}
