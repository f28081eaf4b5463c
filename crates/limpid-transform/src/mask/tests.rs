//! Masks over single values, against the RFC's vectors and by hand.
//!
//! Owns: the cases. Does not own: which columns are masked.

use limpid_model::{Batch, Cell, CellKind, Column, LogicalType, Place};

use super::*;

fn column(logical: LogicalType) -> Column {
    Column { name: "c".into(), logical, nullable: true, tinyint1: false }
}

/// The text behind a mask; the cell is text or bytes of the batch's arena, or inline.
fn masked(mask: &Mask, logical: &LogicalType, value: Value<'_>) -> String {
    let mut batch = Batch::default();
    let cell = match value {
        Value::Bytes(kind, bytes) => made(&mut batch, kind, bytes),
        Value::Cell(cell) => cell,
    };
    batch.cells.push(cell);
    mask.apply(&mut batch, 0, logical, &mut Vec::new());
    let cell = batch.cells[0];
    assert_eq!((cell.kind(), cell.place()), (CellKind::Text, Place::Arena));
    String::from_utf8(batch.bytes(cell).to_vec()).unwrap()
}

enum Value<'a> {
    Bytes(CellKind, &'a [u8]),
    Cell(Cell),
}

fn text(value: &str) -> Value<'_> {
    Value::Bytes(CellKind::Text, value.as_bytes())
}

