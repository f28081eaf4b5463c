//! Rows and record in one transaction: what nobody sees before its commit, who may commit, what a broken one leaves.

use std::time::{Duration, Instant};

use limpid_config::Delivery;
use limpid_connector::{Accepted, EncodedBatch, Keeping, Sink};
use limpid_kafka::{KafkaOptions, TopicCreation};
use limpid_model::{FaultCode, FaultKind};
use limpid_stack::kafka::{self, Isolation, Server};
use limpid_stack::require;

use crate::batches::{Builder, Driver, chain};
use crate::shared;

fn exactly_once(server: &Server, positions: &str) -> KafkaOptions {
    KafkaOptions {
        delivery: Delivery::ExactlyOnce,
        position_topic: positions.to_owned(),
        creation: TopicCreation { partitions: 3, ..TopicCreation::default() },
        ..KafkaOptions::plain([server.bootstrap()])
    }
}

/// Batch `seq` holds ten numbers under as many keys.
fn numbered(seq: u64, topic: &str) -> Box<EncodedBatch> {
    let mut batch = Builder::new(seq);
    let table = batch.table("t", topic);
    for number in seq * 10..(seq + 1) * 10 {
        batch.record(table, Some((number % 10).to_string().as_bytes()), Some(number.to_string().as_bytes()));
    }
    batch.build()
}

/// What a reader of committed records sees, once it sees so many: a commit is shown a moment after it is made.
fn values(server: &Server, topic: &str, count: u64) -> Vec<u64> {
    wait_for(|| server.count(topic, Isolation::ReadCommitted).unwrap() >= count);
    let records = server.consume(topic, Isolation::ReadCommitted).unwrap();
    let mut values: Vec<u64> = records
        .iter()
        .map(|record| String::from_utf8(record.value.clone().unwrap()).unwrap().parse().unwrap())
        .collect();
    values.sort_unstable();
    values
}

fn wait_for(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within half a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until every record handed in is at the broker, committed or not.
fn until_sent(driver: &mut Driver, server: &Server, topic: &str, records: u64) {
    driver
        .until("the rows are at the broker", |_| {
            server.count(topic, Isolation::ReadUncommitted).is_ok_and(|count| count >= records)
        })
        .unwrap();
}

#[test]
fn rows_are_durable_and_seen_only_once_their_record_is_saved() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::begin(exactly_once(&server, "tx-positions"), "together");
    assert!(matches!(driver.sink.keeping(), Keeping::Together { every, .. } if every == Duration::from_millis(100)));
    for seq in 0..3 {
        driver.write(numbered(seq, "tx-rows")).unwrap();
    }
    until_sent(&mut driver, &server, "tx-rows", 30);
    driver.poll(Duration::from_millis(100)).unwrap();
    assert_eq!(driver.durable.len(), 0, "acknowledged is not committed");
    driver.until("all of it has arrived", |driver| driver.arrived.len() == 3).unwrap();
    assert_eq!(driver.sink.held_bytes().0, 0, "what waits for its commit holds no encoded byte");
    assert_eq!(server.count("tx-rows", Isolation::ReadCommitted).unwrap(), 0);
    driver.sink.save_record(b"first").unwrap();
    assert!(matches!(driver.sink.write(numbered(3, "tx-rows")).unwrap(), Accepted::Full(_)), "a commit is under way");
    driver.until("the record is saved", |driver| driver.saved == 1).unwrap();
    assert_eq!(driver.durable.len(), 3, "durable together with the record");
    assert_eq!(driver.receipts, driver.arrived, "the receipts tell what was sent");
    assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"first"[..]));
    // The next transaction; and one with nothing but a record.
    driver.write(numbered(3, "tx-rows")).unwrap();
    driver.save(b"second").unwrap();
    driver.save(b"third").unwrap();
    assert_eq!(driver.durable.len(), 4);
    assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"third"[..]));
    assert_eq!(values(&server, "tx-rows", 40), (0..40).collect::<Vec<_>>());
}

#[test]
fn what_an_instance_left_open_is_undone_by_the_next_and_its_record_with_it() {
    let Some(server) = shared() else { return };
    let options = exactly_once(&server, "tx-left-positions");
    let mut first = Driver::begin(options.clone(), "left");
    first.write(numbered(0, "tx-left")).unwrap();
    first.save(b"kept").unwrap();
    first.write(numbered(1, "tx-left")).unwrap();
    until_sent(&mut first, &server, "tx-left", 20);
    // Not dropped: a killed process undoes nothing.
    let mut second = Driver::new(options, "left");
    second.sink.open().unwrap();
    assert_eq!(second.sink.load_record().unwrap().as_deref(), Some(&b"kept"[..]), "read before anybody is shut out");
    second.sink.fence().unwrap();
    assert_eq!(second.sink.load_record().unwrap().as_deref(), Some(&b"kept"[..]));
    second.write(numbered(2, "tx-left")).unwrap();
    second.save(b"later").unwrap();
    assert_eq!(values(&server, "tx-left", 20), (0..10).chain(20..30).collect::<Vec<_>>());
    // The first is told for good.
    let fault = first.save(b"too late").unwrap_err();
    assert_eq!((fault.code(), fault.kind()), (FaultCode::Fenced, FaultKind::Definite), "{}", chain(&fault));
    assert_eq!(second.sink.load_record().unwrap().as_deref(), Some(&b"later"[..]));
}

