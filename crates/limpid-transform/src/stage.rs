//! The transforms of one pipeline at work.
//!
//! Owns: what each worker resolved, going over a batch. Does not own: what a rule means for a table (`compile`).
//!
//! Invariant: a batch of tables that no rule changes or rejects is looked at once a table and never a row. Cells are
//! masked before anybody behind the workers sees them.

use std::sync::Arc;

use limpid_config::{ConfigFault, TransformSpec};
use limpid_connector::{Transform, TransformTally, Transforms};
use limpid_model::{Batch, Shown, TableName, TableSchema, Target};

use crate::compile::{Compiled, is_rejected, target};
use crate::config;
use crate::rule::{Action, Rule};

/// Room for a masked value that is kept from one batch to the next.
const SCRATCH_MAX: usize = 1024 * 1024;

/// So many table versions are kept resolved before starting afresh, as the encoders keep theirs.
const VERSIONS_MAX: usize = 4096;

/// A pipeline's transforms.
#[derive(Debug)]
pub struct Stage {
    rules: Arc<[Rule]>,
    names: Arc<[Arc<str>]>,
}

impl Stage {
    /// `None` for a pipeline without transforms.
    ///
    /// # Errors
    /// What [`config`] and [`crate::together()`] find wrong.
    pub fn new(specs: &[TransformSpec]) -> Result<Option<Self>, Vec<ConfigFault>> {
        if specs.is_empty() {
            return Ok(None);
        }
        let rules = config::rules(specs)?;
        let names = rules.iter().map(|rule| Arc::clone(&rule.name)).collect();
        Ok(Some(Self { rules: rules.into(), names }))
    }

    /// Where the rows of a table go.
    pub fn target(&self, table: &TableName) -> Target {
        target(&self.rules, table)
    }

    /// Whether every row of a table is rejected, so that it goes nowhere.
    pub fn is_rejected(&self, table: &TableName) -> bool {
        is_rejected(&self.rules, table)
    }

    /// The rules that are to hide columns and speak of none of these tables.
    pub fn idle(&self, tables: &[TableName]) -> Vec<Arc<str>> {
        let hides = |rule: &&Rule| matches!(rule.action, Action::Mask { .. } | Action::DropColumns(_));
        let is_idle = |rule: &&Rule| !tables.iter().any(|table| rule.is_of(&table.to_string()));
        self.rules.iter().filter(hides).filter(is_idle).map(|rule| Arc::clone(&rule.name)).collect()
    }
}

impl Transforms for Stage {
    fn rules(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.names)
    }

    fn worker(&self) -> Box<dyn Transform> {
        Box::new(Worker { rules: Arc::clone(&self.rules), known: Vec::new(), here: Vec::new(), scratch: Vec::new() })
    }
}

/// One worker's.
struct Worker {
    rules: Arc<[Rule]>,
    known: Vec<Arc<Compiled>>,
    /// One a table of the batch in hand, reused.
    here: Vec<Arc<Compiled>>,
    scratch: Vec<u8>,
}

/// What has to be done to a batch.
#[derive(Default)]
struct Needs {
    rejects: bool,
    shows: bool,
    masks: bool,
}

impl Transform for Worker {
    fn transform(&mut self, batch: &mut Batch, tally: &mut TransformTally) {
        for definition in &batch.control.ddl {
            let name = format!("{}.{}", definition.schema, definition.table);
            let rejects = |rule: &Rule| rule.rejects(&name, |operations| operations.ddl);
            tally.statements.extend(self.rules.iter().position(rejects).map(|rule| rule as u16));
        }
        let needs = self.prepare(batch, tally);
        if needs.rejects {
            self.reject(batch);
        }
        if needs.masks {
            self.mask(batch);
            if self.scratch.capacity() > SCRATCH_MAX {
                self.scratch = Vec::new();
            }
        }
        if needs.shows {
            batch.shown.extend(self.here.iter().map(|compiled| compiled.shown.clone()));
        }
    }
}

impl Worker {
    /// Finds or resolves what the rules come to for the batch's tables.
    fn prepare(&mut self, batch: &Batch, tally: &mut TransformTally) -> Needs {
        if self.known.len() + batch.tables.len() > VERSIONS_MAX {
            self.known.clear();
        }
        self.here.clear();
        let mut needs = Needs::default();
        for (index, schema) in batch.tables.iter().enumerate() {
            let compiled = self.compiled(schema);
            if let Some(unfit) = &compiled.fault {
                tally.table_faults.push((index as u16, unfit.fault(&schema.name)));
            }
            let any = |op: usize| batch.counts.get(index).is_none_or(|counts| counts[op] > 0);
            needs.rejects |= compiled.rejects.iter().enumerate().any(|(op, rule)| rule.is_some() && any(op));
            needs.masks |= !compiled.masks.is_empty();
            needs.shows |= compiled.shown != Shown::AsIs;
            self.here.push(compiled);
        }
        needs
    }

    fn compiled(&mut self, schema: &Arc<TableSchema>) -> Arc<Compiled> {
        if let Some(known) = self.known.iter().find(|known| Arc::ptr_eq(&known.schema, schema)) {
            return Arc::clone(known);
        }
        let compiled = Arc::new(Compiled::new(&self.rules, schema));
        self.known.push(Arc::clone(&compiled));
        compiled
    }

    fn reject(&self, batch: &mut Batch) {
        for index in 0..batch.rows.len() {
            let row = &batch.rows[index];
            if let Some(rule) = self.here[usize::from(row.table)].rejects[row.op as usize] {
                batch.reject(index as u32, rule);
            }
        }
    }

    /// A rejected row's cells stay as they are: nobody is shown them.
    fn mask(&mut self, batch: &mut Batch) {
        let mut filtered = 0;
        for index in 0..batch.rows.len() {
            if batch.filtered.get(filtered).is_some_and(|next| next.row as usize == index) {
                filtered += 1;
                continue;
            }
            let (table, images) = (batch.rows[index].table, [batch.rows[index].before, batch.rows[index].after]);
            let masks = &self.here[usize::from(table)].masks;
            for first in images.into_iter().filter(|first| *first != limpid_model::NONE && !masks.is_empty()) {
                for masked in masks {
                    let at = first as usize + usize::from(masked.column);
                    masked.mask.apply(batch, at, &masked.logical, &mut self.scratch);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
