//! Which table version a row was written with: the log's own metadata, and the history for the rest.
//!
//! Owns: the captured tables' versions, halted tables, doubts. Does not own: scanning statements (`ddl`), the model
//! of definitions (`history`), reading catalogues (`catalogue`).
//!
//! Invariant: a table map of a captured table gives a schema that fits its bytes, or a fault of that table; never a
//! guess.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use limpid_connector::StreamEvent;
use limpid_model::{Component, Fault, FaultCode, TableName, TableSchema};

use crate::mapping::{Layout, Mismatch, TableFacts, table_layout};
use crate::selection::Selection;
use crate::tablemap::{self, TableMap};
use crate::tables::Captured;

/// Schemas as of the place in the log that the reader has reached.
#[derive(Debug)]
pub struct Schemas {
    selection: Selection,
    halted: HashSet<TableName>,
    known: HashMap<TableName, TableFacts>,
    events: Vec<StreamEvent>,
    /// Raised whenever a definition changes or a table halts: cached table maps are resolved anew.
    generation: u64,
    /// The last version number given out.
    version: u32,
}

impl Schemas {
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            halted: HashSet::new(),
            known: HashMap::new(),
            events: Vec::new(),
            generation: 0,
            version: 0,
        }
    }

    /// Changes whenever cached table maps must be looked at again.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn take_events(&mut self) -> Vec<StreamEvent> {
        std::mem::take(&mut self.events)
    }

    /// The schema and layout for a table map; `Some(None)` for a table that is not captured, `None` for bytes that
    /// are no table map.
    pub fn resolve(&mut self, body: &[u8]) -> Option<Option<Captured>> {
        let (schema, table) = tablemap::names(body)?;
        let name = TableName::new(schema, table);
        if !self.selection.takes(&name) || self.halted.contains(&name) {
            return Some(None);
        }
        let map = TableMap::parse(body)?;
        self.version += 1;
        let keep = |column: &str| self.selection.takes_column(&name, column);
        match table_layout(&map, self.known.get(&name), self.version, &keep) {
            Ok((schema, layout)) => {
                let layout: Arc<dyn Any + Send + Sync> = Arc::new(layout);
                Some(Some(Captured { schema: Arc::new(schema), layout }))
            }
            Err(mismatch) => {
                self.halt(name.clone(), mismatch_fault(&mismatch, &name));
                Some(None)
            }
        }
    }

    /// From here on no row of this table is yielded.
    pub fn halt(&mut self, table: TableName, fault: Fault) {
        if self.halted.insert(table.clone()) {
            self.generation += 1;
            self.events.push(StreamEvent::TableFault { table, fault });
        }
    }

    /// A schema without columns, for events that carry no row.
    pub fn empty_layout(&mut self, name: &TableName) -> Option<(Arc<TableSchema>, Arc<Layout>)> {
        if !self.selection.takes(name) || self.halted.contains(name) {
            return None;
        }
        let key_seed = limpid_model::key_seed(name);
        let schema =
            TableSchema { name: name.clone(), version: 0, columns: Vec::new(), key: [].into(), key_seed };
        Some((Arc::new(schema), Arc::new(Layout { columns: Vec::new(), json_columns: 0 })))
    }
}

fn mismatch_fault(mismatch: &Mismatch, name: &TableName) -> Fault {
    let (code, text) = match mismatch {
        Mismatch::Unknown => {
            (FaultCode::TableSchemaUnknown, "the log does not name its columns and nothing else is known of them".into())
        }
        Mismatch::Differs { log_columns, known_columns } => (
            FaultCode::TableSchemaMismatch,
            format!("the log has {log_columns} columns where {known_columns} are known"),
        ),
        Mismatch::Type { column, code } => {
            (FaultCode::RowUndecodable, format!("column {column} has type number {code}, which cannot be read"))
        }
    };
    Fault::new(code, Component::Input, text).about(name.to_string())
}
