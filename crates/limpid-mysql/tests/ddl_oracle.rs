//! The servers themselves as the oracle of our table history.
//!
//! Owns: running statements on a real MariaDB and MySQL, and comparing, after each, the history that the scanner
//! moved by what stands in the binlog with `information_schema`. Does not own: the servers (`limpid-stack`), the
//! statements (`ddl_oracle.sql`, `ddl_oracle/random.rs`).
//!
//! Invariant: the two sides share the reading of type names and nothing else: one reads statements, the other rows.

#[path = "ddl_oracle/compare.rs"]
mod compare;
#[path = "ddl_oracle/random.rs"]
mod random;

use limpid_model::TableName;
use limpid_mysql::catalogue::{self, Queries, Row, Rows, Scope};
use limpid_mysql::ddl::{Flavor, ScanContext, SqlMode, scan};
use limpid_mysql::history::{Change, History, TableDefinition};
use limpid_stack::{Session, mariadb, mysql, require};

use random::Random;

/// One statement a line, `M:` for MariaDB alone, `Y:` for MySQL alone; `?` leaves a doubt; `--` lines are remarks.
const CORPUS: &str = include_str!("ddl_oracle.sql");

#[test]
fn the_history_follows_mariadb_through_the_corpus() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    run_corpus(server.session().unwrap(), Flavor::MariaDb, "Y:");
}

#[test]
fn the_history_follows_mysql_through_the_corpus() {
    let Some(server) = require(mysql::start(&mysql_options())) else { return };
    run_corpus(server.session().unwrap(), Flavor::MySql, "M:");
}

#[test]
fn the_history_follows_mariadb_through_random_alters() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    run_random(server.session().unwrap(), Flavor::MariaDb);
}

#[test]
fn the_history_follows_mysql_through_random_alters() {
    let Some(server) = require(mysql::start(&mysql_options())) else { return };
    run_random(server.session().unwrap(), Flavor::MySql);
}

/// With GTIDs MySQL 8.0.15 refuses CREATE TABLE ... SELECT.
fn mysql_options() -> mysql::Options {
    let extra_args = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned).to_vec();
    mysql::Options { extra_args, ..mysql::Options::default() }
}

fn run_corpus(session: Session, flavor: Flavor, skipped: &str) {
    let mut oracle = Oracle::new(session, flavor);
    let mut problems = Vec::new();
    for line in CORPUS.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("--") || line.starts_with(skipped) {
            continue;
        }
        let sql = line.strip_prefix("M:").or(line.strip_prefix("Y:")).unwrap_or(line).trim();
        match oracle.step(sql) {
            Ok(difference) => problems.extend(difference.map(|difference| format!("{sql}\n{difference}"))),
            Err(refusal) => problems.push(format!("{sql}\n  the server refuses it: {refusal}")),
        }
    }
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n\n"));
}

/// `LIMPID_DDL_STEPS` and `LIMPID_DDL_SEED` ask for a longer or another run.
fn run_random(session: Session, flavor: Flavor) {
    let setting =
        |name: &str, absent: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(absent);
    let (steps, seed) = (setting("LIMPID_DDL_STEPS", 200), setting("LIMPID_DDL_SEED", 1));
    let mut oracle = Oracle::new(session, flavor);
    oracle.settles_doubts = true;
    oracle.step("create database ddl_a character set utf8mb4").unwrap();
    oracle.step("use ddl_a").unwrap();
    let mut random = Random::new(seed, flavor);
    let mut log: Vec<String> = Vec::new();
    let mut accepted = 0;
    for step in 0..steps {
        let sql = random.statement(step, oracle.tables());
        println!("{step} {sql}");
        if let Ok(difference) = oracle.step(&sql) {
            log.push(sql);
            accepted += 1;
            if let Some(difference) = difference {
                panic!("seed {seed}, step {step}\n{difference}\nafter\n{}", log.join("\n"));
            }
        }
    }
    println!("{accepted} of {steps} statements accepted, {} doubts", oracle.doubts);
    assert!(u64::from(oracle.doubts) * 50 < accepted, "{} doubts are too many", oracle.doubts);
    assert!(accepted * 4 > steps, "only {accepted} of {steps} statements were accepted");
}

struct Oracle {
    session: Session,
    flavor: Flavor,
    version: u32,
    history: History,
    /// Answer a doubt about a table by its catalogue, as the engine does, instead of reporting it.
    settles_doubts: bool,
    doubts: u32,
    /// Where the log of the statements not yet applied begins.
    log: (String, String),
}

impl Oracle {
    fn new(mut session: Session, flavor: Flavor) -> Self {
        let version = version_number(&session.exec("select version()").unwrap());
        let rows = read(&mut session, flavor, Scope::All);
        let history = catalogue::history(flavor, version, &rows).unwrap();
        let log = position(&mut session);
        Self { session, flavor, version, history, settles_doubts: false, doubts: 0, log }
    }

