//! The connection that tables are read on.
//!
//! Owns: its session's settings, questions and their faults. Does not own: snapshots and locks (`copy::fence`).
//!
//! Invariant: no setting of the server changes what a value looks like on this connection.

use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode, TableName};

use super::Listed;
use crate::catalogue::{Queries, Rows, Unreadable};
use crate::client::{Client, ConnectOptions, QueryError, TextRows};
use crate::position::Flavor;
use crate::server::ServerFacts;

/// A row may need a sort of the whole table where no index has the key's order.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// A connection with its settings made.
pub struct Link {
    pub client: Client,
    pub facts: ServerFacts,
    pub connect: ConnectOptions,
    /// XA transactions that were prepared when the moment was opened.
    pub prepared: Option<Listed>,
    /// Tables are locked.
    pub is_locked: bool,
    /// What of the catalogue belongs to no table.
    server: Option<Rows>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Those of connecting and of a server that cannot be read.
    pub fn open(connect: &ConnectOptions) -> Result<Self, Fault> {
        let mut client = Client::connect(connect)?;
        client.socket().set_read_timeout(Some(SILENCE_MAX));
        let facts = ServerFacts::read(&mut client)?;
        let mut link = Self { client, facts, connect: connect.clone(), prepared: None, is_locked: false, server: None };
        for setting in settings(link.facts.flavor) {
            link.run("prepare a session that reads tables", setting)?;
        }
        Ok(link)
    }

    /// Runs a statement that gives no rows of interest.
    ///
    /// # Errors
    /// Those of a query.
    pub fn run(&mut self, what: &str, sql: &str) -> Result<(), Fault> {
        self.ask(what, sql).map(drop)
    }

    /// Asks a question.
    ///
    /// # Errors
    /// Those of a query.
    pub fn ask(&mut self, what: &str, sql: &str) -> Result<TextRows, Fault> {
        self.client.query(sql).map_err(|error| error.into_fault(what, &self.connect.endpoint()))
    }

    /// The answers about the server as a whole, asked for once.
    ///
    /// # Errors
    /// Those of a query.
    pub fn server_rows(&mut self, queries: &Queries) -> Result<Rows, Fault> {
        if let Some(rows) = &self.server {
            return Ok(rows.clone());
        }
        let what = "read the server's character sets";
        let rows = Rows {
            charsets: self.ask(what, &queries.charsets)?,
            server: self.ask(what, &queries.server)?,
            schemata: self.ask(what, &queries.schemata)?,
            ..Rows::default()
        };
        self.server = Some(rows.clone());
        Ok(rows)
    }

    /// The fault of a query about one table.
    pub fn table_fault(&self, what: &str, error: QueryError, table: &TableName) -> Fault {
        let fault = error.into_fault(what, &self.connect.endpoint());
        match fault.code() {
            FaultCode::SourceGrantMissing => {
                let grant = format!("GRANT SELECT ON `{}`.* TO '{}'@'...'", table.schema, self.connect.user);
                fault.about(table.to_string()).help(grant)
            }
            FaultCode::SourceQueryFailed => fault.about(table.to_string()),
            _ => fault,
        }
    }

    /// The fault of a table whose definition never holds still. It can be tried again.
    pub fn restless(&self, table: &TableName) -> Fault {
        let text = "a table's definition changed each time it was to be read";
        Fault::new(FaultCode::SourceUnreachable, Component::Input, text).about(table.to_string())
    }

    /// The fault of a catalogue's answer that cannot be used.
    pub fn unreadable(&self, unreadable: Unreadable) -> Fault {
        let text = "the server's definitions of tables cannot be used";
        let fault = Fault::new(FaultCode::SourceQueryFailed, Component::Input, text);
        fault.about(self.connect.endpoint()).because(unreadable)
    }
}

/// Settings of a session. Dates that no calendar has must be legal in conditions; a slow reader must not be cut off.
fn settings(flavor: Flavor) -> [&'static str; 4] {
    [
        "SET NAMES utf8mb4",
        "SET character_set_results=NULL, time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES', autocommit=1, \
         sql_select_limit=DEFAULT, net_write_timeout=86400, net_read_timeout=600, wait_timeout=86400, lock_wait_timeout=30",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        match flavor {
            Flavor::MySql => "SET SESSION max_execution_time=0, information_schema_stats_expiry=0",
            Flavor::MariaDb => "SET SESSION max_statement_time=0",
        },
    ]
}
