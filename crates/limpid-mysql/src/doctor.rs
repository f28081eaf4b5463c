//! Whether a server can be read as a pipeline asks, before it is.
//!
//! Owns: the questions, and what follows from each answer. Does not own: how findings look (`limpid`), what the stream
//! itself refuses (`server`).
//!
//! Invariant: nothing is changed at the server, and one question's failure leaves the others asked. Each finding that is not
//! well says how to mend it.

mod company;
pub(crate) mod rights;

use limpid_connector::{Clock, Finding};
use limpid_model::{Fault, FaultCode, TableName};

use crate::catalogue;
use crate::client::{Client, TextRows};
use crate::position::Flavor;
use crate::server::{self, ServerFacts};
use crate::stream::MySqlOptions;
use rights::{Beats, Rights, There, needed};

/// What was found.
#[derive(Debug, Default)]
pub struct Examined {
    pub findings: Vec<Finding>,
    /// The tables that are captured, by name; empty where the server could not be asked.
    pub tables: Vec<TableName>,
    /// The least that the account needs, as SQL for this server.
    pub grants: Option<String>,
}

/// A log that is kept for less is easily outlived by an outage over night.
const RETENTION_SECONDS_MIN: u64 = 86_400;
/// Beyond this, times of rows and lags are wrong by as much.
const OFFSET_MICROS_MAX: i64 = 1_000_000;
/// The best of so many questions tells the time.
const CLOCK_ROUNDS: usize = 5;

/// Asks the server everything; of several the first that lets us in, and each whether it could take over.
pub fn examine(options: &MySqlOptions, clock: &Clock) -> Examined {
    if options.others.is_empty() {
        return examine_one(options, clock);
    }
    let all = company::each(options);
    let first = all.iter().find(|one| Client::connect(&one.connect).is_ok()).unwrap_or(&all[0]);
    let mut out = examine_one(first, clock);
    out.findings.extend(company::examine(&all, &out.tables));
    out
}

fn examine_one(options: &MySqlOptions, clock: &Clock) -> Examined {
    let endpoint = options.connect.endpoint();
    let mut client = match Client::connect(&options.connect) {
        Ok(client) => client,
        Err(fault) => {
            return Examined { findings: vec![Finding::of_fault("source.connection", &fault)], ..Examined::default() };
        }
    };
    let version = client.server_version.clone();
    let facts = match ServerFacts::read(&mut client) {
        Ok(facts) => facts,
        Err(fault) => {
            return Examined { findings: vec![Finding::of_fault("source.version", &fault)], ..Examined::default() };
        }
    };
    let mut asked = Asked { client, facts, options, out: Examined::default() };
    asked.pass("source.connection", format!("{endpoint} lets `{}` in", options.connect.user));
    asked.pass("source.version", format!("version {version}"));
    asked.encryption();
    asked.log();
    asked.statements();
    asked.retention();
    asked.tables();
    asked.rights();
    asked.server_id();
    asked.prepared();
    asked.clock(clock);
    if let Some(replica) = &options.snapshot_from {
        asked.out.findings.push(company::snapshot_from(options, replica));
    }
    asked.out
}

/// The least that the account needs on a server that could not be asked which of the two it is.
pub fn either(options: &MySqlOptions) -> String {
    let beats = heartbeat_of(options).map(|table| Beats { table, there: There::Nothing });
    let of = |flavor| needed(flavor, &options.connect.user, &options.selection, beats);
    format!("-- MariaDB\n{}\n-- MySQL\n{}", of(Flavor::MariaDb), of(Flavor::MySql))
}

/// An examination under way.
struct Asked<'a> {
    client: Client,
    facts: ServerFacts,
    options: &'a MySqlOptions,
    out: Examined,
}

