//! What a statement in the binlog does to tables, without a grammar of all of SQL.
//!
//! Owns: the text of statements: their kind, their effects on databases, tables, columns and keys, and the tables
//! that a statement-format change names.
//! Does not own: what a table looks like before and after (`history`), events and their status variables, nor what to
//! do about a doubt (read `catalogue` again).
//!
//! Invariant: any bytes give an answer, in time linear in their length (times the tables they name). What is not
//! understood is skipped; if it could have changed a table, the answer carries a doubt with that table.
//!
//! A parser of all of SQL was rejected: the one on crates.io refuses 24 of 59 everyday statements of these two servers
//! whole, while a scanner loses only the clause it does not know.

mod alter;
mod classify;
mod column;
mod create;
mod cursor;
mod database;
mod dml;
mod effect;
mod key;
mod lists;
mod native;
mod table;
#[cfg(test)]
mod tests;
mod token;

use limpid_model::TableName;

pub use crate::position::Flavor;
pub use classify::{Class, Xid, classify};
pub use effect::{
    Alteration, CharsetClause, ColumnSpec, DeclaredType, Effect, Generated, KeyKind, KeyPartSpec, KeySpec, Period,
    Position, RowsChange, TableOptions, VersioningRole,
};
pub use native::{GeometryKind, NativeType, TextSize, parse_column_type};

use cursor::Cursor;

/// The `sql_mode` bits that a Query event carries (status variable 1); the bits used here mean the same on both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlMode(pub u64);

impl SqlMode {
    /// `REAL` is FLOAT, not DOUBLE.
    pub fn real_as_float(self) -> bool {
        self.0 & 1 != 0
    }

    /// Double quotes are for names.
    pub fn ansi_quotes(self) -> bool {
        self.0 & 4 != 0
    }

    /// MariaDB's Oracle mode: DATE is DATETIME.
    pub fn oracle(self) -> bool {
        self.0 & 512 != 0
    }

    /// A backslash in a string is itself.
    pub fn no_backslash_escapes(self) -> bool {
        self.0 & (1 << 20) != 0
    }
}

/// What a statement's meaning depends on besides its text.
#[derive(Clone, Copy, Debug)]
pub struct ScanContext<'a> {
    pub flavor: Flavor,
    /// As in versioned comments: 80015, 101119.
    pub version: u32,
    pub sql_mode: SqlMode,
    /// The database of the Query event.
    pub default_schema: &'a str,
    /// `lower_case_table_names` is 1 or 2.
    pub lower_case_names: bool,
    /// MySQL: status variable 16, else on since 8.0. MariaDB: a bit of `flags2`, else on since 10.10.
    pub explicit_defaults_for_timestamp: bool,
}

impl<'a> ScanContext<'a> {
    /// A session of such a server with nothing changed.
    pub fn of_server(flavor: Flavor, version: u32, default_schema: &'a str) -> Self {
        let explicit = match flavor {
            Flavor::MySql => version >= 80_000,
            Flavor::MariaDb => version >= 101_000,
        };
        Self {
            flavor,
            version,
            sql_mode: SqlMode::default(),
            default_schema,
            lower_case_names: false,
            explicit_defaults_for_timestamp: explicit,
        }
    }

    pub(crate) fn schema_name(&self, schema: &str) -> String {
        if self.lower_case_names { schema.to_lowercase() } else { schema.to_owned() }
    }

    pub(crate) fn table_name(&self, schema: &str, table: &str) -> TableName {
        TableName::new(&self.schema_name(schema), &self.schema_name(table))
    }
}

/// What sort of statement it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Transaction control.
    Transaction(Class),
    /// Changes databases, tables, columns or keys: see the effects, which may be none (ENABLE KEYS).
    Ddl,
    /// Changes rows: [`Statement::written`] names the tables.
    Dml,
    /// Neither tables nor rows: views, routines, grants, SET, FLUSH, ANALYZE.
    Other,
    /// Not understood at all. Has a doubt.
    Unknown,
}

/// Something that the text alone does not settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// `None`: it could be any table.
    pub table: Option<TableName>,
    pub reason: &'static str,
}

