//! TABLE_MAP events: what the log itself says of a table's columns.
//!
//! Owns: parsing the event's body, the optional metadata included. Does not own: what the columns become (`mapping`)
//! or what the log leaves out (`history`).
//!
//! Invariant: any bytes give a table map or `None`, never a panic and never an allocation beyond the input's size.
//! Source: MySQL's `Table_map_log_event` (libbinlogevents, `rows_event.h`) and MariaDB's `log_event.h`, whose
//! optional metadata has the same form.

use std::sync::Arc;

use crate::bytes::{Cursor, bit};
use crate::position::Flavor;

/// Wire type codes, as both servers number them.
pub mod code {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const BLOB_COMPRESSED: u8 = 140;
    pub const VARCHAR_COMPRESSED: u8 = 141;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const MEDIUM_BLOB: u8 = 250;
    pub const LONG_BLOB: u8 = 251;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// One column as the log describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapColumn {
    /// The real type: ENUM and SET are told from STRING.
    pub code: u8,
    /// Type-specific: length in bytes, precision and scale, fraction digits, bits.
    pub meta: u16,
    pub nullable: bool,
    /// From the optional metadata; `None` where the log does not say.
    pub name: Option<Arc<str>>,
    pub unsigned: Option<bool>,
    /// Collation number.
    pub collation: Option<u16>,
    /// Texts of ENUM and SET members, in the column's character set.
    pub members: Option<Vec<Vec<u8>>>,
    pub geometry: Option<u8>,
    pub dimensions: Option<u32>,
    pub visible: Option<bool>,
}

/// A parsed TABLE_MAP event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMap {
    pub table_id: u64,
    pub schema: Arc<str>,
    pub table: Arc<str>,
    pub columns: Vec<MapColumn>,
    /// Column indexes of the primary key, where the log says so; prefix keys included.
    pub primary_key: Option<Vec<u16>>,
}

/// The table id at the start of TABLE_MAP and rows events.
#[inline]
pub fn table_id(body: &[u8]) -> Option<u64> {
    Cursor::new(body).u48()
}

/// The schema and table a TABLE_MAP names, without parsing the rest.
pub fn names(body: &[u8]) -> Option<(&str, &str)> {
    let mut cur = Cursor::new(body);
    cur.take(8)?;
    Some((name(&mut cur)?, name(&mut cur)?))
}

fn name<'a>(cur: &mut Cursor<'a>) -> Option<&'a str> {
    let len = cur.u8()? as usize;
    let text = std::str::from_utf8(cur.take(len)?).ok()?;
    (cur.u8()? == 0).then_some(text)
}

impl TableMap {
    /// Parses the body of a TABLE_MAP event (checksum cut off).
    pub fn parse(body: &[u8], flavor: Flavor) -> Option<Self> {
        let mut cur = Cursor::new(body);
        let table_id = cur.u48()?;
        cur.u16()?;
        let schema = name(&mut cur)?.into();
        let table = name(&mut cur)?.into();
        let count = usize::try_from(cur.lenenc()?).ok()?;
        let codes = cur.take(count)?;
        let mut meta = Cursor::new(cur.lenenc_bytes()?);
        let nulls = cur.take(count.div_ceil(8))?;
        let mut columns = Vec::with_capacity(count);
        for (index, code) in codes.iter().enumerate() {
            let (code, meta) = column_meta(*code, &mut meta)?;
            columns.push(MapColumn {
                code,
                meta,
                nullable: bit(nulls, index),
                name: None,
                unsigned: None,
                collation: None,
                members: None,
                geometry: None,
                dimensions: None,
                visible: None,
            });
        }
        let mut map = Self { table_id, schema, table, columns, primary_key: None };
        while cur.remaining() > 0 {
            let kind = cur.u8()?;
            let value = cur.lenenc_bytes()?;
            map.optional(kind, value, flavor)?;
        }
        Some(map)
    }

