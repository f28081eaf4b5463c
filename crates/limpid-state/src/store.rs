//! The open state, shared by all pipelines of the process.
//!
//! Owns: the data directory, the one connection, and what each call is as a transaction. Does not own: the statements
//! (one module for each kind of row).
//!
//! Invariant: one writer. Calls that write block for one commit (a sync of the disk) and are rare: a start, a checkpoint,
//! a DDL, a halt, a batch with rows that are kept, a piece of a replay; a mutex around the connection is therefore
//! enough. Whoever only looks (the server, for an operator) waits for that mutex, and for no commit of its own.

mod flow;
mod parking;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use limpid_model::{ChangeNumber, Epoch, Fault, PipelineName, PositionRecord, TableName};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::halted::HaltedTable;
use crate::history::SchemaHistory;
use crate::layout::{self, LAYOUTS};
use crate::lock::DirLock;
use crate::pipeline::{self, PipelineState};
use crate::{checkpoint, faults, halted, history, open};

/// The state of every pipeline of this process. Closing it (dropping) lets another process have it.
#[derive(Debug)]
pub struct Store {
    /// Short critical section: one transaction of a few rows. Before the lock, so that it closes first.
    connection: Mutex<Connection>,
    path: PathBuf,
    _lock: DirLock,
}

impl Store {
    /// Opens the state in `dir`, making both if they are not there.
    ///
    /// # Errors
    /// `STATE_LOCKED` (another process has it), `STATE_CORRUPT` (not whole, or not ours), `STATE_NEWER`,
    /// `STATE_UNWRITABLE`, `STATE_DISK_FULL`. Nothing is changed then, and nothing is ever removed.
    pub fn open(dir: &Path) -> Result<Self, Fault> {
        Self::open_as(dir, LAYOUTS)
    }

    /// As [`Store::open`], where a state must be there: nothing is made.
    ///
    /// # Errors
    /// `STATE_EMPTY`, else as [`Store::open`].
    pub fn open_existing(dir: &Path) -> Result<Self, Fault> {
        if dir.join("limpid.db").exists() || dir.join("limpid.db-wal").exists() {
            return Self::open(dir);
        }
        Err(faults::fault(limpid_model::FaultCode::StateEmpty, "there is no state in this directory", dir))
    }

    /// As [`Store::open_existing`], to look and not to go on from: neither migrated nor given what later layouts have.
    ///
    /// # Errors
    /// As [`Store::open_existing`]; `NOT_IN_THIS_VERSION` for an older layout, which only a start migrates.
    pub fn look(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join("limpid.db");
        if !path.exists() && !dir.join("limpid.db-wal").exists() {
            return Self::open_existing(dir);
        }
        let lock = DirLock::take(dir)?;
        let connection = open::look(&path, LAYOUTS)?;
        Ok(Self { connection: Mutex::new(connection), path, _lock: lock })
    }

    /// As [`Store::open`], for a release that knows these layouts.
    pub(crate) fn open_as(dir: &Path, layouts: &[&str]) -> Result<Self, Fault> {
        // Rows that wait to be delivered will be kept here: nobody else's to read.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| faults::of_io(error, "make the data directory", dir))?;
        let lock = DirLock::take(dir)?;
        let path = dir.join("limpid.db");
        let connection = open::open(&path, layouts)?;
        Ok(Self { connection: Mutex::new(connection), path, _lock: lock })
    }

    /// What is stored of a pipeline. At its first start there is nothing, and it gets its id, durably.
    ///
    /// # Errors
    /// `STATE_CORRUPT` and `STATE_NEWER` for what cannot be read, else as [`Store::save_checkpoint`].
    pub fn pipeline(&self, name: &PipelineName) -> Result<PipelineState, Fault> {
        self.transact("read the state of the pipeline", |transaction| {
            pipeline::ensure(transaction, name, &self.path)?;
            pipeline::load(transaction, name, &self.path)
        })
    }

    /// What is stored of a pipeline, if anything is; unlike [`Store::pipeline`] it is not given an id.
    ///
    /// # Errors
    /// As [`Store::pipeline`].
    pub fn find(&self, name: &PipelineName) -> Result<Option<PipelineState>, Fault> {
        self.transact("read the state of the pipeline", |transaction| {
            match pipeline::exists(transaction, name, &self.path)? {
                true => pipeline::load(transaction, name, &self.path).map(Some),
                false => Ok(None),
            }
        })
    }

    /// Replaces all that is stored of a pipeline but its parked rows, which stay as long as it is the same one. It must
    /// not be running: a life that was begun is over.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`]; all of it is replaced, or nothing.
    ///
    /// # Panics
    /// When the parts are of different pipelines.
    pub fn replace(&self, name: &PipelineName, state: &PipelineState) -> Result<(), Fault> {
        self.transact("replace the state of the pipeline", |transaction| {
            pipeline::replace(transaction, name, state, &self.path)
        })?;
        self.fold();
        Ok(())
    }

