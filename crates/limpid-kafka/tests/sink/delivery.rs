//! What is handed in arrives as it is, once, in order, and in the partition Java would choose.

use std::collections::{BTreeSet, HashMap};

use limpid_kafka::{Compression, KafkaOptions, TopicCreation};
use limpid_stack::kafka::{Isolation, Record};

use crate::batches::{Builder, Driver};
use crate::shared;

/// A record's key and value.
type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

#[test]
fn keys_values_headers_and_tombstones_arrive_byte_for_byte() {
    let Some(server) = shared() else { return };
    let mut driver = Driver::open(KafkaOptions::plain([server.bootstrap()]));
    let mut batch = Builder::new(7);
    let table = batch.table("t", "bytes");
    let every_byte: Vec<u8> = (0..=255).collect();
    batch.record(table, Some(b"k"), Some(&every_byte));
    batch.record(table, Some(&every_byte), None);
    batch.record(table, None, Some(b""));
    batch.record(table, Some(b""), Some(b"empty key"));
    let headers: &[(&str, Option<&[u8]>)] =
        &[("__debezium.newkey", Some(b"{\"id\":2}")), ("twice", None), ("twice", Some(b"")), ("\u{e9}", Some(&[0]))];
    batch.with_headers(table, Some(b"k"), Some(b"with headers"), headers);
    batch.record(table, Some(b"k"), Some(b"after headers"));
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    assert_eq!(driver.records(), 6);
    let records = server.consume("bytes", Isolation::ReadCommitted).unwrap();
    let shown: Vec<_> = records.iter().map(|record| (record.key.as_deref(), record.value.as_deref())).collect();
    let expected: [Pair<'_>; 6] = [
        (Some(b"k"), Some(&every_byte)),
        (Some(&every_byte), None),
        (None, Some(b"")),
        (Some(b""), Some(b"empty key")),
        (Some(b"k"), Some(b"with headers")),
        (Some(b"k"), Some(b"after headers")),
    ];
    assert_eq!(shown, expected);
    let shown: Vec<_> = records[4].headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(shown, headers);
    assert!(records.iter().enumerate().all(|(index, record)| index == 4 || record.headers.is_empty()));
}

#[test]
fn every_compression_is_used_and_read_by_kafkas_own_consumer() {
    let Some(server) = shared() else { return };
    let words = ["none", "gzip", "snappy", "lz4", "zstd"];
    let compressions = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (word, compression) in words.into_iter().zip(compressions) {
        let mut driver = Driver::open(KafkaOptions { compression, ..KafkaOptions::plain([server.bootstrap()]) });
        let mut batch = Builder::new(0);
        let table = batch.table("t", "compressed");
        // A batch that would not become smaller is sent as it is.
        batch.record(table, Some(word.as_bytes()), Some(word.repeat(200).as_bytes()));
        driver.write(batch.build()).unwrap();
        driver.until_durable(1).unwrap();
    }
    let records = server.consume("compressed", Isolation::ReadCommitted).unwrap();
    let values: Vec<_> = records.iter().map(|record| record.value.clone().unwrap()).collect();
    assert_eq!(values, words.map(|word| word.repeat(200).into_bytes()));
    let segment = server.dir().join("data/compressed-0/00000000000000000000.log");
    let dump = server.tool("kafka.tools.DumpLogSegments", &["--files", segment.to_str().unwrap()]).unwrap();
    let codecs: Vec<&str> = dump.split("compresscodec: ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    assert_eq!(codecs, words, "{dump}");
}

fn partitions(records: &[Record]) -> HashMap<Vec<u8>, i32> {
    records.iter().map(|record| (record.key.clone().unwrap(), record.partition)).collect()
}

#[test]
fn keys_go_to_the_partitions_that_java_chooses() {
    let Some(server) = shared() else { return };
    server.create_topic("by-java", 7, &[]).unwrap();
    let creation = TopicCreation { partitions: 7, ..TopicCreation::default() };
    let mut driver = Driver::open(KafkaOptions { creation, ..KafkaOptions::plain([server.bootstrap()]) });
    let mut batch = Builder::new(0);
    let table = batch.table("t", "by-us");
    // All lengths modulo 4, which murmur2 treats apart, and bytes above 127, which Java has signed.
    let keys: Vec<String> = (0..300u32)
        .map(|n| format!("{{\"id\":{}}}{}", n.wrapping_mul(2_654_435_761), "é€".repeat(n as usize % 4)))
        .collect();
    let mut lines = String::new();
    for key in &keys {
        batch.record(table, Some(key.as_bytes()), Some(b"v"));
        lines.push_str(&format!("{key}\tv\n"));
    }
    driver.write(batch.build()).unwrap();
    driver.until_durable(1).unwrap();
    let bootstrap = server.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "--topic", "by-java", "--property", "parse.key=true"];
    server.tool_with_input("kafka.tools.ConsoleProducer", &args, lines.as_bytes()).unwrap();
    let ours = partitions(&server.consume("by-us", Isolation::ReadCommitted).unwrap());
    assert_eq!(ours.len(), keys.len());
    assert_eq!(ours, partitions(&server.consume("by-java", Isolation::ReadCommitted).unwrap()));
    assert_eq!(ours.values().collect::<BTreeSet<_>>().len(), 7, "every partition is used");
    let delivered = &driver.durable[0].1;
    for run in delivered {
        let count = ours.values().filter(|partition| **partition == run.partition).count();
        assert_eq!((run.records as usize, run.offsets), (count, (0, count as i64 - 1)));
    }
    assert_eq!(delivered.len(), 7);
}