/// What a statement is and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub kind: Kind,
    /// In the order in which they happen.
    pub effects: Vec<Effect>,
    /// Tables whose rows the statement itself changes; in a row-format log, only of sessions in another format.
    pub written: Vec<TableName>,
    /// Empty when effects and written tables are all there is.
    pub doubts: Vec<Doubt>,
}

impl Statement {
    fn of(kind: Kind) -> Self {
        Self { kind, effects: Vec::new(), written: Vec::new(), doubts: Vec::new() }
    }

    fn ddl(effects: Vec<Effect>) -> Self {
        Self { effects, ..Self::of(Kind::Ddl) }
    }

    fn unknown(reason: &'static str) -> Self {
        Self { doubts: vec![Doubt { table: None, reason }], ..Self::of(Kind::Unknown) }
    }

    fn doubting(mut self, table: Option<TableName>, reason: &'static str) -> Self {
        self.doubts.push(Doubt { table, reason });
        self
    }
}

/// Scans one statement of a Query event (or of `START ALTER` and `COMMIT ALTER`, which carry the same text).
/// `sql` is UTF-8; text of another client character set is converted before.
pub fn scan(sql: &[u8], ctx: &ScanContext<'_>) -> Statement {
    let class = classify(sql);
    if class != Class::Other {
        return Statement::of(Kind::Transaction(class));
    }
    let mut statement = dispatch(Cursor::new(sql, ctx), ctx);
    if !statement.effects.is_empty() && std::str::from_utf8(sql).is_err() {
        statement.doubts.push(Doubt { table: None, reason: "the statement is not UTF-8" });
    }
    statement
}

fn dispatch(mut cursor: Cursor<'_>, ctx: &ScanContext<'_>) -> Statement {
    if cursor.eat_words(&["SET", "STATEMENT"]) {
        // MariaDB: SET STATEMENT a = 1, b = 2 FOR <statement>.
        while !cursor.at_end() && !cursor.at_word("FOR") {
            cursor.skip_item();
        }
        cursor.bump();
    }
    if cursor.at_word("ANALYZE") {
        let mut inner = cursor;
        inner.bump();
        if inner.eat_word("FORMAT") {
            inner.eat_punct(b'=');
            inner.bump();
        }
        if inner.at_any(&["INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"]) {
            cursor = inner;
        }
    }
    let first = cursor;
    if cursor.at_any(dml::FIRST_WORDS) || cursor.at_punct(b'(') {
        return dml::scan(first, ctx);
    }
    if cursor.at_any(OTHER_WORDS) || cursor.at_end() {
        return Statement::of(Kind::Other);
    }
    if cursor.eat_word("CREATE") {
        return create::scan(cursor, ctx);
    }
    if cursor.eat_word("ALTER") {
        return alter::scan(cursor, ctx);
    }
    if cursor.eat_word("DROP") {
        return lists::drop(cursor, ctx);
    }
    if cursor.eat_word("RENAME") {
        return lists::rename(cursor, ctx);
    }
    if cursor.eat_word("TRUNCATE") {
        return lists::truncate(cursor, ctx);
    }
    if cursor.eat_word("OPTIMIZE") {
        return lists::optimize(cursor, ctx);
    }
    Statement::unknown("a statement of a kind that is not known")
}

/// First words of statements that change neither tables nor rows. IMPORT TABLE makes tables and is not among them.
const OTHER_WORDS: &[&str] = &[
    "ANALYZE",
    "BACKUP",
    "BINLOG",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "CLONE",
    "DEALLOCATE",
    "DESC",
    "DESCRIBE",
    "EXPLAIN",
    "FLUSH",
    "GET",
    "GRANT",
    "HANDLER",
    "HELP",
    "INSTALL",
    "KILL",
    "LOCK",
    "PREPARE",
    "PURGE",
    "REPAIR",
    "RESET",
    "RESIGNAL",
    "RESTART",
    "REVOKE",
    "SET",
    "SHOW",
    "SHUTDOWN",
    "SIGNAL",
    "START",
    "STOP",
    "TABLE",
    "UNINSTALL",
    "UNLOCK",
    "USE",
    "VALUES",
];
