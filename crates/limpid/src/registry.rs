//! Every connector by name: the only file that knows them.
//!
//! Owns: what `type` may say, and making the parts of a pipeline from its specification. Does not own: running them.
//!
//! Invariant: a specification that was loaded against [`CONNECTORS`] can be made into parts.

use std::path::Path;
use std::sync::Arc;

use limpid_codec as codec;
use limpid_config::{
    self as config, Complaint, ConfigFault, Connectors, Delivers, Encodes, FormatSpec, PipelineSpec, Section, SinkKind,
    SourceKind, Start, TraceHeaders,
};
use limpid_connector::{Clock, Finding, JsonText, Sink, Source, StartPoint, Transforms};
use limpid_engine::EncoderFactory;
use limpid_file::{FileSink, NullSink, StdoutSink};
use limpid_kafka::KafkaSink;
use limpid_model::{Fault, TableName, Target};
use limpid_mysql::{HeartbeatOptions, MySqlOptions, MySqlSource};
use limpid_telemetry::trace::{BaseRate, Positions, Stamp, Watches};
use limpid_transform::Stage;

use crate::disk;
use crate::stamped::Stamped;

/// What this binary has.
pub const CONNECTORS: Connectors = Connectors {
    sources: &[SourceKind { name: "mysql", keys: limpid_mysql::config::KEYS, check: check_mysql }],
    sinks: &[
        SinkKind {
            name: "kafka",
            keys: limpid_kafka::config::KEYS,
            encodes: Encodes::Always,
            delivers: Delivers::ExactlyOnce,
            check: check_kafka,
        },
        SinkKind {
            name: "file",
            keys: limpid_file::config::KEYS,
            encodes: Encodes::Always,
            delivers: Delivers::AtLeastOnce,
            check: check_file,
        },
        SinkKind {
            name: "stdout",
            keys: &[],
            encodes: Encodes::Always,
            delivers: Delivers::AtLeastOnce,
            check: check_nothing,
        },
        SinkKind {
            name: "null",
            keys: &[],
            encodes: Encodes::WhenNamed,
            delivers: Delivers::AtLeastOnce,
            check: check_nothing,
        },
    ],
    transforms: limpid_transform::config::TRANSFORMS,
};

fn check_mysql(section: &Section) -> Vec<ConfigFault> {
    limpid_mysql::config::read(section, "", JsonText::Server).err().unwrap_or_default()
}

fn check_kafka(section: &Section) -> Vec<ConfigFault> {
    limpid_kafka::config::read(section).err().unwrap_or_default()
}

fn check_file(section: &Section) -> Vec<ConfigFault> {
    limpid_file::config::read(section).err().unwrap_or_default()
}

fn check_nothing(_: &Section) -> Vec<ConfigFault> {
    Vec::new()
}

/// What a record's topic is called where the sink has no such thing.
const TOPIC: &str = "{pipeline}.{schema}.{table}";

/// The parts of a pipeline that its file decides.
pub struct Made {
    pub source: Box<dyn Source>,
    pub sink: Box<dyn Sink>,
    pub transforms: Option<Arc<dyn Transforms>>,
    pub encoders: Option<EncoderFactory>,
    pub start: StartPoint,
    pub selection: u64,
    /// Keys that somebody watches: the records of their transactions say that their traces are kept.
    pub watches: Arc<Watches>,
}

/// Why the parts could not be made.
#[derive(Debug)]
pub enum Unmade {
    Config(Vec<ConfigFault>),
    /// A system that cannot be asked, or refuses.
    Fault(Fault),
}

impl From<Vec<ConfigFault>> for Unmade {
    fn from(faults: Vec<ConfigFault>) -> Self {
        Self::Config(faults)
    }
}

