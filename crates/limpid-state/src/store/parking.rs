//! The calls about parked rows.
//!
//! Owns: what each is as a transaction, and the files that go with it. Does not own: the statements (`parked`).
//!
//! Invariant: as the store's.

use std::collections::HashSet;

use limpid_model::{ChangeNumber, Fault, FaultCode, PipelineName};

use super::Store;
use crate::parked::{self, ParkedRow, ToPark, body};

impl Store {
    /// Keeps rows that are not delivered, in their order, and returns the change number that records which pass them
    /// carry, with the rows' ids. To be durable before such a record.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn park(&self, name: &PipelineName, rows: &[ToPark]) -> Result<(ChangeNumber, Vec<u64>), Fault> {
        self.transact("keep rows that were not delivered", |transaction| {
            parked::park(transaction, name, rows, &self.path)
        })
    }

    /// All rows that are kept of a pipeline, in the order in which they were parked.
    ///
    /// # Errors
    /// As [`Store::pipeline`].
    pub fn parked(&self, name: &PipelineName) -> Result<Vec<ParkedRow>, Fault> {
        self.read("read the parked rows", |transaction| parked::load(transaction, name, &self.path))
    }

    /// The body of a row that is kept; `None` where there is no such row.
    ///
    /// # Errors
    /// As [`Store::pipeline`].
    pub fn parked_body(&self, name: &PipelineName, id: u64) -> Result<Option<Vec<u8>>, Fault> {
        self.read("read a parked row", |transaction| parked::load_body(transaction, name, id, &self.path))
    }

    /// Forgets rows: they are delivered, or an operator gave them up. Returns how many were there.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn drop_parked(&self, name: &PipelineName, ids: &[u64]) -> Result<usize, Fault> {
        let gone = self.transact("forget parked rows", |transaction| parked::drop_rows(transaction, name, ids))?;
        body::remove(&self.path, &gone);
        Ok(gone.len())
    }

    /// Later versions of these rows' keys are delivered: from now on they are dead letters that nothing should write
    /// over what came after them, and with the change number returned records tell so. To be durable before such a
    /// record.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn supersede_parked(&self, name: &PipelineName, ids: &[u64]) -> Result<ChangeNumber, Fault> {
        self.transact("mark parked rows as superseded", |transaction| {
            parked::supersede(transaction, name, ids, &self.path)
        })
    }

    /// The rows are about to be handed to the sink: a record with the change number returned, or a later one, has
    /// them delivered, and those of `older` superseded by them.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn begin_replay(&self, name: &PipelineName, ids: &[u64], older: &[u64]) -> Result<ChangeNumber, Fault> {
        self.transact("begin a replay", |transaction| parked::begin_replay(transaction, name, (ids, older), &self.path))
    }

    /// These rows could not be delivered again, each with its cause.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn fail_replay(&self, name: &PipelineName, rows: &[(u64, (FaultCode, String))]) -> Result<(), Fault> {
        self.transact("end a replay", |transaction| parked::fail_replay(transaction, name, rows))
    }

    /// Makes the parked rows those of a start that goes on from a record with this change number: rows beyond it are
    /// read again unless their table is halted, replays within it are done, supersessions beyond it are taken back. To
    /// be called before a record with another number is saved.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn settle_parked(&self, name: &PipelineName, passed: ChangeNumber) -> Result<(), Fault> {
        self.transact("settle the parked rows", |transaction| parked::settle(transaction, name, passed, &self.path))?;
        // Under the same lock as parking, which writes a file before its row is there.
        self.transact("settle the parked rows", |transaction| {
            let mut select = transaction.prepare("SELECT id FROM parked_row")?;
            let ids = select.query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?;
            let left = ids.collect::<rusqlite::Result<HashSet<u64>>>()?;
            body::sweep(&self.path, |id| left.contains(&id));
            Ok(())
        })
    }
}
