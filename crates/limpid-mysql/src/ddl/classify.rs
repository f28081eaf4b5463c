//! Tells transaction control from the rest by a statement's first words.
//!
//! Owns: BEGIN, COMMIT, ROLLBACK, SAVEPOINT and XA. Does not own: any other statement (`scan`).
//!
//! Invariant: costs a few comparisons for the BEGIN and COMMIT of every transaction, and allocates only for names.

use std::fmt;

use super::cursor::Cursor;
use super::{Flavor, ScanContext};

/// An XA transaction's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Xid {
    pub format: u64,
    pub gtrid: Vec<u8>,
    pub bqual: Vec<u8>,
}

impl fmt::Display for Xid {
    /// As both servers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.gtrid, &self.bqual] {
            f.write_str("X'")?;
            part.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("',")?;
        }
        write!(f, "{}", self.format)
    }
}

/// A statement's class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// BEGIN or START TRANSACTION.
    Begin,
    Commit,
    /// The whole transaction.
    Rollback,
    RollbackTo(String),
    Savepoint(String),
    ReleaseSavepoint(String),
    XaStart(Xid),
    XaEnd(Xid),
    XaPrepare(Xid),
    XaCommit {
        xid: Xid,
        one_phase: bool,
    },
    XaRollback(Xid),
    /// Everything else.
    Other,
}

/// Classifies a statement; what a server writes between transactions is recognised without tokens.
pub fn classify(sql: &[u8]) -> Class {
    match sql {
        b"BEGIN" => return Class::Begin,
        b"COMMIT" => return Class::Commit,
        b"ROLLBACK" => return Class::Rollback,
        _ => {}
    }
    let first = sql.iter().find(|b| **b > b' ').map(u8::to_ascii_uppercase);
    if !matches!(first, Some(b'B' | b'C' | b'R' | b'S' | b'X' | b'E' | b'/' | b'#' | b'-')) {
        return Class::Other;
    }
    // Neither the flavour nor the version matters to these words: both servers write them without versioned comments.
    let mut cursor = Cursor::new(sql, &ScanContext::of_server(Flavor::MySql, 80_000, ""));
    control(&mut cursor).unwrap_or(Class::Other)
}

fn control(cursor: &mut Cursor<'_>) -> Option<Class> {
    if cursor.eat_word("BEGIN") {
        let plain = cursor.at_end() || cursor.eat_word("WORK");
        return (plain && cursor.at_end()).then_some(Class::Begin);
    }
    if cursor.eat_words(&["START", "TRANSACTION"]) {
        return Some(Class::Begin);
    }
    if cursor.eat_word("COMMIT") {
        return Some(Class::Commit);
    }
    if cursor.eat_word("ROLLBACK") {
        cursor.eat_word("WORK");
        if !cursor.eat_word("TO") {
            return Some(Class::Rollback);
        }
        let save = *cursor;
        if cursor.eat_word("SAVEPOINT") && cursor.at_end() {
            // A savepoint called savepoint.
            *cursor = save;
        }
        return Some(Class::RollbackTo(cursor.name()?));
    }
    if cursor.eat_word("SAVEPOINT") {
        return Some(Class::Savepoint(cursor.name()?));
    }
    if cursor.eat_words(&["RELEASE", "SAVEPOINT"]) {
        return Some(Class::ReleaseSavepoint(cursor.name()?));
    }
    if cursor.eat_word("XA") { xa(cursor) } else { None }
}

fn xa(cursor: &mut Cursor<'_>) -> Option<Class> {
    if cursor.eat_any(&["START", "BEGIN"]) {
        return Some(Class::XaStart(xid(cursor)?));
    }
    if cursor.eat_word("END") {
        return Some(Class::XaEnd(xid(cursor)?));
    }
    if cursor.eat_word("PREPARE") {
        return Some(Class::XaPrepare(xid(cursor)?));
    }
    if cursor.eat_word("COMMIT") {
        let xid = xid(cursor)?;
        return Some(Class::XaCommit { xid, one_phase: cursor.eat_words(&["ONE", "PHASE"]) });
    }
    if cursor.eat_word("ROLLBACK") { Some(Class::XaRollback(xid(cursor)?)) } else { None }
}

/// `gtrid [, bqual [, format]]`; the servers write the first two as `X'..'`.
fn xid(cursor: &mut Cursor<'_>) -> Option<Xid> {
    let gtrid = cursor.text()?;
    let mut xid = Xid { format: 1, gtrid, bqual: Vec::new() };
    if cursor.eat_punct(b',') {
        xid.bqual = cursor.text()?;
        if cursor.eat_punct(b',') {
            xid.format = cursor.number()?;
        }
    }
    Some(xid)
}