#[test]
fn an_older_instance_that_only_sends_rows_is_told_too() {
    let Some(server) = shared() else { return };
    let options = exactly_once(&server, "tx-older-positions");
    let mut first = Driver::begin(options.clone(), "older");
    first.write(numbered(0, "tx-older")).unwrap();
    first.save(b"r").unwrap();
    let _second = Driver::begin(options, "older");
    first.write(numbered(1, "tx-older")).unwrap();
    let fault = first.until("it is told", |_| false).unwrap_err();
    assert_eq!(fault.code(), FaultCode::Fenced, "{}", chain(&fault));
    assert_eq!(values(&server, "tx-older", 10), (0..10).collect::<Vec<_>>());
}

#[test]
fn at_least_once_an_older_instance_keeps_its_rows_and_loses_its_record() {
    let Some(server) = shared() else { return };
    let options = KafkaOptions { delivery: Delivery::AtLeastOnce, ..exactly_once(&server, "alo-positions") };
    let mut first = Driver::begin(options.clone(), "beside");
    first.write(numbered(0, "alo-rows")).unwrap();
    first.until_durable(1).unwrap();
    first.save(b"first").unwrap();
    let mut second = Driver::begin(options, "beside");
    assert_eq!(second.sink.load_record().unwrap().as_deref(), Some(&b"first"[..]));
    second.save(b"second").unwrap();
    first.write(numbered(1, "alo-rows")).unwrap();
    first.until_durable(2).unwrap();
    let fault = first.save(b"too late").unwrap_err();
    assert_eq!(fault.code(), FaultCode::Fenced, "{}", chain(&fault));
    assert_eq!(second.sink.load_record().unwrap().as_deref(), Some(&b"second"[..]));
}

#[test]
fn a_record_behind_another_pipelines_open_transaction_is_found() {
    let Some(server) = shared() else { return };
    let options = exactly_once(&server, "tx-shared-positions");
    let mut other = Driver::begin(options.clone(), "other");
    let mut ours = Driver::begin(options.clone(), "ours");
    ours.save(b"old").unwrap();
    // The other's record is at the broker and stays uncommitted: nobody drives its sink on.
    other.sink.save_record(b"open").unwrap();
    let before = server.count("tx-shared-positions", Isolation::ReadUncommitted).unwrap();
    ours.until("the other's record is there", |_| {
        server.count("tx-shared-positions", Isolation::ReadUncommitted).unwrap() > before.min(1)
    })
    .unwrap();
    ours.save(b"new").unwrap();
    drop(ours);
    let mut again = Driver::begin(options, "ours");
    // Whoever stops at the open transaction finds the old record.
    let reading = std::thread::spawn(move || again.sink.load_record().unwrap());
    std::thread::sleep(Duration::from_millis(500));
    assert!(!reading.is_finished(), "it waits for the other's transaction");
    other.until("the other commits", |driver| driver.saved == 1).unwrap();
    assert_eq!(reading.join().unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn nothing_is_lost_or_doubled_when_the_broker_is_killed_during_commits() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    let options = exactly_once(&server, "tx-killed-positions");
    let mut driver = Driver::begin(options.clone(), "killed");
    let (mut seq, mut kills) = (0, vec![50, 30, 10]);
    while seq < 60 {
        let mut commit = || {
            driver.write(numbered(seq, "tx-killed"))?;
            driver.sink.save_record(seq.to_string().as_bytes())?;
            if kills.pop_if(|at| *at == seq).is_some() {
                server.kill().unwrap();
                server.restart().unwrap();
            }
            let before = driver.saved;
            driver.until("the record is saved", |driver| driver.saved > before)
        };
        match commit() {
            Ok(()) => seq += 1,
            // As the engine does: whether it went through, only the record knows.
            Err(fault) => {
                assert_eq!(fault.kind(), FaultKind::Transient, "{}", chain(&fault));
                driver = Driver::begin(options.clone(), "killed");
                let found = driver.sink.load_record().unwrap().map(|record| String::from_utf8(record).unwrap());
                seq = found.map_or(0, |found| found.parse::<u64>().unwrap() + 1);
            }
        }
    }
    assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"59"[..]));
    assert_eq!(values(&server, "tx-killed", 600), (0..600).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_is_dropped_undoes_its_transaction_at_once() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::begin(exactly_once(&server, "tx-dropped-positions"), "dropped");
    driver.write(numbered(0, "tx-dropped")).unwrap();
    until_sent(&mut driver, &server, "tx-dropped", 10);
    drop(driver);
    let plain = KafkaOptions {
        creation: TopicCreation { partitions: 3, ..TopicCreation::default() },
        ..KafkaOptions::plain([server.bootstrap()])
    };
    let mut plain = Driver::begin(plain, "plain");
    plain.write(numbered(7, "tx-dropped")).unwrap();
    plain.until_durable(1).unwrap();
    // Behind an open transaction they would not be seen for a minute.
    plain
        .until("rows behind it are seen", |_| server.count("tx-dropped", Isolation::ReadCommitted).unwrap() == 10)
        .unwrap();
    assert_eq!(values(&server, "tx-dropped", 10), (70..80).collect::<Vec<_>>());
}
