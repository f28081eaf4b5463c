//! The JSON schema of a pipeline file, for editors.
//!
//! Owns: the schema's words for each kind of key. Does not own: any key.
//!
//! Invariant: it is made from the tables that `check` reads, so it allows what they allow. Where a table asks for more
//! than a schema can state (a duration's range), the schema asks for less, never for more.

use serde_json::{Map, Value, json};

use crate::frame::{FRAME, SOURCE, TRANSFORM};
use crate::key::{Key, Kind, Presence, Word};
use crate::load::{Connectors, SINK_AND_FORMAT};

/// The schema of pipeline files for these connectors, draft 2020-12, with a line break at its end.
pub fn json_schema(connectors: &Connectors) -> String {
    let mut root = table(FRAME.iter(), &[]);
    let sources = connectors.sources.iter().map(|kind| (kind.name, kind.keys));
    let sinks = connectors.sinks.iter().map(|kind| (kind.name, kind.keys));
    root["properties"]["source"] = side("Where changes come from.", SOURCE, sources);
    root["properties"]["sink"] = side("Where changes go.", SINK_AND_FORMAT, sinks);
    let transforms = connectors.transforms.kinds.iter().map(|kind| (kind.name, kind.keys));
    root["properties"]["transforms"]["anyOf"][0]["items"] = side("One transform.", TRANSFORM, transforms);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Limpid pipeline");
    root["$defs"] = json!({
        "resolved": {
            "description": "A value from a variable or a file.",
            "type": "string",
            "pattern": "\\$\\{(env|file):[^}]+\\}",
        },
    });
    let mut text = format!("{root:#}");
    text.push('\n');
    text
}

/// `source` or `sink`: one alternative a connector, told apart by `type`.
fn side(doc: &str, frame: &'static [Key], kinds: impl Iterator<Item = (&'static str, &'static [Key])>) -> Value {
    let alternative = |(name, keys): (&'static str, &'static [Key])| {
        let mut alternative = table(frame.iter().chain(keys), &["type"]);
        // YAML reads `type: null` as nothing; `load` takes it as that sink's name.
        alternative["properties"]["type"] = match name {
            "null" => json!({ "enum": [name, null] }),
            _ => json!({ "const": name }),
        };
        alternative
    };
    json!({ "description": doc, "oneOf": kinds.map(alternative).collect::<Vec<_>>() })
}

fn table<'a>(keys: impl Iterator<Item = &'a Key>, also_required: &[&str]) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = also_required.to_vec();
    for key in keys {
        properties.insert(key.name.to_owned(), property(key));
        let must = matches!(key.presence, Presence::Required);
        if must && !required.contains(&key.name) {
            required.push(key.name);
        }
    }
    let mut table = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn property(key: &Key) -> Value {
    let mut property = kind(key);
    if matches!(key.presence, Presence::Optional) || matches!(key.kind, Kind::Section(_)) {
        property = json!({ "anyOf": [property, { "type": "null" }] });
    }
    if !key.doc.is_empty() {
        property["description"] = json!(key.doc);
    }
    if let Presence::Default(default) = key.presence
        && !matches!(key.kind, Kind::Section(_))
    {
        property["default"] = match key.kind {
            Kind::Bool => json!(default == "true"),
            Kind::Uint { .. } | Kind::Int { .. } => json!(default.parse::<i64>().unwrap_or_default()),
            Kind::Ratio => json!(default.parse::<f64>().unwrap_or_default()),
            _ => json!(default),
        };
    }
    property
}

fn kind(key: &Key) -> Value {
    match key.kind {
        Kind::Text | Kind::Url | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Secret => json!({ "type": "string" }),
        Kind::Bool => or_resolved(json!({ "type": "boolean" })),
        Kind::Uint { min, max } => or_resolved(json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Int { min, max } => or_resolved(json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Ratio => or_resolved(json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        Kind::Duration { .. } => or_resolved(json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })),
        Kind::Bytes { .. } => or_resolved(json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$" })),
        Kind::Choice { words, table: keys } => {
            let choice = or_resolved(json!({ "oneOf": words_of(words) }));
            match keys {
                Some(keys) => json!({ "anyOf": [choice, table(keys.iter(), &[])] }),
                None => choice,
            }
        }
        Kind::Texts { min } => {
            json!({ "type": "array", "minItems": min, "items": { "type": "string", "minLength": 1 } })
        }
        Kind::OneOrTexts { min } => {
            let text = json!({ "type": "string", "minLength": 1 });
            json!({ "anyOf": [text, { "type": "array", "minItems": min, "items": text }] })
        }
        Kind::Choices { words } => {
            let word = or_resolved(json!({ "oneOf": words_of(words) }));
            json!({ "anyOf": [word, { "type": "array", "items": word }] })
        }
        // `json_schema` puts the kinds here.
        Kind::Transforms => json!({ "type": "array" }),
        Kind::TextMap => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        Kind::Section(keys) => table(keys.iter(), &[]),
        Kind::LaterBlock { names } => {
            let named = names.iter().map(|name| ((*name).to_owned(), json!({})));
            let mut properties: Map<String, Value> = named.collect();
            properties.insert("enabled".into(), json!({ "const": false }));
            json!({
                "type": "object", "additionalProperties": false, "properties": properties, "required": ["enabled"],
            })
        }
        // `json_schema` puts the connectors here.
        Kind::System => json!({ "type": "object" }),
    }
}

fn words_of(words: fn() -> Vec<Word>) -> Vec<Value> {
    let here = words().into_iter().filter(|word| word.here);
    here.map(|word| json!({ "const": word.word, "description": word.doc })).collect()
}

fn or_resolved(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/resolved" }] })
}
