//! The keys of a sink that say how a change is written.
//!
//! Owns: the options that Debezium's users bring with them, under our spelling. Does not own: writing
//! (`limpid-codec`), the regular expressions of `message-key-columns` (there, too).
//!
//! Invariant: as for the frame.

use crate::faults::Complaint;
use crate::key::{Choice, Choices, Key};
use crate::reader::Reader;

pub(crate) const FORMAT: &[Key] = &[
    Key::choice::<FormatName>("format").doc("How a change is written. debezium-json where the sink needs one."),
    Key::choice::<DecimalHandling>("decimal-handling").default("precise").doc("How DECIMAL is written."),
    Key::choice::<TimePrecision>("time-precision")
        .default("adaptive-time-microseconds")
        .doc("How dates and times are written."),
    Key::choice::<BigintUnsigned>("bigint-unsigned-handling").default("long").doc("How BIGINT UNSIGNED is written."),
    Key::choice::<BinaryHandling>("binary-handling").default("bytes").doc("How BINARY and BLOB are written."),
    Key::choice::<Tinyint1>("tinyint1").default("number").doc("How TINYINT(1) is written."),
    Key::text("skipped-operations")
        .default("t")
        .doc("Operations that are not sent: c, u, d, t, separated by commas; or none."),
    Key::bool("tombstones").default("true").doc("Whether a record without a value follows each delete."),
    Key::text("message-key-columns")
        .doc("Keys other than the primary one: SCHEMA.TABLE:COLUMN,COLUMN;... The table is a regular expression."),
    Key::choice::<Compat>("compat").default("3.5").doc("Which Debezium the records equal, where they differ."),
    Key::bool("context-headers").default("false").doc("Whether records carry the __debezium.context.* headers."),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatName {
    DebeziumJson,
}

impl Choices for FormatName {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("debezium-json", FormatName::DebeziumJson, "Debezium's envelope without its schema."),
        Choice::later("debezium-json-schema", "Debezium's envelope with its schema."),
        Choice::later("flat-json", "The row alone."),
        Choice::later("gravity-0.1", "Gravity's."),
        Choice::later("gravity-2.0.alpha", "Gravity's."),
        Choice::later("avro", "Avro with a schema registry."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalHandling {
    Precise,
    Double,
    String,
}

impl Choices for DecimalHandling {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("precise", DecimalHandling::Precise, "The unscaled number's bytes, in base64."),
        Choice::new("double", DecimalHandling::Double, "A number, which may lose digits."),
        Choice::new("string", DecimalHandling::String, "Its digits as a text."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePrecision {
    AdaptiveTimeMicroseconds,
    Connect,
    Isostring,
    Microseconds,
    Nanoseconds,
}

impl Choices for TimePrecision {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new(
            "adaptive-time-microseconds",
            TimePrecision::AdaptiveTimeMicroseconds,
            "As fine as the column; TIME in microseconds.",
        ),
        Choice::new("connect", TimePrecision::Connect, "Milliseconds, as Kafka Connect's own types."),
        Choice::new("isostring", TimePrecision::Isostring, "ISO 8601 texts."),
        Choice::new("microseconds", TimePrecision::Microseconds, "Microseconds."),
        Choice::new("nanoseconds", TimePrecision::Nanoseconds, "Nanoseconds, for the years 1677 to 2262."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BigintUnsigned {
    Long,
    Precise,
}

impl Choices for BigintUnsigned {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("long", BigintUnsigned::Long, "A signed number: above 2^63-1 it is negative."),
        Choice::new("precise", BigintUnsigned::Precise, "As a DECIMAL."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryHandling {
    Bytes,
    Base64,
    Base64UrlSafe,
    Hex,
}

impl Choices for BinaryHandling {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("bytes", BinaryHandling::Bytes, "Bytes, which JSON shows in base64."),
        Choice::new("base64", BinaryHandling::Base64, "A text in base64."),
        Choice::new("base64-url-safe", BinaryHandling::Base64UrlSafe, "A text in base64 for URLs."),
        Choice::new("hex", BinaryHandling::Hex, "A text of hexadecimal digits."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tinyint1 {
    Number,
    Boolean,
}

impl Choices for Tinyint1 {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("number", Tinyint1::Number, "0 and 1, and whatever else is in it."),
        Choice::new("boolean", Tinyint1::Boolean, "true where it is not 0."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    V3_5,
    V3_7,
}

impl Choices for Compat {
    const TABLE: &'static [Choice<Self>] =
        &[Choice::new("3.5", Compat::V3_5, "Debezium 3.5."), Choice::new("3.7", Compat::V3_7, "Debezium 3.7.")];
}

/// Which operations are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SkippedOperations {
    pub create: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

impl SkippedOperations {
    /// `c,u,d,t` in any choice and order, or `none`.
    fn parse(text: &str) -> Option<Self> {
        let mut skipped = Self::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "c" => skipped.create = true,
                "u" => skipped.update = true,
                "d" => skipped.delete = true,
                "t" => skipped.truncate = true,
                "none" if text.trim() == "none" => {}
                _ => return None,
            }
        }
        Some(skipped)
    }
}

/// How a change is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatSpec {
    pub name: FormatName,
    pub decimal_handling: DecimalHandling,
    pub time_precision: TimePrecision,
    pub bigint_unsigned_handling: BigintUnsigned,
    pub binary_handling: BinaryHandling,
    pub tinyint1: Tinyint1,
    pub skipped_operations: SkippedOperations,
    pub tombstones: bool,
    /// As Debezium has it, `SCHEMA.TABLE:COLUMN,COLUMN;...`, each entry whole; empty where there is none.
    pub message_key_columns: String,
    pub compat: Compat,
    pub context_headers: bool,
}

impl FormatSpec {
    /// Refuses what the table cannot state; `None` then.
    pub(crate) fn read(keys: &Reader<'_>, name: FormatName) -> Option<Self> {
        let skipped = SkippedOperations::parse(&keys.text("skipped-operations")).or_else(|| {
            let help = "write letters of c (insert), u (update), d (delete), t (truncate) with commas, or none";
            keys.refuse("skipped-operations", Complaint::bad_value("is no list of operations").help(help))
        });
        let columns = keys.optional_text("message-key-columns").unwrap_or_default();
        let whole = |entry: &str| {
            let (table, names) = entry.rsplit_once(':')?;
            (!table.trim().is_empty() && names.split(',').all(|name| !name.trim().is_empty())).then_some(())
        };
        let entries = columns.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        let mut entries_whole = true;
        for entry in entries {
            entries_whole &= whole(entry).is_some();
        }
        if !entries_whole {
            let help = "write SCHEMA.TABLE:COLUMN,COLUMN;SCHEMA.TABLE:COLUMN";
            return keys
                .refuse("message-key-columns", Complaint::bad_value("has an entry without its columns").help(help));
        }
        Some(Self {
            name,
            decimal_handling: keys.choice("decimal-handling"),
            time_precision: keys.choice("time-precision"),
            bigint_unsigned_handling: keys.choice("bigint-unsigned-handling"),
            binary_handling: keys.choice("binary-handling"),
            tinyint1: keys.choice("tinyint1"),
            skipped_operations: skipped?,
            tombstones: keys.bool("tombstones"),
            message_key_columns: columns,
            compat: keys.choice("compat"),
            context_headers: keys.bool("context-headers"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_operations_are_debeziums_letters() {
        let parse = |text| SkippedOperations::parse(text);
        assert_eq!(parse("t"), Some(SkippedOperations { truncate: true, ..Default::default() }));
        assert_eq!(parse("none"), Some(SkippedOperations::default()));
        assert_eq!(parse(" c , d"), Some(SkippedOperations { create: true, delete: true, ..Default::default() }));
        for bad in ["x", "c;d", "none,c", "c,,d", "C"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
