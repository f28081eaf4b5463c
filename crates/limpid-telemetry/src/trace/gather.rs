//! Gathers transactions as their batches are handed to the sink and acknowledged, and hands on those that are kept.
//!
//! Owns: which part belongs to which transaction or chunk, failed attempts, what is in flight. Does not own: the rules
//! (`keep`), spans (`spans`), what belongs to no transaction of rows (`aside`).
//!
//! Invariant: a transaction that is kept is complete: it is decided about when its last part is acknowledged, in whatever
//! order batches are. Nothing is done per row unless a key is watched: per batch a few comparisons, per transaction its id
//! (one hash), and for those of several batches their counts.

mod aside;
mod place;
mod tried;

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use limpid_model::{CommitTime, FaultCode, Op, TxnHeader, TxnId};
use smallvec::SmallVec;

use super::ids::{NamedTxn, TraceId, TraceIds, tag_of, txn_text};
use super::keep::{BaseRate, Delivered, Keep, Reasons, Verdict, Why};
use super::kept::{KeptTrace, Try};
use super::named::Named;
use super::queue::{QUEUE_BYTES, TraceQueue};
use super::watches::Watches;
use crate::meter::DeliveredTo;
use crate::moment::Moment;
use crate::outline::Outline;
use crate::registry::Registry;
use crate::ring::Fate;
use crate::waiting::Dropped;
pub(super) use aside::chunk_id;
use aside::{Held, chunk_text, place_of, seed_of};
use place::Place;
use tried::Tried;

/// Transactions of several batches that are under way: one, unless a stream interleaves them.
const OPEN_MAX: usize = 64;

/// What has a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    Transaction,
    Change,
}

/// What a pipeline keeps of traces.
#[derive(Clone, Copy, Debug)]
pub struct TraceOptions {
    /// The part of all transactions, from 0 to 1.
    pub sample: f64,
    pub slow_nanos: u64,
    pub granularity: Granularity,
}

/// A transaction that was kept, for exemplars.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The trace it stands in.
    pub trace_id: u128,
    /// The table of its first row in the batch.
    pub table: usize,
    /// From its commit to the acknowledgement.
    pub seconds: f64,
}

/// A batch that is with the sink.
#[derive(Debug)]
struct Flight {
    seq: u64,
    sent: u64,
    /// Its rows were read from a table: what comes again of it comes as another chunk.
    is_copy: bool,
    /// The ids of its transactions; 0 for one that has none.
    txns: SmallVec<[u128; 2]>,
    /// By transaction.
    faults: Vec<RowFault>,
}

/// A row that was not delivered: its transaction, why, and whether it is kept.
type RowFault = (u32, Option<FaultCode>, bool);

/// A transaction of several batches.
#[derive(Debug)]
struct Open {
    trace: KeptTrace,
    reasons: Reasons,
    /// Its parts that were handed to the sink, and those that were acknowledged.
    handed: u64,
    acked: u64,
    ended: bool,
    table: u64,
}

/// One pipeline's. Used by one thread at a time.
#[derive(Debug)]
pub struct Tracer {
    pipeline: Arc<str>,
    granularity: Granularity,
    ids: TraceIds,
    keep: Keep,
    watches: Arc<Watches>,
    queue: Arc<TraceQueue>,
    attempt: u32,
    flight: VecDeque<Flight>,
    open: HashMap<u128, Open>,
    tried: Tried,
    held: VecDeque<Held>,
    named: Named,
    /// Of the batch in hand: transactions that something speaks for, in their order. Reused.
    marks: Vec<(u32, Why)>,
    told: Vec<Told>,
}

impl Tracer {
    pub(crate) fn new(registry: &Registry, pipeline: &str, options: TraceOptions, watches: Arc<Watches>) -> Self {
        Self {
            pipeline: pipeline.into(),
            granularity: options.granularity,
            ids: TraceIds::new(pipeline),
            keep: Keep::new(BaseRate::new(options.sample), options.slow_nanos),
            watches,
            queue: TraceQueue::new(registry, pipeline, QUEUE_BYTES),
            attempt: 0,
            flight: VecDeque::new(),
            open: HashMap::default(),
            tried: Tried::default(),
            held: VecDeque::new(),
            named: Named::default(),
            marks: Vec::new(),
            told: Vec::new(),
        }
    }

