//! What librdkafka is told.
//!
//! Owns: our values and why they are so, what a user may not pass through. Does not own: the keys of the file
//! (`config`), how settings are set (`producer`).
//!
//! Invariant: no setting that a promise rests on can be changed from the file: idempotence, acks, order per key,
//! waiting as long as it takes.

use limpid_config::{SaslMechanism, Secret, TlsMode};
use limpid_model::{Fault, FaultCode};

use crate::config::KafkaOptions;
use crate::faults;
use crate::producer::{Setting, try_settings};

/// Encoded bytes that may be under way: more than four full requests to each of a few brokers, beyond which
/// throughput does not rise (measured: `docs/decisions`), and a third of the 100 MB that the process may have.
/// librdkafka's own default is 1 GiB.
pub(crate) const HELD_BYTES_MAX: u64 = 28 << 20;

/// Records under way. librdkafka spends some 250 bytes on each beside the value, so this is 25 MB at worst; records
/// of a row are seldom so small that they meet this bound before that in bytes.
const HELD_RECORDS_MAX: u64 = 100_000;

/// Bytes of a record batch before compression. Below the 1,048,588 that a broker takes by default, so that a batch of
/// many small records is not refused where the topic's limit cannot be read.
pub(crate) const BATCH_BYTES_MAX: u64 = 1_000_000;

/// The largest record librdkafka is asked to take; a topic's own limit comes first where it can be read. Below a
/// broker's default `socket.request.max.bytes` (100 MiB): it closes the connection on more, for ever.
const RECORD_BYTES_MAX: u64 = 100_000_000;

/// What librdkafka's own check allows less than the number it is given: its estimate of a record's overhead is above
/// the exact size by at most so much.
const RECORD_ESTIMATE_SLACK: u64 = 100;

/// The form of a connection, settled when it is first made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Plain,
    Tls,
}

/// What to try, in this order. A Kafka port is either plain or TLS, so `preferred` has to try both.
pub(crate) fn protections(mode: TlsMode) -> &'static [Protection] {
    match mode {
        TlsMode::Disabled => &[Protection::Plain],
        TlsMode::Preferred => &[Protection::Tls, Protection::Plain],
        TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity => &[Protection::Tls],
    }
}

/// Checks, offline, everything that does not need a broker.
///
/// # Errors
/// `SINK_SETTING_INVALID` with the setting's name.
pub(crate) fn check(options: &KafkaOptions) -> Result<(), Fault> {
    for (name, value) in &options.librdkafka {
        if let Some(reason) = breaks_a_promise(name, value.reveal()) {
            let message = format!("`{name}` cannot be set to this: {reason}");
            return Err(faults::fault(FaultCode::SinkSettingInvalid, message)
                .about(format!("sink.librdkafka.{name}"))
                .help("remove the setting"));
        }
    }
    let plain = producer(options, "check", Protection::Plain, BATCH_BYTES_MAX);
    try_settings(&plain)?;
    try_settings(&transactional("check", plain))
}

/// Why a setting may not have this value, if so. Names as librdkafka has them, its aliases included.
fn breaks_a_promise(name: &str, value: &str) -> Option<&'static str> {
    let is_true = matches!(value.to_ascii_lowercase().as_str(), "true" | "t" | "1");
    let reason = match name {
        "enable.idempotence" if !is_true => "without it a retry may write a record twice or out of order",
        "acks" | "request.required.acks" if !matches!(value, "all" | "-1") => {
            "a record counts as durable only when all in-sync replicas have it"
        }
        "transactional.id" => "transactions are Limpid's own",
        "message.timeout.ms" | "delivery.timeout.ms" if value != "0" => "a record that waits long must not be dropped",
        "delivery.report.only.error" if is_true => "a position is saved by acknowledgements",
        "partitioner" if matches!(value, "random") => "the records of one key must stay in one partition",
        "bootstrap.servers" | "metadata.broker.list" => "the brokers are `sink.brokers`",
        "log.queue" if is_true => "nobody reads that queue",
        _ => return None,
    };
    Some(reason)
}

/// The value the user passes through, if it is a number.
fn passed(options: &KafkaOptions, name: &str) -> Option<u64> {
    let (_, value) = options.librdkafka.iter().rev().find(|(found, _)| found == name)?;
    value.reveal().trim().parse().ok()
}

/// The most bytes a record may have, whatever its topic allows.
pub(crate) fn record_bytes_max(options: &KafkaOptions) -> u64 {
    passed(options, "message.max.bytes").unwrap_or(RECORD_BYTES_MAX).saturating_sub(RECORD_ESTIMATE_SLACK)
}

/// The most bytes a record batch may have, as long as no topic allows less.
pub(crate) fn batch_bytes_max(options: &KafkaOptions) -> u64 {
    passed(options, "batch.size").unwrap_or(BATCH_BYTES_MAX)
}

