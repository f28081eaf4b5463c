//! Starts real MariaDB, MySQL, Kafka, Prometheus and OpenTelemetry Collector servers for tests, and stops them whatever happens.
//!
//! Owns: finding or fetching the servers, their private directories, their ports, their processes, and the
//! oracles that come with them (the SQL client, Kafka's own Java tools, Prometheus' HTTP API).
//! Does not own: any knowledge of Limpid. Nothing here links a Limpid crate or librdkafka, so that what a test
//! compares against cannot share a mistake with what it tests.
//!
//! Invariant: a server started here is dead, and its port free, once its parent process is gone, unless it was
//! started with [`Lifetime::Detached`] (`cargo xtask stack up`).
//!
//! ```no_run
//! use limpid_stack::{mariadb, require};
//! let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
//! assert_eq!(server.sql("select 1").unwrap(), "1\n");
//! ```
#![expect(clippy::disallowed_methods, reason = "drives real processes on the real clock; nothing here is simulated")]

mod files;
mod instance;
mod launch;
mod locate;
mod missing;
mod ready;
mod spawner;
mod sql;
mod wire;

pub mod cache;
pub mod kafka;
pub mod mariadb;
pub mod mysql;
pub mod otelcol;
pub mod ports;
pub mod prometheus;
pub mod tls;

pub use files::{TempDir, lasting_folder};
pub use instance::{Instance, Lifetime, Placement, Running};
pub use missing::{Unavailable, require};
pub use sql::Session;
