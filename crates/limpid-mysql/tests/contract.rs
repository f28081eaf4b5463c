//! The contract that every source keeps, on real servers.

use std::time::Duration;

use limpid_connector::testkit::{self, SourceRig};
use limpid_connector::{JsonText, Source};
use limpid_model::TableName;
use limpid_mysql::{ConnectOptions, MySqlOptions, MySqlSource, Selection, TlsMode, TlsOptions};
use limpid_stack::{Session, mariadb, mysql, require};

/// A server, spoken to by its own client library's protocol through a plain session.
struct Site {
    session: Session,
    port: u16,
}

impl Site {
    fn new(mut session: Session, port: u16) -> Self {
        for statement in
            ["CREATE DATABASE contract", "CREATE TABLE contract.t (id BIGINT PRIMARY KEY, pad VARCHAR(90))"]
        {
            session.exec(statement).unwrap();
        }
        Self { session, port }
    }
}

impl SourceRig for Site {
    fn source(&mut self) -> Box<dyn Source> {
        let connect = ConnectOptions {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "root".into(),
            password: String::new(),
            tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
            connect_timeout: Duration::from_secs(5),
            asked: Default::default(),
        };
        Box::new(MySqlSource::new(MySqlOptions {
            connect,
            others: Vec::new(),
            snapshot_from: None,
            selection: Selection { tables: vec!["contract.*".to_owned()], columns: Vec::new() },
            accept_partial_images: false,
            server_id: 4_713,
            json_text: JsonText::Server,
            held: None,
            contexts: false,
            heartbeat: None,
        }))
    }

    fn table(&self) -> TableName {
        TableName::new("contract", "t")
    }

    fn insert(&mut self, keys: &[u64]) {
        self.session.exec("BEGIN").unwrap();
        for some in keys.chunks(1000) {
            let rows: Vec<String> = some.iter().map(|key| format!("({key}, repeat('x', {}))", key % 90)).collect();
            self.session.exec(&format!("INSERT INTO contract.t VALUES {}", rows.join(","))).unwrap();
        }
        self.session.exec("COMMIT").unwrap();
    }

    fn keys(&mut self) -> Vec<u64> {
        let text = self.session.exec("SELECT id FROM contract.t ORDER BY id").unwrap();
        text.split_whitespace().map(|key| key.parse().unwrap()).collect()
    }
}

#[test]
fn the_contract_of_a_source_is_kept_on_mariadb() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    assert_eq!(testkit::source(&mut Site::new(server.session().unwrap(), server.port())), Ok(()));
}

#[test]
fn the_contract_of_a_source_is_kept_on_mysql_with_gtids_and_without() {
    for args in [&[][..], &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]] {
        let extra_args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let options = mysql::Options { extra_args, ..mysql::Options::default() };
        let Some(server) = require(mysql::start(&options)) else { return };
        let kept = testkit::source(&mut Site::new(server.session().unwrap(), server.port()));
        assert_eq!(kept, Ok(()), "{args:?}");
    }
}
