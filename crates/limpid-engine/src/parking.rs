//! Rows that are not delivered: parked with their keys, put aside as dead letters, or the end of their table.
//!
//! Owns: what is done about a row's fault, which rows of a batch wait behind one that is parked, replays. Does not own:
//! storage (`limpid-state`), bodies (`body`), what is kept and in which order (`index`), bounds in time (`limits`).
//!
//! Invariant: a row is in the state, durably, before the batch that held it is handed to the sink, and that batch's
//! position is saved with the change number that the state got with it. While one of its keys is parked, no row goes
//! to the sink but behind it. While nothing is kept and no row has a fault, a batch costs one branch.

mod ask;
mod body;
mod divert;
mod index;
mod limits;
mod replay;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use limpid_connector::EncodedBatch;
use limpid_model::{ChangeNumber, Fault, FaultCode, PipelineName, Position, TableName, TableSchema};
use limpid_state::{ParkedKind, Store, ToPark};

pub(crate) use ask::Asks;
pub use ask::{ParkedAction, ParkedAsk, ParkedOutcome, ParkedSelection};
pub use body::{Body, BodyCell, BodyRecord};
use index::Index;
use limits::Limits;
use replay::Replay;

use crate::failpoint::{Point, pass};
use crate::observe::{Observer, RowAt};

/// What happens to a row that cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRowError {
    /// Later changes of its key queue behind it.
    ParkKey,
    /// It is put aside, later changes of its key go on.
    DeadLetter,
    /// Its table stops, the others go on.
    HaltTable,
}

/// What is kept of a pipeline at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedSeen {
    /// Keys that rows queue behind.
    pub keys: u64,
    /// Rows that wait with them, those that could not be delivered included.
    pub rows: u64,
    pub dead_letters: u64,
    /// Of all of them.
    pub bytes: u64,
}

/// A row that was put aside, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct RowKept<'a> {
    pub at: RowAt<'a>,
    pub table: &'a TableName,
    pub operation: &'a str,
    pub position: &'a str,
    /// Later changes of its key queue behind it.
    pub is_parked: bool,
    pub code: FaultCode,
    /// The fault's sentence.
    pub message: &'a str,
}

/// What became of a row that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFate {
    /// It is kept and later changes of its key queue behind it. Without a code it waits behind another itself.
    Parked(Option<FaultCode>),
    /// It is kept by itself.
    DeadLetter(Option<FaultCode>),
    /// Its table is halted at it or before it.
    Withheld(Option<FaultCode>),
}

/// One attempt's.
pub(crate) struct Parking {
    name: PipelineName,
    store: Arc<Store>,
    mode: OnRowError,
    asks: Arc<Asks>,
    index: Index,
    limits: HashMap<TableName, Limits>,
    replay: Option<Replay>,
    /// Made once a table, since observers know a version by its address.
    schemas: HashMap<TableName, Arc<TableSchema>>,
    told: Option<ParkedSeen>,
}

/// What became of the rows of a batch besides those that are left in it.
#[derive(Debug, Default)]
pub(crate) struct Diverted {
    /// Tables that stop, and why, each with the row that it stops at.
    pub(crate) halts: Vec<(TableName, Fault, u32)>,
    /// What records that pass the batch carry.
    pub(crate) change: Option<ChangeNumber>,
    /// For each row that goes no further, its index and why.
    pub(crate) fates: Vec<(u32, RowFate)>,
    /// Records that went with them, by table.
    pub(crate) records: Vec<i64>,
}

impl Parking {
    /// What the state keeps, once a start has settled it.
    pub(crate) fn load(
        store: Arc<Store>,
        name: PipelineName,
        mode: OnRowError,
        asks: Arc<Asks>,
    ) -> Result<Self, Fault> {
        let index = Index::of(store.parked(&name)?);
        asks.interrupted();
        let (limits, schemas) = (HashMap::new(), HashMap::new());
        Ok(Self { name, store, mode, asks, index, limits, replay: None, schemas, told: None })
    }

    /// Nothing is kept, nothing is counted: a batch without a fault passes as it is.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.index.is_empty() && self.limits.is_empty()
    }

    /// Takes out of a batch the rows that have a fault, and those that wait behind a parked one, and keeps them.
    pub(crate) fn divert(
        &mut self,
        encoded: &mut EncodedBatch,
        faults: Vec<(u32, Fault)>,
        (halted, position): (&HashSet<TableName>, &Position),
        (now_nanos, now_micros): (u64, i64),
        observer: &dyn Observer,
    ) -> Result<Diverted, Fault> {
        // Rows of other tables are kept, or rows are only counted for a share.
        let is_concerned = || encoded.batch.tables.iter().any(|table| self.index.holds(&table.name));
        if faults.is_empty() && !is_concerned() {
            return Ok(Diverted::default());
        }
        let mut round = divert::Round::new(self, halted, (now_nanos, now_micros), position);
        round.sort(encoded, faults);
        let divert::Sorted { rows, fates, superseded, halts, keep } = round.done();
        if !fates.is_empty() {
            observer.diverted(&fates);
        }
        let records = vec![0; encoded.batch.tables.len()];
        let mut diverted = Diverted { halts, change: None, fates, records };
        if !rows.is_empty() {
            let (change, ids) = self.store.park(&self.name, &rows)?;
            diverted.change = Some(change);
            let kept = diverted.fates.iter().filter(|(_, fate)| !matches!(fate, RowFate::Withheld(_)));
            for (kept, (row, _)) in rows.iter().zip(kept) {
                tell_of(kept, RowAt { batch: &encoded.batch, row: *row }, observer);
            }
            self.index.extend(rows, &ids);
        }
        if !superseded.is_empty() {
            diverted.change = Some(self.store.supersede_parked(&self.name, &superseded)?);
            superseded.iter().for_each(|id| self.index.supersede(*id));
        }
        if diverted.change.is_some() {
            pass(Point::AfterParked);
            self.tell(observer);
        }
        let mut number = 0;
        encoded.records.retain(|record| {
            number += 1;
            if !keep[number - 1] {
                diverted.records[usize::from(record.table)] += 1;
            }
            keep[number - 1]
        });
        Ok(diverted)
    }

    /// Counts rows of tables that had faults, once a batch.
    pub(crate) fn count(&mut self, encoded: &EncodedBatch) {
        if self.limits.is_empty() {
            return;
        }
        let batch = &encoded.batch;
        for (index, schema) in batch.tables.iter().enumerate() {
            if let Some(limits) = self.limits.get_mut(&schema.name) {
                limits.count(batch.passed(index).iter().map(|count| u64::from(*count)).sum());
            }
        }
    }

    /// Says how much is kept, where that has changed.
    pub(crate) fn tell(&mut self, observer: &dyn Observer) {
        let seen = self.index.seen();
        if self.told != Some(seen) {
            self.told = Some(seen);
            observer.parked(seen);
        }
    }
}

/// Rows that only wait behind another are counted, not told of.
fn tell_of(row: &ToPark, at: RowAt<'_>, observer: &dyn Observer) {
    if let Some((code, message)) = &row.fault {
        let (table, operation, position) = (&row.table, row.operation.as_str(), row.position.as_str());
        let is_parked = row.kind == ParkedKind::Parked;
        observer.row_kept(RowKept { at, table, operation, position, is_parked, code: *code, message });
    }
}

/// What of a fault is kept: the code and the sentence.
fn kept(fault: &Fault) -> (FaultCode, String) {
    let about = fault.object().map_or(String::new(), |object| format!(" ({object})"));
    (fault.code(), format!("{fault}{about}"))
}

#[cfg(test)]
mod tests;
