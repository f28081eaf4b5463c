//! Moves batches from a source to a sink.
//!
//! Owns: threads, order, the window, checkpoints, back-pressure, restarts. Does not own: any system, any format, how
//! things are stored or shown.
//!
//! Invariant: a position is saved only after everything at or below it is durable at the sink. Connectors are known
//! by their traits only.

mod backoff;
mod budget;
mod catchup;
mod commit;
mod copy;
pub mod failpoint;
mod flow;
mod heartbeat;
mod ledger;
mod marks;
mod observe;
mod parking;
mod pipeline;
mod runway;
mod saver;
mod source_clock;
mod stages;
mod standing;
mod status;
mod verdict;
mod watch;
mod window;

pub use commit::foretell;
pub use copy::{CHUNK_ROWS, CopyCost, CopyMode, CopyOptions, CopyProgress, CopyRequest, TableProgress, Throttle};
pub use flow::EncoderFactory;
pub use ledger::FlowSeen;
/// A window of the ledger, as the state has it.
pub use limpid_state::FlowWindow;
/// A row that is kept, as the state has it.
pub use limpid_state::ParkedRow;
pub use observe::{Beat, Fill, HeadLooked, Observer, RowAt, Unobserved};
pub use parking::{
    Body, BodyCell, BodyRecord, OnRowError, ParkedAction, ParkedAsk, ParkedOutcome, ParkedSeen, ParkedSelection,
    RowFate, RowKept,
};
pub use pipeline::{DRAIN_MAX, Misfit, Outcome, Parts, run};
pub use runway::Ends;
pub use source_clock::ClockSeen;
pub use stages::{Bottleneck, Ratios, STAGES, bottleneck};
pub use status::{FaultSeen, HaltedSeen, Handle, HeadSeenAt, Peer, Phase, Status};
pub use verdict::{Keeper, Look, Trail, Verdict};
