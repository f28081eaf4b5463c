//! TLS and logins, good and bad, and users who may not do everything.

use std::net::{Shutdown, TcpListener, TcpStream};

use limpid_config::{SaslMechanism, SaslSpec, Secret, TlsMode, TlsSpec};
use limpid_connector::Sink;
use limpid_kafka::KafkaOptions;
use limpid_model::{Fault, FaultCode};
use limpid_stack::kafka::{self, Isolation, SASL_PASSWORD, SASL_USER, Server};
use limpid_stack::tls::Certificates;
use limpid_stack::{TempDir, require};

use crate::batches::{Builder, Driver, chain};

fn options(server: &Server, mode: TlsMode, password: &str) -> KafkaOptions {
    let ca = server.certificates().map(Certificates::ca);
    let sasl =
        SaslSpec { mechanism: SaslMechanism::Plain, user: SASL_USER.to_owned(), password: Secret::new(password) };
    KafkaOptions {
        tls: TlsSpec { mode, ca, identity: None },
        sasl: Some(sasl),
        ..KafkaOptions::plain([format!("127.0.0.1:{}", server.sasl_port().unwrap())])
    }
}

fn open(options: KafkaOptions) -> Result<Driver, Fault> {
    let mut driver = Driver::new(options, "login");
    driver.sink.open()?;
    Ok(driver)
}

fn deliver(driver: &mut Driver, topic: &str) -> Result<(), Fault> {
    let before = driver.durable.len();
    let mut batch = Builder::new(0);
    let table = batch.table("t", topic);
    batch.record(table, Some(b"k"), Some(b"v"));
    driver.write(batch.build())?;
    driver.until_durable(before + 1)
}

#[test]
fn logins_and_certificates_are_checked_as_the_mode_says() {
    let Some(server) = require(kafka::start(&kafka::Options { sasl_tls: true, ..Default::default() })) else { return };
    let elsewhere = TempDir::new("authority").unwrap();
    let stranger = Certificates::make(elsewhere.path()).unwrap().ca();
    let with = |mode, ca: Option<&std::path::Path>| {
        let mut options = options(&server, mode, SASL_PASSWORD);
        if let Some(ca) = ca {
            options.tls.ca = Some(ca.to_path_buf());
        }
        options
    };
    let codes = |options| open(options).map(drop).map_err(|fault| (fault.code(), chain(&fault)));
    for mode in [TlsMode::VerifyIdentity, TlsMode::VerifyCa, TlsMode::Required, TlsMode::Preferred] {
        let mut driver = open(with(mode, None)).unwrap_or_else(|fault| panic!("{mode:?}: {}", chain(&fault)));
        deliver(&mut driver, "t").unwrap();
        driver.save(b"r").unwrap();
        assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"r"[..]), "the reader logs in too");
    }
    assert_eq!(server.count("t", Isolation::ReadCommitted).unwrap(), 4);
    codes(with(TlsMode::Required, Some(&stranger))).expect("no certificate is checked");
    for mode in [TlsMode::VerifyCa, TlsMode::VerifyIdentity] {
        let (code, text) = codes(with(mode, Some(&stranger))).unwrap_err();
        assert_eq!(code, FaultCode::SinkTlsFailed, "{text}");
    }
    let (code, text) = codes(options(&server, TlsMode::VerifyIdentity, "hunter2")).unwrap_err();
    assert_eq!(code, FaultCode::SinkAuthFailed, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let mut other = options(&server, TlsMode::VerifyIdentity, SASL_PASSWORD);
    other.sasl.as_mut().unwrap().mechanism = SaslMechanism::ScramSha256;
    let (code, text) = codes(other).unwrap_err();
    assert_eq!(code, FaultCode::SinkAuthFailed, "{text}");
    scram(&server);
    let mut missing = with(TlsMode::VerifyCa, None);
    missing.tls.ca = Some("/no/such/ca.pem".into());
    let (code, text) = codes(missing).unwrap_err();
    assert_eq!(code, FaultCode::SinkTlsFailed, "{text}");
}

/// A user who was just made; both strengths, and a wrong password with each.
fn scram(server: &Server) {
    let bootstrap = server.bootstrap();
    for (mechanism, word) in [(SaslMechanism::ScramSha256, "256"), (SaslMechanism::ScramSha512, "512")] {
        let config = format!("SCRAM-SHA-{word}=[iterations=4096,password={SASL_PASSWORD}]");
        let of = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "users", "--entity-name", SASL_USER];
        server.tool("kafka.admin.ConfigCommand", &[&of[..], &["--add-config", &config]].concat()).unwrap();
        let with = |password: &str| {
            let mut options = options(server, TlsMode::VerifyIdentity, password);
            options.sasl.as_mut().unwrap().mechanism = mechanism;
            options
        };
        let before = server.count("t", Isolation::ReadCommitted).unwrap();
        deliver(&mut open(with(SASL_PASSWORD)).unwrap_or_else(|fault| panic!("{}", chain(&fault))), "t").unwrap();
        assert_eq!(server.count("t", Isolation::ReadCommitted).unwrap(), before + 1);
        let fault = open(with("hunter2")).map(drop).unwrap_err();
        assert_eq!(fault.code(), FaultCode::SinkAuthFailed, "{}", chain(&fault));
        assert!(!chain(&fault).contains("hunter2"), "{}", chain(&fault));
    }
}

