//! Connectors in memory that keep both contracts.
//!
//! Owns: a place that keeps records and the sink onto it, a log of transactions and the source over it. Does not own:
//! any system: what passes here proves the suite, not a connector.
//!
//! Invariant: a place and a log outlive their connectors, as a server does.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use limpid_codec::EncodedBatch;
use limpid_model::{
    Batch, Cell, CellKind, Column, CommitTime, Component, EventHeader, Fault, FaultCode, LogicalType, NONE, Op,
    Position, PositionValue, RowHeader, TableName, TableSchema, TxnHeader, TxnId,
};

use super::sink::Pair;
use crate::clock::Clock;
use crate::copy::{Admission, Chunk, ChunkAsk, KeyRange, SourceLoad, TableFound, TableReader};
use crate::sink::{Accepted, Delivered, Fenced, Keeping, Sink, SinkEvent};
use crate::source::{
    ChangeStream, Decode, DecodeTally, Head, HeadSeen, Next, Saved, Source, StartPoint, StreamEvent, Until,
};

/// What a memory sink holds at most: a few of the suite's large batches.
const HELD_BYTES_MAX: u64 = 4 << 20;

/// What records are written to.
#[derive(Debug, Default)]
pub struct MemoryPlace {
    tables: BTreeMap<String, Vec<Pair>>,
    record: Option<Vec<u8>>,
    /// The number of the instance that may write.
    holder: u64,
}

impl MemoryPlace {
    /// The records of a table, in order.
    pub fn found(&self, table: &str) -> Vec<Pair> {
        self.tables.get(table).cloned().unwrap_or_default()
    }
}

/// A sink onto a [`MemoryPlace`].
#[derive(Debug)]
pub struct MemorySink {
    place: Arc<Mutex<MemoryPlace>>,
    keeping: Keeping,
    #[expect(clippy::vec_box, reason = "batches come and go boxed")]
    held: Vec<Box<EncodedBatch>>,
    saving: Option<Vec<u8>>,
    number: u64,
}

impl MemorySink {
    pub fn new(place: Arc<Mutex<MemoryPlace>>, keeping: Keeping) -> Self {
        Self { place, keeping, held: Vec::new(), saving: None, number: 0 }
    }

    fn place(&self) -> MutexGuard<'_, MemoryPlace> {
        self.place.lock().expect("never held across a panic")
    }

    fn is_together(&self) -> bool {
        matches!(self.keeping, Keeping::Together { .. })
    }

    /// Writes what is held, and reports it.
    fn flush(&mut self, events: &mut Vec<SinkEvent>) {
        for batch in std::mem::take(&mut self.held) {
            let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
            for record in &batch.records {
                let name = &batch.batch.tables[usize::from(record.table)].name.table;
                let pair = (batch.get(record.key).map(<[u8]>::to_vec), batch.get(record.value).map(<[u8]>::to_vec));
                self.place().tables.entry(name.to_string()).or_default().push(pair);
                *counts.entry(record.table).or_default() += 1;
            }
            let told = |(table, records)| Delivered { table, partition: -1, offsets: (-1, -1), records };
            events.push(SinkEvent::Durable { batch, delivered: counts.into_iter().map(told).collect() });
        }
    }
}

impl Sink for MemorySink {
    fn open(&mut self) -> Result<(), Fault> {
        self.held.clear();
        self.saving = None;
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        let (held, _) = self.held_bytes();
        if held > 0 && held + batch.bytes.len() as u64 > HELD_BYTES_MAX {
            return Ok(Accepted::Full(batch));
        }
        self.held.push(batch);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.held.is_empty() && self.saving.is_none() {
            Clock::system().sleep(wait);
        }
        let record = self.saving.take();
        if record.is_some() || !self.is_together() {
            self.flush(events);
        }
        if let Some(record) = record {
            self.place().record = Some(record);
            events.push(SinkEvent::RecordSaved);
        }
        Ok(())
    }

    fn keeping(&self) -> Keeping {
        self.keeping
    }

    fn fence(&mut self) -> Result<Fenced, Fault> {
        let number = {
            let mut place = self.place();
            place.holder += 1;
            place.holder
        };
        self.number = number;
        Ok(Fenced::Shut)
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.place().record.clone())
    }

    fn save_record(&mut self, record: &[u8]) -> Result<(), Fault> {
        if self.place().holder != self.number {
            return Err(Fault::new(FaultCode::Fenced, Component::Output, "another instance has taken over"));
        }
        self.saving = Some(record.to_vec());
        Ok(())
    }

    fn held_bytes(&self) -> (u64, u64) {
        (self.held.iter().map(|batch| batch.bytes.len() as u64).sum(), HELD_BYTES_MAX)
    }

    fn endpoint(&self) -> String {
        "memory".to_owned()
    }
}

/// Committed transactions, each the keys that it inserted.
pub type MemoryLog = Arc<Mutex<Vec<Vec<u64>>>>;

/// So many transactions of the log are done.
#[derive(Clone, Copy, Debug)]
struct Done(usize);

