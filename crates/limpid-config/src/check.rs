//! A tree against its table of keys: every fault, not the first.
//!
//! Owns: presence, unknown keys, types, ranges, words, what this version lacks. Does not own: what only a connector
//! knows of its values (`Reader::refuse`).
//!
//! Invariant: a tree without a fault here reads through the same table without one (`reader` relies on it).

use limpid_model::FaultCode;

use crate::faults::{Complaint, ConfigFault, FAULTS_MAX, nearest};
use crate::interpolate::short;
use crate::key::{Key, Kind, Presence, Word, list};
use crate::node::{Entry, Node, Place, Syntax, Value, entry};
use crate::scalar;

/// Several levels of one tree.
pub(crate) struct Checker {
    syntax: Syntax,
    faults: Vec<ConfigFault>,
}

/// The keys that may stand in one table of keys.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    /// Those to check.
    pub keys: &'static [Key],
    /// Those that somebody else checks.
    pub others: &'static [Key],
}

impl Known {
    fn names(self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().chain(self.others).map(|key| key.name)
    }
}

/// `path` and `key` as one path.
pub(crate) fn join(path: &str, key: &str) -> String {
    match path {
        "" => short(key),
        _ => format!("{path}.{}", short(key)),
    }
}

impl Checker {
    pub fn new(syntax: Syntax) -> Self {
        Self { syntax, faults: Vec::new() }
    }

    /// In the order of the file.
    pub fn into_faults(mut self) -> Vec<ConfigFault> {
        self.faults.sort_by(|a, b| a.place().cmp(b.place()));
        self.faults
    }

