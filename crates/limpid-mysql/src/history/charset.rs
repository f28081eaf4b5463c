//! Which character set a column ends up with, and what that does to its type.
//!
//! Owns: the server's list of character sets, defaults, CONVERT TO. Does not own: conversion of values.
//!
//! Invariant: `utf8` and `utf8_*`, which newer servers show as `utf8mb3`, are kept as `utf8mb3`.

use std::collections::BTreeMap;

use crate::ddl::{CharsetClause, DeclaredType, NativeType, TextSize};

/// The widest row of either server, and so the longest VARCHAR, in bytes.
const VARCHAR_BYTES_MAX: u64 = 65_535;

/// A character set and a collation of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextCharset {
    pub charset: String,
    pub collation: String,
}

impl TextCharset {
    /// From the catalogue's two names.
    pub fn new(charset: &str, collation: &str) -> Self {
        Self { charset: charset_alias(charset), collation: collation_alias(collation) }
    }

    pub(crate) fn is_binary(&self) -> bool {
        self.charset == "binary"
    }
}

fn charset_alias(name: &str) -> String {
    if name == "utf8" { "utf8mb3".to_owned() } else { name.to_owned() }
}

fn collation_alias(name: &str) -> String {
    name.strip_prefix("utf8_").map_or_else(|| name.to_owned(), |rest| format!("utf8mb3_{rest}"))
}

/// A server's character sets: the default collation of each, and its longest character in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charsets {
    pub(crate) sets: BTreeMap<String, (String, u8)>,
}

impl Charsets {
    /// From rows of `information_schema.character_sets`.
    pub fn insert(&mut self, charset: &str, default_collation: &str, bytes_max: u8) {
        self.sets.insert(charset_alias(charset), (collation_alias(default_collation), bytes_max));
    }

    /// The default collation of a set; of one that is not known, its usual name.
    pub(crate) fn of_set(&self, charset: &str) -> TextCharset {
        let charset = charset_alias(charset);
        let known = self.sets.get(&charset).map(|(collation, _)| collation.clone());
        let collation = known.unwrap_or_else(|| format!("{charset}_general_ci"));
        TextCharset { charset, collation }
    }

    pub(crate) fn of_collation(&self, collation: &str, context: &str) -> TextCharset {
        let collation = collation_alias(collation);
        if collation.starts_with("uca1400_") {
            // MariaDB's collations without a character set take the one at hand.
            return TextCharset { collation: format!("{context}_{collation}"), charset: context.to_owned() };
        }
        let charset = collation.split('_').next().unwrap_or_default().to_owned();
        TextCharset { charset, collation }
    }

    fn bytes_max(&self, charset: &TextCharset) -> u64 {
        self.sets.get(&charset.charset).map_or(4, |(_, bytes)| u64::from(*bytes))
    }

    /// What `clause` means where `above` is the level above.
    pub(crate) fn resolve(&self, clause: &CharsetClause, above: &TextCharset) -> TextCharset {
        let set = clause.charset.as_deref();
        let base = match set {
            None | Some("default") => above.clone(),
            Some(name) => self.of_set(name),
        };
        match clause.collation.as_deref() {
            Some("default") if set.is_none() => self.of_set(&above.charset),
            Some("binary") | None if clause.binary && !base.is_binary() => {
                TextCharset { collation: format!("{}_bin", base.charset), charset: base.charset }
            }
            Some("default") | None => base,
            Some(collation) => self.of_collation(collation, &base.charset),
        }
    }

    /// The type and character set of a column as the server will show them. `converted`: the statement also says
    /// CONVERT TO, which wins over the column's own character set, and does not widen its type.
    pub(crate) fn settle(
        &self,
        declared: &DeclaredType,
        table: &TextCharset,
        converted: Option<&TextCharset>,
    ) -> (NativeType, Option<TextCharset>) {
        let native = declared.native.clone();
        if !native.is_text() {
            return (widened_binary(native), None);
        }
        let mut charset = self.resolve(&declared.charset, table);
        if let (Some(to), false) = (converted, charset.is_binary()) {
            let binary = CharsetClause { binary: declared.charset.binary, ..CharsetClause::default() };
            charset = self.resolve(&binary, to);
        }
        let bytes_max = self.bytes_max(&charset);
        let native = match (native, declared.text_length) {
            (NativeType::Text { compressed, .. }, Some(length)) => {
                NativeType::Text { size: TextSize::holding(length.saturating_mul(bytes_max)), compressed }
            }
            (native, _) => self.widened(native, bytes_max),
        };
        if charset.is_binary() { binary_twin(native) } else { (native, Some(charset)) }
    }

    /// Without strict mode the server makes a TEXT of a VARCHAR that is too long.
    fn widened(&self, native: NativeType, bytes_max: u64) -> NativeType {
        match native {
            NativeType::Varchar { length, compressed } if u64::from(length) * bytes_max > VARCHAR_BYTES_MAX => {
                NativeType::Text { size: TextSize::holding(u64::from(length) * bytes_max), compressed }
            }
            other => other,
        }
    }

    /// CONVERT TO CHARACTER SET: types grow so that as many characters fit as before.
    pub(crate) fn convert(
        &self,
        native: NativeType,
        from: &TextCharset,
        to: &TextCharset,
    ) -> (NativeType, Option<TextCharset>) {
        let (old, new) = (self.bytes_max(from), self.bytes_max(to));
        let native = match native {
            NativeType::Text { size, compressed } if new > old => {
                NativeType::Text { size: size.max(TextSize::holding(size.bytes_max() / old * new)), compressed }
            }
            other => self.widened(other, new),
        };
        if to.is_binary() { binary_twin(native) } else { (native, Some(to.clone())) }
    }
}

fn widened_binary(native: NativeType) -> NativeType {
    match native {
        NativeType::Varbinary { length, compressed } if u64::from(length) > VARCHAR_BYTES_MAX => {
            NativeType::Blob { size: TextSize::holding(u64::from(length)), compressed }
        }
        other => other,
    }
}

/// A text type in the character set `binary` is the binary type of the same length.
fn binary_twin(native: NativeType) -> (NativeType, Option<TextCharset>) {
    let native = match native {
        NativeType::Char { length } => NativeType::Binary { length },
        NativeType::Varchar { length, compressed } => NativeType::Varbinary { length, compressed },
        NativeType::Text { size, compressed } => NativeType::Blob { size, compressed },
        members => return (members, Some(TextCharset::new("binary", "binary"))),
    };
    (native, None)
}
