//! The contract suite against connectors in memory: those that keep it, and those that break one clause each.
//!
//! Owns: the flaws. Does not own: the suite (`testkit`).
//!
//! Invariant: each flaw is one that a real connector could have, and is named by the clause it breaks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limpid_connector::testkit::{
    Broken, MemoryLog, MemoryPlace, MemorySink, MemorySource, Pair, SinkRig, SourceRig, sink, source,
};
use limpid_connector::{
    Accepted, Admission, ChangeStream, Chunk, Decode, EncodedBatch, Fenced, Head, Keeping, Next, Saved, Sink,
    SinkEvent, Source, StartPoint, StreamEvent, TableFound, TableReader, Until,
};
use limpid_model::{Batch, Fault, Position, TableName};

const TOGETHER: Keeping = Keeping::Together { every: Duration::from_millis(100), takes_max: Duration::from_secs(10) };

/// What a sink does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SinkFlaw {
    None,
    LosesATombstone,
    WritesTwice,
    SwapsTwo,
    NeverFull,
    HalvesWhatComesBack,
    ReportsTwice,
    ArrivesTooLate,
    MiscountsRecords,
    ForgetsItsRecord,
    LetsTheOlderWrite,
    IsSeenBeforeItsRecord,
    ShowsItsPassword,
}

struct Flawed {
    inner: MemorySink,
    flaw: SinkFlaw,
    /// What it has not told yet.
    kept: Vec<SinkEvent>,
}

impl Sink for Flawed {
    fn open(&mut self) -> Result<(), Fault> {
        self.inner.open()
    }

    fn write(&mut self, mut batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        match self.flaw {
            SinkFlaw::LosesATombstone => batch.records.retain(|record| !record.value.is_null()),
            SinkFlaw::WritesTwice if batch.records.len() == 7 => {
                let last = batch.records[6];
                batch.records.push(last);
            }
            SinkFlaw::SwapsTwo if batch.records.len() == 7 => batch.records.swap(0, 2),
            SinkFlaw::NeverFull => self.inner.poll(Duration::ZERO, &mut self.kept)?,
            _ => {}
        }
        match self.inner.write(batch)? {
            Accepted::Full(mut batch) if self.flaw == SinkFlaw::HalvesWhatComesBack => {
                batch.records.truncate(1);
                Ok(Accepted::Full(batch))
            }
            accepted => Ok(accepted),
        }
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        events.append(&mut self.kept);
        self.inner.poll(wait, events)?;
        let mut more = Vec::new();
        for event in events.iter_mut() {
            let SinkEvent::Durable { batch, delivered } = event else { continue };
            if self.flaw == SinkFlaw::ArrivesTooLate {
                let batch = batch.receipt();
                more.push(SinkEvent::Arrived { batch, receipt_bytes: 0 });
            }
            if self.flaw == SinkFlaw::MiscountsRecords {
                delivered.truncate(1);
            }
            if self.flaw == SinkFlaw::ReportsTwice && batch.batch.seq == 0 {
                let mut again = Box::new(EncodedBatch::default());
                again.batch.seq = 0;
                more.push(SinkEvent::Durable { batch: again, delivered: delivered.clone() });
            }
        }
        events.extend(more);
        Ok(())
    }

    fn keeping(&self) -> Keeping {
        // What it claims, though its rows are written at once.
        if self.flaw == SinkFlaw::IsSeenBeforeItsRecord { TOGETHER } else { self.inner.keeping() }
    }

    fn fence(&mut self) -> Result<Fenced, Fault> {
        self.inner.fence()
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if self.flaw == SinkFlaw::ForgetsItsRecord { Ok(None) } else { self.inner.load_record() }
    }

    fn save_record(&mut self, record: &[u8]) -> Result<(), Fault> {
        if self.flaw == SinkFlaw::LetsTheOlderWrite && self.inner.save_record(record).is_err() {
            self.inner.fence()?;
        }
        self.inner.save_record(record)
    }

    fn held_bytes(&self) -> (u64, u64) {
        self.inner.held_bytes()
    }

    fn endpoint(&self) -> String {
        if self.flaw == SinkFlaw::ShowsItsPassword { "u:p@memory".to_owned() } else { self.inner.endpoint() }
    }
}

struct Place {
    place: Arc<Mutex<MemoryPlace>>,
    keeping: Keeping,
    flaw: SinkFlaw,
}

