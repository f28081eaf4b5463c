//! From a server's column types to logical types and to what the row decoder needs.
//!
//! Owns: the layout of a table version: one wire form a column, in log order. Does not own: reading the log's table
//! map (`tablemap`) or the history (`history`), nor decoding values (`rows`).
//!
//! Invariant: where the table map and the known facts disagree on something that decides how bytes are read, there is
//! no layout but a mismatch; nothing is guessed.

use std::sync::Arc;

use limpid_model::{Column, LogicalType, TableName, TableSchema, key_seed};

use crate::charset::Charset;
use crate::tablemap::{MapColumn, TableMap, code};
use crate::values::decimal_size;

/// What the log does not say of a column, known from the catalogue and the DDL since.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ColumnFacts {
    pub name: Arc<str>,
    pub special: Special,
    pub unsigned: bool,
    pub collation: Option<u16>,
    pub charset: Option<Charset>,
    /// Members as UTF-8.
    pub members: Vec<Arc<str>>,
    pub nullable: bool,
    /// In the row image, but no column of the table as users see it (row start and end of system versioning).
    pub hidden: bool,
    /// Where a row's version ends, in a table with system versioning.
    pub row_end: bool,
}

/// Types whose wire form does not tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Special {
    #[default]
    None,
    TinyInt1,
    Uuid,
    Inet4,
    Inet6,
    Point,
    Vector(u32),
}

/// A table as the history knows it: columns in row-image order and the key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TableFacts {
    pub columns: Vec<ColumnFacts>,
    /// Indexes into `columns`.
    pub key: Vec<u16>,
}

/// How one column's bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    DecimalSmall {
        precision: u8,
        scale: u8,
        size: u8,
    },
    DecimalBig {
        precision: u8,
        scale: u8,
        size: u8,
    },
    Year,
    Date,
    TimeOld,
    DateTimeOld,
    TimestampOld,
    Time {
        digits: u8,
    },
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    Bit {
        bytes: u8,
    },
    Enum {
        bytes: u8,
    },
    Set {
        bytes: u8,
    },
    /// Text behind a length of so many bytes.
    Text {
        prefix: u8,
        charset: Charset,
    },
    Bytes {
        prefix: u8,
    },
    /// BINARY(n): trailing zero bytes were cut off and are put back.
    FixedBytes {
        prefix: u8,
        len: u8,
    },
    Uuid {
        prefix: u8,
    },
    Inet {
        prefix: u8,
        len: u8,
    },
    Json {
        prefix: u8,
    },
    Geometry {
        prefix: u8,
    },
    Vector {
        prefix: u8,
    },
    CompressedText {
        prefix: u8,
        charset: Charset,
    },
    CompressedBytes {
        prefix: u8,
    },
}

/// One column of a layout.
#[derive(Clone, Copy, Debug)]
pub struct WireColumn {
    pub wire: Wire,
    /// False for a column that is skipped: hidden or not captured.
    pub captured: bool,
}

/// How the rows of one table version are read.
#[derive(Debug)]
pub struct Layout {
    pub columns: Vec<WireColumn>,
    /// JSON columns, for the bitmap of partial updates.
    pub json_columns: usize,
    /// The place of the row's end, in a table with system versioning.
    pub row_end: Option<usize>,
    /// Captured columns, by their cells, that the history of definitions describes otherwise than the log does.
    pub disputed: Box<[u16]>,
}

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Nothing is known of the column names, and the log does not carry them.
    Unknown,
    /// The log and the history differ.
    Differs { log_columns: usize, known_columns: usize },
    /// A column of a type that cannot be read.
    Type { column: Arc<str>, code: u8 },
    /// A column in a character set that cannot be read; the log gives its collation's number.
    Charset { column: Arc<str>, collation: Option<u16> },
}

