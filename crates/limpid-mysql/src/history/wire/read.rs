//! Reads a history's bytes.
//!
//! Owns: the order of fields, mirroring `write`. Does not own: magic, version, checksum (`wire`).
//!
//! Invariant: every read is checked, and a list is grown item by item, so that a length that lies costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_model::TableName;

use crate::ddl::{Flavor, Generated, GeometryKind, KeyKind, NativeType, Period, TextSize, VersioningRole};
use crate::history::{
    Charsets, ColumnDefinition, History, KeyDefinition, KeyPart, SystemVersioning, TableDefinition, TextCharset,
};

struct In<'a> {
    bytes: &'a [u8],
}

pub(super) fn history(bytes: &[u8]) -> Option<History> {
    let mut input = In { bytes };
    let flavor = match input.byte()? {
        0 => Flavor::MySql,
        1 => Flavor::MariaDb,
        _ => return None,
    };
    let server_version = input.u32()?;
    let mut charsets = Charsets::default();
    for _ in 0..input.number()? {
        let (name, collation, bytes_max) = (input.text()?, input.text()?, input.byte()?);
        charsets.insert(&name, &collation, bytes_max);
    }
    let mut history = History::new(flavor, server_version, charsets, input.charset()?);
    for _ in 0..input.number()? {
        let (name, charset) = (input.text()?, input.charset()?);
        history.databases.insert(name, charset);
    }
    history.last_version = input.u32()?;
    let mut tables = BTreeMap::new();
    for _ in 0..input.number()? {
        let (schema, table) = (input.text()?, input.text()?);
        tables.insert(TableName::new(&schema, &table), Arc::new(input.table()?));
    }
    history.tables = tables;
    input.bytes.is_empty().then_some(history)
}

