//! What happens to rows that cannot be delivered.
//!
//! Owns: the occurrences. Does not own: the others (`events`).
//!
//! Invariant: as all events: a table, a code and a position, never a value or a key.

use limpid_model::{Component, FaultCode, TableName};

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};
use crate::trace::RowTrace;

/// A row could not be delivered and is kept, for an operator to replay or to drop.
#[derive(Clone, Copy, Debug)]
pub struct RowPutAside<'a> {
    pub table: &'a TableName,
    pub operation: &'a str,
    pub position: &'a str,
    /// Later changes of its key queue behind it.
    pub is_parked: bool,
    pub code: FaultCode,
    /// The fault's own sentence.
    pub message: &'a str,
    pub trace: Option<RowTrace>,
}

impl Event for RowPutAside<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.row_kept(self.code);
        let what = if self.is_parked { "a row is parked with its key" } else { "a row is put aside as a dead letter" };
        let mut line = to.line(Level::Warn, Component::Output, format!("{what}: {}", self.message));
        (line.schema, line.table) = (Some(&*self.table.schema), Some(&*self.table.table));
        line.operation = Some(self.operation);
        line.error_code = Some(self.code.as_str());
        line.of_trace(self.trace);
        to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
    }
}

/// Rows that were kept are at the sink.
#[derive(Clone, Copy, Debug)]
pub struct RowsReplayed {
    pub rows: u64,
}

impl Event for RowsReplayed {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.rows_replayed(self.rows);
        let line = to.line(Level::Info, Component::Output, "rows that were kept are delivered");
        to.log.write(&line.with("rows", Value::Number(self.rows)));
    }
}

/// Rows that were kept are given up, as an operator asked.
#[derive(Clone, Copy, Debug)]
pub struct RowsGivenUp {
    pub rows: u64,
}

impl Event for RowsGivenUp {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.rows_given_up(self.rows);
        let line = to.line(Level::Info, Component::Output, "rows that were kept are given up");
        to.log.write(&line.with("rows", Value::Number(self.rows)));
    }
}
