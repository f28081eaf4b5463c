//! A few requests of the Kafka protocol, written by hand over a plain socket.
//!
//! Owns: what a test asks a broker often and cannot wait a JVM for (1 s each): is it up, make a topic, where do its
//! partitions end, how many records can a consumer see.
//! Does not own: the content of records; Kafka's own consumer reads those (`kafka::consume`).
//!
//! Invariant: only record batch headers are read here, so that neither librdkafka nor our codecs take part.
//! Layouts: <https://kafka.apache.org/protocol.html>, the newest versions without flexible fields.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::ready;

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const DELETE_TOPICS: i16 = 20;

/// One fetch answers at most this: some hundred batches, so that a long topic takes few round trips.
const FETCH_BYTES_MAX: i32 = 16 << 20;
/// No answer of ours is longer; a larger length means that the other side is not Kafka.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Electing a leader takes milliseconds; this is for a machine that is busy compiling.
const LEADER_MAX: Duration = Duration::from_secs(20);

/// What a consumer is shown of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All records, also of open and aborted transactions.
    ReadUncommitted,
    /// Records of committed transactions, up to the first open one.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Isolation::ReadUncommitted => "read_uncommitted",
            Isolation::ReadCommitted => "read_committed",
        }
    }

    fn code(self) -> u8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// One partition's bounds: the first offset kept, and the one after the last that a consumer may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    /// The partition's number.
    pub partition: i32,
    /// The first offset that is still there.
    pub start: i64,
    /// The high watermark, or the last stable offset for a reader of committed records.
    pub end: i64,
}

/// A connection to one broker.
pub(crate) struct Broker {
    stream: TcpStream,
    port: u16,
    correlation: i32,
}

impl Broker {
    pub(crate) fn connect(port: u16) -> anyhow::Result<Broker> {
        Ok(Broker { stream: ready::connect(port)?, port, correlation: 0 })
    }

    /// Fails until the cluster knows this broker: a KRaft broker that is fenced answers, but is not listed.
    pub(crate) fn lists_itself(&mut self) -> anyhow::Result<()> {
        let ports = self.metadata(None)?.broker_ports;
        ensure!(
            ports.contains(&i32::from(self.port)),
            "the cluster lists brokers at {ports:?}, not yet at {}",
            self.port
        );
        Ok(())
    }

