//! Rows that do not add up.
//!
//! Owns: the occurrence. Does not own: the others (`events`).
//!
//! Invariant: as all events: a table and positions, never a value or a key.

use limpid_model::{Component, FaultCode, TableName};

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};

/// Between two saved positions a table has rows of which nobody knows what became, or some that came out twice.
#[derive(Clone, Copy, Debug)]
pub struct FlowDiffers<'a> {
    pub table: &'a TableName,
    /// Missing; below 0: too many.
    pub rows: i64,
    /// The window's two positions.
    pub from: &'a str,
    pub to: &'a str,
}

impl Event for FlowDiffers<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.flow_differs();
        let what = if self.rows > 0 { "rows were lost on the way" } else { "rows were delivered twice on the way" };
        let mut line = to.line(Level::Error, Component::Scheduler, what);
        (line.schema, line.table) = (Some(&*self.table.schema), Some(&*self.table.table));
        line.error_code = Some(FaultCode::FlowDifference.as_str());
        let line = line.with("rows", Value::Number(self.rows.unsigned_abs()));
        let line = line.with("from", Value::Text(self.from.to_owned())).with("to", Value::Text(self.to.to_owned()));
        let help = limpid_model::response_to(FaultCode::FlowDifference).1;
        to.log.write(&line.with("help", Value::Text(help.to_owned())));
    }
}
