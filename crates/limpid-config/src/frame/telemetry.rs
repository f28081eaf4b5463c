//! `telemetry`: what is told, and to whom.
//!
//! Owns: its keys and values. Does not own: telling (`limpid-telemetry`).
//!
//! Invariant: as for the frame.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::{HTTP_ADDRESS_HELP, check_http_address};
use crate::faults::Complaint;
use crate::key::{Choice, Choices, Key};
use crate::reader::Reader;
use crate::secret::Secret;

const PROTOCOL: &str = "How `otlp` is spoken to. Left out: gRPC, unless the address has the port 4318 or a path.";

const TRACES: &[Key] = &[
    Key::bool("enabled").default("true").doc("Off: no traces."),
    Key::url("otlp").doc(
        "Where they are sent by OTLP, as http://collector:4317. Left out: what OTEL_EXPORTER_OTLP_ENDPOINT says, else \
         http://127.0.0.1:4317.",
    ),
    Key::choice::<OtlpProtocol>("protocol").doc(PROTOCOL),
    Key::ratio("sample").default("0.01").doc("The part of all transactions that is kept whatever happens to them."),
    Key::uint("slow-ms", 1, 86_400_000)
        .default("1000")
        .doc("A transaction that takes longer from its commit until it is acknowledged is kept."),
    Key::choice::<Granularity>("granularity").default("transaction").doc("What has a trace."),
    Key::choice::<TraceHeaders>("headers")
        .default("sampled")
        .doc("Which records carry the id of their trace, as `traceparent`."),
];

const METRICS: &[Key] = &[
    Key::bool("enabled").default("true").doc("Off: no metrics of this pipeline at all."),
    Key::bool("prometheus").default("true").doc("Whether they stand under /metrics."),
    Key::url("otlp").doc("Where they are pushed by OTLP, as http://collector:4317. Left out, they are not."),
    Key::choice::<OtlpProtocol>("protocol").doc(PROTOCOL),
    Key::url("remote-write")
        .doc("Where they are pushed by Prometheus remote write, as http://prometheus:9090/api/v1/write."),
    Key::duration("push-every", Duration::from_secs(1), Duration::from_secs(3600))
        .default("10s")
        .doc("How often they are pushed."),
];

const LOGS: &[Key] = &[
    Key::bool("enabled").default("true").doc("Off: errors and warnings only."),
    Key::choice::<LogFormat>("format").default("json").doc("One JSON object a line, or lines for people."),
    Key::choice::<LogLevel>("level").default("info").doc("The least that is told."),
    Key::path("file").doc("Where they are written beside stderr."),
    Key::url("otlp").doc("Where they are sent by OTLP beside that, as http://collector:4317. Left out, they are not."),
    Key::choice::<OtlpProtocol>("protocol").doc(PROTOCOL),
    Key::section("rotate", ROTATE).doc("How large that file may grow, and how many older ones stay."),
];

const ROTATE: &[Key] = &[
    Key::bytes("bytes", 1024, 1 << 40)
        .default("64MiB")
        .doc("A file that has so many bytes becomes FILE.1, and that FILE.2."),
    Key::uint("keep", 0, 1000)
        .default("5")
        .doc("So many older files stay; what is kept is this and one times `bytes`."),
];

const RING: &[Key] = &[Key::bytes("bytes", 1 << 20, 1 << 32)
    .default("16MiB")
    .doc("Memory for it, in whole MiB: 8 bytes a row in bulk, some 40 a transaction of one row.")];

const QUALITY: &[Key] = &[
    Key::bool("enabled").default("true").doc("Off: columns are not measured."),
    Key::uint("one-in", 1, 1_000_000).default("64").doc("One batch in so many is sampled."),
    Key::uint("window-rows", 16, 1_000_000)
        .default("256")
        .doc("So many sampled rows of a table are compared with those before."),
];

pub(crate) const TELEMETRY: &[Key] = &[
    Key::section("traces", TRACES).optional().doc("One trace per source transaction. Left out, there are none."),
    Key::section("metrics", METRICS).doc("Numbers."),
    Key::section("quality", QUALITY)
        .optional()
        .doc("How columns usually look: NULLs, lengths, distinct values. Left out, nobody looks."),
    Key::section("logs", LOGS).doc("Lines."),
    Key::section("ring", RING).doc("What is remembered of recent rows, for `limpid trace`."),
];

/// Which records carry a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceHeaders {
    Sampled,
    All,
    Off,
}

impl Choices for TraceHeaders {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new(
            "sampled",
            TraceHeaders::Sampled,
            "Those of transactions that are kept by the base rate or by their application.",
        ),
        Choice::new("all", TraceHeaders::All, "All; it says whether the trace is sampled."),
        Choice::new("off", TraceHeaders::Off, "None."),
    ];
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    Http,
}

impl Choices for OtlpProtocol {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("grpc", OtlpProtocol::Grpc, "gRPC, usually on port 4317."),
        Choice::new("http", OtlpProtocol::Http, "Protobuf over HTTP, usually on port 4318."),
    ];
}

/// What has a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    Transaction,
    Change,
}

