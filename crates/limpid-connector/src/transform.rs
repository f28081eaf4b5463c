//! What a transform is: something that changes or rejects rows between decoding and encoding.
//!
//! Owns: the traits. Does not own: any transform (`limpid-transform`), who runs them (the engine's workers).
//!
//! Invariant: a transform is a function of a row's table version, operation and cells alone. It leaves rows where they
//! are: what is rejected is marked, so that ordinals, positions inside a transaction and the window stay what they were.

use std::sync::Arc;

use limpid_model::{Batch, Fault};

/// The transforms of one pipeline, in the order of its file.
pub trait Transforms: Send + Sync {
    /// The rules' names, by the numbers that [`limpid_model::Filtered`] has. The same for the pipeline's whole life.
    fn rules(&self) -> Arc<[Arc<str>]>;

    /// What one worker works with: it keeps what it resolved per table version.
    fn worker(&self) -> Box<dyn Transform>;
}

/// One worker's transforms.
pub trait Transform: Send {
    /// Marks the rejected rows of a decoded batch and changes the others.
    fn transform(&mut self, batch: &mut Batch, tally: &mut TransformTally);
}

/// What transforming found besides rows.
#[derive(Debug, Default)]
pub struct TransformTally {
    /// Tables that a rule does not fit, by index into the batch's tables. No row of theirs is shown to anybody.
    pub table_faults: Vec<(u16, Fault)>,
    /// One number of a rule for each statement that it rejected.
    pub statements: Vec<u16>,
}
