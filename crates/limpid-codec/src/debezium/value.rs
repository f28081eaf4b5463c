//! One value of one row.
//!
//! Owns: writing a cell in its column's form. Does not own: choosing forms (`form`), prefixes and braces (`debezium`).
//!
//! Invariant: what is appended is one JSON value, or an error says that the cell does not fit the column; what loses
//! something on the way (an impossible date, malformed text) is counted.

use std::net::{Ipv4Addr, Ipv6Addr};

use limpid_model::{Batch, Cell, CellKind, Place};

use super::form::{Form, Unit};
use super::options::BinaryHandling;
use super::origin::put_uuid;
use super::plan::ColumnPlan;
use crate::json::{
    Alphabet, put_base64, put_date, put_f32, put_f64, put_fraction, put_hex, put_i64, put_instant, put_padded,
    put_text, put_time_of_day, put_trimmed_fraction, put_u64,
};

/// A cell that has no form in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) column: u16,
    pub(super) what: &'static str,
}

/// What stands for a value that PostgreSQL did not send because it did not change.
const UNAVAILABLE: &[u8] = b"\"__debezium_unavailable_value\"";

const WRONG_KIND: &str = "a value does not have the kind that its column's type calls for";

/// Appends `cell`. `at` is the column's index, for the error.
#[inline]
pub(super) fn put(
    out: &mut Vec<u8>,
    batch: &Batch,
    column: &ColumnPlan,
    at: u16,
    cell: Cell,
    coerced: &mut u64,
) -> Result<(), Misfit> {
    match (&column.form, cell.kind()) {
        (Form::Int | Form::Wrapped, CellKind::Int) => put_i64(out, cell.as_i64()),
        (Form::Text, CellKind::Text | CellKind::Json) => {
            out.push(b'"');
            *coerced += put_text(out, batch.bytes(cell));
            out.push(b'"');
        }
        (Form::Int, CellKind::UInt) => put_u64(out, cell.bits()),
        // Above 2^63-1 it wraps, as Debezium's does.
        (Form::Wrapped, CellKind::UInt) => put_i64(out, cell.as_i64()),
        (Form::DateTime(unit), CellKind::DateTime) => put_count(out, *unit, cell.as_i64()),
        (Form::Date, CellKind::Date) => put_i64(out, cell.as_i64()),
        (Form::Zoned(digits), CellKind::Timestamp) => put_zoned(out, cell.as_i64(), *digits),
        (Form::DecimalBase64, CellKind::Decimal) => put_decimal(out, batch, cell),
        (Form::F64, CellKind::F64) => put_f64(out, f64::from_bits(cell.bits())),
        _ => return put_rarer(out, batch, column, at, cell, coerced),
    }
    Ok(())
}

