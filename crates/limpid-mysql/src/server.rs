//! What the server is and whether it can be read as asked.
//!
//! Owns: the questions put to a server before and beside the stream. Does not own: the stream itself.
//!
//! Invariant: whatever is wrong with the server is told before the first row, each with its own code and remedy.

use std::sync::Arc;

use limpid_model::{Component, Fault, FaultCode};

use crate::catalogue;
use crate::client::{Client, ConnectOptions, QueryError};
use crate::gtid::GtidSet;
use crate::history::History;
use crate::position::{Flavor, LogPosition};

/// Facts of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    pub flavor: Flavor,
    /// As `major * 10_000 + minor * 100 + patch`: 80015, 101119.
    pub version: u32,
    pub version_text: String,
    pub server_id: u32,
    /// `server_uuid` of MySQL; empty on MariaDB.
    pub uuid: String,
    pub lower_case_table_names: u8,
    /// GTIDs are in the log.
    pub gtids: bool,
    pub log_on: bool,
    pub format: String,
    pub row_image: String,
    pub full_metadata: bool,
    pub partial_json: bool,
}

/// What to ask with; the names that one flavour lacks are left out.
fn facts_query(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::MariaDb => {
            "SELECT @@server_id, '', @@lower_case_table_names, 'ON', @@log_bin, @@binlog_format, @@binlog_row_image, \
             @@binlog_row_metadata, ''"
        }
        Flavor::MySql => {
            "SELECT @@server_id, @@server_uuid, @@lower_case_table_names, @@gtid_mode, @@log_bin, @@binlog_format, \
             @@binlog_row_image, @@binlog_row_metadata, @@binlog_row_value_options"
        }
    }
}

/// Flavour and version out of the greeting's text.
pub fn parse_version(text: &str) -> (Flavor, u32) {
    let flavor = if text.to_ascii_lowercase().contains("mariadb") { Flavor::MariaDb } else { Flavor::MySql };
    // Old MariaDB replicas announce themselves as 5.5.5-10.x.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0).min(99);
    (flavor, next() * 10_000 + next() * 100 + next())
}

impl ServerFacts {
    /// Asks the server.
    ///
    /// # Errors
    /// `SOURCE_VERSION_UNSUPPORTED`, and those of a query.
    pub fn read(client: &mut Client) -> Result<Self, Fault> {
        let version_text = client.server_version.clone();
        let (flavor, version) = parse_version(&version_text);
        let oldest = match flavor {
            Flavor::MariaDb => 10_0600,
            Flavor::MySql => 8_0000,
        };
        let endpoint = client.endpoint().to_owned();
        if version < oldest {
            let text = format!("the server is of version {version_text}");
            return Err(Fault::new(FaultCode::SourceVersionUnsupported, Component::Input, text).about(endpoint));
        }
        let rows =
            client.query(facts_query(flavor)).map_err(|error| error.into_fault("read the settings", &endpoint))?;
        let row = rows.into_iter().next().unwrap_or_default();
        let text = |index: usize| {
            row.get(index)
                .cloned()
                .flatten()
                .map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self {
            flavor,
            version,
            version_text,
            server_id: text(0).parse().unwrap_or(0),
            uuid: text(1),
            lower_case_table_names: text(2).parse().unwrap_or(0),
            gtids: text(3).starts_with("ON"),
            log_on: text(4) == "1",
            format: text(5),
            row_image: text(6),
            full_metadata: text(7) == "FULL",
            partial_json: text(8).contains("PARTIAL_JSON"),
        })
    }

    /// Refuses a server whose log cannot be read as asked.
    ///
    /// # Errors
    /// `SOURCE_LOG_OFF`, `SOURCE_LOG_FORMAT`, `SOURCE_ROW_IMAGE`.
    pub fn check(&self, endpoint: &str, accept_partial_images: bool) -> Result<(), Fault> {
        let fault = |code, text: String| Err(Fault::new(code, Component::Input, text).about(endpoint));
        if !self.log_on {
            return fault(FaultCode::SourceLogOff, "the server writes no binary log".into());
        }
        if self.format != "ROW" {
            return fault(FaultCode::SourceLogFormat, format!("binlog_format is {}, not ROW", self.format));
        }
        if self.row_image != "FULL" && self.row_image != "FULL_NODUP" && !accept_partial_images {
            return fault(FaultCode::SourceRowImage, format!("binlog_row_image is {}, not FULL", self.row_image));
        }
        Ok(())
    }
}

