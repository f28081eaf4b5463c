//! Values out of a checked section, by key.
//!
//! Owns: the section that a connector is handed, and its typed reading. Does not own: the table's meaning (`key`),
//! checking against it (`check`).
//!
//! Invariant: a reader exists only over a section that its table found no fault with, so reading gives values, never
//! errors. Asking for a key that the table does not hold, or as another kind than it declares, is a mistake of ours
//! and panics; one reading of any good file in a test finds it.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Checker, Known, join};
use crate::faults::{Complaint, ConfigFault};
use crate::interpolate::{Outside, resolve};
use crate::key::{Choices, Key, Kind, Presence};
use crate::node::{Entry, Place, Syntax, Value, entry};
use crate::parse::parse;
use crate::scalar;
use crate::secret::Secret;

/// The part of a file that one connector owns, with its table of keys.
#[derive(Clone)]
pub struct Section {
    pub(crate) known: KnownKeys,
    pub(crate) entries: Vec<Entry>,
    pub(crate) path: String,
    pub(crate) place: Place,
    pub(crate) syntax: Syntax,
}

/// The connector's keys, and those of the frame that stand among them.
#[derive(Clone, Copy)]
pub(crate) struct KnownKeys {
    pub own: &'static [Key],
    pub frame: &'static [Key],
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Section({} at {})", self.path, self.place)
    }
}

impl Section {
    /// A section from a text of its own, as if it stood under `path`. For a connector's tests.
    ///
    /// # Errors
    /// The text is no YAML, or no table of keys.
    pub fn of_yaml(
        path: &str,
        text: &str,
        keys: &'static [Key],
        outside: &dyn Outside,
    ) -> Result<Self, Vec<ConfigFault>> {
        let mut node = parse("section.yaml", Syntax::Yaml, text.as_bytes()).map_err(|fault| vec![fault])?;
        resolve(&mut node, outside);
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null { .. } => Vec::new(),
            value => {
                let complaint = scalar::wrong_type("a table of keys", &value);
                return Err(vec![ConfigFault::of_key(path, &node.place, complaint)]);
            }
        };
        let known = KnownKeys { own: keys, frame: &[] };
        Ok(Self { known, entries, path: path.to_owned(), place: node.place, syntax: Syntax::Yaml })
    }

    /// Checks the section against its table and, when that finds nothing, reads it. `build` answers `None` only after
    /// [`Reader::refuse`].
    ///
    /// # Errors
    /// Every fault of the section, in the order of the file.
    pub fn read<T>(&self, build: impl FnOnce(&Reader<'_>) -> Option<T>) -> Result<T, Vec<ConfigFault>> {
        let mut checker = Checker::new(self.syntax);
        let known = Known { keys: self.known.own, others: self.known.frame };
        checker.table(&self.entries, &self.path, &self.place, known);
        let faults = checker.into_faults();
        match faults.is_empty() {
            true => self.read_checked(self.known.own, build),
            false => Err(faults),
        }
    }

    /// A fault of this key, for what is found wrong only after the section was read.
    pub fn fault(&self, name: &str, complaint: Complaint) -> ConfigFault {
        let place = entry(&self.entries, name).map_or(&self.place, |found| &found.node.place);
        ConfigFault::of_key(&join(&self.path, name), place, complaint)
    }

    /// Reads what has been checked already.
    pub(crate) fn read_checked<T>(
        &self,
        keys: &'static [Key],
        build: impl FnOnce(&Reader<'_>) -> Option<T>,
    ) -> Result<T, Vec<ConfigFault>> {
        let faults = RefCell::new(Vec::new());
        let reader =
            Reader { keys, entries: &self.entries, path: self.path.clone(), place: &self.place, faults: &faults };
        let built = build(&reader);
        let mut faults = faults.into_inner();
        faults.sort_by(|a: &ConfigFault, b: &ConfigFault| a.place().cmp(b.place()));
        match built {
            Some(built) if faults.is_empty() => Ok(built),
            _ => {
                assert!(!faults.is_empty(), "reading `{}` gave nothing, though nothing was refused", self.path);
                Err(faults)
            }
        }
    }
}

/// The key of a choice inside the table that may stand in its place.
const MODE: &str = "mode";

/// One table of keys that has been checked.
pub struct Reader<'a> {
    keys: &'static [Key],
    entries: &'a [Entry],
    path: String,
    place: &'a Place,
    faults: &'a RefCell<Vec<ConfigFault>>,
}

impl<'a> Reader<'a> {
    /// True when the key is written and has a value.
    pub fn is_written(&self, name: &str) -> bool {
        self.written(name).is_some()
    }

