//! Which transactions an application named its trace in.
//!
//! Owns: the latest of them. Does not own: the rows of those transactions (`ring`), finding names in statements (the source).
//!
//! Invariant: bounded; the oldest are forgotten first. Nothing is done for a batch without a name.

use std::collections::VecDeque;

use limpid_model::{TraceContext, TxnId};

use super::ids::{NamedTxn, tag_of};
use crate::outline::Outline;

/// 16,384 of 64 bytes are 1 MiB.
const KNOWN_MAX: usize = 16_384;

/// As many as a lookup answers with: the newest.
const FOUND_MAX: usize = 256;

/// One pipeline's.
#[derive(Debug, Default)]
pub(super) struct Named(VecDeque<(u128, NamedTxn)>);

impl Named {
    /// Takes note of the batch's names, each transaction once a name. Each batch of a large one tells of all its names.
    pub(super) fn note(&mut self, batch: &Outline) {
        for (txn, TraceContext { trace_id, .. }) in batch.contexts() {
            let Some(txn) = batch.txns.get(*txn as usize).filter(|txn| txn.id != TxnId::Anonymous) else { continue };
            let tag = tag_of(batch.tags(), txn.id).cloned().unwrap_or_default();
            let one = (*trace_id, NamedTxn { id: txn.id, tag });
            let mut of_it = self.0.iter().rev().take_while(|(_, txn)| txn.id.is_same(one.1.id) && txn.tag == one.1.tag);
            if !of_it.any(|(named, _)| *named == one.0) {
                if self.0.len() == KNOWN_MAX {
                    self.0.pop_front();
                }
                self.0.push_back(one);
            }
        }
    }

    /// The transactions that the trace was named in, oldest first.
    pub(super) fn by(&self, trace_id: u128) -> Vec<NamedTxn> {
        let newest = self.0.iter().rev().filter(|(named, _)| *named == trace_id).take(FOUND_MAX);
        let mut found: Vec<NamedTxn> = newest.map(|(_, txn)| txn.clone()).collect();
        found.reverse();
        found
    }
}