impl SinkRig for Place {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(Flawed {
            inner: MemorySink::new(Arc::clone(&self.place), self.keeping),
            flaw: self.flaw,
            kept: Vec::new(),
        })
    }

    fn found(&mut self, table: &str) -> Option<Vec<Pair>> {
        Some(self.place.lock().unwrap().found(table))
    }
}

fn sink_with(keeping: Keeping, flaw: SinkFlaw) -> Result<(), Broken> {
    sink(&mut Place { place: Arc::default(), keeping, flaw })
}

#[test]
fn a_sink_in_memory_keeps_the_contract_whatever_it_keeps() {
    for keeping in [Keeping::Nowhere, Keeping::Beside, TOGETHER] {
        assert_eq!(sink_with(keeping, SinkFlaw::None), Ok(()), "{keeping:?}");
    }
}

#[test]
fn each_flaw_of_a_sink_is_named() {
    for (flaw, keeping, clause) in [
        (SinkFlaw::LosesATombstone, Keeping::Nowhere, "as many records are told"),
        (SinkFlaw::WritesTwice, Keeping::Beside, "as many records are told"),
        (SinkFlaw::SwapsTwo, TOGETHER, "once, in order and byte for byte"),
        (SinkFlaw::NeverFull, Keeping::Nowhere, "a sink that is not polled is full"),
        (SinkFlaw::HalvesWhatComesBack, Keeping::Nowhere, "a batch comes back whole"),
        (SinkFlaw::ReportsTwice, Keeping::Beside, "each batch is reported once"),
        (SinkFlaw::ArrivesTooLate, TOGETHER, "a batch arrives once, and before it is durable"),
        (SinkFlaw::MiscountsRecords, Keeping::Nowhere, "as many records are told"),
        (SinkFlaw::ForgetsItsRecord, Keeping::Beside, "the last record saved is found"),
        (SinkFlaw::LetsTheOlderWrite, TOGETHER, "who is shut out saves nothing"),
        (SinkFlaw::IsSeenBeforeItsRecord, Keeping::Beside, "nothing is durable before its record is"),
        (SinkFlaw::ShowsItsPassword, Keeping::Nowhere, "an endpoint shows no credentials"),
    ] {
        let broken = sink_with(keeping, flaw).expect_err("a flaw is found").0;
        assert!(broken.contains(clause), "{flaw:?}: {broken}");
    }
}

/// What a source does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceFlaw {
    None,
    LosesARow,
    RepeatsATransaction,
    EndsTooEarly,
    PassesTheEnd,
    NeverEndsTransactions,
    GoesOnWithHaltedTables,
    RefusesEveryChunk,
    LosesARowOfAChunk,
    InventsARowOfAChunk,
    TakesAnyPosition,
}

struct FlawedSource {
    inner: MemorySource,
    log: MemoryLog,
    flaw: SourceFlaw,
}

impl Source for FlawedSource {
    fn open(&mut self, from: &StartPoint, until: &Until, saved: Option<Saved>) -> Result<Box<dyn ChangeStream>, Fault> {
        let from = match (from, self.flaw) {
            (StartPoint::At(text), SourceFlaw::TakesAnyPosition) if !text.starts_with("mem:") => StartPoint::Head,
            (StartPoint::At(text), SourceFlaw::RepeatsATransaction) if text == "mem:2" => {
                StartPoint::At("mem:1".to_owned())
            }
            (from, _) => from.clone(),
        };
        let until = match (until, self.flaw) {
            (Until::Position(_), SourceFlaw::PassesTheEnd) => &Until::CaughtUp,
            (until, _) => until,
        };
        let inner = self.inner.open(&from, until, saved)?;
        Ok(Box::new(FlawedStream { inner, flaw: self.flaw }))
    }

    fn foresee(&self, from: &StartPoint) -> Result<Position, Fault> {
        self.inner.foresee(from)
    }

    fn tables(&self) -> Result<Vec<TableFound>, Fault> {
        self.inner.tables()
    }

    fn head(&self) -> Result<Box<dyn Head>, Fault> {
        self.inner.head()
    }

