//! A pipeline's identity, and all that is stored of it taken together.
//!
//! Owns: the table `pipeline`. Does not own: how epoch and change number are weighed against the sink's record
//! (`limpid-engine`).
//!
//! Invariant: an id is made once and never changes; the epoch only grows.

use std::path::Path;

use limpid_model::{ChangeNumber, Component, Epoch, Fault, FaultCode, PipelineId, PipelineName};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::checkpoint::{self, Checkpoint};
use crate::faults;
use crate::halted::{self, HaltedTable};
use crate::history::{self, SchemaHistory};
use crate::seal::Seal;
use crate::store::StateError;

/// What a start finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineState {
    /// Made at the first start.
    pub id: PipelineId,
    /// That of the last life; 0 before the first.
    pub epoch: Epoch,
    pub change: ChangeNumber,
    /// `None`: no position was ever saved.
    pub checkpoint: Option<Checkpoint>,
    /// In force at the checkpoint's `read_from`; `None` without a checkpoint, since there is no place then that it
    /// could be the history of.
    pub history: Option<SchemaHistory>,
    /// By name.
    pub halted: Vec<HaltedTable>,
}

/// The row of table `pipeline`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: PipelineId,
    pub(crate) epoch: Epoch,
    pub(crate) change: ChangeNumber,
}

impl Identity {
    fn seal(&self, name: &PipelineName) -> Seal {
        Seal::of("pipeline").text(name.as_str()).text(&self.id.to_string()).number(self.epoch.0).number(self.change.0)
    }
}

/// Gives the pipeline its row, with a fresh id, if it has none.
pub(crate) fn ensure(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<(), StateError> {
    if find(transaction, name, path)?.is_some() {
        return Ok(());
    }
    let fresh = Identity { id: fresh_id(path)?, epoch: Epoch(0), change: ChangeNumber(0) };
    transaction.execute(
        "INSERT INTO pipeline (name, id, epoch, change_number, seal) VALUES (?1, ?2, 0, 0, ?3)",
        params![name.as_str(), fresh.id.to_string(), fresh.seal(name).stored()],
    )?;
    Ok(())
}

pub(crate) fn exists(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<bool, StateError> {
    Ok(find(transaction, name, path)?.is_some())
}

/// Removes everything of the pipeline and stores `state` instead.
pub(crate) fn replace(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    state: &PipelineState,
    path: &Path,
) -> Result<(), StateError> {
    // What refers to a row goes before it.
    for table in ["checkpoint_item", "checkpoint", "schema_history", "halted_table"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE pipeline = ?1"), [name.as_str()])?;
    }
    // Rows that are parked stay with their pipeline: what of them the position does not pass goes at the next start.
    if find(transaction, name, path)?.is_some_and(|before| before.id != state.id) {
        for table in ["parked_row", "flow_window", "flow_total", "flow"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE pipeline = ?1"), [name.as_str()])?;
        }
    }
    let identity = Identity { id: state.id, epoch: state.epoch, change: state.change };
    transaction.execute(
        "INSERT INTO pipeline (name, id, epoch, change_number, seal) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET id = ?2, epoch = ?3, change_number = ?4, seal = ?5",
        params![
            name.as_str(),
            identity.id.to_string(),
            identity.epoch.0.cast_signed(),
            identity.change.0.cast_signed(),
            identity.seal(name).stored(),
        ],
    )?;
    if let Some(SchemaHistory { version, holds_from, definitions }) = &state.history {
        history::save(transaction, name, *version, holds_from, definitions, path)?;
    }
    if let Some(Checkpoint { record, selection }) = &state.checkpoint {
        // Of a life that is over, as every stored one is when the next begins.
        let record = limpid_model::PositionRecord { epoch: state.epoch, ..record.clone() };
        checkpoint::save(transaction, name, &record, *selection, path)?;
    }
    for halted in &state.halted {
        halted::save(transaction, name, halted, path)?;
    }
    Ok(())
}

fn fresh_id(path: &Path) -> Result<PipelineId, Fault> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let sentence = "the operating system gave no random bits for the pipeline's id";
        Fault::new(FaultCode::StateUnwritable, Component::State, sentence)
            .about(path.display().to_string())
            .because(error.to_string())
    })?;
    Ok(PipelineId(u128::from_be_bytes(bytes)))
}

pub(crate) fn load(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    path: &Path,
) -> Result<PipelineState, StateError> {
    let Identity { id, epoch, change } = identity(transaction, name, path)?;
    let checkpoint = checkpoint::load(transaction, name, id, path)?;
    let history = match &checkpoint {
        Some(checkpoint) => history::in_force(transaction, name, checkpoint.record.schema_version, path)?,
        None => None,
    };
    let halted = halted::load(transaction, name, path)?;
    Ok(PipelineState { id, epoch, change, checkpoint, history, halted })
}

pub(crate) fn begin(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    epoch: Epoch,
    path: &Path,
) -> Result<(), StateError> {
    let mut identity = identity(transaction, name, path)?;
    assert!(epoch > identity.epoch, "an epoch only grows: {epoch:?} of {name} is not above {:?}", identity.epoch);
    identity.epoch = epoch;
    transaction.execute(
        "UPDATE pipeline SET epoch = ?2, seal = ?3 WHERE name = ?1",
        params![name.as_str(), epoch.0.cast_signed(), identity.seal(name).stored()],
    )?;
    Ok(())
}

/// The next change number, for something that must be remembered before a record may pass it: such a record carries
/// this number or a later one.
pub(crate) fn raise_change(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    path: &Path,
) -> Result<ChangeNumber, StateError> {
    let mut identity = identity(transaction, name, path)?;
    identity.change = ChangeNumber(identity.change.0 + 1);
    transaction.execute(
        "UPDATE pipeline SET change_number = ?2, seal = ?3 WHERE name = ?1",
        params![name.as_str(), identity.change.0.cast_signed(), identity.seal(name).stored()],
    )?;
    Ok(identity.change)
}

/// The identity of a pipeline that was begun, as it must have been before anything of it is saved.
pub(crate) fn identity(
    transaction: &Transaction<'_>,
    name: &PipelineName,
    path: &Path,
) -> Result<Identity, StateError> {
    let found = find(transaction, name, path)?;
    Ok(found.unwrap_or_else(|| panic!("the state of {name} is read before anything of it is saved")))
}

fn find(transaction: &Transaction<'_>, name: &PipelineName, path: &Path) -> Result<Option<Identity>, StateError> {
    let row = transaction.query_row(
        "SELECT id, epoch, change_number, seal FROM pipeline WHERE name = ?1",
        [name.as_str()],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?)),
    );
    let Some((id, epoch, change, seal)) = row.optional()? else { return Ok(None) };
    let Some(id) = PipelineId::parse(&id) else {
        return Err(faults::corrupt("the stored id of the pipeline is damaged", path).into());
    };
    let identity = Identity { id, epoch: Epoch(epoch.cast_unsigned()), change: ChangeNumber(change.cast_unsigned()) };
    identity.seal(name).check(seal, "identity of the pipeline", path)?;
    Ok(Some(identity))
}
