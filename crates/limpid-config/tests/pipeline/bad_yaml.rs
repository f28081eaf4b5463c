//! What YAML itself refuses, and what we refuse of it.

use crate::registry::{Case, check, faults_of};

const GOOD: &str = "\
name: shop
source:
  type: mysql
  url: mysql://db:3306
  password: ${env:DB_PASSWORD}
  tables: [\"shop.*\"]
  snapshot: never
sink:
  type: stdout
  delivery: at-least-once
on-row-error: halt-table
";

#[test]
fn each_slip_of_yaml_has_its_place() {
    const CASES: &[Case] = &[
        ("name: shop", "name: [shop", &["2:7 CONFIG_SYNTAX this is no YAML: illegal placement of ':' indicator"]),
        (
            "name: shop",
            "name: shop\nname: other",
            &["2:1 CONFIG_SYNTAX `name` is written twice, first in line 1 | remove one of the two"],
        ),
        (
            "  url:",
            " url:",
            &["4:2 CONFIG_SYNTAX this is no YAML: while parsing a block mapping, did not find expected key"],
        ),
        ("  url:", "\turl:", &["3:9 CONFIG_SYNTAX this is no YAML: while scanning a plain scalar, found a tab"]),
        (
            "${env:DB_PASSWORD}",
            "*secret",
            &[
                "5:13 CONFIG_SYNTAX this is no YAML: while parsing node, found unknown anchor | a text that begins with one of * & ! % @ ` needs quotes",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "@hunter2",
            &[
                "5:13 CONFIG_SYNTAX this is no YAML: unexpected character: `@' | a text that begins with one of * & ! % @ ` needs quotes",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "!vault hunter2",
            &[
                "5:20 CONFIG_SYNTAX the tag !vault has no meaning here | remove it; a text that begins with ! needs quotes",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "a: hunter2",
            &[
                "5:14 CONFIG_SYNTAX this is no YAML: mapping values are not allowed in this context | check the indentation; a text with a colon and a space in it needs quotes",
            ],
        ),
        (
            "${env:DB_PASSWORD}",
            "\"hunter2",
            &["6:13 CONFIG_SYNTAX this is no YAML: invalid trailing content after double-quoted scalar"],
        ),
        (
            "${env:DB_PASSWORD}",
            "99999999999999999999999999999999999999999999",
            &["5:13 CONFIG_SYNTAX this number is too large | put it in quotes if it is a text"],
        ),
        (
            "name: shop",
            "name: shop\n---\nname: other",
            &[
                "2:1 CONFIG_SYNTAX a second document begins here; a file holds one pipeline | put each pipeline into a file of its own",
            ],
        ),
        ("name: shop", "? [a, b]\n: c\nname: shop", &["1:3 CONFIG_SYNTAX a key must be a single word or text"]),
        (
            "name: shop",
            "a: &a [*a]\nname: shop",
            &["1:8 CONFIG_SYNTAX this alias repeats the value that it is part of"],
        ),
        ("name: shop", "name: shop\n<<: 5", &["2:5 CONFIG_SYNTAX << takes a table of keys or a list of them"]),
        ("name: shop", "&n name: shop\n*n : x", &["2:1 CONFIG_SYNTAX a key must be written out, not be an alias"]),
        (
            "tables: [\"shop.*\"]",
            "tables: [\"shop.*\"]\n  tables: []",
            &["7:3 CONFIG_SYNTAX `tables` is written twice, first in line 6 | remove one of the two"],
        ),
    ];
    check("a.yaml", GOOD, CASES);
}

#[test]
fn a_file_that_is_no_pipeline_says_so() {
    let told = |text: &str| faults_of("a.yml", text).join("\n");
    let empty = "0:0 CONFIG_SYNTAX the file is empty | write a pipeline: name, source, sink";
    assert_eq!(told(""), empty);
    assert_eq!(told("# nothing\n"), empty);
    assert_eq!(told("- a\n- b\n"), "1:1 CONFIG_SYNTAX the file must be a table of keys, not a list");
    assert_eq!(told("hello\n"), "1:1 CONFIG_SYNTAX the file must be a table of keys, not a text");
    let nothing = [
        "1:1 CONFIG_MISSING_KEY `name` is missing | add `name`, a text",
        "1:1 CONFIG_MISSING_KEY `source` is missing | add `source`, a table of keys",
        "1:1 CONFIG_MISSING_KEY `sink` is missing | add `sink`, a table of keys",
    ];
    assert_eq!(told("{}"), nothing.join("\n"));
}

#[test]
fn aliases_and_merges_are_read_and_bounded() {
    let merged = GOOD.replace("  type: stdout", "  <<: &s {type: stdout, tombstones: false}\n  tombstones: true");
    assert_eq!(faults_of("a.yaml", &merged), [""; 0]);
    let mut laughs = String::from("l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..9 {
        let repeated = vec![format!("*l{}", n - 1); 9].join(", ");
        laughs.push_str(&format!("l{n}: &l{n} [{repeated}]\n"));
    }
    let found = faults_of("a.yaml", &laughs).join("\n");
    assert!(found.starts_with("5:9 CONFIG_SYNTAX the file holds too much from here on, or its aliases"), "{found}");
    let deep = format!("a: {}{}\n", "[".repeat(40), "]".repeat(40));
    let too_deep = "CONFIG_SYNTAX the file is nested more than 32 levels deep here | no key of a pipeline is that deep";
    assert_eq!(faults_of("a.yaml", &deep), [format!("1:35 {too_deep}")]);
    let deeper = "[".repeat(100_000);
    assert_eq!(faults_of("a.yaml", &deeper), ["1:256 CONFIG_SYNTAX this is no YAML: recursion limit exceeded"]);
    let huge = "#".repeat((1 << 20) + 1);
    let too_large = "0:0 CONFIG_SYNTAX the file is larger than 1 MiB, too large for a pipeline | check that this is the file you meant";
    assert_eq!(faults_of("a.yaml", &huge), [too_large]);
}