/// Makes the parts. What they must keep beside the state goes under `data_dir`.
///
/// # Errors
/// What only the parts themselves can find wrong.
pub fn make(spec: &PipelineSpec, data_dir: Option<&Path>, clock: &Clock) -> Result<Made, Unmade> {
    let json_text = if spec.sink.format.is_some() { JsonText::Debezium } else { JsonText::Server };
    let mut source = source_options(spec, json_text)?;
    source.held = data_dir.map(|dir| dir.join("held").join(spec.name.as_str()));
    let selection = source.selection.fingerprint();
    let (sink, topic): (Box<dyn Sink>, String) = match spec.sink.kind {
        "kafka" => {
            let (mut options, topic) = limpid_kafka::config::read(&spec.sink.section)?;
            options.delivery = spec.sink.delivery;
            let sink = KafkaSink::new(options, spec.name.clone(), clock.clone()).map_err(Unmade::Fault)?;
            (Box::new(sink), topic)
        }
        "file" => {
            let options = limpid_file::config::read(&spec.sink.section)?;
            (Box::new(FileSink::new(options, clock.clone())), TOPIC.to_owned())
        }
        "stdout" => (Box::new(StdoutSink::new(clock.clone())), TOPIC.to_owned()),
        "null" => (Box::new(NullSink::new(clock.clone())), TOPIC.to_owned()),
        other => unreachable!("the registry has no sink called {other}"),
    };
    let start = match &spec.source.start {
        Start::Head => StartPoint::Head,
        Start::Earliest => StartPoint::Earliest,
        Start::Position(text) => StartPoint::At(text.clone()),
    };
    let watches = Arc::new(Watches::default());
    let made = |format| encoders(spec, format, &topic, &watches);
    let encoders = spec.sink.format.as_ref().map(made).transpose()?;
    let transforms = Stage::new(&spec.transforms)?.map(|stage| Arc::new(stage) as Arc<dyn Transforms>);
    Ok(Made { source: Box::new(MySqlSource::new(source)), sink, transforms, encoders, start, selection, watches })
}

/// What the real systems say to a pipeline, and the SQL that grants what it needs at its source.
///
/// # Errors
/// What only the parts themselves can find wrong.
pub fn examine(spec: &PipelineSpec, clock: &Clock) -> Result<(Vec<Finding>, String), Unmade> {
    let source = source_options(spec, JsonText::Server)?;
    let asked = limpid_mysql::doctor::examine(&source, clock);
    let mut findings = asked.findings;
    // Empty where the server could not be asked.
    if !asked.tables.is_empty() {
        findings.extend(idle_rules(spec, &asked.tables)?.iter().map(|rule| {
            let sentence = format!("the rule {rule} matches none of the tables captured: it hides nothing");
            Finding::warn("transforms.idle", sentence, "mend its match.table: schema.table, as the source names them")
        }));
    }
    match spec.sink.kind {
        "kafka" => {
            let (options, topic) = limpid_kafka::config::read(&spec.sink.section)?;
            let refused =
                |error| vec![spec.sink.section.fault("topic", Complaint::bad_value(format!("is refused: {error}")))];
            let template = codec::TopicTemplate::parse(&topic).map_err(refused)?;
            let resolved = topics_of(spec, template, &asked.tables)?.into_iter().flatten();
            let (topics, bad): (Vec<_>, Vec<_>) = resolved.partition(Result::is_ok);
            findings.extend(
                bad.into_iter().filter_map(Result::err).map(|fault| Finding::of_fault("sink.topic-names", &fault)),
            );
            let topics: Vec<String> = topics.into_iter().flatten().collect();
            findings.extend(limpid_kafka::doctor::examine(&options, spec.name.as_str(), &topics, clock));
        }
        "file" => {
            let options = limpid_file::config::read(&spec.sink.section)?;
            findings.extend(disk::of_file(&options.path));
        }
        _ => {}
    }
    let grants = asked.grants.unwrap_or_else(|| limpid_mysql::doctor::either(&source));
    Ok((findings, grants))
}

/// Reads the positions of a pipeline's source as people name them.
pub fn positions(_: &PipelineSpec) -> Arc<dyn Positions> {
    Arc::new(limpid_mysql::lookup::Texts)
}

/// Whether some operations on rows make no record.
pub fn skips_operations(spec: &PipelineSpec) -> bool {
    spec.sink.format.as_ref().is_some_and(|format| {
        let skipped = &format.skipped_operations;
        skipped.create || skipped.update || skipped.delete
    })
}

