//! What statements do, as data.
//!
//! Owns: the effects and their parts. Does not own: reading them out of text, nor applying them (`history`).
//!
//! Invariant: effects hold what the text says; what it leaves to the table or the database (a default character
//! set, a key's name) stays `None` until it is applied.

use limpid_model::TableName;

use super::native::NativeType;

/// One step of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    CreateDatabase {
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        charset: CharsetClause,
    },
    AlterDatabase {
        name: String,
        charset: CharsetClause,
    },
    DropDatabase {
        name: String,
    },
    CreateTable {
        table: TableName,
        or_replace: bool,
        if_not_exists: bool,
        columns: Vec<ColumnSpec>,
        /// In the order of the text, keys inside column definitions included.
        keys: Vec<KeySpec>,
        periods: Vec<Period>,
        options: TableOptions,
        /// `... AS SELECT`: there are columns that the text does not list.
        selects: bool,
    },
    CreateTableLike {
        table: TableName,
        like: TableName,
        or_replace: bool,
        if_not_exists: bool,
    },
    AlterTable {
        table: TableName,
        if_exists: bool,
        alterations: Vec<Alteration>,
    },
    DropTable {
        table: TableName,
        if_exists: bool,
    },
    RenameTable {
        from: TableName,
        to: TableName,
        if_exists: bool,
    },
    TruncateTable {
        table: TableName,
    },
    /// A sequence is a table of one row whose changes are logged, and is never captured.
    CreateSequence {
        table: TableName,
        or_replace: bool,
        if_not_exists: bool,
    },
    /// The table is the session's own, and its changes are not logged as rows.
    TemporaryTable {
        table: TableName,
    },
    /// Rows came or went without row events.
    RowsChanged {
        table: TableName,
        how: RowsChange,
    },
}

/// How rows changed that no row event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsChange {
    ExchangedPartition,
    DroppedPartition,
    TruncatedPartition,
    /// MariaDB's CONVERT TABLE .. TO PARTITION and its reverse.
    ConvertedPartition,
    /// DISCARD or IMPORT of a tablespace.
    Tablespace,
}

/// `CHARACTER SET` and `COLLATE` as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharsetClause {
    /// Lower case; `default` stands for the level above.
    pub charset: Option<String>,
    pub collation: Option<String>,
    /// The BINARY attribute: the character set's `_bin` collation.
    pub binary: bool,
}

impl CharsetClause {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A type as declared; the character set of the table may still turn CHAR into BINARY, or TEXT(n) into another size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredType {
    pub native: NativeType,
    pub charset: CharsetClause,
    /// `TEXT(n)`, in characters: the size follows from the character set.
    pub text_length: Option<u64>,
    /// The n of INT(n), which only ZEROFILL shows.
    pub display_width: Option<u8>,
    /// SERIAL: NOT NULL, AUTO_INCREMENT, UNIQUE.
    pub serial: bool,
}

/// How a generated column's value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    Virtual,
    Stored,
}

/// A column's part in MariaDB's system versioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersioningRole {
    /// `GENERATED ALWAYS AS ROW START`
    RowStart,
    /// `GENERATED ALWAYS AS ROW END`
    RowEnd,
    /// `WITH SYSTEM VERSIONING` on the column, which versions the table by its columns.
    Versioned,
    /// `WITHOUT SYSTEM VERSIONING`
    Unversioned,
}

/// A column's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    pub name: String,
    pub declared: DeclaredType,
    /// What the text and the session say; a primary key or a period may still make it NOT NULL.
    pub nullable: bool,
    pub generated: Option<Generated>,
    pub invisible: bool,
    pub auto_increment: bool,
    pub versioning: Option<VersioningRole>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Primary,
    Unique,
    Plain,
    Fulltext,
    /// SPATIAL or VECTOR.
    Spatial,
    /// The index that a foreign key makes for itself where no other serves.
    Foreign,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPartSpec {
    Column {
        name: String,
        /// In characters, or bytes of a binary column.
        prefix: Option<u64>,
    },
    Expression,
    /// MariaDB: `p WITHOUT OVERLAPS`, the columns of an application-time period.
    Period(String),
}

/// A key's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub kind: KeyKind,
    pub name: Option<String>,
    pub parts: Vec<KeyPartSpec>,
    /// `USING HASH`, which MariaDB's InnoDB keeps as a hidden column of hashes.
    pub using_hash: bool,
    pub if_not_exists: bool,
}

/// MariaDB's `PERIOD FOR name (start, end)`; its columns are NOT NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub name: String,
    pub columns: [String; 2],
}

impl Period {
    /// The period of system versioning, not one of the application's.
    pub fn is_system(&self) -> bool {
        self.name.eq_ignore_ascii_case("SYSTEM_TIME")
    }
}

/// Options of a table that matter to its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    pub charset: CharsetClause,
    /// Lower case.
    pub engine: Option<String>,
    pub system_versioning: bool,
    /// MariaDB's `SEQUENCE=1`.
    pub sequence: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    Last,
    First,
    After(String),
}

/// One clause of ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    AddColumn {
        column: ColumnSpec,
        position: Position,
        if_not_exists: bool,
    },
    /// CHANGE, and MODIFY with equal names. `Position::Last`: where it is.
    ChangeColumn {
        from: String,
        column: ColumnSpec,
        position: Position,
        if_exists: bool,
    },
    DropColumn {
        name: String,
        if_exists: bool,
    },
    RenameColumn {
        from: String,
        to: String,
        if_exists: bool,
    },
    /// `ALTER COLUMN .. SET INVISIBLE | VISIBLE`
    SetInvisible {
        name: String,
        invisible: bool,
    },
    AddKey(KeySpec),
    DropPrimaryKey,
    DropKey {
        name: String,
        if_exists: bool,
    },
    /// A key, a check or a foreign key.
    DropConstraint {
        name: String,
    },
    RenameKey {
        from: String,
        to: String,
        if_exists: bool,
    },
    AddPeriod(Period),
    DropPeriod {
        name: String,
    },
    ConvertCharset(CharsetClause),
    Options(TableOptions),
    AddSystemVersioning,
    DropSystemVersioning,
    RenameTo(TableName),
    /// Nothing of columns and keys changes by itself, but the server makes the keys anew.
    Rebuild,
}
