//! What happens to rows between decoding and encoding.
//!
//! Owns: the transforms of a pipeline file, their keys, what they do to rows. Does not own: when they are called (the
//! engine's workers), what is made of what they leave (`limpid-codec`).
//!
//! Invariant: a transform is a function of a row's table version, operation and cells. What it needs to know of a table is
//! found out once per version, and a batch that nothing matches costs a look at its tables.

mod compile;
pub mod config;
mod mask;
mod rule;
mod stage;
mod together;

pub use stage::Stage;
pub use together::together;