/// RFC 4231, test cases 1, 2 and 6.
#[test]
fn a_hash_is_hmac_sha_256() {
    let long = [0xaa; 131];
    for (key, data, expected) in [
        (&[0x0b; 20][..], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            &long,
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        assert_eq!(masked(&Mask::hash(key), &LogicalType::Text, text(data)), expected);
    }
}

#[test]
fn a_hash_is_of_what_the_server_shows() {
    let mask = Mask::hash(b"0123456789abcdef");
    let of_text = |value: &str| masked(&mask, &LogicalType::Text, text(value));
    let int = |signed| LogicalType::Int { bits: 64, signed };
    assert_eq!(masked(&mask, &int(true), Value::Cell(Cell::int(CellKind::Int, -5))), of_text("-5"));
    let largest = Value::Cell(Cell::inline(CellKind::UInt, u64::MAX));
    assert_eq!(masked(&mask, &int(false), largest), of_text("18446744073709551615"));
    let uuid: Vec<u8> = (0..16).collect();
    let uuid = Value::Bytes(CellKind::Uuid, &uuid);
    assert_eq!(masked(&mask, &LogicalType::Uuid, uuid), of_text("00010203-0405-0607-0809-0a0b0c0d0e0f"));
    let fixed = LogicalType::Bytes { fixed: Some(4) };
    let padded = masked(&mask, &fixed, Value::Bytes(CellKind::Bytes, b"ab\0\0"));
    assert_eq!(masked(&mask, &fixed, Value::Bytes(CellKind::Bytes, b"ab")), padded, "the log leaves zero bytes out");
    assert_ne!(of_text("a"), of_text("A"));
}

#[test]
fn a_value_in_part_shows_no_more_than_was_asked_for() {
    let of =
        |first, last, value: &str| masked(&Mask::Partial { first, last, fill: '*' }, &LogicalType::Text, text(value));
    assert_eq!(of(2, 2, "0123456789"), "01******89");
    assert_eq!(of(0, 4, "4111111111111111"), "************1111");
    assert_eq!(of(2, 2, "01234"), "01*34");
    assert_eq!(of(2, 2, "0123"), "****", "nothing would be hidden");
    assert_eq!(of(2, 2, "0"), "*");
    assert_eq!(of(2, 2, ""), "");
    assert_eq!(of(1, 0, "é😀x"), "é**", "characters, not bytes");
    let malformed = Value::Bytes(CellKind::Text, &[b'a', 0xff, b'b', b'c']);
    assert_eq!(masked(&Mask::Partial { first: 1, last: 0, fill: '#' }, &LogicalType::Text, malformed), "a###");
}

#[test]
fn null_and_what_is_not_in_the_image_stay_what_they_are() {
    for mask in [Mask::hash(b"k"), Mask::Redact { text: "x".into() }, Mask::Partial { first: 1, last: 0, fill: '*' }] {
        for cell in [Cell::NULL, Cell::ABSENT, Cell::UNCHANGED] {
            let mut batch = Batch { cells: vec![cell], ..Batch::default() };
            mask.apply(&mut batch, 0, &LogicalType::Text, &mut Vec::new());
            assert_eq!((batch.cells[0], batch.arena.len()), (cell, 0));
        }
    }
}

#[test]
fn each_mask_takes_its_types_and_no_others() {
    use LogicalType as T;
    let hash = Mask::hash(b"k");
    let (redact, partial) = (Mask::Redact { text: "x".into() }, Mask::Partial { first: 1, last: 0, fill: '*' });
    let takes = |logical: T| [&hash, &redact, &partial].map(|mask| mask.shows(&column(logical.clone())).is_some());
    let members: std::sync::Arc<[std::sync::Arc<str>]> = ["a".into()].into();
    for (logical, expected) in [
        (T::Text, [true, true, true]),
        (T::Bytes { fixed: None }, [true, true, false]),
        (T::Int { bits: 8, signed: true }, [true, true, false]),
        (T::Uuid, [true, true, false]),
        (T::Decimal { precision: 9, scale: 2 }, [false, true, false]),
        (T::F64, [false, true, false]),
        (T::Bool, [false, true, false]),
        (T::Date, [false, true, false]),
        (T::Timestamp { digits: 3 }, [false, true, false]),
        (T::Json, [false, true, false]),
        (T::Enum { members }, [false, true, false]),
        (T::Inet6, [false, true, false]),
        (T::Geometry { point: true }, [false, false, false]),
        (T::Vector { dimensions: 3 }, [false, false, false]),
        (T::Document, [false, false, false]),
    ] {
        assert_eq!(takes(logical.clone()), expected, "{logical:?}");
    }
    let flag = Column { tinyint1: true, ..column(T::Int { bits: 8, signed: true }) };
    assert_eq!(hash.shows(&flag).map(|shown| (shown.logical, shown.tinyint1)), Some((T::Text, false)));
}

#[test]
fn redacted_values_are_the_types_zero_and_of_its_form() {
    use LogicalType as T;
    let mask = Mask::Redact { text: "gone".into() };
    let redacted = |logical: T, cell: Cell| {
        let mut batch = Batch { cells: vec![cell], ..Batch::default() };
        mask.apply(&mut batch, 0, &logical, &mut Vec::new());
        let cell = batch.cells[0];
        (cell.kind(), cell.as_i64(), cell.scale(), batch.bytes(cell).to_vec())
    };
    let impossible = Cell::impossible(0, 0, 0, 0, 0);
    assert_eq!(redacted(T::Date, impossible), (CellKind::Date, 0, 0, vec![]));
    assert_eq!(redacted(T::DateTime { digits: 3 }, impossible), (CellKind::DateTime, 0, 3, vec![]));
    let price = Cell::scaled(CellKind::Decimal, 12345, 2);
    assert_eq!(redacted(T::Decimal { precision: 9, scale: 2 }, price), (CellKind::Decimal, 0, 2, vec![]));
    let float = Cell::inline(CellKind::F64, 1.5f64.to_bits());
    assert_eq!(redacted(T::F64, float), (CellKind::F64, 0, 0, vec![]));
    let text = redacted(T::Text, Cell::arena(CellKind::Text, 0, 0, 0));
    assert_eq!((text.0, text.3), (CellKind::Text, b"gone".to_vec()));
    assert_eq!(redacted(T::Inet4, Cell::arena(CellKind::Inet, 0, 0, 0)).3, [0; 4]);
    assert_eq!(redacted(T::Json, Cell::arena(CellKind::Json, 0, 0, 0)).3, b"{}");
}
