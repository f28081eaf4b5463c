//! Makes our own records of a recorded log, under the options that Debezium had.
//!
//! Owns: the five recordings with their options and tables; the way log, decoder, encoder, records. Does not own: the
//! comparison (`compare`, which must be included beside this file).
//!
//! Invariant: options here and in `record.sh` are the same; a fault of any table or a broken log panics.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use limpid_codec::{
    BigintUnsignedHandling, BinaryHandling, Connector, DebeziumEncoder, DebeziumOptions, DecimalHandling, MessageKey,
    SkippedOperations, TimePrecision, TinyInt1, TopicRegistry, TopicTemplate,
};
use limpid_connector::{Decode, DecodeTally, Encode, EncodeTally, EncodedBatch, JsonText};
use limpid_model::PipelineName;
use limpid_mysql::{Flavor, LogFile, RowsDecoder, Selection};

use super::compare::{Record, read};

/// One file that Debezium wrote.
pub struct Recording {
    pub file: &'static str,
    pub options: DebeziumOptions,
    /// Patterns of `source.tables`.
    pub tables: &'static [&'static str],
}

const FEW: &[&str] = &[
    "types.ints",
    "types.decimals",
    "types.times",
    "types.zeros",
    "types.bins",
    "types.changes",
    "types.composite",
    "types.nokey",
];

/// The five recordings of a server; the last row's own table is in none of them.
pub fn recordings(flavor: Flavor) -> [Recording; 5] {
    let connector = match flavor {
        Flavor::MySql => Connector::MySql,
        Flavor::MariaDb => Connector::MariaDb,
    };
    let base = || DebeziumOptions::new(PipelineName::parse("oracle").expect("a legal name"), connector);
    let strings = DebeziumOptions {
        decimal_handling: DecimalHandling::String,
        time_precision: TimePrecision::Connect,
        bigint_unsigned_handling: BigintUnsignedHandling::Precise,
        binary_handling: BinaryHandling::Hex,
        tombstones: false,
        skipped_operations: SkippedOperations::NONE,
        message_key_columns: MessageKey::parse_all("types.composite:v,a;types.nokey:n").expect("legal keys"),
        ..base()
    };
    let doubles = DebeziumOptions {
        decimal_handling: DecimalHandling::Double,
        time_precision: TimePrecision::Isostring,
        binary_handling: BinaryHandling::Base64UrlSafe,
        skipped_operations: SkippedOperations::DELETE,
        tinyint1: TinyInt1::Boolean,
        ..base()
    };
    let nanos = DebeziumOptions {
        time_precision: TimePrecision::Nanoseconds,
        binary_handling: BinaryHandling::Base64,
        ..base()
    };
    let micros = DebeziumOptions { time_precision: TimePrecision::Microseconds, ..base() };
    [
        Recording { file: "default", options: base(), tables: &["types.*", "!types.done"] },
        Recording { file: "strings", options: strings, tables: FEW },
        Recording { file: "doubles", options: doubles, tables: FEW },
        Recording { file: "nanos", options: nanos, tables: &["types.times", "types.bins"] },
        Recording { file: "micros", options: micros, tables: &["types.times"] },
    ]
}

/// The folder's name of a server.
pub fn server(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::MySql => "mysql",
        Flavor::MariaDb => "mariadb",
    }
}

/// What Debezium made of the log.
pub fn theirs(flavor: Flavor, recording: &Recording) -> Vec<Record> {
    let path = fixture(flavor, &format!("{}.jsonl", recording.file));
    read(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// What we make of the log `bin.000001` (or of `bin.000002`, which Debezium cannot read).
pub fn ours(flavor: Flavor, log: &str, options: DebeziumOptions, tables: &[&str]) -> Vec<Record> {
    let path = fixture(flavor, log);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tables = tables.iter().map(|pattern| (*pattern).to_owned()).collect();
    let selection = Selection { tables, columns: Vec::new() };
    let mut file = LogFile::open(bytes.into(), log, flavor, selection).expect("the fixture is a log");
    let topics = Arc::new(TopicRegistry::new(TopicTemplate::default()));
    let mut encoder = DebeziumEncoder::new(options, topics);
    let decoder = RowsDecoder { json_text: JsonText::Debezium, accept_partial_images: false };
    let mut out = EncodedBatch::default();
    let mut records = Vec::new();
    loop {
        let more = file.next(&mut out.batch).expect("the fixture can be read");
        records_of(&mut out, &decoder, &mut encoder, &mut records);
        if !more {
            return records;
        }
    }
}

fn records_of(out: &mut EncodedBatch, decoder: &RowsDecoder, encoder: &mut DebeziumEncoder, to: &mut Vec<Record>) {
    let mut decoded = DecodeTally::default();
    decoder.decode(&mut out.batch, &mut decoded).expect("the fixture can be decoded");
    assert!(decoded.table_faults.is_empty(), "{:?}", decoded.table_faults);
    let mut encoded = EncodeTally::default();
    encoder.encode(out, 0, &mut encoded);
    assert!(encoded.table_faults.is_empty(), "{:?}", encoded.table_faults);
    let text = |span| out.get(span).map(|bytes| String::from_utf8(bytes.to_vec()).expect("records are UTF-8"));
    to.extend(out.records.iter().map(|record| {
        let (first, count) = (record.headers.0 as usize, record.headers.1 as usize);
        let headers = &out.headers[first..first + count];
        Record {
            topic: out.topics[record.table as usize].as_deref().expect("a table with records has a topic").to_owned(),
            key: text(record.key),
            value: text(record.value),
            headers: headers
                .iter()
                .map(|(name, value)| (text(*name).unwrap_or_default(), text(*value).unwrap_or_default()))
                .collect(),
        }
    }));
    out.clear();
}

fn fixture(flavor: Flavor, file: &str) -> PathBuf {
    // Included by tests of crates, which lie two folders below the workspace.
    let own = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    PathBuf::from(own).join("../../tests/oracle/fixtures").join(server(flavor)).join(file)
}
