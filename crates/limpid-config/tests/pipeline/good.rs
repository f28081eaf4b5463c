//! Good files, in all three syntaxes, and what they mean.

use std::path::PathBuf;
use std::time::Duration;

use limpid_config::{
    BigintUnsigned, BinaryHandling, Compat, Complaint, DecimalHandling, Delivery, FormatName, HeartbeatSpec, LogFormat,
    LogLevel, OnRowError, OtlpProtocol, PipelineSpec, QualitySpec, SaslMechanism, Secret, SkippedOperations,
    SnapshotMode, SnapshotSpec, Start, TimePrecision, Tinyint1, TlsMode,
};

use crate::registry::{Kafka, Mysql, RowImage, faults_of, loaded, told};

const LEAST: &str = "\
name: shop
source: { type: mysql, url: \"mysql://db\", tables: [\"*\"], snapshot: never }
sink: { type: kafka, brokers: [\"k:9092\"], delivery: at-least-once }
on-row-error: halt-table
";

const YAML: &str = r#"
name: shop
lag-limit: 5m
source:
  type: mysql
  url: mysql://limpid:${env:ODD}@db:${env:PORT}
  password: ${env:DB_PASSWORD}
  row-image: accept
  tables: ["shop.*", "!shop.tmp_*"]
  columns: ["!*.*.ssn"]
  snapshot: never
  start: gtid:0-1-5
  server-id: ${env:PORT}
  connect-timeout: 250000ms
  buffer: 64KiB
  tls: { mode: verify-identity, ca: ca.pem, cert: c.pem, key: k.pem }
sink:
  type: kafka
  brokers: [a:9092, b:9092]
  topic: "$${env:X}.{table}"
  delivery: at-least-once
  topic-creation: { enabled: false, partitions: 3, replication-factor: 2, config: { retention.ms: 1000, compress: true } }
  sasl: { mechanism: scram-sha-512, user: u, password: "${file:/run/secrets/pd}" }
  librdkafka: { linger.ms: 5, queue.buffering.max.ms: 0.5, ssl.key.password: "${env:DB_PASSWORD}" }
  format: debezium-json
  decimal-handling: string
  time-precision: isostring
  bigint-unsigned-handling: precise
  binary-handling: base64-url-safe
  tinyint1: boolean
  skipped-operations: c,t
  tombstones: false
  message-key-columns: shop.orders:id,shop_id;(.*).x:y
  compat: "3.7"
  context-headers: true
on-row-error: halt-table
transforms: []
telemetry:
  metrics: { prometheus: false, otlp: null }
  quality: { one-in: 8 }
  ring: { bytes: 4MiB }
  logs: { format: text, level: debug, file: limpid.log, rotate: { bytes: 1MiB, keep: 2 } }
verify: { enabled: false, cycle: 24h }
"#;

const TOML: &str = r#"
name = "shop"
lag-limit = "5m"
on-row-error = "halt-table"
transforms = []

[source]
type = "mysql"
url = "mysql://limpid:${env:ODD}@db:${env:PORT}"
password = "${env:DB_PASSWORD}"
row-image = "accept"
tables = ["shop.*", "!shop.tmp_*"]
columns = ["!*.*.ssn"]
snapshot = "never"
start = "gtid:0-1-5"
server-id = "${env:PORT}"
connect-timeout = "250000ms"
buffer = "64KiB"

[source.tls]
mode = "verify-identity"
ca = "ca.pem"
cert = "c.pem"
key = "k.pem"

[sink]
type = "kafka"
brokers = ["a:9092", "b:9092"]
topic = "$${env:X}.{table}"
delivery = "at-least-once"
topic-creation = { enabled = false, partitions = 3, replication-factor = 2, config = { "retention.ms" = 1000, compress = true } }
sasl = { mechanism = "scram-sha-512", user = "u", password = "${file:/run/secrets/pd}" }
format = "debezium-json"
decimal-handling = "string"
time-precision = "isostring"
bigint-unsigned-handling = "precise"
binary-handling = "base64-url-safe"
tinyint1 = "boolean"
skipped-operations = "c,t"
tombstones = false
message-key-columns = "shop.orders:id,shop_id;(.*).x:y"
compat = "3.7"
context-headers = true

[sink.librdkafka]
"linger.ms" = 5
"queue.buffering.max.ms" = 0.5
"ssl.key.password" = "${env:DB_PASSWORD}"

[telemetry]
metrics = { prometheus = false }
quality = { one-in = 8 }
ring = { bytes = "4MiB" }
logs = { format = "text", level = "debug", file = "limpid.log", rotate = { bytes = "1MiB", keep = 2 } }

[verify]
enabled = false
cycle = "24h"
"#;

const JSON: &str = r#"{
  "name": "shop", "lag-limit": "5m", "on-row-error": "halt-table", "transforms": [],
  "source": {
    "type": "mysql", "url": "mysql://limpid:${env:ODD}@db:${env:PORT}", "password": "${env:DB_PASSWORD}",
    "row-image": "accept", "tables": ["shop.*", "!shop.tmp_*"], "columns": ["!*.*.ssn"], "snapshot": "never",
    "start": "gtid:0-1-5", "server-id": "${env:PORT}", "connect-timeout": "250000ms", "buffer": "64KiB",
    "tls": {"mode": "verify-identity", "ca": "ca.pem", "cert": "c.pem", "key": "k.pem"}
  },
  "sink": {
    "type": "kafka", "brokers": ["a:9092", "b:9092"], "topic": "$${env:X}.{table}", "delivery": "at-least-once",
    "topic-creation": {
      "enabled": false, "partitions": 3, "replication-factor": 2, "config": {"retention.ms": 1000, "compress": true}
    },
    "sasl": {"mechanism": "scram-sha-512", "user": "u", "password": "${file:/run/secrets/pd}"},
    "librdkafka": {"linger.ms": 5, "queue.buffering.max.ms": 5e-1, "ssl.key.password": "${env:DB_PASSWORD}"},
    "format": "debezium-json", "decimal-handling": "string", "time-precision": "isostring",
    "bigint-unsigned-handling": "precise", "binary-handling": "base64-url-safe", "tinyint1": "boolean",
    "skipped-operations": "c,t", "tombstones": false, "message-key-columns": "shop.orders:id,shop_id;(.*).x:y",
    "compat": "3.7", "context-headers": true
  },
  "telemetry": {
    "metrics": {"prometheus": false, "otlp": null},
    "quality": {"one-in": 8},
    "ring": {"bytes": "4MiB"},
    "logs": {"format": "text", "level": "debug", "file": "limpid.log", "rotate": {"bytes": "1MiB", "keep": 2}}
  },
  "verify": {"enabled": false, "cycle": "24h"}
}"#;

fn good(file: &str, text: &str) -> PipelineSpec {
    loaded(file, text).map_err(told).expect("the file is good")
}

fn revealed(pairs: &[(String, Secret)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.reveal())).collect()
}

#[test]
fn the_same_pipeline_reads_equally_from_all_three_syntaxes() {
    for (file, text) in [("a.yaml", YAML), ("a.toml", TOML), ("a.json", JSON)] {
        let spec = good(file, text);
        assert_eq!((spec.name.as_str(), spec.lag_limit), ("shop", Duration::from_secs(300)), "{file}");
        assert_eq!(spec.source.start, Start::Position("gtid:0-1-5".into()));
        frame_is_as_written(&spec);
        let source = Mysql::read(&spec.source.section).expect("it was checked");
        // What came from outside is encoded inside a URL, and only there.
        assert_eq!(source.url.reveal(), "mysql://limpid:p%40ss%2Fw%3Ard@db:3306");
        assert_eq!(source.password.as_ref().map(Secret::reveal), Some("hunter2"));
        assert_eq!((source.user, source.row_image, source.server_id), (None, RowImage::Accept, Some(3306)));
        assert_eq!((source.tables.len(), source.columns.as_slice()), (2, ["!*.*.ssn".to_owned()].as_slice()));
        assert_eq!((source.connect_timeout, source.buffer), (Duration::from_secs(250), 64 << 10));
        assert_eq!((source.tls.mode, source.tls.ca), (TlsMode::VerifyIdentity, Some(PathBuf::from("ca.pem"))));
        assert_eq!(source.tls.identity, Some((PathBuf::from("c.pem"), PathBuf::from("k.pem"))));
        let sink = Kafka::read(&spec.sink.section).expect("it was checked");
        assert_eq!((sink.brokers.len(), sink.topic.as_str()), (2, "${env:X}.{table}"));
        assert_eq!((sink.create, sink.partitions, sink.replication_factor), (false, 3, 2));
        assert_eq!(revealed(&sink.topic_config), [("retention.ms", "1000"), ("compress", "true")]);
        let librdkafka = [("linger.ms", "5"), ("queue.buffering.max.ms", "0.5"), ("ssl.key.password", "hunter2")];
        assert_eq!(revealed(&sink.librdkafka), librdkafka);
        assert_eq!(sink.tls.mode, TlsMode::Disabled);
        let sasl = sink.sasl.expect("it is written");
        assert_eq!((sasl.mechanism, sasl.password.reveal()), (SaslMechanism::ScramSha512, "hunter2"));
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}

fn frame_is_as_written(spec: &PipelineSpec) {
    assert_eq!((spec.source.snapshot.mode, spec.sink.delivery), (SnapshotMode::Never, Delivery::AtLeastOnce));
    assert_eq!(spec.on_row_error, OnRowError::HaltTable);
    assert!(!spec.telemetry.metrics.prometheus);
    assert_eq!(spec.telemetry.quality, Some(QualitySpec { one_in: 8, window_rows: 256 }));
    assert_eq!(spec.telemetry.ring_bytes, 4 << 20);
    let logs = &spec.telemetry.logs;
    assert_eq!(
        (logs.format, logs.level, logs.file.as_deref()),
        (LogFormat::Text, LogLevel::Debug, Some("limpid.log".as_ref()))
    );
    assert_eq!((logs.rotate_bytes, logs.rotate_keep), (1 << 20, 2));
    let format = spec.sink.format.clone().expect("kafka encodes");
    assert_eq!((format.name, format.decimal_handling), (FormatName::DebeziumJson, DecimalHandling::String));
    assert_eq!((format.time_precision, format.tinyint1), (TimePrecision::Isostring, Tinyint1::Boolean));
    assert_eq!(format.bigint_unsigned_handling, BigintUnsigned::Precise);
    assert_eq!((format.binary_handling, format.compat), (BinaryHandling::Base64UrlSafe, Compat::V3_7));
    let skipped = SkippedOperations { create: true, truncate: true, ..Default::default() };
    assert_eq!((format.skipped_operations, format.tombstones, format.context_headers), (skipped, false, true));
    assert_eq!(format.message_key_columns, "shop.orders:id,shop_id;(.*).x:y");
}

#[test]
fn what_is_left_out_has_the_contracts_default() {
    let spec = good("a.yml", LEAST);
    assert_eq!((spec.lag_limit, spec.source.start), (Duration::from_secs(60), Start::Head));
    assert!(spec.telemetry.metrics.prometheus);
    assert_eq!((spec.telemetry.quality.as_ref(), spec.telemetry.ring_bytes), (None, 16 << 20));
    let logs = &spec.telemetry.logs;
    assert_eq!((logs.format, logs.level), (LogFormat::Json, LogLevel::Info));
    assert_eq!((logs.rotate_bytes, logs.rotate_keep), (64 << 20, 5));
    let format = spec.sink.format.expect("kafka encodes");
    assert_eq!((format.name, format.decimal_handling), (FormatName::DebeziumJson, DecimalHandling::Precise));
    assert_eq!(format.time_precision, TimePrecision::AdaptiveTimeMicroseconds);
    assert_eq!((format.compat, format.tombstones, format.context_headers), (Compat::V3_5, true, false));
    assert_eq!(format.skipped_operations, SkippedOperations { truncate: true, ..Default::default() });
    let source = Mysql::read(&spec.source.section).expect("it was checked");
    assert_eq!((source.tls.mode, source.buffer), (TlsMode::Preferred, 1 << 20));
    let sink = Kafka::read(&spec.sink.section).expect("it was checked");
    assert!(sink.create && sink.sasl.is_none() && sink.librdkafka.is_empty());
    assert_eq!((sink.partitions, sink.replication_factor), (1, -1));
}

#[test]
fn exactly_once_is_for_sinks_that_can_and_at_least_once_need_not_be_said() {
    let with = |sink: &str| LEAST.replace("type: kafka, brokers: [\"k:9092\"], delivery: at-least-once", sink);
    let kafka = "type: kafka, brokers: [\"k:9092\"]";
    assert_eq!(good("p.yaml", &with(kafka)).sink.delivery, Delivery::AtLeastOnce);
    let once = format!("{kafka}, delivery: exactly-once");
    assert_eq!(good("p.yaml", &with(&once)).sink.delivery, Delivery::ExactlyOnce);
    let faults = faults_of("p.yaml", &with("type: stdout, delivery: exactly-once"));
    let expected = "3:33 CONFIG_BAD_VALUE `sink.delivery` is \"exactly-once\", which a `stdout` sink cannot do | \
                    write at-least-once, or leave it out";
    assert_eq!(faults, [expected]);
}

#[test]
fn a_null_sink_encodes_only_when_a_format_is_named() {
    let with = |sink: &str| {
        let text = LEAST.replace("type: kafka, brokers: [\"k:9092\"]", sink);
        good("a.yaml", &text).sink.format.map(|format| format.name)
    };
    assert_eq!(with("type: null"), None, "as the contract writes it");
    assert_eq!(with("type: \"null\""), None);
    assert_eq!(with("type: null, format: debezium-json"), Some(FormatName::DebeziumJson));
}

#[test]
fn logs_that_are_switched_off_still_say_what_needs_a_person() {
    let text =
        format!("{LEAST}telemetry: {{ logs: {{ enabled: false, level: trace }}, metrics: {{ enabled: false }} }}\n");
    let telemetry = good("a.yaml", &text).telemetry;
    assert_eq!((telemetry.logs.level, telemetry.metrics.prometheus), (LogLevel::Warn, false));
}

#[test]
fn metrics_that_are_switched_off_are_sent_nowhere() {
    let with = |more: &str| {
        let addresses = "otlp: \"http://c:4318\", remote-write: \"http://p/w\"";
        good("a.yaml", &format!("{LEAST}telemetry: {{ metrics: {{ {addresses}{more} }} }}\n")).telemetry.metrics
    };
    let (on, off) = (with(", protocol: grpc"), with(", enabled: false"));
    assert_eq!(on.otlp.map(|url| url.reveal().to_owned()).as_deref(), Some("http://c:4318"));
    assert_eq!(on.protocol, Some(OtlpProtocol::Grpc));
    assert!(on.remote_write.is_some() && off.otlp.is_none() && off.remote_write.is_none());
}

#[test]
fn an_alias_is_what_it_repeats_and_merges_fill_in() {
    let text = "\
name: shop
source: { type: mysql, url: \"mysql://db\", tables: [\"*\"], snapshot: never, tls: &tls { mode: required, ca: ca.pem } }
sink: { type: kafka, brokers: [\"k:9092\"], delivery: at-least-once, tls: { <<: *tls, mode: verify-ca } }
on-row-error: halt-table
";
    let spec = good("a.yaml", text);
    let tls = Kafka::read(&spec.sink.section).expect("it was checked").tls;
    assert_eq!((tls.mode, tls.ca), (TlsMode::VerifyCa, Some(PathBuf::from("ca.pem"))));
}

#[test]
fn what_is_found_wrong_later_still_has_its_place() {
    let spec = good("a.yaml", LEAST);
    let fault = spec.source.section.fault("url", Complaint::bad_value("names no host"));
    assert_eq!(
        (fault.to_string(), fault.place().to_string()),
        ("`source.url` names no host".into(), "a.yaml:2:29".into())
    );
    let fault = spec.sink.section.fault("message-key-columns", Complaint::bad_value("is odd"));
    assert_eq!(fault.place().to_string(), "a.yaml:3:1", "left out: its section's place");
}

#[test]
fn a_snapshot_is_a_word_or_a_table_and_is_made_where_nothing_is_said() {
    let with = |snapshot: &str| {
        let text = format!(
            "name: shop\nsource: {{ type: mysql, url: \"mysql://db\", tables: [\"*\"]{snapshot} }}\n\
             sink: {{ type: stdout, delivery: at-least-once }}\non-row-error: halt-table\n"
        );
        loaded("a.yaml", &text).map_err(told).expect("the file is good").source.snapshot
    };
    let initial = with("");
    assert_eq!((initial.mode, initial.parallel, initial.chunk_rows), (SnapshotMode::Initial, 2, 8192));
    assert_eq!((initial.rows_per_second, initial.duty_percent, initial.slowdown_percent), (None, 100, 5));
    assert_eq!(with(", snapshot: initial"), initial);
    assert_eq!(with(", snapshot: { mode: initial }"), initial);
    assert_eq!(with(", snapshot: when-needed").mode, SnapshotMode::WhenNeeded);
    let all = with(
        ", snapshot: { mode: only, where: { shop.a: \"id > 5\" }, parallel: 4, chunk-rows: 1000, \
         rows-per-second: 500, threads-running: 9, replica-lag: 5s, slowdown: 20, duty: 50 }",
    );
    let expected = SnapshotSpec {
        mode: SnapshotMode::Only,
        predicates: vec![("shop.a".into(), "id > 5".into())],
        parallel: 4,
        chunk_rows: 1000,
        rows_per_second: Some(500),
        threads_running: Some(9),
        replica_lag: Some(std::time::Duration::from_secs(5)),
        slowdown_percent: 20,
        duty_percent: 50,
    };
    assert_eq!(all, expected);
}

#[test]
fn a_heartbeat_has_its_defaults_and_is_off_where_nothing_is_said() {
    let heartbeat = |block: &str| {
        let text = LEAST.replace("snapshot: never }", &format!("snapshot: never{block} }}"));
        good("a.yaml", &text).source.heartbeat
    };
    let (every, schema, table) = (Duration::from_secs(1), "limpid".to_owned(), "heartbeat".to_owned());
    let usual = HeartbeatSpec { every, schema, table };
    assert_eq!(heartbeat(""), None);
    assert_eq!(heartbeat(", heartbeat: { enabled: false }"), None);
    assert_eq!(heartbeat(", heartbeat: {}"), Some(usual.clone()));
    let often = HeartbeatSpec { every: Duration::from_millis(100), table: "b.c".into(), ..usual };
    assert_eq!(heartbeat(", heartbeat: { every: 100ms, table: limpid.b.c }"), Some(often));
}
