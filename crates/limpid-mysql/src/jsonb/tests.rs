//! Binary JSON against what real ones print, and against bytes nobody wrote.
//!
//! Owns: the comparison with `fixtures` (made by `record.py`: MySQL 8.0.15, Debezium 3.5's reader on Java 25), hazards
//! by hand, properties. Does not own: doubles and paths by themselves (beside their code).
//!
//! Invariant: every recorded value is compared in both forms; a deviation from Debezium is listed with our text.

use std::io::Read;

use proptest::prelude::*;

use super::*;

/// What Debezium garbles, and our text of it: see the front file.
const REPAIRED: [(&str, &str); 16] = [
    ("unsigned 2147483648", "2147483648"),
    ("unsigned in array 2147483648", "[2147483648]"),
    ("unsigned 3000000000", "3000000000"),
    ("unsigned in array 3000000000", "[3000000000]"),
    ("unsigned 4294967295", "4294967295"),
    ("unsigned in array 4294967295", "[4294967295]"),
    ("datetime 9999-12-31 23:59:59.999999", r#"{"d":"9999-12-31 23:59:59.999999"}"#),
    ("time -01:30:00", r#"{"t":"-01:30:00"}"#),
    ("time -00:00:00.000001", r#"{"t":"-00:00:00.000001"}"#),
    // 8.0.15 itself stores hours above 24 wrongly: these are -838:59:59 and -25:00:00 to the user, not in the bytes.
    ("time -838:59:59", r#"{"t":"-630:59:59"}"#),
    ("time -25:00:00", r#"{"t":"-25:00:00"}"#),
    ("time -00:00:01", r#"{"t":"-00:00:01"}"#),
    ("time -12:34:56.789000", r#"{"t":"-12:34:56.789"}"#),
    ("time column", r#"["21:22:23.456","-10:00:01"]"#),
    ("datetime columns", r#"{"d3":"2519-12-31 23:59:59.9","da":"1000-01-01","dt":"2524-06-07 08:59:10"}"#),
    ("large object, inline unsigned", ""),
];

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("hexadecimal") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn inflated(text: &str) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&hex(text)[..]).read_to_end(&mut plain).expect("zlib");
    plain
}

fn binary(column: &str) -> Vec<u8> {
    column.strip_prefix("z:").map_or_else(|| hex(column), inflated)
}

fn text(column: &str) -> String {
    column.strip_prefix("z:").map_or_else(|| column.to_owned(), |packed| String::from_utf8(inflated(packed)).unwrap())
}

fn rows<const N: usize>(file: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    file.lines().map(|line| line.split('\t').collect::<Vec<_>>().try_into().expect("as many columns"))
}

#[track_caller]
fn check(name: &str, expected: &str, print: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
    let mut out = b"before".to_vec();
    assert_eq!(print(&mut out), Some(()), "{name}");
    assert_eq!(std::str::from_utf8(&out[6..]).unwrap(), expected, "{name}");
}

#[track_caller]
fn check_refused(data: &[u8]) {
    for form in [JsonText::Server, JsonText::Debezium] {
        let mut out = b"before".to_vec();
        assert_eq!(write_text(data, form, &mut out), None, "{data:x?}");
        assert_eq!(out, b"before");
    }
}

#[test]
fn values_print_as_the_server_and_debezium_print_them() {
    let mut repaired = 0;
    for [name, stored, server, debezium] in rows(include_str!("fixtures/values.tsv")) {
        let (stored, server, debezium) = (binary(stored), text(server), text(debezium));
        check(name, &server, |out| write_text(&stored, JsonText::Server, out));
        let ours = match REPAIRED.iter().find(|(repaired, _)| *repaired == name) {
            None => debezium,
            Some((_, ours)) => {
                repaired += 1;
                // Without an escape in it, our form is the server's without the blanks.
                let ours = if ours.is_empty() { server.replace(' ', "") } else { (*ours).to_owned() };
                assert_ne!(ours, debezium, "{name}: Debezium is right about it by now");
                ours
            }
        };
        check(name, &ours, |out| write_text(&stored, JsonText::Debezium, out));
    }
    assert_eq!(repaired, REPAIRED.len());
}

#[test]
fn partial_updates_make_what_the_server_made() {
    for [name, before, diffs, server, debezium] in rows(include_str!("fixtures/partial.tsv")) {
        let (before, diffs) = (binary(before), binary(diffs));
        check(name, &text(server), |out| apply_differences(&before, &diffs, JsonText::Server, out));
        check(name, &text(debezium), |out| apply_differences(&before, &diffs, JsonText::Debezium, out));
    }
}

#[test]
fn no_bytes_at_all_are_null() {
    for form in [JsonText::Server, JsonText::Debezium] {
        check("empty", "null", |out| write_text(&[], form, out));
        check("empty and unchanged", "null", |out| apply_differences(&[], &[], form, out));
    }
}

#[test]
fn text_typed_opaque_prints_as_newer_servers_print_it() {
    let stored = [0x0f, 253, 3, b'a', b'"', b'b'];
    check("text", r#""a\"b""#, |out| write_text(&stored, JsonText::Server, out));
    check("text", r#""YSJi""#, |out| write_text(&stored, JsonText::Debezium, out));
    check("not UTF-8", r#""base64:type253:/w==""#, |out| write_text(&[0x0f, 253, 1, 0xff], JsonText::Server, out));
}

#[test]
fn every_cut_of_a_document_is_refused_or_whole() {
    for [_, stored, ..] in rows::<4>(include_str!("fixtures/values.tsv")) {
        let stored = binary(stored);
        for len in (1..stored.len()).take(300) {
            let mut out = Vec::new();
            // A removal in place leaves free bytes at the end, so a cut may still hold the whole value.
            if write_text(&stored[..len], JsonText::Server, &mut out).is_none() {
                assert!(out.is_empty());
            }
        }
    }
}

#[test]
fn impossible_values_are_refused() {
    let nan = [&[0x0b][..], &f64::NAN.to_le_bytes()].concat();
    let infinite = [&[0x0b][..], &f64::INFINITY.to_le_bytes()].concat();
    check_refused(&nan);
    check_refused(&infinite);
    check_refused(&[0x0d, 0]); // no such type
    check_refused(&[0x04, 3]); // no such literal
    check_refused(&[0x0c, 1, 0xff]); // not UTF-8
    check_refused(&[0x0c, 0x80, 0x80, 0x80, 0x80, 0x80, 0]); // a length without an end
    check_refused(&[0x0c, 0xff, 0xff, 0xff, 0xff, 0x7f]); // 34 GB of text
    check_refused(&[0x0f, 246, 2, 2, 3]); // a DECIMAL with more decimals than digits
    check_refused(&[0x0f, 246, 3, 1, 0, 0xe3]); // a digit above nine
    check_refused(&[0x0f, 10, 7, 0, 0, 0, 0, 0, 0, 0]); // a date of seven bytes
    for packed in [60i64 << 24, 60 << 30, 839 << 36, 1_000_000, i64::MIN] {
        check_refused(&[&[0x0f, 11, 8][..], &packed.to_le_bytes()].concat());
    }
    for packed in [(10_000 * 13i64) << 46, -1] {
        check_refused(&[&[0x0f, 12, 8][..], &packed.to_le_bytes()].concat());
    }
}

#[test]
fn claimed_counts_and_offsets_outside_are_refused() {
    check_refused(&[0x03, 0xff, 0xff, 0xff, 0xff, 8, 0, 0, 0]); // four billion elements in eight bytes
    check_refused(&[0x03, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    check_refused(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    check_refused(&[0x02, 1, 0, 7, 0, 0x02, 0, 0]); // an element that is its own container
    check_refused(&[0x02, 1, 0, 7, 0, 0x02, 7, 0]); // one behind the end
    check_refused(&[0x02, 1, 0, 0xff, 0xff, 0x05, 1, 0]); // a size beyond the bytes
    check_refused(&[0x00, 1, 0, 11, 0, 3, 0, 1, 0, 0x04, 0]); // a key inside the entries
    check_refused(&[0x00, 1, 0, 11, 0, 11, 0, 9, 0, 0x04, 0]); // a key longer than the document
}

/// Small arrays in one another, the innermost empty.
fn nested(depth: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 4, 0];
    for _ in 1..depth {
        let size = (body.len() + 7) as u16;
        let mut outer = vec![1, 0];
        outer.extend(size.to_le_bytes());
        outer.extend([0x02, 7, 0]);
        outer.extend(body);
        body = outer;
    }
    body.insert(0, 0x02);
    body
}

#[test]
fn containers_deeper_than_the_server_allows_are_refused() {
    check("100", &("[".repeat(100) + &"]".repeat(100)), |out| write_text(&nested(100), JsonText::Server, out));
    check_refused(&nested(101));
    check_refused(&nested(9_000));
    // A value that is fine by itself, put too deep by an update.
    let mut diffs = vec![0, 4];
    diffs.extend(b"$[0]");
    let value = nested(100);
    diffs.extend([0xfc]);
    diffs.extend((value.len() as u16).to_le_bytes());
    diffs.extend(value);
    let mut out = Vec::new();
    assert_eq!(apply_differences(&nested(2), &diffs, JsonText::Server, &mut out), None);
    assert!(out.is_empty());
}

/// `depth` arrays, each of which names the next one `width` times: `width` to the power of `depth` values.
fn bomb(depth: usize, width: u16) -> Vec<u8> {
    let entries = 4 + 3 * width;
    let mut bytes = vec![0x02];
    for level in (0..depth as u16).rev() {
        bytes.extend(width.to_le_bytes());
        bytes.extend(((level + 1) * entries + 4).to_le_bytes());
        for _ in 0..width {
            bytes.push(0x02);
            bytes.extend(entries.to_le_bytes());
        }
    }
    bytes.extend([0, 0, 4, 0]);
    bytes
}

#[test]
fn shared_children_cannot_multiply() {
    check("one way down", "[[[[]]]]", |out| write_text(&bomb(3, 1), JsonText::Server, out));
    check_refused(&bomb(2, 2));
    check_refused(&bomb(99, 20));
    // Every element names the same long text.
    let mut many = vec![0x03];
    many.extend(1000u32.to_le_bytes());
    many.extend((8 + 5 * 1000 + 2 + 10_000u32).to_le_bytes());
    for _ in 0..1000 {
        many.push(0x0c);
        many.extend((8 + 5 * 1000u32).to_le_bytes());
    }
    many.extend([0x90, 0x4e]);
    many.extend(vec![b'x'; 10_000]);
    check_refused(&many);
    // Opened by updates, one way after another.
    let one = [&[2u8, 10][..], b"$[0][0][0]"].concat();
    let mut out = Vec::new();
    assert_eq!(apply_differences(&bomb(60, 20), &one.repeat(3), JsonText::Server, &mut out), None);
}

#[test]
fn differences_that_do_not_fit_are_refused() {
    // {"a": [1]}
    let before = [0x00, 1, 0, 19, 0, 11, 0, 1, 0, 0x02, 12, 0, b'a', 1, 0, 7, 0, 0x05, 1, 0];
    check("before", r#"{"a": [1]}"#, |out| write_text(&before, JsonText::Server, out));
    let difference = |operation: u8, path: &str, value: &[u8]| {
        let mut bytes = vec![operation, path.len() as u8];
        bytes.extend(path.as_bytes());
        if operation != 2 {
            bytes.push(value.len() as u8);
        }
        bytes.extend(value);
        bytes
    };
    let null = &[0x04, 0];
    for (operation, path, value) in [
        (0, "$", &null[..]),
        (0, "$.b", null),
        (0, "$.a[1]", null),
        (0, "$.a.b", null),
        (0, "$[0]", null),
        (0, "$.a[0][0]", null),
        (0, "$.a[0].b", null),
        (0, "$.a", &[]),
        (0, "$.a", &[0x04]),
        (1, "$.a", null),
        (1, "$[0]", null),
        (1, "$.a.b", null),
        (1, "$.b.c", null),
        (2, "$.b", &[]),
        (2, "$.a[1]", &[]),
        (2, "$.a[last-1]", &[]),
        (2, "$.a.b", &[]),
        (2, "$", &[]),
        (3, "$.a", &[]),
    ] {
        let mut out = Vec::new();
        let bytes = difference(operation, path, value);
        assert_eq!(apply_differences(&before, &bytes, JsonText::Server, &mut out), None, "{operation} {path}");
        assert!(out.is_empty());
    }
    let bytes = difference(1, "$.a[last]", null);
    check("insert", r#"{"a": [null, 1]}"#, |out| apply_differences(&before, &bytes, JsonText::Server, out));
    for len in 1..bytes.len() {
        assert_eq!(apply_differences(&before, &bytes[..len], JsonText::Server, &mut Vec::new()), None);
    }
}

/// What holds whatever the input: the old content stays, new content is UTF-8 and no longer than the front file says.
fn hold(input: usize, print: impl Fn(JsonText, &mut Vec<u8>) -> Option<()>) {
    for form in [JsonText::Server, JsonText::Debezium] {
        let mut out = b"before".to_vec();
        let printed = print(form, &mut out);
        assert!(out.starts_with(b"before"));
        assert_eq!(printed.is_none(), out.len() == 6);
        assert!(std::str::from_utf8(&out).is_ok());
        assert!(out.len() - 6 < 150 * input + 16);
    }
}

fn recorded() -> Vec<Vec<u8>> {
    rows::<4>(include_str!("fixtures/values.tsv")).map(|[_, stored, ..]| binary(stored)).collect()
}

fn recorded_updates() -> Vec<(Vec<u8>, Vec<u8>)> {
    rows::<5>(include_str!("fixtures/partial.tsv"))
        .map(|[_, before, diffs, ..]| (binary(before), binary(diffs)))
        .collect()
}

fn mutated(mut bytes: Vec<u8>, mutations: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in mutations {
        if !bytes.is_empty() {
            // Mostly where the structure is.
            let reach = bytes.len().min(120);
            bytes[at.index(reach)] = *byte;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_break_nothing(kind in 0u8..17, mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        bytes.insert(0, kind);
        hold(bytes.len(), |form, out| write_text(&bytes, form, out));
    }

    #[test]
    fn random_containers_break_nothing(bytes in prop::collection::vec(0u8..24, 0..300)) {
        hold(bytes.len(), |form, out| write_text(&bytes, form, out));
    }

    #[test]
    fn mutated_documents_break_nothing(
        stored in prop::sample::select(recorded()),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let bytes = mutated(stored, &mutations);
        hold(bytes.len(), |form, out| write_text(&bytes, form, out));
    }

    #[test]
    fn mutated_updates_break_nothing(
        (before, diffs) in prop::sample::select(recorded_updates()),
        old in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        new in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let (before, diffs) = (mutated(before, &old), mutated(diffs, &new));
        hold(before.len() + diffs.len(), |form, out| apply_differences(&before, &diffs, form, out));
    }

    #[test]
    fn random_differences_break_nothing(diffs in prop::collection::vec(any::<u8>(), 0..100)) {
        let before = recorded_updates().swap_remove(0).0;
        hold(before.len() + diffs.len(), |form, out| apply_differences(&before, &diffs, form, out));
    }

    #[test]
    fn strings_escape_as_byte_by_byte(text in "[ -~\"\\\\\u{0}-\u{1f}é😀]{0,120}") {
        let mut stored = vec![0x0c, text.len() as u8 & 0x7f | 0x80, (text.len() >> 7) as u8];
        stored.extend(text.as_bytes());
        let mut expected = String::from("\"");
        for letter in text.chars() {
            match letter {
                '"' | '\\' => expected.extend(['\\', letter]),
                '\u{8}' => expected += "\\b",
                '\t' => expected += "\\t",
                '\n' => expected += "\\n",
                '\u{c}' => expected += "\\f",
                '\r' => expected += "\\r",
                '\0'..' ' => expected += &format!("\\u{:04x}", letter as u32),
                _ => expected.push(letter),
            }
        }
        expected.push('"');
        check("string", &expected, |out| write_text(&stored, JsonText::Server, out));
    }
}
