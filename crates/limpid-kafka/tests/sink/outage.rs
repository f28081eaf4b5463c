//! Brokers that are killed, hang, or were never there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use limpid_connector::{Accepted, Sink};
use limpid_kafka::{KafkaOptions, TopicCreation};
use limpid_model::{FaultCode, FaultKind};
use limpid_stack::kafka::{self, Isolation};
use limpid_stack::{ports, require};

use crate::batches::{Builder, Driver, chain};

/// Batch `seq` holds the numbers from `seq * 500` on, under 11 keys.
fn numbered(seq: u64, topic: &str) -> Box<limpid_connector::EncodedBatch> {
    let mut batch = Builder::new(seq);
    let table = batch.table("t", topic);
    for number in seq * 500..(seq + 1) * 500 {
        let value = format!("{number} {}", "x".repeat(300));
        batch.record(table, Some((number % 11).to_string().as_bytes()), Some(value.as_bytes()));
    }
    batch.build()
}

/// All numbers below `count` once, and in order per key.
fn check_numbers(server: &kafka::Server, topic: &str, count: u64) {
    let mut last: HashMap<Vec<u8>, u64> = HashMap::new();
    let records = server.consume(topic, Isolation::ReadCommitted).unwrap();
    for record in &records {
        let text = String::from_utf8(record.value.clone().unwrap()).unwrap();
        let number: u64 = text.split(' ').next().unwrap().parse().unwrap();
        let before = last.insert(record.key.clone().unwrap(), number);
        assert_eq!(before.map_or(number % 11, |before| before + 11), number, "lost, doubled or out of order");
    }
    assert_eq!(records.len() as u64, count);
}

#[test]
fn nothing_is_lost_or_doubled_when_the_broker_is_killed_under_load() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    let creation = TopicCreation { partitions: 3, ..TopicCreation::default() };
    let mut driver = Driver::open(KafkaOptions { creation, ..KafkaOptions::plain([server.bootstrap()]) });
    let batches = 400;
    for seq in 0..batches {
        driver.write(numbered(seq, "killed")).unwrap();
        driver.poll(Duration::ZERO).unwrap();
        if seq == 100 || seq == 250 {
            driver.until("something is under way and something is done", |driver| driver.durable.len() > 50).unwrap();
            assert!(driver.sink.held_bytes().0 > 0, "the broker dies with requests under way");
            server.kill().unwrap();
            driver.until("the loss is told", |driver| driver.health.last() == Some(&false)).unwrap();
            server.restart().unwrap();
            driver.until("the return is told", |driver| driver.health.last() == Some(&true)).unwrap();
        }
    }
    driver.until_durable(batches as usize).unwrap();
    assert_eq!(driver.records(), batches * 500);
    check_numbers(&server, "killed", batches * 500);
    assert_eq!(driver.health, [false, true, false, true]);
}

#[test]
fn a_broker_that_hangs_fills_the_sink_to_its_bound_and_no_further() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
    driver.write(numbered(0, "paused")).unwrap();
    driver.until_durable(1).unwrap();
    server.pause().unwrap();
    let (_, bound) = driver.sink.held_bytes();
    let (mut seq, mut waiting) = (1, None);
    while waiting.is_none() {
        match driver.sink.write(numbered(seq, "paused")).unwrap() {
            Accepted::Taken => seq += 1,
            Accepted::Full(batch) => waiting = Some(batch),
        }
        driver.poll(Duration::ZERO).unwrap();
        assert!(driver.sink.held_bytes().0 <= bound, "the bound holds");
    }
    assert!(driver.sink.held_bytes().0 > bound / 2, "{:?}", driver.sink.held_bytes());
    driver.poll(Duration::from_millis(300)).unwrap();
    assert_eq!(driver.durable.len(), 1, "nothing is durable that nobody acknowledged");
    // A topic that is not known yet can only be asked for; that must not block either.
    assert!(matches!(driver.sink.write(numbered(seq + 1, "unknown")).unwrap(), Accepted::Full(_)));
    server.resume().unwrap();
    driver.write(waiting.unwrap()).unwrap();
    driver.until_durable(seq as usize + 1).unwrap();
    check_numbers(&server, "paused", (seq + 1) * 500);
}

#[test]
fn dropping_a_sink_with_records_under_way_does_not_wait_for_a_dead_broker() {
    let Some(server) = require(kafka::start(&kafka::Options::default())) else { return };
    for hang in [true, false] {
        let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
        driver.write(numbered(0, "dropped")).unwrap();
        driver.until_durable(1).unwrap();
        if hang {
            server.pause().unwrap()
        } else {
            server.kill().unwrap()
        }
        (1..20).for_each(|seq| driver.write(numbered(seq, "dropped")).unwrap());
        driver.poll(Duration::from_millis(100)).unwrap();
        let begun = Instant::now();
        drop(driver);
        assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
        if hang {
            server.resume().unwrap();
        }
    }
}

#[test]
fn a_broker_that_is_not_there_is_a_passing_fault_until_it_is() {
    let lease = ports::lease().unwrap();
    let endpoint = format!("127.0.0.1:{}", lease.port());
    let mut driver = Driver::new(KafkaOptions::plain([endpoint.clone()]), "absent");
    let fault = driver.sink.open().unwrap_err();
    assert_eq!((fault.code(), fault.kind()), (FaultCode::SinkUnreachable, FaultKind::Transient), "{}", chain(&fault));
    assert_eq!(fault.object(), Some(endpoint.as_str()));
    assert!(chain(&fault).contains("refused"), "{}", chain(&fault));
    let mut driver = Driver::new(KafkaOptions::plain(["no-such-host.invalid:9092"]), "absent");
    let fault = driver.sink.open().unwrap_err();
    assert_eq!(fault.code(), FaultCode::SinkUnreachable, "{}", chain(&fault));
    drop(lease);
}