/// Makes the schema and the layout of a captured table from what the log says and what is known besides.
///
/// `keep` says whether a column, by name, is captured.
///
/// # Errors
/// A [`Mismatch`] where the two do not fit together.
pub fn table_layout(
    map: &TableMap,
    facts: Option<&TableFacts>,
    version: u32,
    keep: &dyn Fn(&str) -> bool,
) -> Result<(TableSchema, Layout), Mismatch> {
    let named = map.columns.iter().all(|column| column.name.is_some());
    let facts = match facts {
        Some(facts) if facts.columns.len() == map.columns.len() => Some(facts),
        Some(_) if named => None,
        Some(facts) => {
            return Err(Mismatch::Differs { log_columns: map.columns.len(), known_columns: facts.columns.len() });
        }
        None if named => None,
        None => return Err(Mismatch::Unknown),
    };
    let mut columns = Vec::new();
    let mut wires = Vec::with_capacity(map.columns.len());
    let mut cell_of = Vec::with_capacity(map.columns.len());
    for (index, column) in map.columns.iter().enumerate() {
        let name = column.name.clone().or_else(|| facts.map(|f| f.columns[index].name.clone()));
        let name = name.ok_or(Mismatch::Unknown)?;
        let known = facts.and_then(|facts| fact_for(facts, index, &name));
        let (wire, logical) =
            wire_form(column, known).ok_or_else(|| Mismatch::Type { column: name.clone(), code: column.code })?;
        let captured = !known.is_some_and(|known| known.hidden) && keep(&name);
        if captured && holds_text(&logical) && charset_of(column, known) == Charset::Unknown {
            return Err(Mismatch::Charset { column: name, collation: column.collation });
        }
        wires.push(WireColumn { wire, captured });
        cell_of.push(captured.then_some(columns.len() as u16));
        if captured {
            let tinyint1 = known.is_some_and(|known| known.special == Special::TinyInt1);
            columns.push(Column { name, logical, nullable: column.nullable, tinyint1 });
        }
    }
    let json_columns = map.columns.iter().filter(|column| column.code == code::JSON).count();
    let row_end = facts.and_then(|facts| facts.columns.iter().position(|facts| facts.row_end));
    let key = key_cells(map, facts, &cell_of, row_end);
    let name = TableName { schema: map.schema.clone(), table: map.table.clone() };
    let key_seed = key_seed(&name);
    let schema = TableSchema { name, version, columns, key: key.into(), key_seed };
    Ok((schema, Layout { columns: wires, json_columns, row_end, disputed: [].into() }))
}

/// The known facts of a column: those at its place if the name agrees, else none.
fn fact_for<'a>(facts: &'a TableFacts, index: usize, name: &str) -> Option<&'a ColumnFacts> {
    let at_place = &facts.columns[index];
    if &*at_place.name == name { Some(at_place) } else { facts.columns.iter().find(|facts| &*facts.name == name) }
}