    /// Makes a topic and waits until each of its partitions has a leader.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let mut body = Vec::new();
        put_len(&mut body, 1)?;
        put_str(&mut body, name)?;
        body.extend(partitions.to_be_bytes());
        body.extend(1i16.to_be_bytes());
        put_len(&mut body, 0)?;
        put_len(&mut body, settings.len())?;
        for (key, value) in settings {
            put_str(&mut body, key)?;
            put_str(&mut body, value)?;
        }
        body.extend(20_000i32.to_be_bytes());
        body.push(0);
        let mut answer = self.ask(CREATE_TOPICS, 2, &body)?;
        answer.i32()?;
        for _ in 0..answer.i32()? {
            answer.str()?;
            let (code, message) = (answer.i16()?, answer.str()?);
            ensure!(code == 0, "create topic {name}: error {code}: {}", message.unwrap_or_default());
        }
        let deadline = Instant::now() + LEADER_MAX;
        while let Err(error) = self.partitions(name) {
            if Instant::now() > deadline {
                return Err(error).with_context(|| format!("topic {name} has no leaders after {LEADER_MAX:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Deletes a topic; its files go a while later.
    pub(crate) fn delete_topic(&mut self, name: &str) -> anyhow::Result<()> {
        let mut body = Vec::new();
        put_len(&mut body, 1)?;
        put_str(&mut body, name)?;
        body.extend(20_000i32.to_be_bytes());
        let mut answer = self.ask(DELETE_TOPICS, 1, &body)?;
        answer.i32()?;
        for _ in 0..answer.i32()? {
            answer.str()?;
            let code = answer.i16()?;
            ensure!(code == 0, "delete topic {name}: error {code}");
        }
        Ok(())
    }

    /// The topic's partitions; fails while one has no leader.
    pub(crate) fn partitions(&mut self, topic: &str) -> anyhow::Result<Vec<i32>> {
        self.metadata(Some(topic))?.partitions
    }

    /// Where each partition begins and ends for a reader of that isolation.
    pub(crate) fn offsets(&mut self, topic: &str, isolation: Isolation) -> anyhow::Result<Vec<Offsets>> {
        let partitions = self.partitions(topic)?;
        let starts = self.settled_offsets(topic, &partitions, isolation, -2)?;
        let ends = self.settled_offsets(topic, &partitions, isolation, -1)?;
        let mut all: Vec<Offsets> = starts
            .iter()
            .filter_map(|&(partition, start)| {
                let &(_, end) = ends.iter().find(|&&(other, _)| other == partition)?;
                Some(Offsets { partition, start, end })
            })
            .collect();
        all.sort_by_key(|offsets| offsets.partition);
        Ok(all)
    }

    /// How many records a consumer that begins at the start would be given: control records never, records of
    /// aborted transactions only when it reads uncommitted.
    pub(crate) fn visible_records(&mut self, topic: &str, isolation: Isolation) -> anyhow::Result<u64> {
        let mut visible = 0;
        for offsets in self.offsets(topic, isolation)? {
            let mut next = offsets.start;
            let mut aborted = Aborted::default();
            while next < offsets.end {
                let fetched = self.fetch(topic, offsets.partition, next, isolation)?;
                aborted.announced.extend(fetched.aborted);
                let (count, after) = aborted.count(&fetched.records, next, offsets.end)?;
                ensure!(after > next, "the broker answers nothing at offset {next} of {topic}/{}", offsets.partition);
                visible += count;
                next = after;
            }
        }
        Ok(visible)
    }

    fn metadata(&mut self, topic: Option<&str>) -> anyhow::Result<Metadata> {
        let mut body = Vec::new();
        put_len(&mut body, topic.iter().len())?;
        topic.iter().try_for_each(|topic| put_str(&mut body, topic))?;
        let mut answer = self.ask(METADATA, 1, &body)?;
        let mut broker_ports = Vec::new();
        for _ in 0..answer.i32()? {
            answer.i32()?;
            answer.str()?;
            broker_ports.push(answer.i32()?);
            answer.str()?;
        }
        answer.i32()?;
        let mut partitions = Ok(Vec::new());
        for _ in 0..answer.i32()? {
            let code = answer.i16()?;
            let name = answer.str()?.unwrap_or_default();
            answer.u8()?;
            if code != 0 {
                partitions = Err(anyhow::anyhow!("topic {name}: error {code}"));
            }
            for _ in 0..answer.i32()? {
                let (code, number, leader) = (answer.i16()?, answer.i32()?, answer.i32()?);
                for _ in 0..2 {
                    let replicas = answer.len()?;
                    answer.take(replicas * 4)?;
                }
                match &mut partitions {
                    Ok(numbers) if code == 0 && leader >= 0 => numbers.push(number),
                    _ => partitions = Err(anyhow::anyhow!("partition {name}/{number}: error {code}, leader {leader}")),
                }
            }
        }
        Ok(Metadata { broker_ports, partitions })
    }

    /// A broker names itself as leader in its metadata a moment before it takes the part.
    fn settled_offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        isolation: Isolation,
        time: i64,
    ) -> anyhow::Result<Vec<(i32, i64)>> {
        let deadline = Instant::now() + LEADER_MAX;
        loop {
            if let Some(offsets) = self.list_offsets(topic, partitions, isolation, time)? {
                return Ok(offsets);
            }
            ensure!(Instant::now() < deadline, "a partition of {topic} has no leader after {LEADER_MAX:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `None` while a partition's leader is not yet in its part.
    fn list_offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        isolation: Isolation,
        time: i64,
    ) -> anyhow::Result<Option<Vec<(i32, i64)>>> {
        const LEADER_NOT_AVAILABLE: i16 = 5;
        const NOT_LEADER: i16 = 6;
        let mut body = (-1i32).to_be_bytes().to_vec();
        body.push(isolation.code());
        put_len(&mut body, 1)?;
        put_str(&mut body, topic)?;
        put_len(&mut body, partitions.len())?;
        for partition in partitions {
            body.extend(partition.to_be_bytes());
            body.extend(time.to_be_bytes());
        }
        let mut answer = self.ask(LIST_OFFSETS, 2, &body)?;
        answer.i32()?;
        let mut offsets = Vec::new();
        let mut settled = true;
        for _ in 0..answer.i32()? {
            answer.str()?;
            for _ in 0..answer.i32()? {
                let (partition, code) = (answer.i32()?, answer.i16()?);
                answer.i64()?;
                let offset = answer.i64()?;
                settled &= !matches!(code, LEADER_NOT_AVAILABLE | NOT_LEADER);
                ensure!(code == 0 || !settled, "list offsets of {topic}/{partition}: error {code}");
                offsets.push((partition, offset));
            }
        }
        Ok(settled.then_some(offsets))
    }

    fn fetch(&mut self, topic: &str, partition: i32, offset: i64, isolation: Isolation) -> anyhow::Result<Fetched> {
        let mut body = (-1i32).to_be_bytes().to_vec();
        for number in [500, 1, FETCH_BYTES_MAX] {
            body.extend(number.to_be_bytes());
        }
        body.push(isolation.code());
        put_len(&mut body, 1)?;
        put_str(&mut body, topic)?;
        put_len(&mut body, 1)?;
        body.extend(partition.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend(FETCH_BYTES_MAX.to_be_bytes());
        let mut answer = self.ask(FETCH, 4, &body)?;
        answer.i32()?;
        ensure!(answer.i32()? == 1, "the broker answers for another topic than {topic}");
        answer.str()?;
        ensure!(answer.i32()? == 1, "the broker answers for another partition than {topic}/{partition}");
        answer.i32()?;
        let code = answer.i16()?;
        ensure!(code == 0, "fetch {topic}/{partition} at {offset}: error {code}");
        answer.i64()?;
        answer.i64()?;
        let mut aborted = Vec::new();
        for _ in 0..answer.i32()? {
            aborted.push((answer.i64()?, answer.i64()?));
        }
        let length = answer.len()?;
        Ok(Fetched { aborted, records: answer.take(length)?.to_vec() })
    }

    fn ask(&mut self, api: i16, version: i16, body: &[u8]) -> anyhow::Result<Answer> {
        self.correlation += 1;
        let mut request = Vec::new();
        request.extend(api.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(self.correlation.to_be_bytes());
        put_str(&mut request, "limpid-stack")?;
        request.extend(body);
        let mut framed = Vec::new();
        put_len(&mut framed, request.len())?;
        framed.extend(request);
        self.stream.write_all(&framed).context("send a request to the broker")?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("read the broker's answer")?;
        let length = usize::try_from(i32::from_be_bytes(length)).context("read the answer's length")?;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes is not Kafka's");
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).context("read the broker's answer")?;
        let mut answer = Answer { bytes, at: 0 };
        ensure!(answer.i32()? == self.correlation, "the broker answers another request");
        Ok(answer)
    }
}

struct Metadata {
    broker_ports: Vec<i32>,
    partitions: anyhow::Result<Vec<i32>>,
}

struct Fetched {
    /// Producer id and first offset of each aborted transaction in the range.
    aborted: Vec<(i64, i64)>,
    records: Vec<u8>,
}

/// Follows aborted transactions through a partition as a Kafka consumer does.
#[derive(Default)]
struct Aborted {
    announced: Vec<(i64, i64)>,
}

impl Aborted {
    /// Counts the visible records of whole batches in `[from, end)`; returns the offset after the last batch.
    fn count(&mut self, records: &[u8], from: i64, end: i64) -> anyhow::Result<(u64, i64)> {
        let mut rest = records;
        let (mut visible, mut next) = (0, from);
        while let Some(batch) = Batch::split_first(&mut rest)? {
            if batch.base_offset >= end {
                break;
            }
            next = batch.last_offset + 1;
            if let Some(abort) = batch.control_is_abort {
                if abort {
                    self.announced.retain(|&(producer, first)| producer != batch.producer || first > batch.last_offset);
                }
                continue;
            }
            let hidden = batch.transactional
                && self
                    .announced
                    .iter()
                    .any(|&(producer, first)| producer == batch.producer && first <= batch.last_offset);
            if !hidden {
                // The first batch can begin before the partition's first kept offset.
                visible += u64::try_from(batch.count.min(next - from.max(batch.base_offset))).unwrap_or_default();
            }
        }
        Ok((visible, next))
    }
}

struct Batch {
    base_offset: i64,
    last_offset: i64,
    producer: i64,
    transactional: bool,
    /// `Some` for a control batch.
    control_is_abort: Option<bool>,
    count: i64,
}

impl Batch {
    /// Takes a batch off the front; `None` at the end, where the broker may have cut one short.
    fn split_first(rest: &mut &[u8]) -> anyhow::Result<Option<Batch>> {
        let mut head = Answer { bytes: rest.get(..12).unwrap_or_default().to_vec(), at: 0 };
        let (Ok(base_offset), Ok(length)) = (head.i64(), head.len()) else { return Ok(None) };
        let Some((batch, after)) = rest.split_at_checked(12 + length) else { return Ok(None) };
        *rest = after;
        let mut batch = Answer { bytes: batch.to_vec(), at: 12 };
        batch.i32()?;
        ensure!(batch.u8()? == 2, "a record batch has the format of before Kafka 0.11");
        batch.i32()?;
        let attributes = batch.i16()?;
        let last_offset = base_offset + i64::from(batch.i32()?);
        batch.take(16)?;
        let producer = batch.i64()?;
        batch.take(6)?;
        let count = i64::from(batch.i32()?);
        let control = attributes & 0x20 != 0;
        let control_is_abort = control.then(|| batch.control_is_abort()).transpose()?;
        Ok(Some(Batch {
            base_offset,
            last_offset,
            producer,
            transactional: attributes & 0x10 != 0,
            control_is_abort,
            count,
        }))
    }
}

/// A cursor over bytes from the broker; the end comes as an error, never as a panic.
struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn take(&mut self, length: usize) -> anyhow::Result<&[u8]> {
        let end = self.at.checked_add(length).context("add a length")?;
        let Some(bytes) = self.bytes.get(self.at..end) else { bail!("the broker's answer is cut short") };
        self.at = end;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        self.take(N)?.try_into().context("take a number")
    }

    fn u8(&mut self) -> anyhow::Result<u8> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    fn i16(&mut self) -> anyhow::Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    fn i32(&mut self) -> anyhow::Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    fn i64(&mut self) -> anyhow::Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// A count or a length; -1 stands for null, which is as good as empty here.
    fn len(&mut self) -> anyhow::Result<usize> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    fn str(&mut self) -> anyhow::Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        Ok(Some(String::from_utf8(self.take(length)?.to_vec()).context("read a string of the broker")?))
    }

    /// The control record's key, after length, attributes, timestamp delta, offset delta and key length: version and
    /// type, two bytes each; type 0 aborts, 1 commits.
    fn control_is_abort(&mut self) -> anyhow::Result<bool> {
        self.varint()?;
        self.u8()?;
        for _ in 0..3 {
            self.varint()?;
        }
        self.i16()?;
        Ok(self.i16()? == 0)
    }

    /// Skips a varint: all bytes but the last have their top bit set.
    fn varint(&mut self) -> anyhow::Result<()> {
        while self.u8()? & 0x80 != 0 {}
        Ok(())
    }
}

fn put_len(body: &mut Vec<u8>, length: usize) -> anyhow::Result<()> {
    body.extend(i32::try_from(length).context("fit a length into 32 bits")?.to_be_bytes());
    Ok(())
}

fn put_str(body: &mut Vec<u8>, text: &str) -> anyhow::Result<()> {
    body.extend(i16::try_from(text.len()).context("fit a string's length into 16 bits")?.to_be_bytes());
    body.extend(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch header as the protocol page lays it out, with no records behind it but a control record's.
    fn batch(base: i64, count: i32, producer: i64, attributes: i16, records: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(0i32.to_be_bytes());
        body.push(2);
        body.extend(0i32.to_be_bytes());
        body.extend(attributes.to_be_bytes());
        body.extend((count - 1).to_be_bytes());
        body.extend([0; 16]);
        body.extend(producer.to_be_bytes());
        body.extend([0; 6]);
        body.extend(count.to_be_bytes());
        body.extend(records);
        let mut framed = base.to_be_bytes().to_vec();
        framed.extend(i32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend(body);
        framed
    }

    const ABORT: [u8; 9] = [16, 0, 0, 0, 8, 0, 0, 0, 0];
    const COMMIT: [u8; 9] = [16, 0, 0, 0, 8, 0, 0, 0, 1];

    #[test]
    fn records_of_an_aborted_transaction_and_markers_are_not_counted() {
        let log = [
            batch(0, 3, 7, 0x10, &[]),
            batch(3, 1, 7, 0x30, &ABORT),
            batch(4, 2, 7, 0x10, &[]),
            batch(6, 1, 7, 0x30, &COMMIT),
            batch(7, 5, -1, 0, &[]),
        ]
        .concat();
        let mut committed = Aborted { announced: vec![(7, 0)] };
        assert_eq!(committed.count(&log, 0, 12).unwrap(), (7, 12));
        assert_eq!(Aborted::default().count(&log, 0, 12).unwrap(), (10, 12));
    }

    #[test]
    fn a_batch_that_the_broker_cut_short_is_left_for_the_next_fetch() {
        let mut log = [batch(0, 3, -1, 0, &[]), batch(3, 3, -1, 0, &[])].concat();
        log.truncate(log.len() - 1);
        assert_eq!(Aborted::default().count(&log, 0, 6).unwrap(), (3, 3));
    }

    #[test]
    fn records_below_the_first_kept_offset_are_not_counted() {
        assert_eq!(Aborted::default().count(&batch(0, 10, -1, 0, &[]), 4, 10).unwrap(), (6, 10));
    }
}
