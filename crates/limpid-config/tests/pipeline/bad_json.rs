//! JSON: its own slips, and that places and remedies are JSON's.

use crate::registry::{Case, check, faults_of};

const GOOD: &str = r#"{
  "name": "shop",
  "on-row-error": "halt-table",
  "source": {
    "type": "mysql",
    "url": "mysql://db:3306",
    "password": "${env:DB_PASSWORD}",
    "tables": ["shop.*"],
    "snapshot": "never"
  },
  "sink": { "type": "null", "delivery": "at-least-once" }
}
"#;

#[test]
fn each_slip_of_json_has_its_place() {
    const CASES: &[Case] = &[
        ("\"shop\",", "\"shop\"", &["3:3 CONFIG_SYNTAX a comma or a closing brace should be here"]),
        ("\"name\": \"shop\",", "\"name\" \"shop\",", &["2:10 CONFIG_SYNTAX a colon should follow the key"]),
        ("\"name\": \"shop\",", "name: \"shop\",", &["2:3 CONFIG_SYNTAX a key in double quotes should be here"]),
        (
            "\"name\": \"shop\",",
            "// a comment\n  \"name\": \"shop\",",
            &["2:3 CONFIG_SYNTAX a key in double quotes should be here"],
        ),
        (
            "\"snapshot\": \"never\"\n",
            "\"snapshot\": \"never\",\n",
            &["10:3 CONFIG_SYNTAX a key in double quotes should be here"],
        ),
        (
            "\"name\": \"shop\",",
            "\"name\": \"shop\", \"name\": \"b\",",
            &["2:19 CONFIG_SYNTAX `name` is written twice, first in line 2 | remove one of the two"],
        ),
        ("\"shop\",", "\"sh\\op\",", &["2:14 CONFIG_SYNTAX this is no JSON escape"]),
        ("\"shop\",", "\"sh\\ud800op\",", &["2:14 CONFIG_SYNTAX this is no JSON escape"]),
        ("\"shop\",", "'shop',", &["2:11 CONFIG_SYNTAX this is no JSON value"]),
        ("\"shop\",", "shop,", &["2:11 CONFIG_SYNTAX this is no JSON value"]),
        ("\"shop\",", "nul,", &["2:11 CONFIG_SYNTAX this is no JSON value"]),
        ("\"shop\",", "01,", &["2:11 CONFIG_SYNTAX this is no JSON number"]),
        ("\"shop\",", "1.,", &["2:11 CONFIG_SYNTAX this is no JSON number"]),
        ("\"shop\",", "\"shop\n\",", &["2:16 CONFIG_SYNTAX a control character in a text must be escaped"]),
        (
            "\"at-least-once\" }\n}",
            "\"at-least-once\" }\n}}",
            &["12:2 CONFIG_SYNTAX there is something after the end of the JSON value"],
        ),
        (
            "\"at-least-once\" }\n}",
            "\"at-least-once\" }",
            &["12:1 CONFIG_SYNTAX a comma or a closing brace should be here"],
        ),
        (
            "\"at-least-once\" }\n}",
            "\"at-least-once",
            &["11:55 CONFIG_SYNTAX a control character in a text must be escaped"],
        ),
        ("\"shop\",", "5,", &["2:11 CONFIG_WRONG_TYPE `name` must be a text, not a number | put it in quotes"]),
        (
            "[\"shop.*\"]",
            "[\"shop.*\", 5]",
            &["8:26 CONFIG_WRONG_TYPE `source.tables[1]` must be a text, not a number | put it in quotes"],
        ),
        (
            "\"null\"",
            "\"null\", \"tombstones\": false",
            &[
                "11:43 CONFIG_BAD_VALUE `sink.tombstones` has no effect without `sink.format` | name a format, or remove the key",
            ],
        ),
    ];
    check("a.json", GOOD, CASES);
}

#[test]
fn depth_and_size_are_bounded() {
    let one = |text: &str| faults_of("a.json", text).join("\n");
    let too_deep = "CONFIG_SYNTAX the file is nested more than 32 levels deep here | no key of a pipeline is that deep";
    assert_eq!(one(&"[".repeat(100_000)), format!("1:33 {too_deep}"));
    let too_much = one(&format!("[{}1]", "1,".repeat(400_000)));
    assert!(too_much.starts_with("1:262144 CONFIG_SYNTAX the file holds too much"), "{too_much}");
    assert_eq!(one("\u{feff}[]"), "1:1 CONFIG_SYNTAX the file must be a table of keys, not a list");
    assert_eq!(one(""), "1:1 CONFIG_SYNTAX the file ends where a JSON value should be");
}
