//! The contract of a sink.
//!
//! Owns: its clauses. Does not own: the place written to and who reads it (the rig).
//!
//! Invariant: records go to two tables, `a` and `b` of the schema `contract`, and to the topics `contract.a` and
//! `contract.b`; keys and values are compact JSON objects whose members stand in the order of their names.

use std::sync::Arc;
use std::time::Duration;

use limpid_codec::{EncodedBatch, RecordSpan, Span};
use limpid_model::{FaultCode, TableName, TableSchema};

use super::{Broken, Patience, holds};
use crate::clock::Clock;
use crate::sink::{Accepted, Delivered, Fenced, Keeping, Sink, SinkEvent};

/// A record's key and value; `None` is null.
pub type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A place to write to.
pub trait SinkRig {
    /// Another sink onto the place, for the same pipeline and not opened.
    fn sink(&mut self) -> Box<dyn Sink>;

    /// What a plain reader finds of the table (`a` or `b`), in order: not the sink's own code. `None` where nobody can
    /// look.
    fn found(&mut self, table: &str) -> Option<Vec<Pair>>;
}

/// Goes through the contract on an empty place.
///
/// # Errors
/// The first clause that is broken.
pub fn sink(rig: &mut dyn SinkRig) -> Result<(), Broken> {
    let mut numbers = 0..;
    let mut expected: [Vec<Pair>; 2] = [Vec::new(), Vec::new()];
    begins_without_a_record(rig)?;
    delivers(rig, &mut numbers, &mut expected)?;
    keeps_its_bound(rig, &mut numbers, &mut expected)?;
    keeps_its_record(rig)?;
    shuts_out(rig)?;
    delivers(rig, &mut numbers, &mut expected)
}

const POLL: Duration = Duration::from_millis(20);

/// A sink that is driven as the engine drives one.
struct Driven {
    sink: Box<dyn Sink>,
    durable: Vec<(u64, Vec<Delivered>)>,
    /// Batches that came back and are not durable yet.
    arrived: Vec<u64>,
    saved: usize,
}

impl Driven {
    fn begin(rig: &mut dyn SinkRig) -> Result<Self, Broken> {
        let mut sink = rig.sink();
        sink.open()?;
        if let Fenced::Open(why) = sink.fence()? {
            return Err(why.into());
        }
        let endpoint = sink.endpoint();
        holds(!endpoint.contains('@'), "an endpoint shows no credentials", || endpoint)?;
        Ok(Self { sink, durable: Vec::new(), arrived: Vec::new(), saved: 0 })
    }

    fn is_together(&self) -> bool {
        matches!(self.sink.keeping(), Keeping::Together { .. })
    }

