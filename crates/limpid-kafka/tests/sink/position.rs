//! The position record and its topic.

use limpid_connector::Sink;
use limpid_kafka::KafkaOptions;
use limpid_model::FaultCode;
use limpid_stack::kafka::Isolation;

use crate::batches::{Driver, chain};
use crate::shared;

fn options(brokers: String, topic: &str) -> KafkaOptions {
    KafkaOptions { position_topic: topic.to_owned(), ..KafkaOptions::plain([brokers]) }
}

#[test]
fn the_newest_record_of_the_own_pipeline_comes_back() {
    let Some(server) = shared() else { return };
    // Whatever `topic-creation` says.
    let mut options = options(server.bootstrap(), "positions");
    options.creation.enabled = false;
    options.creation.partitions = 5;
    let mut one = Driver::new(options.clone(), "one");
    one.sink.open().unwrap();
    assert_eq!(one.sink.load_record().unwrap(), None);
    let mut two = Driver::new(options.clone(), "two");
    two.sink.open().unwrap();
    for number in 0..20 {
        one.save(format!("one {number}").as_bytes()).unwrap();
        two.save(format!("two {number}").as_bytes()).unwrap();
    }
    for (name, expected) in [("one", Some("one 19")), ("two", Some("two 19")), ("three", None)] {
        let mut driver = Driver::new(options.clone(), name);
        driver.sink.open().unwrap();
        let found = driver.sink.load_record().unwrap();
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{name}");
    }
    assert_eq!(server.offsets("positions", Isolation::ReadCommitted).unwrap().len(), 1);
    let settings = server.describe_topic("positions").unwrap();
    assert!(settings.contains(&"cleanup.policy=compact".to_owned()), "{settings:?}");
    let records = server.consume("positions", Isolation::ReadCommitted).unwrap();
    assert!(records.iter().all(|record| record.key.as_deref().is_some_and(|key| key == b"one" || key == b"two")));
}

#[test]
fn a_topic_that_could_lose_the_record_is_refused() {
    let Some(server) = shared() else { return };
    server.create_topic("three-partitions", 3, &[("cleanup.policy", "compact")]).unwrap();
    server.create_topic("by-age", 1, &[("cleanup.policy", "delete")]).unwrap();
    server.create_topic("both", 1, &[("cleanup.policy", "compact,delete")]).unwrap();
    for (topic, command) in [
        ("three-partitions", "kafka-topics.sh --bootstrap-server"),
        ("by-age", "--add-config cleanup.policy=compact"),
        ("both", "--add-config cleanup.policy=compact"),
    ] {
        let fault = Driver::new(options(server.bootstrap(), topic), "p").sink.open().unwrap_err();
        assert_eq!((fault.code(), fault.object()), (FaultCode::PositionTopicInvalid, Some(topic)), "{}", chain(&fault));
        assert!(fault.remedy().contains(command), "{}", fault.remedy());
    }
}

#[test]
fn a_record_larger_than_the_topic_allows_is_refused_and_never_taken_for_saved() {
    let Some(server) = shared() else { return };
    server.create_topic("small-positions", 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "500")]).unwrap();
    let mut driver = Driver::open(options(server.bootstrap(), "small-positions"));
    driver.save(b"small").unwrap();
    // Not compressible: the broker compares after compression.
    let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let fault = driver.save(&noise).unwrap_err();
    assert_eq!(fault.code(), FaultCode::PositionTopicInvalid, "{}", chain(&fault));
    driver.sink.open().unwrap();
    assert_eq!(driver.sink.load_record().unwrap().as_deref(), Some(&b"small"[..]));
}
