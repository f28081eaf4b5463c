//! Which tables have series of their own.
//!
//! Owns: the bound on tables, and the count of those beyond it. Does not own: the series.
//!
//! Invariant: a table keeps its name in labels once it has it; one that came later keeps `__other__`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use limpid_model::{TableName, TableSchema};

use crate::catalogue::{FOLDED_LABELS_TOTAL, OTHER};
use crate::registry::Registry;

/// Folded tables whose names are remembered, so that each is counted once: 65,536 hashes are 1 MiB. Beyond that the
/// count stands still.
const FOLDED_MAX: usize = 65_536;

pub(super) struct TableNames {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    max: usize,
    /// Locked when a table version is seen for the first time.
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    named: HashSet<TableName>,
    folded: HashSet<u64>,
}

impl TableNames {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str, max: usize) -> Self {
        Self { registry: Arc::clone(registry), pipeline: pipeline.into(), max, seen: Mutex::default() }
    }

    /// The schema and table for labels.
    pub(super) fn labels<'a>(&self, name: &'a TableName) -> (&'a str, &'a str) {
        let mut seen = self.seen.lock().expect("never held across a panic");
        if seen.named.contains(name) {
            return (&name.schema, &name.table);
        }
        if seen.named.len() < self.max {
            seen.named.insert(name.clone());
            return (&name.schema, &name.table);
        }
        if seen.folded.len() < FOLDED_MAX && seen.folded.insert(limpid_model::key_seed(name)) {
            self.registry.counter(&FOLDED_LABELS_TOTAL, &[&self.pipeline, "table"]).add(1);
        }
        (OTHER, OTHER)
    }
}

/// What is bound for a table version, found again by the version's address.
pub(super) struct ByVersion<T> {
    /// The version is kept with what is bound for it, so that its address is nobody else's.
    entries: foldhash::HashMap<usize, (Arc<TableSchema>, T)>,
}

/// Table versions that are known at once. A change of definition leaves one behind, so beyond this all are forgotten
/// and found again: a search by name each.
const VERSIONS_MAX: usize = 1024;

impl<T> Default for ByVersion<T> {
    fn default() -> Self {
        Self { entries: Default::default() }
    }
}

impl<T> ByVersion<T> {
    /// What is bound for this version, bound by `make` if it is new.
    pub(super) fn get(&mut self, version: &Arc<TableSchema>, make: impl FnOnce(&TableName) -> T) -> &mut T {
        let address = Arc::as_ptr(version) as usize;
        if self.entries.len() >= VERSIONS_MAX && !self.entries.contains_key(&address) {
            self.entries.clear();
        }
        let entry = self.entries.entry(address);
        &mut entry.or_insert_with(|| (Arc::clone(version), make(&version.name))).1
    }

    /// Has this version bound anew if what is bound for it is no longer good.
    pub(super) fn forget_if(&mut self, version: &Arc<TableSchema>, is_stale: impl FnOnce(&T) -> bool) {
        let address = Arc::as_ptr(version) as usize;
        if self.entries.get(&address).is_some_and(|(_, bound)| is_stale(bound)) {
            self.entries.remove(&address);
        }
    }
}