/// The types that are seldom or slow anyway, out of the hot loop's way.
#[inline(never)]
fn put_rarer(
    out: &mut Vec<u8>,
    batch: &Batch,
    column: &ColumnPlan,
    at: u16,
    cell: Cell,
    coerced: &mut u64,
) -> Result<(), Misfit> {
    match cell.place() {
        Place::Null => {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        Place::Unchanged => {
            out.extend_from_slice(UNAVAILABLE);
            return Ok(());
        }
        Place::Absent => return Err(Misfit { column: at, what: "a value is absent from the row image" }),
        Place::Inline | Place::Raw | Place::Arena => {}
    }
    let written = match (&column.form, cell.kind()) {
        (_, CellKind::Impossible) => {
            *coerced += 1;
            put_impossible(out, column)
        }
        (Form::Bool, CellKind::Bool | CellKind::Int | CellKind::UInt | CellKind::Bit)
        | (Form::BitBool, CellKind::Bit | CellKind::Bool) => put_bool(out, cell.bits() != 0),
        (Form::UnsignedDecimal, CellKind::UInt) => {
            let mut wide = [0; 9];
            wide[1..].copy_from_slice(&cell.bits().to_be_bytes());
            put_quoted_base64(out, minimal(&wide))
        }
        (Form::UnsignedDecimal, CellKind::Int) => {
            put_quoted_base64(out, minimal(&cell.as_i64().to_be_bytes()))
        }
        (Form::F32, CellKind::F32) => {
            put_f32(out, f32::from_bits(cell.bits() as u32));
            true
        }
        (Form::DecimalDouble, CellKind::Decimal) => put_decimal_double(out, batch, cell),
        (Form::DecimalString, CellKind::Decimal) => {
            out.push(b'"');
            put_decimal_text(out, batch, cell);
            out.push(b'"');
            true
        }
        (Form::Bytes(handling), CellKind::Bytes | CellKind::Text) => put_bytes(out, batch.bytes(cell), *handling),
        (Form::DateIso, CellKind::Date) => quoted(out, |out| {
            put_date(out, cell.as_i64());
            out.push(b'Z');
        }),
        (Form::Time(unit), CellKind::Time) => {
            put_count(out, *unit, cell.as_i64());
            true
        }
        (Form::TimeIso, CellKind::Time) => put_iso_time(out, cell.as_i64()),
        (Form::DateTimeIso, CellKind::DateTime) => put_iso_instant(out, cell.as_i64()),
        (Form::Year, CellKind::Year | CellKind::Int) => {
            put_i64(out, cell.as_i64());
            true
        }
        (Form::Enum(members), CellKind::Enum) => match members.get(cell.bits() as usize) {
            Some(member) => {
                member.put(out);
                true
            }
            None => return Err(Misfit { column: at, what: "an enum value has no member of its number" }),
        },
        (Form::Set(members), CellKind::Set) => put_set(out, members, cell.bits()),
        (Form::Bits(bytes), CellKind::Bit) => {
            let little = cell.bits().to_le_bytes();
            put_quoted_base64(out, little.get(..*bytes as usize).unwrap_or(&little))
        }
        (Form::Uuid, CellKind::Uuid) => put_uuid_text(out, batch.bytes(cell)),
        (Form::Inet, CellKind::Inet) => put_inet(out, batch.bytes(cell)),
        (Form::Geometry, CellKind::Geometry) => put_geometry(out, batch.bytes(cell)),
        (Form::Point, CellKind::Geometry) => put_point(out, batch.bytes(cell)),
        (Form::Vector, CellKind::Vector) => put_vector(out, batch.bytes(cell)),
        (Form::Unsupported, _) => {
            return Err(Misfit { column: at, what: "the column's type has no form in this format" });
        }
        _ => false,
    };
    if written { Ok(()) } else { Err(Misfit { column: at, what: WRONG_KIND }) }
}

fn put_bool(out: &mut Vec<u8>, value: bool) -> bool {
    out.extend_from_slice(if value { b"true" } else { b"false" });
    true
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    out.push(b'"');
    write(out);
    out.push(b'"');
    true
}

fn put_quoted_base64(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    quoted(out, |out| put_base64(out, bytes, Alphabet::Standard))
}

/// Microseconds in the unit asked for. Finer ones are exact; coarser ones are cut toward the past, as Java's
/// `toEpochMilli` cuts them.
#[inline]
fn put_count(out: &mut Vec<u8>, unit: Unit, micros: i64) {
    match unit {
        Unit::Millis => put_i64(out, micros.div_euclid(1000)),
        Unit::Micros => put_i64(out, micros),
        Unit::Nanos => match micros.checked_mul(1000) {
            Some(nanos) => put_i64(out, nanos),
            // Beyond 1677..2262: the nearest that 64 bits can hold.
            None => put_i64(out, if micros < 0 { i64::MIN } else { i64::MAX }),
        },
    }
}

#[inline]
fn put_zoned(out: &mut Vec<u8>, micros: i64, digits: u8) {
    out.push(b'"');
    let of_day = put_instant(out, micros);
    put_fraction(out, of_day, digits);
    out.extend_from_slice(b"Z\"");
}

fn put_iso_time(out: &mut Vec<u8>, micros: i64) -> bool {
    const DAY: i64 = 86_400_000_000;
    let of_day = micros.rem_euclid(DAY) as u64;
    quoted(out, |out| {
        put_time_of_day(out, of_day);
        put_trimmed_fraction(out, of_day);
        out.push(b'Z');
    })
}

fn put_iso_instant(out: &mut Vec<u8>, micros: i64) -> bool {
    quoted(out, |out| {
        let of_day = put_instant(out, micros);
        put_trimmed_fraction(out, of_day);
        out.push(b'Z');
    })
}

/// A date that no calendar has: null where that is allowed, else the epoch.
fn put_impossible(out: &mut Vec<u8>, column: &ColumnPlan) -> bool {
    let epoch: &[u8] = match &column.form {
        _ if column.nullable => b"null",
        Form::Date | Form::DateTime(_) | Form::Time(_) => b"0",
        Form::DateIso => b"\"1970-01-01Z\"",
        Form::DateTimeIso | Form::Zoned(_) => b"\"1970-01-01T00:00:00Z\"",
        _ => return false,
    };
    out.extend_from_slice(epoch);
    true
}

/// Without the leading bytes that only repeat the sign.
#[inline]
fn minimal(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [first, second, ..] = rest {
        let repeats = (*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80);
        if !repeats {
            break;
        }
        rest = &rest[1..];
    }
    rest
}

#[inline]
fn put_decimal(out: &mut Vec<u8>, batch: &Batch, cell: Cell) {
    out.push(b'"');
    if cell.place() == Place::Inline {
        let value = cell.as_i64();
        // Bits that differ from the sign, one sign bit, rounded up to bytes.
        let bits = 65 - (value ^ (value >> 63)).leading_zeros() as usize;
        let bytes = value.to_be_bytes();
        put_base64(out, &bytes[8 - bits.div_ceil(8)..], Alphabet::Standard);
    } else {
        put_base64(out, minimal(batch.bytes(cell)), Alphabet::Standard);
    }
    out.push(b'"');
}

/// The nearest double, as `BigDecimal.doubleValue` has it.
fn put_decimal_double(out: &mut Vec<u8>, batch: &Batch, cell: Cell) -> bool {
    let mut text = Vec::with_capacity(72);
    put_decimal_text(&mut text, batch, cell);
    match std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()) {
        Some(value) => {
            // A BigDecimal has no negative zero.
            put_f64(out, if value == 0.0 { 0.0 } else { value });
            true
        }
        None => false,
    }
}