/// Forwards connections to `port` from another address of this machine.
fn forward_from_elsewhere(port: u16) -> String {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    address
}

#[test]
fn a_certificate_for_another_name_passes_verify_ca_only() {
    let Some(server) = require(kafka::start(&kafka::Options { sasl_tls: true, ..Default::default() })) else { return };
    // The certificate names 127.0.0.1 and localhost.
    let address = forward_from_elsewhere(server.sasl_port().unwrap());
    let with = |mode| KafkaOptions { brokers: vec![address.clone()], ..options(&server, mode, SASL_PASSWORD) };
    open(with(TlsMode::VerifyCa)).unwrap_or_else(|fault| panic!("{}", chain(&fault)));
    let fault = open(with(TlsMode::VerifyIdentity)).map(drop).unwrap_err();
    assert_eq!(fault.code(), FaultCode::SinkTlsFailed, "{}", chain(&fault));
}

#[test]
fn tls_against_a_plain_port_fails_and_preferred_falls_back() {
    let Some(server) = crate::shared() else { return };
    let with = |mode| KafkaOptions {
        tls: TlsSpec { mode, ca: None, identity: None },
        ..KafkaOptions::plain([server.bootstrap()])
    };
    let fault = open(with(TlsMode::Required)).map(drop).unwrap_err();
    assert!(matches!(fault.code(), FaultCode::SinkTlsFailed | FaultCode::SinkUnreachable), "{}", chain(&fault));
    deliver(&mut open(with(TlsMode::Preferred)).unwrap(), "preferred").unwrap();
}

#[test]
fn a_right_that_is_missing_is_named_and_granting_it_is_enough() {
    let acl = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let extra_settings = vec![
        acl("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        acl("super.users", "User:ANONYMOUS"),
    ];
    let broker = kafka::Options { sasl_tls: true, extra_settings, ..Default::default() };
    let Some(server) = require(kafka::start(&broker)) else { return };
    let grant = |topic: &str, operations: &[&str]| {
        let bootstrap = server.bootstrap();
        let user = format!("User:{SASL_USER}");
        let mut args = vec!["--bootstrap-server", &bootstrap, "--add", "--allow-principal", &user, "--topic", topic];
        args.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        server.tool("kafka.admin.AclCommand", &args).unwrap();
    };
    let options = || options(&server, TlsMode::VerifyIdentity, SASL_PASSWORD);
    // Who may write nowhere may not be an idempotent producer; which of the two is found first is open.
    let fault = open(options()).map(drop).unwrap_err();
    let found = matches!(fault.code(), FaultCode::PositionTopicInvalid | FaultCode::SinkGrantMissing);
    assert!(found, "{}", chain(&fault));
    grant("elsewhere", &["Write"]);
    let fault = open(options()).map(drop).unwrap_err();
    assert_eq!(fault.code(), FaultCode::PositionTopicInvalid, "{}", chain(&fault));
    assert!(fault.remedy().contains("--create --topic __limpid_positions --partitions 1"), "{}", fault.remedy());
    // Made by an operator, as the remedy says; its settings may not be read, and so are believed.
    server.create_topic("__limpid_positions", 1, &[("cleanup.policy", "compact")]).unwrap();
    grant("__limpid_positions", &["Describe"]);
    let mut driver = open(options()).unwrap();
    let fault = driver.save(b"r").unwrap_err();
    assert_eq!(fault.code(), FaultCode::PositionTopicInvalid, "{}", chain(&fault));
    assert!(fault.remedy().contains("grant WRITE"), "{}", fault.remedy());
    let fault = open(options()).unwrap().sink.load_record().unwrap_err();
    assert_eq!(fault.code(), FaultCode::PositionTopicInvalid, "{}", chain(&fault));
    grant("__limpid_positions", &["Write", "Read"]);
    let mut driver = open(options()).unwrap();
    driver.save(b"r").unwrap();
    assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"r"[..]));
    let fault = deliver(&mut driver, "rows").unwrap_err();
    assert_eq!((fault.code(), fault.object()), (FaultCode::SinkGrantMissing, Some("rows")), "{}", chain(&fault));
    grant("rows", &["Describe"]);
    let fault = deliver(&mut open(options()).unwrap(), "rows").unwrap_err();
    assert_eq!(fault.code(), FaultCode::TopicCreationRefused, "{}", chain(&fault));
    server.create_topic("rows", 1, &[]).unwrap();
    let fault = deliver(&mut open(options()).unwrap(), "rows").unwrap_err();
    assert_eq!((fault.code(), fault.object()), (FaultCode::SinkGrantMissing, Some("rows")), "{}", chain(&fault));
    grant("rows", &["Write"]);
    deliver(&mut open(options()).unwrap(), "rows").unwrap();
    assert_eq!(server.count("rows", Isolation::ReadCommitted).unwrap(), 1);
}