/// All settings of the producer.
pub(crate) fn producer(
    options: &KafkaOptions,
    pipeline: &str,
    protection: Protection,
    batch_bytes_max: u64,
) -> Vec<Setting> {
    let mut settings = connection(options, pipeline, protection);
    let mut set = |name: &str, value: &str| settings.push((name.to_owned(), Secret::new(value)));
    set("enable.idempotence", "true");
    set("acks", "all");
    // As Java's default: murmur2 of the key, any partition for a record without one.
    set("partitioner", "murmur2_random");
    set("compression.type", options.compression.word());
    // How long a lone record waits for company. Under load it does not matter: batches fill while earlier requests
    // are under way.
    set("linger.ms", "1");
    set("batch.num.messages", "10000");
    set("queue.buffering.max.kbytes", &(HELD_BYTES_MAX / 1024).to_string());
    set("queue.buffering.max.messages", &HELD_RECORDS_MAX.to_string());
    set("message.max.bytes", &RECORD_BYTES_MAX.to_string());
    // Nothing is dropped by time: an outage is waited out, for as long as the engine says.
    set("message.timeout.ms", "0");
    // A broker that hangs is left after 20 s. It may make us wait for its replicas for less than that.
    set("socket.timeout.ms", "20000");
    set("request.timeout.ms", "15000");
    settings.extend(options.librdkafka.iter().cloned());
    // Last: a topic with a smaller limit than the user's batch size would refuse whole batches.
    settings.push(("batch.size".to_owned(), Secret::new(batch_bytes_max.to_string())));
    settings
}

/// The same settings for a producer that writes in transactions, of which one pipeline has one: whoever begins later
/// with the same id shuts the earlier one out.
pub(crate) fn transactional(pipeline: &str, mut settings: Vec<Setting>) -> Vec<Setting> {
    settings.push(("transactional.id".to_owned(), Secret::new(transactional_id(pipeline))));
    settings
}

pub(crate) fn transactional_id(pipeline: &str) -> String {
    format!("limpid-{pipeline}")
}

/// All settings of the reader of position records.
pub(crate) fn reader(options: &KafkaOptions, pipeline: &str, protection: Protection) -> Vec<Setting> {
    let mut settings = connection(options, pipeline, protection);
    settings.extend(options.librdkafka.iter().cloned());
    let own = [
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        // One small topic: what is fetched ahead is bounded to a few MiB.
        ("queued.max.messages.kbytes", "4096"),
        ("fetch.message.max.bytes", "1048576"),
        // Where nothing follows, a broker answers only after so long, and that is how the end is met.
        ("fetch.wait.max.ms", "10"),
    ];
    settings.extend(own.map(|(name, value)| (name.to_owned(), Secret::new(value))));
    settings
}

fn connection(options: &KafkaOptions, pipeline: &str, protection: Protection) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: Secret| settings.push((name.to_owned(), value));
    set("bootstrap.servers", Secret::new(options.brokers.join(",")));
    set("client.id", Secret::new(format!("limpid-{pipeline}")));
    // A broker that comes back is found within a second; librdkafka's default backs off to ten.
    set("reconnect.backoff.ms", Secret::new("100"));
    set("reconnect.backoff.max.ms", Secret::new("1000"));
    set("socket.keepalive.enable", Secret::new("true"));
    // Client metrics that a broker may ask for (KIP-714): we have our own, and its end would wait for a last push.
    set("enable.metrics.push", Secret::new("false"));
    let protocol = match (protection, &options.sasl) {
        (Protection::Plain, None) => "plaintext",
        (Protection::Plain, Some(_)) => "sasl_plaintext",
        (Protection::Tls, None) => "ssl",
        (Protection::Tls, Some(_)) => "sasl_ssl",
    };
    set("security.protocol", Secret::new(protocol));
    if let Some(sasl) = &options.sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        set("sasl.mechanisms", Secret::new(mechanism));
        set("sasl.username", Secret::new(sasl.user.as_str()));
        set("sasl.password", sasl.password.clone());
    }
    if protection == Protection::Tls {
        let verifies = matches!(options.tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        let identity = if options.tls.mode == TlsMode::VerifyIdentity { "https" } else { "none" };
        set("enable.ssl.certificate.verification", Secret::new(verifies.to_string()));
        set("ssl.endpoint.identification.algorithm", Secret::new(identity));
        if let Some(ca) = &options.tls.ca {
            set("ssl.ca.location", Secret::new(ca.display().to_string()));
        }
        if let Some((cert, key)) = &options.tls.identity {
            set("ssl.certificate.location", Secret::new(cert.display().to_string()));
            set("ssl.key.location", Secret::new(key.display().to_string()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaOptions {
        KafkaOptions { librdkafka: vec![(name.to_owned(), Secret::new(value))], ..KafkaOptions::plain(["127.0.0.1:1"]) }
    }

    #[test]
    fn what_would_break_a_promise_is_refused_by_name() {
        for (name, value) in [
            ("enable.idempotence", "false"),
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("transactional.id", "x"),
            ("delivery.timeout.ms", "1000"),
            ("message.timeout.ms", "1"),
            ("delivery.report.only.error", "true"),
            ("partitioner", "random"),
            ("bootstrap.servers", "elsewhere:9092"),
        ] {
            let fault = check(&with(name, value)).unwrap_err();
            assert_eq!(fault.code(), FaultCode::SinkSettingInvalid);
            assert!(fault.to_string().contains(name), "{fault}");
        }
        for (name, value) in [("acks", "all"), ("enable.idempotence", "true"), ("partitioner", "consistent_random")] {
            check(&with(name, value)).unwrap();
        }
    }

    #[test]
    fn an_unknown_setting_and_a_bad_value_are_named_and_the_value_is_not_shown() {
        for (name, value) in [("no.such.setting", "hunter2"), ("batch.num.messages", "hunter2")] {
            let fault = check(&with(name, value)).unwrap_err();
            assert_eq!(fault.code(), FaultCode::SinkSettingInvalid);
            assert_eq!(fault.object(), Some(format!("sink.librdkafka.{name}").as_str()));
            assert!(fault.to_string().contains(name) && !format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
