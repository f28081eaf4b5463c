//! A Kafka broker: one KRaft node that is its own controller.
//!
//! Owns: its settings, its formatted log directory, and the topics' set-up.
//! Does not own: the process (`instance`), Kafka's command line tools (`tools`) and how they print (`records`).
//!
//! Invariant: topics are never made by accident (`auto.create.topics.enable=false`): a test that writes to a wrong
//! name fails.

mod java;
mod records;
mod tools;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cache;
use crate::instance::{Instance, Placement};
use crate::kafka::java::{Archive, Java};
pub use crate::kafka::records::Record;
use crate::launch::Launch;
use crate::locate;
use crate::ports::{self, Lease};
use crate::ready::Probe;
use crate::tls::Certificates;
use crate::wire::Broker;
pub use crate::wire::{Isolation, Offsets};

/// The user of the SASL listener.
pub const SASL_USER: &str = "limpid";
/// Its password.
pub const SASL_PASSWORD: &str = "limpid-secret";

/// Markers are written within milliseconds, unless the machine is full.
const MARKERS_MAX: Duration = Duration::from_secs(5);

const LOG4J: &str = include_str!("kafka/log4j.properties");

/// What a broker is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Adds a listener with TLS and SASL, PLAIN and SCRAM; see [`Server::sasl_port`] and [`Server::certificates`].
    pub sasl_tls: bool,
    /// `message.max.bytes`: small, to see what a producer does with a record that is too large.
    pub message_bytes_max: Option<u32>,
    /// Lines of the properties file; come last, so they win over every default.
    pub extra_settings: Vec<(String, String)>,
    /// Where it lives and how long.
    pub placement: Placement,
}

/// A running broker.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    tools: tools::Tools,
    sasl: Option<(Lease, Certificates)>,
    _controller: Lease,
}

/// Starts a broker and waits until its cluster lists it. Fails with [`crate::Unavailable`] where there is none.
pub fn start(options: &Options) -> anyhow::Result<Server> {
    let java = Java { jars: locate::kafka_jars()?, program: locate::java()?, archive: Archive::Without };
    let java = java.with(Archive::From(archives(&java)?));
    start_by(&java, &java, options)
}

fn start_by(java: &Java, for_tools: &Java, options: &Options) -> anyhow::Result<Server> {
    let (dir, lease) = options.placement.take("kafka")?;
    let base = dir.path();
    let controller = ports::lease()?;
    let sasl = options.sasl_tls.then(|| sasl_listener(base)).transpose()?;
    let log4j = base.join("log4j.properties");
    std::fs::write(&log4j, LOG4J).context("write the broker's log settings")?;
    let tools = tools::Tools::new(for_tools.clone(), base)?;
    let mut settings = default_settings(lease.port(), controller.port(), &base.join("data"));
    if let Some((port, certificates)) = &sasl {
        add_sasl(&mut settings, port.port(), certificates)?;
    }
    if let Some(bytes) = options.message_bytes_max {
        settings.push(("message.max.bytes".into(), bytes.to_string()));
    }
    settings.extend(options.extra_settings.iter().cloned());
    let properties = base.join("server.properties");
    write_settings(&properties, &settings)?;
    if !base.join("data").is_dir() {
        cache::copy_folder(&template(&tools, java)?, &base.join("data"))?;
        own_cluster_id(&base.join("data/meta.properties"))?;
    }
    let mut args = java.arguments("broker", &log4j, "kafka.Kafka");
    args.push(properties.into_os_string());
    let output = base.join("broker.log");
    // Not as another user: Java does not mind root, and the jars may lie in root's home.
    let launch = Launch {
        program: java.program.clone(),
        args,
        folder: base.to_path_buf(),
        output,
        account: None,
        lifetime: options.placement.lifetime,
    };
    let instance = Instance::start("Kafka", launch, Probe::KafkaMetadata, lease, dir)?;
    Ok(Server { instance, tools, sasl, _controller: controller })
}