#[test]
fn records_without_a_key_are_spread() {
    let Some(server) = shared() else { return };
    let creation = TopicCreation { partitions: 5, ..TopicCreation::default() };
    let mut driver = Driver::open(KafkaOptions { creation, ..KafkaOptions::plain([server.bootstrap()]) });
    for seq in 0..200 {
        let mut batch = Builder::new(seq);
        let table = batch.table("t", "keyless");
        for _ in 0..10 {
            batch.record(table, None, Some(b"v"));
        }
        driver.write(batch.build()).unwrap();
        driver.until_durable(seq as usize + 1).unwrap();
    }
    let offsets = server.offsets("keyless", Isolation::ReadCommitted).unwrap();
    assert!(offsets.iter().filter(|offsets| offsets.end > 0).count() > 1, "{offsets:?}");
}

#[test]
fn order_per_key_holds_over_batches_tables_headers_and_a_full_queue() {
    let Some(server) = shared() else { return };
    let creation = TopicCreation { partitions: 3, ..TopicCreation::default() };
    // A queue of 1,000 records, so that batches of 3,000 are sent in parts.
    let small = vec![("queue.buffering.max.messages".to_owned(), limpid_config::Secret::new("1000"))];
    let options = KafkaOptions { creation, librdkafka: small, ..KafkaOptions::plain([server.bootstrap()]) };
    let mut driver = Driver::open(options);
    let (mut number, batches) = (0u32, 10);
    for seq in 0..batches {
        let mut batch = Builder::new(seq);
        let tables = [batch.table("a", "order-1"), batch.table("b", "order-2"), batch.table("c", "order-1")];
        for _ in 0..3000 {
            let key = format!("{}", number % 17);
            let table = tables[(number / 17 % 3) as usize];
            let headers: &[(&str, Option<&[u8]>)] = if number.is_multiple_of(50) { &[("h", Some(b"1"))] } else { &[] };
            batch.with_headers(table, Some(key.as_bytes()), Some(number.to_string().as_bytes()), headers);
            number += 1;
        }
        driver.write(batch.build()).unwrap();
    }
    driver.until_durable(batches as usize).unwrap();
    let mut seen = 0;
    for topic in ["order-1", "order-2"] {
        let mut last: HashMap<Vec<u8>, u32> = HashMap::new();
        for record in server.consume(topic, Isolation::ReadCommitted).unwrap() {
            let value: u32 = String::from_utf8(record.value.unwrap()).unwrap().parse().unwrap();
            let before = last.insert(record.key.unwrap(), value);
            assert!(before < Some(value), "{topic}: {value} after {before:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, number, "each arrived once");
}