    pub fn complain(&mut self, path: &str, place: &Place, complaint: Complaint) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(ConfigFault::of_key(path, place, complaint));
        }
    }

    /// Keeps the value; a complaint becomes a fault.
    fn keep<T>(&mut self, path: &str, place: &Place, result: Result<T, Complaint>) {
        if let Err(complaint) = result {
            self.complain(path, place, complaint);
        }
    }

    /// One table of keys at `path`; `place` is its own key's.
    pub fn table(&mut self, entries: &[Entry], path: &str, place: &Place, known: Known) {
        self.unknown(entries, path, known.names());
        self.values(entries, path, place, known.keys);
    }

    /// Without looking for unknown keys.
    pub fn values(&mut self, entries: &[Entry], path: &str, place: &Place, keys: &'static [Key]) {
        for key in keys {
            let path = join(path, key.name);
            match entry(entries, key.name) {
                Some(found) => self.value(&found.node, &path, &found.place, key),
                None => self.absent(&path, place, key),
            }
        }
    }

    fn unknown(&mut self, entries: &[Entry], path: &str, names: impl Iterator<Item = &'static str>) {
        let names: Vec<&str> = names.collect();
        for found in entries.iter().filter(|found| !names.contains(&found.key.as_str())) {
            if self.faults.len() >= FAULTS_MAX {
                return;
            }
            let help = match nearest(&found.key, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", list(names.iter().copied())),
            };
            let complaint = Complaint::new(FaultCode::ConfigUnknownKey, "is not a key of this file").help(help);
            self.complain(&join(path, &found.key), &found.place, complaint);
        }
    }

    fn absent(&mut self, path: &str, place: &Place, key: &Key) {
        match key.presence {
            Presence::Required => {
                let complaint = Complaint::new(FaultCode::ConfigMissingKey, "is missing");
                let help = format!("add `{}`, {}", key.name, key.expected());
                self.complain(path, place, complaint.help(help));
            }
            Presence::Default(_) => {
                if let Kind::Section(keys) = key.kind {
                    self.values(&[], path, place, keys);
                }
            }
            Presence::Optional => {}
        }
    }

    fn value(&mut self, node: &Node, path: &str, key_place: &Place, key: &Key) {
        if matches!(node.value, Value::Null { .. }) {
            return self.null(node, path, key_place, key);
        }
        let (value, at) = (&node.value, &node.place);
        match key.kind {
            Kind::Text | Kind::Secret | Kind::Url | Kind::Path => self.keep(path, at, scalar::text(key, value)),
            Kind::Bool => self.keep(path, at, scalar::boolean(key, value)),
            Kind::Uint { min, max } => self.keep(path, at, scalar::uint(key, value, min, max)),
            Kind::Int { min, max } => self.keep(path, at, scalar::int(key, value, min, max)),
            Kind::Ratio => self.keep(path, at, scalar::ratio(key, value)),
            Kind::Duration { min, max } => self.keep(path, at, scalar::duration(key, value, min, max)),
            Kind::Bytes { min, max } => self.keep(path, at, scalar::bytes(key, value, min, max)),
            Kind::Choice { table: Some(keys), .. } if let Value::Map(entries) = value => {
                self.table(entries, path, key_place, Known { keys, others: &[] });
            }
            Kind::Choice { words, .. } => self.keep(path, at, scalar::word(key, value, &words(), self.syntax)),
            Kind::Texts { min } => self.texts(node, path, key, min),
            Kind::OneOrTexts { .. } if matches!(value, Value::Text(_)) => {
                self.keep(path, at, scalar::text(&Key::text(key.name), value));
            }
            Kind::OneOrTexts { min } => self.texts(node, path, key, min),
            Kind::Choices { words } => self.choices(node, path, key, &words()),
            Kind::TextMap => self.text_map(node, path, key),
            Kind::Section(keys) => match value {
                Value::Map(entries) => self.table(entries, path, key_place, Known { keys, others: &[] }),
                _ => self.complain(path, at, scalar::wrong_type(&key.expected(), value)),
            },
            Kind::LaterBlock { names } => self.later_block(node, path, key_place, key, names),
            Kind::Transforms => match value {
                Value::List(items) => {
                    for (number, item) in
                        items.iter().enumerate().filter(|(_, item)| !matches!(item.value, Value::Map(_)))
                    {
                        let complaint = scalar::wrong_type("a table of keys", &item.value);
                        self.complain(&format!("{path}[{number}]"), &item.place, complaint);
                    }
                }
                _ => self.complain(path, at, scalar::wrong_type(&key.expected(), value)),
            },
            Kind::System => {
                if !matches!(value, Value::Map(_)) {
                    self.complain(path, at, scalar::wrong_type(&key.expected(), value));
                }
            }
        }
    }

    /// A key without a value: `sasl: null`, or `tls:` with nothing below it.
    fn null(&mut self, node: &Node, path: &str, key_place: &Place, key: &Key) {
        match (key.kind, key.presence) {
            (Kind::LaterBlock { .. }, _) | (_, Presence::Optional) => {}
            (_, Presence::Required) => {
                let complaint = Complaint::new(FaultCode::ConfigMissingKey, "has no value");
                self.complain(path, key_place, complaint.help(format!("write {}", key.expected())));
            }
            (Kind::Section(_), _) => self.absent(path, key_place, key),
            (_, Presence::Default(default)) => {
                let complaint = scalar::wrong_type(&key.expected(), &node.value);
                self.complain(
                    path,
                    key_place,
                    complaint.help(format!("remove the key to have its default, {default}")),
                );
            }
        }
    }

    fn texts(&mut self, node: &Node, path: &str, key: &Key, min: usize) {
        let Value::List(items) = &node.value else {
            let complaint = scalar::wrong_type(&key.expected(), &node.value);
            let help = "write it in brackets, as [\"...\"]";
            return self.complain(path, &node.place, complaint.help(help));
        };
        if items.len() < min {
            let complaint = Complaint::bad_value(format!("has {} entries, and needs at least {min}", items.len()));
            self.complain(path, &node.place, complaint);
        }
        let item_key = Key::text(key.name);
        for (number, item) in items.iter().enumerate() {
            self.keep(&format!("{path}[{number}]"), &item.place, scalar::text(&item_key, &item.value));
        }
    }

    fn choices(&mut self, node: &Node, path: &str, key: &Key, words: &[Word]) {
        match &node.value {
            Value::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    let word = scalar::word(key, &item.value, words, self.syntax);
                    self.keep(&format!("{path}[{number}]"), &item.place, word);
                }
            }
            value => self.keep(path, &node.place, scalar::word(key, value, words, self.syntax)),
        }
    }

    fn text_map(&mut self, node: &Node, path: &str, key: &Key) {
        let Value::Map(entries) = &node.value else {
            return self.complain(path, &node.place, scalar::wrong_type(&key.expected(), &node.value));
        };
        for found in entries {
            self.keep(&join(path, &found.key), &found.node.place, scalar::loose_text(&found.node));
        }
    }

    fn later_block(&mut self, node: &Node, path: &str, key_place: &Place, key: &Key, names: &[&'static str]) {
        let Value::Map(entries) = &node.value else {
            return self.complain(path, &node.place, scalar::wrong_type(&key.expected(), &node.value));
        };
        let switch = Key::bool("enabled");
        let off = match entry(entries, switch.name) {
            None => Ok(false),
            Some(found) => match scalar::boolean(&switch, &found.node.value) {
                Ok(enabled) => Ok(!enabled),
                Err(complaint) => Err((found.node.place.clone(), complaint)),
            },
        };
        match off {
            Ok(true) => self.unknown(entries, path, names.iter().copied().chain([switch.name])),
            Ok(false) => {
                let line = match self.syntax {
                    Syntax::Yaml => "enabled: false",
                    Syntax::Toml => "enabled = false",
                    Syntax::Json => "\"enabled\": false",
                };
                let help = format!("remove it, or write `{line}` into it");
                self.complain(path, key_place, Complaint::later("is not in this version").help(help));
            }
            Err((place, complaint)) => self.complain(&join(path, switch.name), &place, complaint),
        }
    }
}
