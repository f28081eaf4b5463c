//! One row of the binary protocol as cells equal to those that the log's decoder makes of the same row.
//!
//! Owns: the walk over a row's values. Does not own: packed values and calendars (`values`), character sets
//! (`charset`), JSON (`jsonb`), which columns there are (`copy::known`).
//!
//! Invariant: no allocation per value besides the batch's own growing vectors; every read is bounds-checked.
//! Source: "Binary Protocol Resultset Row" of the MySQL internals manual, which MariaDB follows.

use std::net::{Ipv4Addr, Ipv6Addr};

use limpid_connector::JsonText;
use limpid_model::{Cell, CellKind, OddValues};

use super::keys::hex_value;
use crate::bytes::{Cursor, be, bit};
use crate::charset::Charset;
use crate::jsonb;
use crate::mapping::Wire;
use crate::tablemap::code;
use crate::values;

/// How one column of an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole number of so many bytes.
    Int {
        bytes: u8,
    },
    UInt {
        bytes: u8,
        kind: CellKind,
    },
    F32,
    F64,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    Time {
        digits: u8,
    },
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    Bit,
    /// Bytes that are the cell's as they are.
    Raw(CellKind),
    Text(Charset),
    Uuid,
    Inet {
        len: u8,
    },
    /// JSON as the server prints it, to be printed otherwise.
    JsonDebezium,
}

impl Read {
    /// How a column of this layout is read where the server announces this type; `None` where the two do not fit.
    pub fn of(wire: Wire, announced: u8, json_text: JsonText) -> Option<Self> {
        let bytes = match announced {
            code::TINY => 1,
            code::SHORT | code::YEAR => 2,
            code::INT24 | code::LONG => 4,
            code::LONGLONG => 8,
            _ => 0,
        };
        let uint = |kind| (bytes > 0).then_some(Read::UInt { bytes, kind });
        let only = |codes: &[u8], read: Read| codes.contains(&announced).then_some(read);
        match wire {
            Wire::I8 | Wire::I16 | Wire::I24 | Wire::I32 | Wire::I64 => (bytes > 0).then_some(Read::Int { bytes }),
            Wire::U8 | Wire::U16 | Wire::U24 | Wire::U32 | Wire::U64 => uint(CellKind::UInt),
            Wire::Enum { .. } => uint(CellKind::Enum),
            Wire::Set { .. } => uint(CellKind::Set),
            Wire::Year => only(&[code::YEAR], Read::Year),
            Wire::F32 => only(&[code::FLOAT], Read::F32),
            Wire::F64 => only(&[code::DOUBLE], Read::F64),
            Wire::DecimalSmall { precision, scale, .. } | Wire::DecimalBig { precision, scale, .. } => {
                // Number 0 is what DECIMAL was called before NEWDECIMAL.
                only(&[0, code::NEWDECIMAL], Read::Decimal { precision, scale })
            }
            Wire::Date => only(&[code::DATE, code::NEWDATE], Read::Date),
            Wire::TimeOld => only(&[code::TIME, code::TIME2], Read::Time { digits: 0 }),
            Wire::DateTimeOld => only(&[code::DATETIME, code::DATETIME2], Read::DateTime { digits: 0 }),
            Wire::TimestampOld => only(&[code::TIMESTAMP, code::TIMESTAMP2], Read::Timestamp { digits: 0 }),
            Wire::Time { digits } => only(&[code::TIME, code::TIME2], Read::Time { digits }),
            Wire::DateTime { digits } => only(&[code::DATETIME, code::DATETIME2], Read::DateTime { digits }),
            Wire::Timestamp { digits } => only(&[code::TIMESTAMP, code::TIMESTAMP2], Read::Timestamp { digits }),
            Wire::Bit { .. } => only(&[code::BIT], Read::Bit),
            Wire::Text { charset: Charset::Utf8, .. } | Wire::CompressedText { charset: Charset::Utf8, .. } => {
                bytes_only(announced, Read::Raw(CellKind::Text))
            }
            Wire::Text { charset, .. } | Wire::CompressedText { charset, .. } => {
                bytes_only(announced, Read::Text(charset))
            }
            Wire::Bytes { .. } | Wire::FixedBytes { .. } | Wire::CompressedBytes { .. } => {
                bytes_only(announced, Read::Raw(CellKind::Bytes))
            }
            Wire::Uuid { .. } => bytes_only(announced, Read::Uuid),
            Wire::Inet { len, .. } => bytes_only(announced, Read::Inet { len }),
            Wire::Json { .. } => match json_text {
                JsonText::Server => bytes_only(announced, Read::Raw(CellKind::Json)),
                JsonText::Debezium => bytes_only(announced, Read::JsonDebezium),
            },
            Wire::Geometry { .. } => bytes_only(announced, Read::Raw(CellKind::Geometry)),
            Wire::Vector { .. } => bytes_only(announced, Read::Raw(CellKind::Vector)),
        }
    }
}