/// Plain digits with as many behind the point as the scale says.
fn put_decimal_text(out: &mut Vec<u8>, batch: &Batch, cell: Cell) {
    let scale = cell.scale() as usize;
    let mut digits = Vec::with_capacity(72);
    let negative = if cell.place() == Place::Inline {
        put_u64(&mut digits, cell.as_i64().unsigned_abs());
        cell.as_i64() < 0
    } else {
        big_digits(batch.bytes(cell), &mut digits)
    };
    if negative {
        out.push(b'-');
    }
    if digits.len() <= scale {
        out.extend(std::iter::repeat_n(b'0', 1));
        if scale > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
            out.extend_from_slice(&digits);
        }
        return;
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Decimal digits of a two's complement number of any size; true when it is negative.
fn big_digits(bytes: &[u8], digits: &mut Vec<u8>) -> bool {
    const GROUP: u64 = 1_000_000_000;
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    // Limbs of 32 bits, most significant first.
    let fill = if negative { 0xff } else { 0 };
    let width = bytes.len().div_ceil(4).max(1) * 4;
    let mut wide = vec![fill; width - bytes.len()];
    wide.extend_from_slice(bytes);
    let mut limbs: Vec<u32> = wide.as_chunks::<4>().0.iter().map(|limb| u32::from_be_bytes(*limb)).collect();
    if negative {
        let mut carry = true;
        for limb in limbs.iter_mut().rev() {
            (*limb, carry) = (!*limb).overflowing_add(carry as u32);
        }
    }
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb != 0) {
        let mut rest = 0u64;
        for limb in &mut limbs {
            let value = rest << 32 | *limb as u64;
            *limb = (value / GROUP) as u32;
            rest = value % GROUP;
        }
        groups.push(rest);
    }
    let Some(first) = groups.pop() else {
        digits.push(b'0');
        return false;
    };
    put_u64(digits, first);
    for group in groups.iter().rev() {
        put_padded(digits, *group, 9);
    }
    negative
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], handling: BinaryHandling) -> bool {
    quoted(out, |out| match handling {
        BinaryHandling::Bytes | BinaryHandling::Base64 => put_base64(out, bytes, Alphabet::Standard),
        BinaryHandling::Base64UrlSafe => put_base64(out, bytes, Alphabet::UrlSafe),
        BinaryHandling::Hex => put_hex(out, bytes),
    })
}

