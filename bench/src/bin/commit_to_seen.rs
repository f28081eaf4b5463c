//! How long a row is on its way: from the writer's COMMIT returning until a consumer of the topic holds its record.
//!
//! Owns: paced writers, one consumer, one clock for both. Does not own: who carries the rows from one to the other.
//!
//! Invariant: the pace is kept by the clock, not by answers: a late writer catches up, so that a pause of the carrier
//! meets as many rows as it would in life. Every row written is seen, or the run is no figure.
//!
//! Seen is later than acknowledged: the fetch and the consumer's own thread come on top. `kafka` in the place of the
//! server's port sends the records by librdkafka, with nothing of ours between, which tells how much that is.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use limpid_mysql::bench::Session;
use limpid_mysql::{ConnectOptions, TlsMode, TlsOptions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Connections that share the pace: one commit takes some 150 us, so each is idle most of the time.
const WRITERS: u64 = 4;

/// What is still under way when the writers are done has so long to arrive.
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

const USAGE: &str = "usage: commit_to_seen PORT|kafka BROKERS TOPIC TABLE FIRST_ID RATE WARM_UP_SECONDS SECONDS";

#[derive(Clone)]
struct Plan {
    /// `None` sends the records itself.
    port: Option<u16>,
    brokers: String,
    topic: String,
    table: String,
    first: u64,
    rate: u64,
    /// Rows of the warm-up, and all rows.
    warm: u64,
    rows: u64,
}

/// Nanoseconds since the start, by row; 0 is not yet.
struct Times {
    start: Instant,
    committed: Vec<AtomicU64>,
    seen: Vec<AtomicU64>,
}

impl Times {
    fn new(rows: u64) -> Self {
        let empty = || (0..rows).map(|_| AtomicU64::new(0)).collect();
        Self { start: Instant::now(), committed: empty(), seen: empty() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

fn main() -> anyhow::Result<()> {
    let plan = plan(&std::env::args().skip(1).collect::<Vec<_>>())?;
    let times = Arc::new(Times::new(plan.rows));
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (plan, times, done) = (plan.clone(), Arc::clone(&times), Arc::clone(&done));
        thread::spawn(move || read(&plan, &times, &done))
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (plan, times) = (plan.clone(), Arc::clone(&times));
            thread::spawn(move || write(&plan, number, &times))
        })
        .collect();
    for writer in writers {
        writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    done.store(true, Ordering::Release);
    reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    tell(&plan, &times)
}

fn plan(args: &[String]) -> anyhow::Result<Plan> {
    let [port, brokers, topic, table, numbers @ ..] = args else { anyhow::bail!(USAGE) };
    let numbers: Vec<u64> = numbers.iter().map(|text| text.parse().context(USAGE)).collect::<anyhow::Result<_>>()?;
    let [first, rate, warm, seconds] = numbers.as_slice() else { anyhow::bail!(USAGE) };
    ensure!(*rate > 0 && *seconds > 0, USAGE);
    Ok(Plan {
        port: if port == "kafka" { None } else { Some(port.parse().context(USAGE)?) },
        brokers: brokers.clone(),
        topic: topic.clone(),
        table: table.clone(),
        first: *first,
        rate: *rate,
        warm: rate * warm,
        rows: rate * (warm + seconds),
    })
}

/// One writer: every `WRITERS`th row, each at its time.
fn write(plan: &Plan, number: u64, times: &Times) -> anyhow::Result<()> {
    let mut put = writer(plan)?;
    let step = Duration::from_secs(1) / u32::try_from(plan.rate).context("read the rate")?;
    for row in (number..plan.rows).step_by(WRITERS as usize) {
        let due = step * u32::try_from(row).context("count the rows")?;
        if let Some(early) = due.checked_sub(times.start.elapsed()) {
            thread::sleep(early);
        }
        put(plan.first + row)?;
        times.committed[row as usize].store(times.now(), Ordering::Release);
    }
    Ok(())
}

type Put = Box<dyn FnMut(u64) -> anyhow::Result<()>>;

fn writer(plan: &Plan) -> anyhow::Result<Put> {
    let Some(port) = plan.port else { return sender(plan) };
    let options = ConnectOptions {
        host: "127.0.0.1".into(),
        port,
        user: "root".into(),
        password: String::new(),
        tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
        connect_timeout: Duration::from_secs(10),
        asked: Default::default(),
    };
    let mut session = Session::open(&options).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let table = plan.table.clone();
    Ok(Box::new(move |id| {
        let sql =
            format!("insert into {table} (id, k, c) values ({id}, {}, 'a note of some length on row {id}')", id % 997);
        session.query(&sql).map_err(|fault| anyhow::anyhow!("{fault}"))
    }))
}

/// The records themselves, of the size that the rows would have, with the settings of our sink.
fn sender(plan: &Plan) -> anyhow::Result<Put> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", plan.brokers.as_str()),
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", "lz4"),
        ("linger.ms", "1"),
    ] {
        config.set(key, value);
    }
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().context("make a producer")?;
    producer.client().fetch_metadata(Some(&plan.topic), Duration::from_secs(10)).context("look up the topic")?;
    let topic = plan.topic.clone();
    let value = "0123456789abcdef".repeat(38);
    Ok(Box::new(move |id| {
        let key = format!("{{\"id\":{id}}}");
        let sent = producer.send(BaseRecord::to(&topic).key(&key).payload(&value));
        sent.map_err(|(error, _)| error).context("send a record")
    }))
}

/// The consumer: notes when each row's first record came, until all have come.
fn read(plan: &Plan, times: &Times, done: &AtomicBool) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", plan.brokers.as_str()),
        ("group.id", "commit_to_seen"),
        ("enable.auto.commit", "false"),
        // An answer comes with the first record; this only bounds how long an empty one is waited for.
        ("fetch.wait.max.ms", "10"),
    ] {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().context("make a consumer")?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&plan.topic, 0, Offset::Beginning).context("name the partition")?;
    consumer.assign(&partitions).context("take the partition")?;
    let (mut found, mut late) = (0, None);
    while found < plan.rows {
        if done.load(Ordering::Acquire) {
            let since: &mut Instant = late.get_or_insert_with(Instant::now);
            ensure!(since.elapsed() < ARRIVAL_MAX, "{found} of {} rows arrived", plan.rows);
        }
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.context("read a record")?;
        let now = times.now();
        let row = message.key().and_then(id_of).and_then(|id| id.checked_sub(plan.first));
        let row = row.and_then(|row| times.seen.get(usize::try_from(row).ok()?));
        let row = row.context("a record came that nobody wrote")?;
        found += u64::from(row.compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed).is_ok());
    }
    Ok(())
}

