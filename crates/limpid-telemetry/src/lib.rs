//! What Limpid tells of itself: metrics, log lines, and a memory of recent rows.
//!
//! Owns: the metric catalogue, the counters behind it, their exposition, the JSON and text log, the events, the ring.
//! Does not own: when something happened (the engine tells, once per batch), clocks (readings come in as numbers),
//! HTTP (`limpid-server`).
//!
//! Invariant: nothing here blocks or fails the data path; no row value and no secret enters anything that leaves it.

pub mod catalogue;
mod events;
mod exposition;
mod instruments;
mod log;
mod meter;
mod moment;
mod otlp;
mod outline;
mod process;
mod registry;
mod remote;
mod ring;
pub mod trace;
mod waiting;

pub use events::{
    AnswerFailed, CallJudged, CheckpointSaved, ChunkStale, ColumnDrifted, CopyFailed, CopyHeldBack, DoubtSeen, Event,
    FaultHalted, FaultRetried, FilesKept, FilesTaken, FlowDiffers, HeartbeatAgain, HeartbeatFailed, Listening,
    LogsRefused, LogsTaken, MetricsPushed, MetricsRefused, MoveRefused, NotFenced, PassedOver, PeerFound, PeerLost,
    PipelineEnded, PipelineStarted, PipelineTelemetry, PositionMoved, Progress, RowPutAside, RowsGivenUp, RowsReplayed,
    StateAccepted, TableHalted, TablesCopied, TracesRefused, TracesTaken,
};
pub use exposition::{Format, negotiate};
pub use instruments::{Counter, Exemplar, Gauge, Histogram, Rate, Tally};
pub use log::{FileOptions, Level, Line, Log, LogOptions, LogQueue, LogRecord, Style, Value, Words, rfc3339};
pub use meter::{
    ClockLook, ColumnSketch, DeliveredTo, Drift, HeadLook, KnownTable, Measure, MeterOptions, OddTotal, PipelineMeter,
    SketchOptions, TableTotals, Totals,
};
pub use moment::Moment;
pub use otlp::{OtlpMessage, OtlpMetrics, SentBy, log_request, rejected};
pub use registry::{Build, Registry, Sampled};
pub use remote::RemoteWrite;
pub use ring::{Fate, Found, Offset, Ring, RingWriter};
pub use waiting::Dropped;
