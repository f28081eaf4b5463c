//! The readers of outside bytes, each as one call that takes any bytes: for fuzzers and hostile tests, not for users.
//!
//! Owns: leading bytes to each reader. Does not own: what comes out, which only has to come out.
//!
//! Invariant: none of these panics, whatever the bytes.

use bytes::Bytes;
use limpid_connector::{Decode, DecodeTally, JsonText};
use limpid_model::{Batch, FaultCode, TableName};

use crate::charset::Charset;
use crate::ddl::{ScanContext, SqlMode, classify, parse_column_type, scan};
use crate::gtid::GtidSet;
use crate::history::{Charsets, History, TextCharset};
use crate::jsonb;
use crate::position::{Flavor, LogPosition};
use crate::replay::LogFile;
use crate::rows::RowsDecoder;
use crate::selection::Selection;

/// How many rows a log held, and the fault it ended with.
pub fn log(bytes: &[u8], flavor: Flavor) -> (usize, Option<FaultCode>) {
    let mut rows = 0;
    let mut file = match LogFile::open(Bytes::copy_from_slice(bytes), "bin.000001", flavor, Selection::default()) {
        Ok(file) => file,
        Err(fault) => return (0, Some(fault.code())),
    };
    let decoder = RowsDecoder { json_text: JsonText::Debezium, accept_partial_images: true };
    let mut batch = Batch::default();
    loop {
        match file.next(&mut batch) {
            Ok(true) => {}
            Ok(false) => return (rows, None),
            Err(fault) => return (rows, Some(fault.code())),
        }
        let decoded = decoder.decode(&mut batch, &mut DecodeTally::default());
        rows += batch.rows.len();
        if let Err(fault) = decoded {
            return (rows, Some(fault.code()));
        }
        for cell in &batch.cells {
            let _ = batch.bytes(*cell);
        }
    }
}

/// Binary JSON in both forms, and, cut in two, a partial update.
pub fn json(bytes: &[u8]) {
    let (before, differences) = bytes.split_at(bytes.len() / 2);
    for form in [JsonText::Server, JsonText::Debezium] {
        let mut out = Vec::new();
        let _ = jsonb::write_text(bytes, form, &mut out);
        let _ = jsonb::apply_differences(before, differences, form, &mut out);
        assert!(std::str::from_utf8(&out).is_ok(), "JSON text is UTF-8");
    }
}

/// Sets and positions in their text forms, sets in their binary form.
pub fn gtid(bytes: &[u8]) {
    if let Some(set) = GtidSet::parse_bytes(bytes) {
        assert_eq!(GtidSet::parse_bytes(&set.dump_bytes()).as_ref(), Some(&set), "a set survives its binary form");
        assert_eq!(GtidSet::parse_mysql(&set.to_string()).as_ref(), Some(&set), "a set survives its text");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for set in [GtidSet::parse_mysql(text), GtidSet::parse_mariadb(text)].into_iter().flatten() {
        assert!(set.is_subset(&set), "a set is in itself");
        let _ = set.dump_bytes();
    }
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        let _ = LogPosition::parse(text, flavor);
    }
}

/// A statement, scanned and applied to a small history. The first bytes choose the server and its mode.
pub fn statement(bytes: &[u8]) {
    let Some(([chosen], sql)) = bytes.split_first_chunk() else { return };
    let (flavor, version) = if chosen & 1 == 0 { (Flavor::MySql, 80_036) } else { (Flavor::MariaDb, 101_119) };
    let mut context = ScanContext::of_server(flavor, version, "shop");
    context.sql_mode = SqlMode(u64::from(*chosen >> 1) << 2 | u64::from(*chosen & 0x40) << 14);
    context.lower_case_names = chosen & 0x80 != 0;
    let mut history = History::new(flavor, version, Charsets::default(), TextCharset::new("utf8mb4", "utf8mb4_bin"));
    let create = "create table t (a int primary key, b varchar(20) character set latin1, c enum('x','y'), unique (b))";
    history.apply(&scan(create.as_bytes(), &context));
    let _ = classify(sql);
    let _ = parse_column_type(sql, &context);
    history.apply(&scan(sql, &context));
    let read = History::from_bytes(&history.to_bytes());
    assert!(read.is_ok_and(|read| read == history), "a history survives being saved");
    let _ = History::from_bytes(sql);
    let _ = history.table(&TableName::new("shop", "t"));
}

/// Text in the set that the first two bytes choose by a collation's number.
pub fn text(bytes: &[u8]) {
    let Some((id, text)) = bytes.split_first_chunk() else { return };
    let _ = Charset::of_collation(u16::from_le_bytes(*id) % 768).text(text);
}
