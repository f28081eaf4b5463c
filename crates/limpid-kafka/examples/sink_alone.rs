//! The Kafka sink under a stopwatch, without a source: compare with `bench`'s `librdkafka_alone`.
//!
//! Owns: the loop and its figures. Does not own: the engine's way of driving a sink, which it copies.
//!
//! Invariant: records are those of `librdkafka_alone`; a record counts only when its batch came back durable.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use limpid_config::Secret;
use limpid_connector::{Accepted, Clock, EncodedBatch, RecordSpan, Sink, SinkEvent, Span};
use limpid_kafka::{KafkaOptions, KafkaSink};
use limpid_model::{PipelineName, TableName, TableSchema};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: sink_alone BROKERS TOPIC[,TOPIC...] COUNT|RATE/s [BATCH_RECORDS] [SETTING=VALUE]...";
    let [brokers, topics, load, rest @ ..] = args.as_slice() else { anyhow::bail!(usage) };
    let (settings, numbers): (Vec<_>, Vec<_>) = rest.iter().partition(|text| text.contains('='));
    let per_batch: u64 = numbers.first().map_or(Ok(1000), |text| text.parse())?;
    let mut options = KafkaOptions::plain([brokers.as_str()]);
    for setting in settings {
        let (key, value) = setting.split_once('=').context(usage)?;
        options.librdkafka.push((key.to_owned(), Secret::new(value)));
    }
    let mut sink = KafkaSink::new(options, PipelineName::parse("bench").context("name it")?, Clock::system())?;
    sink.open()?;
    let topics: Vec<&str> = topics.split(',').collect();
    match load.strip_suffix("/s") {
        Some(rate) => pace(&mut sink, &topics, rate.parse()?, per_batch),
        None => backlog(&mut sink, &topics, load.parse()?, per_batch),
    }
}

/// As many records as the sink takes.
fn backlog(sink: &mut KafkaSink, topics: &[&str], count: u64, per_batch: u64) -> anyhow::Result<()> {
    // Made beforehand and sent again and again, so that the figures are the sink's alone.
    let made: u64 = 64;
    let mut spare: Vec<Box<EncodedBatch>> = (0..made).map(|seq| batch(topics, seq * per_batch, per_batch)).collect();
    let mut events = Vec::new();
    // Topics are looked up before the clock starts.
    let mut first = Some(batch(topics, 0, topics.len() as u64));
    let mut warm = 0;
    while warm == 0 {
        if let Some(batch) = first.take()
            && let Accepted::Full(back) = sink.write(batch)?
        {
            first = Some(back);
        }
        sink.poll(Duration::from_millis(10), &mut events)?;
        warm = events.drain(..).filter(|event| matches!(event, SinkEvent::Durable { .. })).count();
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let (mut sent, mut acked, mut held_max) = (0, 0u64, 0);
    let mut waiting: Option<Box<EncodedBatch>> = None;
    while acked < count {
        while sent < count || waiting.is_some() {
            let next = match waiting.take() {
                Some(batch) => batch,
                None => match spare.pop() {
                    Some(batch) => {
                        sent += batch.records.len() as u64;
                        batch
                    }
                    None => break,
                },
            };
            if let Accepted::Full(back) = sink.write(next)? {
                waiting = Some(back);
                break;
            }
        }
        held_max = held_max.max(sink.held_bytes().0);
        sink.poll(Duration::from_millis(5), &mut events)?;
        for event in events.drain(..) {
            if let SinkEvent::Durable { batch, delivered } = event {
                acked += delivered.iter().map(|run| u64::from(run.records)).sum::<u64>();
                spare.push(batch);
            }
        }
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{{\"records\":{acked},\"seconds\":{seconds:.3},\"records_per_second\":{:.0},\"cpu_seconds\":{cpu:.3},\
         \"cpu_seconds_per_million\":{:.3},\"held_bytes_max\":{held_max},\"memory_peak_kib\":{}}}",
        acked as f64 / seconds,
        cpu * 1e6 / acked as f64,
        memory_peak_kib()
    );
    Ok(())
}

/// Batches at a steady rate for ten seconds, and how long each took from `write` to durable.
fn pace(sink: &mut KafkaSink, topics: &[&str], rate: u64, per_batch: u64) -> anyhow::Result<()> {
    let mut events = Vec::new();
    let mut taken: Vec<Instant> = Vec::new();
    let mut took: Vec<Duration> = Vec::new();
    let gap = Duration::from_secs_f64(per_batch as f64 / rate as f64);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut next = start;
    let mut waiting: Option<Box<EncodedBatch>> = None;
    while start.elapsed() < Duration::from_secs(10) || took.len() < taken.len() {
        let now = Instant::now();
        if now >= next && start.elapsed() < Duration::from_secs(10) && waiting.is_none() {
            let mut made = batch(topics, taken.len() as u64 * per_batch, per_batch);
            made.batch.seq = taken.len() as u64;
            // From the moment it was due: a sink that keeps us busy must not hide what it delays.
            taken.push(next);
            waiting = Some(made);
            next += gap;
        }
        if let Some(batch) = waiting.take()
            && let Accepted::Full(back) = sink.write(batch)?
        {
            waiting = Some(back);
        }
        sink.poll(Duration::from_micros(u64::from(Instant::now() < next)), &mut events)?;
        for event in events.drain(..) {
            if let SinkEvent::Durable { batch, .. } = event {
                took.push(taken[batch.batch.seq as usize].elapsed());
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    // The first second is the connection's.
    let mut warm: Vec<Duration> = took.split_off(took.len() / 10);
    warm.sort_unstable();
    let at = |part: f64| warm[((warm.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!(
        "{{\"batches\":{},\"seconds\":{seconds:.1},\"p50_ms\":{:.2},\"p90_ms\":{:.2},\"p99_ms\":{:.2},\"max_ms\":{:.2},\"cpu_seconds\":{:.2}}}",
        warm.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        cpu_seconds() - cpu
    );
    Ok(())
}

fn batch(topics: &[&str], first: u64, records: u64) -> Box<EncodedBatch> {
    let mut out = Box::<EncodedBatch>::default();
    for (index, topic) in topics.iter().enumerate() {
        let name = TableName::new("d", &format!("t{index}"));
        let schema = TableSchema { name, version: 1, columns: Vec::new(), key: [].into(), key_seed: 0 };
        out.batch.tables.push(Arc::new(schema));
        out.topics.push(Some((*topic).into()));
    }
    for number in first..first + records {
        let (key, value) = made(number);
        let at = out.bytes.len();
        out.bytes.extend_from_slice(key.as_bytes());
        let key = Span::since(at, &out.bytes);
        let at = out.bytes.len();
        out.bytes.extend_from_slice(value.as_bytes());
        let value = Span::since(at, &out.bytes);
        let table = if std::env::var_os("BLOCKS").is_some() {
            ((number - first) * topics.len() as u64 / records) as u16
        } else {
            (number % topics.len() as u64) as u16
        };
        out.records.push(RecordSpan { key, value, headers: (0, 0), table, row: (number - first) as u32 });
    }
    out
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