    pub fn text(&self, name: &str) -> String {
        self.always(name, self.optional_text(name))
    }

    pub fn optional_text(&self, name: &str) -> Option<String> {
        self.get(name, |key, value| matches!(key.kind, Kind::Text).then(|| scalar::text(key, value)))
    }

    pub fn secret(&self, name: &str) -> Secret {
        self.always(name, self.optional_secret(name))
    }

    pub fn optional_secret(&self, name: &str) -> Option<Secret> {
        self.get(name, |key, value| matches!(key.kind, Kind::Secret).then(|| scalar::text(key, value).map(Secret::new)))
    }

    /// The URL, with what came from outside percent-encoded. Secret, since it may hold a password.
    pub fn url(&self, name: &str) -> Secret {
        self.always(name, self.optional_url(name))
    }

    pub fn optional_url(&self, name: &str) -> Option<Secret> {
        self.get(name, |key, value| matches!(key.kind, Kind::Url).then(|| scalar::text(key, value).map(Secret::new)))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.always(name, self.optional_path(name))
    }

    pub fn optional_path(&self, name: &str) -> Option<PathBuf> {
        self.get(name, |key, value| matches!(key.kind, Kind::Path).then(|| scalar::text(key, value).map(PathBuf::from)))
    }

    pub fn bool(&self, name: &str) -> bool {
        let found = self.get(name, |key, value| matches!(key.kind, Kind::Bool).then(|| scalar::boolean(key, value)));
        self.always(name, found)
    }

    pub fn uint(&self, name: &str) -> u64 {
        self.always(name, self.optional_uint(name))
    }

    pub fn optional_uint(&self, name: &str) -> Option<u64> {
        self.get(name, |key, value| match key.kind {
            Kind::Uint { min, max } => Some(scalar::uint(key, value, min, max)),
            _ => None,
        })
    }

    pub fn int(&self, name: &str) -> i64 {
        let found = self.get(name, |key, value| match key.kind {
            Kind::Int { min, max } => Some(scalar::int(key, value, min, max)),
            _ => None,
        });
        self.always(name, found)
    }

    pub fn ratio(&self, name: &str) -> f64 {
        let found = self.get(name, |key, value| match key.kind {
            Kind::Ratio => Some(scalar::ratio(key, value)),
            _ => None,
        });
        self.always(name, found)
    }

    pub fn duration(&self, name: &str) -> Duration {
        self.always(name, self.optional_duration(name))
    }

    pub fn optional_duration(&self, name: &str) -> Option<Duration> {
        self.get(name, |key, value| match key.kind {
            Kind::Duration { min, max } => Some(scalar::duration(key, value, min, max)),
            _ => None,
        })
    }

    pub fn bytes(&self, name: &str) -> u64 {
        self.always(name, self.optional_bytes(name))
    }

    pub fn optional_bytes(&self, name: &str) -> Option<u64> {
        self.get(name, |key, value| match key.kind {
            Kind::Bytes { min, max } => Some(scalar::bytes(key, value, min, max)),
            _ => None,
        })
    }

    pub fn choice<T: Choices>(&self, name: &str) -> T {
        self.always(name, self.optional_choice(name))
    }

    pub fn optional_choice<T: Choices>(&self, name: &str) -> Option<T> {
        let word = self.get(name, |key, value| match key.kind {
            // The syntax matters for remedies only, and there is nothing to mend any more.
            Kind::Choice { words, .. } => Some(scalar::word(key, value, &words(), Syntax::Yaml)),
            _ => None,
        })?;
        let value = T::parse(word);
        assert!(value.is_some(), "`{name}` is read as other choices than its table declares");
        value
    }

    /// A choice in whose place a table may stand: the word, and the table's other keys, at their defaults where there is
    /// only a word.
    pub fn choice_or_table<T: Choices>(&self, name: &str) -> (T, Reader<'a>) {
        let Kind::Choice { table: Some(keys), .. } = self.key(name).kind else {
            panic!("`{name}` is read as a choice or a table, and is declared as something else")
        };
        let found = entry(self.entries, name);
        let place = found.map_or(self.place, |found| &found.place);
        let reader = |entries| Reader { keys, entries, path: join(&self.path, name), place, faults: self.faults };
        match found.map(|found| &found.node.value) {
            Some(Value::Map(entries)) => {
                let table = reader(entries.as_slice());
                (table.choice(MODE), table)
            }
            _ => (self.choice(name), reader(&[])),
        }
    }

