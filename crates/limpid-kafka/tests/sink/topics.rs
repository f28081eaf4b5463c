//! Topics that are not there, may not be made, have no legal name, or go away.

use limpid_config::Secret;
use limpid_connector::Sink;
use limpid_kafka::{KafkaOptions, TopicCreation};
use limpid_model::{Fault, FaultCode};
use limpid_stack::kafka::Isolation;

use crate::batches::{Builder, Driver, chain};
use crate::shared;

fn one_record(topic: &str) -> Box<limpid_connector::EncodedBatch> {
    let mut batch = Builder::new(0);
    let table = batch.table("t", topic);
    batch.record(table, Some(b"k"), Some(b"v"));
    batch.build()
}

fn deliver(driver: &mut Driver, topic: &str) -> Result<(), Fault> {
    let before = driver.durable.len();
    driver.write(one_record(topic))?;
    driver.until_durable(before + 1)
}

#[test]
fn a_topic_is_made_with_the_partitions_and_settings_asked_for() {
    let Some(server) = shared() else { return };
    let config = vec![
        ("retention.ms".to_owned(), "3600000".to_owned()),
        ("cleanup.policy".to_owned(), "compact,delete".to_owned()),
    ];
    let creation = TopicCreation { partitions: 4, config, ..TopicCreation::default() };
    let mut driver = Driver::open(KafkaOptions { creation, ..KafkaOptions::plain([server.bootstrap()]) });
    deliver(&mut driver, "made").unwrap();
    assert_eq!(server.offsets("made", Isolation::ReadCommitted).unwrap().len(), 4);
    let settings = server.describe_topic("made").unwrap();
    for setting in ["retention.ms=3600000", "cleanup.policy=compact,delete"] {
        assert!(settings.contains(&setting.to_owned()), "{setting} in {settings:?}");
    }
}

#[test]
fn the_brokers_defaults_are_asked_for_by_minus_one() {
    let Some(server) = shared() else { return };
    let creation = TopicCreation { partitions: -1, ..TopicCreation::default() };
    let mut driver = Driver::open(KafkaOptions { creation, ..KafkaOptions::plain([server.bootstrap()]) });
    deliver(&mut driver, "by-default").unwrap();
    assert_eq!(server.offsets("by-default", Isolation::ReadCommitted).unwrap().len(), 1);
}

#[test]
fn a_batch_without_records_of_a_table_makes_no_topic_for_it() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
    let mut batch = Builder::new(0);
    batch.table("empty", "never-needed");
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    assert!(server.count("never-needed", Isolation::ReadCommitted).is_err());
}

#[test]
fn a_topic_that_cannot_be_had_is_named() {
    let Some(server) = shared() else { return };
    let plain = || KafkaOptions::plain([server.bootstrap()]);
    let with = |creation| KafkaOptions { creation, ..plain() };
    let check = |options: KafkaOptions, topic: &str, code: FaultCode| {
        let fault = deliver(&mut Driver::open(options), topic).unwrap_err();
        assert_eq!((fault.code(), fault.object()), (code, Some(topic)), "{}", chain(&fault));
        assert!(server.count(topic, Isolation::ReadCommitted).is_err(), "{topic} was not made");
    };
    let default = TopicCreation::default;
    check(with(TopicCreation { enabled: false, ..default() }), "absent", FaultCode::TopicMissing);
    check(plain(), "not legal", FaultCode::TopicNameInvalid);
    let three = TopicCreation { replication_factor: 3, ..default() };
    check(with(three), "three-copies", FaultCode::TopicCreationRefused);
    let unknown = TopicCreation { config: vec![("no.such".into(), "1".into())], ..default() };
    check(with(unknown), "odd-setting", FaultCode::TopicCreationRefused);
}

#[test]
fn a_topic_deleted_while_it_is_written_to_is_missing_and_nothing_counts_as_delivered() {
    let Some(server) = shared() else { return };
    // How long librdkafka believes that a topic it does not find was only just made: 30 s by default.
    let patience = vec![("topic.metadata.propagation.max.ms".to_owned(), Secret::new("500"))];
    let mut driver = Driver::open(KafkaOptions { librdkafka: patience, ..KafkaOptions::plain([server.bootstrap()]) });
    deliver(&mut driver, "short-lived").unwrap();
    let bootstrap = server.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--delete", "--topic", "short-lived"];
    server.tool("org.apache.kafka.tools.TopicCommand", &args).unwrap();
    let fault = deliver(&mut driver, "short-lived").unwrap_err();
    assert_eq!((fault.code(), fault.object()), (FaultCode::TopicMissing, Some("short-lived")), "{}", chain(&fault));
    assert_eq!(driver.durable.len(), 1);
    driver.sink.open().unwrap();
    deliver(&mut driver, "short-lived").unwrap();
    assert_eq!(server.count("short-lived", Isolation::ReadCommitted).unwrap(), 1, "made anew");
}
