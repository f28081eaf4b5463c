//! The delivery thread: order restored, the sink fed, acknowledgements gathered, positions saved.
//!
//! Owns: the window, halted tables, the rows a restart skips. Does not own: the sink's own queue, the store (`saver`),
//! rows that are not delivered (`parking`).
//!
//! Invariant: batches reach the sink in the order they were read. A position is saved only once everything at or
//! below it is durable, and after whatever the state must remember of it.

mod kept;
mod turn;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use limpid_connector::{Accepted, EncodedBatch, Sink, SinkEvent, StreamEvent};
use limpid_model::{Component, Fault, FaultCode, Position, TableName, TxnId};

use super::{Made, Shared};
use crate::failpoint::{Point, pass};
use crate::heartbeat::BeatsOut;
use crate::ledger::Ledger;
use crate::observe::RowAt;
use crate::parking::Parking;
use crate::saver::{Covered, Saver};
use crate::stages::State;
use crate::window::Window;

/// While something is out at the sink: how long to listen to it before looking for new batches. It is the most that
/// a batch waits here unseen.
const LISTEN: Duration = Duration::from_millis(1);

/// How long to wait for a batch when nothing is out.
const REST: Duration = Duration::from_millis(100);

/// Receipts that wait for their commit may take so much, 45,000 to 130,000 rows by the size of their transactions: then a
/// commit does not wait for its time.
const RECEIPT_BYTES_MAX: u64 = 8 << 20;

/// Rows at the start of the stream that were done before the restart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resume {
    pub(crate) txn: TxnId,
    pub(crate) rows: u64,
}

/// What is known against a batch that the sink was not asked about yet. All that speaks against its rows is decided over
/// at once: in the log's order, a row is held by those before it and supersedes them.
#[derive(Debug, Default)]
struct Against {
    rows: Vec<(u32, Fault)>,
    tables: Vec<(TableName, Fault)>,
}

