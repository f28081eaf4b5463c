//! Compares our records with what Debezium made of the same log.
//!
//! Owns: reading a recorded file, the comparison, and the list of deviations that we mean to have. Does not own:
//! decoding the recorded log, choosing options (the tests that include this file by `#[path]`).
//!
//! Invariant: after the deviations below were written into Debezium's text, keys, values and headers are compared byte
//! by byte; only the envelope's own three times and the `__debezium.context.*` headers are left out. A deviation that
//! never applied is a difference too, so the list cannot outlive its reasons.

use std::fmt;

use serde_json::Value;

/// One record, its parts as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub key: Option<String>,
    /// `None` for a tombstone.
    pub value: Option<String>,
    pub headers: Vec<(String, String)>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the record in both lists, from 0.
    pub record: usize,
    pub what: String,
    pub ours: String,
    pub theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}\n  ours   {}\n  theirs {}", self.record, self.what, self.ours, self.theirs)
    }
}

/// One deviation that we mean to have: a field whose text is another with us.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// `server/file` of the recording, either may be `*`.
    pub recording: &'static str,
    pub table: &'static str,
    pub column: &'static str,
    pub theirs: &'static str,
    pub ours: &'static str,
    /// The heading in docs/debezium-compat.md that argues for it.
    pub why: &'static str,
}

