//! One transaction in one batch.
//!
//! Owns: what the batch adds to its trace. Does not own: which traces are kept (`keep`), gathering parts (`gather`).
//!
//! Invariant: bounded; no row is read but where each change has a trace of its own.

use std::ops::Range;

use limpid_model::{FaultCode, TraceContext, TxnHeader};
use smallvec::SmallVec;

use super::super::ids::contexts_of;
use super::super::kept::{CHANGES_MAX, CONTEXTS_MAX, KeptTrace, PLACES_MAX, Part, PartTable, TABLES_MAX, Times, To};
use super::aside::{copied, defined, place_of};
use super::{Granularity, RowFault, wall};
use crate::meter::DeliveredTo;
use crate::moment::Moment;
use crate::outline::{Outline, Run};

/// One transaction in its batch.
pub(super) struct Place<'a> {
    pub batch: &'a Outline,
    /// Those of the transaction.
    pub runs: &'a [Run],
    pub delivered: &'a [DeliveredTo<'a>],
    pub faults: &'a [RowFault],
    pub txn: u32,
    /// Its rows.
    pub range: Range<usize>,
    /// On our monotonic clock.
    pub commit: i64,
    pub now: Moment,
}

impl Place<'_> {
    /// From the latest that its commit can have been until it was acknowledged.
    pub(super) fn age(&self, txn: &TxnHeader) -> u64 {
        let (read, acked) = (self.batch.times.read as i64, self.batch.times.acked as i64);
        let micros = if self.batch.chunk().is_some() { 0 } else { txn.commit.uncertainty_micros };
        let latest = self.commit.saturating_add(i64::from(micros) * 1000).min(read);
        acked.saturating_sub(latest).max(0) as u64
    }

    /// Adds what the batch has of it.
    pub(super) fn fill(&self, trace: &mut KeptTrace, attempt: u32, granularity: Granularity) {
        trace.committed = wall(self.now, self.commit.max(0) as u64).min(wall(self.now, self.batch.times.read));
        let known = |context: &TraceContext, all: &[TraceContext]| {
            all.iter().any(|one| (one.trace_id, one.span_id) == (context.trace_id, context.span_id))
        };
        for (_, context) in contexts_of(self.batch.contexts(), self.txn) {
            if trace.contexts.len() < CONTEXTS_MAX && !known(context, &trace.contexts) {
                trace.contexts.push(*context);
            }
        }
        if let (false, Some(txn)) = (self.batch.ddl().is_empty(), self.batch.txns.get(self.txn as usize))
            && trace.definitions.is_empty()
        {
            trace.definitions = defined(self.batch, txn.id, self.now);
        }
        trace.copied = self.batch.chunk().map(|chunk| copied(chunk, self.now));
        let mut part = self.part(attempt);
        if granularity == Granularity::Change && trace.copied.is_none() {
            let told: usize = trace.parts.iter().map(|part| part.changes.len()).sum();
            let room = CHANGES_MAX.saturating_sub(told);
            let tables = self.runs.iter().flat_map(|run| std::iter::repeat_n(run.table, run.rows as usize));
            let changes = tables.zip(&self.batch.marks[self.range.clone()]).take(room);
            part.changes = changes.map(|(table, mark)| (table, mark.op())).collect();
        }
        trace.add(part);
    }

    fn part(&self, attempt: u32) -> Part {
        let Self { batch, range, now, .. } = self;
        let times = &batch.times;
        let is_alone = range.len() == batch.marks.len();
        let mut faults: Vec<(Option<FaultCode>, u64)> = Vec::new();
        let first = self.faults.partition_point(|(txn, ..)| *txn < self.txn);
        for (_, code, is_kept) in self.faults[first..].iter().take_while(|(txn, ..)| *txn == self.txn) {
            match faults.iter_mut().find(|(known, _)| known == code) {
                Some((_, count)) => *count += u64::from(*is_kept),
                None => faults.push((*code, u64::from(*is_kept))),
            }
        }
        Part {
            rows_before: batch.txns.get(self.txn as usize).map_or(0, |txn| place_of(batch, txn).0),
            rows: range.len() as u64,
            filtered: self.runs.iter().map(|run| u64::from(run.rows - run.passed)).sum(),
            times: Times {
                read: wall(*now, times.read),
                decoded: wall(*now, times.decoded),
                transformed: wall(*now, times.transformed),
                sent: wall(*now, times.sent),
                acked: wall(*now, times.acked),
            },
            is_alone,
            tables: self.tables(),
            faults,
            attempt,
            changes: Vec::new(),
        }
    }

    fn tables(&self) -> SmallVec<[PartTable; 1]> {
        let batch = self.batch;
        let mut counts = SmallVec::<[u64; 8]>::from_elem(0, batch.tables.len());
        for run in self.runs {
            counts[usize::from(run.table)] += u64::from(run.rows);
        }
        let some = counts.into_iter().enumerate().filter(|(_, rows)| *rows > 0).take(TABLES_MAX);
        some.map(|(index, rows)| {
            let here = self.delivered.iter().filter(|to| usize::from(to.table) == index && to.records > 0);
            let to = here.take(PLACES_MAX).map(|to| To {
                place: to.place.map(Into::into),
                partition: to.partition,
                offsets: to.offsets,
                records: to.records,
            });
            PartTable { index: index as u16, table: batch.tables[index].name.clone(), rows, to: to.collect() }
        })
        .collect()
    }
}