/// The GRANT that a missing right needs, for the fault's help.
pub fn grant_help(flavor: Flavor, user: &str) -> String {
    match flavor {
        Flavor::MariaDb => format!("GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO '{user}'@'...'"),
        Flavor::MySql => format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO '{user}'@'...'"),
    }
}

/// Looks at MariaDB's head before it is asked for the exact answer, which a server that is written to needs.
const HEAD_LOOKS_MAX: usize = 3;

/// The end of the log now, its transactions exactly those up to its offset: a place to begin at.
///
/// MariaDB tells file and offset, and the transactions of the log, only in two answers. It names a transaction as part of the
/// log before it moves the offset, and tells no offset in between: the same transactions before and after an offset are
/// those up to it. Its own exact answer (`BINLOG_GTID_POS`) reads the log file up to there.
///
/// # Errors
/// `SOURCE_GRANT_MISSING` without the right to ask, and those of a query.
pub fn head(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<LogPosition, Fault> {
    if facts.flavor == Flavor::MariaDb {
        let mut before = transactions(client, facts, options)?;
        for _ in 0..HEAD_LOOKS_MAX {
            let (position, _) = status(client, facts, options)?;
            let after = transactions(client, facts, options)?;
            if before == after {
                return Ok(LogPosition { gtids: GtidSet::parse_mariadb(&after).map(Arc::new), ..position });
            }
            before = after;
        }
    }
    let (mut position, mysql_set) = status(client, facts, options)?;
    position.gtids = match facts.flavor {
        Flavor::MariaDb => {
            let sql = format!("SELECT BINLOG_GTID_POS('{}', {})", position.file, position.offset);
            let set = client.query_value(&sql).map_err(|error| status_fault(error, facts, options))?;
            GtidSet::parse_mariadb(&set.unwrap_or_default())
        }
        Flavor::MySql if facts.gtids => GtidSet::parse_mysql(&mysql_set),
        Flavor::MySql => None,
    }
    .map(Arc::new);
    Ok(position)
}

/// The end of the log as a look from time to time sees it: its transactions are those of a moment before its offset,
/// never later ones. MariaDB's exact answer reads the whole log file, which nobody may ask for five times a second.
///
/// # Errors
/// As [`head`].
pub fn look(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<LogPosition, Fault> {
    if facts.flavor == Flavor::MySql {
        return head(client, facts, options);
    }
    let set = transactions(client, facts, options)?;
    let (position, _) = status(client, facts, options)?;
    Ok(LogPosition { gtids: GtidSet::parse_mariadb(&set).map(Arc::new), ..position })
}

/// What MariaDB's log has, as the server writes it.
fn transactions(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<String, Fault> {
    let set = client.query_value("SELECT @@global.gtid_binlog_pos");
    Ok(set.map_err(|error| status_fault(error, facts, options))?.unwrap_or_default())
}

/// The end of the log now as a place in a file.
///
/// # Errors
/// As [`head`].
pub fn place(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<LogPosition, Fault> {
    status(client, facts, options).map(|(position, _)| position)
}

/// File and offset, and the text of the executed GTIDs where the server is a MySQL.
fn status(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<(LogPosition, String), Fault> {
    let rows = match client.query(status_query(facts.flavor, facts.version)) {
        Err(QueryError::Server(error)) if error.number == 1064 => client.query("SHOW MASTER STATUS"),
        other => other,
    };
    let rows = rows.map_err(|error| status_fault(error, facts, options))?;
    let row = rows.into_iter().next().unwrap_or_default();
    let text = |index: usize| {
        row.get(index).cloned().flatten().map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let offset = text(1).parse().unwrap_or(4);
    Ok((LogPosition { gtids: None, file: text(0).into(), offset, inside: None, undecided: None }, text(4)))
}

fn status_fault(error: QueryError, facts: &ServerFacts, options: &ConnectOptions) -> Fault {
    let fault = error.into_fault("read the position of the log", &options.endpoint());
    if fault.code() == FaultCode::SourceGrantMissing {
        fault.help(grant_help(facts.flavor, &options.user))
    } else {
        fault
    }
}

fn status_query(flavor: Flavor, version: u32) -> &'static str {
    if flavor == Flavor::MySql && version >= 8_0200 { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" }
}

/// All definitions, out of `information_schema`.
///
/// # Errors
/// Those of a query; `SOURCE_QUERY_FAILED` for an answer that cannot be used.
pub fn definitions(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<History, Fault> {
    let queries = catalogue::Queries::new(facts.flavor, catalogue::Scope::All);
    let mut ask = |sql: &str| {
        client.query(sql).map_err(|error| error.into_fault("read the definitions of tables", &options.endpoint()))
    };
    let rows = catalogue::Rows {
        charsets: ask(&queries.charsets)?,
        server: ask(&queries.server)?,
        schemata: ask(&queries.schemata)?,
        tables: ask(&queries.tables)?,
        columns: ask(&queries.columns)?,
        keys: ask(&queries.keys)?,
    };
    let mut history = catalogue::history(facts.flavor, facts.version, &rows).map_err(|unreadable| {
        let text = "the server's definitions of tables cannot be used";
        Fault::new(FaultCode::SourceQueryFailed, Component::Input, text).about(options.endpoint()).because(unreadable)
    })?;
    for table in catalogue::unsettled(&history) {
        let order = ask(&catalogue::show_index(&table))?;
        catalogue::order_keys(&mut history, &table, &order);
    }
    Ok(history)
}

/// The log files the server has, oldest first, with their sizes.
///
/// # Errors
/// Those of a query.
pub fn logs(client: &mut Client, options: &ConnectOptions) -> Result<Vec<(String, u64)>, Fault> {
    let rows = client
        .query("SHOW BINARY LOGS")
        .map_err(|error| error.into_fault("list the log files", &options.endpoint()))?;
    let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
    Ok(rows.iter().filter_map(|row| Some((text(row.first()?), text(row.get(1)?).parse().ok()?))).collect())
}

/// The oldest position the server still has.
///
/// # Errors
/// Those of a query; `SOURCE_LOG_OFF` when there is no file at all.
pub fn earliest(client: &mut Client, facts: &ServerFacts, options: &ConnectOptions) -> Result<LogPosition, Fault> {
    let files = logs(client, options)?;
    let Some((file, _)) = files.first() else {
        let text = "the server has no log file";
        return Err(Fault::new(FaultCode::SourceLogOff, Component::Input, text).about(options.endpoint()));
    };
    let fault = |error: QueryError| error.into_fault("read the oldest position", &options.endpoint());
    let gtids = match facts.flavor {
        // The state at the start of the first file.
        Flavor::MariaDb => {
            let set = client.query_value(&format!("SELECT BINLOG_GTID_POS('{file}', 4)")).map_err(fault)?;
            GtidSet::parse_mariadb(&set.unwrap_or_default())
        }
        Flavor::MySql if facts.gtids => {
            let set = client.query_value("SELECT @@global.gtid_purged").map_err(fault)?;
            GtidSet::parse_mysql(&set.unwrap_or_default())
        }
        Flavor::MySql => None,
    };
    Ok(LogPosition { gtids: gtids.map(Arc::new), file: file.as_str().into(), offset: 4, inside: None, undecided: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_is_asked_for_in_the_words_of_the_servers_version() {
        for (text, asked) in [
            ("8.0.41", "SHOW MASTER STATUS"),
            ("8.1.0", "SHOW MASTER STATUS"),
            ("8.2.0", "SHOW BINARY LOG STATUS"),
            ("8.4.3", "SHOW BINARY LOG STATUS"),
            ("9.2.0", "SHOW BINARY LOG STATUS"),
            ("11.4.2-MariaDB", "SHOW MASTER STATUS"),
        ] {
            let (flavor, version) = parse_version(text);
            assert_eq!(status_query(flavor, version), asked, "{text}");
        }
    }

    #[test]
    fn versions_of_both_flavours_are_told_apart() {
        for (text, flavor, version) in [
            ("8.0.15", Flavor::MySql, 80_015),
            ("8.4.3-log", Flavor::MySql, 80_403),
            ("10.11.19-MariaDB-0+deb12u1-log", Flavor::MariaDb, 101_119),
            ("5.5.5-10.6.7-MariaDB", Flavor::MariaDb, 100_607),
            ("garbage", Flavor::MySql, 0),
        ] {
            assert_eq!(parse_version(text), (flavor, version), "{text}");
        }
    }
}
