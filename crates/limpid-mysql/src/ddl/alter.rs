//! Reads ALTER TABLE.
//!
//! Owns: its clauses. Does not own: the order in which the server carries them out (`history`).
//!
//! Invariant: a clause that is not understood is skipped to its comma and sets a doubt about the table, unless it
//! begins with a word that is known to leave columns and keys alone.

use limpid_model::TableName;

use super::column;
use super::cursor::Cursor;
use super::effect::{Alteration, CharsetClause, Effect, Position, RowsChange, TableOptions};
use super::key::{self, Element};
use super::native;
use super::table;
use super::token::Token;
use super::{Doubt, Kind, ScanContext, Statement, database};

/// Behind ALTER.
pub(super) fn scan(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        return database::alter(cursor, ctx);
    }
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    cursor.eat_word("IGNORE");
    if !cursor.eat_word("TABLE") {
        return Statement::of(Kind::Other);
    }
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let Some(table) = cursor.table_name(ctx) else { return Statement::unknown("ALTER TABLE without a name") };
    if cursor.eat_word("WAIT") {
        cursor.bump();
    }
    cursor.eat_word("NOWAIT");
    let mut draft = Draft { ctx, table, alterations: Vec::new(), others: Vec::new(), doubt: None };
    while !cursor.at_end() {
        clause(&mut cursor, &mut draft);
        cursor.skip_element();
        // A `)` that nothing opened must not stop the walk.
        cursor.bump();
    }
    draft.finish(if_exists)
}

/// A statement under way.
struct Draft<'c> {
    ctx: &'c ScanContext<'c>,
    table: TableName,
    alterations: Vec<Alteration>,
    /// Effects beside those on columns and keys.
    others: Vec<Effect>,
    doubt: Option<&'static str>,
}

impl Draft<'_> {
    fn push(&mut self, alteration: Option<Alteration>) {
        match alteration {
            Some(alteration) => self.alterations.push(alteration),
            None => self.doubt = Some("a clause of ALTER TABLE was not understood"),
        }
    }

    fn rows_changed(&mut self, how: RowsChange) {
        self.others.push(Effect::RowsChanged { table: self.table.clone(), how });
    }

    fn finish(self, if_exists: bool) -> Statement {
        let mut effects = self.others;
        if !self.alterations.is_empty() {
            let alterations = self.alterations;
            effects.push(Effect::AlterTable { table: self.table.clone(), if_exists, alterations });
        }
        let mut statement = Statement::ddl(effects);
        if let Some(reason) = self.doubt {
            statement.doubts.push(Doubt { table: Some(self.table), reason });
        }
        statement
    }
}

/// At a clause; stops at its end or anywhere inside.
fn clause(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    if cursor.eat_word("ADD") {
        add(cursor, draft);
    } else if cursor.eat_word("DROP") {
        drop(cursor, draft);
    } else if cursor.eat_word("CHANGE") {
        change(cursor, draft, Naming::OldAndNew);
    } else if cursor.eat_word("MODIFY") {
        change(cursor, draft, Naming::Kept);
    } else if cursor.eat_word("RENAME") {
        rename(cursor, draft);
    } else if cursor.eat_word("ALTER") {
        alter_column(cursor, draft);
    } else if cursor.eat_word("CONVERT") {
        convert(cursor, draft);
    } else if cursor.eat_words(&["ORDER", "BY"]) {
        order_by(cursor);
        draft.push(Some(Alteration::Rebuild));
    } else if cursor.at_any(WITHOUT_TRACE) {
    } else if cursor.at_any(PARTITION_WORDS) {
        // Lists of partitions have commas too, and nothing follows them.
        skip_rest(cursor);
    } else if cursor.eat_word("FORCE") {
        draft.push(Some(Alteration::Rebuild));
    } else if !rows_moved(cursor, draft) {
        options(cursor, draft);
    }
}

fn skip_rest(cursor: &mut Cursor<'_>) {
    while !cursor.at_end() {
        cursor.skip_item();
    }
}

/// First words of clauses that leave a table as it is.
const WITHOUT_TRACE: &[&str] =
    &["ALGORITHM", "DISABLE", "ENABLE", "LOCK", "SECONDARY_LOAD", "SECONDARY_UNLOAD", "WITHOUT"];

/// First words of clauses about partitions that move no row away.
const PARTITION_WORDS: &[&str] =
    &["ANALYZE", "CHECK", "COALESCE", "OPTIMIZE", "PARTITION", "REBUILD", "REMOVE", "REORGANIZE", "REPAIR", "UPGRADE"];

