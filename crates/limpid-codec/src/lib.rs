//! Wire formats: what the outside reads. Model in, bytes out.
//!
//! Owns: Debezium's JSON form (`debezium`), topic names (`topic`), the position record's wire form (`record`, `cursor`).
//! Does not own: the model (`limpid-model`), sending (the sinks), decoding a source's log (one crate each).
//!
//! Invariant: what is written here is read by others: a byte changes only together with the page that promises it
//! (`docs/debezium-compat.md`) and the oracle's fixtures.

pub mod cursor;
mod debezium;
mod encoded;
mod json;
pub mod record;
mod topic;

pub use debezium::{
    BigintUnsignedHandling, BinaryHandling, Compat, Connector, DebeziumEncoder, DebeziumOptions, DecimalHandling,
    MessageKey, MessageKeyError, SkippedOperations, TimePrecision, TinyInt1,
};
pub use encoded::{Encode, EncodeTally, EncodedBatch, JsonText, RecordSpan, Span};
pub use topic::{TopicRegistry, TopicTemplate, TopicTemplateError};
