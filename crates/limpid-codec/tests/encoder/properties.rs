//! Whatever a row holds, its records are JSON that other people's code reads back to the same values.
//!
//! Owns: generated rows, decimals and doubles against independent code (serde_json, num-bigint, the standard library).
//! Does not own: exact bytes (`debezium`, `tests/oracle`).

use crate::support::{Builder, Val, column, encode, encoder, int, options, table};
use limpid_codec::{DebeziumOptions, DecimalHandling, TimePrecision};
use limpid_model::{Cell, CellKind, LogicalType, Op};
use num_bigint::BigInt;
use proptest::prelude::*;
use serde_json::Value;

/// A column's type and a value that fits it.
fn typed_value() -> impl Strategy<Value = (LogicalType, Val)> {
    let scalar = |logical: LogicalType, kind: CellKind, low: i64, high: i64| {
        (low..=high).prop_map(move |value| (logical.clone(), Val::Cell(Cell::scaled(kind, value, 2))))
    };
    prop_oneof![
        any::<i64>().prop_map(|value| (LogicalType::Int { bits: 64, signed: true }, Val::Int(value))),
        any::<u64>().prop_map(|value| (LogicalType::Int { bits: 64, signed: false }, Val::UInt(value))),
        any::<u64>().prop_map(|bits| (LogicalType::F64, Val::Cell(Cell::inline(CellKind::F64, bits)))),
        any::<u32>().prop_map(|bits| (LogicalType::F32, Val::Cell(Cell::inline(CellKind::F32, bits as u64)))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| (LogicalType::Text, Val::Text(bytes))),
        any::<String>().prop_map(|text| (LogicalType::Text, Val::Text(text.into_bytes()))),
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| (LogicalType::Bytes { fixed: None }, Val::Bytes(CellKind::Bytes, bytes))),
        scalar(LogicalType::Decimal { precision: 18, scale: 2 }, CellKind::Decimal, i64::MIN, i64::MAX),
        prop::collection::vec(any::<u8>(), 1..28)
            .prop_map(|bytes| (LogicalType::Decimal { precision: 65, scale: 7 }, Val::Decimal(bytes, 7))),
        scalar(LogicalType::Date, CellKind::Date, -719_162, 2_932_896),
        scalar(LogicalType::Time { digits: 6 }, CellKind::Time, -3_020_399_000_000, 3_020_399_000_000),
        scalar(
            LogicalType::DateTime { digits: 6 },
            CellKind::DateTime,
            -62_135_596_800_000_000,
            253_402_300_799_999_999
        ),
        scalar(LogicalType::Timestamp { digits: 3 }, CellKind::Timestamp, 0, 4_294_967_295_999_999),
        any::<u64>().prop_map(|bits| (LogicalType::Bit { width: 40 }, Val::Cell(Cell::inline(CellKind::Bit, bits)))),
        prop::collection::vec(any::<u8>(), 21..60)
            .prop_map(|bytes| (LogicalType::Geometry { point: false }, Val::Bytes(CellKind::Geometry, bytes))),
        Just((LogicalType::Text, Val::Null)),
        Just((LogicalType::Text, Val::Absent)),
    ]
}

/// The value's field `v` as it was written.
fn written(options: DebeziumOptions, logical: LogicalType, value: Val) -> String {
    let schema = table("t", 1, vec![column("v", logical, true)], &[]);
    let builder = Builder::new().table(&schema).maria_txn(1).event(1).row(Op::Insert, &[], &[value]);
    let line = encode(&mut encoder(options), builder).short_lines().remove(0);
    line["- {\"before\":null,\"after\":{\"v\":".len()..line.len() - "} c".len()].to_owned()
}

/// The value's field `v` after a trip through another parser.
fn reread(options: DebeziumOptions, logical: LogicalType, value: Val) -> Value {
    serde_json::from_str(&written(options, logical, value)).unwrap()
}

