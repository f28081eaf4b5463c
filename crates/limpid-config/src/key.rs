//! The declarative table of keys.
//!
//! Owns: what can be said of one key. Does not own: checking a file against it (`check`), reading values through it
//! (`reader`), describing it to editors (`schema`).
//!
//! Invariant: a table is constant data, and there is no second list: whatever is checked, read or described goes
//! through it.

use std::time::Duration;

/// One word of a closed list: what is written, and what it is in code.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    pub(crate) word: &'static str,
    pub(crate) doc: &'static str,
    /// `None`: a word of the contract that this version refuses.
    pub(crate) value: Option<T>,
}

impl<T> Choice<T> {
    pub const fn new(word: &'static str, value: T, doc: &'static str) -> Self {
        Self { word, doc, value: Some(value) }
    }

    /// A word that is refused as `NOT_IN_THIS_VERSION`.
    pub const fn later(word: &'static str, doc: &'static str) -> Self {
        Self { word, doc, value: None }
    }
}

/// An enum whose values are words in the file.
pub trait Choices: Copy + 'static {
    const TABLE: &'static [Choice<Self>];

    /// The value of this word; `None` for another word and for one of a later version.
    fn parse(word: &str) -> Option<Self> {
        Self::TABLE.iter().find(|choice| choice.word == word)?.value
    }
}

/// A choice without its value, for messages and the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub word: &'static str,
    pub doc: &'static str,
    pub here: bool,
}

fn words<T: Choices>() -> Vec<Word> {
    let word = |choice: &Choice<T>| Word { word: choice.word, doc: choice.doc, here: choice.value.is_some() };
    T::TABLE.iter().map(word).collect()
}

