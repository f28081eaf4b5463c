//! The keys of the `kafka` sink.
//!
//! Owns: the table of keys and the options made of it. Does not own: what librdkafka makes of them (`settings`), the
//! topic template and the format (`limpid-codec`).
//!
//! Invariant: options that exist are complete: no default is filled in after this file.

use std::time::Duration;

use limpid_config::{
    Choice, Choices, Complaint, ConfigFault, Delivery, Key, Reader, SASL, SaslSpec, Secret, Section, TLS_DISABLED,
    TlsMode, TlsSpec,
};

/// The topic of position records unless `position-topic` says otherwise.
pub const POSITION_TOPIC: &str = "__limpid_positions";

/// How often a transaction is committed unless `commit-interval` says otherwise: what a reader waits besides the commit
/// itself, as long as that takes less than a fifth of it.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// A commit takes some milliseconds; and a transaction that is open for a minute is undone by Kafka.
const COMMIT_INTERVALS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(10));

/// How record batches are compressed. LZ4 by default: the least CPU of librdkafka's codecs on JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Choices for Compression {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("none", Compression::None, "As it is."),
        Choice::new("gzip", Compression::Gzip, "Small, and slow to make."),
        Choice::new("snappy", Compression::Snappy, "Between lz4 and gzip in both."),
        Choice::new("lz4", Compression::Lz4, "The least work."),
        Choice::new("zstd", Compression::Zstd, "The smallest."),
    ];
}

impl Compression {
    /// The word in Kafka's own settings.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// What is done about a topic that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicCreation {
    /// Made by us, or refused as `TOPIC_MISSING`.
    pub enabled: bool,
    /// -1: the broker's default.
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// Topic settings such as `retention.ms`, in the order of the file.
    pub config: Vec<(String, String)>,
}

impl Default for TopicCreation {
    fn default() -> Self {
        Self { enabled: true, partitions: 1, replication_factor: -1, config: Vec::new() }
    }
}

/// Where and how to write.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    pub creation: TopicCreation,
    pub tls: TlsSpec,
    pub sasl: Option<SaslSpec>,
    pub compression: Compression,
    /// Where position records are kept.
    pub position_topic: String,
    /// Whether rows and record go in one transaction.
    pub delivery: Delivery,
    /// How often such a transaction is committed while rows move.
    pub commit_interval: Duration,
    /// Passed on as it is, last. Values are secret, since some of librdkafka's settings are.
    pub librdkafka: Vec<(String, Secret)>,
}

impl KafkaOptions {
    /// Plain text to these brokers, all else by default.
    pub fn plain(brokers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            brokers: brokers.into_iter().map(Into::into).collect(),
            creation: TopicCreation::default(),
            tls: TlsSpec { mode: TlsMode::Disabled, ca: None, identity: None },
            sasl: None,
            compression: Compression::Lz4,
            position_topic: POSITION_TOPIC.to_owned(),
            delivery: Delivery::AtLeastOnce,
            commit_interval: COMMIT_INTERVAL,
            librdkafka: Vec::new(),
        }
    }
}

const CREATION: &[Key] = &[
    Key::bool("enabled").default("true").doc("Make topics that are not there."),
    Key::int("partitions", -1, 100_000).default("1").doc("Partitions of a topic made; -1 is the broker's default."),
    Key::int("replication-factor", -1, 1_000).default("-1").doc("Copies of each; -1 is the broker's default."),
    Key::text_map("config").doc("Settings of a topic made, such as retention.ms."),
];

/// The keys of the `kafka` sink but for those of its format (`limpid-codec`).
pub const KEYS: &[Key] = &[
    Key::texts("brokers", 1).required().doc("Some of the cluster's brokers, as HOST:PORT."),
    Key::text("topic").default("{pipeline}.{schema}.{table}").doc("The topic of each table."),
    Key::section("topic-creation", CREATION).doc("What is done about a topic that is not there."),
    Key::section("tls", TLS_DISABLED).doc("How the connections are protected."),
    Key::section("sasl", SASL).optional().doc("How to log in."),
    Key::choice::<Compression>("compression").default("lz4").doc("How records are compressed."),
    Key::text("position-topic").default(POSITION_TOPIC).doc("The compacted topic that keeps the position record."),
    Key::duration("commit-interval", COMMIT_INTERVALS.0, COMMIT_INTERVALS.1).default("100ms").doc(
        "How often rows and position are committed, with delivery: exactly-once; less often while a commit takes long.",
    ),
    Key::text_map("librdkafka").doc("Settings for librdkafka, passed through as they are."),
];

/// Reads the section of a `kafka` sink.
///
/// # Errors
/// Every fault of the section, in the order of the file.
pub fn read(section: &Section) -> Result<(KafkaOptions, String), Vec<ConfigFault>> {
    section.read(read_keys)
}

/// The options, and the topic template's text.
fn read_keys(keys: &Reader<'_>) -> Option<(KafkaOptions, String)> {
    let brokers = keys.texts("brokers");
    if let Some(bad) = brokers.iter().find(|broker| !is_broker(broker)) {
        return keys.refuse("brokers", Complaint::bad_value(format!("holds `{bad}`, which is no HOST:PORT")));
    }
    let creation = keys.section("topic-creation");
    let counts =
        [("partitions", creation.int("partitions")), ("replication-factor", creation.int("replication-factor"))];
    if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return creation.refuse(name, Complaint::bad_value("must be at least 1, or -1 for the broker's default"));
    }
    let [(_, partitions), (_, replication_factor)] = counts;
    let options = KafkaOptions {
        brokers,
        creation: TopicCreation {
            enabled: creation.bool("enabled"),
            partitions: i32::try_from(partitions).ok()?,
            replication_factor: i32::try_from(replication_factor).ok()?,
            config: creation
                .text_map("config")
                .into_iter()
                .map(|(key, text)| (key, text.reveal().to_owned()))
                .collect(),
        },
        tls: TlsSpec::read(&keys.section("tls"))?,
        sasl: keys.optional_section("sasl").map(|keys| SaslSpec::read(&keys)),
        compression: keys.choice("compression"),
        position_topic: keys.text("position-topic"),
        // The frame's key: set by whoever has read it.
        delivery: Delivery::AtLeastOnce,
        commit_interval: keys.duration("commit-interval"),
        librdkafka: keys.text_map("librdkafka"),
    };
    Some((options, keys.text("topic")))
}

/// `host:port`, `1.2.3.4:port`, `[::1]:port`.
fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let whole_host = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
    let clean = !host.is_empty() && !host.contains([',', '/', '@', ' ']);
    clean && whole_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}
