//! Sinks on this machine: `file`, `stdout` and `null`.
//!
//! Owns: JSON lines, files with rotation and a chosen durability, standard output, the sink that only counts.
//! Does not own: formats (`limpid-codec`): keys and values come encoded.
//!
//! Invariant: none of these has a place for the position record: `load_record` finds none and `save_record` does
//! nothing, so that a restart goes by the local state alone, at least once.

pub mod config;
mod faults;
mod file;
mod held;
mod line;
mod null;
#[cfg(test)]
mod sample;
mod stdout;

pub use config::{FileOptions, Fsync};
pub use file::FileSink;
pub use null::NullSink;
pub use stdout::StdoutSink;