/// Types whose values are bytes behind a length.
fn bytes_only(announced: u8, read: Read) -> Option<Read> {
    let fits = matches!(
        announced,
        code::VARCHAR
            | code::VAR_STRING
            | code::STRING
            | code::TINY_BLOB
            | code::BLOB
            | code::MEDIUM_BLOB
            | code::LONG_BLOB
            | code::GEOMETRY
            | code::JSON
            | code::VECTOR
            | code::BLOB_COMPRESSED
            | code::VARCHAR_COMPRESSED
    );
    fits.then_some(read)
}

/// Why a row could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowError {
    /// The packet is not what its columns say.
    Garbled,
    /// The value of this column has no meaning.
    Value { column: usize },
}

/// Where cells and made bytes go.
#[derive(Default)]
pub struct Out {
    pub cells: Vec<Cell>,
    pub arena: Vec<u8>,
    /// Of a batch's one table.
    pub odd: OddValues,
}

/// Reads one row's packet; `base` is where it begins in its block, which is number 0 of its batch.
#[inline]
pub fn row(packet: &[u8], base: u32, reads: &[Read], out: &mut Out) -> Result<(), RowError> {
    let nulls = nulls(packet, reads.len()).ok_or(RowError::Garbled)?;
    let mut cur = Cursor::new(packet);
    cur.take(1 + nulls.len()).ok_or(RowError::Garbled)?;
    for (index, read) in reads.iter().enumerate() {
        // The first two bits belong to nobody.
        if bit(nulls, index + 2) {
            out.cells.push(Cell::NULL);
            continue;
        }
        let cell = match *read {
            Read::Int { bytes: 4 } => Cell::int(CellKind::Int, i64::from(cur.u32().ok_or(RowError::Garbled)? as i32)),
            Read::Int { bytes: 8 } => Cell::int(CellKind::Int, cur.u64().ok_or(RowError::Garbled)? as i64),
            Read::Raw(kind) => {
                let (at, bytes) = lengthy(&mut cur).ok_or(RowError::Garbled)?;
                Cell::raw(kind, 0, base + at, bytes.len() as u32)
            }
            other => value(&mut cur, other, base, (index, &mut *out)).map_err(|wrong| match wrong {
                Wrong::Garbled => RowError::Garbled,
                Wrong::Value => RowError::Value { column: index },
            })?,
        };
        out.cells.push(cell);
    }
    if cur.remaining() == 0 { Ok(()) } else { Err(RowError::Garbled) }
}

fn nulls(packet: &[u8], columns: usize) -> Option<&[u8]> {
    packet.get(1..1 + (columns + 9) / 8)
}

enum Wrong {
    Garbled,
    Value,
}

/// Bytes behind their length, and where they begin in the packet.
#[inline]
fn lengthy<'a>(cur: &mut Cursor<'a>) -> Option<(u32, &'a [u8])> {
    let len = usize::try_from(cur.lenenc()?).ok()?;
    let at = cur.pos() as u32;
    Some((at, cur.take(len)?))
}