    fn optional(&mut self, kind: u8, value: &[u8], flavor: Flavor) -> Option<()> {
        let is_text = is_text(flavor);
        let mut cur = Cursor::new(value);
        match kind {
            1 => self.signedness(value, flavor),
            2 => self.default_charset(&mut cur, is_text)?,
            3 => self.column_charset(&mut cur, is_text)?,
            4 => {
                for column in &mut self.columns {
                    column.name = Some(std::str::from_utf8(cur.lenenc_bytes()?).ok()?.into());
                }
            }
            5 => self.members(&mut cur, code::SET)?,
            6 => self.members(&mut cur, code::ENUM)?,
            7 => {
                for column in self.columns.iter_mut().filter(|column| column.code == code::GEOMETRY) {
                    column.geometry = Some(cur.lenenc()? as u8);
                }
            }
            8 => {
                let mut key = Vec::new();
                while cur.remaining() > 0 {
                    key.push(self.index(cur.lenenc()?)?);
                }
                self.primary_key = Some(key);
            }
            9 => {
                let mut key = Vec::new();
                while cur.remaining() > 0 {
                    key.push(self.index(cur.lenenc()?)?);
                    cur.lenenc()?;
                }
                self.primary_key = Some(key);
            }
            10 => self.default_charset(&mut cur, is_member)?,
            11 => self.column_charset(&mut cur, is_member)?,
            12 => {
                for (index, column) in self.columns.iter_mut().enumerate() {
                    column.visible = Some(msb_bit(value, index));
                }
            }
            13 => {
                for column in self.columns.iter_mut().filter(|column| column.code == code::VECTOR) {
                    column.dimensions = Some(cur.lenenc()? as u32);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn index(&self, index: u64) -> Option<u16> {
        (index < self.columns.len() as u64).then_some(index as u16)
    }

    /// One bit for each number; MariaDB takes years for numbers here.
    fn signedness(&mut self, bits: &[u8], flavor: Flavor) {
        let has_bit = |code: u8| is_numeric(code) || flavor == Flavor::MariaDb && code == code::YEAR;
        for (nth, column) in self.columns.iter_mut().filter(|column| has_bit(column.code)).enumerate() {
            column.unsigned = Some(msb_bit(bits, nth));
        }
    }

    fn default_charset(&mut self, cur: &mut Cursor<'_>, of: fn(u8) -> bool) -> Option<()> {
        let default = cur.lenenc()? as u16;
        let mut chosen: Vec<_> = self.columns.iter_mut().filter(|column| of(column.code)).collect();
        chosen.iter_mut().for_each(|column| column.collation = Some(default));
        while cur.remaining() > 0 {
            let nth = usize::try_from(cur.lenenc()?).ok()?;
            chosen.get_mut(nth)?.collation = Some(cur.lenenc()? as u16);
        }
        Some(())
    }

    fn column_charset(&mut self, cur: &mut Cursor<'_>, of: fn(u8) -> bool) -> Option<()> {
        for column in self.columns.iter_mut().filter(|column| of(column.code)) {
            column.collation = Some(cur.lenenc()? as u16);
        }
        Some(())
    }

    fn members(&mut self, cur: &mut Cursor<'_>, of: u8) -> Option<()> {
        for column in self.columns.iter_mut().filter(|column| column.code == of) {
            let count = cur.lenenc()?;
            let mut members = Vec::new();
            for _ in 0..count {
                members.push(cur.lenenc_bytes()?.to_vec());
            }
            column.members = Some(members);
        }
        Some(())
    }
}

/// Bit `index` where the most significant bit comes first.
fn msb_bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

fn is_numeric(code: u8) -> bool {
    matches!(
        code,
        code::TINY
            | code::SHORT
            | code::INT24
            | code::LONG
            | code::LONGLONG
            | code::NEWDECIMAL
            | code::FLOAT
            | code::DOUBLE
    )
}

/// Which columns the lists of collations go through. MariaDB takes geometries for text there.
fn is_text(flavor: Flavor) -> fn(u8) -> bool {
    match flavor {
        Flavor::MySql => is_string,
        Flavor::MariaDb => |code| is_string(code) || code == code::GEOMETRY,
    }
}

fn is_string(code: u8) -> bool {
    matches!(
        code,
        code::STRING
            | code::VAR_STRING
            | code::VARCHAR
            | code::TINY_BLOB
            | code::BLOB
            | code::MEDIUM_BLOB
            | code::LONG_BLOB
            | code::BLOB_COMPRESSED
            | code::VARCHAR_COMPRESSED
    )
}

fn is_member(code: u8) -> bool {
    matches!(code, code::ENUM | code::SET)
}

/// The real type and the metadata of one column.
fn column_meta(code: u8, meta: &mut Cursor<'_>) -> Option<(u8, u16)> {
    Some(match code {
        code::FLOAT
        | code::DOUBLE
        | code::BLOB
        | code::TINY_BLOB
        | code::MEDIUM_BLOB
        | code::LONG_BLOB
        | code::BLOB_COMPRESSED
        | code::JSON
        | code::GEOMETRY
        | code::VECTOR
        | code::TIME2
        | code::DATETIME2
        | code::TIMESTAMP2 => (code, meta.u8()? as u16),
        code::VARCHAR | code::VAR_STRING | code::VARCHAR_COMPRESSED | code::BIT => (code, meta.u16()?),
        code::NEWDECIMAL => {
            let [precision, scale] = meta.array()?;
            (code, u16::from_be_bytes([precision, scale]))
        }
        code::STRING | code::ENUM | code::SET => {
            let [first, second] = meta.array()?;
            // CHAR longer than 255 bytes keeps two bits of its length, inverted, in the type byte.
            if first & 0x30 == 0x30 {
                (first, second as u16)
            } else {
                (first | 0x30, second as u16 | (((first & 0x30) ^ 0x30) as u16) << 4)
            }
        }
        _ => (code, 0),
    })
}
