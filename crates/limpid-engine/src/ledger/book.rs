//! What others see of the flow: sums up to the saved position, and what is in flight now.
//!
//! Owns: the copy that everyone may look at. Does not own: the counting (`ledger`), what is kept (`keeper`).
//!
//! Invariant: locked once a batch by a worker and once a saved position, never per row; a reader holds it for a copy.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use limpid_model::{Batch, FlowCounts, TableName};
use limpid_state::{FlowState, FlowWindow};

/// Windows that are shown, and windows that did not add up.
const WINDOWS_MAX: usize = 16;

/// The flow of a pipeline at one moment.
#[derive(Clone, Debug, Default)]
pub struct FlowSeen {
    /// Every row since the pipeline's first is counted.
    pub is_whole: bool,
    /// By table, up to the saved position.
    pub totals: BTreeMap<TableName, FlowCounts>,
    /// Rows that were read and are not behind a saved position yet.
    pub in_flight: BTreeMap<TableName, i64>,
    /// The last windows, the oldest first.
    pub windows: VecDeque<FlowWindow>,
    /// The last of those that did not add up.
    pub findings: VecDeque<FlowWindow>,
}

/// Shared by an attempt's threads and whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<FlowSeen>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, FlowSeen> {
        self.0.lock().expect("never held across a panic")
    }

    /// An attempt begins: what an earlier one had in flight is read again.
    pub(super) fn begin(&self, state: &FlowState, is_whole: bool) {
        let mut seen = self.lock();
        *seen = FlowSeen { is_whole, totals: state.totals.clone(), ..FlowSeen::default() };
        state.windows.iter().for_each(|window| show(&mut seen, window));
    }

    /// A worker has decoded a batch.
    pub(crate) fn read(&self, batch: &Batch, rows: &[u32]) {
        if rows.iter().all(|rows| *rows == 0) {
            return;
        }
        let mut seen = self.lock();
        for (schema, rows) in batch.tables.iter().zip(rows).filter(|(_, rows)| **rows > 0) {
            match seen.in_flight.get_mut(&schema.name) {
                Some(sum) => *sum += i64::from(*rows),
                None => drop(seen.in_flight.insert(schema.name.clone(), i64::from(*rows))),
            }
        }
    }

    /// A position is saved, and a window with it.
    pub(super) fn closed(&self, window: &FlowWindow, totals: &BTreeMap<TableName, FlowCounts>) {
        let mut seen = self.lock();
        for (table, counts) in &window.sums.0 {
            if let Some(sum) = seen.in_flight.get_mut(table) {
                *sum = (*sum - counts.landed).max(0);
            }
            if let Some(total) = totals.get(table) {
                seen.totals.insert(table.clone(), *total);
            }
        }
        if !window.sums.is_zero() {
            show(&mut seen, window);
        }
    }

    pub(crate) fn seen(&self) -> FlowSeen {
        self.lock().clone()
    }

    /// Rows in flight, and windows known that did not add up.
    pub(crate) fn brief(&self) -> (u64, u64) {
        let seen = self.lock();
        let in_flight: i64 = seen.in_flight.values().sum();
        (in_flight.unsigned_abs(), seen.findings.len() as u64)
    }
}

fn show(seen: &mut FlowSeen, window: &FlowWindow) {
    let mut lists = vec![&mut seen.windows];
    if window.sums.differs() {
        lists.push(&mut seen.findings);
    }
    for list in lists {
        if list.len() == WINDOWS_MAX {
            list.pop_front();
        }
        list.push_back(window.clone());
    }
}
