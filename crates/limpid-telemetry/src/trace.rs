//! Following rows: what a transaction and a key are called everywhere, and the transactions that are kept as traces.
//!
//! Owns: trace ids and span ids (`ids`), the hash of a key that somebody types (`key`), which transactions are kept
//! (`keep`), gathering them (`gather`, `kept`), their spans (`spans`, `names`) and the message that carries them (`otlp`),
//! what waits to be sent (`queue`), what records carry (`stamp`) and log lines do (`row`), which keys are watched
//! (`watches`), in which transactions an application named its trace (`named`). Does not own: finding rows (`ring`), what
//! is answered (the server), sending (the binary).
//!
//! Invariant: an id depends on the pipeline's name and the transaction's own alone, so that a replay, a restart and
//! another process give the same.

mod gather;
mod ids;
mod keep;
mod kept;
mod key;
mod named;
pub(crate) mod names;
mod otlp;
mod queue;
mod row;
mod spans;
mod stamp;
mod watches;

pub(crate) use gather::Told;
pub use gather::{Granularity, TraceOptions, Tracer};
pub use ids::{NamedTxn, Positions, SpanId, TraceId, trace_id, txn_text};
pub use keep::{BaseRate, Why};
pub use kept::KeptTrace;
pub use key::{KeyRefused, parts_of, typed_hash};
pub use otlp::requests;
pub use queue::TraceQueue;
pub use row::RowTrace;
pub(crate) use row::of_row;
pub use spans::{Span, SpanMaker};
pub use stamp::{Stamp, TRACEPARENT_LEN};
pub use watches::{LEASE_NANOS, Watches};