fn put_set(out: &mut Vec<u8>, members: &[crate::json::Piece], mask: u64) -> bool {
    quoted(out, |out| {
        let mut first = true;
        for (bit, member) in members.iter().enumerate().take(64) {
            if mask >> bit & 1 == 1 {
                if !first {
                    out.push(b',');
                }
                first = false;
                member.put(out);
            }
        }
    })
}

fn put_uuid_text(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    match bytes.first_chunk::<16>() {
        Some(uuid) => quoted(out, |out| put_uuid(out, uuid)),
        None => false,
    }
}

/// The servers' own text of an address. It is never hot, so the standard library's formatting will do.
fn put_inet(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let text = match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(four), _) => Ipv4Addr::from(four).to_string(),
        (_, Ok(sixteen)) => Ipv6Addr::from(sixteen).to_string(),
        _ => return false,
    };
    quoted(out, |out| out.extend_from_slice(text.as_bytes()))
}

/// The servers' form: four bytes of SRID, little-endian, then WKB. SRID 0 is told as null.
fn split_geometry(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (srid, wkb) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*srid), wkb))
}

fn put_wkb_and_srid(out: &mut Vec<u8>, srid: u32, wkb: &[u8]) {
    out.extend_from_slice(b"\"wkb\":\"");
    put_base64(out, wkb, Alphabet::Standard);
    out.extend_from_slice(b"\",\"srid\":");
    match srid {
        0 => out.extend_from_slice(b"null"),
        srid => put_u64(out, srid as u64),
    }
    out.push(b'}');
}

fn put_geometry(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some((srid, wkb)) = split_geometry(bytes) else { return false };
    out.push(b'{');
    put_wkb_and_srid(out, srid, wkb);
    true
}

/// A point's WKB: byte order, type 1, x, y.
fn put_point(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some((srid, wkb)) = split_geometry(bytes) else { return false };
    let Some((order, rest)) = wkb.split_first() else { return false };
    let Some((x, y)) = rest.get(4..12).zip(rest.get(12..20)) else { return false };
    let (Ok(x), Ok(y)) = (<[u8; 8]>::try_from(x), <[u8; 8]>::try_from(y)) else { return false };
    let read = if *order == 0 { f64::from_be_bytes } else { f64::from_le_bytes };
    out.extend_from_slice(b"{\"x\":");
    put_f64(out, read(x));
    out.extend_from_slice(b",\"y\":");
    put_f64(out, read(y));
    out.push(b',');
    put_wkb_and_srid(out, srid, wkb);
    true
}

fn put_vector(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'[');
    for (index, float) in bytes.as_chunks::<4>().0.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_f32(out, f32::from_le_bytes(*float));
    }
    out.push(b']');
    true
}