impl In<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// A byte whose bits are flags below `limit`.
    fn flags(&mut self, limit: u8) -> Option<u8> {
        self.byte().filter(|flags| *flags < limit)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        for _ in 0..self.number()? {
            items.push(read(self)?);
        }
        Some(items)
    }

    fn charset(&mut self) -> Option<TextCharset> {
        Some(TextCharset { charset: self.text()?, collation: self.text()? })
    }

    fn table(&mut self) -> Option<TableDefinition> {
        let version = self.u32()?;
        let charset = self.charset()?;
        let engine = self.text()?;
        let flags = self.flags(16)?;
        let versioning = match flags >> 2 {
            0 => None,
            1 => Some(SystemVersioning::Implicit),
            2 => Some(SystemVersioning::Explicit),
            _ => return None,
        };
        Some(TableDefinition {
            version,
            columns: self.list(Self::column)?,
            keys: self.list(Self::key)?,
            charset,
            engine,
            is_sequence: flags & 1 != 0,
            versioning,
            periods: self
                .list(|input| Some(Period { name: input.text()?, columns: [input.text()?, input.text()?] }))?,
            certain: flags & 2 != 0,
        })
    }

    fn column(&mut self) -> Option<ColumnDefinition> {
        let name = self.text()?;
        let flags = self.flags(128)?;
        let generated = match flags >> 3 & 3 {
            0 => None,
            1 => Some(Generated::Virtual),
            2 => Some(Generated::Stored),
            _ => return None,
        };
        let versioning = match self.byte()? {
            0 => None,
            1 => Some(VersioningRole::RowStart),
            2 => Some(VersioningRole::RowEnd),
            3 => Some(VersioningRole::Versioned),
            4 => Some(VersioningRole::Unversioned),
            _ => return None,
        };
        let charset = if flags & 32 != 0 { Some(self.charset()?) } else { None };
        let hidden_for = if flags & 64 != 0 { Some(self.text()?) } else { None };
        Some(ColumnDefinition {
            name,
            native: self.native()?,
            charset,
            nullable: flags & 1 != 0,
            generated,
            invisible: flags & 2 != 0,
            auto_increment: flags & 4 != 0,
            versioning,
            hidden_for,
        })
    }

    fn key(&mut self) -> Option<KeyDefinition> {
        let name = self.text()?;
        let flags = self.flags(32)?;
        let kind = match flags & 7 {
            0 => KeyKind::Primary,
            1 => KeyKind::Unique,
            2 => KeyKind::Plain,
            3 => KeyKind::Fulltext,
            4 => KeyKind::Spatial,
            5 => KeyKind::Foreign,
            _ => return None,
        };
        let parts = self.list(|input| {
            Some(match input.byte()? {
                0 => KeyPart::Expression,
                1 => KeyPart::Column { name: input.text()?, prefix: None },
                2 => KeyPart::Column { name: input.text()?, prefix: Some(input.u32()?) },
                _ => return None,
            })
        })?;
        Some(KeyDefinition { name, kind, parts, hashed: flags & 8 != 0, generated: flags & 16 != 0 })
    }

    fn native(&mut self) -> Option<NativeType> {
        Some(match self.byte()? {
            1 => self.int()?,
            tag @ 2..=4 => self.floating(tag)?,
            5 => NativeType::Bit { width: self.byte()? },
            6 => NativeType::Char { length: self.u32()? },
            tag @ (7 | 8) => NativeType::Varchar { length: self.u32()?, compressed: tag == 8 },
            9 => NativeType::Text { size: self.text_size()?, compressed: self.flags(2)? == 1 },
            10 => NativeType::Binary { length: self.u32()? },
            tag @ (11 | 12) => NativeType::Varbinary { length: self.u32()?, compressed: tag == 12 },
            13 => NativeType::Blob { size: self.text_size()?, compressed: self.flags(2)? == 1 },
            14 => NativeType::Date,
            15 => NativeType::Time { fsp: self.byte()? },
            16 => NativeType::DateTime { fsp: self.byte()? },
            17 => NativeType::Timestamp { fsp: self.byte()? },
            18 => NativeType::Year,
            19 => NativeType::Enum { members: self.list(Self::text)? },
            20 => NativeType::Set { members: self.list(Self::text)? },
            21 => NativeType::Json,
            22 => self.geometry()?,
            23 => NativeType::Uuid,
            24 => NativeType::Inet4,
            25 => NativeType::Inet6,
            26 => NativeType::Vector { dimensions: self.u32()? },
            27 => NativeType::Unknown { name: self.text()? },
            _ => return None,
        })
    }

    fn int(&mut self) -> Option<NativeType> {
        let bits = self.byte().filter(|bits| matches!(bits, 8 | 16 | 24 | 32 | 64))?;
        let flags = self.flags(8)?;
        let width = self.byte()?;
        let zerofill = (flags & 4 != 0).then_some(width);
        Some(NativeType::Int { bits, unsigned: flags & 1 != 0, zerofill, tinyint1: flags & 2 != 0 })
    }

    fn floating(&mut self, tag: u8) -> Option<NativeType> {
        let flags = self.flags(8)?;
        let (m, d) = (self.byte()?, self.byte()?);
        let (unsigned, zerofill) = (flags & 1 != 0, flags & 2 != 0);
        let digits = (flags & 4 != 0).then_some((m, d));
        Some(match tag {
            2 => NativeType::Float { digits, unsigned, zerofill },
            3 => NativeType::Double { digits, unsigned, zerofill },
            _ => NativeType::Decimal { precision: m, scale: d, unsigned, zerofill },
        })
    }

    fn text_size(&mut self) -> Option<TextSize> {
        Some(match self.byte()? {
            1 => TextSize::Tiny,
            2 => TextSize::Plain,
            3 => TextSize::Medium,
            4 => TextSize::Long,
            _ => return None,
        })
    }

    fn geometry(&mut self) -> Option<NativeType> {
        let kind = match self.byte()? {
            0 => GeometryKind::Geometry,
            1 => GeometryKind::Point,
            2 => GeometryKind::LineString,
            3 => GeometryKind::Polygon,
            4 => GeometryKind::MultiPoint,
            5 => GeometryKind::MultiLineString,
            6 => GeometryKind::MultiPolygon,
            7 => GeometryKind::Collection,
            _ => return None,
        };
        let known = self.flags(2)? == 1;
        let srid = self.u32()?;
        Some(NativeType::Geometry { kind, srid: known.then_some(srid) })
    }
}
