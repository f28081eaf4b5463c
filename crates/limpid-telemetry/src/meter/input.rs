//! What was read, by table.
//!
//! Owns: the input counter's series. Does not own: anything after decoding (`output`).
//!
//! Invariant: a series appears with its first row; each row is counted once, when it is decoded.

use std::sync::Arc;

use limpid_model::{Batch, ControlCounts, Definition, Op, TableName};

use super::names::{ByVersion, TableNames};
use crate::catalogue::INPUT_COUNTER;
use crate::instruments::Counter;
use crate::registry::Registry;

const OPS: [Op; Op::COUNT] = [Op::Insert, Op::Update, Op::Delete, Op::Truncate, Op::Read];

pub(super) struct Input {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    tables: Arc<TableNames>,
    /// Tables that only definitions were seen of have a bound of their own: a thousand scratch tables must not push
    /// captured ones into `__other__`.
    defined: TableNames,
    series: ByVersion<Series>,
}

struct Series {
    schema: Box<str>,
    table: Box<str>,
    ops: [Option<Arc<Counter>>; Op::COUNT],
}

impl Input {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str, tables: Arc<TableNames>, tables_max: usize) -> Self {
        Self {
            registry: Arc::clone(registry),
            pipeline: pipeline.into(),
            tables,
            defined: TableNames::new(registry, pipeline, tables_max),
            series: ByVersion::default(),
        }
    }

    pub(super) fn rows(&mut self, batch: &Batch) {
        let Self { registry, pipeline, tables, series, .. } = self;
        for (version, counts) in batch.tables.iter().zip(&batch.counts) {
            if *counts == [0; Op::COUNT] {
                continue;
            }
            let bound = series.get(version, |name| {
                let (schema, table) = tables.labels(name);
                Series { schema: schema.into(), table: table.into(), ops: Default::default() }
            });
            for ((op, count), counter) in OPS.into_iter().zip(counts).zip(&mut bound.ops) {
                if *count > 0 {
                    let labels = [&**pipeline, &bound.schema, &bound.table, "dml", op.word()];
                    counter.get_or_insert_with(|| registry.counter(&INPUT_COUNTER, &labels)).add(u64::from(*count));
                }
            }
        }
    }

    pub(super) fn definitions(&mut self, control: &ControlCounts) {
        for Definition { kind, schema, table, .. } in &control.ddl {
            let name = TableName { schema: Arc::clone(schema), table: Arc::clone(table) };
            let (schema, table) = self.defined.labels(&name);
            let labels = [&*self.pipeline, schema, table, "ddl", kind.word()];
            self.registry.counter(&INPUT_COUNTER, &labels).add(1);
        }
    }
}

/// The operations in the order of a batch's counts.
pub(super) const fn ops() -> [Op; Op::COUNT] {
    OPS
}
