//! Opening the database: made new, checked, migrated, or refused.
//!
//! Owns: the order of the checks and SQLite's settings. Does not own: the tables (`layout`), the lock (`lock`), which
//! is taken before any of this.
//!
//! Invariant: `limpid.db` gets its name only once its tables are in it, so an empty or missing one with a log beside it
//! is damage, not a fresh start; and until every check has passed nothing on disk changes, SQLite's log included.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use limpid_model::{Fault, FaultCode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::layout::{self, APPLICATION_ID, beside};
use crate::{faults, verify};

/// Another program that looks at the file (`sqlite3` writing to it by hand) is waited for this long; our own
/// transactions take milliseconds.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);

/// SQLite folds its log back at 4 MB; after a burst the file is cut back to this.
const LOG_BYTES_MAX: i64 = 8 << 20;

/// Opens `limpid.db` at `path`, making it if there is none.
pub(crate) fn open(path: &Path, layouts: &[&str]) -> Result<Connection, Fault> {
    if !exists(path)? {
        create(path, layouts)?;
    }
    let mut connection = connect(path)?;
    check(&connection, path)?;
    layout::migrate(&mut connection, path, layouts)?;
    verify::verify(&mut connection, path).map_err(|error| error.into_fault("check the state", path))?;
    settle(&connection, path)?;
    layout::add(&connection).map_err(|error| faults::of_sqlite(error, "open the state for writing", path))?;
    Ok(connection)
}

/// Opens the database that is there, as it is.
pub(crate) fn look(path: &Path, layouts: &[&str]) -> Result<Connection, Fault> {
    if !exists(path)? {
        return Err(faults::fault(FaultCode::StateEmpty, "there is no state in this directory", path));
    }
    let mut connection = connect(path)?;
    check(&connection, path)?;
    let found = layout::number(&connection).map_err(|error| faults::of_sqlite(error, "look at the state", path))?;
    let known = i64::try_from(layouts.len()).unwrap_or(i64::MAX);
    if found > known {
        let sentence = format!("the state has layout {found}; this release reads up to {known}");
        return Err(faults::fault(FaultCode::StateNewer, sentence, path));
    }
    if found < known {
        let sentence =
            format!("the state has layout {found}, which a start brings to {known}, with a copy of it before");
        return Err(faults::fault(FaultCode::NotInThisVersion, sentence, path));
    }
    verify::verify(&mut connection, path).map_err(|error| error.into_fault("check the state", path))?;
    Ok(connection)
}

/// Whether there is a state; half of one is damage.
fn exists(path: &Path) -> Result<bool, Fault> {
    let log = beside(path, "-wal");
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            Err(faults::fault(FaultCode::StateUnwritable, "the state's place is taken by something else", path))
        }
        Ok(found) if found.len() == 0 => Err(faults::corrupt("the state file is empty: it was cut off", path)),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match fs::metadata(&log) {
            Ok(found) if found.len() > 0 => Err(faults::corrupt("the state file is gone, only its log is there", &log)),
            _ => Ok(false),
        },
        Err(error) => Err(faults::of_io(error, "look at the state file", path)),
    }
}

/// Makes a database under another name, then gives it its own.
fn create(path: &Path, layouts: &[&str]) -> Result<(), Fault> {
    let doing = "create the state";
    let fresh = beside(path, ".new");
    let io = |error| faults::of_io(error, doing, path);
    // Left by a creation that was interrupted: it never held anything.
    for leftover in [fresh.clone(), beside(&fresh, "-journal")] {
        if leftover.exists() {
            fs::remove_file(&leftover).map_err(io)?;
        }
    }
    // SQLite gives its log the same mode. Parked rows will be in here: nobody else's to read.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(io)?;
    let fill = || -> rusqlite::Result<()> {
        let mut connection = Connection::open_with_flags(&fresh, flags())?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        layout::advance(&mut connection, layouts)?;
        connection.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| faults::of_sqlite(error, doing, path))?;
    fs::rename(&fresh, path).and_then(|()| layout::sync_directory(path)).map_err(io)
}

fn flags() -> OpenFlags {
    // One thread at a time by the store's own mutex; a path is a path, not a URI; what is missing is not made.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let connect = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags())?;
        connection.busy_timeout(BUSY_WAIT_MAX)?;
        // A refused state is left as it was found: closing would otherwise fold the log into the file.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Nothing in a damaged schema may run.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // A mapped file that is cut off behind our back would kill the process.
        connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(())).or_else(no_row)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        Ok(connection)
    };
    connect().map_err(|error| faults::of_sqlite(error, "open the state", path))
}

/// A build without memory maps answers the pragma with nothing.
fn no_row(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

/// Whose file it is, and whether it is whole.
fn check(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let sqlite = |error| faults::of_sqlite(error, "check the state", path);
    let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    if owner != APPLICATION_ID {
        return Err(faults::corrupt("the file is a database of another program, or its head is damaged", path));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
    if verdict != "ok" {
        return Err(faults::corrupt(format!("the state file is damaged: {verdict}"), path));
    }
    Ok(())
}

/// From here on the file is ours to write.
fn settle(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let settle = || -> rusqlite::Result<String> {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_MAX, |_| Ok(()))?;
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(mode)
    };
    let mode = settle().map_err(|error| faults::of_sqlite(error, "open the state for writing", path))?;
    if mode != "wal" {
        let sentence = "the file system of the data directory cannot hold SQLite's write-ahead log";
        return Err(faults::fault(FaultCode::StateUnwritable, sentence, path).help("use a local disk for --data-dir"));
    }
    Ok(())
}
