//! YAML 1.2, core schema, one document, merge keys.
//!
//! Owns: the only use of `granit-parser`, the tree built from its events, aliases and merges. Does not own: bounds
//! (`parse`), meaning (`check`).
//!
//! Invariant: an alias costs what the tree it repeats costs, so that no few lines become gigabytes.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::{Budget, DEPTH_MAX, Lines, NODE_COST, refuse_duplicates, syntax_fault, too_deep};
use crate::faults::ConfigFault;
use crate::interpolate::short;
use crate::node::{Entry, Node, Place, Text, Value};

pub(super) fn parse(file: &str, text: &str) -> Result<Node, ConfigFault> {
    let lines = Lines::new(file, text);
    let mut builder =
        Builder { lines, budget: Budget::new(), stack: Vec::new(), anchors: HashMap::new(), root: None, begun: false };
    // Comments off here too: another crate of the workspace may have turned the feature on.
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let fault = syntax_fault(&builder.marked(error.marker()), format!("this is no YAML: {}", error.info()));
            match error.kind() {
                granit_parser::ErrorKind::UnknownAnchor | granit_parser::ErrorKind::UnexpectedCharacter { .. } => {
                    fault.help("a text that begins with one of * & ! % @ ` needs quotes")
                }
                granit_parser::ErrorKind::MappingValueNotAllowed => {
                    fault.help("check the indentation; a text with a colon and a space in it needs quotes")
                }
                _ => fault,
            }
        })?;
        builder.event(event, span)?;
    }
    let empty = Node { value: Value::Null { word: false }, place: builder.lines.place(0) };
    Ok(builder.root.unwrap_or(empty))
}

struct Builder<'a> {
    lines: Lines<'a>,
    budget: Budget,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    begun: bool,
}

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merged: Vec<Node>, key: Option<MapKey> },
}

/// A key that waits for its value.
enum MapKey {
    Plain(String, Place),
    Merge,
}

