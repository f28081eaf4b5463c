//! Connectors as the binary would register them, with the contract's keys, and how a test looks at faults.

use std::time::Duration;

use limpid_config::{
    Choice, Choices, Complaint, ConfigFault, Connectors, Delivers, Encodes, Fixed, Key, PipelineSpec, Reader, SASL,
    SaslSpec, Secret, Section, SinkKind, SourceKind, TLS_DISABLED, TLS_PREFERRED, TlsSpec, TransformKind,
    TransformKinds, TransformSpec, load_text,
};
use limpid_model::Fault;

pub const CONNECTORS: Connectors = Connectors {
    sources: &[SourceKind {
        name: "mysql",
        keys: MYSQL,
        check: |section| Mysql::read(section).err().unwrap_or_default(),
    }],
    sinks: &[
        SinkKind {
            name: "kafka",
            keys: KAFKA,
            encodes: Encodes::Always,
            delivers: Delivers::ExactlyOnce,
            check: |section| Kafka::read(section).err().unwrap_or_default(),
        },
        SinkKind {
            name: "file",
            keys: FILE,
            encodes: Encodes::Always,
            delivers: Delivers::AtLeastOnce,
            check: |section| section.read(|keys| Some(keys.path("path"))).err().unwrap_or_default(),
        },
        SinkKind {
            name: "stdout",
            keys: &[],
            encodes: Encodes::Always,
            delivers: Delivers::AtLeastOnce,
            check: |section| section.read(|_| Some(())).err().unwrap_or_default(),
        },
        SinkKind {
            name: "null",
            keys: &[],
            encodes: Encodes::WhenNamed,
            delivers: Delivers::AtLeastOnce,
            check: |section| section.read(|_| Some(())).err().unwrap_or_default(),
        },
    ],
    transforms: TransformKinds {
        kinds: &[TransformKind {
            name: "reject",
            keys: REJECT,
            check: |section| section.read(read_reject).err().unwrap_or_default(),
        }],
        together: |specs| {
            let is_second =
                |spec: &&TransformSpec| spec.section.read(read_reject).is_ok_and(|tables| tables == ["twice"]);
            let second = specs.iter().filter(is_second).nth(1);
            second.map(|spec| spec.section.fault("match", Complaint::bad_value("is there twice"))).into_iter().collect()
        },
    },
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Insert,
    Delete,
}

impl Choices for Op {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("insert", Op::Insert, "Rows that came to be."),
        Choice::new("delete", Op::Delete, "Rows that went."),
        Choice::later("upsert", "Rows that came to be, or changed."),
    ];
}

const MATCH: &[Key] = &[Key::one_or_texts("table", 1).required(), Key::choices::<Op>("op")];

const REJECT: &[Key] = &[Key::section("match", MATCH).required()];

fn read_reject(keys: &Reader<'_>) -> Option<Vec<String>> {
    let matched = keys.section("match");
    let _: Vec<Op> = matched.choices("op");
    Some(matched.texts("table"))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowImage {
    Full,
    Accept,
}

impl Choices for RowImage {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("full", RowImage::Full, "A table logged with less halts."),
        Choice::new("accept", RowImage::Accept, "Absent columns are left out."),
    ];
}

const MYSQL: &[Key] = &[
    Key::url("url").required().doc("mysql://HOST:PORT"),
    Key::text("user"),
    Key::secret("password"),
    Key::choice::<RowImage>("row-image").default("full"),
    Key::texts("tables", 1).required(),
    Key::texts("columns", 0),
    Key::uint("server-id", 1, u32::MAX as u64),
    Key::duration("connect-timeout", Duration::from_secs(1), Duration::from_secs(300)).default("10s"),
    Key::bytes("buffer", 64 << 10, 64 << 20).default("1MiB"),
    Key::section("tls", TLS_PREFERRED),
];

#[derive(Debug)]
pub struct Mysql {
    pub url: Secret,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub row_image: RowImage,
    pub tables: Vec<String>,
    pub columns: Vec<String>,
    pub server_id: Option<u64>,
    pub connect_timeout: Duration,
    pub buffer: u64,
    pub tls: TlsSpec,
}

impl Mysql {
    pub fn read(section: &Section) -> Result<Self, Vec<ConfigFault>> {
        section.read(|keys| {
            let url = keys.url("url");
            if !url.reveal().starts_with("mysql://") {
                keys.refuse::<()>(
                    "url",
                    Complaint::bad_value("is no mysql:// address").help("write mysql://HOST:PORT"),
                );
            }
            let tls = TlsSpec::read(&keys.section("tls"));
            Some(Self {
                url,
                user: keys.optional_text("user"),
                password: keys.optional_secret("password"),
                row_image: keys.choice("row-image"),
                tables: keys.texts("tables"),
                columns: keys.texts("columns"),
                server_id: keys.optional_uint("server-id"),
                connect_timeout: keys.duration("connect-timeout"),
                buffer: keys.bytes("buffer"),
                tls: tls?,
            })
        })
    }
}