/// Where a table's records would go.
#[derive(Debug)]
pub struct Destination {
    /// A topic; `None` for a sink that has no such thing, and for a table of which every row is rejected.
    pub topic: Option<Result<String, Fault>>,
    /// Whether it is there; `None` where nobody can tell.
    pub is_there: Option<bool>,
}

/// Where the records of these tables would go.
///
/// # Errors
/// A cluster that cannot be asked, and what only the parts themselves can find wrong.
pub fn destinations(spec: &PipelineSpec, tables: &[TableName], clock: &Clock) -> Result<Vec<Destination>, Unmade> {
    if spec.sink.kind != "kafka" {
        return Ok(tables.iter().map(|_| Destination { topic: None, is_there: None }).collect());
    }
    let (options, topic) = limpid_kafka::config::read(&spec.sink.section)?;
    let refused = |error| vec![spec.sink.section.fault("topic", Complaint::bad_value(format!("is refused: {error}")))];
    let topics = topics_of(spec, codec::TopicTemplate::parse(&topic).map_err(refused)?, tables)?;
    let legal: Vec<String> = topics.iter().flatten().filter_map(|topic| topic.as_ref().ok().cloned()).collect();
    let there = limpid_kafka::doctor::are_there(&options, spec.name.as_str(), &legal, clock);
    let mut there = there.map_err(Unmade::Fault)?.into_iter();
    let of = |topic: Option<Result<String, Fault>>| {
        let is_there = if matches!(topic, Some(Ok(_))) { there.next().flatten() } else { None };
        Destination { topic, is_there }
    };
    Ok(topics.into_iter().map(of).collect())
}

/// The rules of a file that are to hide columns and match none of the tables captured.
///
/// # Errors
/// What the transforms find wrong with the file.
pub fn idle_rules(spec: &PipelineSpec, tables: &[TableName]) -> Result<Vec<String>, Vec<ConfigFault>> {
    let stage = Stage::new(&spec.transforms)?;
    let rules = stage.map_or(Vec::new(), |stage| stage.idle(tables));
    Ok(rules.iter().map(|rule| rule.to_string()).collect())
}

/// The topics of these tables, as the transforms send them; `None` for a table of which every row is rejected.
fn topics_of(
    spec: &PipelineSpec,
    template: codec::TopicTemplate,
    tables: &[TableName],
) -> Result<Vec<Option<Result<String, Fault>>>, Vec<ConfigFault>> {
    let (registry, stage) = (codec::TopicRegistry::new(template), Stage::new(&spec.transforms)?);
    let target = |table: &TableName| stage.as_ref().map_or_else(|| Target::of(table), |stage| stage.target(table));
    let topic = |table| registry.resolve(&spec.name, table, &target(table)).map(|topic| topic.to_string());
    let passes = |table: &TableName| stage.as_ref().is_none_or(|stage| !stage.is_rejected(table));
    Ok(tables.iter().map(|table| passes(table).then(|| topic(table))).collect())
}

/// What the source is told: its own section, and what the frame says that concerns it.
fn source_options(spec: &PipelineSpec, json_text: JsonText) -> Result<MySqlOptions, Vec<ConfigFault>> {
    let mut source = limpid_mysql::config::read(&spec.source.section, spec.name.as_str(), json_text)?;
    source.contexts = spec.telemetry.traces.is_some();
    source.heartbeat = spec.source.heartbeat.as_ref().map(|heartbeat| HeartbeatOptions {
        every: heartbeat.every,
        table: TableName { schema: heartbeat.schema.as_str().into(), table: heartbeat.table.as_str().into() },
        pipeline: spec.name.as_str().into(),
    });
    Ok(source)
}