impl Builder<'_> {
    fn marked(&self, marker: &Marker) -> Place {
        self.lines.at(marker.line(), marker.col() + 1)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), ConfigFault> {
        let place = self.marked(&span.start);
        match event {
            Event::DocumentStart(..) if self.begun => {
                Err(syntax_fault(&place, "a second document begins here; a file holds one pipeline")
                    .help("put each pipeline into a file of its own"))
            }
            Event::DocumentStart(..) => {
                self.begun = true;
                Ok(())
            }
            Event::Alias(_) if self.wants_key() => {
                Err(syntax_fault(&place, "a key must be written out, not be an alias"))
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(syntax_fault(&place, "this alias repeats the value that it is part of"));
                };
                self.budget.spend_cost(cost(&node), &place)?;
                self.value(node)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.spend(text.len(), &place)?;
                if self.wants_key() {
                    return self.key(&text, style, place);
                }
                let value = self.scalar(&text, style, tag.as_deref(), &place)?;
                self.finish(Node { value, place }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(place, anchor, tag.as_deref(), "seq", Inside::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let inside = Inside::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                self.open(place, anchor, tag.as_deref(), "map", inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open { inside: Inside::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, style: ScalarStyle, place: Place) -> Result<(), ConfigFault> {
        if let Some(Open { inside: Inside::Map { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some(match (text, style) {
                ("<<", ScalarStyle::Plain) => MapKey::Merge,
                _ => MapKey::Plain(text.to_owned(), place),
            });
        }
        Ok(())
    }

    fn open(
        &mut self,
        place: Place,
        anchor: usize,
        tag: Option<&Tag>,
        expected: &str,
        inside: Inside,
    ) -> Result<(), ConfigFault> {
        if self.wants_key() {
            return Err(syntax_fault(&place, "a key must be a single word or text"));
        }
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(expected)) {
            return Err(unknown_tag(tag, &place));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err(too_deep(&place));
        }
        self.budget.spend(0, &place)?;
        self.stack.push(Open { place, anchor, inside });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ConfigFault> {
        let Some(Open { place, anchor, inside }) = self.stack.pop() else { return Ok(()) };
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { mut entries, merged, .. } => {
                refuse_duplicates(&entries)?;
                merge(&mut entries, merged)?;
                Value::Map(entries)
            }
        };
        self.finish(Node { value, place }, anchor)
    }

    /// A value is whole: it gets its name, if it has one, and its place in the tree.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), ConfigFault> {
        // The parser numbers anchors from 1; 0 is none.
        if anchor != 0 {
            self.budget.spend_cost(cost(&node), &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.value(node)
    }

    fn value(&mut self, node: Node) -> Result<(), ConfigFault> {
        match self.stack.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, merged, key }) => match key.take() {
                Some(MapKey::Plain(key, place)) => entries.push(Entry { key, place, node }),
                Some(MapKey::Merge) => merged.push(node),
                None => unreachable!("a scalar became the key, and anything else in its place was refused"),
            },
        }
        Ok(())
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: &Place) -> Result<Value, ConfigFault> {
        let written = || Value::Text(Text::written(text));
        match tag {
            Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => Ok(written()),
            Some(tag) => Err(unknown_tag(tag, place)),
            None if style != ScalarStyle::Plain => Ok(written()),
            None => match core_schema(text) {
                Some(Some(value)) => Ok(value),
                Some(None) => {
                    Err(syntax_fault(place, "this number is too large").help("put it in quotes if it is a text"))
                }
                None => Ok(written()),
            },
        }
    }
}

fn unknown_tag(tag: &Tag, place: &Place) -> ConfigFault {
    let message = format!("the tag {} has no meaning here", short(&tag.original()));
    syntax_fault(place, message).help("remove it; a text that begins with ! needs quotes")
}

/// What `<<` brings: keys that are not written out, the earlier of two sources first, as YAML's merge type has it.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>) -> Result<(), ConfigFault> {
    if merged.is_empty() {
        return Ok(());
    }
    let mut seen: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let sources = merged.into_iter().flat_map(|node| match node.value {
        Value::List(items) => items,
        value => vec![Node { value, place: node.place }],
    });
    for source in sources {
        let Value::Map(added) = source.value else {
            return Err(syntax_fault(&source.place, "<< takes a table of keys or a list of them"));
        };
        entries.extend(added.into_iter().filter(|entry| seen.insert(entry.key.clone())));
    }
    Ok(())
}

/// What a copy of this tree takes.
fn cost(node: &Node) -> usize {
    let inside = match &node.value {
        Value::Null { .. } | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Text(text) => text.plain().len(),
        Value::List(items) => items.iter().map(cost).sum(),
        Value::Map(entries) => entries.iter().map(|entry| NODE_COST + entry.key.len() + cost(&entry.node)).sum(),
    };
    NODE_COST + inside
}

/// A plain scalar as YAML 1.2's core schema reads it: `None` for a text, `Some(None)` for a number beyond all bounds.
/// `yes`, `no`, `on` and `off` are texts, as they are since 2009.
fn core_schema(text: &str) -> Option<Option<Value>> {
    let value = match text {
        "" | "~" | "Null" | "NULL" => Value::Null { word: false },
        "null" => Value::Null { word: true },
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => return number(text),
    };
    Some(Some(value))
}

fn number(text: &str) -> Option<Option<Value>> {
    let all = |digits: &str, is: fn(u8) -> bool| !digits.is_empty() && digits.bytes().all(is);
    let int = |digits: &str, radix| i128::from_str_radix(digits, radix).ok().map(Value::Int);
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| matches!(byte, b'0'..=b'7')).then(|| int(digits, 8));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |byte| byte.is_ascii_hexdigit()).then(|| int(digits, 16));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if all(unsigned, |byte| byte.is_ascii_digit()) {
        return Some(int(text, 10));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits_only = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let some_digit = !whole.is_empty() || !fraction.is_empty();
    let exponent_good = exponent.is_none_or(|exponent| all(exponent, |byte| byte.is_ascii_digit()));
    (digits_only && some_digit && exponent_good).then(|| text.parse().ok().map(Value::Float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let noun = |text| match core_schema(text) {
            None => "text",
            Some(None) => "too large",
            Some(Some(Value::Null { .. })) => "null",
            Some(Some(Value::Bool(_))) => "bool",
            Some(Some(Value::Int(_))) => "int",
            Some(Some(_)) => "float",
        };
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("nULL", "text"),
            ("True", "bool"),
            ("yes", "text"),
            ("off", "text"),
            ("0", "int"),
            ("-007", "int"),
            ("0o17", "int"),
            ("0x", "text"),
            ("0xfF", "int"),
            ("1_000", "text"),
            ("24h", "text"),
            ("1.5", "float"),
            (".5", "float"),
            ("5.", "float"),
            (".", "text"),
            ("1e3", "float"),
            ("1e", "text"),
            ("e3", "text"),
            ("-", "text"),
            ("+.inf", "float"),
            ("1.2.3", "text"),
            ("2024-01-01", "text"),
        ] {
            assert_eq!(noun(text), expected, "{text:?}");
        }
        assert_eq!(noun(&"9".repeat(60)), "too large");
    }
}
