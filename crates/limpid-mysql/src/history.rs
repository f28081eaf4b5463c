//! What every table looks like at one point of the log, moved along by the effects of statements.
//!
//! Owns: definitions of tables as of a position, their versions, and how a definition's key and row image follow
//! from it. Does not own: statements (`ddl`), the first definitions (`catalogue`), the log's own metadata, which wins
//! where both speak (`schemas`).
//!
//! Invariant: a definition is `certain` only while everything that ever changed it was understood; it is as the
//! server would show it in `information_schema`, keys in the server's order.

mod alter;
mod apply;
mod charset;
mod keys;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_model::TableName;

use crate::ddl::{Flavor, Generated, KeyKind, NativeType, Period, RowsChange, VersioningRole};

pub use charset::{Charsets, TextCharset};
pub(crate) use keys::{hidden_column, sort as sort_keys};
pub use wire::Damaged;

/// The databases and tables of one server at one position of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) flavor: Flavor,
    /// As in versioned comments: 80015, 101119.
    pub(crate) server_version: u32,
    pub(crate) charsets: Charsets,
    /// What a database without a character set gets.
    pub(crate) server_charset: TextCharset,
    pub(crate) databases: BTreeMap<String, TextCharset>,
    pub(crate) tables: BTreeMap<TableName, Arc<TableDefinition>>,
    /// The version that was given out last.
    pub(crate) last_version: u32,
}

/// One version of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDefinition {
    /// Unique within a history; a later definition has a higher one.
    pub version: u32,
    /// In the table's order, with MySQL's hidden columns of key expressions in their places.
    pub columns: Vec<ColumnDefinition>,
    /// In the server's order, which its clients see too.
    pub keys: Vec<KeyDefinition>,
    /// What a new column gets.
    pub charset: TextCharset,
    /// Lower case; empty when not known.
    pub engine: String,
    pub is_sequence: bool,
    pub versioning: Option<SystemVersioning>,
    /// MariaDB's application-time periods.
    pub periods: Vec<Period>,
    /// False once a statement left a doubt; reading the catalogue again makes it true.
    pub certain: bool,
}

/// How a MariaDB table keeps its history rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemVersioning {
    /// `row_start` and `row_end` are not in `information_schema`, but in every row image.
    Implicit,
    /// The table names both columns itself.
    Explicit,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    pub name: String,
    pub native: NativeType,
    /// Of CHAR, VARCHAR, TEXT, ENUM and SET.
    pub charset: Option<TextCharset>,
    pub nullable: bool,
    pub generated: Option<Generated>,
    pub invisible: bool,
    pub auto_increment: bool,
    pub versioning: Option<VersioningRole>,
    /// MySQL's hidden column of an expression in a key: that key's name. Has no name of its own here.
    pub hidden_for: Option<String>,
}

/// One key or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDefinition {
    /// `PRIMARY` for the primary key.
    pub name: String,
    pub kind: KeyKind,
    pub parts: Vec<KeyPart>,
    /// MariaDB keeps it as a hidden column of hashes, `DB_ROW_HASH_n`.
    pub hashed: bool,
    /// Made for a foreign key; gives way to an index of the same columns.
    pub generated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    Column {
        name: String,
        /// Set where only the beginning of the value counts.
        prefix: Option<u32>,
    },
    Expression,
}

/// One column of a row image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageColumn {
    /// An index into `columns`.
    Column(usize),
    /// MySQL: a key's expression. In the table map, never among the columns present in a row.
    KeyExpression(usize),
    /// MariaDB: implicit `row_start`, TIMESTAMP(6) NOT NULL.
    RowStart,
    /// MariaDB: implicit `row_end`, TIMESTAMP(6) NOT NULL; below its maximum in a history row.
    RowEnd,
    /// MariaDB: `DB_ROW_HASH_n`, BIGINT UNSIGNED NULL.
    RowHash,
}

