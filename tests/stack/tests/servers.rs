//! Starts every server for real and proves what the tests of all other crates rest on.
#![expect(clippy::disallowed_methods, reason = "drives real processes on the real clock")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use limpid_stack::kafka::{self, Isolation};
use limpid_stack::{Running, mariadb, mysql, prometheus, require};

/// Polls, since the kernel takes its time to deliver a signal; a minute would not make a wrong answer right.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn runs(pid: u32) -> bool {
    Running::of(pid).is_some()
}

#[test]
fn mariadb_keeps_its_port_and_data_over_a_kill() {
    let Some(server) =
        require(mariadb::start(&mariadb::Options { server_id: 7, gtid_domain: 3, ..Default::default() }))
    else {
        return;
    };
    assert!(server.sql("select version()").unwrap().contains("MariaDB"));
    assert_eq!(server.sql("select @@server_id, @@gtid_domain_id, @@binlog_row_metadata").unwrap(), "7\t3\tFULL\n");
    server.sql("create database d; create table d.t (a int primary key); insert into d.t values (1)").unwrap();
    let (port, pid) = (server.port(), server.pid());
    server.kill().unwrap();
    assert_eq!(server.pid(), None);
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert_eq!(server.sql("select a from d.t").unwrap(), "1\n");
    server.stop().unwrap();
    assert!(server.sql("select 1").is_err());
}

#[test]
fn mysql_keeps_its_port_and_data_over_a_kill() {
    let Some(server) = require(mysql::start(&mysql::Options { server_id: 17, ..Default::default() })) else { return };
    let version = server.sql("select version()").unwrap();
    assert!(!version.contains("MariaDB"), "{version}");
    assert_eq!(server.sql("select @@server_id, @@gtid_mode, @@binlog_row_metadata").unwrap(), "17\tON\tFULL\n");
    assert_eq!(
        server.sql("select @@global.gtid_executed").unwrap(),
        "\n",
        "making the first users must not enter the log"
    );
    server.sql("create database d; create table d.t (a int primary key); insert into d.t values (1)").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(server.sql("select a from d.t").unwrap(), "1\n");
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(server.sql("select a from d.t").unwrap(), "1\n");
}

#[test]
fn two_servers_from_one_template_have_different_identities() {
    let options = mysql::Options::default();
    let Some((one, two)) = require(mysql::start(&options).and_then(|one| Ok((one, mysql::start(&options)?)))) else {
        return;
    };
    assert_ne!(one.sql("select @@server_uuid").unwrap(), two.sql("select @@server_uuid").unwrap());
    assert_ne!(one.port(), two.port());
}

#[test]
fn later_arguments_win_over_the_defaults() {
    let options = mariadb::Options { extra_args: vec!["--binlog-row-metadata=MINIMAL".into()], ..Default::default() };
    let Some(server) = require(mariadb::start(&options)) else { return };
    assert_eq!(server.sql("select @@binlog_row_metadata").unwrap(), "MINIMAL\n");
}

#[test]
fn a_failed_start_shows_the_servers_own_words() {
    let options = mariadb::Options { extra_args: vec!["--no-such-option".into()], ..Default::default() };
    match mariadb::start(&options) {
        Ok(_) => panic!("MariaDB took an unknown option"),
        Err(error) if error.downcast_ref::<limpid_stack::Unavailable>().is_some() => {
            require::<mariadb::Server>(Err(error));
        }
        Err(error) => assert!(format!("{error:#}").contains("unknown option '--no-such-option'"), "{error:#}"),
    }
}

#[test]
fn a_session_holds_its_transaction_and_survives_an_error() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    server.sql("create database d; create table d.t (a int primary key)").unwrap();
    let mut session = server.session().unwrap();
    session.exec("begin").unwrap();
    session.exec("insert into d.t values (1); -- a comment").unwrap();
    let error = session.exec("insert into d.t values (1)").unwrap_err();
    assert!(error.to_string().contains("Duplicate entry"), "{error}");
    assert_eq!(session.exec("select a from d.t").unwrap(), "1\n");
    assert_eq!(server.sql("select count(*) from d.t").unwrap(), "0\n");
    session.exec("commit").unwrap();
    assert_eq!(server.sql("select count(*) from d.t").unwrap(), "1\n");
    let error = server.sql("select 1; select nonsense").unwrap_err();
    assert!(error.to_string().contains("Unknown column"), "{error}");
}

