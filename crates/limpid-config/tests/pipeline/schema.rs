//! The exported schema against real files: what it says of them must be what `load` says.
//!
//! The validator below knows the words that the schema uses and no others; the crates that know all of draft 2020-12
//! bring 60 others.

use limpid_config::json_schema;
use serde_json::Value;

use crate::registry::{CONNECTORS, loaded};

const GOOD: &str = r#"{
  "name": "shop", "lag-limit": "60s", "on-row-error": "halt-table",
  "transforms": [{"type": "reject", "match": {"table": "a", "op": ["insert"]}}],
  "source": {
    "type": "mysql", "url": "mysql://db:3306", "user": null, "tables": ["shop.*"], "snapshot": "never", "server-id": 5,
    "connect-timeout": "10s", "buffer": "1MiB", "tls": {"mode": "preferred"}, "heartbeat": {"enabled": false}
  },
  "sink": {
    "type": "kafka", "brokers": ["k:9092"], "delivery": "at-least-once", "sasl": null, "compat": "3.5",
    "topic-creation": {"enabled": true, "replication-factor": -1, "config": {"a": 1, "b": "c"}}
  },
  "telemetry": {"metrics": {"prometheus": true, "otlp": null}, "logs": {"level": "info", "file": null}},
  "verify": {"enabled": false, "cycle": "24h"}
}"#;

#[test]
fn the_schema_and_the_reader_agree() {
    let schema: Value = serde_json::from_str(&json_schema(&CONNECTORS)).expect("the schema is JSON");
    assert!(refusal(&schema, &schema, &serde_json::from_str(GOOD).expect("it is JSON"), "").is_none());
    // Each change is one that the schema can see.
    for (from, to) in [
        ("\"name\": \"shop\", ", ""),
        ("\"name\": \"shop\"", "\"name\": 5"),
        ("\"name\": \"shop\"", "\"nam\": \"shop\""),
        ("\"60s\"", "60"),
        ("\"60s\"", "\"60sec\""),
        ("\"type\": \"reject\"", "\"type\": \"rejct\""),
        ("\"type\": \"reject\", \"match\"", "\"match\""),
        ("\"table\": \"a\", \"op\"", "\"op\""),
        ("\"table\": \"a\"", "\"table\": []"),
        ("[\"insert\"]", "[\"upsert\"]"),
        ("[\"insert\"]", "[5]"),
        ("\"halt-table\"", "\"park-row\""),
        ("\"type\": \"mysql\"", "\"type\": \"oracle\""),
        ("\"type\": \"kafka\"", "\"type\": \"stdout\""),
        ("\"tables\": [\"shop.*\"]", "\"tables\": []"),
        ("\"tables\": [\"shop.*\"]", "\"tables\": \"shop.*\""),
        ("\"never\"", "\"later\""),
        ("\"never\"", "{\"mode\": \"initial\", \"paralel\": 2}"),
        ("\"server-id\": 5", "\"server-id\": 0"),
        ("\"server-id\": 5", "\"server-id\": \"5\""),
        ("\"1MiB\"", "\"1MB\""),
        ("\"preferred\"", "\"sometimes\""),
        ("\"heartbeat\": {\"enabled\": false}", "\"heartbeat\": {\"every\": 1}"),
        ("\"brokers\": [\"k:9092\"], ", ""),
        ("\"config\": {\"a\": 1", "\"config\": {\"a\": [1]"),
        ("\"sasl\": null", "\"sasl\": {\"mechanism\": \"plain\"}"),
        ("\"compat\": \"3.5\"", "\"compat\": 3.5"),
        ("\"otlp\": null", "\"otlp\": \"http://c\", \"protocol\": \"tcp\""),
        ("\"cycle\"", "\"cycel\""),
        ("\"enabled\": false, \"cycle\": \"24h\"", "\"cycle\": \"24h\""),
    ] {
        assert_eq!(GOOD.matches(from).count(), 1, "{from}");
        let text = GOOD.replacen(from, to, 1);
        assert!(loaded("a.json", &text).is_err(), "{to}: the reader takes it");
        let value = serde_json::from_str(&text).expect("it is JSON");
        assert!(refusal(&schema, &schema, &value, "").is_some(), "{to}: the schema takes it");
    }
    // And these are as good as the first.
    for (from, to) in [
        ("\"server-id\": 5", "\"server-id\": \"${env:PORT}\""),
        ("\"table\": \"a\"", "\"table\": [\"a\", \"!b\"]"),
        ("[\"insert\"]", "\"delete\""),
        ("\"enabled\": true", "\"enabled\": \"${env:TRUE}\""),
        ("\"tls\": {\"mode\": \"preferred\"}", "\"tls\": null"),
        (", \"snapshot\": \"never\"", ""),
        ("\"never\"", "{\"mode\": \"only\", \"where\": {\"shop.a\": \"id > 1\"}, \"parallel\": 4}"),
        ("\"user\": null", "\"user\": \"u\""),
        ("\"otlp\": null", "\"otlp\": \"http://c\", \"protocol\": \"http\""),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(refusal(&schema, &schema, &value, ""), None, "{to}");
    }
}