fn position(cursor: &mut Cursor<'_>) -> Position {
    if cursor.eat_word("FIRST") {
        return Position::First;
    }
    let after = if cursor.eat_word("AFTER") { cursor.name() } else { None };
    after.map_or(Position::Last, Position::After)
}

fn add(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    if cursor.at_word("PARTITION") {
        return skip_rest(cursor);
    }
    if cursor.eat_words(&["SYSTEM", "VERSIONING"]) {
        return draft.push(Some(Alteration::AddSystemVersioning));
    }
    if let Some(period) = table::period(cursor) {
        return draft.push(Some(Alteration::AddPeriod(period)));
    }
    match key::element(cursor, draft.ctx) {
        Element::Key(key) => return draft.push(Some(Alteration::AddKey(key))),
        Element::Nothing => return draft.push(Some(Alteration::Rebuild)),
        Element::Other => {}
    }
    cursor.eat_word("COLUMN");
    let if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    if cursor.at_punct(b'(') {
        return add_list(cursor, draft, if_not_exists);
    }
    add_column(cursor, draft, if_not_exists);
}

/// `(a INT, b INT, KEY (a))`.
fn add_list(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>, if_not_exists: bool) {
    let body = table::body(cursor, draft.ctx);
    if body.doubtful {
        draft.push(None);
    }
    let columns = body.columns.into_iter();
    draft.alterations.extend(columns.map(|column| Alteration::AddColumn {
        column,
        position: Position::Last,
        if_not_exists,
    }));
    draft.alterations.extend(body.keys.into_iter().map(Alteration::AddKey));
}

fn add_column(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>, if_not_exists: bool) {
    let Some((column, keys)) = column::scan(cursor, draft.ctx) else { return draft.push(None) };
    let position = position(cursor);
    draft.push(Some(Alteration::AddColumn { column, position, if_not_exists }));
    draft.alterations.extend(keys.into_iter().map(Alteration::AddKey));
}

/// Whether a column's new name stands behind its old one.
#[derive(PartialEq)]
enum Naming {
    OldAndNew,
    Kept,
}

fn change(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>, naming: Naming) {
    cursor.eat_word("COLUMN");
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let from = if naming == Naming::OldAndNew { cursor.name() } else { { *cursor }.name() };
    let (Some(from), Some((column, keys))) = (from, column::scan(cursor, draft.ctx)) else { return draft.push(None) };
    let position = position(cursor);
    draft.push(Some(Alteration::ChangeColumn { from, column, position, if_exists }));
    draft.alterations.extend(keys.into_iter().map(Alteration::AddKey));
}

fn drop(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    if cursor.eat_words(&["PRIMARY", "KEY"]) {
        return draft.push(Some(Alteration::DropPrimaryKey));
    }
    if cursor.eat_words(&["SYSTEM", "VERSIONING"]) {
        return draft.push(Some(Alteration::DropSystemVersioning));
    }
    if table::eat_period_for(cursor) {
        let name = cursor.name();
        return draft.push(name.map(|name| Alteration::DropPeriod { name }));
    }
    if cursor.eat_word("PARTITION") {
        skip_rest(cursor);
        return draft.rows_changed(RowsChange::DroppedPartition);
    }
    let key = cursor.eat_any(&["KEY", "INDEX"]);
    let constraint = !key && cursor.eat_word("CONSTRAINT");
    // Dropping a foreign key leaves the index behind.
    let nothing = !key && !constraint && (cursor.eat_words(&["FOREIGN", "KEY"]) || cursor.eat_word("CHECK"));
    if !key && !constraint {
        cursor.eat_word("COLUMN");
    }
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let name = cursor.name();
    if nothing {
        draft.push(Some(Alteration::Rebuild));
    } else {
        draft.push(name.map(|name| match (key, constraint) {
            (true, _) => Alteration::DropKey { name, if_exists },
            (_, true) => Alteration::DropConstraint { name },
            _ => Alteration::DropColumn { name, if_exists },
        }));
    }
}

fn rename(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    let column = cursor.eat_word("COLUMN");
    let key = !column && cursor.eat_any(&["KEY", "INDEX"]);
    if column || key {
        let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
        let from = cursor.name();
        cursor.eat_word("TO");
        let pair = from.zip(cursor.name());
        return draft.push(pair.map(|(from, to)| match column {
            true => Alteration::RenameColumn { from, to, if_exists },
            false => Alteration::RenameKey { from, to, if_exists },
        }));
    }
    if !cursor.eat_any(&["TO", "AS"]) {
        cursor.eat_punct(b'=');
    }
    let to = cursor.table_name(draft.ctx);
    draft.push(to.map(Alteration::RenameTo));
}

