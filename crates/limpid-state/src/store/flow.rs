//! The calls about the ledger of flow.
//!
//! Owns: what each is as a transaction. Does not own: the statements (`flow`).
//!
//! Invariant: as the store's.

use std::collections::BTreeMap;

use limpid_model::{Fault, FlowCounts, PipelineName, PositionRecord, TableName};

use super::Store;
use crate::flow::{self, FlowState, FlowWindow};
use crate::{checkpoint, layout};

impl Store {
    /// What is kept of a pipeline's flow; nothing of one that has none.
    ///
    /// # Errors
    /// As [`Store::pipeline`].
    pub fn flow(&self, name: &PipelineName) -> Result<FlowState, Fault> {
        self.read("read the ledger of flow", |transaction| {
            match layout::has_column(transaction, "flow_window", "differs")? {
                true => flow::load(transaction, name, &self.path),
                false => Ok(FlowState::default()),
            }
        })
    }

    /// As [`Store::save_checkpoint`], with the rows since the position saved before. `totals` are those of all tables, the
    /// window's rows in them; `is_whole` says whether they miss none.
    ///
    /// # Errors
    /// As [`Store::save_checkpoint`].
    pub fn save_window(
        &self,
        name: &PipelineName,
        (record, selection): (&PositionRecord, u64),
        window: &FlowWindow,
        (totals, is_whole): (&BTreeMap<TableName, FlowCounts>, bool),
    ) -> Result<(), Fault> {
        let first = self.transact("save the checkpoint", |transaction| {
            flow::save(transaction, name, window, (totals, is_whole))?;
            checkpoint::save(transaction, name, record, selection, &self.path)
        })?;
        if first {
            self.fold();
        }
        Ok(())
    }
}
