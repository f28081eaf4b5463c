//! What a table looks like at one point of the log.
//!
//! Owns: names, logical types, keys. Does not own: how a source encodes its columns (its own layouts), nor how the
//! history of versions is kept (`limpid-state`).
//!
//! Invariant: a `TableSchema` never changes; a DDL makes a new one with a higher version.

use std::fmt;
use std::sync::Arc;

/// A table's name with its schema (for MySQL: the database).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub schema: Arc<str>,
    pub table: Arc<str>,
}

impl TableName {
    pub fn new(schema: &str, table: &str) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// What a column holds, whatever the source calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogicalType {
    Bool,
    /// A whole number of `bits` (8, 16, 24, 32 or 64).
    Int {
        bits: u8,
        signed: bool,
    },
    F32,
    F64,
    Decimal {
        precision: u16,
        scale: u16,
    },
    Text,
    /// `fixed`: values are padded with zero bytes to this length.
    Bytes {
        fixed: Option<u32>,
    },
    Date,
    /// `digits` of a second's fraction, 0 to 6.
    Time {
        digits: u8,
    },
    /// A wall clock without a zone.
    DateTime {
        digits: u8,
    },
    /// An instant.
    Timestamp {
        digits: u8,
    },
    Year,
    Enum {
        members: Arc<[Arc<str>]>,
    },
    Set {
        members: Arc<[Arc<str>]>,
    },
    /// `width` bits, 1 to 64.
    Bit {
        width: u8,
    },
    Json,
    Uuid,
    Inet4,
    Inet6,
    /// Any geometry; `point` when the column takes only points.
    Geometry {
        point: bool,
    },
    Vector {
        dimensions: u32,
    },
    /// A whole BSON document.
    Document,
}

/// One column as rows carry it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    pub name: Arc<str>,
    pub logical: LogicalType,
    pub nullable: bool,
    /// TINYINT(1), which by option is a boolean.
    pub tinyint1: bool,
}

/// Indexes into a table's columns, in the order that matters (of a key, of a projection).
pub type ColumnSet = Arc<[u16]>;

/// One version of one table, as its rows' cells are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    pub name: TableName,
    /// Unique within a pipeline; a later version has a higher number.
    pub version: u32,
    /// The captured columns, in cell order.
    pub columns: Vec<Column>,
    /// The primary key, or else the first unique key without nullable columns; empty when there is none.
    pub key: ColumnSet,
    /// Seeds key hashes, so that equal keys of two tables differ. Depends on the name alone.
    pub key_seed: u64,
}

impl TableSchema {
    /// The index of the column called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }
}
