//! The tables that rows were seen of, for whoever types a key.
//!
//! Owns: the last version of each table and where its records go. Does not own: the ring.
//!
//! Invariant: changed once a table version or topic, never per row; bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use limpid_model::{TableName, TableSchema};

/// Tables that are known at once; beyond that those already known stay. 4,096 of 20 columns are some 6 MiB.
const TABLES_MAX: usize = 4096;

/// One table as its rows were last seen.
#[derive(Clone, Debug)]
pub struct KnownTable {
    pub schema: Arc<TableSchema>,
    /// Where its records go; `None` for a sink that has no topics, or before the first of them.
    pub topic: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<TableName, KnownTable>>);

impl Known {
    pub(super) fn version(&self, schema: &Arc<TableSchema>) {
        let mut tables = self.0.lock().expect("never held across a panic");
        if let Some(known) = tables.get_mut(&schema.name) {
            known.schema = Arc::clone(schema);
        } else if tables.len() < TABLES_MAX {
            tables.insert(schema.name.clone(), KnownTable { schema: Arc::clone(schema), topic: None });
        }
    }

    pub(super) fn topic(&self, table: &TableName, topic: &str) {
        let mut tables = self.0.lock().expect("never held across a panic");
        if let Some(known) = tables.get_mut(table)
            && known.topic.as_deref() != Some(topic)
        {
            known.topic = Some(topic.into());
        }
    }

    pub(super) fn all(&self) -> Vec<KnownTable> {
        self.0.lock().expect("never held across a panic").values().cloned().collect()
    }
}
