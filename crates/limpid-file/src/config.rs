//! What can be chosen about a file.
//!
//! Owns: the options and their meaning. Does not own: when anything happens (`file`).
//!
//! Invariant: options hold no "default": whoever makes them has decided.

use std::path::PathBuf;
use std::time::Duration;

/// Options of `sink.type: file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written to. Its directory must exist.
    pub path: PathBuf,
    /// A file that has so many bytes is put aside before the next batch; a batch is never split over two files.
    pub rotate_bytes: Option<u64>,
    /// A file that is so old, and has a line, is put aside.
    pub rotate_every: Option<Duration>,
    pub fsync: Fsync,
}

/// When lines count as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Once the kernel has them: they outlive the process, not the machine.
    Never,
    /// Once the disk has them; it is asked for each batch.
    Batch,
    /// Once the disk has them; it is asked once a second, or when 16 MiB wait for it.
    Interval,
}
