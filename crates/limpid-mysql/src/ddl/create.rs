//! Reads CREATE TABLE, INDEX, SEQUENCE and DATABASE.
//!
//! Owns: which CREATE it is, LIKE and AS SELECT. Does not own: a table's body and options (`table`).
//!
//! Invariant: a table that comes into being is in the effects, even when nothing else of the text was understood.

use limpid_model::TableName;

use super::cursor::{Cursor, is_word};
use super::effect::{Alteration, Effect, KeyKind, KeySpec, TableOptions};
use super::{Doubt, Kind, ScanContext, Statement, database, key, table};

/// Behind CREATE.
pub(super) fn scan(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    let or_replace = cursor.eat_words(&["OR", "REPLACE"]);
    let temporary = cursor.eat_word("TEMPORARY");
    if cursor.eat_word("TABLE") {
        return create_table(cursor, ctx, Mode::read(or_replace, temporary));
    }
    if cursor.eat_word("SEQUENCE") {
        return sequence(cursor, ctx, Mode::read(or_replace, temporary));
    }
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        return database::create(cursor, ctx, or_replace);
    }
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    let kind = if cursor.eat_word("UNIQUE") {
        KeyKind::Unique
    } else if cursor.eat_word("FULLTEXT") {
        KeyKind::Fulltext
    } else if cursor.eat_any(&["SPATIAL", "VECTOR"]) {
        KeyKind::Spatial
    } else {
        KeyKind::Plain
    };
    if cursor.eat_any(&["INDEX", "KEY"]) { index(cursor, ctx, kind, or_replace) } else { Statement::of(Kind::Other) }
}

/// What stands before a table's name.
#[derive(Clone, Copy)]
struct Mode {
    or_replace: bool,
    temporary: bool,
    if_not_exists: bool,
}

impl Mode {
    fn read(or_replace: bool, temporary: bool) -> Self {
        Self { or_replace, temporary, if_not_exists: false }
    }
}

fn create_table(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>, mut mode: Mode) -> Statement {
    mode.if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    let Some(table) = cursor.table_name(ctx) else { return Statement::unknown("CREATE TABLE without a name") };
    if mode.temporary {
        return Statement::ddl(vec![Effect::TemporaryTable { table }]);
    }
    let mut inner = cursor;
    if inner.eat_word("LIKE") || (inner.eat_punct(b'(') && inner.eat_word("LIKE")) {
        return create_like(inner, ctx, table, mode);
    }
    let mut body = table::Body::default();
    if cursor.at_punct(b'(') && !begins_select(cursor) {
        body = table::body(&mut cursor, ctx);
    }
    let (options, selects) = options(&mut cursor);
    let doubtful = body.doubtful;
    let effect = Effect::CreateTable {
        table: table.clone(),
        or_replace: mode.or_replace,
        if_not_exists: mode.if_not_exists,
        columns: body.columns,
        keys: body.keys,
        periods: body.periods,
        options,
        selects,
    };
    let mut statement = Statement::ddl(vec![effect]);
    if selects {
        // In a row-format log the server writes the columns out and the rows as events; this one does neither.
        statement.written.push(table.clone());
        statement
            .doubts
            .push(Doubt { table: Some(table), reason: "CREATE TABLE ... SELECT does not list its columns" });
    } else if doubtful {
        statement.doubts.push(Doubt { table: Some(table), reason: "a part of CREATE TABLE was not understood" });
    }
    statement
}

fn create_like(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>, table: TableName, mode: Mode) -> Statement {
    let Some(like) = cursor.table_name(ctx) else {
        return Statement::of(Kind::Ddl).doubting(Some(table), "CREATE TABLE LIKE without a name");
    };
    let Mode { or_replace, if_not_exists, .. } = mode;
    Statement::ddl(vec![Effect::CreateTableLike { table, like, or_replace, if_not_exists }])
}

/// `(SELECT`, `((SELECT`, `(WITH`, `(VALUES`.
fn begins_select(mut cursor: Cursor<'_>) -> bool {
    while cursor.eat_punct(b'(') {}
    cursor.at_any(&["SELECT", "WITH", "VALUES", "TABLE"])
}

/// The options behind a table's body, and whether a SELECT follows.
fn options(cursor: &mut Cursor<'_>) -> (TableOptions, bool) {
    let mut options = TableOptions::default();
    while !cursor.at_end() {
        if table::option(cursor, &mut options) {
            continue;
        }
        let behind_as = cursor.eat_word("AS");
        if cursor.at_any(&["SELECT", "WITH", "VALUES", "TABLE"]) || begins_select_behind(cursor, behind_as) {
            return (options, true);
        }
        cursor.skip_item();
    }
    (options, false)
}

fn begins_select_behind(cursor: &Cursor<'_>, behind_as: bool) -> bool {
    let parenthesis = cursor.at_punct(b'(') && is_word(cursor.ahead(), "SELECT");
    parenthesis || (behind_as && cursor.at_punct(b'('))
}

fn sequence(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>, mut mode: Mode) -> Statement {
    mode.if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    let Some(table) = cursor.table_name(ctx) else { return Statement::unknown("CREATE SEQUENCE without a name") };
    let Mode { or_replace, temporary, if_not_exists } = mode;
    Statement::ddl(vec![if temporary {
        Effect::TemporaryTable { table }
    } else {
        Effect::CreateSequence { table, or_replace, if_not_exists }
    }])
}

/// `INDEX [IF NOT EXISTS] name [USING x] ON table (parts) [options]`.
fn index(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>, kind: KeyKind, or_replace: bool) -> Statement {
    let if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name();
    let mut using_hash = false;
    while !cursor.at_end() && !cursor.at_word("ON") {
        using_hash |= is_word(cursor.bump(), "HASH");
    }
    cursor.bump();
    let (Some(name), Some(table)) = (name, cursor.table_name(ctx)) else {
        return Statement::unknown("CREATE INDEX without a name");
    };
    let Some(parts) = key::parts(&mut cursor) else {
        return Statement::of(Kind::Ddl).doubting(Some(table), "CREATE INDEX without columns");
    };
    let mut alterations = Vec::new();
    if or_replace {
        alterations.push(Alteration::DropKey { name: name.clone(), if_exists: true });
    }
    while !cursor.at_end() {
        using_hash |= cursor.at_word("USING") && is_word(cursor.ahead(), "HASH");
        cursor.skip_item();
    }
    alterations.push(Alteration::AddKey(KeySpec { kind, name: Some(name), parts, using_hash, if_not_exists }));
    Statement::ddl(vec![Effect::AlterTable { table, if_exists: false, alterations }])
}
