//! Reads a server's tables out of `information_schema`.
//!
//! Owns: the queries, and turning their rows into a `History`. Does not own: a connection: the caller runs the
//! queries, at one position (log position before, catalogue, log position after; again if DDL fell between).
//!
//! Invariant: what comes out equals what the scanner makes of the same statements, so that a comparison of the two
//! finds only real disagreement.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use limpid_model::TableName;

use crate::ddl::{Flavor, Generated, KeyKind, NativeType, ScanContext, VersioningRole, parse_column_type};
use crate::history::{
    Charsets, ColumnDefinition, History, KeyDefinition, KeyPart, SystemVersioning, TableDefinition, TextCharset,
    hidden_column, sort_keys,
};

/// True where a member of an ENUM or SET may be the other: the catalogue has a question mark for a character beyond three
/// bytes, where statements and the log's own metadata have the character.
pub fn may_be_one(ours: &str, theirs: &str) -> bool {
    ours == theirs || ours.contains('?') || theirs.contains('?')
}

/// One row of a text-protocol result.
pub type Row = Vec<Option<Vec<u8>>>;

/// The queries, in the order of [`Rows`]' fields. Each has its own shape; `Rows` says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queries {
    pub charsets: String,
    pub server: String,
    pub schemata: String,
    pub tables: String,
    pub columns: String,
    pub keys: String,
}

/// The answers, unconverted, in the order the server sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub charsets: Vec<Row>,
    pub server: Vec<Row>,
    pub schemata: Vec<Row>,
    pub tables: Vec<Row>,
    pub columns: Vec<Row>,
    pub keys: Vec<Row>,
}

/// A catalogue's answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub query: &'static str,
    pub what: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's answer about its {} cannot be used: {}", self.query, self.what)
    }
}

impl std::error::Error for Unreadable {}

/// The server's own schemas are never captured.
const USER_SCHEMAS: &str = "NOT IN ('information_schema','mysql','performance_schema','sys')";

/// Which tables a catalogue is read for.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// All but the server's own.
    All,
    Schema(&'a str),
    /// To settle a doubt.
    Table(&'a TableName),
}

impl Queries {
    pub fn new(flavor: Flavor, scope: Scope<'_>) -> Self {
        let wanted = match scope {
            Scope::All => format!("TABLE_SCHEMA {USER_SCHEMAS}"),
            Scope::Schema(schema) => format!("TABLE_SCHEMA = {}", literal(schema)),
            Scope::Table(table) => {
                format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(&table.schema), literal(&table.table))
            }
        };
        let (srid, expression) = match flavor {
            Flavor::MySql => ("SRS_ID", "EXPRESSION"),
            Flavor::MariaDb => ("NULL", "NULL"),
        };
        Self {
            charsets: "SELECT CHARACTER_SET_NAME, DEFAULT_COLLATE_NAME, MAXLEN FROM information_schema.CHARACTER_SETS"
                .to_owned(),
            server: "SELECT @@character_set_server, @@collation_server".to_owned(),
            schemata: format!(
                "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
                 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME {USER_SCHEMAS}"
            ),
            tables: format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION \
                 FROM information_schema.TABLES WHERE {wanted}"
            ),
            columns: format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_TYPE, IS_NULLABLE, \
                 CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION, {srid} \
                 FROM information_schema.COLUMNS WHERE {wanted} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
            ),
            keys: format!(
                "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART, \
                 INDEX_TYPE, {expression} FROM information_schema.STATISTICS WHERE {wanted}"
            ),
        }
    }
}

/// `SHOW INDEX` lists keys in the server's order. MySQL 8's `information_schema` does not say it, so a table in
/// [`unsettled`] is asked for with this and its answer given to [`order_keys`].
pub fn show_index(table: &TableName) -> String {
    format!("SHOW INDEX FROM {}.{}", quoted(&table.schema), quoted(&table.table))
}

/// Tables whose key depends on an order that the catalogue's rows do not promise.
pub fn unsettled(history: &History) -> Vec<TableName> {
    if history.flavor == Flavor::MariaDb {
        return Vec::new();
    }
    let candidates = |table: &TableDefinition| {
        let primary = table.keys.iter().any(|key| key.kind == KeyKind::Primary);
        if primary { 0 } else { table.keys.iter().filter(|key| table.identifying(key).is_some()).count() }
    };
    history.tables().filter(|(_, table)| candidates(table) > 1).map(|(name, _)| name.clone()).collect()
}

/// Puts a table's keys in the order of `SHOW INDEX`'s rows.
pub fn order_keys(history: &mut History, table: &TableName, show_index: &[Row]) {
    let names: Vec<String> = show_index.iter().filter_map(|row| text(row, 2)).collect();
    if let Some(definition) = history.tables.get_mut(table) {
        let place = |key: &KeyDefinition| names.iter().position(|name| *name == key.name);
        Arc::make_mut(definition).keys.sort_by_key(place);
    }
}

