//! The tables, and how an older layout becomes the present one.
//!
//! Owns: the statements that make the tables, the layout's number (`user_version`), migration and the copy made before
//! it. Does not own: reading and writing rows.
//!
//! Invariant: a migration happens in one transaction, and only after a whole copy of the old state is on disk. The
//! number is raised only by a change that the release before could not live with: a table or a nullable column more
//! needs no new number, so that the previous minor release still opens the state.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use limpid_model::{Fault, FaultCode};
use rusqlite::{Connection, TransactionBehavior};

use crate::faults;

/// "LMPD": tells our file from any other program's database.
pub(crate) const APPLICATION_ID: i64 = 0x4c4d_5044;

/// The step at index n leads from layout n to layout n + 1; an empty file has layout 0.
///
/// Unsigned numbers of 64 bits are stored by their bits; no statement compares them. `seal`: see `seal`.
pub(crate) const LAYOUTS: &[&str] = &["
CREATE TABLE pipeline (
  name TEXT PRIMARY KEY NOT NULL,
  id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  change_number INTEGER NOT NULL,
  seal INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
  pipeline TEXT PRIMARY KEY NOT NULL REFERENCES pipeline (name),
  epoch INTEGER NOT NULL,
  change_number INTEGER NOT NULL,
  delivered TEXT NOT NULL,
  read_from TEXT NOT NULL,
  rows_done INTEGER NOT NULL,
  schema_version INTEGER NOT NULL,
  selection INTEGER NOT NULL,
  seal INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The lists of a checkpoint; `kind` is 'undecided' or 'cursor'. Covered by the checkpoint's seal.
CREATE TABLE checkpoint_item (
  pipeline TEXT NOT NULL REFERENCES checkpoint (pipeline),
  kind TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  item TEXT NOT NULL,
  PRIMARY KEY (pipeline, kind, ordinal)
) STRICT, WITHOUT ROWID;

-- What the tables looked like, from `holds_from` on. With rowids: the definitions may have megabytes.
CREATE TABLE schema_history (
  pipeline TEXT NOT NULL REFERENCES pipeline (name),
  version INTEGER NOT NULL,
  holds_from TEXT NOT NULL,
  definitions BLOB NOT NULL,
  seal INTEGER NOT NULL,
  PRIMARY KEY (pipeline, version)
) STRICT;

CREATE TABLE halted_table (
  pipeline TEXT NOT NULL REFERENCES pipeline (name),
  schema_name TEXT NOT NULL,
  table_name TEXT NOT NULL,
  code TEXT NOT NULL,
  position TEXT NOT NULL,
  at_micros INTEGER NOT NULL,
  message TEXT NOT NULL,
  seal INTEGER NOT NULL,
  PRIMARY KEY (pipeline, schema_name, table_name)
) STRICT, WITHOUT ROWID;
"];

/// Tables that came later and that the release before can do without: made where they are missing, under the same
/// number.
///
/// Of a row in `parked_row` the body has a checksum of its own, so that the rest can be read and sealed without it. An
/// empty code says that the row waits behind another one of its key. Ids are never used twice: an operator may have
/// noted one down.
const ADDITIONS: &str = "
CREATE TABLE IF NOT EXISTS parked_row (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline TEXT NOT NULL REFERENCES pipeline (name) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  schema_name TEXT NOT NULL,
  table_name TEXT NOT NULL,
  keys BLOB NOT NULL,
  operation TEXT NOT NULL,
  position TEXT NOT NULL,
  at_micros INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  superseded INTEGER NOT NULL,
  replay INTEGER NOT NULL,
  change_number INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  body_sum INTEGER NOT NULL,
  body BLOB,
  superseded_change INTEGER,
  seal INTEGER NOT NULL
) STRICT;

-- The ledger of flow: the number of its last window, sums by table since the first, the last windows themselves.
CREATE TABLE IF NOT EXISTS flow (
  pipeline TEXT PRIMARY KEY NOT NULL REFERENCES pipeline (name) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  is_whole INTEGER NOT NULL,
  seal INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS flow_total (
  pipeline TEXT NOT NULL REFERENCES pipeline (name) ON DELETE CASCADE,
  schema_name TEXT NOT NULL,
  table_name TEXT NOT NULL,
  counts TEXT NOT NULL,
  seal INTEGER NOT NULL,
  PRIMARY KEY (pipeline, schema_name, table_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS flow_window (
  pipeline TEXT NOT NULL REFERENCES pipeline (name) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  from_position TEXT NOT NULL,
  to_position TEXT NOT NULL,
  at_micros INTEGER NOT NULL,
  sums TEXT NOT NULL,
  differs INTEGER NOT NULL,
  seal INTEGER NOT NULL,
  PRIMARY KEY (pipeline, number)
) STRICT;
";

/// Makes what an older state lacks.
pub(crate) fn add(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(ADDITIONS)?;
    if !has_column(connection, "parked_row", "superseded_change")? {
        connection.execute_batch("ALTER TABLE parked_row ADD COLUMN superseded_change INTEGER")?;
    }
    Ok(())
}

/// Whether a table is there and has the column.
pub(crate) fn has_column(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?.exists([table, column])
}

/// The layout of a database.
pub(crate) fn number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes the steps that are missing, all or none.
pub(crate) fn advance(connection: &mut Connection, layouts: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = number(&transaction)?;
    for (step, number) in layouts.iter().zip(1i64..).filter(|(_, number)| *number > from) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    add(&transaction)?;
    transaction.commit()
}

/// Brings an older database up to `layouts`, keeping a copy of it as it was.
pub(crate) fn migrate(connection: &mut Connection, path: &Path, layouts: &[&str]) -> Result<(), Fault> {
    let sqlite = |error| faults::of_sqlite(error, "migrate the state", path);
    let found = number(connection).map_err(sqlite)?;
    let known = i64::try_from(layouts.len()).unwrap_or(i64::MAX);
    if found > known {
        let sentence = format!("the state has layout {found}; this release reads up to {known}");
        return Err(faults::fault(FaultCode::StateNewer, sentence, path));
    }
    // A file of ours gets its name only with its tables in it, so no layout is damage like any other.
    if found < 1 {
        return Err(faults::corrupt(format!("the state file has no layout: {found}"), path));
    }
    if found < known {
        back_up(connection, path, &format!(".layout-{found}"))?;
        advance(connection, layouts).map_err(sqlite)?;
    }
    Ok(())
}

/// Copies the whole state to `limpid.db<label>.backup`, durably. An earlier copy is never written over: whoever went
/// back to it and comes here again gets one more.
pub(crate) fn back_up(connection: &Connection, path: &Path, label: &str) -> Result<PathBuf, Fault> {
    let doing = "copy the state";
    let partial = beside(path, ".backup.partial");
    let io = |error| faults::of_io(error, doing, &partial);
    // Left by a copy that was interrupted; a finished one has another name.
    if partial.exists() {
        fs::remove_file(&partial).map_err(io)?;
    }
    // Not a copy of the file's bytes: closing a second handle of the file would drop SQLite's own POSIX locks.
    connection
        .execute("VACUUM INTO ?1", [partial.to_string_lossy()])
        .map_err(|error| faults::of_sqlite(error, doing, path))?;
    // SQLite does not sync what it makes here.
    File::open(&partial).and_then(|copy| copy.sync_all()).map_err(io)?;
    let copies = (1u32..).map(|n| match n {
        1 => beside(path, &format!("{label}.backup")),
        _ => beside(path, &format!("{label}.backup-{n}")),
    });
    let free = copies.into_iter().find(|copy| !copy.exists());
    let copy = free.expect("a directory has fewer files than there are numbers");
    fs::rename(&partial, &copy).map_err(io)?;
    sync_directory(path).map_err(io)?;
    Ok(copy)
}

/// The path of a file whose name is the database's with something added.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a rename last.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().unwrap_or(path))?.sync_all()
}
