//! Finds the tables whose rows a statement changes.
//!
//! Owns: INSERT, REPLACE, UPDATE, DELETE, LOAD, WITH, and the calls whose writes cannot be seen.
//! Does not own: the changes: a statement is never carried out, only noticed.
//!
//! Invariant: a table that is written is named, or there is a doubt. Where the text leaves it open (a target that
//! is no alias, a join under UPDATE) all tables of the join are named.

use limpid_model::TableName;

use super::cursor::Cursor;
use super::{Doubt, Kind, ScanContext, Statement};

/// First words of statements that change rows, or may.
pub(super) const FIRST_WORDS: &[&str] =
    &["CALL", "DELETE", "DO", "EXECUTE", "INSERT", "LOAD", "REPLACE", "SELECT", "UPDATE", "WITH"];

/// A joined table with its alias.
struct Joined {
    table: TableName,
    alias: Option<String>,
}

/// At the first word.
pub(super) fn scan(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    let mut statement = Statement::of(Kind::Dml);
    if cursor.eat_word("WITH") {
        // The names before the main statement are its own; its tables are outside parentheses.
        while !cursor.at_end() && !cursor.at_any(&["UPDATE", "DELETE", "INSERT", "REPLACE", "SELECT"]) {
            cursor.skip_item();
        }
    }
    let written = if cursor.eat_any(&["INSERT", "REPLACE"]) {
        insert(cursor, ctx)
    } else if cursor.eat_word("UPDATE") {
        update(cursor, ctx)
    } else if cursor.eat_word("DELETE") {
        delete(cursor, ctx)
    } else if cursor.eat_word("LOAD") {
        load(cursor, ctx)
    } else {
        Vec::new()
    };
    if written.is_empty() {
        // A log holds CALL, SELECT and DO only for what a routine wrote.
        statement.doubts.push(Doubt { table: None, reason: "the tables that the statement writes cannot be seen" });
    }
    statement.written = written;
    statement
}

fn insert(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Vec<TableName> {
    while cursor.eat_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]) {}
    cursor.eat_word("INTO");
    cursor.table_name(ctx).into_iter().collect()
}

fn update(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Vec<TableName> {
    while cursor.eat_any(&["LOW_PRIORITY", "IGNORE"]) {}
    joined(&mut cursor, ctx, "SET").into_iter().map(|joined| joined.table).collect()
}

fn load(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Vec<TableName> {
    while !cursor.at_end() && !cursor.eat_words(&["INTO", "TABLE"]) {
        cursor.bump();
    }
    cursor.table_name(ctx).into_iter().collect()
}

/// `DELETE [HISTORY] FROM t`, `DELETE t1, t2 FROM joins`, `DELETE FROM t1, t2 USING joins`.
fn delete(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Vec<TableName> {
    while cursor.eat_any(&["LOW_PRIORITY", "QUICK", "IGNORE", "HISTORY"]) {}
    let single = cursor.eat_word("FROM");
    let mut targets = Vec::new();
    while let Some(table) = target(&mut cursor, ctx) {
        targets.push(table);
        if !cursor.eat_punct(b',') {
            break;
        }
    }
    let multiple = if single { cursor.eat_word("USING") } else { cursor.eat_word("FROM") };
    if !multiple {
        return targets;
    }
    let joined = joined(&mut cursor, ctx, "WHERE");
    let mut written = Vec::new();
    for target in targets {
        let found = joined.iter().find(|joined| match &joined.alias {
            Some(alias) => alias.eq_ignore_ascii_case(&target.table) && *target.schema == *ctx.default_schema,
            None => joined.table == target,
        });
        match found {
            Some(joined) => written.push(joined.table.clone()),
            None => {
                // Neither an alias nor a table: take all rather than miss one.
                written.push(target);
                written.extend(joined.iter().map(|joined| joined.table.clone()));
            }
        }
    }
    written.sort();
    written.dedup();
    written
}

/// `t`, `t.*`, `db.t`, `db.t.*`.
fn target(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>) -> Option<TableName> {
    let first = cursor.identifier()?;
    let mut table = ctx.table_name(ctx.default_schema, &first);
    if cursor.eat_punct(b'.') && !cursor.eat_punct(b'*') {
        table = ctx.table_name(&first, &cursor.name()?);
        if cursor.eat_punct(b'.') {
            cursor.eat_punct(b'*');
        }
    }
    Some(table)
}

/// The tables of a join, to the word `end`. Derived tables are read, not written.
fn joined(cursor: &mut Cursor<'_>, ctx: &ScanContext<'_>, end: &str) -> Vec<Joined> {
    let mut found = Vec::new();
    let mut expecting = true;
    while !cursor.at_end() && !cursor.at_word(end) {
        if expecting && cursor.at_punct(b'(') {
            let mut inside = *cursor;
            inside.bump();
            if inside.at_any(&["SELECT", "WITH", "VALUES"]) {
                cursor.skip_parens();
                expecting = false;
            } else {
                cursor.bump();
            }
        } else if cursor.eat_punct(b',') || cursor.eat_any(&["JOIN", "STRAIGHT_JOIN"]) {
            expecting = true;
        } else if expecting && !cursor.at_any(&["LATERAL", "LOW_PRIORITY", "IGNORE"]) {
            expecting = false;
            match cursor.table_name(ctx) {
                Some(table) => found.push(Joined { table, alias: alias(cursor) }),
                None => cursor.skip_item(),
            }
        } else {
            cursor.skip_item();
        }
    }
    found
}

fn alias(cursor: &mut Cursor<'_>) -> Option<String> {
    if cursor.eat_word("PARTITION") {
        cursor.skip_parens();
    }
    let named = cursor.eat_word("AS");
    let clause = &[
        "SET",
        "WHERE",
        "JOIN",
        "INNER",
        "LEFT",
        "RIGHT",
        "CROSS",
        "NATURAL",
        "STRAIGHT_JOIN",
        "ON",
        "USING",
        "USE",
        "FORCE",
        "IGNORE",
        "ORDER",
        "LIMIT",
        "FULL",
        "FOR",
    ];
    if !named && cursor.at_any(clause) { None } else { cursor.identifier() }
}
