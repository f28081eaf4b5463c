//! Reads the body of CREATE TABLE and the options of a table.
//!
//! Owns: the list of columns, keys and periods, and the options behind it, which ALTER TABLE shares.
//! Does not own: single columns (`column`) and keys (`key`).
//!
//! Invariant: an element that cannot be read is skipped to its comma, and the body says so.

use super::ScanContext;
use super::column;
use super::cursor::Cursor;
use super::effect::{CharsetClause, ColumnSpec, KeySpec, Period, TableOptions};
use super::key::{self, Element};
use super::native;
use super::token::Token;

/// What stands between a table's parentheses.
#[derive(Default)]
pub(super) struct Body {
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) keys: Vec<KeySpec>,
    pub(super) periods: Vec<Period>,
    /// An element was not understood.
    pub(super) doubtful: bool,
}

/// At the opening parenthesis of a table's body.
pub(super) fn body(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>) -> Body {
    let mut body = Body::default();
    cursor.bump();
    while !cursor.at_end() && !cursor.at_punct(b')') {
        element(cursor, ctx, &mut body);
        cursor.skip_element();
        cursor.eat_punct(b',');
    }
    cursor.bump();
    body
}

/// One column, key, check or period.
fn element(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, body: &mut Body) {
    match key::element(cursor, ctx) {
        Element::Key(key) => return body.keys.push(key),
        Element::Nothing => return,
        Element::Other => {}
    }
    if let Some(period) = period(cursor) {
        return body.periods.push(period);
    }
    match column::scan(cursor, ctx) {
        Some((column, keys)) => {
            body.columns.push(column);
            body.keys.extend(keys);
        }
        None => body.doubtful = true,
    }
}

/// `PERIOD FOR p (a, b)`; PERIOD alone may be a column.
pub(super) fn period(cursor: &mut Cursor<'_>) -> Option<Period> {
    if !eat_period_for(cursor) {
        return None;
    }
    let name = cursor.name()?;
    cursor.eat_punct(b'(');
    let start = cursor.name()?;
    cursor.eat_punct(b',');
    let end = cursor.name()?;
    cursor.eat_punct(b')');
    Some(Period { name, columns: [start, end] })
}

/// `PERIOD [IF [NOT] EXISTS] FOR`, or nothing.
pub(super) fn eat_period_for(cursor: &mut Cursor<'_>) -> bool {
    let mut copy = *cursor;
    let found = copy.eat_word("PERIOD") && {
        copy.eat_words(&["IF", "NOT", "EXISTS"]);
        copy.eat_words(&["IF", "EXISTS"]);
        copy.eat_word("FOR")
    };
    if found {
        *cursor = copy;
    }
    found
}

/// One table option, if it is one that matters: `[DEFAULT] CHARSET`, `COLLATE`, `ENGINE`, `SEQUENCE`,
/// `WITH SYSTEM VERSIONING`. Returns false without a step otherwise.
pub(super) fn option(cursor: &mut Cursor<'_>, options: &mut TableOptions) -> bool {
    if charset_option(cursor, &mut options.charset) {
        return true;
    }
    if cursor.eat_words(&["WITH", "SYSTEM", "VERSIONING"]) {
        options.system_versioning = true;
        return true;
    }
    if cursor.at_any(&["ENGINE", "TYPE"]) {
        cursor.bump();
        cursor.eat_punct(b'=');
        options.engine = cursor.name().map(|name| name.to_lowercase());
        return true;
    }
    if cursor.at_word("SEQUENCE") && matches!(cursor.ahead(), Token::Punct(b'=') | Token::Number(_)) {
        cursor.bump();
        cursor.eat_punct(b'=');
        options.sequence = cursor.number() == Some(1);
        return true;
    }
    false
}

/// `[DEFAULT] {CHARACTER SET | COLLATE} [=] x`, of a table or a database.
pub(super) fn charset_option(cursor: &mut Cursor<'_>, clause: &mut CharsetClause) -> bool {
    let mut copy = *cursor;
    copy.eat_word("DEFAULT");
    if let Some(name) = native::charset_name(&mut copy) {
        clause.charset = Some(name);
    } else if copy.eat_word("COLLATE") {
        copy.eat_punct(b'=');
        let Some(name) = copy.name() else { return false };
        clause.collation = Some(name.to_lowercase());
    } else {
        return false;
    }
    *cursor = copy;
    true
}
