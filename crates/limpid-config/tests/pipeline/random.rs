//! Random input: an answer with a place, never a panic, never a secret.

use proptest::prelude::*;

use limpid_config::load_text;

use crate::registry::{CONNECTORS, outside};

const FILES: [&str; 3] = ["a.yaml", "a.toml", "a.json"];

/// Every syntax's answer to these bytes; a fault has a code, a place and a sentence.
fn answer(bytes: &[u8]) {
    for file in FILES {
        if let Err(faults) = load_text(file, bytes, &CONNECTORS, &outside()) {
            assert!(!faults.is_empty(), "{file}: refused without a fault");
            for fault in &faults {
                let (lines, line) = (bytes.split(|byte| *byte == b'\n').count(), fault.place().line as usize);
                assert!(line <= lines.max(1), "{file}: line {line} of {lines}");
                assert!(!fault.to_string().is_empty());
                assert!(!format!("{fault:?}").contains("hunter2"));
            }
        }
    }
}

/// Pieces of pipeline files and of what the parsers are most sensitive to.
fn fragment() -> impl Strategy<Value = String> {
    let pieces = [
        "name",
        "source",
        "sink",
        "type",
        "mysql",
        "kafka",
        "tls",
        "transforms",
        "verify",
        "enabled",
        "snapshot",
        "never",
        "${env:WORD}",
        "${file:/run/secrets/pd}",
        "${",
        "$${",
        ":",
        ": ",
        "=",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        ",",
        "{",
        "}",
        "[",
        "]",
        "[[",
        "]]",
        "\"",
        "'",
        "\\u",
        "\\ud800",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!x ",
        "? ",
        "|",
        "|+\n",
        ">",
        "#",
        "---",
        "...",
        "%YAML 1.2\n",
        "null",
        "true",
        "1e999",
        "-0",
        "0x",
        "9".repeat(50).leak(),
        "1979-05-27",
        "ä",
        "\u{feff}",
        "\t",
        "\r\n",
        "\0",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        answer(&bytes);
    }

    #[test]
    fn any_text_of_our_own_pieces_has_an_answer(text in fragment()) {
        answer(text.as_bytes());
    }

    #[test]
    fn the_contracts_example_may_be_cut_and_garbled_anywhere(
        at in 0..4_000usize, cut in 0..200usize, put in fragment(),
    ) {
        let example = include_bytes!("contract.yaml");
        let at = at.min(example.len());
        let end = (at + cut).min(example.len());
        answer(&[&example[..at], put.as_bytes(), &example[end..]].concat());
    }
}

/// What a value of a JSON tree may be, written in all three syntaxes alike.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~äß\n\t\"\\\\]{0,12}".prop_map(Value::from),
    ];
    let name = "[a-z-]{1,6}";
    leaf.prop_recursive(4, 30, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_read_as_another_reader_does_and_as_yaml_does(tree in prop::collection::btree_map("[a-z]{1,8}", json(), 1..6)) {
        // As JSON is YAML 1.2, both must find the same keys and values, and so say the same of them.
        let text = serde_json::to_string_pretty(&tree).expect("a tree can be written");
        let told = |file: &str| match load_text(file, text.as_bytes(), &CONNECTORS, &outside()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(|fault| {
                let place = fault.place();
                format!("{}:{} {fault}", place.line, place.column)
            }).collect::<Vec<_>>(),
        };
        prop_assert_eq!(told("a.json"), told("a.yaml"));
        prop_assert!(told("a.json").iter().all(|fault| !fault.contains("this is no")), "{:?}", told("a.json"));
    }
}
