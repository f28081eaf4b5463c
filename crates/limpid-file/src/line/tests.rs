//! Tests of the line form.

use std::sync::Arc;

use limpid_connector::Span;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// One record as a test states it.
#[derive(Clone, Debug)]
struct Record {
    topic: Option<String>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn batch(records: &[Record]) -> EncodedBatch {
    let mut batch = EncodedBatch::default();
    for (index, record) in records.iter().enumerate() {
        batch.topics.push(record.topic.as_deref().map(Arc::from));
        let first = batch.headers.len() as u32;
        let key = put(&mut batch, record.key.as_deref());
        let value = put(&mut batch, record.value.as_deref());
        for (name, value) in &record.headers {
            let pair = (put(&mut batch, Some(name.as_bytes())), put(&mut batch, value.as_deref()));
            batch.headers.push(pair);
        }
        let headers = (first, record.headers.len() as u16);
        batch.records.push(RecordSpan { key, value, headers, table: index as u16, row: 0 });
    }
    batch
}

fn put(batch: &mut EncodedBatch, bytes: Option<&[u8]>) -> Span {
    let Some(bytes) = bytes else { return Span::NULL };
    let start = batch.bytes.len();
    batch.bytes.extend_from_slice(bytes);
    Span::since(start, &batch.bytes)
}

fn lines(batch: &EncodedBatch) -> String {
    let mut out = Vec::new();
    write_lines(batch, &mut Vec::new(), |chunk| {
        assert!(chunk.ends_with(b"\n"), "a chunk ends with a line");
        out.extend_from_slice(chunk);
        Ok(())
    })
    .unwrap();
    String::from_utf8(out).expect("lines are UTF-8")
}

fn check(key: Option<&str>, value: Option<&[u8]>, expected: &str) {
    let record = Record {
        topic: Some("shop.t".to_owned()),
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: Vec::new(),
    };
    assert_eq!(lines(&batch(&[record])), format!("{{\"topic\":\"shop.t\",{expected},\"headers\":{{}}}}\n"));
}

#[test]
fn json_stands_as_it_is_and_a_tombstone_is_null() {
    check(Some("{\"id\":1}"), None, "\"key\":{\"id\":1},\"value\":null");
    let text = "{\"b\": 1.10, \"a\":12345678901234567890123,\"b\":\"\\ud800\"}";
    check(None, Some(text.as_bytes()), &format!("\"key\":null,\"value\":{text}"));
    check(Some("null"), Some(b"\"\xc3\xa9\""), "\"key\":null,\"value\":\"é\"");
}

#[test]
fn a_line_break_between_tokens_does_not_end_the_line() {
    check(None, Some(b"{\r\n\"a\":\"x\\ny\"\n}"), "\"key\":null,\"value\":{  \"a\":\"x\\ny\" }");
}

#[test]
fn what_is_no_json_is_kept_as_base64() {
    check(Some("abc"), Some(b""), "\"key\":{\"$base64\":\"YWJj\"},\"value\":{\"$base64\":\"\"}");
    check(None, Some(b"\"\xff\""), "\"key\":null,\"value\":{\"$base64\":\"Iv8i\"}");
    check(None, Some(b"{} {}"), "\"key\":null,\"value\":{\"$base64\":\"e30ge30=\"}");
    check(None, Some(b"\"a\nb\""), "\"key\":null,\"value\":{\"$base64\":\"ImEKYiI=\"}");
    check(None, Some(b"\0\0\0\x01\xfb\xff"), "\"key\":null,\"value\":{\"$base64\":\"AAAAAfv/\"}");
    // Nested deeper than any parser's stack likes: valid all the same, and no crash.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(None, Some(deep.as_bytes()), &format!("\"key\":null,\"value\":{deep}"));
}

#[test]
fn a_header_has_its_name_and_value_and_a_record_without_destination_null() {
    let headers = vec![("__debezium.newkey".to_owned(), Some(b"{\"id\":2}".to_vec())), ("a\"b".to_owned(), None)];
    let record = Record { topic: None, key: None, value: None, headers };
    let expected =
        "{\"topic\":null,\"key\":null,\"value\":null,\"headers\":{\"__debezium.newkey\":{\"id\":2},\"a\\\"b\":null}}\n";
    assert_eq!(lines(&batch(&[record])), expected);
}

/// Any bytes, and often JSON with spaces and line breaks in it.
fn payload() -> impl Strategy<Value = Option<Vec<u8>>> {
    let json = prop::collection::vec(("[a-z\\n\"\\\\é]{0,4}", any::<i64>()), 0..4).prop_map(|fields| {
        let object: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        serde_json::to_vec_pretty(&object).unwrap()
    });
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    let near = "[\\[\\]{}:,\"0-9a-f\\\\ \\n-]{0,12}".prop_map(String::into_bytes);
    prop_oneof![Just(None), json.prop_map(Some), bytes.prop_map(Some), near.prop_map(Some)]
}

fn record() -> impl Strategy<Value = Record> {
    let headers = prop::collection::btree_map("[a-z.\"\\n]{0,6}", payload(), 0..3);
    (prop::option::of("[A-Za-z0-9._\\n\"-]{0,9}"), payload(), payload(), headers)
        .prop_map(|(topic, key, value, headers)| Record { topic, key, value, headers: headers.into_iter().collect() })
}

/// What a line must hold, by another way: parse the payload, or take base64 off.
fn agrees(shown: &Value, payload: Option<&[u8]>) -> bool {
    let Some(bytes) = payload else { return shown.is_null() };
    match serde_json::from_slice::<Value>(bytes) {
        Ok(json) => *shown == json,
        Err(_) => shown.get("$base64").and_then(Value::as_str).and_then(decoded).as_deref() == Some(bytes),
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bits = String::new();
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits.push_str(&format!("{value:06b}"));
    }
    let bytes = bits.as_bytes().chunks_exact(8);
    bytes.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).ok()?, 2).ok()).collect()
}

proptest! {
    #[test]
    fn every_record_is_one_line_and_nothing_of_it_is_lost(records in prop::collection::vec(record(), 0..6)) {
        let text = lines(&batch(&records));
        let shown: Vec<&str> = text.split_terminator('\n').collect();
        prop_assert_eq!(shown.len(), records.len());
        prop_assert!(text.is_empty() || text.ends_with('\n'));
        for (line, record) in shown.iter().zip(&records) {
            prop_assert!(line.as_bytes().starts_with(LINE_START));
            let line: Value = serde_json::from_str(line).expect("a line is JSON");
            prop_assert_eq!(line["topic"].as_str(), record.topic.as_deref());
            prop_assert!(agrees(&line["key"], record.key.as_deref()));
            prop_assert!(agrees(&line["value"], record.value.as_deref()));
            prop_assert_eq!(line["headers"].as_object().unwrap().len(), record.headers.len());
            for (name, value) in &record.headers {
                prop_assert!(agrees(&line["headers"][name], value.as_deref()));
            }
        }
    }
}
