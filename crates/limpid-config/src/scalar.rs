//! One value of the tree as one value of Rust, or the complaint about it.
//!
//! Owns: what each kind accepts. Does not own: where the value stands (`check`, `reader`).
//!
//! Invariant: only what the file itself says is repeated in a complaint, and of a secret or a URL not even that.

use std::time::Duration;

use limpid_model::FaultCode;

use crate::faults::{Complaint, nearest};
use crate::interpolate::short;
use crate::key::{Key, Kind, Word, list};
use crate::node::{Node, Part, Syntax, Text, Value};
use crate::quantity;

/// The value that a default stands for: as if it had come from outside, so that `"5"` is a number too.
pub(crate) fn of_default(text: &'static str) -> Value {
    Value::Text(Text { parts: vec![Part::Resolved(text.into())], trouble: None })
}

pub(crate) fn wrong_type(expected: &str, value: &Value) -> Complaint {
    Complaint::new(FaultCode::ConfigWrongType, format!("must be {expected}, not {}", value.noun()))
}

/// The text of a value that has to be one, once all it names could be had.
fn text_of<'a>(key: &Key, value: &'a Value) -> Result<&'a Text, Complaint> {
    let Value::Text(text) = value else {
        let complaint = wrong_type(&key.expected(), value);
        return Err(match (key.kind, value) {
            (Kind::Text | Kind::Secret | Kind::Path | Kind::Texts { .. }, Value::Int(_) | Value::Float(_))
            | (Kind::Text | Kind::Secret | Kind::Path | Kind::Texts { .. }, Value::Bool(_)) => {
                complaint.help("put it in quotes")
            }
            (Kind::Duration { .. }, Value::Int(n)) if *n >= 0 => complaint.help(format!("add the unit: {n}s or {n}ms")),
            (Kind::Bytes { .. }, Value::Int(n)) if *n > 0 => {
                let size = u64::try_from(*n).map_or_else(|_| "64MiB".into(), quantity::show_bytes);
                complaint.help(format!("write it with its unit: {size}"))
            }
            (Kind::Choice { words, .. } | Kind::Choices { words }, Value::Int(_) | Value::Float(_)) => {
                match number_as_word(value, &words()) {
                    Some(word) => complaint.help(format!("put it in quotes: \"{word}\"")),
                    None => complaint,
                }
            }
            _ => complaint,
        });
    };
    match &text.trouble {
        Some(trouble) => Err(trouble.complaint(matches!(key.kind, Kind::Secret | Kind::Url))),
        None => Ok(text),
    }
}

fn number_as_word(value: &Value, words: &[Word]) -> Option<&'static str> {
    let written = match value {
        Value::Int(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        _ => return None,
    };
    words.iter().map(|word| word.word).find(|word| *word == written)
}

/// `is "60x", which`, or nothing of it when it is not the file's own.
fn said(text: &Text) -> String {
    match text.is_resolved() {
        true => "comes from a variable or a file and".into(),
        false => format!("is \"{}\", which", short(&text.plain())),
    }
}

/// The same of a value that has been read as a text.
pub(crate) fn said_of(value: &Value) -> String {
    match value {
        Value::Text(text) => said(text),
        _ => "has a value that".into(),
    }
}

pub(crate) fn text(key: &Key, value: &Value) -> Result<String, Complaint> {
    let text = text_of(key, value)?;
    let plain = if matches!(key.kind, Kind::Url) { text.encoded() } else { text.plain() };
    match plain.is_empty() && !matches!(key.kind, Kind::Secret) {
        true => Err(Complaint::bad_value("is an empty text")),
        false => Ok(plain),
    }
}

pub(crate) fn boolean(key: &Key, value: &Value) -> Result<bool, Complaint> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Text(text) if text.is_resolved() || text.trouble.is_some() => {
            let text = text_of(key, value)?;
            text.plain().parse().map_err(|_| Complaint::bad_value(format!("{} is neither true nor false", said(text))))
        }
        Value::Text(_) => Err(wrong_type(&key.expected(), value).help("write true or false, without quotes")),
        _ => Err(wrong_type(&key.expected(), value)),
    }
}

/// Any whole number; the range is the caller's.
fn whole(key: &Key, value: &Value) -> Result<i128, Complaint> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Float(_) => {
            Err(Complaint::new(FaultCode::ConfigWrongType, "must be a whole number, without a fraction"))
        }
        Value::Text(text) if text.is_resolved() || text.trouble.is_some() => {
            let text = text_of(key, value)?;
            text.plain().parse().map_err(|_| Complaint::bad_value(format!("{} is no whole number", said(text))))
        }
        Value::Text(_) => Err(wrong_type(&key.expected(), value).help("write it without quotes")),
        _ => Err(wrong_type(&key.expected(), value)),
    }
}

