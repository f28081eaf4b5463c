//! Following rows: what a transaction and a key are called everywhere.
//!
//! Owns: trace ids and span ids (`ids`), the hash of a key that somebody types (`key`). Does not own: finding rows
//! (`ring`), what is answered (the server).
//!
//! Invariant: an id depends on the pipeline's name and the transaction's own alone, so that a replay, a restart and
//! another process give the same.

mod ids;
mod key;

pub use ids::{NamedTxn, Positions, SpanId, TraceId, trace_id, txn_text};
pub use key::{KeyRefused, parts_of, typed_hash};
