//! One table's columns, measured window by window.
//!
//! Owns: the open window's rows, the columns and their series. Does not own: which rows are looked at (the front file), one
//! column's window (`window`), what is usual (`baseline`).
//!
//! Invariant: a column that is gone leaves nothing behind: no series, no drift, no room. Columns are found by place within
//! one generation only: a table version that is read again, late, is bound again, and so is the one after it.

use std::sync::Arc;

use limpid_model::{Batch, Cell, TableName};

use super::baseline::{Baseline, Measured, Step};
use super::window::{MEASURES, Window};
use super::{ColumnSketch, Drift, Measure};
use crate::catalogue::{
    Metric, QUALITY_DISTINCT_RATIO, QUALITY_DRIFTS_TOTAL, QUALITY_LENGTH_BYTES, QUALITY_NULL_RATIO,
};
use crate::instruments::Gauge;
use crate::registry::Registry;

const GAUGES: [&Metric; MEASURES.len()] = [&QUALITY_NULL_RATIO, &QUALITY_LENGTH_BYTES, &QUALITY_DISTINCT_RATIO];

pub(super) struct Table {
    name: TableName,
    /// Rows in the open window.
    rows: u32,
    windows: u64,
    /// Another one whenever a column comes or goes.
    generation: u32,
    columns: Vec<Column>,
}

struct Column {
    name: Arc<str>,
    window: Window,
    measures: [(Baseline, Option<Arc<Gauge>>); MEASURES.len()],
}

impl Table {
    pub fn new(name: TableName) -> Self {
        Self { name, rows: 0, windows: 0, generation: 0, columns: Vec::new() }
    }

    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// Rows in the open window.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Columns of which a measure is not as usual.
    pub fn away(&self) -> usize {
        self.columns.iter().filter(|column| column.measures.iter().any(|(baseline, _)| baseline.is_away)).count()
    }

    /// Forgets columns that are not among these, with the last one everything; true where one went.
    pub fn keep(&mut self, named: &[Option<&Arc<str>>]) -> bool {
        let before = self.columns.len();
        self.columns.retain(|column| {
            let is_there = named.contains(&Some(&column.name));
            if !is_there {
                column.measures.iter().filter_map(|(_, gauge)| gauge.as_ref()).for_each(|gauge| gauge.withdraw());
            }
            is_there
        });
        let has_moved = self.columns.len() < before;
        if has_moved {
            self.generation = self.generation.wrapping_add(1);
        }
        if self.columns.is_empty() {
            (self.rows, self.windows) = (0, 0);
        }
        has_moved
    }

    /// Where a column is measured, from now on if it is new; `None` where there is no room for it.
    pub fn bind(&mut self, name: &Arc<str>, room: &mut usize) -> Option<usize> {
        let known = self.columns.iter().position(|known| known.name == *name);
        if known.is_some() || *room == 0 {
            return known;
        }
        *room -= 1;
        let (name, window) = (Arc::clone(name), Window::default());
        self.columns.push(Column { name, window, measures: Default::default() });
        self.generation = self.generation.wrapping_add(1);
        Some(self.columns.len() - 1)
    }

    /// A row, with the column of each cell.
    pub fn add(&mut self, batch: &Batch, cells: &[Cell], columns: &[Option<usize>]) {
        for (cell, column) in cells.iter().zip(columns) {
            if let Some(column) = column {
                self.columns[*column].window.add(batch, *cell);
            }
        }
        self.rows += 1;
    }

    /// Compares the window with those before, and begins the next one.
    pub fn close(&mut self, registry: &Registry, pipeline: &str, drifts: &mut Vec<Drift>) {
        let Self { name, rows, windows, columns, .. } = self;
        let seen = std::mem::take(rows);
        *windows += 1;
        for column in columns {
            let measured = column.window.measures(seen);
            column.window.clear();
            for (index, (measured, (baseline, gauge))) in measured.into_iter().zip(&mut column.measures).enumerate() {
                let Some(Measured { value, .. }) = measured else { continue };
                let labels = [pipeline, &*name.schema, &*name.table, &*column.name];
                gauge.get_or_insert_with(|| registry.gauge(GAUGES[index], &labels)).set(value);
                let usual = baseline.usual();
                let is_back = match measured.map(|measured| baseline.step(measured)) {
                    Some(Step::Left) => false,
                    Some(Step::Back) => true,
                    Some(Step::Learning | Step::Usual | Step::StillAway) | None => continue,
                };
                let measure = MEASURES[index];
                if !is_back {
                    let [pipeline, schema, table, column] = labels;
                    registry.counter(&QUALITY_DRIFTS_TOTAL, &[pipeline, schema, table, column, measure]).add(1);
                }
                let (table, column) = (name.clone(), Arc::clone(&column.name));
                drifts.push(Drift { table, column, measure, usual: usual.unwrap_or(value), now: value, is_back });
            }
        }
    }

    pub fn sketches(&self) -> impl Iterator<Item = ColumnSketch> {
        let measure = |((baseline, gauge), name): (&(Baseline, Option<Arc<Gauge>>), &'static str)| Measure {
            name,
            last: gauge.as_ref().and_then(|gauge| gauge.get()),
            usual: baseline.usual(),
            is_away: baseline.is_away,
        };
        self.columns.iter().map(move |column| ColumnSketch {
            table: self.name.clone(),
            column: Arc::clone(&column.name),
            windows: self.windows,
            measures: column.measures.iter().zip(MEASURES).map(measure).collect(),
        })
    }
}