impl Asked<'_> {
    fn pass(&mut self, name: &'static str, sentence: impl Into<String>) {
        self.out.findings.push(Finding::pass(name, sentence));
    }

    fn warn(&mut self, name: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) {
        self.out.findings.push(Finding::warn(name, sentence, remedy));
    }

    fn fail(&mut self, name: &'static str, code: FaultCode, sentence: impl Into<String>, remedy: impl Into<String>) {
        self.out.findings.push(Finding::fail(name, code, sentence, remedy));
    }

    fn rows(&mut self, what: &str, sql: &str) -> Result<TextRows, Fault> {
        let endpoint = self.options.connect.endpoint();
        self.client.query(sql).map_err(|error| error.into_fault(what, &endpoint))
    }

    fn number(&mut self, what: &str, sql: &str) -> Result<Option<u64>, Fault> {
        let rows = self.rows(what, sql)?;
        Ok(rows.first().and_then(|row| text(row, 0).parse::<f64>().ok()).map(|number| number as u64))
    }

    fn encryption(&mut self) {
        let cipher = self.rows("see how the connection is protected", "SHOW SESSION STATUS LIKE 'Ssl_cipher'");
        let cipher = cipher.ok().and_then(|rows| rows.first().map(|row| text(row, 1))).unwrap_or_default();
        let host = &self.options.connect.host;
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match cipher.is_empty() {
            false => self.pass("source.tls", format!("encrypted with {cipher}")),
            true if local => self.pass("source.tls", "not encrypted, on this machine alone"),
            true => {
                self.warn("source.tls", "rows cross the network unencrypted", "set source.tls.mode: verify-identity")
            }
        }
    }

    /// As the stream itself checks it, a finding each.
    fn log(&mut self) {
        let endpoint = self.options.connect.endpoint();
        match self.facts.check(&endpoint, self.options.accept_partial_images) {
            Ok(()) => {
                let ServerFacts { format, row_image, .. } = &self.facts;
                let sentence = format!("the log is on, binlog_format {format}, binlog_row_image {row_image}");
                self.pass("source.log", sentence);
            }
            Err(fault) => self.out.findings.push(Finding::of_fault("source.log", &fault)),
        }
        if self.facts.full_metadata {
            self.pass("source.log-metadata", "binlog_row_metadata is FULL: the log names its own columns");
        } else {
            let sentence = "binlog_row_metadata is not FULL: after a change of a table a start in the past may halt it";
            self.warn("source.log-metadata", sentence, "SET GLOBAL binlog_row_metadata=FULL");
        }
    }

    /// Where an application writes its trace's context.
    fn statements(&mut self) {
        if !self.options.contexts {
            return;
        }
        let name = "source.statements";
        let setting = match self.facts.flavor {
            Flavor::MariaDb => "binlog_annotate_row_events",
            Flavor::MySql => "binlog_rows_query_log_events",
        };
        match self.number("see whether the log has statements", &format!("SELECT @@global.{setting}")) {
            Ok(Some(1)) => self.pass(name, format!("{setting} is on: traces of applications are continued")),
            Ok(_) => {
                let sentence =
                    format!("{setting} is off: the log has no statements, so no application's trace is continued");
                self.warn(name, sentence, format!("SET GLOBAL {setting}=ON, and let sessions begin anew"));
            }
            Err(fault) => self.out.findings.push(Finding::of_fault(name, &fault)),
        }
    }

    fn retention(&mut self) {
        let name = "source.retention";
        let seconds = self.number("read how long the log is kept", "SELECT @@global.binlog_expire_logs_seconds");
        let seconds = match seconds {
            // The older setting, in days, holds where the newer is 0.
            Ok(Some(0) | None) => {
                let days = self.number("read how long the log is kept", "SELECT @@global.expire_logs_days");
                days.ok().flatten().unwrap_or(0) * 86_400
            }
            Ok(Some(seconds)) => seconds,
            Err(fault) => return self.warn(name, fault.to_string(), fault.remedy()),
        };
        match seconds {
            0 => self.pass(name, "log files are kept until somebody purges them"),
            RETENTION_SECONDS_MIN.. => self.pass(name, format!("log files are kept for {} hours", seconds / 3600)),
            _ => {
                let sentence = format!("log files are purged after {seconds} s: a longer outage loses the position");
                self.warn(
                    name,
                    sentence,
                    format!("SET GLOBAL binlog_expire_logs_seconds={RETENTION_SECONDS_MIN}, or more"),
                );
            }
        }
    }

    fn tables(&mut self) {
        let history = match server::definitions(&mut self.client, &self.facts, &self.options.connect) {
            Ok(history) => history,
            Err(fault) => return self.out.findings.push(Finding::of_fault("source.tables", &fault)),
        };
        let taken = history.tables().filter(|(name, _)| self.options.selection.takes(name));
        let (mut names, mut keyless) = (Vec::new(), Vec::new());
        for (name, table) in taken {
            names.push(name.clone());
            if table.row_key().is_empty() {
                keyless.push(name.to_string());
            }
        }
        match names.len() {
            0 => self.warn(
                "source.tables",
                "no table that this account sees is captured",
                "check source.tables, and grant SELECT on what it names",
            ),
            count => self.pass("source.tables", format!("{count} tables are captured")),
        }
        if !keyless.is_empty() {
            let sentence =
                format!("without a primary or unique key of columns that are NOT NULL: {}", Finding::listed(&keyless));
            self.warn("source.keys", sentence, "give them one, or name message-key-columns; to copy them LOCK TABLES is needed, see SOURCE_GRANT_MISSING");
        } else if !names.is_empty() {
            self.pass("source.keys", "each has a key");
        }
        self.out.tables = names;
    }

    fn rights(&mut self) {
        let name = "source.grants";
        let account = self.rows("read the account", "SELECT CURRENT_USER()");
        let account = account.ok().and_then(|rows| rows.first().map(|row| text(row, 0))).unwrap_or_default();
        let options = self.options;
        let beats = heartbeat_of(options).map(|table| Beats { table, there: self.there(table) });
        let sql = needed(self.facts.flavor, &account, &options.selection, beats);
        let shown = self.grants();
        self.out.grants = Some(sql);
        let rights = match shown {
            Ok(rights) => rights,
            Err(fault) => return self.out.findings.push(Finding::of_fault(name, &fault)),
        };
        let missing = rights.missing(self.facts.flavor, &options.selection, beats, &self.out.tables);
        if missing.is_empty() {
            return self.pass(name, "the account has what is needed");
        }
        let remedy = rights::grants(&missing, &account);
        let sentence = format!(
            "the account lacks {}",
            Finding::listed(&missing.iter().map(ToString::to_string).collect::<Vec<_>>())
        );
        self.fail(name, FaultCode::SourceGrantMissing, sentence, remedy);
    }

    /// What the account sees of a table; what it may do nothing with it does not see, and is told as not there.
    fn there(&mut self, table: &TableName) -> There {
        let (schema, name) = (catalogue::literal(&table.schema), catalogue::literal(&table.table));
        let mut is_there =
            |from: String| self.rows("look for the heartbeat's table", &from).is_ok_and(|rows| !rows.is_empty());
        if is_there(format!(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA={schema} AND TABLE_NAME={name}"
        )) {
            There::Table
        } else if is_there(format!("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME={schema}")) {
            There::Schema
        } else {
            There::Nothing
        }
    }

    /// With those of the roles that are active.
    fn grants(&mut self) -> Result<Rights, Fault> {
        let mut sql = "SHOW GRANTS".to_owned();
        if self.facts.flavor == Flavor::MySql {
            let roles = self.rows("read the roles", "SELECT CURRENT_ROLE()")?;
            let roles = roles.first().map(|row| text(row, 0)).unwrap_or_default();
            if !roles.is_empty() && roles != "NONE" {
                sql = format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}");
            }
        }
        let rows = self.rows("read the account's rights", &sql)?;
        Ok(Rights::parse(rows.iter().map(|row| text(row, 0))))
    }

    /// Two replicas of one id throw each other out, again and again.
    fn server_id(&mut self) {
        let (name, own) = ("source.server-id", self.options.server_id);
        let remedy = "give this pipeline a number of its own: source.server-id".to_owned();
        if self.facts.server_id == own {
            let sentence = format!("our server id {own} is the server's own");
            return self.fail(name, FaultCode::SourceServerIdClash, sentence, remedy);
        }
        let mut rows = self.rows("list the replicas", "SHOW REPLICA HOSTS");
        for sql in ["SHOW REPLICAS", "SHOW SLAVE HOSTS"] {
            if rows.is_err() {
                rows = self.rows("list the replicas", sql);
            }
        }
        let Ok(rows) = rows else {
            // The right to see them is not among those that are needed.
            let sentence = format!("our server id {own} is not the server's own; its replicas this account cannot see");
            return self.pass(name, sentence);
        };
        match rows.iter().find(|row| text(row, 0) == own.to_string()) {
            None => self.pass(name, format!("no replica has our server id {own}")),
            // As we register ourselves; a server that replicates says its port.
            Some(row) if text(row, 2) == "0" => {
                let sentence = format!("an instance of Limpid is connected with our server id {own}");
                self.warn(name, sentence, "all is well if that is this very pipeline; else set source.server-id");
            }
            Some(row) => {
                let place = format!("host `{}`, port {}", text(row, 1), text(row, 2));
                let sentence = format!("another replica has our server id {own} ({place})");
                self.fail(name, FaultCode::SourceServerIdClash, sentence, remedy);
            }
        }
    }

    fn prepared(&mut self) {
        let name = "source.xa";
        match self.rows("list prepared XA transactions", "XA RECOVER") {
            Ok(rows) if rows.is_empty() => self.pass(name, "no XA transaction is prepared"),
            Ok(rows) => {
                let sentence = format!(
                    "{} XA transactions are prepared; one from before a pipeline's first start halts it when committed",
                    rows.len()
                );
                self.warn(name, sentence, "before a first start XA COMMIT or XA ROLLBACK what XA RECOVER lists");
            }
            Err(_) => self
                .pass(name, "prepared XA transactions this account cannot see: GRANT XA_RECOVER_ADMIN ON *.* lets it"),
        }
    }

    /// The middle of the quickest answer, give or take half of its time.
    fn clock(&mut self, clock: &Clock) {
        const SQL: &str = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
        let mut best: Option<(i64, i64)> = None;
        for _ in 0..CLOCK_ROUNDS {
            let before = clock.wall_micros();
            let Ok(rows) = self.rows("read the server's clock", SQL) else { return };
            let after = clock.wall_micros();
            let Some(theirs) = rows.first().and_then(|row| text(row, 0).parse::<i64>().ok()) else { return };
            let half = (after - before) / 2;
            if best.is_none_or(|(_, least)| half < least) {
                best = Some((theirs - before - half, half));
            }
        }
        let Some((offset, half)) = best else { return };
        let milli = |micros: i64| micros as f64 / 1000.0;
        let sentence =
            format!("the server's clock is {:+.1} ms from ours, give or take {:.1}", milli(offset), milli(half));
        if offset.abs() - half > OFFSET_MICROS_MAX {
            self.warn("source.clock", sentence, "let both machines follow one clock (NTP): lags are wrong by as much");
        } else {
            self.pass("source.clock", sentence);
        }
    }
}

fn text(row: &[Option<Vec<u8>>], index: usize) -> String {
    row.get(index).and_then(Option::as_deref).map_or(String::new(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The table that heartbeats are written to.
fn heartbeat_of(options: &MySqlOptions) -> Option<&TableName> {
    options.heartbeat.as_ref().map(|heartbeat| &heartbeat.table)
}
