//! What happens to a pipeline, each as a struct.
//!
//! Owns: the occurrences, their lines and what they add to the metrics. Does not own: the numbers of the row path
//! (`meter`), the form of lines (`log`).
//!
//! Invariant: [`Event::emit`] is the only code that writes a log line. A line is made of our own words, codes and
//! objects: no row value, no secret. ERROR: a person must act. WARN: unexpected, recovered. INFO: a change of state.

mod flow;
mod heartbeat;
mod logs;
mod parked;
mod pushed;
mod quality;
mod server;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode, Response, TableName};

use crate::log::{Level, Line, Log, Value};
use crate::meter::{PipelineMeter, Totals};
use crate::trace::RowTrace;
pub use flow::FlowDiffers;
pub use heartbeat::{HeartbeatAgain, HeartbeatFailed};
pub use logs::{LogsRefused, LogsTaken};
pub use parked::{RowPutAside, RowsGivenUp, RowsReplayed};
pub use pushed::{MetricsPushed, MetricsRefused};
pub use quality::ColumnDrifted;
pub use server::{AnswerFailed, CallJudged, FilesKept, FilesTaken, Listening};
pub use traces::{TracesRefused, TracesTaken};

/// Where one pipeline's occurrences go.
#[derive(Clone)]
pub struct PipelineTelemetry {
    pub meter: Arc<PipelineMeter>,
    pub log: Arc<Log>,
}

/// Something that happened.
pub trait Event {
    /// Counts it and writes its line.
    fn emit(&self, to: &PipelineTelemetry);
}

impl PipelineTelemetry {
    fn line(&self, level: Level, component: Component, message: impl Into<String>) -> Line<'_> {
        Line::new(level, self.meter.pipeline(), component.word(), message)
    }

    fn fault_line<'a>(&'a self, level: Level, fault: &'a Fault) -> Line<'a> {
        let mut line = self.line(level, fault.component(), fault.to_string());
        line.error = self.log.causes(fault);
        line.error_code = Some(fault.code().as_str());
        if let Some(object) = fault.object() {
            line = line.with("object", Value::Text(object.to_owned()));
        }
        line.with("help", Value::Text(fault.remedy().to_owned()))
    }
}

/// The pipeline is connected and positioned, and rows flow.
#[derive(Clone, Copy, Debug)]
pub struct PipelineStarted<'a> {
    pub position: &'a str,
    /// Lanes that write to the sink.
    pub lanes: usize,
}

impl Event for PipelineStarted<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.started(self.lanes);
        let line = to.line(Level::Info, Component::Input, "the pipeline is running");
        to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
    }
}

/// The pipeline ended as asked, and everything read is at the sink.
#[derive(Clone, Copy, Debug)]
pub struct PipelineEnded<'a> {
    pub position: &'a str,
    /// What ended it.
    pub why: &'a str,
}

impl Event for PipelineEnded<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        let line = to.line(Level::Info, Component::Scheduler, format!("the pipeline ended: {}", self.why));
        to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
        to.log.flush();
    }
}

/// A fault after which the same is tried again.
#[derive(Clone, Copy, Debug)]
pub struct FaultRetried<'a> {
    pub fault: &'a Fault,
    pub pause: Duration,
}

impl Event for FaultRetried<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.retry(self.fault);
        let pause = Value::Number(self.pause.as_millis() as u64);
        to.log.write(&to.fault_line(Level::Warn, self.fault).with("pause_ms", pause));
    }
}

/// A fault that ended the pipeline; it waits for a person.
#[derive(Clone, Copy, Debug)]
pub struct FaultHalted<'a> {
    pub fault: &'a Fault,
}

impl Event for FaultHalted<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.fault(self.fault);
        let line = to.fault_line(Level::Error, self.fault);
        let exhausted = matches!(self.fault.response(), Response::Retry { .. });
        to.log.write(&if exhausted { line.with("retries_exhausted", Value::Flag(true)) } else { line });
        to.log.flush();
    }
}

