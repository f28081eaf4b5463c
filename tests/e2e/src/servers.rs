//! The servers that the tests of one binary share.
//!
//! Owns: one server of each kind a process, started at its first use. Does not own: how a server is started
//! (`limpid-stack`).
//!
//! Invariant: shared servers keep their settings and their log for ever; a test that changes either starts its own.

use std::sync::OnceLock;

use anyhow::Result;
use limpid_stack::{Session, kafka, mariadb, mysql, require};

/// A server of either flavour.
#[derive(Clone, Copy, Debug)]
pub enum Db<'a> {
    Maria(&'a mariadb::Server),
    MySql(&'a mysql::Server),
}

impl Db<'_> {
    pub fn sql(&self, script: &str) -> Result<String> {
        match self {
            Db::Maria(server) => server.sql(script),
            Db::MySql(server) => server.sql(script),
        }
    }

    pub fn session(&self) -> Result<Session> {
        match self {
            Db::Maria(server) => server.session(),
            Db::MySql(server) => server.session(),
        }
    }

    pub fn port(&self) -> u16 {
        match self {
            Db::Maria(server) => server.port(),
            Db::MySql(server) => server.port(),
        }
    }

    pub fn is_maria(&self) -> bool {
        matches!(self, Db::Maria(_))
    }

    /// A suffix for the names of databases and pipelines.
    pub fn word(&self) -> &'static str {
        if self.is_maria() { "maria" } else { "mysql" }
    }

    /// Where the log ends now, as a position of ours.
    pub fn end_of_log(&self) -> Result<String> {
        let status = self.sql("show master status")?;
        let mut fields = status.trim_end().split('\t');
        Ok(format!("file:{}:{}", fields.next().unwrap_or_default(), fields.next().unwrap_or_default()))
    }

    /// The GTIDs in the log so far, as a position of ours.
    pub fn gtids(&self) -> Result<String> {
        let sql = if self.is_maria() { "select @@gtid_binlog_pos" } else { "select @@gtid_executed" };
        Ok(format!("gtid:{}", self.sql(sql)?.trim().replace("\\n", "")))
    }

    /// The statements that the log holds as text after `position` (of [`Db::end_of_log`]), by the server's own reader.
    pub fn logged_since(&self, position: &str) -> Result<String> {
        let (file, offset) = position.trim_start_matches("file:").rsplit_once(':').unwrap_or_default();
        self.sql(&format!("show binlog events in '{file}' from {offset}"))
    }
}

pub fn broker() -> Option<&'static kafka::Server> {
    static SERVER: OnceLock<Option<kafka::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(kafka::start(&kafka::Options::default()))).as_ref()
}

pub fn maria() -> Option<Db<'static>> {
    static SERVER: OnceLock<Option<mariadb::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(mariadb::start(&mariadb::Options::default()))).as_ref().map(Db::Maria)
}

pub fn mysqld() -> Option<Db<'static>> {
    static SERVER: OnceLock<Option<mysql::Server>> = OnceLock::new();
    SERVER.get_or_init(|| require(mysql::start(&mysql::Options::default()))).as_ref().map(Db::MySql)
}

/// Logs without column names: names come from the schema history alone.
pub fn maria_minimal() -> Option<Db<'static>> {
    static SERVER: OnceLock<Option<mariadb::Server>> = OnceLock::new();
    let extra_args = vec!["--binlog-row-metadata=NO_LOG".to_owned()];
    let options = mariadb::Options { extra_args, ..mariadb::Options::default() };
    SERVER.get_or_init(|| require(mariadb::start(&options))).as_ref().map(Db::Maria)
}

/// Logs without column names, and without GTIDs: names come from the schema history, positions are file positions.
pub fn mysqld_minimal() -> Option<Db<'static>> {
    static SERVER: OnceLock<Option<mysql::Server>> = OnceLock::new();
    let extra_args = ["--binlog-row-metadata=MINIMAL", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"];
    let extra_args = extra_args.map(str::to_owned).to_vec();
    let options = mysql::Options { extra_args, ..mysql::Options::default() };
    SERVER.get_or_init(|| require(mysql::start(&options))).as_ref().map(Db::MySql)
}

/// Both flavours; those that are there.
pub fn both() -> Vec<Db<'static>> {
    [maria(), mysqld()].into_iter().flatten().collect()
}

/// Both flavours with logs that do not name columns.
pub fn both_minimal() -> Vec<Db<'static>> {
    [maria_minimal(), mysqld_minimal()].into_iter().flatten().collect()
}
