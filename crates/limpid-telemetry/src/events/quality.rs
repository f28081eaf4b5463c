//! Columns that are no longer as usual.
//!
//! Owns: the occurrence. Does not own: what is usual (`meter`).
//!
//! Invariant: as all events: a column and ratios of it, never a value.

use limpid_model::Component;

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};
use crate::meter::Drift;

/// A column left what is usual for it, or is as usual again.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDrifted<'a>(pub &'a Drift);

impl Event for ColumnDrifted<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        let Drift { table, column, measure, usual, now, is_back } = self.0;
        let (level, what) = match is_back {
            true => (Level::Info, "a column is as usual again"),
            false => (Level::Warn, "a column is not as usual"),
        };
        let mut line = to.line(level, Component::Input, what);
        (line.schema, line.table) = (Some(&*table.schema), Some(&*table.table));
        let number = |value: f64| Value::Text(format!("{value:.4}"));
        let line = line.with("column", Value::Text(column.to_string()));
        let line = line.with("measure", Value::Text((*measure).to_owned()));
        to.log.write(&line.with("usual", number(*usual)).with("now", number(*now)));
    }
}