/// A table's rows are delivered no longer; the others go on.
#[derive(Clone, Copy, Debug)]
pub struct TableHalted<'a> {
    pub table: &'a TableName,
    pub fault: &'a Fault,
    /// Of the row that it is halted at, where it is a row's fault.
    pub trace: Option<RowTrace>,
}

impl Event for TableHalted<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.fault(self.fault);
        to.meter.table_halted();
        let mut line = to.fault_line(Level::Error, self.fault);
        line.schema = Some(&self.table.schema);
        line.table = Some(&self.table.table);
        line.of_trace(self.trace);
        to.log.write(&line);
    }
}

/// A peer cannot be reached any more.
#[derive(Clone, Copy, Debug)]
pub struct PeerLost<'a> {
    pub component: Component,
    pub endpoint: &'a str,
}

impl Event for PeerLost<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.health(self.component, self.endpoint, false);
        let line = to.line(Level::Warn, self.component, "the connection is lost");
        to.log.write(&line.with("endpoint", Value::Text(self.endpoint.to_owned())));
    }
}

/// A server of the source's list cannot be read, and the next one was asked.
#[derive(Clone, Copy, Debug)]
pub struct PassedOver<'a> {
    pub endpoint: &'a str,
    pub why: &'a Fault,
}

impl Event for PassedOver<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.health(Component::Input, self.endpoint, false);
        let line = to.fault_line(Level::Warn, self.why);
        to.log.write(&line.with("passed_over", Value::Text(self.endpoint.to_owned())));
    }
}

/// A peer is connected, or connected again.
#[derive(Clone, Copy, Debug)]
pub struct PeerFound<'a> {
    pub component: Component,
    pub endpoint: &'a str,
}

impl Event for PeerFound<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.health(self.component, self.endpoint, true);
        let line = to.line(Level::Info, self.component, "the connection stands");
        to.log.write(&line.with("endpoint", Value::Text(self.endpoint.to_owned())));
    }
}

/// How far a pipeline is, while rows move.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub totals: Totals,
    pub position: &'a str,
}

impl Event for Progress<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        let Totals { rows_read, rows_delivered, rows_per_second, lag_bytes, .. } = self.totals;
        let mut line = to.line(Level::Info, Component::Scheduler, "rows are moving");
        line = line.with("rows_read", Value::Number(rows_read)).with("rows_delivered", Value::Number(rows_delivered));
        line = line.with("rows_per_second", Value::Number(rows_per_second as u64));
        if let Some(bytes) = lag_bytes {
            line = line.with("lag_bytes", Value::Number(bytes));
        }
        to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
    }
}

/// A position was saved, at the sink and in the state.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSaved<'a> {
    pub position: &'a str,
    pub took: Duration,
}

impl Event for CheckpointSaved<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.saved(self.took.as_nanos() as u64);
        // Once a second: the line is not even made where nobody reads it.
        if to.log.tells(Level::Debug) {
            let mut line = to.line(Level::Debug, Component::State, "a position was saved");
            line.duration_ms = Some(self.took.as_millis() as u64);
            to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
        }
    }
}

/// Something odd in the log that needs no action now.
#[derive(Clone, Copy, Debug)]
pub struct DoubtSeen<'a> {
    pub code: FaultCode,
    /// What it is about: a table, an event's place.
    pub object: &'a str,
}

impl Event for DoubtSeen<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.doubt(self.code);
        let mut line = to.line(Level::Warn, Component::Input, "something odd was passed over");
        line.error_code = Some(self.code.as_str());
        to.log.write(&line.with("object", Value::Text(self.object.to_owned())));
    }
}

/// A chunk of a table could not be used and is read again.
#[derive(Clone, Copy, Debug)]
pub struct ChunkStale<'a> {
    pub table: &'a TableName,
    pub why: &'a str,
}

