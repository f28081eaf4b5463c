//! The comparison with Debezium finds what it must and nothing else.
//!
//! Owns: tests of `tests/oracle/compare.rs` on its own fixtures. Does not own: decoding the recorded log.

#[path = "../../../../tests/oracle/compare.rs"]
mod compare;

use compare::{DEVIATIONS, Record, compare as differences, read};

fn recorded(recording: &str) -> Vec<Record> {
    let own = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let path = format!("{own}/../../tests/oracle/fixtures/{recording}.jsonl");
    read(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

const RECORDINGS: [&str; 10] = [
    "mariadb/default",
    "mariadb/strings",
    "mariadb/doubles",
    "mariadb/nanos",
    "mariadb/micros",
    "mysql/default",
    "mysql/strings",
    "mysql/doubles",
    "mysql/nanos",
    "mysql/micros",
];

/// Debezium's own records differ from ours just where a deviation is meant.
#[test]
fn the_recordings_differ_from_themselves_only_by_the_deviations() {
    for recording in RECORDINGS {
        let theirs = recorded(recording);
        assert!(theirs.len() >= 5, "{recording}");
        for difference in differences(recording, &theirs, &theirs) {
            assert!(difference.what.starts_with("value in oracle.types."), "{recording}: {difference}");
            let known = DEVIATIONS
                .iter()
                .any(|entry| difference.ours.contains(entry.theirs) && difference.theirs.contains(entry.ours));
            assert!(known, "{recording}: {difference}");
        }
    }
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let theirs = recorded("mariadb/micros");
    let clean = differences("mariadb/micros", &theirs, &theirs);
    assert_eq!(clean, []);
    let changes: [fn(&mut Record); 5] = [
        |record| record.topic.push('x'),
        |record| record.key = None,
        |record| record.value = record.value.take().map(|value| value.replace("\"row\":0", "\"row\":1")),
        |record| record.value = None,
        |record| record.headers.push(("a".to_owned(), "b".to_owned())),
    ];
    for change in changes {
        let mut ours = theirs.clone();
        change(&mut ours[0]);
        assert_eq!(differences("mariadb/micros", &ours, &theirs).len(), 1);
    }
    assert_eq!(differences("mariadb/micros", &theirs[1..], &theirs).last().unwrap().what, "number of records");
}

#[test]
fn envelope_times_are_left_out() {
    let theirs = recorded("mysql/micros");
    let mut ours = theirs.clone();
    for record in &mut ours {
        let value = record.value.take().unwrap();
        let at = value.rfind(",\"ts_ms\":").unwrap();
        record.value = Some(format!("{},\"ts_ms\":1,\"ts_us\":1000,\"ts_ns\":1000000}}", &value[..at]));
    }
    assert_eq!(differences("mysql/micros", &ours, &theirs), []);
}

#[test]
fn every_deviation_is_argued_for_on_its_page() {
    let page = include_str!("../../../../docs/debezium-compat.md");
    for entry in DEVIATIONS {
        assert!(page.contains(&format!("**{}**", entry.why)), "{} is not in docs/debezium-compat.md", entry.why);
    }
}