/// Makes encoders of the format asked for, which share one registry of topics.
fn encoders(
    spec: &PipelineSpec,
    format: &FormatSpec,
    topic: &str,
    watches: &Arc<Watches>,
) -> Result<EncoderFactory, Vec<ConfigFault>> {
    let refused = |key: &str, words: String| vec![spec.sink.section.fault(key, Complaint::bad_value(words))];
    let template =
        codec::TopicTemplate::parse(topic).map_err(|error| refused("topic", format!("is refused: {error}")))?;
    let topics = Arc::new(codec::TopicRegistry::new(template));
    let options = debezium_options(spec, format)
        .map_err(|error| refused("message-key-columns", format!("is refused: {error}")))?;
    let stamp = stamp(spec, watches);
    Ok(Arc::new(move |connector| {
        let mut options = options.clone();
        options.connector = if connector == "mariadb" { codec::Connector::MariaDb } else { codec::Connector::MySql };
        let inner = Box::new(codec::DebeziumEncoder::new(options, Arc::clone(&topics)));
        match stamp.clone() {
            Some(stamp) => Box::new(Stamped { inner, stamp }),
            None => inner,
        }
    }))
}

/// What gives records the id of their transaction's trace.
fn stamp(spec: &PipelineSpec, watches: &Arc<Watches>) -> Option<Stamp> {
    let traces = spec.telemetry.traces.as_ref()?;
    let base = BaseRate::new(traces.sample);
    let is_wanted = traces.headers != TraceHeaders::Off;
    let all = traces.headers == TraceHeaders::All;
    is_wanted.then(|| Stamp::new(spec.name.as_str(), base, all, Arc::clone(watches)))
}

fn debezium_options(
    spec: &PipelineSpec,
    format: &FormatSpec,
) -> Result<codec::DebeziumOptions, codec::MessageKeyError> {
    let mut skipped = codec::SkippedOperations::NONE;
    for (wanted, operation) in [
        (format.skipped_operations.create, codec::SkippedOperations::CREATE),
        (format.skipped_operations.update, codec::SkippedOperations::UPDATE),
        (format.skipped_operations.delete, codec::SkippedOperations::DELETE),
        (format.skipped_operations.truncate, codec::SkippedOperations::TRUNCATE),
    ] {
        if wanted {
            skipped = skipped.and(operation);
        }
    }
    Ok(codec::DebeziumOptions {
        compat: match format.compat {
            config::Compat::V3_5 => codec::Compat::V3_5,
            config::Compat::V3_7 => codec::Compat::V3_7,
        },
        decimal_handling: match format.decimal_handling {
            config::DecimalHandling::Precise => codec::DecimalHandling::Precise,
            config::DecimalHandling::Double => codec::DecimalHandling::Double,
            config::DecimalHandling::String => codec::DecimalHandling::String,
        },
        time_precision: match format.time_precision {
            config::TimePrecision::AdaptiveTimeMicroseconds => codec::TimePrecision::AdaptiveTimeMicroseconds,
            config::TimePrecision::Connect => codec::TimePrecision::Connect,
            config::TimePrecision::Isostring => codec::TimePrecision::Isostring,
            config::TimePrecision::Microseconds => codec::TimePrecision::Microseconds,
            config::TimePrecision::Nanoseconds => codec::TimePrecision::Nanoseconds,
        },
        bigint_unsigned_handling: match format.bigint_unsigned_handling {
            config::BigintUnsigned::Long => codec::BigintUnsignedHandling::Long,
            config::BigintUnsigned::Precise => codec::BigintUnsignedHandling::Precise,
        },
        binary_handling: match format.binary_handling {
            config::BinaryHandling::Bytes => codec::BinaryHandling::Bytes,
            config::BinaryHandling::Base64 => codec::BinaryHandling::Base64,
            config::BinaryHandling::Base64UrlSafe => codec::BinaryHandling::Base64UrlSafe,
            config::BinaryHandling::Hex => codec::BinaryHandling::Hex,
        },
        tinyint1: match format.tinyint1 {
            config::Tinyint1::Number => codec::TinyInt1::Number,
            config::Tinyint1::Boolean => codec::TinyInt1::Boolean,
        },
        tombstones: format.tombstones,
        skipped_operations: skipped,
        message_key_columns: codec::MessageKey::parse_all(&format.message_key_columns)?,
        ..codec::DebeziumOptions::new(spec.name.clone(), codec::Connector::MySql)
    })
}
