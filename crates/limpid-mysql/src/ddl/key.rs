//! Reads keys, and the constraints that make or do not make one.
//!
//! Owns: `[CONSTRAINT name] PRIMARY KEY | UNIQUE | INDEX | FULLTEXT | SPATIAL | VECTOR | FOREIGN KEY | CHECK`, and the
//! parts of a key. Does not own: which name a nameless key gets, nor whether a foreign key needs an index (`history`).
//!
//! Invariant: an element that is read as a key cannot be a column: only words that both servers reserve begin one,
//! or a second word makes it sure.

use super::ScanContext;
use super::cursor::{Cursor, is_word};
use super::effect::{KeyKind, KeyPartSpec, KeySpec};
use super::token::Token;

/// What an element of a table's definition turned out to be.
pub(super) enum Element {
    Key(KeySpec),
    /// A check, or a constraint that makes no key.
    Nothing,
    /// Not a key: a column, if anything. Nothing was read.
    Other,
}

/// At an element, of CREATE TABLE or behind ADD.
pub(super) fn element(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>) -> Element {
    let begins_key =
        cursor.at_any(&["CONSTRAINT", "PRIMARY", "UNIQUE", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK"]);
    let ahead = cursor.ahead();
    let vector =
        cursor.at_word("VECTOR") && (is_word(ahead, "INDEX") || is_word(ahead, "KEY") || ahead == Token::Punct(b'('));
    if !begins_key && !vector {
        return Element::Other;
    }
    let mut constraint = None;
    let named = cursor.eat_word("CONSTRAINT");
    cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    if named && !cursor.at_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        constraint = cursor.name();
    }
    if cursor.eat_word("CHECK") {
        cursor.skip_element();
        return Element::Nothing;
    }
    match key(cursor, ctx, constraint) {
        Some(key) => Element::Key(key),
        None => Element::Nothing,
    }
}

fn key(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, constraint: Option<String>) -> Option<KeySpec> {
    let kind = if cursor.eat_word("PRIMARY") {
        KeyKind::Primary
    } else if cursor.eat_word("UNIQUE") {
        KeyKind::Unique
    } else if cursor.eat_word("FULLTEXT") {
        KeyKind::Fulltext
    } else if cursor.eat_any(&["SPATIAL", "VECTOR"]) {
        KeyKind::Spatial
    } else if cursor.eat_word("FOREIGN") {
        KeyKind::Foreign
    } else if cursor.at_any(&["KEY", "INDEX"]) {
        KeyKind::Plain
    } else {
        return None;
    };
    cursor.eat_any(&["KEY", "INDEX"]);
    let if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    let mut using_hash = false;
    let mut name = None;
    if !cursor.at_punct(b'(') {
        if !(cursor.at_any(&["USING", "TYPE"]) && matches!(cursor.ahead(), Token::Word(_))) {
            name = cursor.name();
        }
        using_hash = using(cursor);
    }
    let parts = parts(cursor)?;
    if kind == KeyKind::Foreign && cursor.eat_word("REFERENCES") {
        cursor.table_name(ctx);
    }
    using_hash |= tail(cursor);
    let name = match kind {
        KeyKind::Primary => None,
        // A foreign key's constraint names its index before its own name does.
        KeyKind::Foreign => constraint.or(name),
        _ => name.or(constraint),
    };
    Some(KeySpec { kind, name, parts, using_hash, if_not_exists })
}

/// `USING HASH`: whether it is HASH.
fn using(cursor: &mut Cursor<'_>) -> bool {
    if !cursor.eat_any(&["USING", "TYPE"]) {
        return false;
    }
    is_word(cursor.bump(), "HASH")
}

/// A key's options, to the end of the element: whether they say USING HASH.
pub(super) fn tail(cursor: &mut Cursor<'_>) -> bool {
    let mut hash = false;
    while !cursor.at_end() && !cursor.at_punct(b',') && !cursor.at_punct(b')') {
        if cursor.at_word("USING") {
            hash |= using(cursor);
        } else {
            cursor.skip_item();
        }
    }
    hash
}

/// `(a, b(10) DESC, (expression), p WITHOUT OVERLAPS)`.
pub(super) fn parts(cursor: &mut Cursor<'_>) -> Option<Vec<KeyPartSpec>> {
    if !cursor.eat_punct(b'(') {
        return None;
    }
    let mut parts = Vec::new();
    while !cursor.at_end() && !cursor.at_punct(b')') {
        if cursor.at_punct(b'(') {
            parts.push(KeyPartSpec::Expression);
        } else if let Some(name) = cursor.name() {
            let mut inside = *cursor;
            let prefix = if inside.eat_punct(b'(') { inside.number().filter(|length| *length > 0) } else { None };
            cursor.skip_parens();
            let period = cursor.eat_words(&["WITHOUT", "OVERLAPS"]);
            parts.push(if period { KeyPartSpec::Period(name) } else { KeyPartSpec::Column { name, prefix } });
        }
        cursor.skip_element();
        cursor.eat_punct(b',');
    }
    cursor.bump();
    Some(parts)
}
