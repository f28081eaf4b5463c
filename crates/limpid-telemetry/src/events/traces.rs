//! What becomes of traces that are sent.
//!
//! Owns: its occurrences and their lines. Does not own: sending (the binary), the counters (`trace`).
//!
//! Invariant: an outage is told once at its beginning and once at its end, however often is tried meanwhile.

use limpid_model::{Component, Fault};

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};

/// The collector took traces.
#[derive(Clone, Copy, Debug)]
pub struct TracesTaken<'a> {
    pub endpoint: &'a str,
    /// Those before were not taken.
    pub is_again: bool,
}

impl Event for TracesTaken<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        if self.is_again {
            let line = to.line(Level::Info, Component::Server, "traces are taken again by their collector");
            to.log.write(&line.with("object", Value::Text(self.endpoint.to_owned())));
        }
    }
}

/// It did not.
#[derive(Clone, Copy, Debug)]
pub struct TracesRefused<'a> {
    pub fault: &'a Fault,
    /// Those before were taken, or there were none.
    pub is_first: bool,
}

impl Event for TracesRefused<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        if self.is_first {
            to.log.write(&to.fault_line(Level::Warn, self.fault));
        }
    }
}