impl PositionValue for Done {
    fn text(&self) -> String {
        format!("mem:{}", self.0)
    }
    fn compare(&self, other: &dyn PositionValue) -> Option<Ordering> {
        other.as_any().downcast_ref::<Done>().map(|other| self.0.cmp(&other.0))
    }
    fn with_rows_done(&self, _: u64) -> Position {
        Position::new(*self)
    }
    fn inside(&self) -> Option<(TxnId, u64)> {
        None
    }
    fn read_from(&self) -> Position {
        Position::new(*self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The position at which so many transactions of a [`MemoryLog`] are done.
pub fn done(transactions: usize) -> Position {
    Position::new(Done(transactions))
}

/// A source over a [`MemoryLog`], of the table `memory.t`.
#[derive(Debug)]
pub struct MemorySource {
    log: MemoryLog,
}

impl MemorySource {
    pub fn new(log: MemoryLog) -> Self {
        Self { log }
    }

    /// The one table.
    pub fn table() -> TableName {
        TableName::new("memory", "t")
    }

    fn position(&self, text: &str) -> Result<Done, Fault> {
        let number = text.strip_prefix("mem:").and_then(|number| number.parse().ok());
        let found = number.filter(|number| *number <= length(&self.log)).map(Done);
        found.ok_or_else(|| Fault::new(FaultCode::PositionInvalid, Component::Input, "this is no position"))
    }
}

fn length(log: &MemoryLog) -> usize {
    log.lock().expect("never held across a panic").len()
}

impl Source for MemorySource {
    fn open(&mut self, from: &StartPoint, until: &Until, _: Option<Saved>) -> Result<Box<dyn ChangeStream>, Fault> {
        let from = self.foresee(from)?.downcast::<Done>().map_or(0, |done| done.0);
        let end = match until {
            Until::Forever => None,
            Until::CaughtUp => Some(length(&self.log)),
            Until::Position(text) => Some(self.position(text)?.0),
        };
        let (is_halted, hold) = (false, None);
        Ok(Box::new(MemoryStream {
            log: Arc::clone(&self.log),
            opened_at: from,
            next: from,
            end,
            is_halted,
            hold,
            waited: Duration::ZERO,
        }))
    }

    fn foresee(&self, from: &StartPoint) -> Result<Position, Fault> {
        Ok(Position::new(match from {
            StartPoint::Head => Done(length(&self.log)),
            StartPoint::Earliest => Done(0),
            StartPoint::At(text) => self.position(text)?,
        }))
    }

    fn tables(&self) -> Result<Vec<TableFound>, Fault> {
        MemoryReader(Arc::clone(&self.log)).tables()
    }

    fn head(&self) -> Result<Box<dyn Head>, Fault> {
        Ok(Box::new(MemoryHead(Arc::clone(&self.log))))
    }

    fn table_reader(&self) -> Result<Box<dyn TableReader>, Fault> {
        Ok(Box::new(MemoryReader(Arc::clone(&self.log))))
    }

    fn endpoint(&self) -> String {
        "memory".to_owned()
    }
}

struct MemoryHead(MemoryLog);

impl Head for MemoryHead {
    fn look(&mut self, from: &Position, _: &Clock) -> Result<HeadSeen, Fault> {
        let (end, from) = (length(&self.0), from.downcast::<Done>().map_or(0, |done| done.0));
        let lag = Some(end.saturating_sub(from) as u64);
        Ok(HeadSeen { position: done(end), lag_bytes: lag, lag_transactions: lag, clock: None })
    }
}

struct MemoryStream {
    log: MemoryLog,
    opened_at: usize,
    next: usize,
    end: Option<usize>,
    is_halted: bool,
    hold: Option<usize>,
    waited: Duration,
}

fn schema() -> Arc<TableSchema> {
    let name = MemorySource::table();
    let key_seed = limpid_model::key_seed(&name);
    let logical = LogicalType::Int { bits: 64, signed: true };
    let columns = vec![Column { name: "id".into(), logical, nullable: false, tinyint1: false }];
    Arc::new(TableSchema { name, version: 1, columns, key: [0].into(), key_seed })
}

/// One transaction as raw events: a row is eight bytes.
fn put(batch: &mut Batch, number: usize, keys: &[u64]) {
    let txn = batch.txns.len() as u32;
    batch.txns.push(TxnHeader {
        id: TxnId::Domain { domain: 0, server: 1, seq: number as u64 + 1 },
        commit: CommitTime { micros: 0, uncertainty_micros: 0 },
        thread: 0,
        rows_before: 0,
        ends: true,
    });
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
    batch.events.push(EventHeader {
        at: number as u64,
        seconds: 0,
        server: 1,
        offset: 0,
        len: bytes.len() as u32,
        txn,
        rows: 0,
        block: batch.blocks.len() as u16,
        table: 0,
        log: 0,
        kind: 0,
        flags: 0,
    });
    batch.blocks.push(Bytes::from(bytes));
}

impl ChangeStream for MemoryStream {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Next, Fault> {
        batch.clear();
        self.waited = Duration::ZERO;
        let there = length(&self.log);
        if self.end.is_some_and(|end| self.next >= end) {
            return Ok(Next::End);
        }
        if self.next >= there.min(self.hold.unwrap_or(there)) {
            Clock::system().sleep(wait);
            self.waited = wait;
            return Ok(Next::Idle);
        }
        batch.tables.push(schema());
        batch.layouts.push(Arc::new(()));
        batch.logs.push("memory".into());
        if !self.is_halted {
            put(batch, self.next, &self.log.lock().expect("never held across a panic")[self.next]);
        }
        self.next += 1;
        batch.end = Some(done(self.next));
        Ok(Next::Batch)
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn decoder(&self) -> Arc<dyn Decode> {
        Arc::new(MemoryDecoder)
    }

    fn take_events(&mut self) -> Vec<StreamEvent> {
        Vec::new()
    }

    fn halt_table(&mut self, table: &TableName) {
        self.is_halted |= *table == MemorySource::table();
    }

    fn captures(&self, table: &TableName) -> bool {
        *table == MemorySource::table()
    }

    fn connector(&self) -> &'static str {
        "memory"
    }

    fn opened_at(&self) -> Position {
        done(self.opened_at)
    }

    fn admit(&mut self, chunk: &mut Chunk) -> Admission {
        match chunk.fence.downcast::<Done>() {
            Some(fence) if fence.0 <= self.next => Admission::Admitted,
            Some(_) => Admission::NotYet,
            None => Admission::Stale("its fence is of another source"),
        }
    }

    fn hold_at(&mut self, fence: Option<Position>) {
        self.hold = fence.and_then(|fence| fence.downcast::<Done>().map(|done| done.0));
    }
}

struct MemoryDecoder;

impl Decode for MemoryDecoder {
    fn decode(&self, batch: &mut Batch, _: &mut DecodeTally) -> Result<(), Fault> {
        for (number, event) in batch.events.iter_mut().enumerate() {
            let block = &batch.blocks[usize::from(event.block)];
            for (nth, key) in block.chunks_exact(8).enumerate() {
                let key = key.try_into().map_or(0, i64::from_le_bytes);
                push(&mut batch.cells, &mut batch.rows, key, Op::Insert, (number as u32, nth as u32, event.txn));
            }
            event.rows = (block.len() / 8) as u32;
        }
        Ok(())
    }
}

fn push(cells: &mut Vec<Cell>, rows: &mut Vec<RowHeader>, key: i64, op: Op, place: (u32, u32, u32)) {
    let (event, row_in_event, txn) = place;
    let after = cells.len() as u32;
    cells.push(Cell::int(CellKind::Int, key));
    rows.push(RowHeader { event, row_in_event, txn, before: NONE, after, table: 0, op });
}

/// Reads the table as the log has made it so far.
struct MemoryReader(MemoryLog);

impl TableReader for MemoryReader {
    fn tables(&mut self) -> Result<Vec<TableFound>, Fault> {
        let rows = self.0.lock().expect("never held across a panic").iter().map(Vec::len).sum::<usize>() as u64;
        Ok(vec![TableFound { name: MemorySource::table(), rows, bytes: rows * 8, has_key: true }])
    }

    fn split(&mut self, _: &TableName, _: u32) -> Result<Vec<KeyRange>, Fault> {
        Ok(vec![KeyRange::default()])
    }

    fn read(&mut self, ask: &ChunkAsk<'_>) -> Result<Option<Chunk>, Fault> {
        if *ask.table != MemorySource::table() {
            return Ok(None);
        }
        let log = self.0.lock().expect("never held across a panic");
        let bound = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<u64>().ok());
        let (after, until) = (bound(&ask.range.after), bound(&ask.range.until));
        let is_inside = |key: &u64| after.is_none_or(|after| *key > after) && until.is_none_or(|until| *key <= until);
        let mut keys: Vec<u64> = log.iter().flatten().copied().filter(is_inside).collect();
        keys.sort_unstable();
        let is_cut = keys.len() > ask.rows_max as usize;
        keys.truncate(ask.rows_max as usize);
        let last = keys.last().map(u64::to_string);
        let rest = is_cut.then(|| KeyRange { after: last.clone(), until: ask.range.until.clone() });
        let range =
            KeyRange { after: ask.range.after.clone(), until: if is_cut { last } else { ask.range.until.clone() } };
        let mut batch = Batch::default();
        batch.tables.push(schema());
        for key in &keys {
            push(&mut batch.cells, &mut batch.rows, key.cast_signed(), Op::Read, (NONE, 0, NONE));
        }
        Ok(Some(Chunk {
            table: ask.table.clone(),
            range,
            rest,
            batches: vec![batch],
            fence: done(log.len()),
            rows: keys.len() as u64,
            bytes: keys.len() as u64 * 8,
            took: Duration::ZERO,
            proof: Box::new(()),
        }))
    }

    fn begin_whole(&mut self, _: &TableName, _: Option<&str>) -> Result<Option<Position>, Fault> {
        Ok(None)
    }

    fn read_whole(&mut self, _: u64) -> Result<Option<Chunk>, Fault> {
        Ok(None)
    }

    fn statements_of_others(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    fn load(&mut self) -> Result<SourceLoad, Fault> {
        Ok(SourceLoad::default())
    }
}