    /// Copies the whole state to a file beside it, which no earlier copy is written over for. Returns its path.
    ///
    /// # Errors
    /// `STATE_DISK_FULL`, `STATE_UNWRITABLE`.
    pub fn back_up(&self) -> Result<PathBuf, Fault> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        layout::back_up(&connection, &self.path, "")
    }

    /// Begins a life of the pipeline: the epoch is durable before any row of it flows.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    ///
    /// # Panics
    /// When the epoch is not above the stored one: it would not tell this life from an earlier one.
    pub fn begin(&self, name: &PipelineName, epoch: Epoch) -> Result<(), Fault> {
        self.transact("save the epoch", |transaction| pipeline::begin(transaction, name, epoch, &self.path))?;
        self.fold();
        Ok(())
    }

    /// Raises the state's change number and returns it: something is kept here alone that a record is about to pass.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn raise_change(&self, name: &PipelineName) -> Result<ChangeNumber, Fault> {
        self.transact("raise the change number", |transaction| pipeline::raise_change(transaction, name, &self.path))
    }

    /// Saves where a restart goes on, with the fingerprint of the selection (tables, columns) that was captured up to
    /// there. Everything at or below `record.delivered` must be durable at the sink. `record.schema_version` is read
    /// as the version of the schema history in force at `record.read_from`; histories that neither this checkpoint nor
    /// the one it replaces needs are dropped ([`SchemaHistory`] says why).
    ///
    /// # Errors
    /// `STATE_DISK_FULL`: the earlier checkpoint stands and saving may be tried again. `STATE_UNWRITABLE`,
    /// `STATE_CORRUPT`, `STATE_LOCKED` (another program holds SQLite's own lock): it stands too.
    ///
    /// # Panics
    /// When the record is not of this pipeline's life: other name or id, an epoch that [`Store::begin`] did not make
    /// durable, a change number the state never had.
    pub fn save_checkpoint(&self, name: &PipelineName, record: &PositionRecord, selection: u64) -> Result<(), Fault> {
        let first = self.transact("save the checkpoint", |transaction| {
            checkpoint::save(transaction, name, record, selection, &self.path)
        })?;
        if first {
            self.fold();
        }
        Ok(())
    }

    /// Saves what the tables look like from the position `holds_from` (its text, for people) on. To be durable before a
    /// position beyond that is saved. Versions rise along the log: one that is stored already, and those above it, are
    /// of a life whose reading was not checkpointed, and are replaced.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    ///
    /// # Panics
    /// When `version` is not above that of the checkpoint, unless it is the same history.
    pub fn save_history(
        &self,
        name: &PipelineName,
        version: u32,
        holds_from: &str,
        definitions: &[u8],
    ) -> Result<(), Fault> {
        self.transact("save the schema history", |transaction| {
            history::save(transaction, name, version, holds_from, definitions, &self.path)
        })
    }

    /// Replaces the checkpoint by one at which no definitions are in force, and drops the schema history: it is of a reading
    /// that ended elsewhere. The record's `schema_version` is that of none.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    ///
    /// # Panics
    /// As [`Store::save_checkpoint`].
    pub fn begin_anew(&self, name: &PipelineName, record: &PositionRecord, selection: u64) -> Result<(), Fault> {
        self.transact("save the moved position", |transaction| {
            history::forget(transaction, name)?;
            checkpoint::save(transaction, name, record, selection, &self.path)
        })?;
        self.fold();
        Ok(())
    }

    /// The history in force where `schema_version` was: what a start from the sink's own record needs, which may be a
    /// little ahead of the local checkpoint or behind it.
    ///
    /// # Errors
    /// As [`Store::pipeline`].
    pub fn history_at(&self, name: &PipelineName, schema_version: u32) -> Result<Option<SchemaHistory>, Fault> {
        self.transact("read the schema history", |transaction| {
            history::in_force(transaction, name, schema_version, &self.path)
        })
    }

    /// Remembers that a table is halted. The first fault of a table stands until it is cleared: its position is where
    /// the table's rows ceased to be right.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn halt_table(&self, name: &PipelineName, halted: &HaltedTable) -> Result<(), Fault> {
        self.transact("save the halted table", |transaction| halted::save(transaction, name, halted, &self.path))
    }

    /// Forgets that a table was halted; false when it was not.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn clear_halted(&self, name: &PipelineName, table: &TableName) -> Result<bool, Fault> {
        self.transact("clear the halted table", |transaction| halted::clear(transaction, name, table))
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs one transaction, committed and on disk if all of it succeeds, undone if not.
    fn transact<T>(
        &self,
        doing: &'static str,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, Fault> {
        self.run(doing, TransactionBehavior::Immediate, body)
    }

    /// As [`Store::transact`] for one that writes nothing: it takes no writer's lock and has nothing to sync.
    fn read<T>(
        &self,
        doing: &'static str,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, Fault> {
        self.run(doing, TransactionBehavior::Deferred, body)
    }

    fn run<T>(
        &self,
        doing: &'static str,
        behavior: TransactionBehavior,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, Fault> {
        // A panic of one pipeline has rolled its transaction back; the others go on.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let result = body(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|error: StateError| error.into_fault(doing, &self.path))
    }

    /// Moves what SQLite's log holds into the file. A log that is damaged later ends, for SQLite, before the damage:
    /// what must not be forgotten is therefore not left in it. The transaction is durable already, so a failure here
    /// (a reader in the way, a full disk) costs nothing now.
    fn fold(&self) {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

/// What a statement's module may fail with: the context of an SQLite error is the call's.
#[derive(Debug)]
pub(crate) enum StateError {
    Sqlite(rusqlite::Error),
    Fault(Fault),
}

impl StateError {
    /// `doing` completes the sentence "cannot ...".
    pub(crate) fn into_fault(self, doing: &str, path: &Path) -> Fault {
        match self {
            Self::Sqlite(error) => faults::of_sqlite(error, doing, path),
            Self::Fault(fault) => fault,
        }
    }
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Fault> for StateError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[cfg(test)]
mod tests;
