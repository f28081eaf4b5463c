//! Writes a history's bytes.
//!
//! Owns: the order of fields, which `read` mirrors. Does not own: magic, version, checksum (`wire`).
//!
//! Invariant: a change here raises `wire::VERSION`, unless it adds a tag.

use crate::ddl::{Flavor, Generated, GeometryKind, KeyKind, NativeType, Period, TextSize, VersioningRole};
use crate::history::{
    ColumnDefinition, History, KeyDefinition, KeyPart, SystemVersioning, TableDefinition, TextCharset,
};

type Out = Vec<u8>;

pub(super) fn history(out: &mut Out, history: &History) {
    out.push(match history.flavor {
        Flavor::MySql => 0,
        Flavor::MariaDb => 1,
    });
    number(out, u64::from(history.server_version));
    number(out, history.charsets.sets.len() as u64);
    for (name, (collation, bytes_max)) in &history.charsets.sets {
        text(out, name);
        text(out, collation);
        out.push(*bytes_max);
    }
    charset(out, &history.server_charset);
    number(out, history.databases.len() as u64);
    for (name, default) in &history.databases {
        text(out, name);
        charset(out, default);
    }
    number(out, u64::from(history.last_version));
    number(out, history.tables.len() as u64);
    for (name, definition) in &history.tables {
        text(out, &name.schema);
        text(out, &name.table);
        table(out, definition);
    }
}

/// Whatever decides how a row of the table is read and which row it is.
pub(super) fn shape(out: &mut Out, table: &TableDefinition) {
    out.push(table.versioning.map_or(0, |versioning| versioning as u8 + 1));
    list(out, &table.columns, column);
    table.row_key().iter().for_each(|index| number(out, *index as u64));
}

fn table(out: &mut Out, table: &TableDefinition) {
    number(out, u64::from(table.version));
    charset(out, &table.charset);
    text(out, &table.engine);
    let versioning = match table.versioning {
        None => 0,
        Some(SystemVersioning::Implicit) => 1,
        Some(SystemVersioning::Explicit) => 2,
    };
    out.push(u8::from(table.is_sequence) | u8::from(table.certain) << 1 | versioning << 2);
    list(out, &table.columns, column);
    list(out, &table.keys, key);
    list(out, &table.periods, period);
}

fn period(out: &mut Out, period: &Period) {
    text(out, &period.name);
    period.columns.iter().for_each(|column| text(out, column));
}

fn column(out: &mut Out, column: &ColumnDefinition) {
    text(out, &column.name);
    let generated = match column.generated {
        None => 0,
        Some(Generated::Virtual) => 1,
        Some(Generated::Stored) => 2,
    };
    let flags = u8::from(column.nullable) | u8::from(column.invisible) << 1 | u8::from(column.auto_increment) << 2;
    out.push(
        flags | generated << 3 | u8::from(column.charset.is_some()) << 5 | u8::from(column.hidden_for.is_some()) << 6,
    );
    out.push(match column.versioning {
        None => 0,
        Some(VersioningRole::RowStart) => 1,
        Some(VersioningRole::RowEnd) => 2,
        Some(VersioningRole::Versioned) => 3,
        Some(VersioningRole::Unversioned) => 4,
    });
    if let Some(found) = &column.charset {
        charset(out, found);
    }
    if let Some(key) = &column.hidden_for {
        text(out, key);
    }
    native(out, &column.native);
}

fn key(out: &mut Out, key: &KeyDefinition) {
    text(out, &key.name);
    let kind = match key.kind {
        KeyKind::Primary => 0,
        KeyKind::Unique => 1,
        KeyKind::Plain => 2,
        KeyKind::Fulltext => 3,
        KeyKind::Spatial => 4,
        KeyKind::Foreign => 5,
    };
    out.push(kind | u8::from(key.hashed) << 3 | u8::from(key.generated) << 4);
    list(out, &key.parts, |out, part| match part {
        KeyPart::Expression => out.push(0),
        KeyPart::Column { name, prefix: None } => {
            out.push(1);
            text(out, name);
        }
        KeyPart::Column { name, prefix: Some(prefix) } => {
            out.push(2);
            text(out, name);
            number(out, u64::from(*prefix));
        }
    });
}

