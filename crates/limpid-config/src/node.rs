//! One tree for all three syntaxes, in which every key and value knows its place.
//!
//! Owns: nodes, texts and places. Does not own: how they are read from bytes (`parse`) or what they should be
//! (`key`, `check`).
//!
//! Invariant: `Debug` of a text shows its length and nothing else: a password written into the file is as secret as
//! one that came from a variable.

use std::fmt;
use std::sync::Arc;

use crate::interpolate::Trouble;

/// A place in a file. Lines and columns count from 1, columns in characters; line 0 is the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub(crate) fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// How the file is written, and so how a remedy should write its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Yaml,
    Toml,
    Json,
}

impl Syntax {
    /// By the file's extension.
    pub(crate) fn of(file: &str) -> Option<Self> {
        match file.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The line that gives `key` this word.
    pub(crate) fn line(self, key: &str, word: &str) -> String {
        match self {
            Self::Yaml => format!("{key}: {word}"),
            Self::Toml => format!("{key} = \"{word}\""),
            Self::Json => format!("\"{key}\": \"{word}\""),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `word`: written out as `null`, which one sink is called.
    Null {
        word: bool,
    },
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Value {
    /// For "not a number".
    pub fn noun(&self) -> &'static str {
        match self {
            Value::Null { .. } => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a table of keys",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

/// The entry of this name.
pub(crate) fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}

/// A text, in which parts may have come from outside the file.
#[derive(Clone)]
pub(crate) struct Text {
    pub parts: Vec<Part>,
    /// Why a part could not be had. Reported by whoever reads the value: a block that is switched off needs none.
    pub trouble: Option<Trouble>,
}

#[derive(Clone)]
pub(crate) enum Part {
    Written(String),
    Resolved(Arc<str>),
}

impl Text {
    pub fn written(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Written(text.into())], trouble: None }
    }

    /// True when a part came from a variable or a file.
    pub fn is_resolved(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Resolved(_)))
    }

    pub fn plain(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Written(text) => text.as_str(),
            Part::Resolved(text) => text,
        });
        parts.collect()
    }

    /// As a URL: what was put into it is percent-encoded, so that a password's `@` is no end of the password. A value
    /// that is one `${...}` and nothing else is a whole URL and stays as it is.
    pub fn encoded(&self) -> String {
        if let [Part::Resolved(whole)] = self.parts.as_slice() {
            return whole.to_string();
        }
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Written(text) => url.push_str(text),
                Part::Resolved(text) => percent_encode(text, &mut url),
            }
        }
        url
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_resolved() {
            true => f.write_str("Text(<resolved>)"),
            false => write!(f, "Text(<{} bytes>)", self.plain().len()),
        }
    }
}

/// Everything but RFC 3986's unreserved characters.
fn percent_encode(text: &str, into: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            _ => into.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_inside_a_url_cannot_end_it() {
        let text = Text {
            parts: vec![
                Part::Written("mysql://u:".into()),
                Part::Resolved("p@ss/ü~".into()),
                Part::Written("@db:3306".into()),
            ],
            trouble: None,
        };
        assert_eq!(text.encoded(), "mysql://u:p%40ss%2F%C3%BC~@db:3306");
        assert_eq!(text.plain(), "mysql://u:p@ss/ü~@db:3306");
    }

    #[test]
    fn a_whole_url_from_a_variable_stays_one() {
        let text = Text { parts: vec![Part::Resolved("mysql://db:3306".into())], trouble: None };
        assert_eq!(text.encoded(), "mysql://db:3306");
    }

    #[test]
    fn debug_never_shows_a_text() {
        let text = Text::written("hunter2");
        assert_eq!(format!("{text:?}"), "Text(<7 bytes>)");
    }
}