#[test]
fn a_server_with_tls_proves_itself_to_whoever_trusts_its_authority() {
    let Some(server) = require(mariadb::start(&mariadb::Options { tls: true, ..Default::default() })) else { return };
    proves_itself(server.port(), server.certificates().unwrap());
    let Some(server) = require(mysql::start(&mysql::Options { tls: true, ..Default::default() })) else { return };
    proves_itself(server.port(), server.certificates().unwrap());
}

fn proves_itself(port: u16, certificates: &limpid_stack::tls::Certificates) {
    let query = |authority: &Path| {
        let output = Command::new("mariadb")
            .args([
                "--no-defaults",
                "-N",
                "-B",
                "-uroot",
                "-h127.0.0.1",
                "--ssl-verify-server-cert",
                "-e",
                "show status like 'Ssl_version'",
            ])
            .arg(format!("-P{port}"))
            .arg(format!("--ssl-ca={}", authority.display()))
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (connected, version) = query(&certificates.ca());
    assert!(connected && version.contains("TLSv1."), "{version}");
    let other = limpid_stack::TempDir::new("authority").unwrap();
    let stranger = limpid_stack::tls::Certificates::make(other.path()).unwrap();
    assert!(!query(&stranger.ca()).0, "a foreign authority must not do");
}

#[test]
fn a_paused_server_answers_again_when_resumed() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else { return };
    server.pause().unwrap();
    server.resume().unwrap();
    server.wait_ready().unwrap();
    assert_eq!(server.sql("select 1").unwrap(), "1\n");
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let Some(server) = require(std::thread::spawn(|| mariadb::start(&mariadb::Options::default())).join().unwrap())
    else {
        return;
    };
    let pid = server.pid().unwrap();
    // The signal of a dead parent thread arrives within microseconds; a query each 20 ms would see it.
    for _ in 0..10 {
        assert_eq!(server.sql("select 1").unwrap(), "1\n");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(server);
    assert!(!runs(pid), "a dropped server must be gone");
}

#[test]
fn servers_die_with_a_parent_that_is_killed() {
    if std::env::var_os("LIMPID_STACK_PARENT").is_some() {
        return be_the_parent();
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_die_with_a_parent_that_is_killed", "--nocapture"])
        .env("LIMPID_STACK_PARENT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let word = lines.map(Result::unwrap).find_map(|line| line.split_once("server pid ").map(|(_, pid)| pid.to_owned()));
    let word = word.expect("the parent names its server");
    if let Ok(pid) = word.parse() {
        assert!(runs(pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        eventually("the server dies with its parent", || !runs(pid));
    } else {
        parent.wait().unwrap();
    }
}

/// Starts a server, says so, and waits for the end.
fn be_the_parent() {
    let Some(server) = require(mariadb::start(&mariadb::Options::default())) else {
        println!("server pid none");
        return;
    };
    println!("server pid {}", server.pid().unwrap());
    // Standard input is a pipe that the killer holds: if it dies first, this ends too.
    let _ = std::io::stdin().lines().next();
}

const PRODUCER: &str = "kafka.tools.ConsoleProducer";

#[test]
fn kafka_keeps_its_records_over_a_kill_and_shows_them_byte_for_byte() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    server.create_topic("t", 3, &[("cleanup.policy", "compact")]).unwrap();
    assert!(server.describe_topic("t").unwrap().contains(&"cleanup.policy=compact".to_owned()));
    assert_eq!(server.consume("t", Isolation::ReadCommitted).unwrap(), []);
    let bootstrap = server.bootstrap();
    let mut args = vec!["--bootstrap-server", &bootstrap, "--topic", "t"];
    let properties = ["parse.key=true", "parse.headers=true", "null.marker=NULL"];
    args.extend(properties.iter().flat_map(|property| ["--property", property]));
    server.tool_with_input(PRODUCER, &args, b"h:1,h:2\tkey\tvalue \xff\nh:\tkey\tNULL\n").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    let records = server.consume("t", Isolation::ReadCommitted).unwrap();
    let [first, second] = records.as_slice() else { panic!("not two records: {records:?}") };
    assert_eq!((first.partition, first.offset, second.offset), (second.partition, 0, 1));
    assert_eq!(first.headers, [("h".into(), Some(b"1".to_vec())), ("h".into(), Some(b"2".to_vec()))]);
    assert_eq!((first.key.as_deref(), second.value.as_deref()), (Some(&b"key"[..]), None));
    assert_eq!(second.headers, [("h".into(), Some(vec![]))]);
    assert!(first.timestamp.is_some());
    assert!(server.create_topic("t", 3, &[]).is_err());
    assert!(server.count("no-such-topic", Isolation::ReadCommitted).is_err());
}

#[test]
fn markers_and_aborted_records_are_not_counted() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    server.create_topic("t", 1, &[]).unwrap();
    let bootstrap = format!("bootstrap.servers={}", server.bootstrap());
    let args = [
        "--topic",
        "t",
        "--num-records",
        "50",
        "--record-size",
        "10",
        "--throughput",
        "-1",
        "--producer-props",
        &bootstrap,
    ];
    let transactions = ["--transactional-id", "x", "--transaction-duration-ms", "1"];
    server.tool("org.apache.kafka.tools.ProducerPerformance", &[&args[..], &transactions].concat()).unwrap();
    let offsets = server.offsets("t", Isolation::ReadCommitted).unwrap();
    assert!(offsets.iter().all(|offsets| offsets.end > 50), "{offsets:?}");
    assert_eq!(server.consume("t", Isolation::ReadCommitted).unwrap().len(), 50);
    server.create_topic("copy", 1, &[]).unwrap();
    let brokers = server.bootstrap();
    let topics = ["--input-topic", "t", "--output-topic", "copy", "--input-partition", "0", "--consumer-group", "g"];
    let copying =
        ["--broker-list", &brokers, "--transactional-id", "y", "--transaction-size", "1", "--enable-random-aborts"];
    server
        .tool(
            "org.apache.kafka.tools.TransactionalMessageCopier",
            &[&topics[..], &copying, &["--max-messages", "50"]].concat(),
        )
        .unwrap();
    assert!(
        server.count("copy", Isolation::ReadUncommitted).unwrap() > 50,
        "of 50 transactions, a third to be aborted, none was"
    );
    assert_eq!(server.consume("copy", Isolation::ReadCommitted).unwrap().len(), 50);
}

#[test]
fn kafka_with_tls_and_a_small_limit_refuses_what_it_should() {
    let options = kafka::Options { sasl_tls: true, message_bytes_max: Some(1000), ..Default::default() };
    let Some(server) = require(kafka::start(&options)) else { return };
    server.create_topic("t", 1, &[]).unwrap();
    let bootstrap = format!("127.0.0.1:{}", server.sasl_port().unwrap());
    let send = |password: &str, record: &[u8]| {
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let config = server.dir().join("client.properties");
        let lines = [
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanism=PLAIN".to_owned(),
            format!("sasl.jaas.config={login} required username=\"{}\" password=\"{password}\";", kafka::SASL_USER),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", server.certificates().unwrap().ca().display()),
        ];
        std::fs::write(&config, lines.join("\n")).unwrap();
        let args =
            ["--bootstrap-server", &bootstrap, "--topic", "t", "--producer.config", config.to_str().unwrap(), "--sync"];
        // The tool ends well even when a record is refused, so the log is what counts.
        let _ = server.tool_with_input(PRODUCER, &args, record);
        server.count("t", Isolation::ReadUncommitted).unwrap()
    };
    assert_eq!(send(kafka::SASL_PASSWORD, b"small\n"), 1);
    assert_eq!(send(kafka::SASL_PASSWORD, &[b'x'; 2000]), 1, "message.max.bytes must hold");
    assert_eq!(send("wrong", b"small\n"), 1, "a wrong password must be refused");
}

#[test]
fn prometheus_answers_queries_over_restart_and_reload() {
    let Some(server) = require(prometheus::start(&prometheus::Options::default())) else { return };
    assert!(server.query("vector(1) + 41").unwrap().contains("\"42\""));
    server.kill().unwrap();
    server.restart().unwrap();
    let port = server.port();
    server.reload(&format!("scrape_configs: [{{job_name: self, scrape_interval: 100ms, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]")).unwrap();
    eventually("Prometheus scrapes itself", || server.query("up{job=\"self\"}").unwrap().contains("\"1\""));
    assert!(server.reload("no: yaml: at all").is_err());
}
