//! Drives the binary against real servers.
//!
//! Owns: the process under test, its files, known histories and the check that nothing of them is lost. Does not own:
//! the servers (`limpid-stack`), the cases (`tests/`).
//!
//! Invariant: what a case compares with comes from the server's own SELECT and a plain consumer.
#![expect(clippy::disallowed_methods, reason = "drives real processes on the real clock; nothing here is simulated")]

mod binary;
mod history;

pub use binary::{Limpid, Pipeline, wait_until};
pub use history::{Seen, Writer, check_nothing_lost, seen_in};
