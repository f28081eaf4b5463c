//! Writes the records of a topic into a file, for `librdkafka_alone` to send them again.
//!
//! Owns: reading one partition from its start. Does not own: the file's form, which is told there.
//!
//! Invariant: the file holds exactly as many records as were asked for, in their order, with keys, values and headers.
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// A broker on this machine that has answered nothing for so long has no more records.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, count, file] = args.as_slice() else {
        anyhow::bail!("usage: records_of BROKERS TOPIC COUNT FILE");
    };
    let count: u64 = count.parse().context("read COUNT")?;
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", brokers.as_str()),
        ("group.id", "records_of"),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
    ] {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().context("make a consumer")?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).context("name the partition")?;
    consumer.assign(&partitions).context("take the partition")?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file).with_context(|| format!("make {file}"))?);
    let (mut found, mut last) = (0, Instant::now());
    while found < count {
        let Some(message) = consumer.poll(Duration::from_secs(1)) else {
            ensure!(last.elapsed() < PATIENCE, "the topic holds {found} records, not {count}");
            continue;
        };
        write(&mut out, &message.context("read a record")?)?;
        found += 1;
        last = Instant::now();
    }
    out.flush().context("write the file")
}

fn write(out: &mut impl Write, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
    put(out, message.key())?;
    put(out, message.payload())?;
    let headers = message.headers();
    out.write_all(&length(headers.map_or(0, Headers::count))?)?;
    for header in headers.into_iter().flat_map(Headers::iter) {
        put(out, Some(header.key.as_bytes()))?;
        put(out, header.value)?;
    }
    Ok(())
}

fn put(out: &mut impl Write, bytes: Option<&[u8]>) -> anyhow::Result<()> {
    let Some(bytes) = bytes else { return Ok(out.write_all(&u32::MAX.to_le_bytes())?) };
    out.write_all(&length(bytes.len())?)?;
    Ok(out.write_all(bytes)?)
}

fn length(count: usize) -> anyhow::Result<[u8; 4]> {
    Ok(u32::try_from(count).context("count what fits a record")?.to_le_bytes())
}