/// What applying a statement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// New, or replaced as a whole.
    Created(TableName),
    Altered(TableName),
    Dropped(TableName),
    Renamed {
        from: TableName,
        to: TableName,
    },
    Truncated(TableName),
    RowsChanged {
        table: TableName,
        how: RowsChange,
    },
    /// The catalogue must be read again, and what lies between is uncertain. `None`: it could be any table.
    Doubt {
        table: Option<TableName>,
        reason: &'static str,
    },
}

impl History {
    /// An empty server.
    pub fn new(flavor: Flavor, server_version: u32, charsets: Charsets, server_charset: TextCharset) -> Self {
        Self {
            flavor,
            server_version,
            charsets,
            server_charset,
            databases: BTreeMap::new(),
            tables: BTreeMap::new(),
            last_version: 0,
        }
    }

    /// The version that was given out last.
    pub fn last_version(&self) -> u32 {
        self.last_version
    }

    pub fn table(&self, name: &TableName) -> Option<&Arc<TableDefinition>> {
        self.tables.get(name)
    }

    pub fn tables(&self) -> impl Iterator<Item = (&TableName, &Arc<TableDefinition>)> {
        self.tables.iter()
    }

    pub fn databases(&self) -> impl Iterator<Item = (&str, &TextCharset)> {
        self.databases.iter().map(|(name, charset)| (&**name, charset))
    }

    /// Takes a table's definition from a catalogue read at this very position, or its absence.
    pub fn set_table(&mut self, name: TableName, definition: Option<TableDefinition>) {
        match definition {
            Some(mut definition) => {
                self.last_version += 1;
                definition.version = self.last_version;
                self.tables.insert(name, Arc::new(definition));
            }
            None => {
                self.tables.remove(&name);
            }
        }
    }

    fn database_charset(&self, name: &str) -> TextCharset {
        self.databases.get(name).unwrap_or(&self.server_charset).clone()
    }
}

impl TableDefinition {
    /// The index of a column that statements can name.
    pub fn column(&self, name: &str) -> Option<usize> {
        let lower = name.to_lowercase();
        self.columns.iter().position(|column| column.hidden_for.is_none() && column.name.to_lowercase() == lower)
    }

    /// The columns that identify a row: the primary key, else the first unique key whose columns are all NOT NULL
    /// and whole; empty without one. The end of a row's validity is no part of its identity, so that the versions of
    /// a system-versioned row have one key.
    pub fn row_key(&self) -> Vec<usize> {
        let primary = self.keys.iter().find(|key| key.kind == KeyKind::Primary);
        let unique = self.keys.iter().filter(|key| key.kind == KeyKind::Unique);
        primary.into_iter().chain(unique).find_map(|key| self.identifying(key)).unwrap_or_default()
    }

    pub(crate) fn identifying(&self, key: &KeyDefinition) -> Option<Vec<usize>> {
        let mut columns = Vec::with_capacity(key.parts.len());
        for part in &key.parts {
            let KeyPart::Column { name, prefix } = part else { return None };
            let index = self.column(name)?;
            let column = self.columns.get(index)?;
            // A prefix in a primary key identifies rows all the more when whole.
            if column.nullable || (prefix.is_some() && key.kind != KeyKind::Primary) {
                return None;
            }
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
        (!columns.is_empty()).then_some(columns)
    }

    /// What a table map and a full row image of this table hold, in order. Measured on MariaDB 10.11 and MySQL
    /// 8.0.15: generated columns, VIRTUAL ones too, are in the image with their values, as are invisible ones.
    pub fn row_image(&self) -> Vec<ImageColumn> {
        let columns = self.columns.iter().enumerate().map(|(index, column)| match column.hidden_for {
            Some(_) => ImageColumn::KeyExpression(index),
            None => ImageColumn::Column(index),
        });
        let mut image: Vec<ImageColumn> = columns.collect();
        if self.versioning == Some(SystemVersioning::Implicit) {
            image.extend([ImageColumn::RowStart, ImageColumn::RowEnd]);
        }
        image.extend(self.keys.iter().filter(|key| key.hashed).map(|_| ImageColumn::RowHash));
        image
    }
}
