//! Table ids of the log, and the table versions they stand for.
//!
//! Owns: the cache from table id to schema and layout, and a table's index in the batch being built. Does not own:
//! how a table map becomes a schema (`schemas`).
//!
//! Invariant: a cached entry is used only for byte-equal table maps and only until a definition changes.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use limpid_model::{Batch, TableName, TableSchema};

use crate::schemas::Schemas;
use crate::tablemap;

/// A table's schema with the layout its rows are read by.
#[derive(Clone, Debug)]
pub struct Captured {
    pub schema: Arc<TableSchema>,
    pub layout: Arc<dyn Any + Send + Sync>,
}

/// What a table id leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Index into the batch's tables.
    Captured(u16),
    /// Not captured, or halted.
    Skipped,
}

#[derive(Debug)]
struct Entry {
    table_id: u64,
    /// The table map's body, to see that nothing changed.
    body: Vec<u8>,
    /// The schemas' generation it was made in.
    generation: u64,
    captured: Option<Captured>,
    /// The batch it last had an index in, and the index.
    slot: (u64, u16),
}

/// Ids are small and few per transaction: a vector with the last hit first beats a map.
#[derive(Debug, Default)]
pub struct TableCache {
    entries: Vec<Entry>,
    index: HashMap<u64, usize>,
    last: usize,
    batch: u64,
}

/// So many table ids are remembered before the cache starts afresh: servers make a new id for a table at every
/// reopening, so the bound only keeps dead ones from piling up (about 300 bytes each).
const ENTRIES_MAX: usize = 4096;

impl TableCache {
    /// Takes a TABLE_MAP's body. `None` when it cannot be read.
    #[inline]
    pub fn map(&mut self, body: &[u8], schemas: &mut Schemas) -> Option<()> {
        let id = tablemap::table_id(body)?;
        if let Some(found) = self.find(id)
            && self.entries[found].generation == schemas.generation()
            && self.entries[found].body == body
        {
            return Some(());
        }
        self.learn(id, body, schemas)
    }

    #[cold]
    fn learn(&mut self, id: u64, body: &[u8], schemas: &mut Schemas) -> Option<()> {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
            self.index.clear();
            self.last = 0;
        }
        let captured = schemas.resolve(body)?;
        let entry = Entry {
            table_id: id,
            body: body.to_vec(),
            generation: schemas.generation(),
            captured,
            slot: (u64::MAX, 0),
        };
        match self.find(id) {
            Some(found) => self.entries[found] = entry,
            None => {
                self.last = self.entries.len();
                self.index.insert(id, self.last);
                self.entries.push(entry);
            }
        }
        Some(())
    }

    #[inline]
    fn find(&mut self, id: u64) -> Option<usize> {
        if self.entries.get(self.last).is_some_and(|entry| entry.table_id == id) {
            return Some(self.last);
        }
        self.last = *self.index.get(&id)?;
        Some(self.last)
    }

    /// The table's index in `batch`, which it is added to if need be. `None` when the log never mapped the id.
    #[inline]
    pub fn target(&mut self, id: u64, batch: &mut Batch) -> Option<Target> {
        let found = self.find(id)?;
        let number = self.batch;
        let entry = &mut self.entries[found];
        let Some(captured) = &entry.captured else { return Some(Target::Skipped) };
        if entry.slot.0 != number {
            entry.slot = (number, add(&captured.schema, &captured.layout, batch));
        }
        Some(Target::Captured(entry.slot.1))
    }

    /// Adds a table version to `batch` unless it is there; returns its index.
    pub fn adopt(&mut self, schema: &Arc<TableSchema>, layout: &Arc<dyn Any + Send + Sync>, batch: &mut Batch) -> u16 {
        add(schema, layout, batch)
    }

    /// The latest version of a table that a table map gave, if it still holds.
    pub fn latest(&self, name: &TableName, generation: u64) -> Option<&Captured> {
        let holding = self.entries.iter().filter(|entry| entry.generation == generation);
        let captured = holding.filter_map(|entry| entry.captured.as_ref()).filter(|found| found.schema.name == *name);
        captured.max_by_key(|found| found.schema.version)
    }

    /// A new batch is being built: indexes start afresh.
    #[inline]
    pub fn new_batch(&mut self) {
        self.batch += 1;
    }
}

fn add(schema: &Arc<TableSchema>, layout: &Arc<dyn Any + Send + Sync>, batch: &mut Batch) -> u16 {
    if let Some(index) = batch.tables.iter().position(|known| Arc::ptr_eq(known, schema)) {
        return index as u16;
    }
    batch.tables.push(Arc::clone(schema));
    batch.layouts.push(Arc::clone(layout));
    (batch.tables.len() - 1) as u16
}
