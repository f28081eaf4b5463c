//! What happens to heartbeats.
//!
//! Owns: the occurrences that somebody should hear of. Does not own: their times (`meter`).
//!
//! Invariant: an outage is told once at its beginning and once at its end.

use limpid_model::{Component, Fault};

use super::{Event, PipelineTelemetry};
use crate::log::Level;

/// A heartbeat could not be written; rows are not concerned.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatFailed<'a> {
    pub fault: &'a Fault,
    /// The one before could.
    pub is_first: bool,
    /// When the oldest that is not delivered was written, by our monotonic clock.
    pub oldest_nanos: Option<u64>,
}

impl Event for HeartbeatFailed<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.beat_failed(self.oldest_nanos);
        if self.is_first {
            to.log.write(&to.fault_line(Level::Warn, self.fault));
        }
    }
}

/// Heartbeats are written again.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatAgain;

impl Event for HeartbeatAgain {
    fn emit(&self, to: &PipelineTelemetry) {
        to.log.write(&to.line(Level::Info, Component::Input, "heartbeats are written again"));
    }
}
