//! Drives the binary against real servers.
//!
//! Owns: the process under test, its files, known histories and the check that nothing of them is lost. Does not own:
//! the servers (`limpid-stack`), the cases (`tests/`).
//!
//! Invariant: what a case compares with comes from the server's own SELECT and a plain consumer.
#![expect(clippy::disallowed_methods, reason = "drives real processes on the real clock; nothing here is simulated")]

mod binary;
mod case;
mod changes;
mod history;
mod pair;
mod prepared;
mod proxy;
pub mod received;
pub mod servers;
mod skew;
mod small_disk;
mod terminal;
pub mod truth;
mod worker;

pub use binary::{Ended, Limpid, PATIENCE, Pipeline, call, get, limpid, page, program, wait_until};
pub use case::{Case, Spec};
pub use changes::{Change, changes_in, fold};
pub use history::{Seen, Writer, check_copied, check_exactly_once, check_nothing_lost, seen_in};
pub use pair::Pair;
pub use prepared::XaWriter;
pub use proxy::{Proxy, Seeded, Trouble};
pub use servers::Db;
pub use skew::Skew;
pub use small_disk::SmallDisk;
pub use terminal::Terminal;
pub use worker::Worker;
