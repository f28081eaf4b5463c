//! How transforms are written, and what is wrong with them.
//!
//! Owns: the cases, and rules from text for others. Does not own: the frame's own faults (`limpid-config`).

use limpid_config::{ConfigFault, Connectors, Delivers, Encodes, Fixed, SinkKind, SourceKind, load_text};

use super::*;
use crate::Stage;

const CONNECTORS: Connectors = Connectors {
    sources: &[SourceKind { name: "mysql", keys: &[], check: |_| Vec::new() }],
    sinks: &[SinkKind {
        name: "null",
        keys: &[],
        encodes: Encodes::WhenNamed,
        delivers: Delivers::AtLeastOnce,
        check: |_| Vec::new(),
    }],
    transforms: TRANSFORMS,
};

/// The rules of a file with these transforms.
pub(crate) fn rules_of(transforms: &str) -> Result<Vec<Rule>, Vec<ConfigFault>> {
    let text =
        format!("name: shop\nsource: {{ type: mysql }}\nsink: {{ type: \"null\" }}\ntransforms:\n{transforms}\n");
    let outside = Fixed::new().variable("KEY", "0123456789abcdef").variable("SHORT", "hunter2");
    let spec = load_text("a.yaml", text.as_bytes(), &CONNECTORS, &outside)?;
    assert!(Stage::new(&spec.transforms).is_ok_and(|stage| stage.is_some()));
    rules(&spec.transforms)
}

/// The faults of these transforms, each as `LINE:COLUMN message`; the first of them stands in line 5.
fn check(transforms: &str, expected: &[&str]) {
    let tell = |fault: &ConfigFault| format!("{}:{} {fault}", fault.place().line, fault.place().column);
    let told: Vec<String> = match rules_of(transforms) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(tell).collect(),
    };
    assert!(!told.iter().any(|line| line.contains("hunter2")), "a secret is shown");
    assert_eq!(told, expected, "{transforms}");
}

#[test]
fn every_kind_is_read() {
    check(
        "- { type: accept, match: { table: [\"shop.*\", \"!shop.tmp\"] } }
- { type: reject, name: no-deletes, match: { op: [delete, truncate] } }
- { type: reject, match: { table: shop.audit, op: ddl } }
- { type: rename, match: { table: shop.a }, to: \"archive.{table}_old\" }
- { type: route, match: { table: shop.* }, topic: \"all.{schema}\", shared: true }
- { type: drop-columns, match: { table: shop.a }, columns: note }
- { type: rename-columns, match: { table: shop.a }, columns: { email: mail } }
- { type: mask, match: { table: shop.a }, columns: [email], with: hash, key: \"${env:KEY}\" }
- { type: mask, match: { table: shop.a }, columns: [phone], with: partial, last: 4, fill: \"#\", missing: ignore }
- { type: mask, match: { table: shop.a }, columns: [name], with: redact, text: hidden }",
        &[],
    );
    let rules =
        rules_of("- { type: accept, match: { op: read } }\n- { type: reject, name: mine, match: { op: delete } }");
    let names: Vec<String> = rules.unwrap().iter().map(|rule| rule.name.to_string()).collect();
    assert_eq!(names, ["accept-1", "mine"]);
}

#[test]
fn what_an_entry_lacks_or_has_too_much_is_named_at_its_place() {
    check("- { type: reject, match: {} }", &["5:26 `transforms[0].match` names neither tables nor operations"]);
    check(
        "- { type: filter, expression: x }",
        &["5:11 `transforms[0].type` is \"filter\", which is not in this version"],
    );
    check("- { type: outbox }", &["5:11 `transforms[0].type` is \"outbox\", which is not in this version"]);
    check(
        "- { type: rename, match: { table: a.b, op: insert }, to: c }",
        &["5:40 `transforms[0].match.op` is not a key of this file"],
    );
    check("- { type: rename, match: { table: a.b }, to: a.b.c }", &["5:46 `transforms[0].to` is no name of a table"]);
    check("- { type: mask, match: { table: a.b }, columns: x }", &["5:3 `transforms[0].with` is missing"]);
    check(
        "- { type: route, match: { table: a.b }, topic: \"{tabel}\" }",
        &[
            "5:48 `transforms[0].topic` is refused: the topic template has no placeholder {tabel}; there are {pipeline}, \
             {schema} and {table}",
        ],
    );
    check(
        "- { type: rename-columns, match: { table: a.b }, columns: { a: x, A: y } }\n- { type: rename-columns, match: { table: \
         a.b }, columns: { b: x, c: x } }",
        &["5:59 `transforms[0].columns` renames A twice", "6:59 `transforms[1].columns` calls two columns x"],
    );
}

#[test]
fn a_mask_has_what_its_kind_needs_and_nothing_else() {
    let of = |rest: &str| format!("- {{ type: mask, match: {{ table: a.b }}, columns: x, {rest} }}");
    check(&of("with: hash"), &["5:3 `transforms[0].key` is needed with `with: hash`"]);
    check(&of("with: hash, key: \"${env:SHORT}\""), &["5:69 `transforms[0].key` is shorter than 16 bytes"]);
    check(&of("with: redact, key: \"${env:KEY}\""), &["5:71 `transforms[0].key` has a meaning with `with: hash` only"]);
    check(
        &of("with: hash, key: \"${env:KEY}\", first: 1"),
        &["5:90 `transforms[0].first` has a meaning with `with: partial` only"],
    );
    check(&of("with: partial"), &["5:3 `transforms[0].first` or `last` is needed with `with: partial`"]);
    check(
        &of("with: partial, first: 1, fill: xx"),
        &["5:83 `transforms[0].fill` is not one printable ASCII character"],
    );
    check(&of("with: partial, first: 1, fill: é"), &["5:83 `transforms[0].fill` is not one printable ASCII character"]);
    check(&of("with: partial, first: 65"), &["5:74 `transforms[0].first` is 65, which must be from 0 to 64"]);
}

#[test]
fn rules_that_contradict_each_other_are_refused_where_the_file_alone_tells() {
    let masks = |first: &str, second: &str| {
        format!(
            "- {{ type: mask, match: {{ table: {first} }}, columns: [x, y], with: redact }}\n- {{ type: drop-columns, match: {{ \
             table: {second} }}, columns: Y }}"
        )
    };
    let told = ["6:11 `transforms[1].type` contradicts transforms[0]: one drops the column y"];
    check(&masks("a.b", "a.b"), &told);
    check(&masks("a.*", "\"*.b\""), &told);
    check(&masks("a.b", "a.c"), &[]);
    check(&masks("[a.*, \"!a.b\"]", "a.b"), &[]);
    check(
        "- { type: accept, match: { table: a.* } }\n- { type: accept, match: { table: b.* } }",
        &[
            "6:11 `transforms[1].type` contradicts transforms[0]: what one accepts the other does not, so that nothing would pass",
        ],
    );
    check("- { type: accept, match: { table: a.* } }\n- { type: accept, match: { op: insert } }", &[]);
    check(
        "- { type: rename, match: { table: a.b }, to: c }\n- { type: rename, match: { table: a.* }, to: d }",
        &["6:11 `transforms[1].type` contradicts transforms[0]: both rename the same table"],
    );
    check(
        "- { type: reject, name: x, match: { op: delete } }\n- { type: reject, name: x, match: { op: insert } }",
        &["6:25 `transforms[1].name` x is already the name of transforms[0]"],
    );
}
