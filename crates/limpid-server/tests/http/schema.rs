//! A checker for the part of JSON Schema that our document uses.
//!
//! Owns: saying where a value and its schema differ. Stricter than the standard on purpose: a field that the schema
//! does not list is an error, so that nothing is answered that is not described; so is a keyword it does not know.

use serde_json::{Map, Value};

pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at(document, schema, value, "$")
}

fn at(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or(format!("{place}: the schema is no object"))? {
        let kept = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).ok_or("a reference is foreign")?;
                let target = document.pointer(pointer).ok_or(format!("{place}: {pointer} leads nowhere"))?;
                at(document, target, value, place)?;
                true
            }
            "oneOf" => {
                let cases = rule.as_array().ok_or("oneOf is no list")?;
                let outcomes: Vec<_> = cases.iter().map(|case| at(document, case, value, place)).collect();
                match outcomes.iter().filter(|outcome| outcome.is_ok()).count() {
                    1 => true,
                    0 => return outcomes.into_iter().next().unwrap_or(Ok(())),
                    _ => return Err(format!("{place}: more than one case fits")),
                }
            }
            "type" => is(rule.as_str().unwrap_or_default(), value),
            "enum" => rule.as_array().is_some_and(|words| words.contains(value)),
            "pattern" => value.as_str().is_some_and(|text| {
                assert_eq!(rule, "^[A-Z][A-Z0-9_]*$", "the only pattern in answers");
                text.starts_with(|c: char| c.is_ascii_uppercase())
                    && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
            }),
            "minimum" => value.as_f64().is_some_and(|number| number >= rule.as_f64().unwrap_or(f64::NAN)),
            "format" => rule == "date-time" && value.as_str().is_some_and(is_time),
            "required" => match (rule.as_array(), value.as_object()) {
                (Some(names), Some(fields)) => {
                    let missing = names.iter().filter_map(Value::as_str).find(|name| !fields.contains_key(*name));
                    if let Some(name) = missing {
                        return Err(format!("{place}: {name} is missing"));
                    }
                    true
                }
                _ => false,
            },
            "properties" => {
                fields(document, rule.as_object().ok_or("no fields")?, value, place)?;
                true
            }
            "additionalProperties" => {
                for (name, field) in value.as_object().ok_or(format!("{place}: no object"))? {
                    at(document, rule, field, &format!("{place}.{name}"))?;
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().ok_or(format!("{place}: no list"))?.iter().enumerate() {
                    at(document, rule, item, &format!("{place}[{index}]"))?;
                }
                true
            }
            "description" | "examples" => true,
            unknown => return Err(format!("{place}: the checker does not know {unknown}")),
        };
        if !kept {
            return Err(format!("{place}: {value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn fields(document: &Value, known: &Map<String, Value>, value: &Value, place: &str) -> Result<(), String> {
    for (name, field) in value.as_object().ok_or(format!("{place}: no object"))? {
        let schema = known.get(name).ok_or(format!("{place}: {name} is not described"))?;
        at(document, schema, field, &format!("{place}.{name}"))?;
    }
    Ok(())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000000Z";
    let fits = |(c, like): (char, char)| if like == '0' { c.is_ascii_digit() } else { c == like };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}

#[test]
fn the_checker_itself_finds_what_is_wrong() {
    let document = limpid_server::openapi();
    let schema = serde_json::json!({"$ref": "#/components/schemas/Build"});
    let says = |value: Value| check(&document, &schema, &value);
    assert_eq!(says(serde_json::json!({"version": "1", "commit": "c"})), Ok(()));
    assert_eq!(says(serde_json::json!({"version": "1"})), Err("$: commit is missing".to_owned()));
    assert!(says(serde_json::json!({"version": "1", "commit": "c", "more": 1})).is_err());
    assert!(says(serde_json::json!({"version": 1, "commit": "c"})).is_err());
}
