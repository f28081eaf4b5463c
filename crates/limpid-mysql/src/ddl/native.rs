//! The column types of both servers, and their text.
//!
//! Owns: `NativeType`, and reading it from a definition or from `information_schema.columns.column_type`.
//! Does not own: character sets (`ColumnDefinition`), nor what a value becomes (`mapping`).
//!
//! Invariant: what two spellings of one type have in common is all that is kept, so that a definition and the
//! catalogue's text of it give equal values. Display widths are dropped where nothing shows them.

mod modifier;

use super::ScanContext;
use super::cursor::Cursor;
use super::effect::{CharsetClause, DeclaredType};
use super::token::Token;

pub(super) use modifier::{charset_name, modifier};

/// The four sizes of TEXT and BLOB: how many bytes their lengths take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextSize {
    Tiny = 1,
    Plain = 2,
    Medium = 3,
    Long = 4,
}

impl TextSize {
    /// The smallest size that holds `bytes`.
    pub(crate) fn holding(bytes: u64) -> Self {
        match bytes {
            0..=0xff => Self::Tiny,
            0x100..=0xffff => Self::Plain,
            0x1_0000..=0xff_ffff => Self::Medium,
            _ => Self::Long,
        }
    }

    pub(crate) fn bytes_max(self) -> u64 {
        (1 << (8 * self as u64)) - 1
    }
}

/// Which geometries a column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GeometryKind {
    Geometry,
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    Collection,
}

/// A column's type without its character set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NativeType {
    /// `bits` is 8, 16, 24, 32 or 64. `zerofill` is the display width then.
    Int {
        bits: u8,
        unsigned: bool,
        zerofill: Option<u8>,
        tinyint1: bool,
    },
    /// `digits`: (M, D), which rounds values.
    Float {
        digits: Option<(u8, u8)>,
        unsigned: bool,
        zerofill: bool,
    },
    Double {
        digits: Option<(u8, u8)>,
        unsigned: bool,
        zerofill: bool,
    },
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
        zerofill: bool,
    },
    Bit {
        width: u8,
    },
    /// In characters.
    Char {
        length: u32,
    },
    Varchar {
        length: u32,
        compressed: bool,
    },
    Text {
        size: TextSize,
        compressed: bool,
    },
    Binary {
        length: u32,
    },
    Varbinary {
        length: u32,
        compressed: bool,
    },
    Blob {
        size: TextSize,
        compressed: bool,
    },
    Date,
    Time {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Year,
    Enum {
        members: Vec<String>,
    },
    Set {
        members: Vec<String>,
    },
    /// MySQL's; MariaDB's JSON is LONGTEXT.
    Json,
    Geometry {
        kind: GeometryKind,
        srid: Option<u32>,
    },
    Uuid,
    Inet4,
    Inet6,
    Vector {
        dimensions: u32,
    },
    /// A type that this version does not know, by its name.
    Unknown {
        name: String,
    },
}

impl NativeType {
    /// Whether a column of this type has a character set.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Char { .. } | Self::Varchar { .. } | Self::Text { .. } | Self::Enum { .. } | Self::Set { .. }
        )
    }
}

/// Reads `column_type` of the catalogue.
pub fn parse_column_type(text: &[u8], ctx: &ScanContext<'_>) -> Option<NativeType> {
    parse(&mut Cursor::new(text, ctx), ctx).map(|declared| declared.native)
}

