//! Character sets against the servers' own CONVERT.
//!
//! Owns: the comparison with running servers, and what no server can be made to hold. Does not own: the recorded
//! tables, which are not looked at here: what is expected comes from a server that runs now.
//!
//! Invariant: every code that a server calls well formed is compared, but for utf16 and utf32, of whose supplementary
//! planes every 61st is.

use limpid_stack::{mariadb, mysql, require};

use super::*;

#[test]
fn every_table_is_recorded_under_its_name() {
    assert!(TABLED.is_sorted());
    assert_eq!(TABLED[SWE7 as usize], "swe7");
    for (place, name) in TABLED.iter().enumerate() {
        assert!(Table::of(place as u8, name).has_codes(), "{name}");
    }
}

#[test]
fn a_set_nobody_knows_is_not_taken_for_another() {
    assert_eq!(Charset::of_name("klingon"), Charset::Unknown);
    for id in [0, 100, 324, 500, 768, 1024, 3328, u16::MAX] {
        assert_eq!(Charset::of_collation(id), Charset::Unknown, "{id}");
    }
}

#[test]
fn what_has_no_form_is_replaced_and_counted() {
    for (name, bytes, text, (malformed, unmapped)) in [
        ("ascii", &b"a\x80b"[..], "a\u{fffd}b", (1, 0)),
        ("ucs2", b"\x00a\xd8\x00\x00", "a\u{fffd}\u{fffd}", (2, 0)),
        ("utf16", b"\xde\x00\x00a\xd8\x3d", "\u{fffd}a\u{fffd}", (2, 0)),
        ("utf16le", b"a\x00\x3d\xd8\x00\xde\x00", "a\u{1f600}\u{fffd}", (1, 0)),
        ("utf32", b"\x00\x11\x00\x00\x00\x01\xf6\x00\x00", "\u{fffd}\u{1f600}\u{fffd}", (2, 0)),
        ("cp1250", b"a\x81", "a\u{fffd}", (0, 1)),
        // A first half before something that is no second half: the second byte stands for itself.
        ("sjis", b"\x81 \x83\x5c\x83", "\u{fffd} \u{30bd}\u{fffd}", (2, 0)),
        ("big5", b"\xc8\x40a", "\u{fffd}a", (0, 1)),
        ("gb18030", b"\x84\x32\x81\x30\x90\x30\x81\x30\x90\x30\x81", "\u{fffd}\u{10000}\u{fffd}0\u{fffd}", (2, 1)),
        ("latin1", b"\x81\x80", "\u{81}\u{20ac}", (0, 0)),
        ("swe7", b"[\\]", "\u{c4}\u{d6}\u{c5}", (0, 0)),
    ] {
        let mut out = Vec::new();
        let counted = Charset::of_name(name).to_utf8(bytes, &mut out);
        let expected = (text, Formless { malformed, unmapped });
        assert_eq!((String::from_utf8(out).unwrap().as_str(), counted), expected, "{name}");
    }
}

/// Runs a script, giving its output.
type Ask<'a> = &'a dyn Fn(&str) -> String;

#[test]
fn every_code_of_mariadb_becomes_what_its_convert_makes_of_it() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    compare(&|script| server.sql(script).unwrap(), 40);
}

#[test]
fn every_code_of_mysql_becomes_what_its_convert_makes_of_it() {
    let Some(server) = require(mysql::start(&mysql::Options::default())) else { return };
    compare(&|script| server.sql(script).unwrap(), 41);
}

#[test]
fn every_collation_of_mariadb_belongs_to_its_set() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    // Those of UCA 14 have a number for each set they are used with.
    let sql = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
    collations(&server.sql(sql).unwrap(), 1_000);
}

#[test]
fn every_collation_of_mysql_belongs_to_its_set() {
    let Some(server) = require(mysql::start(&mysql::Options::default())) else { return };
    collations(&server.sql("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS").unwrap(), 250);
}

fn collations(answer: &str, least: usize) {
    let mut seen = 0;
    for (id, set) in answer.lines().filter_map(|line| line.split_once('\t')) {
        let Ok(id) = id.parse() else { continue };
        assert_eq!(Charset::of_collation(id), Charset::of_name(set), "{id} {set}");
        assert_ne!(Charset::of_collation(id), Charset::Unknown, "{id} {set}");
        seen += 1;
    }
    assert!(seen > least, "only {seen} collations");
}