fn in_range<T: TryFrom<i128> + PartialOrd + std::fmt::Display>(
    number: i128,
    value: &Value,
    (min, max): (T, T),
) -> Result<T, Complaint> {
    let found = T::try_from(number).ok().filter(|found| *found >= min && *found <= max);
    found.ok_or_else(|| {
        let said = match value {
            Value::Text(text) => said(text),
            _ => format!("is {number}, which"),
        };
        Complaint::bad_value(format!("{said} must be from {min} to {max}"))
    })
}

pub(crate) fn uint(key: &Key, value: &Value, min: u64, max: u64) -> Result<u64, Complaint> {
    in_range(whole(key, value)?, value, (min, max))
}

pub(crate) fn int(key: &Key, value: &Value, min: i64, max: i64) -> Result<i64, Complaint> {
    in_range(whole(key, value)?, value, (min, max))
}

/// A number from 0 to 1.
pub(crate) fn ratio(key: &Key, value: &Value) -> Result<f64, Complaint> {
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Text(text) if text.is_resolved() || text.trouble.is_some() => {
            let text = text_of(key, value)?;
            let number = text.plain().parse();
            number.map_err(|_| Complaint::bad_value(format!("{} is no number", said(text))))?
        }
        Value::Text(_) => return Err(wrong_type(&key.expected(), value).help("write it without quotes")),
        _ => return Err(wrong_type(&key.expected(), value)),
    };
    let said = match value {
        Value::Text(text) => said(text),
        _ => format!("is {number}, which"),
    };
    let is_part = (0.0..=1.0).contains(&number);
    is_part.then_some(number).ok_or_else(|| Complaint::bad_value(format!("{said} must be from 0 to 1")))
}

pub(crate) fn duration(key: &Key, value: &Value, min: Duration, max: Duration) -> Result<Duration, Complaint> {
    let text = text_of(key, value)?;
    let found = quantity::duration(&text.plain())
        .ok_or_else(|| Complaint::bad_value(format!("{} is no duration such as 250ms, 60s, 5m or 24h", said(text))))?;
    match found >= min && found <= max {
        true => Ok(found),
        false => {
            let (min, max) = (quantity::show_duration(min), quantity::show_duration(max));
            Err(Complaint::bad_value(format!("{} must be from {min} to {max}", said(text))))
        }
    }
}

pub(crate) fn bytes(key: &Key, value: &Value, min: u64, max: u64) -> Result<u64, Complaint> {
    let text = text_of(key, value)?;
    let found = quantity::bytes(&text.plain())
        .ok_or_else(|| Complaint::bad_value(format!("{} is no size such as 512B, 64KiB, 64MiB or 1GiB", said(text))))?;
    match found >= min && found <= max {
        true => Ok(found),
        false => {
            let (min, max) = (quantity::show_bytes(min), quantity::show_bytes(max));
            Err(Complaint::bad_value(format!("{} must be from {min} to {max}", said(text))))
        }
    }
}

/// One of the words that are in this version.
pub(crate) fn word(key: &Key, value: &Value, words: &[Word], syntax: Syntax) -> Result<&'static str, Complaint> {
    let text = text_of(key, value)?;
    let plain = text.plain();
    let all = || list(words.iter().map(|word| word.word));
    match words.iter().find(|word| word.word == plain) {
        Some(word) if word.here => Ok(word.word),
        Some(word) => {
            let said = if text.is_resolved() { said(text) } else { format!("is \"{}\", which", word.word) };
            Err(Complaint::later(format!("{said} is not in this version")).help(write_here(key, words, syntax)))
        }
        None => {
            let complaint = Complaint::bad_value(format!("{} is none of {}", said(text), all()));
            let near = if text.is_resolved() { None } else { nearest(&plain, words.iter().map(|word| word.word)) };
            Err(match near {
                Some(near) => complaint.help(format!("did you mean `{near}`?")),
                None => complaint,
            })
        }
    }
}

/// What to write instead of a word of a later version.
pub(crate) fn write_here(key: &Key, words: &[Word], syntax: Syntax) -> String {
    let here: Vec<&str> = words.iter().filter(|word| word.here).map(|word| word.word).collect();
    match here.as_slice() {
        [] => format!("leave `{}` out", key.name),
        [only] => format!("write `{}`", syntax.line(key.name, only)),
        several => format!("write one of {}", several.join(", ")),
    }
}

/// The value of a table of texts: whatever is no list and no table, as its text.
pub(crate) fn loose_text(node: &Node) -> Result<String, Complaint> {
    match &node.value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        // Discreet: such a table may hold passwords (`ssl.key.password`).
        Value::Text(Text { trouble: Some(trouble), .. }) => Err(trouble.complaint(true)),
        Value::Text(text) => Ok(text.plain()),
        Value::Map(_) => {
            Err(wrong_type("a text or a number", &node.value).help("in TOML, a name with dots needs quotes"))
        }
        Value::Null { .. } | Value::List(_) => Err(wrong_type("a text or a number", &node.value)),
    }
}