/// Reads a type and the attributes that belong to it; `None` where there is no word.
pub(super) fn parse(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>) -> Option<DeclaredType> {
    // MariaDB: whose type of that name it is, whatever the session's mode.
    let mut oracle = ctx.sql_mode.oracle();
    if cursor.at_any(&["MARIADB_SCHEMA", "ORACLE_SCHEMA"]) && cursor.ahead() == Token::Punct(b'.') {
        oracle = cursor.at_word("ORACLE_SCHEMA");
        cursor.bump();
        cursor.bump();
    }
    let mut declared = DeclaredType {
        native: NativeType::Unknown { name: String::new() },
        charset: CharsetClause::default(),
        text_length: None,
        display_width: None,
        serial: false,
    };
    let special = if oracle { oracle_type(cursor) } else { None };
    declared.native = special
        .or_else(|| numeric(cursor, ctx, &mut declared))
        .or_else(|| temporal(cursor))
        .or_else(|| textual(cursor, ctx, &mut declared))
        .or_else(|| other(cursor, ctx, &mut declared))?;
    while modifier(cursor, &mut declared) {}
    Some(declared)
}

/// `(n)`, `(n, m)` or nothing.
fn lengths(cursor: &mut Cursor<'_>) -> (Option<u64>, Option<u64>) {
    if !cursor.at_punct(b'(') {
        return (None, None);
    }
    let mut inside = *cursor;
    cursor.skip_parens();
    inside.bump();
    let first = inside.number();
    let second = if inside.eat_punct(b',') { inside.number() } else { None };
    (first, second)
}

fn clamp<T: TryFrom<u64>>(value: u64, max: T) -> T {
    T::try_from(value).unwrap_or(max)
}

const INTS: &[(&str, u8)] = &[
    ("INT", 32),
    ("BIGINT", 64),
    ("TINYINT", 8),
    ("SMALLINT", 16),
    ("MEDIUMINT", 24),
    ("INTEGER", 32),
    ("INT1", 8),
    ("INT2", 16),
    ("INT3", 24),
    ("INT4", 32),
    ("INT8", 64),
    ("MIDDLEINT", 24),
];

fn numeric(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, declared: &mut DeclaredType) -> Option<NativeType> {
    if let Some((_, bits)) = INTS.iter().find(|(word, _)| cursor.eat_word(word)) {
        let (width, _) = lengths(cursor);
        declared.display_width = width.map(|width| clamp(width, u8::MAX));
        let tinyint1 = *bits == 8 && width == Some(1);
        return Some(NativeType::Int { bits: *bits, unsigned: false, zerofill: None, tinyint1 });
    }
    if cursor.eat_any(&["BOOL", "BOOLEAN"]) {
        return Some(NativeType::Int { bits: 8, unsigned: false, zerofill: None, tinyint1: true });
    }
    if cursor.eat_any(&["DECIMAL", "NUMERIC", "DEC", "FIXED"]) {
        let (precision, scale) = lengths(cursor);
        return Some(decimal(precision, scale));
    }
    let real = cursor.at_word("REAL");
    if cursor.eat_any(&["FLOAT4", "FLOAT"]) || (real && ctx.sql_mode.real_as_float() && cursor.eat_word("REAL")) {
        return Some(match lengths(cursor) {
            (Some(25..), None) => NativeType::Double { digits: None, unsigned: false, zerofill: false },
            (Some(m), Some(d)) => NativeType::Float { digits: digits(m, d), unsigned: false, zerofill: false },
            _ => NativeType::Float { digits: None, unsigned: false, zerofill: false },
        });
    }
    if cursor.eat_any(&["DOUBLE", "REAL", "FLOAT8"]) {
        cursor.eat_word("PRECISION");
        let digits = if let (Some(m), Some(d)) = lengths(cursor) { digits(m, d) } else { None };
        return Some(NativeType::Double { digits, unsigned: false, zerofill: false });
    }
    None
}

fn digits(m: u64, d: u64) -> Option<(u8, u8)> {
    Some((clamp(m, u8::MAX), clamp(d, u8::MAX)))
}

/// DECIMAL alone is (10, 0), and so is DECIMAL(0).
fn decimal(precision: Option<u64>, scale: Option<u64>) -> NativeType {
    let precision = precision.filter(|precision| *precision > 0).unwrap_or(10);
    let scale = clamp(scale.unwrap_or(0), u8::MAX);
    NativeType::Decimal { precision: clamp(precision, u8::MAX), scale, unsigned: false, zerofill: false }
}