/// `ALTER [COLUMN] [IF EXISTS] a SET .. | DROP DEFAULT`; ALTER INDEX, CHECK and CONSTRAINT say nothing of rows.
fn alter_column(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    if cursor.at_any(&["INDEX", "KEY", "CHECK", "CONSTRAINT"]) {
        return draft.push(Some(Alteration::Rebuild));
    }
    cursor.eat_word("COLUMN");
    cursor.eat_words(&["IF", "EXISTS"]);
    let Some(name) = cursor.name() else { return draft.push(None) };
    if cursor.eat_word("SET") && cursor.at_any(&["VISIBLE", "INVISIBLE"]) {
        let invisible = cursor.at_word("INVISIBLE");
        draft.push(Some(Alteration::SetInvisible { name, invisible }));
    } else {
        draft.push(Some(Alteration::Rebuild));
    }
}

fn convert(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    if cursor.eat_word("PARTITION") {
        cursor.name();
        draft.rows_changed(RowsChange::ConvertedPartition);
        if let (true, Some(table)) = (cursor.eat_words(&["TO", "TABLE"]), cursor.table_name(draft.ctx)) {
            let like = draft.table.clone();
            let effect = Effect::CreateTableLike { table, like, or_replace: false, if_not_exists: false };
            draft.others.push(effect);
        }
        return;
    }
    if cursor.eat_word("TABLE") {
        draft.rows_changed(RowsChange::ConvertedPartition);
        if let Some(table) = cursor.table_name(draft.ctx) {
            draft.others.push(Effect::DropTable { table, if_exists: false });
        }
        return;
    }
    cursor.eat_word("TO");
    let mut clause = CharsetClause { charset: native::charset_name(cursor), ..CharsetClause::default() };
    if cursor.eat_word("COLLATE") {
        cursor.eat_punct(b'=');
        clause.collation = cursor.name().map(|name| name.to_lowercase());
    }
    draft.push((!clause.is_empty()).then_some(Alteration::ConvertCharset(clause)));
}

/// The list's commas look like those between clauses: a name alone, or with ASC or DESC, belongs to the list.
fn order_by(cursor: &mut Cursor<'_>) {
    loop {
        cursor.name();
        while cursor.eat_punct(b'.') {
            cursor.name();
        }
        cursor.eat_any(&["ASC", "DESC"]);
        let mut next = *cursor;
        next.bump();
        next.name();
        let goes_on = next.at_end() || next.at_punct(b',') || next.at_punct(b'.') || next.at_any(&["ASC", "DESC"]);
        if !cursor.at_punct(b',') || !goes_on {
            return;
        }
        cursor.bump();
    }
}

/// Clauses that move rows behind the row events' back.
fn rows_moved(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) -> bool {
    if cursor.eat_words(&["EXCHANGE", "PARTITION"]) {
        draft.rows_changed(RowsChange::ExchangedPartition);
        while !cursor.at_end() && !cursor.eat_words(&["WITH", "TABLE"]) {
            cursor.skip_item();
        }
        if let Some(table) = cursor.table_name(draft.ctx) {
            draft.others.push(Effect::RowsChanged { table, how: RowsChange::ExchangedPartition });
        }
    } else if cursor.eat_words(&["TRUNCATE", "PARTITION"]) {
        draft.rows_changed(RowsChange::TruncatedPartition);
    } else if cursor.eat_any(&["DISCARD", "IMPORT"]) {
        draft.rows_changed(RowsChange::Tablespace);
    } else {
        return false;
    }
    skip_rest(cursor);
    true
}

/// Table options, which may follow each other without commas.
fn options(cursor: &mut Cursor<'_>, draft: &mut Draft<'_>) {
    let mut options = TableOptions::default();
    let known = matches!(cursor.ahead(), Token::Punct(b'='))
        || cursor.at_any(OPTIONS)
        || matches!(cursor.token(), Token::Punct(_));
    while !cursor.at_end() && !cursor.at_punct(b',') && !cursor.at_punct(b')') {
        if !table::option(cursor, &mut options) {
            cursor.skip_item();
        }
    }
    if options != TableOptions::default() {
        draft.push(Some(Alteration::Options(options)));
    } else {
        draft.push(known.then_some(Alteration::Rebuild));
    }
}

/// Options that may stand without `=`.
const OPTIONS: &[&str] = &[
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DATA",
    "DEFAULT",
    "DELAY_KEY_WRITE",
    "ENCRYPTION",
    "INDEX",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "NOT",
    "PACK_KEYS",
    "PAGE_CHECKSUM",
    "PASSWORD",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
    "STORAGE",
    "TABLESPACE",
    "TRANSACTIONAL",
    "UNION",
    "WITH",
];