impl Choices for Granularity {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("transaction", Granularity::Transaction, "Each transaction of the source."),
        Choice::new("change", Granularity::Change, "Each change of a transaction that is kept."),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

impl Choices for LogFormat {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("json", LogFormat::Json, "One JSON object a line."),
        Choice::new("text", LogFormat::Text, "Lines for people."),
    ];
}

/// Ordered from the least to the most that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Choices for LogLevel {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("error", LogLevel::Error, "A person must act."),
        Choice::new("warn", LogLevel::Warn, "Unexpected, recovered."),
        Choice::new("info", LogLevel::Info, "A change of state."),
        Choice::new("debug", LogLevel::Debug, "For finding a mistake."),
        Choice::new("trace", LogLevel::Trace, "Everything."),
    ];
}

#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySpec {
    /// `None`: there are no traces.
    pub traces: Option<TracesSpec>,
    pub metrics: MetricsSpec,
    /// `None`: columns are not measured.
    pub quality: Option<QualitySpec>,
    pub logs: LogsSpec,
    /// Memory for what is remembered of recent rows.
    pub ring_bytes: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TracesSpec {
    /// As it is written; `None` leaves it to the environment.
    pub otlp: Option<Secret>,
    pub protocol: Option<OtlpProtocol>,
    /// From 0 to 1.
    pub sample: f64,
    pub slow: Duration,
    pub granularity: Granularity,
    pub headers: TraceHeaders,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSpec {
    /// Whether the pipeline's metrics stand under `/metrics`: both `enabled` and `prometheus`.
    pub prometheus: bool,
    /// Where they are pushed by OTLP; `None` where `enabled` is off too.
    pub otlp: Option<Secret>,
    pub protocol: Option<OtlpProtocol>,
    /// Where they are pushed by remote write; `None` where `enabled` is off too.
    pub remote_write: Option<Secret>,
    pub push_every: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualitySpec {
    /// One batch in so many is sampled.
    pub one_in: u64,
    /// Sampled rows of a table that are compared with those before.
    pub window_rows: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsSpec {
    pub format: LogFormat,
    /// With `enabled: false` this is `warn` at the most: what needs a person is never silent.
    pub level: LogLevel,
    /// Beside stderr.
    pub file: Option<PathBuf>,
    /// A file is put aside before it has more bytes.
    pub rotate_bytes: u64,
    /// So many that were put aside stay.
    pub rotate_keep: u32,
    /// Where they are sent by OTLP.
    pub otlp: Option<Secret>,
    pub protocol: Option<OtlpProtocol>,
}

impl TelemetrySpec {
    pub(crate) fn read(keys: &Reader<'_>) -> Self {
        let metrics = keys.section("metrics");
        let logs = keys.section("logs");
        let traces = keys.optional_section("traces").filter(|traces| traces.bool("enabled"));
        let rotate = logs.section("rotate");
        let ring = keys.section("ring");
        let quality = keys.optional_section("quality").filter(|quality| quality.bool("enabled"));
        let level: LogLevel = logs.choice("level");
        Self {
            traces: traces.map(|traces| TracesSpec {
                headers: headers(&traces),
                otlp: address(&traces, "otlp"),
                protocol: traces.optional_choice("protocol"),
                sample: traces.ratio("sample"),
                slow: Duration::from_millis(traces.uint("slow-ms")),
                granularity: traces.choice("granularity"),
            }),
            metrics: MetricsSpec {
                prometheus: metrics.bool("enabled") && metrics.bool("prometheus"),
                otlp: address(&metrics, "otlp").filter(|_| metrics.bool("enabled")),
                protocol: metrics.optional_choice("protocol"),
                remote_write: address(&metrics, "remote-write").filter(|_| metrics.bool("enabled")),
                push_every: metrics.duration("push-every"),
            },
            quality: quality.map(|quality| QualitySpec {
                one_in: quality.uint("one-in"),
                window_rows: quality.uint("window-rows") as u32,
            }),
            logs: LogsSpec {
                format: logs.choice("format"),
                level: if logs.bool("enabled") { level } else { level.min(LogLevel::Warn) },
                file: logs.optional_path("file"),
                rotate_bytes: rotate.bytes("bytes"),
                rotate_keep: rotate.uint("keep") as u32,
                otlp: address(&logs, "otlp"),
                protocol: logs.optional_choice("protocol"),
            },
            ring_bytes: ring.bytes("bytes"),
        }
    }
}

/// An address that something is sent to, if there is one.
fn address(keys: &Reader<'_>, name: &str) -> Option<Secret> {
    let url = keys.optional_url(name)?;
    match check_http_address(url.reveal()) {
        Ok(()) => Some(url),
        Err(complaint) => keys.refuse(name, Complaint::bad_value(complaint).help(HTTP_ADDRESS_HELP)),
    }
}

/// A record's change has no trace of its own before its place in its transaction is known, so that `change` goes with none.
fn headers(traces: &Reader<'_>) -> TraceHeaders {
    let headers = traces.choice("headers");
    if traces.choice::<Granularity>("granularity") == Granularity::Transaction {
        return headers;
    }
    if traces.is_written("headers") && headers != TraceHeaders::Off {
        let complaint = Complaint::bad_value("goes with `granularity: transaction` only");
        traces.refuse::<()>("headers", complaint.help("write `off`"));
    }
    TraceHeaders::Off
}
