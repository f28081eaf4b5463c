//! What every connector must pass, in one call each.
//!
//! Owns: the clauses of both contracts as checks, and connectors in memory that keep them. Does not own: what a system
//! is asked by way of proof: each connector's own tests bring a rig, whose reader is not the connector's.
//!
//! Invariant: a clause that is broken is named; the suite itself is tried against connectors that break one clause each
//! (`tests/contract.rs`).

mod memory;
mod sink;
mod source;

pub use memory::{MemoryLog, MemoryPlace, MemorySink, MemorySource, done};
pub use sink::{Pair, SinkRig, sink};
pub use source::{SourceRig, source};

use limpid_model::Fault;

use crate::clock::Clock;

/// A clause that is broken, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl Broken {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self(format!("[{}] {fault} ({})", fault.code(), fault.object().unwrap_or("-")))
    }
}

/// The clause holds, or is broken.
pub(crate) fn holds(is_kept: bool, clause: &str, seen: impl FnOnce() -> String) -> Result<(), Broken> {
    if is_kept { Ok(()) } else { Err(Broken(format!("{clause}: {}", seen()))) }
}

/// How long anything may take on a busy machine.
const PATIENCE_NANOS: u64 = 30_000_000_000;

/// The end of a wait.
pub(crate) struct Patience {
    clock: Clock,
    end: u64,
}

impl Patience {
    pub(crate) fn new() -> Self {
        let clock = Clock::system();
        let end = clock.nanos() + PATIENCE_NANOS;
        Self { clock, end }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.clock.nanos() > self.end
    }
}