fn compare(ask: Ask<'_>, sets: usize) {
    let rows: Vec<String> = (0..256).map(|n| format!("({n},x'{n:02x}')")).collect();
    ask(&format!(
        "CREATE DATABASE codes; CREATE TABLE codes.b (n INT PRIMARY KEY, h BINARY(1)) ENGINE=InnoDB; \
         INSERT INTO codes.b VALUES {};",
        rows.join(",")
    ));
    let names = ask("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS");
    let names: Vec<&str> = names.lines().collect();
    assert_eq!(names.len(), sets);
    // `binary` is no text.
    for name in names.into_iter().filter(|name| *name != "binary") {
        let seen: usize = codes_of(name).iter().map(|codes| compare_codes(ask, name, codes)).sum();
        assert!(seen >= 128, "{name}: only {seen} codes were compared");
    }
}

/// Queries for `v` that list what may be a code of the set.
fn codes_of(name: &str) -> Vec<String> {
    let one = "SELECT h v FROM b".to_owned();
    let two = "SELECT CONCAT(a.h, b.h) v FROM b a, b b".to_owned();
    let high = format!("{two} WHERE a.n >= 128");
    let three = "SELECT CONCAT(x'8f', a.h, b.h) v FROM b a, b b WHERE a.n >= 128".to_owned();
    let four = "SELECT CONCAT(a.h, b.h, c.h, d.h) v FROM b a, b b, b c, b d WHERE a.n BETWEEN 0x81 AND 0xfe \
                AND b.n BETWEEN 0x30 AND 0x39 AND c.n BETWEEN 0x81 AND 0xfe AND d.n BETWEEN 0x30 AND 0x39";
    let sampled = |concat: &str, range: &str| {
        format!(
            "SELECT CONCAT({concat}) v FROM b a, b b, b c, b d WHERE {range} \
             AND ((a.n * 256 + b.n) * 65536 + c.n * 256 + d.n) % 61 = 0"
        )
    };
    let pairs = "a.n BETWEEN 0xd8 AND 0xdb AND c.n BETWEEN 0xdc AND 0xdf";
    match name {
        "ucs2" => vec![two],
        "utf16" => vec![two, sampled("a.h, b.h, c.h, d.h", pairs)],
        "utf16le" => vec![two, sampled("b.h, a.h, d.h, c.h", pairs)],
        "utf32" => {
            vec![two.replace("CONCAT(", "CONCAT(x'0000', "), sampled("a.h, b.h, c.h, d.h", "a.n = 0 AND b.n <= 17")]
        }
        "ujis" | "eucjpms" => vec![one, high, three],
        "gb18030" => vec![one, high, four.to_owned()],
        "utf8" | "utf8mb3" | "utf8mb4" | "big5" | "cp932" | "euckr" | "gb2312" | "gbk" | "sjis" => vec![one, high],
        _ => vec![one],
    }
}

/// Compares the codes that the server takes as they are; returns how many.
fn compare_codes(ask: Ask<'_>, name: &str, codes: &str) -> usize {
    // Without strict mode an ill-formed value is mended, so that it differs from what went in, instead of an error.
    let answer = ask(&format!(
        "SET sql_mode=''; USE codes; SELECT HEX(v), HEX(CONVERT(CONVERT(v USING {name}) USING utf8mb4)) \
         FROM ({codes}) x WHERE HEX(CONVERT(v USING {name})) = HEX(v);"
    ));
    let charset = Charset::of_name(name);
    let (mut ours, mut seen) = (Vec::new(), 0);
    for (code, theirs) in answer.lines().filter_map(|line| line.split_once('\t')) {
        let (code, theirs) = (hex(code), hex(theirs));
        ours.clear();
        let formless = charset.to_utf8(&code, &mut ours);
        if formless == Formless::default() {
            assert_eq!(ours, theirs, "{name} {code:02x?}");
        } else {
            expect_formless(name, &code, &ours, &theirs);
        }
        if code.is_ascii() && charset.is_ascii_compatible() {
            assert_eq!(code, theirs, "{name} is not compatible with ASCII");
        }
        seen += 1;
    }
    seen
}

/// A code without a form: the server writes a question mark, or bytes that are no UTF-8 (the surrogates of MariaDB's
/// ucs2), or nothing (the same in MySQL), or the replacement character itself (big5 has three codes for it).
fn expect_formless(name: &str, code: &[u8], ours: &[u8], theirs: &[u8]) {
    let ours = std::str::from_utf8(ours).unwrap();
    let Ok(theirs) = std::str::from_utf8(theirs) else {
        assert!(ours.chars().all(|c| c == char::REPLACEMENT_CHARACTER), "{name} {code:02x?}");
        return;
    };
    if !theirs.is_empty() {
        let theirs = theirs.replace('?', "\u{fffd}");
        assert_eq!(ours.replace('?', "\u{fffd}"), theirs, "{name} {code:02x?}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
