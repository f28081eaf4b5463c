//! The `traceparent` that records carry to whoever reads them.
//!
//! Owns: which transaction's records have one, and its text. Does not own: putting it into records (`limpid-codec`), which
//! transactions are kept in the end (`keep`).
//!
//! Invariant: decided before anything is sent, so that what says that its trace is sampled is kept: by the base rate, for
//! whoever watches a key of it, or as the application's own, as far as the bound on those reaches. But for what is watched it
//! follows from the transaction alone, so that a replay carries the same.
//!
//! Source: W3C Trace Context, level 1, section 3.2.

use std::io::Write;
use std::sync::Arc;

use limpid_model::{Batch, TraceContext};

use super::ids::{TraceId, TraceIds, contexts_of};
use super::keep::BaseRate;
use super::names;
use super::watches::Watches;

/// Length of a `traceparent`.
pub const TRACEPARENT_LEN: usize = 55;

/// Makes them for one worker.
#[derive(Clone, Debug)]
pub struct Stamp {
    ids: TraceIds,
    base: BaseRate,
    /// Records of transactions that are not sampled carry theirs too, which says so.
    all: bool,
    watches: Arc<Watches>,
    /// Transactions of the batch in hand that somebody watches a key of.
    watched: Vec<u32>,
    /// The first transaction of the batch in hand whose records have one.
    from: u32,
}

impl Stamp {
    pub fn new(pipeline: &str, base: BaseRate, all: bool, watches: Arc<Watches>) -> Self {
        Self { ids: TraceIds::new(pipeline), base, all, watches, watched: Vec::new(), from: 0 }
    }

    /// The transactions of another batch come. False where no record of it has one.
    #[must_use]
    pub fn begin_batch(&mut self, batch: &Batch) -> bool {
        self.watched.clear();
        if let Some(watched) = self.watches.look(batch.times.decoded) {
            self.watched = watched.txns(&batch.marks, batch.rows.iter().map(|row| row.txn));
        }
        let first = (0..batch.txns.len() as u32).find(|txn| self.decide(batch, *txn).is_some());
        self.from = first.unwrap_or(u32::MAX);
        first.is_some()
    }

    /// Of a transaction of the batch, by its index.
    pub fn of(&mut self, batch: &Batch, txn: u32) -> Option<[u8; TRACEPARENT_LEN]> {
        if txn < self.from { None } else { self.decide(batch, txn) }
    }

