//! What becomes of log lines that are sent.
//!
//! Owns: its occurrences and their lines. Does not own: sending (the binary), the counters (`log`).
//!
//! Invariant: an outage is told once at its beginning and once at its end, and the lines that tell it are not sent themselves, so
//! that no line is the cause of another.

use limpid_model::{Component, Fault};

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};

/// The collector took lines.
#[derive(Clone, Copy, Debug)]
pub struct LogsTaken<'a> {
    pub endpoint: &'a str,
    /// Those before were not taken.
    pub is_again: bool,
}

impl Event for LogsTaken<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        if self.is_again {
            let line = to.line(Level::Info, Component::Server, "log lines are taken again by their collector");
            to.log.write(&line.with("object", Value::Text(self.endpoint.to_owned())).staying());
        }
    }
}

/// It did not.
#[derive(Clone, Copy, Debug)]
pub struct LogsRefused<'a> {
    pub fault: &'a Fault,
    /// Those before were taken, or there were none.
    pub is_first: bool,
}

impl Event for LogsRefused<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        if self.is_first {
            to.log.write(&to.fault_line(Level::Warn, self.fault).staying());
        }
    }
}