const TOPIC_CREATION: &[Key] = &[
    Key::bool("enabled").default("true"),
    Key::uint("partitions", 1, 10_000).default("1"),
    Key::int("replication-factor", -1, 100).default("-1"),
    Key::text_map("config"),
];

const KAFKA: &[Key] = &[
    Key::texts("brokers", 1).required(),
    Key::text("topic").default("{pipeline}.{schema}.{table}"),
    Key::text("position-topic").default("__limpid_positions"),
    Key::section("topic-creation", TOPIC_CREATION),
    Key::section("tls", TLS_DISABLED),
    Key::section("sasl", SASL).optional(),
    Key::text_map("librdkafka"),
];

const FILE: &[Key] = &[Key::path("path").required()];

#[derive(Debug)]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub topic: String,
    pub create: bool,
    pub partitions: u64,
    pub replication_factor: i64,
    pub topic_config: Vec<(String, Secret)>,
    pub tls: TlsSpec,
    pub sasl: Option<SaslSpec>,
    pub librdkafka: Vec<(String, Secret)>,
}

impl Kafka {
    pub fn read(section: &Section) -> Result<Self, Vec<ConfigFault>> {
        section.read(|keys| {
            let creation = keys.section("topic-creation");
            Some(Self {
                brokers: keys.texts("brokers"),
                topic: keys.text("topic"),
                create: creation.bool("enabled"),
                partitions: creation.uint("partitions"),
                replication_factor: creation.int("replication-factor"),
                topic_config: creation.text_map("config"),
                tls: TlsSpec::read(&keys.section("tls"))?,
                sasl: keys.optional_section("sasl").map(|keys| SaslSpec::read(&keys)),
                librdkafka: keys.text_map("librdkafka"),
            })
        })
    }
}

/// What the tests' files may name.
pub fn outside() -> Fixed {
    Fixed::new()
        .variable("DB_PASSWORD", "hunter2")
        .variable("SLACK_WEBHOOK", "https://hooks.example.com/hunter2")
        .variable("PORT", "3306")
        .variable("ODD", "p@ss/w:rd")
        .variable("WORD", "hunter2")
        .file("/run/secrets/pd", "hunter2\n")
        .file("/run/secrets/binary", vec![0xff, 0xfe])
}

pub fn loaded(file: &str, text: &str) -> Result<PipelineSpec, Vec<ConfigFault>> {
    load_text(file, text.as_bytes(), &CONNECTORS, &outside())
}

/// `LINE:COLUMN CODE message | help`, a line a fault.
pub fn told(faults: Vec<ConfigFault>) -> Vec<String> {
    let tell = |fault: ConfigFault| {
        let place = fault.place().clone();
        let help = fault.remedy().map(|help| format!(" | {help}")).unwrap_or_default();
        let told = Fault::from(fault);
        assert_eq!(told.object(), Some(place.to_string().as_str()));
        assert!(!told.remedy().is_empty());
        format!("{}:{} {} {told}{help}", place.line, place.column, told.code())
    };
    faults.into_iter().map(tell).collect()
}

/// The faults of this file, none of which may show a secret.
pub fn faults_of(file: &str, text: &str) -> Vec<String> {
    match loaded(file, text) {
        Ok(_) => Vec::new(),
        Err(faults) => {
            let shown = format!("{faults:?}");
            assert!(!shown.contains("hunter2"), "a secret is shown: {shown}");
            told(faults)
        }
    }
}

/// One file that is wrong: `from` in the good file becomes `to`.
pub type Case = (&'static str, &'static str, &'static [&'static str]);

/// Every case says what it should; all wrong ones are shown at once.
pub fn check(file: &str, good: &str, cases: &[Case]) {
    assert_eq!(faults_of(file, good), [""; 0], "the file that the cases change is good");
    let mut wrong = String::new();
    for (from, to, expected) in cases {
        assert_eq!(good.matches(from).count(), 1, "{from:?} should stand once in the good file");
        let found = faults_of(file, &good.replacen(from, to, 1));
        if found != *expected {
            wrong.push_str(&format!("\n{from:?} -> {to:?}\n"));
            for line in &found {
                wrong.push_str(&format!("    {line:?},\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "these say something else than they should:{wrong}");
}
