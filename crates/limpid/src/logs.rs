//! Log lines on their way to a collector, by OTLP.
//!
//! Owns: what is told of them. Does not own: the lines and their queue (`limpid-telemetry`), sending (`otlp`).
//!
//! Invariant: as for everything that goes by OTLP: nobody waits for a collector.

use std::sync::Arc;

use limpid_config::PipelineSpec;
use limpid_model::{Fault, FaultCode};
use limpid_telemetry::{
    Dropped, Event, LogQueue, LogRecord, LogsRefused, LogsTaken, OtlpMessage, PipelineTelemetry, Registry, SentBy,
    log_request,
};

use crate::otlp::{Destination, NotTaken, Outgoing, Signal};

/// Where a pipeline's lines are sent, and what holds them until then.
pub struct Outlet {
    destination: Destination,
    pub queue: Arc<LogQueue>,
}

impl Outlet {
    /// `None` where a pipeline's file sends no lines.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` as for a [`Destination`].
    pub fn of(spec: &PipelineSpec, registry: &Registry) -> Result<Option<Self>, Fault> {
        let logs = &spec.telemetry.logs;
        let Some(url) = &logs.otlp else { return Ok(None) };
        let destination = Destination::of(Signal::Logs, Some(url), logs.protocol)?;
        Ok(destination.map(|destination| Self { destination, queue: LogQueue::new(registry, spec.name.as_str()) }))
    }
}

/// One pipeline's lines.
pub struct Logged {
    pub outlet: Outlet,
    /// Tells what becomes of them.
    pub telemetry: PipelineTelemetry,
}

impl Outgoing for Logged {
    type One = LogRecord;

    const THREAD: &'static str = "logs";

    fn destination(&self) -> &Destination {
        &self.outlet.destination
    }

    /// Some 700 KiB. By their bytes all that may wait together would fit in a message.
    fn count_max(&self) -> usize {
        1024
    }

    fn take(&self, count_max: usize) -> Vec<LogRecord> {
        self.outlet.queue.take(count_max)
    }

    fn messages(&self, by: &SentBy, some: &[LogRecord]) -> Vec<OtlpMessage> {
        vec![OtlpMessage { bytes: log_request(by, some), ends: some.len() }]
    }

    fn taken(&self, count: usize, is_again: bool) {
        self.outlet.queue.sent(count);
        LogsTaken { endpoint: &self.outlet.destination.shown, is_again }.emit(&self.telemetry);
    }

    fn refused(&self, not: NotTaken, is_first: bool) {
        LogsRefused { fault: &not.fault(FaultCode::LogSendFailed), is_first }.emit(&self.telemetry);
    }

    fn dropped(&self, why: Dropped, count: usize) {
        self.outlet.queue.dropped(why, count);
    }
}