    /// Runs a statement, applies what it left in the log, and compares. Err: the server refused the statement.
    fn step(&mut self, sql: &str) -> Result<Option<String>, String> {
        let expects_doubt = sql.starts_with('?');
        let sql = sql.trim_start_matches('?');
        self.session.exec(sql).map_err(|error| error.to_string())?;
        let mut problems = Vec::new();
        for (schema, text) in self.new_statements() {
            let statement = scan(text.as_bytes(), &self.context(&schema));
            for change in self.history.apply(&statement) {
                let Change::Doubt { table, reason } = change else { continue };
                match (self.settles_doubts, table) {
                    (true, Some(table)) => self.settle(table),
                    (_, table) if !expects_doubt => {
                        problems.push(format!("  doubt about {table:?}: {reason}, from {text}"));
                    }
                    _ => {}
                }
            }
            if !statement.written.is_empty() {
                problems.push(format!("  a row-format log never holds {text}"));
            }
        }
        for schema in ["ddl_a", "ddl_b", "ddl_c"] {
            let real = self.read_all(Scope::Schema(schema));
            problems.extend(compare::schemas(self.flavor, &self.history, &real, schema));
        }
        let stored = History::from_bytes(&self.history.to_bytes());
        if stored.as_ref() != Ok(&self.history) {
            problems.push("  the history is another after its stored form".to_owned());
        }
        // So that one mistake is reported once.
        if !problems.is_empty() {
            self.history = self.read_all(Scope::All);
        }
        Ok((!problems.is_empty()).then(|| problems.join("\n")))
    }

    fn settle(&mut self, name: TableName) {
        self.doubts += 1;
        let real = self.read_all(Scope::Table(&name));
        let definition = real.table(&name).map(|table| TableDefinition::clone(table));
        self.history.set_table(name, definition);
    }

    fn order_keys(&mut self, history: &mut History) {
        for name in catalogue::unsettled(history) {
            let keys = table(&self.session.exec(&catalogue::show_index(&name)).unwrap());
            catalogue::order_keys(history, &name, &keys);
        }
    }

    fn read_all(&mut self, scope: Scope<'_>) -> History {
        let rows = read(&mut self.session, self.flavor, scope);
        let mut history = catalogue::history(self.flavor, self.version, &rows).unwrap();
        self.order_keys(&mut history);
        history
    }

    fn tables(&self) -> random::Tables {
        let names = |table: &TableDefinition| {
            table.columns.iter().map(|column| column.name.clone()).filter(|name| !name.is_empty()).collect()
        };
        self.history.tables().map(|(name, table)| (name.table.to_string(), names(table))).collect()
    }

    fn context<'a>(&mut self, schema: &'a str) -> ScanContext<'a> {
        let settings = "select @@session.sql_mode, @@session.explicit_defaults_for_timestamp";
        let row = table(&self.session.exec(settings).unwrap()).remove(0);
        let (modes, explicit) = (text(&row, 0), text(&row, 1));
        let known = [("REAL_AS_FLOAT", 1), ("ANSI_QUOTES", 4), ("ORACLE", 512), ("NO_BACKSLASH_ESCAPES", 1 << 20)];
        let bits = known.iter().filter(|(name, _)| modes.split(',').any(|mode| mode == *name)).map(|(_, bit)| bit);
        let mut ctx = ScanContext::of_server(self.flavor, self.version, schema);
        ctx.sql_mode = SqlMode(bits.sum());
        ctx.explicit_defaults_for_timestamp = explicit == "1";
        ctx
    }

    /// The Query events since the last step: database and text.
    fn new_statements(&mut self) -> Vec<(String, String)> {
        let (file, from) = std::mem::replace(&mut self.log, position(&mut self.session));
        let events = self.session.exec(&format!("show binlog events in '{file}' from {from}")).unwrap();
        let events = table(&events);
        let queries = events.iter().filter(|row| text(row, 2) == "Query").map(|row| text(row, 5));
        let current = text(&table(&self.session.exec("select database()").unwrap())[0], 0);
        // The events say USE only where it matters, quoted as the session quotes.
        let split = |info: String| match info.strip_prefix("use ").and_then(|rest| rest.split_once("; ")) {
            Some((schema, sql)) => (schema.trim_matches(['`', '"']).to_owned(), sql.to_owned()),
            None => (current.clone(), info),
        };
        queries.map(split).collect()
    }
}

fn position(session: &mut Session) -> (String, String) {
    let row = table(&session.exec("show master status").unwrap()).remove(0);
    (text(&row, 0), text(&row, 1))
}

fn read(session: &mut Session, flavor: Flavor, scope: Scope<'_>) -> Rows {
    let queries = Queries::new(flavor, scope);
    let mut ask = |sql: &str| table(&session.exec(sql).unwrap());
    Rows {
        charsets: ask(&queries.charsets),
        server: ask(&queries.server),
        schemata: ask(&queries.schemata),
        tables: ask(&queries.tables),
        columns: ask(&queries.columns),
        keys: ask(&queries.keys),
    }
}

/// The client's batch format.
fn table(output: &str) -> Vec<Row> {
    output.lines().map(|line| line.split('\t').map(cell).collect()).collect()
}

fn text(row: &Row, index: usize) -> String {
    String::from_utf8_lossy(row[index].as_deref().unwrap_or(b"NULL")).into_owned()
}

fn cell(text: &str) -> Option<Vec<u8>> {
    if text == "NULL" {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, if byte == b'\\' { rest.next() } else { None }) {
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'0')) => 0,
            (b'\\', Some(other)) => other,
            (other, _) => other,
        });
    }
    Some(bytes)
}

/// `10.11.19-MariaDB` is 101119.
fn version_number(text: &str) -> u32 {
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    part() * 10_000 + part() * 100 + part()
}
