//! What was rejected, by rule.
//!
//! Owns: the counter's series, one a rule. Does not own: who rejects (the transforms), the rules' names beyond the label.
//!
//! Invariant: a series appears with the first that its rule rejects; there are as many as the pipeline has rules.

use std::sync::Arc;

use limpid_model::Filtered as Row;

use crate::catalogue::FILTERED_TOTAL;
use crate::instruments::Counter;
use crate::registry::Registry;

#[derive(Default)]
pub(super) struct Filtered {
    rules: Arc<[Arc<str>]>,
    /// By rule, bound with the first.
    counters: Vec<Option<Arc<Counter>>>,
    /// One a rule, reused; zero between batches.
    here: Vec<u64>,
}

impl Filtered {
    pub(super) fn new(rules: Arc<[Arc<str>]>) -> Self {
        Self { counters: vec![None; rules.len()], here: vec![0; rules.len()], rules }
    }

    /// A rule's name.
    pub(super) fn rule(&self, number: u16) -> Option<Arc<str>> {
        self.rules.get(usize::from(number)).cloned()
    }

    pub(super) fn add(&mut self, registry: &Registry, pipeline: &str, rows: &[Row], statements: &[u16]) {
        for rule in rows.iter().map(|row| row.rule).chain(statements.iter().copied()) {
            self.here[usize::from(rule)] += 1;
        }
        for ((count, counter), name) in self.here.iter_mut().zip(&mut self.counters).zip(&*self.rules) {
            if *count > 0 {
                let bind = || registry.counter(&FILTERED_TOTAL, &[pipeline, name]);
                counter.get_or_insert_with(bind).add(std::mem::take(count));
            }
        }
    }
}