#[test]
fn every_key_of_the_contract_is_described() {
    let schema = json_schema(&CONNECTORS);
    for key in ["lag-limit", "message-key-columns", "skipped-operations", "on-row-error", "topic-creation", "mechanism"]
    {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
    assert!(schema.ends_with("}\n"));
}

/// Why the schema refuses this value; `None` when it takes it.
fn refusal(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let words = schema.as_object()?;
    let no = |why: &str| Some(format!("{path}: {why}"));
    for (word, wanted) in words {
        let refused = match word.as_str() {
            "$ref" => refusal(root, root.pointer(wanted.as_str()?.strip_prefix('#')?)?, value, path),
            "anyOf" => {
                let any = wanted.as_array()?.iter().any(|schema| refusal(root, schema, value, path).is_none());
                if any { None } else { no("none of several") }
            }
            "oneOf" => {
                let taken = wanted.as_array()?.iter().filter(|schema| refusal(root, schema, value, path).is_none());
                if taken.count() == 1 { None } else { no("not one of several") }
            }
            "const" => {
                if value == wanted {
                    None
                } else {
                    no("another value")
                }
            }
            "enum" => {
                if wanted.as_array()?.contains(value) {
                    None
                } else {
                    no("none of the values")
                }
            }
            "type" => {
                if is_type(value, wanted) {
                    None
                } else {
                    no("another type")
                }
            }
            "minLength" => {
                if value.as_str().is_none_or(|text| !text.is_empty()) {
                    None
                } else {
                    no("empty")
                }
            }
            "pattern" => {
                let pattern = regex_lite::Regex::new(wanted.as_str()?).expect("the pattern is one");
                if value.as_str().is_none_or(|text| pattern.is_match(text)) { None } else { no("pattern") }
            }
            "minimum" => {
                if value.as_i64().is_none_or(|n| n >= wanted.as_i64().unwrap_or(i64::MIN)) {
                    None
                } else {
                    no("too small")
                }
            }
            "maximum" => {
                if value.as_u64().is_none_or(|n| n <= wanted.as_u64().unwrap_or(u64::MAX)) {
                    None
                } else {
                    no("too large")
                }
            }
            "minItems" => {
                if value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap_or(0)) {
                    None
                } else {
                    no("too few")
                }
            }
            "maxItems" => {
                if value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap_or(0)) {
                    None
                } else {
                    no("too many")
                }
            }
            "items" => {
                value.as_array().and_then(|items| items.iter().find_map(|item| refusal(root, wanted, item, path)))
            }
            "required" => {
                let missing = |map: &serde_json::Map<String, Value>| {
                    wanted.as_array().is_some_and(|names| {
                        names.iter().any(|name| !map.contains_key(name.as_str().unwrap_or_default()))
                    })
                };
                if value.as_object().is_some_and(missing) { no("a key is missing") } else { None }
            }
            "properties" => value.as_object().and_then(|map| {
                map.iter().find_map(|(key, value)| refusal(root, wanted.get(key)?, value, &format!("{path}.{key}")))
            }),
            "additionalProperties" => {
                let named = words.get("properties").and_then(Value::as_object);
                let others = |map: &serde_json::Map<String, Value>| {
                    let mut others = map.iter().filter(|(key, _)| named.is_none_or(|named| !named.contains_key(*key)));
                    match wanted {
                        Value::Bool(false) => others.next().map(|(key, _)| format!("{path}.{key}: unknown")),
                        _ => others.find_map(|(key, value)| refusal(root, wanted, value, &format!("{path}.{key}"))),
                    }
                };
                value.as_object().and_then(others)
            }
            "description" | "default" | "title" | "$schema" | "$defs" => None,
            other => panic!("the schema uses the word {other}, which this validator does not know"),
        };
        if refused.is_some() {
            return refused;
        }
    }
    None
}

fn is_type(value: &Value, wanted: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema uses the type {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap_or_default())),
        name => is(name.as_str().unwrap_or_default()),
    }
}