impl Server {
    /// `bootstrap.servers` of the plain listener.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The port of the TLS listener with SASL PLAIN, if [`Options::sasl_tls`] asked for it.
    pub fn sasl_port(&self) -> Option<u16> {
        self.sasl.as_ref().map(|(lease, _)| lease.port())
    }

    /// The certificates of the TLS listener.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.sasl.as_ref().map(|(_, certificates)| certificates)
    }

    /// Makes a topic with settings such as `("cleanup.policy", "compact")`; returns when it has leaders.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        Broker::connect(self.port())?.create_topic(name, partitions, settings)
    }

    /// Deletes a topic; its files go a while later.
    pub fn delete_topic(&self, name: &str) -> anyhow::Result<()> {
        Broker::connect(self.port())?.delete_topic(name)
    }

    /// Where each partition begins and ends; fails for an unknown topic.
    pub fn offsets(&self, topic: &str, isolation: Isolation) -> anyhow::Result<Vec<Offsets>> {
        Broker::connect(self.port())?.offsets(topic, isolation)
    }

    /// How many records a consumer would be given now, counted from batch headers in milliseconds: cheap to poll.
    pub fn count(&self, topic: &str, isolation: Isolation) -> anyhow::Result<u64> {
        Broker::connect(self.port())?.visible_records(topic, isolation)
    }

    /// Reads a quiet topic from its start with Kafka's own console consumer (Java, not librdkafka), ordered by
    /// partition and offset. The number of records to wait for is counted beforehand from the log, so the result is
    /// whole or an error.
    pub fn consume(&self, topic: &str, isolation: Isolation) -> anyhow::Result<Vec<Record>> {
        if isolation == Isolation::ReadCommitted {
            self.settle(topic)?;
        }
        let expected = self.count(topic, isolation)?;
        self.tools.consume(&self.bootstrap(), topic, isolation, expected)
    }

    /// A commit is answered before its markers stand in the topic, until when no reader is given what it committed. What
    /// somebody left open is not waited for.
    fn settle(&self, topic: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + MARKERS_MAX;
        let ends = |isolation| anyhow::Ok(self.offsets(topic, isolation)?.iter().map(|of| of.end).collect::<Vec<_>>());
        while ends(Isolation::ReadCommitted)? != ends(Isolation::ReadUncommitted)? && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Every setting of a topic as `name=value`, defaults included, in the words of Kafka's `kafka-configs`.
    pub fn describe_topic(&self, topic: &str) -> anyhow::Result<Vec<String>> {
        let bootstrap = self.bootstrap();
        let args = [
            "--bootstrap-server",
            &bootstrap,
            "--describe",
            "--all",
            "--entity-type",
            "topics",
            "--entity-name",
            topic,
        ];
        let text = self.tool("kafka.admin.ConfigCommand", &args)?;
        let settings = text.lines().filter(|line| line.starts_with("  "));
        Ok(settings.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Runs any of Kafka's command line tools by its class, and returns what it prints.
    pub fn tool(&self, class: &str, args: &[&str]) -> anyhow::Result<String> {
        self.tool_with_input(class, args, b"")
    }

    /// As [`Server::tool`], with something to read: `kafka.tools.ConsoleProducer` takes records.
    pub fn tool_with_input(&self, class: &str, args: &[&str], input: &[u8]) -> anyhow::Result<String> {
        String::from_utf8(self.tools.run(class, args, input)?).context("read the tool's output as UTF-8")
    }
}

impl Deref for Server {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// Session and heartbeat: a KRaft broker that was killed is taken back only when its old session has run out, 9 s by
/// default. One partition each for the internal topics: fifty cost a second of every first transaction.
fn default_settings(port: u16, controller: u16, data: &Path) -> Vec<(String, String)> {
    [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL".to_owned()),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("offsets.topic.num.partitions", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("transaction.state.log.num.partitions", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("broker.session.timeout.ms", "3000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// The listener's port and certificate, and the file that Kafka takes both key and certificate from.
fn sasl_listener(base: &Path) -> anyhow::Result<(Lease, Certificates)> {
    let certificates = Certificates::make(&base.join("tls"))?;
    let read = |path: PathBuf| std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()));
    let both = read(certificates.key())? + &read(certificates.cert())?;
    std::fs::write(certificates.keystore(), both).context("write the broker's key store")?;
    Ok((ports::lease()?, certificates))
}

fn add_sasl(settings: &mut Vec<(String, String)>, port: u16, certificates: &Certificates) -> anyhow::Result<()> {
    for (key, value) in settings.iter_mut() {
        if key == "listeners" || key == "advertised.listeners" {
            value.push_str(&format!(",SASL_SSL://127.0.0.1:{port}"));
        }
    }
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let keystore = certificates.keystore();
    let own = [
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
        (
            "listener.name.sasl_ssl.plain.sasl.jaas.config",
            format!("{login} required user_{SASL_USER}=\"{SASL_PASSWORD}\";"),
        ),
        // Users of these are made with Kafka's own tool.
        ("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", format!("{scram} required;")),
        ("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", format!("{scram} required;")),
        ("listener.name.sasl_ssl.ssl.keystore.type", "PEM".to_owned()),
        (
            "listener.name.sasl_ssl.ssl.keystore.location",
            keystore.to_str().context("name the key store in UTF-8")?.to_owned(),
        ),
    ];
    settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
    Ok(())
}

fn write_settings(path: &Path, settings: &[(String, String)]) -> anyhow::Result<()> {
    let text: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// What a broker and a consumer load, from a life of each (15 s), once per version.
fn archives(java: &Java) -> anyhow::Result<PathBuf> {
    const TOPIC: &str = "seen";
    cache::template(&java.archives(), |building| {
        let making = java.with(Archive::Into(building.to_path_buf()));
        let server = start_by(&making, java, &Options::default()).context("start a broker to see what it loads")?;
        server.create_topic(TOPIC, 1, &[])?;
        let bootstrap = server.bootstrap();
        let produce = ["--bootstrap-server", &bootstrap, "--topic", TOPIC];
        server.tool_with_input("kafka.tools.ConsoleProducer", &produce, b"seen\n")?;
        let consumer = tools::Tools::new(making, server.dir())?;
        consumer.consume(&bootstrap, TOPIC, Isolation::ReadCommitted, 1)?;
        server.stop()
    })
}

/// A formatted log directory; formatting starts two JVMs (3 s), so it is done once per version.
fn template(tools: &tools::Tools, java: &Java) -> anyhow::Result<PathBuf> {
    cache::template(&format!("data-{}", java.version()), |building| {
        let properties = building.join("format.properties");
        write_settings(&properties, &default_settings(1, 2, building))?;
        let path = properties.to_str().context("name the settings in UTF-8")?;
        tools
            .run("kafka.tools.StorageTool", &["format", "-t", &random_id()?, "-c", path], b"")
            .context("format Kafka's log directory")?;
        std::fs::remove_file(&properties).context("remove the settings of the format step")
    })
}

/// Two brokers must not look like one cluster to whoever compares cluster ids.
fn own_cluster_id(meta: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(meta).with_context(|| format!("read {}", meta.display()))?;
    let id = random_id()?;
    let lines = text
        .lines()
        .map(|line| if line.starts_with("cluster.id=") { format!("cluster.id={id}\n") } else { format!("{line}\n") });
    std::fs::write(meta, lines.collect::<String>()).with_context(|| format!("write {}", meta.display()))
}

/// 16 random bytes in Kafka's notation: base64 for URLs without padding, 22 characters. The kernel's UUID has fixed
/// bits, which do no harm; its hyphens go.
fn random_id() -> anyhow::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").context("read a random UUID")?;
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).context("read a random UUID")?;
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 21 digits of 6 bits and 2 bits more, which base64 pads on the right.
    let digit = |n: u32| if n < 21 { number >> (122 - 6 * n) } else { number << 4 };
    Ok((0..22).map(|n| char::from(ALPHABET[usize::try_from(digit(n) & 63).unwrap_or(0)])).collect())
}