impl Event for ChunkStale<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.chunk_stale();
        let mut line = to.line(Level::Info, Component::Input, "a part of the table is copied again");
        (line.schema, line.table) = (Some(&*self.table.schema), Some(&*self.table.table));
        to.log.write(&line.with("reason", Value::Text(self.why.to_owned())));
    }
}

/// Tables are read for a part of the time from now on, or all the time again.
#[derive(Clone, Copy, Debug)]
pub struct CopyHeldBack {
    pub holds_back: bool,
    pub duty: f64,
}

impl Event for CopyHeldBack {
    fn emit(&self, to: &PipelineTelemetry) {
        let text = match self.holds_back {
            true => "the source is busy: tables are copied for a part of the time, so that its own work goes on",
            false => "the source has time to spare: tables are copied without a pause",
        };
        let percent = (self.duty * 100.0).round() as u64;
        to.log.write(&to.line(Level::Info, Component::Input, text).with("duty_percent", Value::Number(percent)));
    }
}

/// A copy that an operator asked for cannot be made; the pipeline goes on.
#[derive(Clone, Copy, Debug)]
pub struct CopyFailed<'a> {
    pub table: &'a TableName,
    pub fault: &'a Fault,
}

impl Event for CopyFailed<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.fault(self.fault);
        let mut line = to.fault_line(Level::Error, self.fault);
        (line.schema, line.table) = (Some(&*self.table.schema), Some(&*self.table.table));
        to.log.write(&line);
    }
}

/// Every table that was to be copied is copied.
#[derive(Clone, Copy, Debug)]
pub struct TablesCopied {
    pub tables: usize,
    pub rows: u64,
}

impl Event for TablesCopied {
    fn emit(&self, to: &PipelineTelemetry) {
        let line = to.line(Level::Info, Component::Input, "the tables are copied");
        let tables = Value::Number(self.tables as u64);
        to.log.write(&line.with("tables", tables).with("rows", Value::Number(self.rows)));
    }
}

/// An operator had the stream go on at another position.
#[derive(Clone, Copy, Debug)]
pub struct PositionMoved<'a> {
    pub from: &'a str,
    pub to: &'a str,
}

impl Event for PositionMoved<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        let line = to.line(Level::Info, Component::Input, "the position was set by an operator");
        let line = line.with("from", Value::Text(self.from.to_owned()));
        to.log.write(&line.with("position", Value::Text(self.to.to_owned())));
    }
}

/// An operator wanted the stream to go on where it cannot; it goes on where it was.
#[derive(Clone, Copy, Debug)]
pub struct MoveRefused<'a> {
    pub to: &'a str,
    pub why: &'a Fault,
}

impl Event for MoveRefused<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.fault(self.why);
        let line = to.fault_line(Level::Error, self.why);
        to.log.write(&line.with("position", Value::Text(self.to.to_owned())));
    }
}

/// A right is missing that would shut out a second instance of the pipeline: two could write at once.
#[derive(Clone, Copy, Debug)]
pub struct NotFenced<'a> {
    pub why: &'a Fault,
}

impl Event for NotFenced<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        to.meter.doubt(self.why.code());
        to.log.write(&to.fault_line(Level::Warn, self.why).with("fenced", Value::Flag(false)));
    }
}

/// A state that does not fit the sink's record was gone on from, as the operator asked on the command line.
#[derive(Clone, Copy, Debug)]
pub struct StateAccepted<'a> {
    /// What would have been refused.
    pub code: FaultCode,
    /// Where the pipeline goes on; empty where it begins anew.
    pub position: &'a str,
}

impl Event for StateAccepted<'_> {
    fn emit(&self, to: &PipelineTelemetry) {
        let message = "the state was accepted by --accept-new-state, against the position record";
        let mut line = to.line(Level::Info, Component::State, message);
        line.error_code = Some(self.code.as_str());
        to.log.write(&line.with("position", Value::Text(self.position.to_owned())));
    }
}