/// Types that mean something else under MariaDB's Oracle mode.
fn oracle_type(cursor: &mut Cursor<'_>) -> Option<NativeType> {
    let (size, compressed) = (TextSize::Long, false);
    if cursor.eat_word("DATE") {
        return Some(NativeType::DateTime { fsp: 0 });
    }
    if cursor.eat_word("CLOB") {
        return Some(NativeType::Text { size, compressed });
    }
    if cursor.at_word("BLOB") && cursor.ahead() != Token::Punct(b'(') {
        cursor.bump();
        return Some(NativeType::Blob { size, compressed });
    }
    if cursor.eat_word("NUMBER") {
        let (precision, scale) = lengths(cursor);
        let double = NativeType::Double { digits: None, unsigned: false, zerofill: false };
        return Some(if precision.is_none() { double } else { decimal(precision, scale) });
    }
    None
}

fn temporal(cursor: &mut Cursor<'_>) -> Option<NativeType> {
    let fsp = |cursor: &mut Cursor<'_>| clamp(lengths(cursor).0.unwrap_or(0).min(6), 6u8);
    if cursor.eat_word("DATE") {
        return Some(NativeType::Date);
    }
    if cursor.eat_word("DATETIME") {
        return Some(NativeType::DateTime { fsp: fsp(cursor) });
    }
    if cursor.eat_word("TIMESTAMP") {
        return Some(NativeType::Timestamp { fsp: fsp(cursor) });
    }
    if cursor.eat_word("TIME") {
        return Some(NativeType::Time { fsp: fsp(cursor) });
    }
    if cursor.eat_word("YEAR") {
        lengths(cursor);
        return Some(NativeType::Year);
    }
    None
}

fn length(cursor: &mut Cursor<'_>, absent: u32) -> u32 {
    lengths(cursor).0.map_or(absent, |length| clamp(length, u32::MAX))
}

fn textual(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, declared: &mut DeclaredType) -> Option<NativeType> {
    let national = cursor.eat_word("NATIONAL");
    let nchar = cursor.at_any(&["NCHAR", "NVARCHAR"]);
    if national || nchar {
        declared.charset.charset = Some("utf8mb3".to_owned());
    }
    if cursor.eat_any(&["CHAR", "CHARACTER", "NCHAR"]) {
        let varying = cursor.eat_any(&["VARYING", "VARCHAR", "VARCHARACTER"]);
        let length = length(cursor, 1);
        return Some(if varying {
            NativeType::Varchar { length, compressed: false }
        } else {
            NativeType::Char { length }
        });
    }
    if cursor.eat_any(&["VARCHAR", "NVARCHAR", "VARCHARACTER", "VARCHAR2"]) {
        return Some(NativeType::Varchar { length: length(cursor, 1), compressed: false });
    }
    if cursor.eat_word("BINARY") {
        return Some(NativeType::Binary { length: length(cursor, 1) });
    }
    if cursor.eat_any(&["VARBINARY", "RAW"]) {
        return Some(NativeType::Varbinary { length: length(cursor, 1), compressed: false });
    }
    if cursor.eat_word("LONG") {
        let binary = cursor.eat_word("VARBINARY");
        if cursor.eat_any(&["CHAR", "CHARACTER"]) {
            cursor.eat_word("VARYING");
        }
        cursor.eat_any(&["VARCHAR", "VARCHARACTER"]);
        let size = TextSize::Medium;
        let compressed = false;
        return Some(if binary {
            NativeType::Blob { size, compressed }
        } else {
            NativeType::Text { size, compressed }
        });
    }
    sized(cursor, ctx, declared)
}

