//! The pipeline file: from bytes to a specification that can be trusted.
//!
//! Owns: the three syntaxes, places, `${...}`, the declarative key tables, the frame of a pipeline, the JSON schema.
//! Does not own: any connector's keys (each connector declares and reads its own [`Section`]), opening connections,
//! printing.
//!
//! Invariant: what is read, what is refused and what the schema describes come from one table of keys; and no value
//! that came from a variable or a file, nor a secret or a URL, is ever part of an error or of `Debug`.
//!
//! A connector declares its keys once and reads them once:
//!
//! ```
//! use limpid_config::{
//!     Choice, Choices, Complaint, ConfigFault, Key, SASL, SaslSpec, Section, Secret, TLS_PREFERRED, TlsMode, TlsSpec,
//! };
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum RowImage {
//!     Full,
//!     Accept,
//! }
//!
//! impl Choices for RowImage {
//!     const TABLE: &'static [Choice<Self>] = &[
//!         Choice::new("full", RowImage::Full, "a table logged with less halts"),
//!         Choice::new("accept", RowImage::Accept, "absent columns are left out"),
//!     ];
//! }
//!
//! const KEYS: &[Key] = &[
//!     Key::url("url").required().doc("Where the server is, as mysql://HOST:PORT."),
//!     Key::text("user").doc("The account to log in as."),
//!     Key::secret("password").doc("Its password."),
//!     Key::choice::<RowImage>("row-image").default("full").doc("What to do with partial rows."),
//!     Key::texts("tables", 1).required().doc("Globs of tables; ! excludes."),
//!     Key::uint("server-id", 1, u32::MAX as u64).doc("Our number among the replicas; made from the name if absent."),
//!     Key::section("tls", TLS_PREFERRED).doc("How the connection is protected."),
//!     Key::section("sasl", SASL).optional().doc("How to log in to Kafka."),
//! ];
//!
//! #[derive(Debug)]
//! struct Config {
//!     url: Secret,
//!     password: Option<Secret>,
//!     row_image: RowImage,
//!     tables: Vec<String>,
//!     server_id: Option<u64>,
//!     tls: TlsSpec,
//!     sasl: Option<SaslSpec>,
//! }
//!
//! fn read(section: &Section) -> Result<Config, Vec<ConfigFault>> {
//!     section.read(|keys| {
//!         let url = keys.url("url");
//!         if !url.reveal().starts_with("mysql://") {
//!             return keys.refuse("url", Complaint::bad_value("is no mysql:// address"));
//!         }
//!         Some(Config {
//!             url,
//!             password: keys.optional_secret("password"),
//!             row_image: keys.choice("row-image"),
//!             tables: keys.texts("tables"),
//!             server_id: keys.optional_uint("server-id"),
//!             tls: TlsSpec::read(&keys.section("tls"))?,
//!             sasl: keys.optional_section("sasl").map(|keys| SaslSpec::read(&keys)),
//!         })
//!     })
//! }
//!
//! let text = "url: mysql://127.0.0.1:3306\npassword: ${env:DB}\ntables: [shop.*]\ntls: { mode: verify-ca }\n";
//! let outside = limpid_config::Fixed::new().variable("DB", "hunter2");
//! let section = Section::of_yaml("source", text, KEYS, &outside).unwrap();
//! let config = read(&section).unwrap();
//! assert_eq!((config.row_image, config.tls.mode), (RowImage::Full, TlsMode::VerifyCa));
//! assert_eq!(config.password.as_ref().map(Secret::reveal), Some("hunter2"));
//! assert!(!format!("{config:?}").contains("hunter2"));
//!
//! let section = Section::of_yaml("source", "url: 1\ntable: [shop.*]\n", KEYS, &outside).unwrap();
//! let faults: Vec<String> = read(&section).unwrap_err().iter().map(ConfigFault::to_string).collect();
//! assert_eq!(faults, [
//!     "`source.tables` is missing",
//!     "`source.url` must be a URL, not a number",
//!     "`source.table` is not a key of this file",
//! ]);
//! ```

mod address;
mod check;
mod faults;
mod frame;
mod glob;
mod interpolate;
mod key;
mod load;
mod node;
mod parse;
mod quantity;
mod reader;
mod sasl;
mod scalar;
mod schema;
mod secret;
mod tls;

pub use address::{HTTP_ADDRESS_HELP, check_http_address};
pub use faults::{Complaint, ConfigFault};
pub use frame::{
    BigintUnsigned, BinaryHandling, Compat, DecimalHandling, Delivery, FormatName, FormatSpec, Granularity,
    HeartbeatSpec, LogFormat, LogLevel, LogsSpec, MetricsSpec, OnRowError, OtlpProtocol, PipelineSpec, QualitySpec,
    SinkSpec, SkippedOperations, SnapshotMode, SnapshotSpec, SourceSpec, Start, TelemetrySpec, TimePrecision, Tinyint1,
    TraceHeaders, TracesSpec, TransformSpec,
};
pub use glob::{glob, listed};
pub use interpolate::{Fixed, Outside, Process};
pub use key::{Choice, Choices, Key};
pub use load::{Connectors, Delivers, Encodes, SinkKind, SourceKind, TransformKind, TransformKinds, load, load_text};
pub use node::{Place, Syntax};
pub use reader::{Reader, Section};
pub use sasl::{SASL, SaslMechanism, SaslSpec};
pub use schema::json_schema;
pub use secret::Secret;
pub use tls::{TLS_DISABLED, TLS_PREFERRED, TlsMode, TlsSpec};