/// N of `{"id":N}`.
fn id_of(key: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(key).ok()?;
    text.strip_prefix("{\"id\":")?.strip_suffix('}')?.parse().ok()
}

fn tell(plan: &Plan, times: &Times) -> anyhow::Result<()> {
    let at = |list: &[AtomicU64], row: u64| list[row as usize].load(Ordering::Acquire);
    let mut waits: Vec<u64> = (plan.warm..plan.rows)
        // The log is sent before COMMIT is answered, so a record may be there first: that is no wait.
        .map(|row| at(&times.seen, row).saturating_sub(at(&times.committed, row)))
        .collect();
    waits.sort_unstable();
    let ms = |part: f64| {
        let index = ((waits.len() as f64 * part) as usize).min(waits.len().saturating_sub(1));
        waits.get(index).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
    };
    let last = (plan.warm..plan.rows).map(|row| at(&times.committed, row)).max().context("some row was written")?;
    let seconds = last as f64 / 1e9 - plan.warm as f64 / plan.rate as f64;
    println!(
        "{{\"records\":{},\"rate\":{:.0},\"p50_ms\":{:.3},\"p90_ms\":{:.3},\"p99_ms\":{:.3},\"p999_ms\":{:.3},\"max_ms\":{:.3}}}",
        waits.len(),
        waits.len() as f64 / seconds,
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(0.999),
        ms(1.0),
    );
    Ok(())
}