/// TEXT(0) is the smallest on MySQL and TEXT on MariaDB.
fn sized(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, declared: &mut DeclaredType) -> Option<NativeType> {
    let counts = |length: &u64| *length > 0 || ctx.flavor == super::Flavor::MySql;
    let sizes = [
        ("TINYTEXT", "TINYBLOB", TextSize::Tiny),
        ("TEXT", "BLOB", TextSize::Plain),
        ("MEDIUMTEXT", "MEDIUMBLOB", TextSize::Medium),
        ("LONGTEXT", "LONGBLOB", TextSize::Long),
    ];
    for (text, blob, size) in sizes {
        if cursor.eat_word(text) {
            declared.text_length = lengths(cursor).0.filter(counts);
            return Some(NativeType::Text { size, compressed: false });
        }
        if cursor.eat_word(blob) {
            let bytes = lengths(cursor).0.filter(counts);
            return Some(NativeType::Blob { size: bytes.map_or(size, TextSize::holding), compressed: false });
        }
    }
    None
}

const GEOMETRIES: &[(&str, GeometryKind)] = &[
    ("GEOMETRY", GeometryKind::Geometry),
    ("POINT", GeometryKind::Point),
    ("LINESTRING", GeometryKind::LineString),
    ("POLYGON", GeometryKind::Polygon),
    ("MULTIPOINT", GeometryKind::MultiPoint),
    ("MULTILINESTRING", GeometryKind::MultiLineString),
    ("MULTIPOLYGON", GeometryKind::MultiPolygon),
    ("GEOMETRYCOLLECTION", GeometryKind::Collection),
    ("GEOMCOLLECTION", GeometryKind::Collection),
];

fn other(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, declared: &mut DeclaredType) -> Option<NativeType> {
    if let Some((_, kind)) = GEOMETRIES.iter().find(|(word, _)| cursor.eat_word(word)) {
        lengths(cursor);
        return Some(NativeType::Geometry { kind: *kind, srid: None });
    }
    if cursor.eat_word("ENUM") {
        return Some(NativeType::Enum { members: members(cursor) });
    }
    if cursor.eat_word("SET") {
        return Some(NativeType::Set { members: members(cursor) });
    }
    if cursor.eat_word("JSON") {
        if ctx.flavor == super::Flavor::MySql {
            return Some(NativeType::Json);
        }
        declared.charset.collation = Some("utf8mb4_bin".to_owned());
        return Some(NativeType::Text { size: TextSize::Long, compressed: false });
    }
    if cursor.eat_word("BIT") {
        // BIT(0) is BIT(1) on MariaDB and refused by MySQL.
        return Some(NativeType::Bit { width: clamp(lengths(cursor).0.unwrap_or(1).max(1), 64) });
    }
    if cursor.eat_word("SERIAL") {
        declared.serial = true;
        return Some(NativeType::Int { bits: 64, unsigned: true, zerofill: None, tinyint1: false });
    }
    for (word, native) in [("UUID", NativeType::Uuid), ("INET4", NativeType::Inet4), ("INET6", NativeType::Inet6)] {
        if cursor.eat_word(word) {
            return Some(native);
        }
    }
    if cursor.at_word("VECTOR") {
        cursor.bump();
        // MySQL's VECTOR alone has room for 2048.
        return Some(NativeType::Vector { dimensions: length(cursor, 2048) });
    }
    let Token::Word(word) = cursor.token() else { return None };
    cursor.bump();
    lengths(cursor);
    Some(NativeType::Unknown { name: String::from_utf8_lossy(word).to_lowercase() })
}

/// Trailing blanks of members are cut by the server.
fn members(cursor: &mut Cursor<'_>) -> Vec<String> {
    let mut members = Vec::new();
    if !cursor.eat_punct(b'(') {
        return members;
    }
    while let Some(bytes) = cursor.text() {
        let text = String::from_utf8_lossy(&bytes);
        members.push(text.trim_end_matches(' ').to_owned());
        if !cursor.eat_punct(b',') {
            break;
        }
    }
    while !cursor.at_end() && !cursor.eat_punct(b')') {
        cursor.skip_item();
    }
    members
}
