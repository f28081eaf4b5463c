//! One value of one row.
//!
//! Owns: writing a cell in its column's form. Does not own: choosing forms (`form`), prefixes and braces (`debezium`).
//!
//! Invariant: what is appended is one JSON value, or an error says that the cell does not fit the column; what loses
//! something on the way (an impossible date, malformed text, a number that wraps) is named with its column and reason.

mod decimal;
mod geometry;

use std::net::{Ipv4Addr, Ipv6Addr};

use limpid_model::{Batch, Cell, CellKind, Oddity, Place};

use super::form::{Form, Unit};
use super::options::BinaryHandling;
use super::origin::put_uuid;
use super::plan::ColumnPlan;
use crate::json::{
    Alphabet, Piece, put_base64, put_date, put_f32, put_f64, put_fraction, put_hex, put_i64, put_instant, put_text,
    put_time_of_day, put_trimmed_fraction, put_u64,
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

/// What of a row lost something: the column's index and why.
type Odd = Vec<(u16, Oddity)>;

/// Appends `cell`. `at` is the column's index, for the error and for what is odd.
#[inline]
pub(super) fn put(
    out: &mut Vec<u8>,
    batch: &Batch,
    column: &ColumnPlan,
    at: u16,
    cell: Cell,
    odd: &mut Odd,
) -> Result<(), Misfit> {
    match (&column.form, cell.kind()) {
        (Form::Int | Form::Wrapped, CellKind::Int) => put_i64(out, cell.as_i64()),
        (Form::Text, CellKind::Text | CellKind::Json) => {
            out.push(b'"');
            if put_text(out, batch.bytes(cell)) > 0 {
                odd.push((at, Oddity::MalformedText));
            }
            out.push(b'"');
        }
        (Form::Int, CellKind::UInt) => put_u64(out, cell.bits()),
        // Above 2^63-1 it wraps, as Debezium's does.
        (Form::Wrapped, CellKind::UInt) => {
            put_i64(out, cell.as_i64());
            if cell.as_i64() < 0 {
                odd.push((at, Oddity::UnsignedWrap));
            }
        }
        (Form::DateTime(unit), CellKind::DateTime) => {
            if let Some(why) = put_count(out, *unit, cell.as_i64()) {
                odd.push((at, why));
            }
        }
        (Form::Date, CellKind::Date) => put_i64(out, cell.as_i64()),
        (Form::Zoned(digits), CellKind::Timestamp) => put_zoned(out, cell.as_i64(), *digits),
        (Form::DecimalBase64, CellKind::Decimal) => put_decimal(out, batch, cell),
        (Form::F64, CellKind::F64) => {
            if !put_f64(out, f64::from_bits(cell.bits())) {
                odd.push((at, Oddity::NotFinite));
            }
        }
        _ => return put_rarer(out, batch, column, at, cell, odd),
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
    odd: &mut Odd,
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
            odd.push((at, Oddity::ImpossibleDate));
            put_impossible(out, column)
        }
        (Form::Enum(members), CellKind::Enum) => match members.get(cell.bits() as usize) {
            Some(member) => {
                member.put(out);
                true
            }
            None => return Err(Misfit { column: at, what: "an enum value has no member of its number" }),
        },
        (Form::Unsupported, _) => {
            return Err(Misfit { column: at, what: "the column's type has no form in this format" });
        }
        (Form::Time(unit), CellKind::Time) => {
            odd.extend(put_count(out, *unit, cell.as_i64()).map(|why| (at, why)));
            true
        }
        (form, kind) => {
            odd.extend(loss_of(batch, form, cell).map(|why| (at, why)));
            put_scalar(out, form, kind, cell) || put_made_of_bytes(out, batch, form, kind, cell)
        }
    };
    if written { Ok(()) } else { Err(Misfit { column: at, what: WRONG_KIND }) }
}

/// What the rarer forms lose of a value.
fn loss_of(batch: &Batch, form: &Form, cell: Cell) -> Option<Oddity> {
    const DAY: i64 = 86_400_000_000;
    let (lost, why) = match (form, cell.kind()) {
        (Form::TinyBool, CellKind::Int | CellKind::UInt) => (cell.bits() > 1, Oddity::OutOfRange),
        // What counts is the time of day that is left.
        (Form::TimeIso, CellKind::Time) => (!(0..DAY).contains(&cell.as_i64()), Oddity::OutOfRange),
        (Form::F32, CellKind::F32) => (!f32::from_bits(cell.bits() as u32).is_finite(), Oddity::NotFinite),
        (Form::Point, CellKind::Geometry) => (!geometry::is_finite(batch.bytes(cell)), Oddity::NotFinite),
        (Form::Vector, CellKind::Vector) => {
            let floats = batch.bytes(cell).as_chunks::<4>().0;
            (!floats.iter().all(|float| f32::from_le_bytes(*float).is_finite()), Oddity::NotFinite)
        }
        _ => (false, Oddity::OutOfRange),
    };
    lost.then_some(why)
}