/// Tags are for ever: a type that goes leaves its number unused.
fn native(out: &mut Out, native: &NativeType) {
    match native {
        NativeType::Int { bits, unsigned, zerofill, tinyint1 } => {
            out.extend([1, *bits, u8::from(*unsigned) | u8::from(*tinyint1) << 1 | u8::from(zerofill.is_some()) << 2]);
            out.push(zerofill.unwrap_or(0));
        }
        NativeType::Float { digits, unsigned, zerofill } => floating(out, 2, *digits, *unsigned, *zerofill),
        NativeType::Double { digits, unsigned, zerofill } => floating(out, 3, *digits, *unsigned, *zerofill),
        NativeType::Decimal { precision, scale, unsigned, zerofill } => {
            floating(out, 4, Some((*precision, *scale)), *unsigned, *zerofill);
        }
        NativeType::Bit { width } => out.extend([5, *width]),
        NativeType::Char { length } => sized(out, 6, *length),
        NativeType::Varchar { length, compressed } => sized(out, if *compressed { 8 } else { 7 }, *length),
        NativeType::Text { size, compressed } => out.extend([9, text_size(*size), u8::from(*compressed)]),
        NativeType::Binary { length } => sized(out, 10, *length),
        NativeType::Varbinary { length, compressed } => sized(out, if *compressed { 12 } else { 11 }, *length),
        NativeType::Blob { size, compressed } => out.extend([13, text_size(*size), u8::from(*compressed)]),
        NativeType::Date => out.push(14),
        NativeType::Time { fsp } => out.extend([15, *fsp]),
        NativeType::DateTime { fsp } => out.extend([16, *fsp]),
        NativeType::Timestamp { fsp } => out.extend([17, *fsp]),
        NativeType::Year => out.push(18),
        NativeType::Enum { members } => {
            out.push(19);
            list(out, members, |out, member| text(out, member));
        }
        NativeType::Set { members } => {
            out.push(20);
            list(out, members, |out, member| text(out, member));
        }
        NativeType::Json => out.push(21),
        NativeType::Geometry { kind, srid } => {
            out.extend([22, geometry(*kind), u8::from(srid.is_some())]);
            number(out, u64::from(srid.unwrap_or(0)));
        }
        NativeType::Uuid => out.push(23),
        NativeType::Inet4 => out.push(24),
        NativeType::Inet6 => out.push(25),
        NativeType::Vector { dimensions } => sized(out, 26, *dimensions),
        NativeType::Unknown { name } => {
            out.push(27);
            text(out, name);
        }
    }
}

fn floating(out: &mut Out, tag: u8, digits: Option<(u8, u8)>, unsigned: bool, zerofill: bool) {
    let (m, d) = digits.unwrap_or_default();
    out.extend([tag, u8::from(unsigned) | u8::from(zerofill) << 1 | u8::from(digits.is_some()) << 2, m, d]);
}

fn text_size(size: TextSize) -> u8 {
    match size {
        TextSize::Tiny => 1,
        TextSize::Plain => 2,
        TextSize::Medium => 3,
        TextSize::Long => 4,
    }
}

fn geometry(kind: GeometryKind) -> u8 {
    match kind {
        GeometryKind::Geometry => 0,
        GeometryKind::Point => 1,
        GeometryKind::LineString => 2,
        GeometryKind::Polygon => 3,
        GeometryKind::MultiPoint => 4,
        GeometryKind::MultiLineString => 5,
        GeometryKind::MultiPolygon => 6,
        GeometryKind::Collection => 7,
    }
}

fn sized(out: &mut Out, tag: u8, length: u32) {
    out.push(tag);
    number(out, u64::from(length));
}

fn charset(out: &mut Out, charset: &TextCharset) {
    text(out, &charset.charset);
    text(out, &charset.collation);
}

fn text(out: &mut Out, text: &str) {
    number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn list<T>(out: &mut Out, items: &[T], mut write: impl FnMut(&mut Out, &T)) {
    number(out, items.len() as u64);
    items.iter().for_each(|item| write(out, item));
}

fn number(out: &mut Out, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
