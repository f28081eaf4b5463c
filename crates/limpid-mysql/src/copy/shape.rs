//! A table as a definition alone describes it: the same schema and layout that the log's table map gives.
//!
//! Owns: the table map that the server would write for a definition. Does not own: definitions (`history`), what a
//! table map becomes (`mapping`).
//!
//! Invariant: there is one truth of what a column becomes: a definition goes the way of the log's own table maps.

use limpid_model::{TableName, TableSchema};

use crate::ddl::NativeType;
use crate::facts::table_facts;
use crate::history::{ImageColumn, TableDefinition};
use crate::mapping::{Layout, Mismatch, table_layout};
use crate::tablemap::{MapColumn, TableMap, code};

/// Schema and layout of a table of which nothing but its definition is known. The layout's captured columns are the
/// schema's, in the same order.
///
/// # Errors
/// A [`Mismatch`] for a column that cannot be read.
pub fn of_definition(
    name: &TableName,
    definition: &TableDefinition,
    version: u32,
    keep: &dyn Fn(&str) -> bool,
) -> Result<(TableSchema, Layout), Mismatch> {
    let facts = table_facts(definition);
    let image = definition.row_image();
    let columns = image.iter().zip(&facts.columns).map(|(column, facts)| {
        let (code, meta, nullable) = match column {
            ImageColumn::Column(index) => {
                let column = &definition.columns[*index];
                let (code, meta) = wire_type(&column.native);
                (code, meta, column.nullable)
            }
            ImageColumn::KeyExpression(_) | ImageColumn::RowHash => (code::LONGLONG, 0, true),
            ImageColumn::RowStart | ImageColumn::RowEnd => (code::TIMESTAMP2, 6, false),
        };
        let name = Some(facts.name.clone());
        let (unsigned, collation, members, geometry, dimensions, visible) = (None, None, None, None, None, None);
        MapColumn { code, meta, nullable, name, unsigned, collation, members, geometry, dimensions, visible }
    });
    let (schema, table) = (name.schema.clone(), name.table.clone());
    let map = TableMap { table_id: 0, schema, table, columns: columns.collect(), primary_key: None };
    table_layout(&map, Some(&facts), version, keep)
}

/// A number that no column has: what is unknown stays so.
const NONE: u8 = 6;

/// Type number and metadata, as far as they decide what a value is. Lengths of lengths are the log's matter alone.
fn wire_type(native: &NativeType) -> (u8, u16) {
    match native {
        NativeType::Int { bits: 8, .. } => (code::TINY, 0),
        NativeType::Int { bits: 16, .. } => (code::SHORT, 0),
        NativeType::Int { bits: 24, .. } => (code::INT24, 0),
        NativeType::Int { bits: 32, .. } => (code::LONG, 0),
        NativeType::Int { .. } => (code::LONGLONG, 0),
        NativeType::Float { .. } => (code::FLOAT, 4),
        NativeType::Double { .. } => (code::DOUBLE, 8),
        NativeType::Decimal { precision, scale, .. } => (code::NEWDECIMAL, u16::from_be_bytes([*precision, *scale])),
        NativeType::Bit { width } => (code::BIT, u16::from(width / 8) << 8 | u16::from(width % 8)),
        NativeType::Char { length } | NativeType::Binary { length } => (code::STRING, narrow(*length)),
        NativeType::Varchar { length, compressed: false } | NativeType::Varbinary { length, compressed: false } => {
            (code::VARCHAR, narrow(*length))
        }
        NativeType::Varchar { length, compressed: true } | NativeType::Varbinary { length, compressed: true } => {
            (code::VARCHAR_COMPRESSED, narrow(*length))
        }
        NativeType::Text { size, compressed: false } | NativeType::Blob { size, compressed: false } => {
            (code::BLOB, *size as u16)
        }
        NativeType::Text { size, compressed: true } | NativeType::Blob { size, compressed: true } => {
            (code::BLOB_COMPRESSED, *size as u16)
        }
        NativeType::Date => (code::DATE, 0),
        NativeType::Time { fsp } => (code::TIME2, u16::from(*fsp)),
        NativeType::DateTime { fsp } => (code::DATETIME2, u16::from(*fsp)),
        NativeType::Timestamp { fsp } => (code::TIMESTAMP2, u16::from(*fsp)),
        NativeType::Year => (code::YEAR, 0),
        NativeType::Enum { members } => (code::ENUM, 1 + u16::from(members.len() > 255)),
        NativeType::Set { .. } => (code::SET, 8),
        NativeType::Json => (code::JSON, 4),
        NativeType::Geometry { .. } => (code::GEOMETRY, 4),
        NativeType::Uuid | NativeType::Inet6 => (code::STRING, 16),
        NativeType::Inet4 => (code::STRING, 4),
        NativeType::Vector { .. } => (code::VECTOR, 4),
        NativeType::Unknown { .. } => (NONE, 0),
    }
}

fn narrow(length: u32) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