/// Builds the history of a server from its answers.
pub fn history(flavor: Flavor, server_version: u32, rows: &Rows) -> Result<History, Unreadable> {
    let charsets = charsets(&rows.charsets)?;
    let server = rows.server.first().and_then(|row| Some(TextCharset::new(&text(row, 0)?, &text(row, 1)?)));
    let server = server.ok_or(Unreadable { query: "default character set", what: "it has no row" })?;
    let mut history = History::new(flavor, server_version, charsets, server);
    for row in &rows.schemata {
        let (Some(name), Some(charset), Some(collation)) = (text(row, 0), text(row, 1), text(row, 2)) else {
            return Err(Unreadable { query: "databases", what: "a row is incomplete" });
        };
        history.databases.insert(name, TextCharset::new(&charset, &collation));
    }
    for (name, definition) in tables(&history, rows)? {
        history.set_table(name, Some(definition));
    }
    Ok(history)
}

/// The tables of an answer; views are not among them.
pub fn tables(history: &History, rows: &Rows) -> Result<BTreeMap<TableName, TableDefinition>, Unreadable> {
    let mut columns = columns(history, &rows.columns)?;
    let mut keys = keys(&rows.keys)?;
    let mut tables = BTreeMap::new();
    for row in &rows.tables {
        let incomplete = Unreadable { query: "tables", what: "a row is incomplete" };
        let (Some(name), Some(kind)) = (name(row), text(row, 2)) else { return Err(incomplete) };
        if !matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED" | "SEQUENCE") {
            continue;
        }
        let collation = text(row, 4).unwrap_or_default();
        let columns = columns.remove(&name).unwrap_or_default();
        let keys = keys.remove(&name).unwrap_or_default();
        let explicit = columns.iter().any(|(_, column)| column.versioning == Some(VersioningRole::RowStart));
        let versioning = match (kind.as_str(), explicit) {
            ("SYSTEM VERSIONED", true) => Some(SystemVersioning::Explicit),
            ("SYSTEM VERSIONED", false) => Some(SystemVersioning::Implicit),
            _ => None,
        };
        let definition = TableDefinition {
            version: 0,
            columns: Vec::new(),
            keys: Vec::new(),
            charset: history.charsets.of_collation(&collation, &history.server_charset.charset),
            engine: text(row, 3).unwrap_or_default().to_lowercase(),
            is_sequence: kind == "SEQUENCE",
            versioning,
            periods: Vec::new(),
            certain: true,
        };
        tables.insert(name, assemble(definition, columns, keys, history.flavor));
    }
    Ok(tables)
}

/// Puts columns and keys into a table, and MySQL's hidden columns into the gaps between ordinal positions.
fn assemble(
    mut table: TableDefinition,
    columns: Vec<(u64, ColumnDefinition)>,
    mut keys: Vec<KeyDefinition>,
    flavor: Flavor,
) -> TableDefinition {
    let expressions = |key: &KeyDefinition| key.parts.iter().filter(|part| **part == KeyPart::Expression).count();
    let hidden: Vec<&str> = keys.iter().flat_map(|key| std::iter::repeat_n(&*key.name, expressions(key))).collect();
    let mut hidden = hidden.into_iter().map(str::to_owned);
    let mut next = 1;
    for (ordinal, column) in columns {
        // At most as many as there are expressions, whatever the ordinals claim.
        while next < ordinal && flavor == Flavor::MySql {
            let Some(key) = hidden.next() else { break };
            table.columns.push(hidden_column(key));
            next += 1;
        }
        next = ordinal + 1;
        table.columns.push(column);
    }
    if flavor == Flavor::MySql {
        table.columns.extend(hidden.map(hidden_column));
    }
    if table.versioning == Some(SystemVersioning::Explicit) {
        without_row_end(&table, &mut keys);
    }
    for key in &mut keys {
        key.hashed &= flavor == Flavor::MariaDb && !matches!(table.engine.as_str(), "memory" | "heap");
    }
    table.keys = keys;
    if flavor == Flavor::MySql {
        sort_keys(&mut table);
    }
    table
}

/// The server adds the row's end to each unique key of a table with explicit period columns.
fn without_row_end(table: &TableDefinition, keys: &mut [KeyDefinition]) {
    let is_end = |part: &KeyPart| {
        let KeyPart::Column { name, .. } = part else { return false };
        let column = table.column(name).and_then(|index| table.columns.get(index));
        column.is_some_and(|column| column.versioning == Some(VersioningRole::RowEnd))
    };
    for key in
        keys.iter_mut().filter(|key| matches!(key.kind, KeyKind::Primary | KeyKind::Unique) && key.parts.len() > 1)
    {
        key.parts.retain(|part| !is_end(part));
    }
}

fn charsets(rows: &[Row]) -> Result<Charsets, Unreadable> {
    let mut charsets = Charsets::default();
    for row in rows {
        let bytes_max = number(row, 2).and_then(|bytes| u8::try_from(bytes).ok());
        let (Some(name), Some(collation), Some(bytes_max)) = (text(row, 0), text(row, 1), bytes_max) else {
            return Err(Unreadable { query: "character sets", what: "a row is incomplete" });
        };
        charsets.insert(&name, &collation, bytes_max);
    }
    Ok(charsets)
}

