//! What is told of the values themselves.
//!
//! Owns: the meter's calls for odd values and for the columns' measures. Does not own: series (`odd`, `sketch`).
//!
//! Invariant: as the meter's: once per batch, and nothing at all where there is nothing to tell.

use std::sync::Arc;

use limpid_model::{Batch, OddValues};

use super::PipelineMeter;
use super::odd::OddTotal;
use super::sketch::{ColumnSketch, Drift, SketchOptions, Sketches};

impl PipelineMeter {
    /// Values of a batch that did not come through as they are. Called by the delivery.
    pub fn odd(&self, batch: &Batch, odd: &OddValues) {
        if !odd.is_empty() {
            self.odd.lock().expect("never held across a panic").add(batch, odd);
        }
    }

    /// How many values did not come through as they are, by column and reason.
    pub fn odd_totals(&self) -> Vec<OddTotal> {
        self.odd.lock().expect("never held across a panic").totals()
    }

    /// Measures columns from now on. Before the first batch.
    pub fn sketch(&self, options: SketchOptions) {
        self.sketches.get_or_init(|| Sketches::new(&self.registry, &self.pipeline, Arc::clone(&self.tables), options));
    }

    /// A batch was decoded: looks at its rows, if columns are measured and it is one of the sample. Called by the workers.
    pub fn look(&self, batch: &Batch) -> Vec<Drift> {
        self.sketches.get().map_or_else(Vec::new, |sketches| sketches.look(batch))
    }

    /// The columns' measures, and how they are taken; `None` where they are not.
    pub fn sketched(&self) -> Option<(SketchOptions, Vec<ColumnSketch>)> {
        self.sketches.get().map(|sketches| (sketches.options(), sketches.all()))
    }
}