const fn deviation(
    recording: &'static str,
    [table, column, theirs, ours]: [&'static str; 4],
    why: &'static str,
) -> Deviation {
    Deviation { recording, table, column, theirs, ours, why }
}

/// Every deviation that the recordings show.
pub const DEVIATIONS: &[Deviation] = &[
    deviation("*/default", ["ints", "bo", "false", "0"], "BOOLEAN is a number"),
    deviation("*/default", ["ints", "bo", "true", "1"], "BOOLEAN is a number"),
    deviation("*/strings", ["ints", "bo", "false", "0"], "BOOLEAN is a number"),
    deviation("*/strings", ["ints", "bo", "true", "1"], "BOOLEAN is a number"),
    deviation("*/default", ["floats", "f", "1.17549435E-38", "1.1754944E-38"], "Doubles of Java 19"),
    deviation("*/default", ["floats", "f74", "1.100000023841858", "1.1"], "FLOAT(M,D)"),
    deviation("*/default", ["floats", "f74", "999.9998779296875", "999.9999"], "FLOAT(M,D)"),
    deviation("*/default", ["floats", "r", "123456.79", "123456.789"], "REAL"),
    deviation("*/*", ["zeros", "y", "1900", "0"], "YEAR 0000"),
    deviation("*/*", ["zeros", "yn", "1900", "0"], "YEAR 0000"),
    deviation(
        "*/default",
        ["texts", "l", "\"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}€™\"", "\"\u{81}\u{8d}\u{8f}\u{90}\u{9d}€™\""],
        "latin1's five holes",
    ),
    deviation("*/default", ["bins", "cb", "\"ab\"", "\"YWIAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/default", ["bins", "cb", "\"\"", "\"AAAAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/default", ["bins", "cb", "\"a\\u0000b\"", "\"YQBiAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/nanos", ["bins", "cb", "\"ab\"", "\"YWIAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/nanos", ["bins", "cb", "\"\"", "\"AAAAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/nanos", ["bins", "cb", "\"a\\u0000b\"", "\"YQBiAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/doubles", ["bins", "cb", "\"ab\"", "\"YWIAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/doubles", ["bins", "cb", "\"\"", "\"AAAAAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/doubles", ["bins", "cb", "\"a\\u0000b\"", "\"YQBiAA==\""], "CHAR CHARACTER SET binary"),
    deviation("*/strings", ["bins", "cb", "\"ab\"", "\"61620000\""], "CHAR CHARACTER SET binary"),
    deviation("*/strings", ["bins", "cb", "\"\"", "\"00000000\""], "CHAR CHARACTER SET binary"),
    deviation("*/strings", ["bins", "cb", "\"a\\u0000b\"", "\"61006200\""], "CHAR CHARACTER SET binary"),
    // Only the after image of an update shows the default in place of NULL.
    deviation("*/*", ["changes", "after.added", "\"new\"", "null"], "NULL where the column has a default"),
    deviation("*/nanos", ["times", "dt", "6283264147419103232", "-9223372036854775808"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt1", "6283264147519103232", "-9223372036854775808"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt3", "6283264147420103232", "-9223372036854775808"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt4", "6283264147419203232", "-9223372036854775808"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt6", "6283264147419104232", "-9223372036854775808"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt", "-4852116232933722624", "9223372036854775807"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt1", "-4852116232033722624", "9223372036854775807"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt3", "-4852116231934722624", "9223372036854775807"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt4", "-4852116231933822624", "9223372036854775807"], "Nanoseconds out of range"),
    deviation("*/nanos", ["times", "dt6", "-4852116231933723624", "9223372036854775807"], "Nanoseconds out of range"),
    deviation(
        "mysql/default",
        [
            "js",
            "j",
            concat!(
                r#""{\"d\":\"2024-02-29\",\"t\":\"12:30:01.5\",\"y\":2024,\"dt\":\"2024-02-29 12:30:01.00012\","#,
                r#"\"bin\":\"YWJj\",\"bit\":\"BQ==\",\"dec\":123.4500,\"neg\":\"12:00:00\"}""#
            ),
            concat!(
                r#""{\"d\":\"2024-02-29\",\"t\":\"12:30:01.5\",\"y\":2024,\"dt\":\"2024-02-29 12:30:01.00012\","#,
                r#"\"bin\":\"YWJj\",\"bit\":\"BQ==\",\"dec\":123.4500,\"neg\":\"-12:00:00\"}""#
            ),
        ],
        "Times inside JSON",
    ),
    deviation(
        "mariadb/default",
        ["uuids", "u", "\"0000123e-4567-e89b-12d3-a45642665544\"", "\"123e4567-e89b-12d3-a456-426655440000\""],
        "UUID",
    ),
    deviation(
        "mariadb/default",
        ["uuids", "u", "\"00ffffff-ffff-ffff-ffff-ffffffffffff\"", "\"ffffffff-ffff-ffff-ffff-ffffffffff00\""],
        "UUID",
    ),
];

/// The records of a recorded file.
///
/// # Panics
/// When the file is not as `record.sh` writes it.
pub fn read(file: &str) -> Vec<Record> {
    file.lines()
        .map(|line| {
            let json: Value = serde_json::from_str(line).expect("a recorded line is JSON");
            let text = |value: &Value| value.as_str().map(str::to_owned);
            Record {
                topic: text(&json["topic"]).expect("a record has a topic"),
                key: text(&json["key"]),
                value: text(&json["value"]),
                headers: json["headers"]
                    .as_array()
                    .expect("a record has headers")
                    .iter()
                    .map(|header| (text(&header[0]).unwrap_or_default(), text(&header[1]).unwrap_or_default()))
                    .filter(|(name, _)| !name.starts_with("__debezium.context."))
                    .collect(),
            }
        })
        .collect()
}

/// Every difference between our records and the recorded ones. `recording` is `server/file`, such as `mysql/default`.
pub fn compare(recording: &str, ours: &[Record], theirs: &[Record]) -> Vec<Difference> {
    let expected: Vec<&Deviation> = DEVIATIONS.iter().filter(|entry| applies(entry.recording, recording)).collect();
    let mut used = vec![false; expected.len()];
    let mut found = Vec::new();
    for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let theirs = with_deviations(theirs, &expected, &mut used);
        let topic = theirs.topic.clone();
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                found.push(Difference { record: number, what: format!("{what} in {topic}"), ours, theirs });
            }
        };
        differ("topic", ours.topic.clone(), theirs.topic.clone());
        differ("key", text(&ours.key), text(&theirs.key));
        differ("value", untimed(&text(&ours.value)), untimed(&text(&theirs.value)));
        differ("headers", format!("{:?}", ours.headers), format!("{:?}", theirs.headers));
    }
    if ours.len() != theirs.len() {
        let (ours, theirs) = (ours.len().to_string(), theirs.len().to_string());
        found.push(Difference { record: 0, what: "number of records".to_owned(), ours, theirs });
    }
    for (entry, used) in expected.iter().zip(used) {
        // A `*` server or file need not show it everywhere, but what names this recording must.
        let table_is_here = theirs.iter().any(|record| record.topic.ends_with(&format!(".{}", entry.table)));
        if !used && table_is_here {
            let what = format!("the deviation {:?} of {}.{} never applied", entry.why, entry.table, entry.column);
            found.push(Difference { record: 0, what, ours: entry.ours.to_owned(), theirs: entry.theirs.to_owned() });
        }
    }
    found
}

fn text(part: &Option<String>) -> String {
    part.clone().unwrap_or_else(|| "(null)".to_owned())
}

fn applies(pattern: &str, recording: &str) -> bool {
    let same = |(pattern, part): (&str, &str)| pattern == "*" || pattern == part;
    pattern.split('/').zip(recording.split('/')).all(same)
}

/// Without the envelope's own times, which no two runs share.
fn untimed(value: &str) -> String {
    match value.rfind("\",\"ts_ms\":") {
        Some(at) => value[..at].to_owned(),
        None => value.to_owned(),
    }
}

fn with_deviations(record: &Record, expected: &[&Deviation], used: &mut [bool]) -> Record {
    let mut record = record.clone();
    let Some(mut value) = record.value.take() else { return record };
    for (entry, used) in expected.iter().zip(used) {
        if !record.topic.ends_with(&format!(".{}", entry.table)) {
            continue;
        }
        let (from, column) = match entry.column.strip_prefix("after.") {
            // The image of an update that comes second.
            Some(column) if value.contains("\"op\":\"u\"") => (value.find("\"after\":").unwrap_or(0), column),
            Some(_) => continue,
            None => (0, entry.column),
        };
        let field = |content: &str| [format!("\"{column}\":{content},"), format!("\"{column}\":{content}}}")];
        for (theirs, ours) in field(entry.theirs).iter().zip(field(entry.ours)) {
            if value[from..].contains(theirs) {
                *used = true;
                value = format!("{}{}", &value[..from], value[from..].replace(theirs, &ours));
            }
        }
    }
    record.value = Some(value);
    record
}
