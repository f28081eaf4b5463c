//! The ledger of flow as series.
//!
//! Owns: the series of each table. Does not own: the sums (the engine's).
//!
//! Invariant: touched once a saved position, per table; tables beyond the bound are counted together.

use std::collections::HashMap;
use std::sync::Arc;

use limpid_model::{Flow, FlowCounts, TableName};

use super::names::TableNames;
use crate::catalogue::{FLOW_DIFFERENCE_ROWS, FLOW_ROWS_TOTAL};
use crate::instruments::{Counter, Gauge};
use crate::registry::Registry;

pub(super) struct FlowSeries {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    tables: Arc<TableNames>,
    /// By schema and table as labels name them.
    series: HashMap<(Box<str>, Box<str>), Series>,
}

struct Series {
    /// Bound with the first row of each.
    fates: [Option<Arc<Counter>>; Flow::ALL.len()],
    difference: Arc<Gauge>,
    /// What each table behind the series lacks: several beyond the bound.
    differences: HashMap<TableName, i64>,
}

impl FlowSeries {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str, tables: Arc<TableNames>) -> Self {
        Self { registry: Arc::clone(registry), pipeline: pipeline.into(), tables, series: HashMap::new() }
    }

    /// A table's rows of one window, and since the first.
    pub(super) fn add(&mut self, table: &TableName, counts: &FlowCounts, total: &FlowCounts) {
        let (schema, name) = self.tables.labels(table);
        let (registry, pipeline) = (&self.registry, &*self.pipeline);
        let series = self.series.entry((schema.into(), name.into())).or_insert_with(|| Series {
            fates: Default::default(),
            difference: registry.gauge(&FLOW_DIFFERENCE_ROWS, &[pipeline, schema, name]),
            differences: HashMap::new(),
        });
        for (flow, counter) in Flow::ALL.into_iter().zip(&mut series.fates) {
            // What sets an earlier count right cannot be taken from a counter; the difference has it.
            let rows = counts.get(flow).max(0).unsigned_abs();
            if rows > 0 {
                let bind = || registry.counter(&FLOW_ROWS_TOTAL, &[pipeline, schema, name, flow.word()]);
                counter.get_or_insert_with(bind).add(rows);
            }
        }
        match total.difference() {
            0 => drop(series.differences.remove(table)),
            rows => drop(series.differences.insert(table.clone(), rows)),
        }
        series.difference.set(series.differences.values().sum::<i64>() as f64);
    }
}