    fn decide(&mut self, batch: &Batch, txn: u32) -> Option<[u8; TRACEPARENT_LEN]> {
        // What is copied belongs to no transaction.
        let header = batch.txns.get(txn as usize).filter(|_| !batch.is_copy())?;
        let own = Some(TraceId(self.ids.of(&batch.tags, header.id))).filter(|id| id.0 != 0)?;
        let parent = if let [(_, only)] = contexts_of(&batch.contexts, txn) { Some(*only) } else { None };
        let is_watched = self.watched.binary_search(&txn).is_ok();
        let is_asked = is_watched || parent.is_some_and(|parent: TraceContext| parent.is_sampled);
        let is_sampled = is_asked || self.base.keeps(own.0);
        if !is_sampled && !self.all {
            return None;
        }
        let trace = parent.map_or(own.0, |parent| parent.trace_id);
        let mut text = [0; TRACEPARENT_LEN];
        let flags = u8::from(is_sampled);
        // It fits exactly.
        let _ = write!(&mut text[..], "00-{trace:032x}-{}-{flags:02x}", own.span(names::ROOT, 0, 1));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::{CommitTime, NONE, Op, RowHeader, RowMark, TxnHeader, TxnId};

    use super::*;

    fn batch(op: Op) -> Batch {
        let mut batch = Batch { counts: vec![[0; Op::COUNT]], ..Batch::default() };
        batch.counts[0][op as usize] = 3;
        for seq in [57, 58] {
            let id = TxnId::Domain { domain: 0, server: 1, seq };
            let commit = CommitTime { micros: 0, uncertainty_micros: 0 };
            batch.txns.push(TxnHeader { id, commit, thread: 0, rows_before: 0, ends: true });
        }
        for txn in [0, 0, 1] {
            let (event, row_in_event, before, after, table) = (0, 0, NONE, NONE, 0);
            batch.marks.push(RowMark::new(0, op));
            batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table, op });
        }
        batch
    }

    fn stamp_of(part: f64, all: bool) -> Stamp {
        Stamp::new("shop", BaseRate::new(part), all, Arc::default())
    }

    fn told(stamp: &mut Stamp, batch: &Batch, row: u32) -> Option<String> {
        let txn = batch.rows.get(row as usize).map_or(9, |row| row.txn);
        stamp.of(batch, txn).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    /// The trace of `shop` and `0-1-57` from the C library of the algorithm's author, as in `ids`.
    const TRACE: &str = "df794541a22dd353a271e871198d6233";

    #[test]
    fn rows_of_a_transaction_carry_the_id_that_the_lookup_knows() {
        let (batch, mut stamp) = (batch(Op::Insert), stamp_of(1.0, false));
        let first = told(&mut stamp, &batch, 0).unwrap();
        assert!(first.starts_with(&format!("00-{TRACE}-")) && first.ends_with("-01") && first.len() == 55, "{first}");
        assert_eq!(told(&mut stamp, &batch, 1).as_ref(), Some(&first));
        assert_ne!(told(&mut stamp, &batch, 2).unwrap(), first);
        assert_eq!(told(&mut stamp, &batch, 9), None);
    }

    #[test]
    fn what_is_not_sampled_carries_none_or_says_so() {
        let batch = batch(Op::Insert);
        assert_eq!(told(&mut stamp_of(0.0, false), &batch, 0), None);
        let all = told(&mut stamp_of(0.0, true), &batch, 0).unwrap();
        assert!(all.starts_with(&format!("00-{TRACE}-")) && all.ends_with("-00"), "{all}");
        let copied = self::batch(Op::Read);
        assert_eq!(told(&mut stamp_of(1.0, true), &copied, 0), None);
    }

    #[test]
    fn one_context_of_an_application_is_the_trace_and_several_are_not() {
        let mut batch = batch(Op::Insert);
        let context = |trace_id| TraceContext { trace_id, span_id: 7, is_sampled: true };
        batch.contexts = vec![(0, context(0xabc)), (1, context(1)), (1, context(2))];
        let mut stamp = stamp_of(0.0, false);
        assert!(told(&mut stamp, &batch, 0).unwrap().starts_with(&format!("00-{:032x}-", 0xabc)));
        assert_eq!(told(&mut stamp, &batch, 2), None, "two parents are none");
    }

    #[test]
    fn a_transaction_with_a_watched_key_says_that_its_trace_is_kept() {
        let (mut batch, watches) = (batch(Op::Insert), Arc::new(Watches::default()));
        batch.marks[1..3].copy_from_slice(&[RowMark::new(8, Op::Insert), RowMark::new(16, Op::Insert)]);
        let mut stamp = Stamp::new("shop", BaseRate::new(0.0), false, Arc::clone(&watches));
        assert!(!stamp.begin_batch(&batch), "nobody watches");
        assert_eq!([0, 1, 2].map(|row| told(&mut stamp, &batch, row)), [None, None, None]);
        assert!(watches.renew(8, 0));
        assert!(stamp.begin_batch(&batch));
        let of_all = [0, 1, 2].map(|row| told(&mut stamp, &batch, row).is_some_and(|text| text.ends_with("-01")));
        assert_eq!(of_all, [true, true, false]);
        batch.times.decoded = super::super::LEASE_NANOS + 1;
        assert!(!stamp.begin_batch(&batch), "its watcher is gone");
        assert_eq!(told(&mut stamp, &batch, 0), None);
    }

    #[test]
    fn the_last_transaction_of_a_batch_alone_may_have_one() {
        let (mut batch, watches) = (batch(Op::Insert), Arc::new(Watches::default()));
        batch.marks[2] = RowMark::new(16, Op::Insert);
        assert!(watches.renew(16, 0));
        let mut stamp = Stamp::new("shop", BaseRate::new(0.0), false, watches);
        assert!(stamp.begin_batch(&batch));
        assert_eq!([0, 1, 2].map(|row| told(&mut stamp, &batch, row).is_some()), [false, false, true]);
    }
}