/// The key as cell indexes: the log's primary key, else what is known, as long as every column of it is captured.
/// MariaDB adds the row's end to the keys of a table with system versioning; among current rows it tells none apart.
fn key_cells(map: &TableMap, facts: Option<&TableFacts>, cell_of: &[Option<u16>], row_end: Option<usize>) -> Vec<u16> {
    let wanted: &[u16] = match (&map.primary_key, facts) {
        (Some(key), _) if !key.is_empty() => key,
        (_, Some(facts)) => &facts.key,
        _ => &[],
    };
    wanted
        .iter()
        .filter(|index| row_end != Some(**index as usize))
        .map(|index| cell_of.get(*index as usize).copied().flatten())
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// The wire form and the logical type of one column.
fn wire_form(column: &MapColumn, known: Option<&ColumnFacts>) -> Option<(Wire, LogicalType)> {
    let unsigned = column.unsigned.or(known.map(|known| known.unsigned)).unwrap_or(false);
    let int = |bits: u8, signed_wire: Wire, unsigned_wire: Wire| {
        (if unsigned { unsigned_wire } else { signed_wire }, LogicalType::Int { bits, signed: !unsigned })
    };
    let digits = column.meta as u8;
    Some(match column.code {
        code::TINY => int(8, Wire::I8, Wire::U8),
        code::SHORT => int(16, Wire::I16, Wire::U16),
        code::INT24 => int(24, Wire::I24, Wire::U24),
        code::LONG => int(32, Wire::I32, Wire::U32),
        code::LONGLONG => int(64, Wire::I64, Wire::U64),
        code::FLOAT => (Wire::F32, LogicalType::F32),
        code::DOUBLE => (Wire::F64, LogicalType::F64),
        code::NEWDECIMAL => decimal(column.meta)?,
        code::YEAR => (Wire::Year, LogicalType::Year),
        code::DATE | code::NEWDATE => (Wire::Date, LogicalType::Date),
        code::TIME => (Wire::TimeOld, LogicalType::Time { digits: 0 }),
        code::DATETIME => (Wire::DateTimeOld, LogicalType::DateTime { digits: 0 }),
        code::TIMESTAMP => (Wire::TimestampOld, LogicalType::Timestamp { digits: 0 }),
        code::TIME2 if digits <= 6 => (Wire::Time { digits }, LogicalType::Time { digits }),
        code::DATETIME2 if digits <= 6 => (Wire::DateTime { digits }, LogicalType::DateTime { digits }),
        code::TIMESTAMP2 if digits <= 6 => (Wire::Timestamp { digits }, LogicalType::Timestamp { digits }),
        code::BIT => {
            let (extra, whole) = ((column.meta & 0xff) as u8, (column.meta >> 8) as u8);
            let width = whole.checked_mul(8)?.checked_add(extra)?;
            let bytes = whole + (extra > 0) as u8;
            (1..=64).contains(&width).then_some((Wire::Bit { bytes }, LogicalType::Bit { width }))?
        }
        code::ENUM | code::SET => members(column, known)?,
        code::VARCHAR | code::VAR_STRING => text(if column.meta > 255 { 2 } else { 1 }, column, known, None),
        code::STRING => {
            let prefix = if column.meta > 255 { 2 } else { 1 };
            text(prefix, column, known, Some(column.meta))
        }
        code::TINY_BLOB | code::BLOB | code::MEDIUM_BLOB | code::LONG_BLOB => {
            text(prefix_of(column.meta)?, column, known, None)
        }
        code::VARCHAR_COMPRESSED => compressed(if column.meta > 255 { 2 } else { 1 }, column, known),
        code::BLOB_COMPRESSED => compressed(prefix_of(column.meta)?, column, known),
        code::JSON => (Wire::Json { prefix: prefix_of(column.meta)? }, LogicalType::Json),
        code::GEOMETRY => {
            let point = column.geometry == Some(1) || known.is_some_and(|known| known.special == Special::Point);
            (Wire::Geometry { prefix: prefix_of(column.meta)? }, LogicalType::Geometry { point })
        }
        code::VECTOR => {
            let known = match known.map(|known| known.special) {
                Some(Special::Vector(dimensions)) => Some(dimensions),
                _ => None,
            };
            let dimensions = column.dimensions.or(known).unwrap_or(0);
            (Wire::Vector { prefix: prefix_of(column.meta)? }, LogicalType::Vector { dimensions })
        }
        _ => return None,
    })
}

fn prefix_of(meta: u16) -> Option<u8> {
    (1..=4).contains(&meta).then_some(meta as u8)
}

fn decimal(meta: u16) -> Option<(Wire, LogicalType)> {
    let [precision, scale] = meta.to_be_bytes();
    if precision == 0 || precision > 65 || scale > precision {
        return None;
    }
    let size = decimal_size(precision, scale) as u8;
    let logical = LogicalType::Decimal { precision: precision as u16, scale: scale as u16 };
    let small = Wire::DecimalSmall { precision, scale, size };
    Some((if precision <= 18 { small } else { Wire::DecimalBig { precision, scale, size } }, logical))
}

fn members(column: &MapColumn, known: Option<&ColumnFacts>) -> Option<(Wire, LogicalType)> {
    let charset = charset_of(column, known);
    let members: Arc<[Arc<str>]> = match (&column.members, known) {
        (Some(members), _) => members.iter().map(|member| charset.text(member).into()).collect(),
        (None, Some(known)) => known.members.clone().into(),
        (None, None) => [].into(),
    };
    let bytes = column.meta as u8;
    match column.code {
        code::ENUM if (1..=2).contains(&bytes) => Some((Wire::Enum { bytes }, LogicalType::Enum { members })),
        code::SET if (1..=8).contains(&bytes) => Some((Wire::Set { bytes }, LogicalType::Set { members })),
        _ => None,
    }
}

/// The log's word counts, unless it is a number of a newer server whose name for the set is known.
fn charset_of(column: &MapColumn, known: Option<&ColumnFacts>) -> Charset {
    let by_log = column.collation.map(Charset::of_collation);
    let by_facts = known.and_then(|known| known.charset.or(known.collation.map(Charset::of_collation)));
    by_log.filter(|charset| *charset != Charset::Unknown).or(by_facts).or(by_log).unwrap_or(Charset::Binary)
}

fn holds_text(logical: &LogicalType) -> bool {
    match logical {
        LogicalType::Text => true,
        LogicalType::Enum { members } | LogicalType::Set { members } => !members.is_empty(),
        _ => false,
    }
}

fn text(prefix: u8, column: &MapColumn, known: Option<&ColumnFacts>, fixed: Option<u16>) -> (Wire, LogicalType) {
    match (known.map(|known| known.special), fixed) {
        (Some(Special::Uuid), Some(16)) => return (Wire::Uuid { prefix }, LogicalType::Uuid),
        (Some(Special::Inet4), Some(4)) => return (Wire::Inet { prefix, len: 4 }, LogicalType::Inet4),
        (Some(Special::Inet6), Some(16)) => return (Wire::Inet { prefix, len: 16 }, LogicalType::Inet6),
        (Some(Special::Vector(dimensions)), _) => return (Wire::Vector { prefix }, LogicalType::Vector { dimensions }),
        _ => {}
    }
    match (charset_of(column, known), fixed) {
        (Charset::Binary, Some(len @ 0..=255)) => {
            (Wire::FixedBytes { prefix, len: len as u8 }, LogicalType::Bytes { fixed: Some(len as u32) })
        }
        (Charset::Binary, _) => (Wire::Bytes { prefix }, LogicalType::Bytes { fixed: None }),
        (charset, _) => (Wire::Text { prefix, charset }, LogicalType::Text),
    }
}

fn compressed(prefix: u8, column: &MapColumn, known: Option<&ColumnFacts>) -> (Wire, LogicalType) {
    match charset_of(column, known) {
        Charset::Binary => (Wire::CompressedBytes { prefix }, LogicalType::Bytes { fixed: None }),
        charset => (Wire::CompressedText { prefix, charset }, LogicalType::Text),
    }
}
