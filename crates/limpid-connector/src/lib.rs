//! What a connector is, and what it may rely on.
//!
//! Owns: the traits between the engine and the systems, the encoded form of a batch, the clock and the stop signal.
//! Does not own: any system (one crate each), the order in which things are called (`limpid-engine`).
//!
//! Invariant: the engine knows connectors only through these traits; connectors know neither it nor each other.

mod clock;
mod copy;
mod finding;
mod sink;
mod source;
mod stop;
pub mod testkit;
mod transform;

pub use clock::Clock;
pub use copy::{Admission, Chunk, ChunkAsk, KeyRange, SourceLoad, TableFound, TableReader};
pub use finding::{Finding, Outcome};
pub use limpid_codec::{Encode, EncodeTally, EncodedBatch, JsonText, RecordSpan, Span};
pub use sink::{Accepted, Delivered, Fenced, Keeping, Sink, SinkEvent};
pub use source::{
    ChangeStream, ClockSample, Decode, DecodeTally, Head, HeadSeen, Heartbeat, Next, Retention, Saved, Source,
    StartPoint, StreamEvent, Until,
};
pub use stop::Stop;
pub use transform::{Transform, TransformTally, Transforms};