    fn table_reader(&self) -> Result<Box<dyn TableReader>, Fault> {
        if self.flaw == SourceFlaw::LosesARowOfAChunk {
            // As if one row had not been committed.
            let fewer: Vec<Vec<u64>> = self.log.lock().unwrap().iter().skip(1).cloned().collect();
            return MemorySource::new(Arc::new(Mutex::new(fewer))).table_reader();
        }
        if self.flaw == SourceFlaw::InventsARowOfAChunk {
            let mut more = self.log.lock().unwrap().clone();
            more[0].push(77_777_777);
            return MemorySource::new(Arc::new(Mutex::new(more))).table_reader();
        }
        self.inner.table_reader()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }
}

struct FlawedStream {
    inner: Box<dyn ChangeStream>,
    flaw: SourceFlaw,
}

impl ChangeStream for FlawedStream {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Next, Fault> {
        let next = self.inner.next(batch, wait)?;
        match self.flaw {
            SourceFlaw::LosesARow if batch.txns.first().is_some_and(|_| batch.events.len() == 1) => {
                let block = &mut batch.blocks[0];
                if block.len() == 16 {
                    *block = block.slice(..8);
                }
            }
            SourceFlaw::NeverEndsTransactions => batch.txns.iter_mut().for_each(|txn| txn.ends = false),
            SourceFlaw::EndsTooEarly if matches!(next, Next::Batch) => return Ok(Next::End),
            _ => {}
        }
        Ok(next)
    }

    fn decoder(&self) -> Arc<dyn Decode> {
        self.inner.decoder()
    }

    fn take_events(&mut self) -> Vec<StreamEvent> {
        self.inner.take_events()
    }

    fn halt_table(&mut self, table: &TableName) {
        if self.flaw != SourceFlaw::GoesOnWithHaltedTables {
            self.inner.halt_table(table);
        }
    }

    fn captures(&self, table: &TableName) -> bool {
        self.inner.captures(table)
    }

    fn connector(&self) -> &'static str {
        self.inner.connector()
    }

    fn opened_at(&self) -> Position {
        self.inner.opened_at()
    }

    fn admit(&mut self, chunk: &mut Chunk) -> Admission {
        match self.inner.admit(chunk) {
            Admission::Admitted if self.flaw == SourceFlaw::RefusesEveryChunk => Admission::Stale("always"),
            admission => admission,
        }
    }

    fn hold_at(&mut self, fence: Option<Position>) {
        self.inner.hold_at(fence);
    }
}

struct Server {
    log: MemoryLog,
    flaw: SourceFlaw,
}

impl SourceRig for Server {
    fn source(&mut self) -> Box<dyn Source> {
        let inner = MemorySource::new(Arc::clone(&self.log));
        Box::new(FlawedSource { inner, log: Arc::clone(&self.log), flaw: self.flaw })
    }

    fn table(&self) -> TableName {
        MemorySource::table()
    }

    fn insert(&mut self, keys: &[u64]) {
        self.log.lock().unwrap().push(keys.to_vec());
    }

    fn keys(&mut self) -> Vec<u64> {
        let mut keys: Vec<u64> = self.log.lock().unwrap().iter().flatten().copied().collect();
        keys.sort_unstable();
        keys
    }
}

fn source_with(flaw: SourceFlaw) -> Result<(), Broken> {
    source(&mut Server { log: Arc::default(), flaw })
}

#[test]
fn a_source_in_memory_keeps_the_contract() {
    assert_eq!(source_with(SourceFlaw::None), Ok(()));
}

#[test]
fn each_flaw_of_a_source_is_named() {
    for (flaw, clause) in [
        (SourceFlaw::LosesARow, "what was committed since comes"),
        (SourceFlaw::RepeatsATransaction, "a stream begins where it is asked to"),
        (SourceFlaw::EndsTooEarly, "what was committed since comes"),
        (SourceFlaw::PassesTheEnd, "an end at a position is exact"),
        (SourceFlaw::NeverEndsTransactions, "one transaction ends once"),
        (SourceFlaw::GoesOnWithHaltedTables, "no row of a halted table comes"),
        (SourceFlaw::RefusesEveryChunk, "a chunk of a table at rest is of use"),
        (SourceFlaw::LosesARowOfAChunk, "a copy has each row that was there"),
        (SourceFlaw::InventsARowOfAChunk, "a copy has no row that was never there"),
        (SourceFlaw::TakesAnyPosition, "what is no position is refused for good"),
    ] {
        let broken = source_with(flaw).expect_err("a flaw is found").0;
        assert!(broken.contains(clause), "{flaw:?}: {broken}");
    }
}
