//! TOML: its own slips, and that places and remedies are TOML's.

use crate::registry::{Case, check, faults_of};

const GOOD: &str = r#"name = "shop"
on-row-error = "halt-table"

[source]
type = "mysql"
url = "mysql://db:3306"
password = "${env:DB_PASSWORD}"
tables = ["shop.*"]
snapshot = "never"
tls = { mode = "preferred" }

[sink]
type = "kafka"
brokers = ["127.0.0.1:9092"]
delivery = "at-least-once"
librdkafka = { "linger.ms" = 5 }
"#;

#[test]
fn each_slip_of_toml_has_its_place() {
    const CASES: &[Case] = &[
        (
            "name = \"shop\"",
            "name = \"shop",
            &["1:13 CONFIG_SYNTAX this is no TOML: invalid basic string, expected `\"`"],
        ),
        (
            "name = \"shop\"",
            "name = shop",
            &["1:8 CONFIG_SYNTAX this is no TOML: string values must be quoted, expected literal string"],
        ),
        ("name = \"shop\"", "name: shop", &["1:7 CONFIG_SYNTAX this is no TOML: key with no value, expected `=`"]),
        ("name = \"shop\"", "name = \"a\"\nname = \"b\"", &["2:1 CONFIG_SYNTAX this is no TOML: duplicate key"]),
        ("[source]", "[source", &["4:8 CONFIG_SYNTAX this is no TOML: unclosed table, expected `]`"]),
        ("[sink]", "[source]", &["12:2 CONFIG_SYNTAX this is no TOML: duplicate key"]),
        (
            "name = \"shop\"",
            "name = 2024-01-01T00:00:00Z",
            &[
                "1:8 CONFIG_BAD_VALUE `name` is \"2024-01-01T00:00:00Z\", which cannot be a name | use up to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit: it becomes part of topics",
            ],
        ),
        (
            "name = \"shop\"",
            "name = 99999999999999999999999999999999999999999999",
            &["1:8 CONFIG_SYNTAX this number is too large"],
        ),
        (
            "mode = \"preferred\"",
            "mod = \"preferred\"",
            &["10:9 CONFIG_UNKNOWN_KEY `source.tls.mod` is not a key of this file | did you mean `mode`?"],
        ),
        (
            "mode = \"preferred\"",
            "mode = 5",
            &[
                "10:16 CONFIG_WRONG_TYPE `source.tls.mode` must be one of disabled, preferred, required, verify-ca, verify-identity, not a number",
            ],
        ),
        (
            "\"linger.ms\" = 5",
            "linger.ms = 5",
            &[
                "16:16 CONFIG_WRONG_TYPE `sink.librdkafka.linger` must be a text or a number, not a table of keys | in TOML, a name with dots needs quotes",
            ],
        ),
        (
            "[sink]",
            "[verify]\ncycle = \"24h\"\n\n[sink]",
            &[
                "12:2 NOT_IN_THIS_VERSION `verify` is not in this version | remove it, or write `enabled = false` into it",
            ],
        ),
        (
            "[sink]",
            "[[transforms]]\ntype = \"reject\"\n\n[sink]",
            &["12:1 CONFIG_MISSING_KEY `transforms[0].match` is missing | add `match`, a table of keys"],
        ),
        (
            "\"${env:DB_PASSWORD}\"",
            "\"${env:MISSING}\"",
            &[
                "7:12 CONFIG_VARIABLE_MISSING `source.password` needs the environment variable MISSING, which is not set | set MISSING, or write $${ for a literal ${",
            ],
        ),
    ];
    check("a.toml", GOOD, CASES);
}

#[test]
fn depth_and_size_are_bounded() {
    let one = |text: &str| faults_of("a.toml", text).join("\n");
    let too_deep = "CONFIG_SYNTAX the file is nested more than 32 levels deep here | no key of a pipeline is that deep";
    assert_eq!(one(&format!("a = {}{}", "[".repeat(40), "]".repeat(40))), format!("1:37 {too_deep}"));
    assert_eq!(one(&format!("{} = 1", vec!["a"; 60].join("."))), format!("1:65 {too_deep}"));
    assert_eq!(
        one(&format!("a = {}", "[".repeat(100_000))),
        "1:85 CONFIG_SYNTAX this is no TOML: cannot recurse further; max recursion depth met"
    );
    assert_eq!(
        one(&"a\n".repeat(1 << 20)),
        "0:0 CONFIG_SYNTAX the file is larger than 1 MiB, too large for a pipeline | check that this is the file you \
         meant"
    );
}
