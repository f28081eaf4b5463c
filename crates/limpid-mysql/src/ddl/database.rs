//! Reads CREATE and ALTER DATABASE.
//!
//! Owns: a database's name and default character set. Does not own: the other options, which are skipped.
//!
//! Invariant: as for all of `ddl`.

use super::cursor::Cursor;
use super::effect::{CharsetClause, Effect};
use super::table::charset_option;
use super::{ScanContext, Statement};

/// Behind `CREATE [OR REPLACE] DATABASE`.
pub(super) fn create(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>, or_replace: bool) -> Statement {
    let if_not_exists = cursor.eat_words(&["IF", "NOT", "EXISTS"]);
    let Some(name) = cursor.name() else { return Statement::unknown("a database without a name") };
    let name = ctx.schema_name(&name);
    Statement::ddl(vec![Effect::CreateDatabase { name, or_replace, if_not_exists, charset: charset(cursor) }])
}

/// Behind `ALTER DATABASE`; without a name it is the session's.
pub(super) fn alter(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    let mut probe = CharsetClause::default();
    let unnamed = charset_option(&mut cursor.clone(), &mut probe)
        || (cursor.at_any(&["COMMENT", "READ", "ENCRYPTION", "DEFAULT", "UPGRADE"]));
    let name = if unnamed { Some(ctx.default_schema.to_owned()) } else { cursor.name() };
    let Some(name) = name else { return Statement::unknown("a database without a name") };
    Statement::ddl(vec![Effect::AlterDatabase { name: ctx.schema_name(&name), charset: charset(cursor) }])
}

fn charset(mut cursor: Cursor<'_>) -> CharsetClause {
    let mut clause = CharsetClause::default();
    while !cursor.at_end() {
        if !charset_option(&mut cursor, &mut clause) {
            cursor.skip_item();
        }
    }
    clause
}