    fn poll(&mut self) -> Result<(), Broken> {
        let mut events = Vec::new();
        self.sink.poll(POLL, &mut events)?;
        for event in events {
            match event {
                SinkEvent::Durable { batch, delivered } => {
                    self.arrived.retain(|known| *known != batch.batch.seq);
                    self.durable.push((batch.batch.seq, delivered));
                }
                SinkEvent::RecordSaved => self.saved += 1,
                SinkEvent::Arrived { batch, .. } if self.is_together() => {
                    let seq = batch.batch.seq;
                    let is_known = self.arrived.contains(&seq) || self.durable.iter().any(|(known, _)| *known == seq);
                    holds(!is_known, "a batch arrives once, and before it is durable", || format!("{seq}"))?;
                    self.arrived.push(seq);
                }
                SinkEvent::Health { .. } => {}
                other => return Err(Broken::new(format!("a good record is taken: {other:?}"))),
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<(), Broken> {
        let (patience, mut batch, mut is_asked) = (Patience::new(), batch, false);
        loop {
            if !is_asked && let Some(refused) = self.sink.refusals(&batch)? {
                holds(refused.is_empty(), "a good record is not refused", || format!("{refused:?}"))?;
                is_asked = true;
            }
            if is_asked {
                match self.sink.write(batch)? {
                    Accepted::Taken => return Ok(()),
                    Accepted::Full(back) => batch = back,
                }
            }
            holds(!patience.is_over(), "a sink that is polled has room again", || "not in 30 s".to_owned())?;
            self.poll()?;
        }
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Broken> {
        let before = self.saved;
        self.sink.save_record(record)?;
        self.until("a record that is saved is reported", |driven| driven.saved > before)
    }

    /// Everything that was handed in becomes durable.
    fn settle(&mut self, batches: usize) -> Result<(), Broken> {
        if self.is_together() {
            self.save(b"{\"settled\":1}")?;
        }
        self.until("each batch that was taken is reported", |driven| driven.durable.len() >= batches)
    }

    fn until(&mut self, clause: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), Broken> {
        let patience = Patience::new();
        while !is_so(self) {
            holds(!patience.is_over(), clause, || format!("{} durable in 30 s", self.durable.len()))?;
            self.poll()?;
        }
        Ok(())
    }
}

fn begins_without_a_record(rig: &mut dyn SinkRig) -> Result<(), Broken> {
    let mut driven = Driven::begin(rig)?;
    let found = driven.sink.load_record()?;
    holds(found.is_none(), "where none was saved there is no record", || format!("{found:?}"))
}

/// Batches of records, tombstones among them, and one without any.
fn delivers(
    rig: &mut dyn SinkRig,
    numbers: &mut impl Iterator<Item = u64>,
    expected: &mut [Vec<Pair>; 2],
) -> Result<(), Broken> {
    let mut driven = Driven::begin(rig)?;
    let counts = [7u64, 0, 5];
    for (seq, count) in counts.into_iter().enumerate() {
        let batch = batch(seq as u64, numbers.by_ref().take(count as usize), 20, expected);
        driven.write(batch)?;
    }
    if driven.is_together() {
        driven.poll()?;
        let early = driven.durable.iter().find(|(_, delivered)| !delivered.is_empty());
        holds(early.is_none(), "nothing is durable before its record is", || format!("{early:?}"))?;
        for (table, expected) in ["a", "b"].into_iter().zip(expected.iter()) {
            let seen = rig.found(table).map_or(0, |found| found.len());
            holds(seen < expected.len(), "nothing is seen before its record is durable", || {
                format!("{seen} in {table}")
            })?;
        }
    }
    driven.settle(counts.len())?;
    let mut seqs: Vec<u64> = driven.durable.iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    holds(seqs == [0, 1, 2], "each batch is reported once", || format!("{seqs:?}"))?;
    for (seq, delivered) in &driven.durable {
        let told: u64 = delivered.iter().map(|to| u64::from(to.records)).sum();
        let count = counts[*seq as usize];
        holds(told == count, "as many records are told as were handed in", || format!("{told} of {count}"))?;
    }
    arrived(rig, expected)
}

fn arrived(rig: &mut dyn SinkRig, expected: &[Vec<Pair>; 2]) -> Result<(), Broken> {
    for (table, expected) in ["a", "b"].into_iter().zip(expected) {
        let patience = Patience::new();
        // What is committed may become visible a moment later.
        let found = loop {
            match rig.found(table) {
                Some(found) if found.len() < expected.len() && !patience.is_over() => Clock::system().sleep(POLL),
                found => break found,
            }
        };
        let Some(found) = found else { continue };
        let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let clause = "what is durable is there, once, in order and byte for byte";
        holds(wrong.is_none() && found.len() == expected.len(), clause, || {
            format!("{} of {} in {table}, the first wrong one: {wrong:?}", found.len(), expected.len())
        })?;
    }
    Ok(())
}

/// A sink that nobody polls says that it is full, and gives the batch back whole.
fn keeps_its_bound(
    rig: &mut dyn SinkRig,
    numbers: &mut impl Iterator<Item = u64>,
    expected: &mut [Vec<Pair>; 2],
) -> Result<(), Broken> {
    /// More than any bound.
    const BATCHES: u64 = 200;
    let mut driven = Driven::begin(rig)?;
    // Whatever it has to learn of the place first.
    driven.write(batch(0, numbers.by_ref().take(2), 20, expected))?;
    driven.settle(1)?;
    let mut full = None;
    for seq in 1..BATCHES {
        let batch = batch(seq, numbers.by_ref().take(2), 500_000, expected);
        let size = (batch.batch.seq, batch.records.len(), batch.bytes.len());
        let refused = driven.sink.refusals(&batch)?;
        holds(
            refused.is_some_and(|rows| rows.is_empty()),
            "a place that is known refuses no good record",
            String::new,
        )?;
        match driven.sink.write(batch)? {
            Accepted::Taken => {
                let (held, held_max) = driven.sink.held_bytes();
                holds(held <= held_max + size.2 as u64, "what is held keeps its bound", || {
                    format!("{held} of {held_max}")
                })?;
            }
            Accepted::Full(back) => {
                let came = (back.batch.seq, back.records.len(), back.bytes.len());
                holds(came == size, "a batch comes back whole", || format!("{came:?} of {size:?}"))?;
                full = Some(back);
                break;
            }
        }
    }
    let Some(back) = full else { return Err(Broken::new("a sink that is not polled is full at some time: never")) };
    let batches = back.batch.seq as usize + 1;
    if driven.is_together() {
        driven.settle(batches - 1)?;
    }
    driven.write(back)?;
    driven.settle(batches)?;
    let held = driven.sink.held_bytes().0;
    holds(held == 0, "nothing is held when everything is durable", || format!("{held} bytes"))?;
    arrived(rig, expected)
}

fn keeps_its_record(rig: &mut dyn SinkRig) -> Result<(), Broken> {
    let mut driven = Driven::begin(rig)?;
    if driven.sink.keeping() == Keeping::Nowhere {
        return Ok(());
    }
    for record in [&b"{\"n\":1}"[..], b"{\"n\":2}"] {
        driven.save(record)?;
    }
    drop(driven);
    let found = Driven::begin(rig)?.sink.load_record()?;
    holds(found.as_deref() == Some(b"{\"n\":2}"), "the last record saved is found", || format!("{found:?}"))
}

/// The newer of two instances writes, the older cannot.
fn shuts_out(rig: &mut dyn SinkRig) -> Result<(), Broken> {
    let mut older = Driven::begin(rig)?;
    if older.sink.keeping() == Keeping::Nowhere {
        return Ok(());
    }
    older.save(b"{\"n\":3}")?;
    let mut newer = Driven::begin(rig)?;
    let refused = older.sink.save_record(b"{\"n\":9}").map_err(|fault| fault.code()).and_then(|()| {
        let patience = Patience::new();
        loop {
            let mut events = Vec::new();
            older.sink.poll(POLL, &mut events).map_err(|fault| fault.code())?;
            if patience.is_over() || events.iter().any(|event| matches!(event, SinkEvent::RecordSaved)) {
                return Ok(());
            }
        }
    });
    holds(refused == Err(FaultCode::Fenced), "who is shut out saves nothing", || format!("{refused:?}"))?;
    newer.save(b"{\"n\":4}")?;
    let found = Driven::begin(rig)?.sink.load_record()?;
    holds(found.as_deref() == Some(b"{\"n\":4}"), "the newer one's record is found", || format!("{found:?}"))
}

/// Records of both tables; of each seven one is a tombstone.
fn batch(seq: u64, numbers: impl Iterator<Item = u64>, pad: usize, expected: &mut [Vec<Pair>; 2]) -> Box<EncodedBatch> {
    let mut out = Box::new(EncodedBatch::default());
    out.batch.seq = seq;
    for table in ["a", "b"] {
        let name = TableName::new("contract", table);
        let key_seed = limpid_model::key_seed(&name);
        out.batch.tables.push(Arc::new(TableSchema { name, version: 1, columns: vec![], key: [].into(), key_seed }));
        out.topics.push(Some(format!("contract.{table}").into()));
    }
    for number in numbers {
        let table = (number % 2) as u16;
        let key = format!("{{\"n\":{number}}}").into_bytes();
        let value = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(pad)).into_bytes();
        let value = (number % 7 != 3).then_some(value);
        let mut span = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => {
                let start = out.bytes.len();
                out.bytes.extend_from_slice(bytes);
                Span::since(start, &out.bytes)
            }
            None => Span::NULL,
        };
        let key = Some(key);
        let spans = (span(&key), span(&value));
        let row = out.records.len() as u32;
        out.records.push(RecordSpan { key: spans.0, value: spans.1, headers: (0, 0), table, row });
        expected[usize::from(table)].push((key, value));
    }
    out
}
