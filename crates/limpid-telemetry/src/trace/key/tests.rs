//! What a typed key must not do: hash otherwise than the row's, or be taken for another.

use std::sync::Arc;

use limpid_model::{Column, TableName, key_seed};

use super::*;

fn table(columns: &[(&str, LogicalType)], key: &[u16]) -> TableSchema {
    let name = TableName::new("shop", "orders");
    let column = |(name, logical): &(&str, LogicalType)| Column {
        name: (*name).into(),
        logical: logical.clone(),
        nullable: false,
        tinyint1: false,
    };
    let key_seed = key_seed(&name);
    TableSchema { name, version: 1, columns: columns.iter().map(column).collect(), key: key.into(), key_seed }
}

fn hash(schema: &TableSchema, text: &str) -> Result<u64, KeyRefused> {
    typed_hash(schema, &parts_of(schema, text)?)
}

/// The cell's hash, made as a decoder makes it.
fn expected(schema: &TableSchema, cells: &[Cell], arena: &[u8]) -> u64 {
    let batch = Batch { arena: arena.to_vec(), ..Batch::default() };
    key_hash(&batch, schema, cells)
}

/// A type, a text, the cell with its bytes.
type Case = (LogicalType, &'static str, (Cell, &'static [u8]));

#[test]
fn every_type_hashes_as_its_cell() {
    let members: Arc<[Arc<str>]> = ["a".into(), "b".into(), "c".into()].into();
    let text = |kind, bytes: &'static [u8]| (Cell::arena(kind, 0, bytes.len() as u32, 0), bytes);
    let none: &[u8] = &[];
    let wide = |bytes: &'static [u8]| (Cell::arena(CellKind::Decimal, 0, bytes.len() as u32, 2), bytes);
    let signed = LogicalType::Int { bits: 32, signed: true };
    let unsigned = LogicalType::Int { bits: 64, signed: false };
    let small = LogicalType::Decimal { precision: 10, scale: 2 };
    let big = LogicalType::Decimal { precision: 30, scale: 2 };
    let cases: Vec<Case> = vec![
        (signed, "-7", (Cell::int(CellKind::Int, -7), none)),
        (unsigned, "18446744073709551615", (Cell::inline(CellKind::UInt, u64::MAX), none)),
        (small.clone(), "-12.5", (Cell::scaled(CellKind::Decimal, -1250, 2), none)),
        (small, "3", (Cell::scaled(CellKind::Decimal, 300, 2), none)),
        (big.clone(), "1.28", wide(&[0x00, 0x80])),
        (big.clone(), "-1.28", wide(&[0x80])),
        (big, "0", wide(&[0x00])),
        (LogicalType::Text, "ä, b", text(CellKind::Text, "ä, b".as_bytes())),
        (LogicalType::Bytes { fixed: Some(4) }, "0x0aFF", text(CellKind::Bytes, &[10, 255, 0, 0])),
        (LogicalType::Bytes { fixed: None }, "xy", text(CellKind::Bytes, b"xy")),
        // 2024-02-29 is 19,782 days after the epoch (GNU date).
        (LogicalType::Date, "2024-02-29", (Cell::int(CellKind::Date, 19_782), none)),
        (LogicalType::Date, "1969-12-31", (Cell::int(CellKind::Date, -1), none)),
        (LogicalType::Time { digits: 0 }, "-1:02:03", (Cell::int(CellKind::Time, -3_723_000_000), none)),
        (
            LogicalType::DateTime { digits: 3 },
            "2024-02-29 01:00:00.25",
            (Cell::int(CellKind::DateTime, 1_709_168_400_250_000), none),
        ),
        (
            LogicalType::Timestamp { digits: 0 },
            "2024-02-29T01:00:00Z",
            (Cell::int(CellKind::Timestamp, 1_709_168_400_000_000), none),
        ),
        (LogicalType::Year, "2024", (Cell::int(CellKind::Year, 2024), none)),
        (LogicalType::Enum { members: Arc::clone(&members) }, "b", (Cell::inline(CellKind::Enum, 2), none)),
        (LogicalType::Set { members }, "a,c", (Cell::inline(CellKind::Set, 5), none)),
        (LogicalType::Bit { width: 8 }, "0b101", (Cell::inline(CellKind::Bit, 5), none)),
        (LogicalType::Inet4, "10.0.0.1", text(CellKind::Inet, &[10, 0, 0, 1])),
        (
            LogicalType::Uuid,
            "00112233-4455-6677-8899-aabbccddeeff",
            text(CellKind::Uuid, &[0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255]),
        ),
    ];
    for (logical, typed, (cell, arena)) in cases {
        let schema = table(&[("id", logical)], &[0]);
        assert_eq!(hash(&schema, typed), Ok(expected(&schema, &[cell], arena)), "{typed}");
    }
}

#[test]
fn a_composite_key_is_read_in_any_order_and_keeps_commas_in_values() {
    let number = LogicalType::Int { bits: 32, signed: true };
    let schema = table(&[("v", LogicalType::Json), ("a", number), ("b", LogicalType::Text)], &[1, 2]);
    let cells = [Cell::NULL, Cell::int(CellKind::Int, 1), Cell::arena(CellKind::Text, 0, 3, 0)];
    let right = expected(&schema, &cells, b"x,y");
    assert_eq!(hash(&schema, "a=1,b=x,y"), Ok(right));
    assert_eq!(hash(&schema, "b=x,y,a=1"), Ok(right));
    for wrong in ["1", "a=1", "a=1,b=x,a=2", "a=x,b=x", ""] {
        assert!(hash(&schema, wrong).is_err(), "{wrong}");
    }
    let further = [("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None), ("c".to_owned(), None)];
    assert!(typed_hash(&schema, &further).is_err());
}

#[test]
fn a_refusal_names_the_column_and_no_value() {
    let schema = table(&[("id", LogicalType::Date)], &[0]);
    for wrong in ["2024-02-30", "secret", "2024-1", "0000-00-00"] {
        let KeyRefused(why) = hash(&schema, wrong).unwrap_err();
        assert!(why.contains("id") && !why.contains(wrong), "{why}");
    }
}