    pub(crate) fn queue(&self) -> &Arc<TraceQueue> {
        &self.queue
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The transactions that an application named this trace in.
    pub(crate) fn named_by(&self, trace_id: u128) -> Vec<NamedTxn> {
        self.named.by(trace_id)
    }

    pub(crate) fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// An attempt failed: what was with the sink comes again.
    pub(crate) fn failed(&mut self, code: FaultCode, now: Moment) {
        for flight in self.flight.drain(..).filter(|flight| !flight.is_copy) {
            let tried = Try { sent: wall(now, flight.sent), failed: wall(now, now.nanos), code };
            for id in flight.txns.iter().filter(|id| **id != 0) {
                self.tried.note(*id, tried);
            }
        }
    }

    /// An attempt begins: batches are numbered from 0 again, and those that were with the sink come again.
    pub(crate) fn started(&mut self) {
        self.attempt += 1;
        self.flight.clear();
        self.held.clear();
        for open in self.open.values_mut() {
            (open.handed, open.ended) = (open.acked, false);
        }
    }

    /// A batch is handed to the sink. `kept` are its rows that go no further.
    pub(crate) fn handed_in(&mut self, batch: &Outline, kept: &[(u32, Fate)]) {
        self.named.note(batch);
        let mut txns = SmallVec::with_capacity(batch.txns.len());
        for (number, txn) in batch.txns.iter().enumerate() {
            let id = match batch.chunk() {
                Some(chunk) => chunk_id(&self.pipeline, chunk, batch.first_table()),
                None => self.ids.of(batch.tags(), txn.id),
            };
            txns.push(id);
            let has_rows = || batch.runs.binary_search_by_key(&(number as u32), |run| run.txn).is_ok();
            if id != 0 && !is_whole(batch, txn) && (self.open.contains_key(&id) || has_rows()) {
                self.open(batch, txn, id);
            }
        }
        let txn_of: Vec<u32> = if kept.is_empty() { Vec::new() } else { batch.rows().map(|(txn, _)| txn).collect() };
        let fault = |(row, fate): &(u32, Fate)| {
            let (code, is_kept) = match fate {
                Fate::Parked(code) | Fate::DeadLetter(code) => (*code, true),
                // Its table is halted at it; those behind it only follow.
                Fate::Withheld(Some(code)) => (Some(*code), false),
                Fate::Withheld(None) | Fate::NoRecord | Fate::Filtered(_) => return None,
            };
            Some((*txn_of.get(*row as usize)?, code, is_kept))
        };
        let mut faults: Vec<RowFault> = kept.iter().filter_map(fault).collect();
        faults.sort_by_key(|(txn, ..)| *txn);
        self.flight.push_back(Flight {
            seq: batch.seq,
            sent: batch.times.sent,
            is_copy: batch.is_copy(),
            txns,
            faults,
        });
    }

    fn open(&mut self, batch: &Outline, txn: &TxnHeader, id: u128) {
        if !self.open.contains_key(&id) && self.open.len() >= OPEN_MAX {
            // Those that nothing is in flight of did not end where we saw it, and will not.
            self.open.retain(|_, open| open.acked < open.handed);
        }
        let trace = || begun(TraceId(id), batch, txn.id, txn.commit);
        let made = || Open { trace: trace(), reasons: Reasons::default(), handed: 0, acked: 0, ended: false, table: 0 };
        let open = self.open.entry(id).or_insert_with(made);
        open.handed += 1;
        open.ended |= place_of(batch, txn).1;
    }

    /// Every record of a batch is durable. `committed` gives a commit's time on our monotonic clock. Returns what was
    /// kept.
    pub(crate) fn durable(
        &mut self,
        batch: &Outline,
        delivered: &[DeliveredTo<'_>],
        committed: impl Fn(i64) -> i64,
        now: Moment,
    ) -> &[Told] {
        self.told.clear();
        if !batch.ddl().is_empty() {
            self.definitions(batch, &committed, now);
        }
        let index = self.flight.iter().position(|flight| flight.seq == batch.seq);
        let flight = index.and_then(|index| self.flight.remove(index));
        if !self.held.is_empty() {
            self.let_go(batch.times.acked, now);
        }
        let Some(flight) = flight else { return &self.told };
        self.mark(batch, &flight);
        let (mut first, mut mark, mut runs) = (0, 0, &batch.runs[..]);
        for (number, (txn, id)) in batch.txns.iter().zip(&flight.txns).enumerate() {
            let number = number as u32;
            let (here, later) = runs.split_at(runs.iter().take_while(|run| run.txn == number).count());
            runs = later;
            let range = first..first + here.iter().map(|run| run.rows as usize).sum::<usize>();
            first = range.end;
            let commit = batch.chunk().map_or_else(|| committed(txn.commit.micros), |chunk| chunk.began as i64);
            let reasons = self.reasons(&mut mark, number);
            let at = Place { batch, runs: here, delivered, faults: &flight.faults, txn: number, range, commit, now };
            if *id == 0 {
                continue;
            }
            if self.open.contains_key(id) {
                self.part(*id, reasons, at);
            } else if let (true, Some(run)) = (is_whole(batch, txn), here.first()) {
                self.whole(*id, reasons, usize::from(run.table), at);
            }
        }
        &self.told
    }

    /// Transactions that something speaks for, whatever their times.
    fn mark(&mut self, batch: &Outline, flight: &Flight) {
        self.marks.clear();
        self.marks.extend(flight.faults.iter().map(|(txn, ..)| (*txn, Why::Error)));
        for index in 0..batch.tables.len() {
            let has_rows = batch.counts.get(index).is_some_and(|counts| *counts != [0; Op::COUNT]);
            if has_rows && self.keep.is_first(seed_of(batch, index)) {
                let run = batch.runs.iter().find(|run| usize::from(run.table) == index);
                self.marks.extend(run.map(|run| (run.txn, Why::First)));
            }
        }
        if let Some(watched) = self.watches.look(batch.times.decoded) {
            let txns = watched.txns(&batch.marks, batch.rows().map(|(txn, _)| txn));
            self.marks.extend(txns.into_iter().map(|txn| (txn, Why::Watched)));
        }
        let asked = batch.contexts().iter().filter(|(_, context)| context.is_sampled);
        self.marks.extend(asked.map(|(txn, _)| (*txn, Why::Asked)));
        self.marks.sort_unstable();
    }

    /// What speaks for a transaction; they are asked for in their order, and `at` is how far that is.
    fn reasons(&self, at: &mut usize, txn: u32) -> Reasons {
        let mut reasons = Reasons::default();
        while let Some((_, why)) = self.marks.get(*at).filter(|(marked, _)| *marked == txn) {
            reasons.add(*why);
            *at += 1;
        }
        reasons
    }

    /// A transaction that is in one batch.
    fn whole(&mut self, id: u128, reasons: Reasons, table: usize, at: Place<'_>) {
        let Some(txn) = at.batch.txns.get(at.txn as usize) else { return };
        if let Some((why, tries)) = self.decide(id, reasons, seed_of(at.batch, table), at.age(txn), at.now) {
            let mut trace = begun(TraceId(id), at.batch, txn.id, txn.commit);
            at.fill(&mut trace, self.attempt, self.granularity);
            (trace.why, trace.tries) = (why, tries);
            self.hand_on(trace, table, &at);
        }
    }

    /// Why it is kept, if it is, with the attempts that failed. Those are over now, whatever becomes of it.
    fn decide(
        &mut self,
        trace_id: u128,
        mut reasons: Reasons,
        table: u64,
        nanos: u64,
        now: Moment,
    ) -> Option<(Why, Vec<Try>)> {
        let tries = self.tried.take(trace_id);
        if !tries.is_empty() {
            reasons.add(Why::Error);
        }
        match self.keep.decide(Delivered { trace_id, table, nanos, reasons }, now.nanos) {
            Verdict::Keep(why) => return Some((why, tries)),
            Verdict::Spared(_) => self.queue.dropped(Dropped::Spared, 1),
            Verdict::Pass => {}
        }
        None
    }

    /// A part of a transaction of several batches; after its last one it is decided about.
    fn part(&mut self, id: u128, reasons: Reasons, at: Place<'_>) {
        let (attempt, granularity) = (self.attempt, self.granularity);
        let Some(open) = self.open.get_mut(&id) else { return };
        let table = at.runs.first().map_or(0, |run| usize::from(run.table));
        if open.acked == 0 {
            open.table = seed_of(at.batch, table);
        }
        at.fill(&mut open.trace, attempt, granularity);
        open.acked += 1;
        open.reasons.add_all(reasons);
        if !open.ended || open.acked < open.handed {
            return;
        }
        let Some(mut open) = self.open.remove(&id) else { return };
        let Some(txn) = at.batch.txns.get(at.txn as usize) else { return };
        if let Some((why, tries)) = self.decide(id, open.reasons, open.table, at.age(txn), at.now) {
            (open.trace.why, open.trace.tries) = (why, tries);
            open.trace.parts.sort_by_key(|part| part.rows_before);
            self.hand_on(open.trace, table, &at);
        }
    }

    fn hand_on(&mut self, trace: KeptTrace, table: usize, at: &Place<'_>) {
        let trace_id = trace.shown_id(&self.pipeline, self.granularity);
        let seconds = (at.batch.times.acked as i64).saturating_sub(at.commit) as f64 / 1e9;
        if self.queue.put(trace) {
            self.told.push(Told { trace_id, table, seconds: seconds.max(0.0) });
        }
    }
}

/// A transaction or a chunk of which nothing is known yet but what it is called.
fn begun(id: TraceId, batch: &Outline, txn_id: TxnId, commit: CommitTime) -> KeptTrace {
    let text = || txn_text(txn_id, tag_of(batch.tags(), txn_id).map(|tag| &**tag));
    KeptTrace {
        id,
        txn: batch.chunk().and_then(|chunk| chunk_text(chunk, batch.first_table())).or_else(text).unwrap_or_default(),
        txn_id,
        why: Why::Sampled,
        commit,
        committed: 0,
        definitions: Vec::new(),
        copied: None,
        parts: Vec::new(),
        more: (0, 0),
        tries: Vec::new(),
        contexts: Vec::new(),
    }
}

fn is_whole(batch: &Outline, txn: &TxnHeader) -> bool {
    place_of(batch, txn) == (0, true)
}

/// A reading of the monotonic clock as nanoseconds since 1970.
fn wall(now: Moment, nanos: u64) -> i64 {
    now.wall_micros * 1000 - (now.nanos as i64 - nanos as i64)
}

#[cfg(test)]
mod tests;
