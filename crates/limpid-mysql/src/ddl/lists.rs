//! Reads DROP, RENAME TABLE and TRUNCATE: statements that are lists of names.
//!
//! Owns: their names, in order: a swap by `RENAME a TO b, c TO a` depends on it.
//! Does not own: what exists (`history`).
//!
//! Invariant: one effect per name.

use super::cursor::Cursor;
use super::effect::{Alteration, Effect};
use super::{Kind, ScanContext, Statement};

/// Behind DROP.
pub(super) fn drop(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        cursor.eat_words(&["IF", "EXISTS"]);
        let Some(name) = cursor.name() else { return Statement::unknown("DROP DATABASE without a name") };
        return Statement::ddl(vec![Effect::DropDatabase { name: ctx.schema_name(&name) }]);
    }
    if cursor.eat_word("TEMPORARY") {
        return Statement::of(Kind::Ddl);
    }
    if cursor.eat_any(&["TABLE", "TABLES", "SEQUENCE"]) {
        return drop_tables(cursor, ctx);
    }
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    if cursor.eat_any(&["INDEX", "KEY"]) { drop_index(cursor, ctx) } else { Statement::of(Kind::Other) }
}

fn drop_tables(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let mut effects = Vec::new();
    while let Some(table) = cursor.table_name(ctx) {
        effects.push(Effect::DropTable { table, if_exists });
        if !cursor.eat_punct(b',') {
            break;
        }
    }
    Statement::ddl(effects)
}

fn drop_index(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let name = cursor.name();
    cursor.eat_word("ON");
    let (Some(name), Some(table)) = (name, cursor.table_name(ctx)) else {
        return Statement::unknown("DROP INDEX without a name");
    };
    let alterations = vec![Alteration::DropKey { name, if_exists }];
    Statement::ddl(vec![Effect::AlterTable { table, if_exists: false, alterations }])
}

/// Behind OPTIMIZE: InnoDB makes the tables anew.
pub(super) fn optimize(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    cursor.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    cursor.eat_any(&["TABLE", "TABLES"]);
    let mut effects = Vec::new();
    while let Some(table) = cursor.table_name(ctx) {
        effects.push(Effect::AlterTable { table, if_exists: true, alterations: vec![Alteration::Rebuild] });
        if !cursor.eat_punct(b',') {
            break;
        }
    }
    Statement::ddl(effects)
}

/// Behind RENAME.
pub(super) fn rename(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    if !cursor.eat_any(&["TABLE", "TABLES"]) {
        return Statement::of(Kind::Other);
    }
    let if_exists = cursor.eat_words(&["IF", "EXISTS"]);
    let mut effects = Vec::new();
    while let Some(from) = cursor.table_name(ctx) {
        if cursor.eat_word("WAIT") {
            cursor.bump();
        }
        cursor.eat_word("NOWAIT");
        cursor.eat_word("TO");
        let Some(to) = cursor.table_name(ctx) else {
            return Statement::ddl(effects).doubting(Some(from), "RENAME TABLE without its new name");
        };
        effects.push(Effect::RenameTable { from, to, if_exists });
        if !cursor.eat_punct(b',') {
            break;
        }
    }
    Statement::ddl(effects)
}

/// Behind TRUNCATE.
pub(super) fn truncate(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    cursor.eat_word("TABLE");
    let Some(table) = cursor.table_name(ctx) else { return Statement::unknown("TRUNCATE without a name") };
    Statement::ddl(vec![Effect::TruncateTable { table }])
}