pub(super) struct Delivery<'a> {
    sink: &'a mut dyn Sink,
    saver: &'a mut Saver,
    parking: Parking,
    ledger: Ledger,
    shared: &'a Shared,
    resume: Option<Resume>,
    halted: HashSet<TableName>,
    /// Batches that came before their turn.
    early: BTreeMap<u64, Made>,
    next: u64,
    /// The number of the next batch for the sink: pieces of a replay go between those that were read.
    order: u64,
    /// The batch in hand is a piece of a replay.
    is_piece: bool,
    window: Window<Covered>,
    version: u32,
    /// What is copied behind the last batch, as the record keeps it.
    cursors: Arc<Vec<String>>,
    /// Raw bytes each batch that the sink has not given back has taken from the budget.
    taken: HashMap<u64, u64>,
    /// Room of the receipts that wait for their commit.
    receipt_bytes: u64,
    /// A batch that the sink had no room for, or cannot say yet what it refuses of.
    waiting: Option<(Box<EncodedBatch>, Option<Against>)>,
    /// The transaction that the last batch ended inside, and its rows so far.
    inside: Option<(TxnId, u64)>,
    last_end: Position,
    /// The position behind the batch before the one in hand.
    before: Position,
    drain_max: Duration,
    /// When the operator's stop was seen first.
    stopping_since: Option<u64>,
    sink_events: Vec<SinkEvent>,
    beats: BeatsOut,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(
        sink: &'a mut dyn Sink,
        (saver, parking): (&'a mut Saver, Parking),
        shared: &'a Shared,
        resume: Option<Resume>,
        opened_at: Position,
        halted: Vec<TableName>,
        drain_max: Duration,
    ) -> Self {
        let version = saver.record().schema_version;
        let cursors = Arc::new(saver.record().cursors.clone());
        let ledger = Ledger::new(saver.is_together());
        Self {
            sink,
            ledger,
            saver,
            parking,
            shared,
            resume,
            halted: halted.into_iter().collect(),
            early: BTreeMap::new(),
            next: 0,
            order: 0,
            is_piece: false,
            window: Window::new(0),
            version,
            cursors,
            taken: HashMap::new(),
            receipt_bytes: 0,
            waiting: None,
            inside: None,
            before: opened_at.clone(),
            last_end: opened_at,
            drain_max,
            stopping_since: None,
            sink_events: Vec::new(),
            beats: BeatsOut::default(),
        }
    }

    pub(super) fn run(mut self, made: &Receiver<Made>) -> Result<(), Fault> {
        self.parking.tell(&*self.shared.observer);
        while self.step(made)? {}
        pass(Point::BeforeDrain);
        self.drain()?;
        self.saver.store_now()
    }

    /// One round; false when no further batch will come.
    fn step(&mut self, made: &Receiver<Made>) -> Result<bool, Fault> {
        if self.shared.abort.is_raised() {
            return Ok(false);
        }
        // A sink that takes or acknowledges nothing keeps what was read from coming here, and so the end of it too.
        self.keep_to_the_drain()?;
        if self.waiting.is_none() {
            let is_quiet = self.window.is_empty() && !self.saver.is_busy();
            let received = if is_quiet { self.rest(made) } else { made.try_recv() };
            self.shared.waiting.1.store(made.len(), Ordering::Relaxed);
            match received {
                Ok(batch) => self.accept(batch)?,
                Err(TryRecvError::Empty) if is_quiet => {}
                Err(TryRecvError::Empty) => self.listen(LISTEN)?,
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        } else {
            self.listen(LISTEN)?;
        }
        self.feed()?;
        self.listen(Duration::ZERO)?;
        self.take_copy_requests()?;
        self.replay()?;
        self.save()?;
        Ok(true)
    }

    /// What an operator asked for is in the record as soon as nothing is out, and with the next batch else.
    fn take_copy_requests(&mut self) -> Result<(), Fault> {
        let Some(copying) = &self.shared.copying else { return Ok(()) };
        if !copying.take_requests() {
            return Ok(());
        }
        self.cursors = copying.cursors();
        if self.window.is_empty() {
            let covered = self.completes(self.last_end.clone())?;
            self.saver.changed(covered);
        }
        Ok(())
    }

    /// What a batch that ends at the position completes, as far as it is known now.
    fn completes(&mut self, position: Position) -> Result<Covered, Fault> {
        let (undecided, change) = self.saver.held_at(&position)?;
        let cursors = Arc::clone(&self.cursors);
        Ok(Covered { position, version: self.version, cursors, undecided, change })
    }

    fn save(&mut self) -> Result<(), Fault> {
        self.saver.save_when_due(self.sink, self.shared, self.receipt_bytes >= RECEIPT_BYTES_MAX)
    }

    fn rest(&self, made: &Receiver<Made>) -> Result<Made, TryRecvError> {
        let _idle = self.shared.stages.scheduler.during(State::Idle, &self.shared.clock);
        made.recv_timeout(REST).map_err(|error| match error {
            RecvTimeoutError::Timeout => TryRecvError::Empty,
            RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
        })
    }

    /// Keeps a batch until its turn, and takes every batch whose turn it is as long as the sink has room.
    fn accept(&mut self, made: Made) -> Result<(), Fault> {
        self.early.insert(made.encoded.batch.seq, made);
        self.take_turns()
    }

    fn take_turns(&mut self) -> Result<(), Fault> {
        while self.waiting.is_none() {
            let Some(made) = self.early.remove(&self.next) else { return Ok(()) };
            self.next += 1;
            self.prepare(made)?;
        }
        Ok(())
    }

    /// A batch whose turn has come: what happened before it, its place in its transactions, halted tables.
    fn prepare(&mut self, made: Made) -> Result<(), Fault> {
        let Made { mut encoded, events, decoded, transformed, encoding, taken, mark, read } = made;
        self.before = self.last_end.clone();
        self.ledger.begin(&encoded, &read, &encoding, mark.as_ref());
        self.shared.observer.tallies(&encoded, &decoded, &encoding);
        let end = match &mark {
            Some(mark) => self.prepare_copied(mark, &mut encoded),
            None => self.prepare_streamed(&mut encoded, &encoding.skipped),
        };
        for event in events {
            self.stream_event(event, &end)?;
        }
        let table_faults =
            decoded.table_faults.into_iter().chain(transformed.table_faults).chain(encoding.table_faults);
        let named = |(table, fault)| (encoded.batch.tables[table as usize].name.clone(), fault);
        let against = Against { rows: encoding.row_faults, tables: table_faults.map(named).collect() };
        self.last_end = end.clone();
        self.open(&mut encoded, end, taken)?;
        self.hand_in(encoded, Some(against))
    }

    /// Gives a batch its number and its place in the window.
    fn open(&mut self, encoded: &mut EncodedBatch, end: Position, taken: u64) -> Result<(), Fault> {
        encoded.batch.seq = self.order;
        self.order += 1;
        let covered = self.completes(end)?;
        self.window.open(encoded.batch.seq, covered);
        self.taken.insert(encoded.batch.seq, taken);
        Ok(())
    }

    fn stream_event(&mut self, event: StreamEvent, end: &Position) -> Result<(), Fault> {
        match event {
            StreamEvent::TableFault { table, fault } => self.halt(table, fault, None),
            StreamEvent::Doubt { code, object } => {
                self.shared.observer.doubt(code, &object);
                Ok(())
            }
            StreamEvent::Heartbeat { instance, number } => {
                self.beats.came(self.order, instance, number, &self.shared.standing);
                Ok(())
            }
            StreamEvent::History { version, snapshot } => {
                self.version = version;
                self.saver.save_history(version, &snapshot, end)
            }
        }
    }

    /// A table's rows end here, durably so before any later position is saved.
    fn halt(&mut self, table: TableName, fault: Fault, from: Option<RowAt<'_>>) -> Result<(), Fault> {
        if self.halted.insert(table.clone()) {
            self.saver.halt_table(&table, &fault, &self.before, self.shared)?;
            self.shared.observer.table_halted(&table, &fault, from);
            if let Some(copying) = &self.shared.copying {
                copying.halted(&table);
            }
            self.shared.halt(table);
        }
        Ok(())
    }

    /// Hands a batch to the sink: first it says which rows it refuses, then it takes the rest. `against` is for a batch
    /// that it was not asked about yet.
    fn hand_in(&mut self, mut encoded: Box<EncodedBatch>, against: Option<Against>) -> Result<(), Fault> {
        if let Some(against) = against {
            let Some(refused) = self.sink.refusals(&encoded)? else {
                self.waiting = Some((encoded, Some(against)));
                return Ok(());
            };
            self.decide(&mut encoded, against, refused)?;
            pass(Point::BeforeWrite);
        }
        self.write(encoded)
    }

    fn write(&mut self, mut encoded: Box<EncodedBatch>) -> Result<(), Fault> {
        let is_first = encoded.batch.times.sent == 0;
        encoded.batch.times.sent = self.shared.clock.nanos();
        if is_first {
            self.shared.observer.submitted(&mut encoded);
        }
        let (seq, has_rows) = (encoded.batch.seq, !encoded.records.is_empty());
        match self.sink.write(encoded)? {
            Accepted::Taken => self.handed_in(seq, has_rows),
            Accepted::Full(batch) => self.waiting = Some((batch, None)),
        }
        Ok(())
    }

    fn handed_in(&mut self, seq: u64, has_rows: bool) {
        if std::mem::take(&mut self.is_piece) {
            self.parking.handed_out(seq);
        }
        let sums = self.ledger.handed_in(seq);
        self.saver.count(&sums, false);
        let change = self.saver.change();
        // Batches are written in the order in which they are opened.
        let covered = self.window.newest_mut().expect("a batch is opened before it is written");
        covered.change = change;
        self.saver.handed_in(covered, has_rows);
        pass(Point::AfterWrite);
    }

    /// Tries the waiting batch again, then those behind it.
    fn feed(&mut self) -> Result<(), Fault> {
        if let Some((batch, against)) = self.waiting.take() {
            self.hand_in(batch, against)?;
        }
        self.take_turns()
    }

    fn listen(&mut self, wait: Duration) -> Result<(), Fault> {
        let waits_for = if self.waiting.is_some() { State::Blocked } else { State::Idle };
        let _waits = self.shared.stages.scheduler.during(waits_for, &self.shared.clock);
        let mut events = std::mem::take(&mut self.sink_events);
        self.sink.poll(wait, &mut events)?;
        for event in events.drain(..) {
            self.sink_event(event)?;
        }
        self.sink_events = events;
        self.shared.hold(self.sink.held_bytes());
        Ok(())
    }

    fn sink_event(&mut self, event: SinkEvent) -> Result<(), Fault> {
        match event {
            SinkEvent::Durable { mut batch, delivered } => {
                pass(Point::AfterAck);
                batch.batch.times.acked = self.shared.clock.nanos();
                self.shared.observer.durable(&batch, &delivered);
                let seq = batch.batch.seq;
                let sums = self.ledger.durable(seq, &delivered, &self.halted);
                self.saver.count(&sums, self.saver.is_together());
                let committed = batch.batch.txns.last().map(|txn| txn.commit.micros);
                // A receipt has no room worth keeping.
                if let Some(taken) = self.taken.remove(&seq) {
                    self.shared.recycle(batch, taken);
                }
                self.parking.durable(seq, &*self.shared.observer)?;
                if let Some(covered) = self.window.close(seq) {
                    pass(Point::AfterWindow);
                    self.shared.standing.cover(&covered.position, committed);
                    self.saver.covered(covered);
                    self.beats.pass(self.window.first(), self.shared);
                }
                Ok(())
            }
            SinkEvent::TableFault { table, fault } => self.halt(table, fault, None),
            SinkEvent::Health { endpoint, healthy } => {
                self.shared.observer.health(Component::Output, &endpoint, healthy, None);
                Ok(())
            }
            SinkEvent::Arrived { batch, receipt_bytes } => {
                self.receipt_bytes += receipt_bytes;
                let taken = self.taken.remove(&batch.batch.seq).expect("only what was written arrives, once");
                self.shared.recycle(batch, taken);
                Ok(())
            }
            SinkEvent::RecordSaved => {
                self.receipt_bytes = 0;
                self.saver.saved(self.shared)
            }
        }
    }

    /// Nothing further comes: wait for what is out, and save what that covers.
    fn drain(&mut self) -> Result<(), Fault> {
        self.stopping_since.get_or_insert(self.shared.clock.nanos());
        loop {
            let is_delivered = self.window.is_empty() || self.shared.abort.is_raised();
            if is_delivered && self.saver.is_done() {
                return Ok(());
            }
            self.feed()?;
            self.listen(LISTEN)?;
            if is_delivered || (self.saver.is_together() && self.waiting.is_none()) {
                self.saver.save_now(self.sink, self.shared)?;
            } else {
                self.save()?;
            }
            self.keep_to_the_drain()?;
        }
    }

    /// A stop is answered in time. What keeps us longer than is left is not begun.
    fn keep_to_the_drain(&mut self) -> Result<(), Fault> {
        let now = self.shared.clock.nanos();
        if self.stopping_since.is_none() && self.shared.stop.is_raised() {
            self.stopping_since = Some(now);
        }
        let left = self.drain_max.saturating_sub(self.saver.takes_max()).as_nanos() as u64;
        if self.stopping_since.is_some_and(|since| now > since + left) {
            let text = format!("{} batches were not acknowledged in time", self.window.len());
            return Err(Fault::new(FaultCode::DrainTimedOut, Component::Output, text));
        }
        Ok(())
    }
}