/// Values that stand in the cell itself; false for all others.
fn put_scalar(out: &mut Vec<u8>, form: &Form, kind: CellKind, cell: Cell) -> bool {
    match (form, kind) {
        // The converter looks at the byte as a signed one.
        (Form::TinyBool, CellKind::Int | CellKind::UInt) => put_bool(out, cell.bits() as i8 > 0),
        (Form::Bool, CellKind::Bool | CellKind::Int | CellKind::UInt | CellKind::Bit)
        | (Form::BitBool, CellKind::Bit | CellKind::Bool) => put_bool(out, cell.bits() != 0),
        (Form::UnsignedDecimal, CellKind::UInt) => {
            let mut wide = [0; 9];
            wide[1..].copy_from_slice(&cell.bits().to_be_bytes());
            put_quoted_base64(out, minimal(&wide))
        }
        (Form::UnsignedDecimal, CellKind::Int) => put_quoted_base64(out, minimal(&cell.as_i64().to_be_bytes())),
        (Form::F32, CellKind::F32) => {
            put_f32(out, f32::from_bits(cell.bits() as u32));
            true
        }
        (Form::DateIso, CellKind::Date) => quoted(out, |out| {
            put_date(out, cell.as_i64());
            out.push(b'Z');
        }),
        (Form::TimeIso, CellKind::Time) => put_iso_time(out, cell.as_i64()),
        (Form::DateTimeIso, CellKind::DateTime) => put_iso_instant(out, cell.as_i64()),
        (Form::Year, CellKind::Year | CellKind::Int) => {
            put_i64(out, cell.as_i64());
            true
        }
        (Form::Set(members), CellKind::Set) => put_set(out, members, cell.bits()),
        (Form::Bits(bytes), CellKind::Bit) => {
            let little = cell.bits().to_le_bytes();
            put_quoted_base64(out, little.get(..*bytes as usize).unwrap_or(&little))
        }
        _ => false,
    }
}

/// Values whose bytes are elsewhere; false for all others.
fn put_made_of_bytes(out: &mut Vec<u8>, batch: &Batch, form: &Form, kind: CellKind, cell: Cell) -> bool {
    let bytes = batch.bytes(cell);
    match (form, kind) {
        (Form::DecimalDouble, CellKind::Decimal) => decimal::put_double(out, batch, cell),
        (Form::DecimalString, CellKind::Decimal) => quoted(out, |out| decimal::put_plain(out, batch, cell)),
        (Form::Bytes(handling), CellKind::Bytes | CellKind::Text) => put_bytes(out, bytes, *handling),
        (Form::Uuid, CellKind::Uuid) => put_uuid_text(out, bytes),
        (Form::Inet, CellKind::Inet) => put_inet(out, bytes),
        (Form::Geometry, CellKind::Geometry) => geometry::put(out, bytes),
        (Form::Point, CellKind::Geometry) => geometry::put_point(out, bytes),
        (Form::Vector, CellKind::Vector) => put_vector(out, bytes),
        _ => false,
    }
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

/// Microseconds in the unit asked for; returns what was lost. Finer ones are exact; coarser ones are cut toward the past,
/// as Java's `toEpochMilli` cuts them.
#[inline]
fn put_count(out: &mut Vec<u8>, unit: Unit, micros: i64) -> Option<Oddity> {
    match unit {
        Unit::Millis => {
            put_i64(out, micros.div_euclid(1000));
            return (micros.rem_euclid(1000) != 0).then_some(Oddity::Truncated);
        }
        Unit::Micros => put_i64(out, micros),
        Unit::Nanos => match micros.checked_mul(1000) {
            Some(nanos) => put_i64(out, nanos),
            // Beyond 1677..2262: the nearest that 64 bits can hold (Debezium's wraps around).
            None => {
                put_i64(out, if micros < 0 { i64::MIN } else { i64::MAX });
                return Some(Oddity::OutOfRange);
            }
        },
    }
    None
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

/// A date that no calendar has: null where that is allowed, else the epoch. The zero timestamp is the epoch always: it
/// is no other value to Debezium.
fn put_impossible(out: &mut Vec<u8>, column: &ColumnPlan) -> bool {
    let epoch: &[u8] = match &column.form {
        Form::Zoned(digits) => {
            put_zoned(out, 0, *digits);
            return true;
        }
        _ if column.nullable => b"null",
        Form::Date | Form::DateTime(_) => b"0",
        Form::DateIso => b"\"1970-01-01Z\"",
        Form::DateTimeIso => b"\"1970-01-01T00:00:00Z\"",
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

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8], handling: BinaryHandling) -> bool {
    quoted(out, |out| match handling {
        BinaryHandling::Bytes | BinaryHandling::Base64 => put_base64(out, bytes, Alphabet::Standard),
        BinaryHandling::Base64UrlSafe => put_base64(out, bytes, Alphabet::UrlSafe),
        BinaryHandling::Hex => put_hex(out, bytes),
    })
}

fn put_set(out: &mut Vec<u8>, members: &[Piece], mask: u64) -> bool {
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