/// Base64 by the book, to read ours back.
fn unbase64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{c} is no base64"),
    };
    let bits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    bits.chunks(4)
        .flat_map(|four| {
            let word = four.iter().enumerate().fold(0u32, |word, (at, six)| word | (*six as u32) << (18 - 6 * at));
            word.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}

proptest! {
    #[test]
    fn every_record_of_every_row_is_json(
        cells in prop::collection::vec(typed_value(), 1..8),
        id in any::<i32>(),
        other in any::<i32>(),
        iso in any::<bool>(),
    ) {
        let mut options = options();
        if iso {
            options.time_precision = TimePrecision::Isostring;
            options.decimal_handling = DecimalHandling::Double;
        }
        let mut columns = vec![column("id", int(), false)];
        columns.extend(cells.iter().enumerate().map(|(at, (logical, _))| column(&format!("c\"{at}"), logical.clone(), true)));
        let image = |id: i32| {
            let mut image = vec![Val::Int(id as i64)];
            image.extend(cells.iter().map(|(_, value)| value.clone()));
            image
        };
        let schema = table("t", 1, columns, &[0]);
        let builder = Builder::new().table(&schema).maria_txn(1).event(1)
            .row(Op::Insert, &[], &image(id))
            .row(Op::Update, &image(id), &image(other))
            .row(Op::Delete, &image(other), &[]);
        let got = encode(&mut encoder(options), builder);
        prop_assert!(got.tally.table_faults.is_empty() && got.tally.row_faults.is_empty(), "{:?}", got.tally);
        prop_assert_eq!(got.out.records.len(), if id == other { 4 } else { 6 });
        for record in &got.out.records {
            let key: Value = serde_json::from_slice(got.out.get(record.key).unwrap()).unwrap();
            prop_assert!(key["id"].is_i64());
            if let Some(bytes) = got.out.get(record.value) {
                let value: Value = serde_json::from_slice(bytes).unwrap();
                let present = cells.iter().filter(|(_, value)| !matches!(value, Val::Absent)).count() + 1;
                for image in ["before", "after"] {
                    if let Some(fields) = value[image].as_object() {
                        prop_assert_eq!(fields.len(), present);
                    }
                }
                prop_assert_eq!(&value["source"]["table"], "t");
            }
        }
    }

    #[test]
    fn decimals_come_back_digit_for_digit(bytes in prop::collection::vec(any::<u8>(), 1..28), scale in 0u16..31) {
        let logical = LogicalType::Decimal { precision: 65, scale };
        let number = BigInt::from_signed_bytes_be(&bytes);
        let precise = reread(options(), logical.clone(), Val::Decimal(bytes.clone(), scale));
        prop_assert_eq!(unbase64(precise.as_str().unwrap()), number.to_signed_bytes_be(), "minimal two's complement");
        let string = DebeziumOptions { decimal_handling: DecimalHandling::String, ..options() };
        let text = reread(string, logical.clone(), Val::Decimal(bytes.clone(), scale));
        let text = text.as_str().unwrap();
        let digits: String = text.chars().filter(|c| *c != '.').collect();
        prop_assert_eq!(digits.parse::<BigInt>().unwrap(), number);
        prop_assert_eq!(text.split_once('.').map_or(0, |(_, fraction)| fraction.len()), scale as usize);
        let double = DebeziumOptions { decimal_handling: DecimalHandling::Double, ..options() };
        // By the standard library: serde_json's own reading of a double may be off by one in the last place.
        let value = written(double, logical, Val::Decimal(bytes, scale));
        prop_assert_eq!(value.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
    }

    #[test]
    fn inline_decimals_equal_those_in_the_arena(value in any::<i64>(), scale in 0u16..19) {
        let logical = || LogicalType::Decimal { precision: 18, scale };
        let inline = || Val::Cell(Cell::scaled(CellKind::Decimal, value, scale));
        let arena = || Val::Decimal(BigInt::from(value).to_signed_bytes_be(), scale);
        for handling in [DecimalHandling::Precise, DecimalHandling::String, DecimalHandling::Double] {
            let by = || DebeziumOptions { decimal_handling: handling, ..options() };
            prop_assert_eq!(reread(by(), logical(), inline()), reread(by(), logical(), arena()));
        }
    }

    #[test]
    fn doubles_read_back_as_themselves(bits in any::<u64>(), small in any::<u32>()) {
        let value = f64::from_bits(bits);
        let float = f32::from_bits(small);
        prop_assume!(value.is_finite() && float.is_finite());
        let back = written(options(), LogicalType::F64, Val::Cell(Cell::inline(CellKind::F64, bits)));
        prop_assert_eq!(back.parse::<f64>().unwrap().to_bits(), bits);
        let back = written(options(), LogicalType::F32, Val::Cell(Cell::inline(CellKind::F32, small as u64)));
        prop_assert_eq!(back.parse::<f32>().unwrap().to_bits(), small);
    }

    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        let back = reread(options(), LogicalType::Bytes { fixed: None }, Val::Bytes(CellKind::Bytes, bytes.clone()));
        prop_assert_eq!(unbase64(back.as_str().unwrap()), bytes);
    }
}