/// One key: its name, what it takes, whether it must be there, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) presence: Presence,
    pub(crate) doc: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Secret,
    Url,
    Path,
    Bool,
    Uint {
        min: u64,
        max: u64,
    },
    Int {
        min: i64,
        max: i64,
    },
    /// A number from 0 to 1.
    Ratio,
    Duration {
        min: Duration,
        max: Duration,
    },
    Bytes {
        min: u64,
        max: u64,
    },
    Choice {
        words: fn() -> Vec<Word>,
        /// The keys of a table that may stand in the word's place; the word itself is then its key `mode`.
        table: Option<&'static [Key]>,
    },
    Texts {
        min: usize,
    },
    TextMap,
    Section(&'static [Key]),
    /// A block of a later version: nothing, or switched off. Its keys' names are known, so that a typing mistake in a
    /// block that is off is still found.
    LaterBlock {
        names: &'static [&'static str],
    },
    /// The same, or one text alone.
    OneOrTexts {
        min: usize,
    },
    /// One word of a closed list, or a list of them.
    Choices {
        words: fn() -> Vec<Word>,
    },
    /// `source` and `sink`: a table whose other keys depend on its `type`. Read by `load`.
    System,
    /// `transforms`: a list of tables, each with a `type`. Read by `load`.
    Transforms,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// As it would be written. For a section: always there, each of its keys with its own default.
    Default(&'static str),
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, presence: Presence::Optional, doc: "" }
    }

    /// A text that is not empty.
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// A text that nobody may see, and that may be empty.
    pub const fn secret(name: &'static str) -> Self {
        Self::new(name, Kind::Secret)
    }

    /// An address. What is put into it by `${...}` is percent-encoded, and it is as secret as a password, since it may
    /// hold one.
    pub const fn url(name: &'static str) -> Self {
        Self::new(name, Kind::Url)
    }

    /// A file or folder, relative to the working directory.
    pub const fn path(name: &'static str) -> Self {
        Self::new(name, Kind::Path)
    }

    pub const fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }

    /// A whole number from `min` to `max`.
    pub const fn uint(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, Kind::Uint { min, max })
    }

    /// The same, with negative ones.
    pub const fn int(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, Kind::Int { min, max })
    }

    /// A part of a whole: a number from 0 to 1.
    pub const fn ratio(name: &'static str) -> Self {
        Self::new(name, Kind::Ratio)
    }

    /// A time with its unit: `250ms`, `60s`, `5m`, `24h`, `7d`.
    pub const fn duration(name: &'static str, min: Duration, max: Duration) -> Self {
        Self::new(name, Kind::Duration { min, max })
    }

    /// A size with its unit: `512B`, `64KiB`, `64MiB`, `1GiB`.
    pub const fn bytes(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, Kind::Bytes { min, max })
    }

    /// One of the words of `T`.
    pub const fn choice<T: Choices>(name: &'static str) -> Self {
        Self::new(name, Kind::Choice { words: words::<T>, table: None })
    }

    /// A list of at least `min` texts. Left out it is empty.
    pub const fn texts(name: &'static str, min: usize) -> Self {
        Self::new(name, Kind::Texts { min })
    }

    /// A table of texts under names of the user's own. Left out it is empty.
    pub const fn text_map(name: &'static str) -> Self {
        Self::new(name, Kind::TextMap)
    }

    /// A table of keys. Left out, it is there with its keys' defaults, unless it is `optional`.
    pub const fn section(name: &'static str, keys: &'static [Key]) -> Self {
        let key = Self::new(name, Kind::Section(keys));
        Self { presence: Presence::Default(""), ..key }
    }

    /// A block of a later version.
    pub const fn later_block(name: &'static str, names: &'static [&'static str]) -> Self {
        Self::new(name, Kind::LaterBlock { names })
    }

    /// A text, or a list of at least `min` of them. Left out it is empty.
    pub const fn one_or_texts(name: &'static str, min: usize) -> Self {
        Self::new(name, Kind::OneOrTexts { min })
    }

    /// One of the words of `T`, or a list of them. Left out it is empty.
    pub const fn choices<T: Choices>(name: &'static str) -> Self {
        Self::new(name, Kind::Choices { words: words::<T> })
    }

    pub(crate) const fn transforms(name: &'static str) -> Self {
        Self::new(name, Kind::Transforms)
    }

    pub(crate) const fn system(name: &'static str) -> Self {
        Self::new(name, Kind::System)
    }

    #[must_use]
    pub const fn required(self) -> Self {
        Self { presence: Presence::Required, ..self }
    }

    /// May be left out, and then is not there. So are all keys but sections unless something else is said.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { presence: Presence::Optional, ..self }
    }

    /// What it is when left out, as it would be written.
    #[must_use]
    pub const fn default(self, text: &'static str) -> Self {
        Self { presence: Presence::Default(text), ..self }
    }

    /// A table of keys may stand in the word's place; one of its keys, `mode`, is the same choice. For choices.
    #[must_use]
    pub const fn or_table(self, keys: &'static [Key]) -> Self {
        match self.kind {
            Kind::Choice { words, .. } => Self { kind: Kind::Choice { words, table: Some(keys) }, ..self },
            _ => panic!("only a choice can also be a table of keys"),
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// "a duration such as 60s", for messages.
    pub(crate) fn expected(&self) -> String {
        match self.kind {
            Kind::Text | Kind::Secret => "a text".into(),
            Kind::Url => "a URL".into(),
            Kind::Path => "a path".into(),
            Kind::Bool => "true or false".into(),
            Kind::Uint { .. } | Kind::Int { .. } => "a whole number".into(),
            Kind::Ratio => "a number from 0 to 1".into(),
            Kind::Duration { .. } => "a duration such as 60s".into(),
            Kind::Bytes { .. } => "a size such as 64MiB".into(),
            Kind::Choice { words, .. } => format!("one of {}", list(words().iter().map(|word| word.word))),
            Kind::Texts { .. } => "a list of texts".into(),
            Kind::OneOrTexts { .. } => "a text or a list of texts".into(),
            Kind::Choices { words } => {
                format!("one or a list of {}", list(words().iter().map(|word| word.word)))
            }
            Kind::TextMap => "a table of texts".into(),
            Kind::Transforms => "a list".into(),
            Kind::Section(_) | Kind::LaterBlock { .. } | Kind::System => "a table of keys".into(),
        }
    }
}

/// "a, b, c".
pub(crate) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}
