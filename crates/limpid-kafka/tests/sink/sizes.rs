//! Records and batches that are too large: for a topic, for the queue.

use limpid_config::Secret;
use limpid_connector::{Accepted, Sink};
use limpid_kafka::{Compression, KafkaOptions};
use limpid_model::{FaultCode, TableName};
use limpid_stack::kafka::Isolation;

use crate::batches::{Builder, Driver, chain};
use crate::{alter, shared};

fn uncompressed(brokers: String) -> KafkaOptions {
    KafkaOptions { compression: Compression::None, ..KafkaOptions::plain([brokers]) }
}

#[test]
fn a_record_over_the_topics_limit_is_known_before_it_is_sent_and_others_go_on() {
    let Some(server) = shared() else { return };
    server.create_topic("limited", 1, &[("max.message.bytes", "2000")]).unwrap();
    let mut driver = Driver::open(uncompressed(server.bootstrap()));
    for seq in 0..3 {
        let mut batch = Builder::new(seq);
        let (large, small) = (batch.table("large", "limited"), batch.table("small", "limited"));
        batch.record(large, Some(b"a"), Some(b"fits"));
        batch.record(small, Some(b"b"), Some(b"fits"));
        if seq == 1 {
            batch.record(large, Some(b"a"), Some(&[b'x'; 2000]));
            batch.record(large, Some(b"a"), Some(b"after it"));
            batch.record(small, Some(b"b"), Some(b"beside it"));
        }
        driver.write(batch.build()).unwrap();
    }
    driver.until_durable(3).unwrap();
    let [(table, fault)] = driver.row_faults.as_slice() else { panic!("{:?}", driver.row_faults) };
    assert_eq!((table, fault.code()), (&TableName::new("d", "large"), FaultCode::RecordTooLarge));
    assert_eq!(fault.to_string(), "a record of 2071 bytes is over the topic's limit of 2000");
    let records = server.consume("limited", Isolation::ReadCommitted).unwrap();
    let keys: String = records.iter().map(|record| String::from_utf8(record.key.clone().unwrap()).unwrap()).collect();
    assert_eq!(keys, "abababab", "all but the one");
    assert_eq!(driver.records(), 8);
}

/// The limit is the broker's to enforce: what we let through at the last byte it must take, and one byte more not.
#[test]
fn the_size_that_is_compared_with_the_limit_is_the_brokers() {
    let Some(server) = shared() else { return };
    let limit = 5000;
    server.create_topic("edge", 1, &[("max.message.bytes", &limit.to_string())]).unwrap();
    for (value, headers, key) in [(4900, 0, 1), (4800, 3, 70), (3000, 1, 1900)] {
        let mut driver = Driver::open(uncompressed(server.bootstrap()));
        let (mut largest_taken, mut smallest_refused) = (0, usize::MAX);
        for extra in 0..100 {
            let mut batch = Builder::new(extra);
            let table = batch.table(&format!("t{extra}"), "edge");
            let headers = vec![("name", Some(&b"value"[..])); headers];
            batch.with_headers(table, Some(&vec![b'k'; key]), Some(&vec![b'v'; value + extra as usize]), &headers);
            driver.write(batch.build()).unwrap();
            driver.until_durable(extra as usize + 1).unwrap();
            match driver.durable.last().unwrap().1.is_empty() {
                true => smallest_refused = smallest_refused.min(extra as usize),
                false => largest_taken = largest_taken.max(extra as usize),
            }
        }
        assert!(smallest_refused < 100, "the range holds the edge");
        assert_eq!(largest_taken + 1, smallest_refused);
        let told: Vec<String> = driver.row_faults.iter().map(|(_, fault)| fault.to_string()).collect();
        assert!(told.iter().all(|told| told.contains("over the topic's limit of 5000")), "all known before: {told:?}");
        assert_eq!(told[0], "a record of 5001 bytes is over the topic's limit of 5000");
    }
}

/// A topic with one record of one batch: the broker's file is as long as the batch.
#[test]
fn the_size_told_of_a_record_is_its_size_in_the_brokers_log() {
    let Some(server) = shared() else { return };
    server.create_topic("refusing", 1, &[("max.message.bytes", "60")]).unwrap();
    let all_headers = [("name", Some(&b"value"[..])), ("null", None)];
    let shapes = [(Some(1), Some(1), 0), (None, Some(700), 0), (Some(64), None, 1), (Some(9000), Some(70_000), 2)];
    for (key, value, headers) in shapes {
        let topic = format!("weighed-{}", key.unwrap_or(0));
        let mut driver = Driver::open(uncompressed(server.bootstrap()));
        for (seq, topic) in [topic.as_str(), "refusing"].into_iter().enumerate() {
            let mut batch = Builder::new(seq as u64);
            let table = batch.table("t", topic);
            let bytes = |length: Option<usize>| length.map(|length| vec![b'x'; length]);
            batch.with_headers(table, bytes(key).as_deref(), bytes(value).as_deref(), &all_headers[..headers]);
            driver.write(batch.build()).unwrap();
            driver.until_durable(seq + 1).unwrap();
        }
        let log = server.dir().join(format!("data/{topic}-0/00000000000000000000.log"));
        let weighed = std::fs::metadata(log).unwrap().len();
        let told = format!("a record of {weighed} bytes is over the topic's limit of 60");
        assert_eq!(driver.row_faults[0].1.to_string(), told);
    }
}