fn value(cur: &mut Cursor<'_>, read: Read, base: u32, (column, out): (usize, &mut Out)) -> Result<Cell, Wrong> {
    let garbled = || Wrong::Garbled;
    Ok(match read {
        Read::Int { bytes } => {
            let shift = 64 - 8 * u32::from(bytes);
            let value = cur.uint(bytes as usize).ok_or_else(garbled)?;
            Cell::int(CellKind::Int, ((value << shift) as i64) >> shift)
        }
        Read::UInt { bytes, kind } => Cell::inline(kind, cur.uint(bytes as usize).ok_or_else(garbled)?),
        Read::F32 => Cell::inline(CellKind::F32, u64::from(cur.u32().ok_or_else(garbled)?)),
        Read::F64 => Cell::inline(CellKind::F64, cur.u64().ok_or_else(garbled)?),
        Read::Year => Cell::int(CellKind::Year, i64::from(cur.u16().ok_or_else(garbled)?)),
        Read::Decimal { precision, scale } => {
            let (_, text) = lengthy(cur).ok_or_else(garbled)?;
            values::decimal_text(text, precision, scale, &mut out.arena).ok_or_else(garbled)?
        }
        Read::Date => {
            let at = Moment::read(cur).ok_or_else(garbled)?;
            values::date(at.year << 9 | at.month << 5 | at.day)
        }
        Read::DateTime { digits } => Moment::read(cur).ok_or_else(garbled)?.cell(digits),
        Read::Timestamp { digits } => {
            let cell = Moment::read(cur).ok_or_else(garbled)?.cell(digits);
            let micros = if cell.kind() == CellKind::DateTime { cell.as_i64() } else { 0 };
            values::timestamp(micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000), digits)
        }
        Read::Time { digits } => {
            let micros = time(cur).ok_or_else(garbled)?;
            Cell::scaled(CellKind::Time, micros, u16::from(digits))
        }
        Read::Bit => {
            let (_, bytes) = lengthy(cur).filter(|(_, bytes)| bytes.len() <= 8).ok_or_else(garbled)?;
            Cell::inline(CellKind::Bit, be(bytes))
        }
        Read::Raw(kind) => {
            let (at, bytes) = lengthy(cur).ok_or_else(garbled)?;
            Cell::raw(kind, 0, base + at, bytes.len() as u32)
        }
        Read::Text(charset) => text(cur, charset, base, (column, out)).ok_or_else(garbled)?,
        Read::Uuid => {
            let (_, text) = lengthy(cur).ok_or_else(garbled)?;
            made(out, CellKind::Uuid, |arena| uuid(text, arena))?
        }
        Read::Inet { len } => {
            let (_, text) = lengthy(cur).ok_or_else(garbled)?;
            made(out, CellKind::Inet, |arena| inet(text, len, arena))?
        }
        Read::JsonDebezium => {
            let (_, text) = lengthy(cur).ok_or_else(garbled)?;
            made(out, CellKind::Json, |arena| jsonb::debezium_of_server(text, arena))?
        }
    })
}

/// Text of a set other than UTF-8: as it is where it is ASCII, converted where it is not.
fn text(cur: &mut Cursor<'_>, charset: Charset, base: u32, (column, out): (usize, &mut Out)) -> Option<Cell> {
    let (at, bytes) = lengthy(cur)?;
    if charset.is_ascii_compatible() && bytes.is_ascii() {
        return Some(Cell::raw(CellKind::Text, 0, base + at, bytes.len() as u32));
    }
    let start = out.arena.len();
    charset.to_utf8(bytes, &mut out.arena).count(&mut out.odd, 0, column);
    Some(Cell::arena(CellKind::Text, start as u64, (out.arena.len() - start) as u32, 0))
}