type Columns = HashMap<TableName, Vec<(u64, ColumnDefinition)>>;

fn columns(history: &History, rows: &[Row]) -> Result<Columns, Unreadable> {
    let ctx = ScanContext::of_server(history.flavor, history.server_version, "");
    let mut columns = Columns::new();
    for row in rows {
        let incomplete = Unreadable { query: "columns", what: "a row is incomplete" };
        let (Some(table), Some(ordinal)) = (name(row), number(row, 3)) else { return Err(incomplete) };
        let column = column(row, &ctx).ok_or(incomplete)?;
        columns.entry(table).or_default().push((ordinal, column));
    }
    for columns in columns.values_mut() {
        columns.sort_by_key(|(ordinal, _)| *ordinal);
    }
    Ok(columns)
}

fn column(row: &Row, ctx: &ScanContext<'_>) -> Option<ColumnDefinition> {
    let mut native = parse_column_type(row.get(4)?.as_deref()?, ctx)?;
    if let (NativeType::Geometry { srid, .. }, Some(id)) = (&mut native, number(row, 10)) {
        *srid = u32::try_from(id).ok();
    }
    let extra = text(row, 8).unwrap_or_default().to_uppercase();
    let versioning = match text(row, 9).as_deref() {
        Some("ROW START") => Some(VersioningRole::RowStart),
        Some("ROW END") => Some(VersioningRole::RowEnd),
        _ if extra.contains("WITHOUT SYSTEM VERSIONING") => Some(VersioningRole::Unversioned),
        _ => None,
    };
    let period = matches!(versioning, Some(VersioningRole::RowStart | VersioningRole::RowEnd));
    let generated = if period {
        None
    } else if extra.contains("VIRTUAL GENERATED") {
        Some(Generated::Virtual)
    } else if extra.contains("STORED GENERATED") || extra.contains("PERSISTENT GENERATED") {
        Some(Generated::Stored)
    } else {
        None
    };
    let charset = text(row, 6).zip(text(row, 7)).map(|(charset, collation)| TextCharset::new(&charset, &collation));
    // MySQL tells no character set of a binary ENUM.
    let charset = charset.or_else(|| native.is_text().then(|| TextCharset::new("binary", "binary")));
    Some(ColumnDefinition {
        name: text(row, 2)?,
        charset: charset.filter(|_| native.is_text()),
        native,
        nullable: text(row, 5)? == "YES",
        generated,
        invisible: extra.contains("INVISIBLE"),
        auto_increment: extra.contains("AUTO_INCREMENT"),
        versioning,
        hidden_for: None,
    })
}

fn keys(rows: &[Row]) -> Result<HashMap<TableName, Vec<KeyDefinition>>, Unreadable> {
    let mut keys: HashMap<TableName, Vec<KeyDefinition>> = HashMap::new();
    let mut places: HashMap<(TableName, String), BTreeMap<u64, KeyPart>> = HashMap::new();
    for row in rows {
        let incomplete = Unreadable { query: "keys", what: "a row is incomplete" };
        let (Some(table), Some(key)) = (name(row), text(row, 2)) else { return Err(incomplete) };
        let (Some(non_unique), Some(place)) = (number(row, 3), number(row, 4)) else { return Err(incomplete) };
        let index_type = text(row, 7).unwrap_or_default();
        let kind = match (key.as_str(), non_unique, index_type.as_str()) {
            ("PRIMARY", ..) => KeyKind::Primary,
            (_, 0, _) => KeyKind::Unique,
            (.., "FULLTEXT") => KeyKind::Fulltext,
            (.., "SPATIAL" | "VECTOR") => KeyKind::Spatial,
            _ => KeyKind::Plain,
        };
        // An index on a geometry has a length that the statement does not name.
        let prefix = number(row, 6).filter(|_| kind != KeyKind::Spatial).and_then(|prefix| u32::try_from(prefix).ok());
        let part = text(row, 5).map_or(KeyPart::Expression, |name| KeyPart::Column { name, prefix });
        let parts = places.entry((table.clone(), key.clone())).or_default();
        if parts.is_empty() {
            let hashed = kind == KeyKind::Unique && index_type == "HASH";
            let key = KeyDefinition { name: key, kind, parts: Vec::new(), hashed, generated: false };
            keys.entry(table).or_default().push(key);
        }
        parts.insert(place, part);
    }
    for (table, keys) in &mut keys {
        for key in keys {
            let parts = places.remove(&(table.clone(), key.name.clone())).unwrap_or_default();
            key.parts = parts.into_values().collect();
        }
    }
    Ok(keys)
}

fn name(row: &Row) -> Option<TableName> {
    Some(TableName::new(&text(row, 0)?, &text(row, 1)?))
}

fn text(row: &Row, index: usize) -> Option<String> {
    let bytes = row.get(index)?.as_deref()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn number(row: &Row, index: usize) -> Option<u64> {
    std::str::from_utf8(row.get(index)?.as_deref()?).ok()?.parse().ok()
}

/// Names are compared as strings; the session's `sql_mode` must not have NO_BACKSLASH_ESCAPES for a name with one.
pub(crate) fn literal(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