#[test]
fn a_record_that_only_the_broker_finds_too_large_ends_the_attempt_and_is_known_to_the_next() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(uncompressed(server.bootstrap()));
    let mut batch = Builder::new(0);
    let tables = [batch.table("large", "lowered"), batch.table("small", "lowered")];
    for table in tables {
        batch.record(table, Some(b"k"), Some(b"fits"));
    }
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    alter(&server, "lowered", "max.message.bytes=1000");
    let large_batch = || {
        let mut batch = Builder::new(1);
        let [large, small] = [batch.table("large", "lowered"), batch.table("small", "lowered")];
        batch.record(large, Some(b"k"), Some(&[b'x'; 3000]));
        batch.record(small, Some(b"k"), Some(b"beside it"));
        batch.build()
    };
    driver.write(large_batch()).unwrap();
    let fault = driver.until_durable(2).unwrap_err();
    // Two records together, or one by itself: only the latter tells which.
    assert!(matches!(fault.code(), FaultCode::RecordRefused | FaultCode::SinkSettingInvalid), "{}", chain(&fault));
    assert_eq!(driver.durable.len(), 1);
    // Opened anew it knows the limit, and says beforehand which row it is.
    driver.sink.open().unwrap();
    driver.write(large_batch()).unwrap();
    driver.until_durable(2).unwrap();
    let [(table, fault)] = driver.row_faults.as_slice() else { panic!("{:?}", driver.row_faults) };
    assert_eq!((&*table.table, fault.code()), ("large", FaultCode::RecordTooLarge));
    assert_eq!(fault.to_string(), "a record of 3071 bytes is over the topic's limit of 1000");
    assert_eq!(server.count("lowered", Isolation::ReadCommitted).unwrap(), 3);
    // A limit that was raised is seen once it is asked for.
    alter(&server, "lowered", "max.message.bytes=10000");
    driver.sink.refresh();
    driver.write(large_batch()).unwrap();
    driver.until_durable(3).unwrap();
    assert_eq!(driver.row_faults.len(), 1);
    assert_eq!(server.count("lowered", Isolation::ReadCommitted).unwrap(), 5);
}

/// Nobody tells us the limit (here: it was lowered behind our back), and the record is alone: the next attempt knows.
#[test]
fn a_record_that_was_refused_is_known_to_the_next_attempt() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(uncompressed(server.bootstrap()));
    let batch_of = |value: &[u8]| {
        let mut batch = Builder::new(0);
        let table = batch.table("t", "lowered-3");
        batch.record(table, Some(b"k"), Some(value));
        batch.build()
    };
    driver.write(batch_of(b"fits")).unwrap();
    driver.until_durable(1).unwrap();
    alter(&server, "lowered-3", "max.message.bytes=1000");
    driver.write(batch_of(&[b'x'; 3000])).unwrap();
    let fault = driver.until_durable(2).unwrap_err();
    assert_eq!(fault.code(), FaultCode::RecordRefused, "{}", chain(&fault));
    // The broker is right again, which the sink does not know: what was refused tells the limit.
    alter(&server, "lowered-3", "max.message.bytes=10000");
    driver.sink.open().unwrap();
    driver.write(batch_of(&[b'x'; 3000])).unwrap();
    driver.until_durable(2).unwrap();
    assert_eq!(driver.row_faults[0].1.to_string(), "a record of 3071 bytes is over the topic's limit of 3070");
    driver.sink.refresh();
    driver.write(batch_of(&[b'x'; 3000])).unwrap();
    driver.until_durable(3).unwrap();
    assert_eq!((driver.row_faults.len(), driver.records()), (1, 2));
}