fn made(out: &mut Out, kind: CellKind, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Result<Cell, Wrong> {
    let start = out.arena.len();
    write(&mut out.arena).ok_or(Wrong::Value)?;
    Ok(Cell::arena(kind, start as u64, (out.arena.len() - start) as u32, 0))
}

/// The fields of a date with a time; what the server leaves out is zero.
struct Moment {
    year: u32,
    month: u32,
    day: u32,
    second_of_day: i64,
    micros: i64,
}

impl Moment {
    #[inline]
    fn read(cur: &mut Cursor<'_>) -> Option<Self> {
        let len = cur.u8()? as usize;
        let mut part = Cursor::new(cur.take(len)?);
        let mut at = Self { year: 0, month: 0, day: 0, second_of_day: 0, micros: 0 };
        if len >= 4 {
            at.year = u32::from(part.u16()?);
            (at.month, at.day) = (u32::from(part.u8()?), u32::from(part.u8()?));
        }
        if len >= 7 {
            let [hour, minute, second] = part.array()?.map(i64::from);
            at.second_of_day = hour * 3600 + minute * 60 + second;
        }
        if len >= 11 {
            at.micros = i64::from(part.u32()?);
        }
        matches!(len, 0 | 4 | 7 | 11).then_some(at)
    }

    #[inline]
    fn cell(&self, digits: u8) -> Cell {
        values::datetime(self.year, self.month, self.day, self.second_of_day, self.micros, digits)
    }
}

/// A TIME in microseconds.
fn time(cur: &mut Cursor<'_>) -> Option<i64> {
    let len = cur.u8()? as usize;
    let mut part = Cursor::new(cur.take(len)?);
    if len == 0 {
        return Some(0);
    }
    let negative = part.u8()? != 0;
    let days = i64::from(part.u32()?);
    let [hour, minute, second] = part.array()?.map(i64::from);
    let micros = if len >= 12 { i64::from(part.u32()?) } else { 0 };
    let magnitude = (days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + micros;
    matches!(len, 8 | 12).then_some(if negative { -magnitude } else { magnitude })
}

fn uuid(text: &[u8], arena: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(digit);
    for _ in 0..16 {
        arena.push(digits.next()?? << 4 | digits.next()??);
    }
    digits.next().is_none().then_some(())
}

fn inet(text: &[u8], len: u8, arena: &mut Vec<u8>) -> Option<()> {
    let text = std::str::from_utf8(text).ok()?;
    match len {
        4 => arena.extend_from_slice(&text.parse::<Ipv4Addr>().ok()?.octets()),
        _ => arena.extend_from_slice(&text.parse::<Ipv6Addr>().ok()?.octets()),
    }
    Some(())
}

/// The texts of a key's values (`copy::keys`) out of a row's packet. Done once a chunk.
pub fn key_values(packet: &[u8], reads: &[Read], key: impl Iterator<Item = usize>) -> Option<Vec<String>> {
    let nulls = nulls(packet, reads.len())?;
    let mut cur = Cursor::new(packet);
    cur.take(1 + nulls.len())?;
    let mut texts = Vec::with_capacity(reads.len());
    for (index, read) in reads.iter().enumerate() {
        texts.push(if bit(nulls, index + 2) { None } else { Some(key_value(&mut cur, *read)?) });
    }
    key.map(|index| texts.get(index).cloned().flatten()).collect()
}

fn key_value(cur: &mut Cursor<'_>, read: Read) -> Option<String> {
    Some(match read {
        Read::Int { bytes } => {
            let shift = 64 - 8 * u32::from(bytes);
            format!("i{}", ((cur.uint(bytes as usize)? << shift) as i64) >> shift)
        }
        Read::UInt { bytes, .. } => format!("i{}", cur.uint(bytes as usize)?),
        Read::Year => format!("i{}", cur.u16()?),
        Read::Bit => format!("i{}", be(lengthy(cur)?.1)),
        // Each FLOAT is a DOUBLE.
        Read::F32 => format!("f{:e}", f64::from(f32::from_bits(cur.u32()?))),
        Read::F64 => format!("f{:e}", f64::from_bits(cur.u64()?)),
        Read::Decimal { .. } => format!("d{}", std::str::from_utf8(lengthy(cur)?.1).ok()?),
        Read::Date => {
            let at = Moment::read(cur)?;
            format!("t{:04}-{:02}-{:02}", at.year, at.month, at.day)
        }
        Read::DateTime { .. } | Read::Timestamp { .. } => {
            let at = Moment::read(cur)?;
            let clock = clock(at.second_of_day * 1_000_000 + at.micros);
            format!("t{:04}-{:02}-{:02} {clock}", at.year, at.month, at.day)
        }
        Read::Time { .. } => format!("t{}", clock(time(cur)?)),
        Read::Uuid | Read::Inet { .. } => format!("n{}", std::str::from_utf8(lengthy(cur)?.1).ok()?),
        Read::Raw(_) | Read::Text(_) | Read::JsonDebezium => hex_value(lengthy(cur)?.1),
    })
}

fn clock(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, fraction) = (micros.abs() / 1_000_000, micros.abs() % 1_000_000);
    format!("{sign}{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
