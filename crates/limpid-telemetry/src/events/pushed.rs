//! What becomes of metrics that are pushed.
//!
//! Owns: its occurrences, their lines and counters. Does not own: pushing (the binary).
//!
//! Invariant: an outage is told once at its beginning and once at its end, however often is tried meanwhile.

use limpid_model::{Component, Fault};

use super::{Event, PipelineTelemetry};
use crate::log::{Level, Value};

/// The pipeline's metrics were taken.
#[derive(Clone, Copy, Debug)]
pub struct MetricsPushed<'a> {
    pub receiver: &'a str,
    pub endpoint: &'a str,
    /// The one before was not.
    pub is_again: bool,
}

impl Event for MetricsPushed<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.pushed(self.receiver, true);
        if self.is_again {
            let line = to.line(Level::Info, Component::Server, "metrics are taken again where they are pushed");
            to.log.write(&line.with("object", Value::Text(self.endpoint.to_owned())));
        }
    }
}

/// They were not, and these samples are gone: the next ones are tried in their turn.
#[derive(Clone, Copy, Debug)]
pub struct MetricsRefused<'a> {
    pub receiver: &'a str,
    pub fault: &'a Fault,
    /// The one before was taken, or there was none.
    pub is_first: bool,
}

impl Event for MetricsRefused<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.pushed(self.receiver, false);
        if self.is_first {
            to.log.write(&to.fault_line(Level::Warn, self.fault));
        }
    }
}
