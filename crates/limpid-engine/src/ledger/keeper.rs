//! Sums on their way from the delivery into the state, by way of the record.
//!
//! Owns: which sums a record carries, when a window closes. Does not own: positions (`saver`).
//!
//! Invariant: a record that is ahead of the state carries the sums that the state lacks, with the number of the window
//! they follow, so that a start adds them once: not where the state has them already, and not to a state of another
//! line, which is then told to be not whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use limpid_connector::Clock;
use limpid_model::{Fault, FlowCounts, FlowSums, PipelineName, PositionRecord, TableName};
use limpid_state::{FlowWindow, Store};

use super::Book;
use crate::observe::Observer;

/// Tables that have sums of their own; those beyond are counted together.
const TABLES_MAX: usize = 4096;

/// What tables beyond the bound are called.
const OTHER: &str = "__other__";

/// One attempt's.
pub(crate) struct Keeper {
    book: Arc<Book>,
    observer: Arc<dyn Observer>,
    clock: Clock,
    /// The state's.
    number: u64,
    is_whole: bool,
    totals: BTreeMap<TableName, FlowCounts>,
    /// The position of the last window.
    from: String,
    /// Covered since the record that was begun last.
    covered: FlowSums,
    /// What the sink's answers set right of rows that a record has already.
    amended: FlowSums,
    /// In a record that is durable, and not in the state.
    recorded: FlowSums,
}

impl Keeper {
    /// What the state has, and what the record has beyond it.
    pub(crate) fn begin(
        store: &Store,
        name: &PipelineName,
        record: &PositionRecord,
        (book, observer): (Arc<Book>, Arc<dyn Observer>),
        clock: Clock,
    ) -> Result<Self, Fault> {
        let state = store.flow(name)?;
        let (recorded, is_whole) = match ahead(&record.flow) {
            None => (FlowSums::default(), state.is_whole),
            Some((base, number, _)) if base != state.number && number == state.number => {
                (FlowSums::default(), state.is_whole)
            }
            Some((base, _, sums)) if base == state.number => (sums, state.is_whole),
            Some(_) => (FlowSums::default(), false),
        };
        book.begin(&state, is_whole);
        let from = record.delivered.clone();
        let (number, totals) = (state.number, state.totals);
        let (covered, amended) = (FlowSums::default(), FlowSums::default());
        Ok(Self { book, observer, clock, number, is_whole, totals, from, covered, amended, recorded })
    }

    pub(crate) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Rows that the next record passes.
    pub(crate) fn covered(&mut self, sums: &FlowSums) {
        self.covered.merge(sums);
    }

    /// What sets right rows that were handed in before.
    pub(crate) fn amended(&mut self, sums: &FlowSums) {
        self.amended.merge(sums);
    }

    /// A record is begun: its sums, and what it says of them.
    pub(crate) fn take(&mut self) -> (FlowSums, Vec<String>) {
        let mut sums = std::mem::take(&mut self.covered);
        sums.merge(&std::mem::take(&mut self.amended));
        let mut all = self.recorded.clone();
        all.merge(&sums);
        let number = if all.is_zero() { self.number } else { self.number + 1 };
        let mut texts = vec![format!("{} {number}", self.number)];
        texts.extend(all.texts());
        (sums, texts)
    }

    /// The record with these sums is durable.
    pub(crate) fn recorded(&mut self, sums: &FlowSums) {
        self.recorded.merge(sums);
        self.recorded.merge(&std::mem::take(&mut self.amended));
    }

    /// What the state is to have next, if it lacks anything: everything up to the position.
    pub(crate) fn window(&mut self, to: &str) -> Option<FlowWindow> {
        if self.recorded.is_zero() {
            return None;
        }
        let mut sums = FlowSums::default();
        for (table, counts) in &self.recorded.0 {
            let is_known = self.totals.contains_key(table) || self.totals.len() < TABLES_MAX;
            let table = if is_known { table.clone() } else { TableName::new(OTHER, OTHER) };
            self.totals.entry(table.clone()).or_default().merge(counts);
            sums.add(&table, counts);
        }
        let at_micros = self.clock.wall_micros();
        let (number, from, to) = (self.number + 1, self.from.clone(), to.to_owned());
        Some(FlowWindow { number, from, to, at_micros, sums })
    }

    pub(crate) fn totals(&self) -> (&BTreeMap<TableName, FlowCounts>, bool) {
        (&self.totals, self.is_whole)
    }

    /// The state has it.
    pub(crate) fn stored(&mut self, to: &str, window: Option<FlowWindow>) {
        let before = std::mem::replace(&mut self.from, to.to_owned());
        let recorded = std::mem::take(&mut self.recorded);
        match window {
            Some(window) => {
                self.number = window.number;
                self.book.closed(&window, &self.totals);
                self.observer.flow(&window, &self.totals);
            }
            // Rows that were read again have landed, and count for nothing.
            None => {
                let (number, to, at_micros) = (self.number, to.to_owned(), 0);
                self.book.closed(&FlowWindow { number, from: before, to, at_micros, sums: recorded }, &self.totals);
            }
        }
    }
}

/// What a record carries: the window that its sums follow, the one that they make, the sums. `None`: nothing that we
/// understand.
fn ahead(flow: &[String]) -> Option<(u64, u64, FlowSums)> {
    let (first, rest) = flow.split_first()?;
    let (base, number) = first.split_once(' ')?;
    let sums = FlowSums::parse(rest.iter().map(String::as_str))?;
    Some((base.parse().ok()?, number.parse().ok()?, sums))
}
