//! What a user can choose about Debezium's form.
//!
//! Owns: the options in parsed form and their defaults, which are Debezium's. Does not own: their spelling in a
//! pipeline file (the sink's section).
//!
//! Invariant: an option means what Debezium's of the same name means, but for the lines in `docs/debezium-compat.md`.

use std::fmt;

use limpid_model::{Op, PipelineName, TableName};
use regex_lite::Regex;

/// The options of `debezium-json`. The name is Debezium's `topic.prefix` and goes into each source block.
#[derive(Clone, Debug)]
pub struct DebeziumOptions {
    pub pipeline: PipelineName,
    pub connector: Connector,
    pub compat: Compat,
    pub decimal_handling: DecimalHandling,
    pub time_precision: TimePrecision,
    pub bigint_unsigned_handling: BigintUnsignedHandling,
    pub binary_handling: BinaryHandling,
    pub tinyint1: TinyInt1,
    /// A delete is followed by a record with its key and no value.
    pub tombstones: bool,
    pub skipped_operations: SkippedOperations,
    /// Tables whose records are keyed by other columns than the table's own key; the first that matches rules.
    pub message_key_columns: Vec<MessageKey>,
}

impl DebeziumOptions {
    /// Debezium's defaults.
    pub fn new(pipeline: PipelineName, connector: Connector) -> Self {
        Self {
            pipeline,
            connector,
            compat: Compat::V3_5,
            decimal_handling: DecimalHandling::Precise,
            time_precision: TimePrecision::AdaptiveTimeMicroseconds,
            bigint_unsigned_handling: BigintUnsignedHandling::Long,
            binary_handling: BinaryHandling::Bytes,
            tinyint1: TinyInt1::Number,
            tombstones: true,
            skipped_operations: SkippedOperations::TRUNCATE,
            message_key_columns: Vec::new(),
        }
    }
}

/// Which of Debezium's connectors the records look as if from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    MySql,
    MariaDb,
}

impl Connector {
    pub const fn word(self) -> &'static str {
        match self {
            Connector::MySql => "mysql",
            Connector::MariaDb => "mariadb",
        }
    }
}

/// Which of Debezium's versions the records look as if from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    V3_5,
    V3_7,
}

impl Compat {
    /// As `source.version` shows it.
    pub const fn version(self) -> &'static str {
        match self {
            Compat::V3_5 => "3.5.0.Final",
            Compat::V3_7 => "3.7.0.Final",
        }
    }
}

/// `decimal.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalHandling {
    /// Base64 of the unscaled value.
    Precise,
    Double,
    String,
}

/// `time.precision.mode`, those that Debezium 3.5 accepts for MySQL and MariaDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePrecision {
    AdaptiveTimeMicroseconds,
    Connect,
    Isostring,
    Microseconds,
    Nanoseconds,
}

/// `bigint.unsigned.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BigintUnsignedHandling {
    /// As a signed number: what is above 2^63-1 comes out negative.
    Long,
    /// As a decimal of scale 0.
    Precise,
}

/// `binary.handling.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryHandling {
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

/// How TINYINT(1) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TinyInt1 {
    Number,
    /// As with Debezium's `TinyIntOneToBooleanConverter`.
    Boolean,
}

/// `skipped.operations`: which of c, u, d, t become no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedOperations(u8);

impl SkippedOperations {
    pub const NONE: Self = Self(0);
    pub const CREATE: Self = Self(1 << Op::Insert as u8);
    pub const UPDATE: Self = Self(1 << Op::Update as u8);
    pub const DELETE: Self = Self(1 << Op::Delete as u8);
    /// The default.
    pub const TRUNCATE: Self = Self(1 << Op::Truncate as u8);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub const fn contains(self, op: Op) -> bool {
        self.0 >> op as u8 & 1 == 1
    }

    /// From Debezium's text: `none`, or letters between commas.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self::NONE);
        }
        text.split(',').try_fold(Self::NONE, |all, letter| {
            Some(all.and(match letter.trim() {
                "c" => Self::CREATE,
                "u" => Self::UPDATE,
                "d" => Self::DELETE,
                "t" => Self::TRUNCATE,
                _ => return None,
            }))
        })
    }
}

/// One entry of `message.key.columns`.
#[derive(Clone, Debug)]
pub struct MessageKey {
    tables: Regex,
    pub columns: Vec<String>,
}

/// Text that is no `message.key.columns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageKeyError(String);

impl fmt::Display for MessageKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MessageKeyError {}

impl MessageKey {
    /// One entry: a regular expression that must match the whole of `schema.table` (case does not matter), and the
    /// columns of the key in order.
    ///
    /// # Errors
    /// A pattern that cannot be read, or no columns.
    pub fn new(tables: &str, columns: Vec<String>) -> Result<Self, MessageKeyError> {
        if columns.is_empty() || columns.iter().any(String::is_empty) {
            return Err(MessageKeyError(format!("the key of {tables:?} names no column")));
        }
        let tables = Regex::new(&format!("(?i)^(?:{tables})$"))
            .map_err(|error| MessageKeyError(format!("the table pattern {tables:?} cannot be read: {error}")))?;
        Ok(Self { tables, columns })
    }

    /// Debezium's text: `db.table:col1,col2;db.other:col`.
    ///
    /// # Errors
    /// As [`MessageKey::new`], or an entry without a colon.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, MessageKeyError> {
        text.split(';')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let (tables, columns) = entry
                    .rsplit_once(':')
                    .ok_or_else(|| MessageKeyError(format!("{entry:?} is not of the form db.table:column,column")))?;
                Self::new(tables.trim(), columns.split(',').map(|column| column.trim().to_owned()).collect())
            })
            .collect()
    }

    pub(super) fn matches(&self, name: &TableName) -> bool {
        self.tables.is_match(&name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_operations_read_as_debezium_writes_them() {
        assert_eq!(SkippedOperations::parse("none"), Some(SkippedOperations::NONE));
        assert_eq!(SkippedOperations::parse("t"), Some(SkippedOperations::TRUNCATE));
        let both = SkippedOperations::parse("c, d").unwrap();
        assert!(both.contains(Op::Insert) && both.contains(Op::Delete) && !both.contains(Op::Update));
        assert_eq!(SkippedOperations::parse("r"), None);
        assert_eq!(SkippedOperations::parse(""), None);
    }

    #[test]
    fn message_keys_match_whole_names_whatever_the_case() {
        let keys = MessageKey::parse_all("inventory.customers:pk1,pk2; (.*).orders:pk3").unwrap();
        assert!(keys[0].matches(&TableName::new("Inventory", "Customers")));
        assert!(!keys[0].matches(&TableName::new("inventory", "customers2")));
        assert!(keys[1].matches(&TableName::new("any", "orders")));
        assert_eq!(keys[0].columns, ["pk1", "pk2"]);
        for bad in ["a.b", "a.b:", "a.b:x,,y", "a.(b:x"] {
            assert!(MessageKey::parse_all(bad).is_err(), "{bad}");
        }
    }
}