    /// Empty when left out.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let key = self.key(name);
        let is_list = matches!(key.kind, Kind::Texts { .. } | Kind::OneOrTexts { .. });
        assert!(is_list, "`{name}` is declared as another kind than it is read as");
        let item_key = Key::text(key.name);
        let read = |value: &Value| checked(name, scalar::text(&item_key, value));
        match self.written(name) {
            Some(Value::List(items)) => items.iter().map(|item| read(&item.value)).collect(),
            Some(one) => vec![read(one)],
            None => Vec::new(),
        }
    }

    /// Empty when left out.
    pub fn choices<T: Choices>(&self, name: &str) -> Vec<T> {
        let key = self.key(name);
        let Kind::Choices { words } = key.kind else {
            panic!("`{name}` is declared as another kind than it is read as")
        };
        let read = |value: &Value| {
            let word = checked(name, scalar::word(key, value, &words(), Syntax::Yaml));
            T::parse(word).unwrap_or_else(|| panic!("`{name}` is read as other choices than its table declares"))
        };
        match self.written(name) {
            Some(Value::List(items)) => items.iter().map(|item| read(&item.value)).collect(),
            Some(one) => vec![read(one)],
            None => Vec::new(),
        }
    }

    /// In the order of the file, empty when left out. The values are secret: such a table may hold passwords.
    pub fn text_map(&self, name: &str) -> Vec<(String, Secret)> {
        let is_map = matches!(self.key(name).kind, Kind::TextMap);
        assert!(is_map, "`{name}` is declared as another kind than it is read as");
        let Some(Value::Map(entries)) = self.written(name) else { return Vec::new() };
        let text = |found: &Entry| Secret::new(checked(name, scalar::loose_text(&found.node)));
        entries.iter().map(|found| (found.key.clone(), text(found))).collect()
    }

    /// A section that is always there.
    pub fn section(&self, name: &str) -> Reader<'a> {
        let is_there = matches!(self.key(name).presence, Presence::Default(_) | Presence::Required);
        assert!(is_there, "`{name}` is optional, and read as if it were always there");
        self.below(name)
    }

    /// A section that may be left out.
    pub fn optional_section(&self, name: &str) -> Option<Reader<'a>> {
        self.is_written(name).then(|| self.below(name))
    }

    /// Refuses a value for a reason that no table can state; the section's reading then ends in faults. Answers
    /// `None`, to be returned.
    pub fn refuse<T>(&self, name: &str, complaint: Complaint) -> Option<T> {
        let place = entry(self.entries, name).map_or(self.place, |found| &found.node.place);
        self.faults.borrow_mut().push(ConfigFault::of_key(&join(&self.path, name), place, complaint));
        None
    }

    /// Where the key's value stands, or the section when it is left out.
    pub fn place(&self, name: &str) -> &Place {
        entry(self.entries, name).map_or(self.place, |found| &found.node.place)
    }

    fn key(&self, name: &str) -> &'static Key {
        let key = self.keys.iter().find(|key| key.name == name);
        key.unwrap_or_else(|| panic!("`{name}` is read, but is in no table of keys"))
    }

    fn written(&self, name: &str) -> Option<&'a Value> {
        let value = &entry(self.entries, name)?.node.value;
        (!matches!(value, Value::Null { .. })).then_some(value)
    }

    /// The written value or the default; `as_kind` answers `None` for another kind than it reads.
    fn get<T>(&self, name: &str, as_kind: impl Fn(&Key, &Value) -> Option<Result<T, Complaint>>) -> Option<T> {
        let key = self.key(name);
        let read = |value: &Value| match as_kind(key, value) {
            Some(result) => checked(name, result),
            None => panic!("`{name}` is declared as another kind than it is read as"),
        };
        match (self.written(name), key.presence) {
            (Some(value), _) => Some(read(value)),
            (None, Presence::Default(default)) => Some(read(&scalar::of_default(default))),
            (None, _) => None,
        }
    }

    fn always<T>(&self, name: &str, value: Option<T>) -> T {
        value.unwrap_or_else(|| panic!("`{name}` is read as always there, but may be left out"))
    }

    fn below(&self, name: &str) -> Reader<'a> {
        let Kind::Section(keys) = self.key(name).kind else {
            panic!("`{name}` is read as a section, and is declared as none")
        };
        let found = entry(self.entries, name);
        let entries = match found.map(|found| &found.node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let place = found.map_or(self.place, |found| &found.place);
        Reader { keys, entries, path: join(&self.path, name), place, faults: self.faults }
    }
}

/// What `check` found no fault with has none now.
fn checked<T>(name: &str, result: Result<T, Complaint>) -> T {
    result.unwrap_or_else(|complaint| panic!("`{name}` was checked, and yet {}", complaint.words))
}