#[test]
fn records_refused_together_are_never_taken_for_delivered() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(uncompressed(server.bootstrap()));
    let mut batch = Builder::new(0);
    let table = batch.table("t", "lowered-2");
    batch.record(table, Some(b"k"), Some(b"fits"));
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    alter(&server, "lowered-2", "max.message.bytes=1000");
    let many = || {
        let mut batch = Builder::new(1);
        let table = batch.table("t", "lowered-2");
        for number in 0..100 {
            batch.record(table, Some(b"k"), Some(format!("{number:0100}").as_bytes()));
        }
        batch.build()
    };
    driver.write(many()).unwrap();
    let fault = driver.until_durable(2).unwrap_err();
    assert_eq!(fault.code(), FaultCode::SinkSettingInvalid, "{}", chain(&fault));
    assert!(fault.remedy().contains("DESCRIBE_CONFIGS"));
    assert_eq!(driver.durable.len(), 1);
    // Opened anew it reads the lower limit and makes smaller batches.
    driver.sink.open().unwrap();
    driver.write(many()).unwrap();
    driver.until_durable(2).unwrap();
    let records = server.consume("lowered-2", Isolation::ReadCommitted).unwrap();
    let number = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap().parse::<u64>().ok();
    let numbers: Vec<_> = records.into_iter().map(|record| number(record.value)).collect();
    // A few of the first that left before the others came fit, and are there twice.
    let (before, whole) = numbers.split_at(numbers.len() - 100);
    assert!(whole.iter().copied().eq((0..100).map(Some)), "{numbers:?}");
    assert!(
        before[1..].iter().copied().eq((0..before.len() as u64 - 1).map(Some)) && before.len() <= 100,
        "{before:?}"
    );
}

#[test]
fn batches_are_made_small_enough_for_a_topic_with_a_small_limit() {
    let Some(server) = shared() else { return };
    server.create_topic("tiny", 1, &[("max.message.bytes", "1500")]).unwrap();
    let mut driver = Driver::open(uncompressed(server.bootstrap()));
    for seq in 0..20 {
        let mut batch = Builder::new(seq);
        // The first batches go where the limit is large, so that the tiny topic is met under way.
        let table = batch.table("t", if seq < 10 { "roomy" } else { "tiny" });
        for number in 0..1000u64 {
            batch.record(table, Some(b"k"), Some(format!("{seq} {number} {}", "x".repeat(600)).as_bytes()));
        }
        driver.write(batch.build()).unwrap();
    }
    driver.until_durable(20).unwrap();
    assert!(driver.row_faults.is_empty(), "{:?}", driver.row_faults);
    for topic in ["roomy", "tiny"] {
        let records = server.consume(topic, Isolation::ReadCommitted).unwrap();
        let numbers: Vec<(u64, u64)> = records
            .iter()
            .map(|record| {
                let text = String::from_utf8(record.value.clone().unwrap()).unwrap();
                let mut words = text.split(' ').map(|word| word.parse().unwrap_or(0));
                (words.next().unwrap(), words.next().unwrap())
            })
            .collect();
        assert_eq!(numbers.len(), 10_000);
        assert!(numbers.is_sorted(), "order holds over the change of producer");
    }
}

#[test]
fn a_record_over_the_clients_own_limit_is_a_fault_of_its_row() {
    let Some(server) = shared() else { return };
    server.create_topic("unlimited", 1, &[("max.message.bytes", "10000000")]).unwrap();
    let own = vec![("message.max.bytes".to_owned(), Secret::new("100000"))];
    let mut driver = Driver::open(KafkaOptions { librdkafka: own, ..KafkaOptions::plain([server.bootstrap()]) });
    let mut batch = Builder::new(0);
    let table = batch.table("t", "unlimited");
    batch.record(table, Some(b"k"), Some(&vec![b'x'; 99_000])).record(table, Some(b"k"), Some(&vec![b'x'; 100_000]));
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    assert_eq!((driver.records(), driver.row_faults.len()), (1, 1));
    // Without that setting, a topic that allows it takes large records.
    let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
    let mut batch = Builder::new(0);
    let table = batch.table("t", "unlimited");
    batch.record(table, Some(b"k"), Some(&vec![b'x'; 9_000_000]));
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    assert_eq!(driver.records(), 1);
}

#[test]
fn a_batch_that_is_larger_than_the_bound_passes_alone() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
    let (_, bound) = driver.sink.held_bytes();
    for seq in 0..2 {
        let mut batch = Builder::new(seq);
        let table = batch.table("t", "wide");
        let value = vec![b'x'; 100_000];
        for _ in 0..bound / 100_000 + 2 {
            batch.record(table, Some(b"k"), Some(&value));
        }
        driver.write(batch.build()).unwrap();
        assert!(driver.sink.held_bytes().0 > bound);
        let mut small = Builder::new(100 + seq);
        let table = small.table("t", "wide");
        small.record(table, Some(b"k"), Some(b"v"));
        let beside = driver.sink.write(small.build()).unwrap();
        assert!(matches!(beside, Accepted::Full(_)), "nothing fits beside it");
        driver.until_durable(seq as usize + 1).unwrap();
    }
    assert_eq!(driver.sink.held_bytes().0, 0);
}
