//! The form a column's values have in a record.
//!
//! Owns: the way from a logical type and the options to one form. Does not own: writing values (`value`).
//!
//! Invariant: a form is decided once per table version; no row looks at an option. Source of each choice: Debezium's
//! `BinlogValueConverters` and `JdbcValueConverters`, and the oracle's fixtures.

use std::sync::Arc;

use limpid_model::{Column, LogicalType};

use super::options::{
    BigintUnsignedHandling, BinaryHandling, DebeziumOptions, DecimalHandling, TimePrecision, TinyInt1,
};
use crate::json::{Piece, put_text};

/// How one column is written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Bool,
    /// TINYINT(1) told as a boolean.
    TinyBool,
    Int,
    /// BIGINT UNSIGNED as a signed number.
    Wrapped,
    /// BIGINT UNSIGNED as a decimal of scale 0.
    UnsignedDecimal,
    F32,
    F64,
    DecimalBase64,
    DecimalDouble,
    DecimalString,
    Text,
    Bytes(BinaryHandling),
    Date,
    DateIso,
    Time(Unit),
    TimeIso,
    DateTime(Unit),
    DateTimeIso,
    /// TIMESTAMP, with so many digits of a second's fraction.
    Zoned(u8),
    Year,
    /// The members, escaped and quoted; the first is the error value's empty text.
    Enum(Box<[Piece]>),
    /// The members, escaped.
    Set(Box<[Piece]>),
    BitBool,
    /// So many bytes, least significant first.
    Bits(u8),
    Uuid,
    Inet,
    Geometry,
    Point,
    Vector,
    /// No form in this format.
    Unsupported,
}

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Form {
    pub(super) fn of(column: &Column, options: &DebeziumOptions) -> Self {
        if column.tinyint1 && options.tinyint1 == TinyInt1::Boolean {
            return Form::TinyBool;
        }
        match &column.logical {
            LogicalType::Bool => Form::Bool,
            LogicalType::Int { bits: 64, signed: false } => match options.bigint_unsigned_handling {
                BigintUnsignedHandling::Long => Form::Wrapped,
                BigintUnsignedHandling::Precise => Form::UnsignedDecimal,
            },
            LogicalType::Int { .. } => Form::Int,
            LogicalType::F32 => Form::F32,
            LogicalType::F64 => Form::F64,
            LogicalType::Decimal { .. } => match options.decimal_handling {
                DecimalHandling::Precise => Form::DecimalBase64,
                DecimalHandling::Double => Form::DecimalDouble,
                DecimalHandling::String => Form::DecimalString,
            },
            LogicalType::Text | LogicalType::Json => Form::Text,
            LogicalType::Bytes { .. } => Form::Bytes(options.binary_handling),
            LogicalType::Date => date(options.time_precision),
            LogicalType::Time { .. } => time(options.time_precision),
            LogicalType::DateTime { digits } => datetime(options.time_precision, *digits),
            LogicalType::Timestamp { digits } => Form::Zoned(*digits),
            LogicalType::Year => Form::Year,
            LogicalType::Enum { members } => Form::Enum(enum_members(members)),
            LogicalType::Set { members } => Form::Set(members.iter().map(|text| escaped(text, "")).collect()),
            LogicalType::Bit { width: 1 } => Form::BitBool,
            LogicalType::Bit { width } => Form::Bits(width.div_ceil(8)),
            LogicalType::Uuid => Form::Uuid,
            LogicalType::Inet4 | LogicalType::Inet6 => Form::Inet,
            LogicalType::Geometry { point: false } => Form::Geometry,
            LogicalType::Geometry { point: true } => Form::Point,
            LogicalType::Vector { .. } => Form::Vector,
            LogicalType::Document => Form::Unsupported,
        }
    }
}

fn date(precision: TimePrecision) -> Form {
    match precision {
        TimePrecision::Isostring => Form::DateIso,
        TimePrecision::AdaptiveTimeMicroseconds
        | TimePrecision::Connect
        | TimePrecision::Microseconds
        | TimePrecision::Nanoseconds => Form::Date,
    }
}

fn time(precision: TimePrecision) -> Form {
    match precision {
        TimePrecision::AdaptiveTimeMicroseconds | TimePrecision::Microseconds => Form::Time(Unit::Micros),
        TimePrecision::Connect => Form::Time(Unit::Millis),
        TimePrecision::Nanoseconds => Form::Time(Unit::Nanos),
        TimePrecision::Isostring => Form::TimeIso,
    }
}

fn datetime(precision: TimePrecision, digits: u8) -> Form {
    match precision {
        TimePrecision::AdaptiveTimeMicroseconds if digits > 3 => Form::DateTime(Unit::Micros),
        TimePrecision::AdaptiveTimeMicroseconds | TimePrecision::Connect => Form::DateTime(Unit::Millis),
        TimePrecision::Microseconds => Form::DateTime(Unit::Micros),
        TimePrecision::Nanoseconds => Form::DateTime(Unit::Nanos),
        TimePrecision::Isostring => Form::DateTimeIso,
    }
}

fn escaped(text: &str, quote: &str) -> Piece {
    let mut bytes = quote.as_bytes().to_vec();
    put_text(&mut bytes, text.as_bytes());
    bytes.extend_from_slice(quote.as_bytes());
    Piece::new(&bytes)
}

fn enum_members(members: &[Arc<str>]) -> Box<[Piece]> {
    std::iter::once("").chain(members.iter().map(|text| &**text)).map(|text| escaped(text, "\"")).collect()
}
