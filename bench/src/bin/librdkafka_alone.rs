//! librdkafka alone, as a good program would use it: the mark against which the Kafka sink is measured.
//!
//! Owns: the loop and its figures. Does not own: anything of Limpid: it links none of it.
//!
//! Invariant: sends the records it is given, keys, values and headers, with the settings of our sink, and counts a
//! record only when a broker has acknowledged it.
//!
//! The file holds records as a 4-byte little-endian length and so many bytes, for key, value and each header's name
//! and value: `key value header-count [name value]...`; the length 0xFFFFFFFF is null, the count is 4 bytes too.
//! Without a file it makes records like Debezium's: 600 bytes, with a key.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Counts acknowledgements on the producer's own polling thread.
#[derive(Clone, Default)]
struct Counts(Arc<(AtomicU64, AtomicU64)>);

impl ClientContext for Counts {}

impl ProducerContext<NoCustomPartitioner> for Counts {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.0.0 } else { &self.0.1 };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is sent: the bytes of a file, or so many records made here.
enum Load {
    File(Vec<u8>),
    /// So many, going round in these: making each anew would be a third of the work.
    Made(u64, Vec<(String, String)>),
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: librdkafka_alone BROKERS TOPIC [FILE|COUNT] [SETTING=VALUE]...";
    let [brokers, topic, rest @ ..] = args.as_slice() else { anyhow::bail!(usage) };
    let (load, settings) = match rest.split_first() {
        Some((first, settings)) if !first.contains('=') => match first.parse() {
            Ok(count) => (make(count), settings),
            Err(_) => (Load::File(std::fs::read(first).with_context(|| format!("read {first}"))?), settings),
        },
        _ => (make(1_000_000), rest),
    };
    let mut config = ClientConfig::new();
    // The settings of `crates/limpid-kafka/src/settings.rs`, but for the queue, which is librdkafka's default.
    for (key, value) in [
        ("bootstrap.servers", brokers.as_str()),
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("partitioner", "murmur2_random"),
        ("compression.type", "lz4"),
        ("linger.ms", "1"),
        ("batch.num.messages", "10000"),
        ("batch.size", "1000000"),
    ] {
        config.set(key, value);
    }
    for setting in settings {
        let (key, value) = setting.split_once('=').context(usage)?;
        config.set(key, value);
    }
    let counts = Counts::default();
    let producer: ThreadedProducer<Counts> = config.create_with_context(counts.clone()).context("make a producer")?;
    // Connected before the clock starts, as a pipeline would be.
    producer.client().fetch_metadata(Some(topic), Duration::from_secs(10)).context("look up the topic")?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let sent = match load {
        Load::File(bytes) => send_file(&producer, topic, &bytes)?,
        Load::Made(count, records) => send_made(&producer, topic, count, &records)?,
    };
    producer.flush(Duration::from_secs(300)).context("wait for the last acknowledgement")?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let (acked, failed) = (counts.0.0.load(Ordering::Relaxed), counts.0.1.load(Ordering::Relaxed));
    ensure!(acked == sent && failed == 0, "{sent} sent, {acked} acknowledged, {failed} failed");
    println!(
        "{{\"records\":{sent},\"seconds\":{seconds:.3},\"records_per_second\":{:.0},\"cpu_seconds\":{cpu:.3},\
         \"cpu_seconds_per_million\":{:.3},\"memory_peak_kib\":{}}}",
        sent as f64 / seconds,
        cpu * 1e6 / sent.max(1) as f64,
        memory_peak_kib()
    );
    Ok(())
}

fn make(count: u64) -> Load {
    Load::Made(count, (0..count.min(64_000)).map(made).collect())
}

fn send_file(producer: &ThreadedProducer<Counts>, topic: &str, bytes: &[u8]) -> anyhow::Result<u64> {
    let (mut rest, mut sent) = (bytes, 0);
    while !rest.is_empty() {
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        let headers = take_number(&mut rest)?;
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.key = key;
        record.payload = value;
        if headers > 0 {
            let mut list = OwnedHeaders::new_with_capacity(headers as usize);
            for _ in 0..headers {
                let name = std::str::from_utf8(take(&mut rest)?.context("read a header's name")?)?;
                list = list.insert(Header { key: name, value: take(&mut rest)? });
            }
            record = record.headers(list);
        }
        send(producer, record)?;
        sent += 1;
    }
    Ok(sent)
}

fn take_number(rest: &mut &[u8]) -> anyhow::Result<u32> {
    let (number, after) = rest.split_first_chunk::<4>().context("the file ends inside a record")?;
    *rest = after;
    Ok(u32::from_le_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8]) -> anyhow::Result<Option<&'a [u8]>> {
    let length = take_number(rest)?;
    if length == u32::MAX {
        return Ok(None);
    }
    let (bytes, after) = rest.split_at_checked(length as usize).context("the file ends inside a record")?;
    *rest = after;
    Ok(Some(bytes))
}

fn send_made(
    producer: &ThreadedProducer<Counts>,
    topic: &str,
    count: u64,
    records: &[(String, String)],
) -> anyhow::Result<u64> {
    for (key, value) in records.iter().cycle().zip(0..count).map(|(record, _)| record) {
        send(producer, BaseRecord::to(topic).key(key.as_bytes()).payload(value.as_bytes()))?;
    }
    Ok(count)
}

/// A record as Debezium writes one of `(id bigint, customer int, amount decimal, note varchar, at datetime)`; the
/// values differ from record to record as rows do.
fn made(number: u64) -> (String, String) {
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = format!(
        concat!(
            r#"{{"before":null,"after":{{"id":{},"customer":{},"amount":"{:x}","note":"{:016x}{:016x}{:016x}","at":{}}},"#,
            r#""source":{{"version":"3.5.0.Final","connector":"mariadb","name":"shop","ts_ms":{},"snapshot":"false","#,
            r#""db":"shop","sequence":null,"ts_us":{},"ts_ns":{},"table":"orders","server_id":1,"gtid":"0-1-{}","#,
            r#""file":"bin.000001","pos":{},"row":0,"thread":{}}},"transaction":null,"op":"c","ts_ms":{},"ts_us":{},"#,
            r#""ts_ns":{}}}"#
        ),
        number,
        noise >> 44,
        noise >> 20,
        noise,
        noise.rotate_left(17),
        noise.rotate_left(41),
        1_700_000_000_000 + number,
        1_700_000_000_000 + number,
        (1_700_000_000_000 + number) * 1000,
        (1_700_000_000_000 + number) * 1_000_000,
        number,
        number * 630,
        noise >> 58,
        1_700_000_000_005 + number,
        (1_700_000_000_005 + number) * 1000,
        (1_700_000_000_005 + number) * 1_000_000,
    );
    (format!("{{\"id\":{number}}}"), value)
}

/// Sends one record, waiting while the queue is full.
fn send(producer: &ThreadedProducer<Counts>, record: BaseRecord<'_, [u8], [u8]>) -> anyhow::Result<()> {
    let mut record = record;
    loop {
        record = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
            Err((error, _)) => return Err(error).context("send a record"),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// User and system time of all threads so far.
fn cpu_seconds() -> f64 {
    let usage = usage();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn memory_peak_kib() -> i64 {
    usage().ru_maxrss
}

fn usage() -> libc::rusage {
    // SAFETY: getrusage(2) fills the struct it is given; zero is a valid value for each field of it.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}
