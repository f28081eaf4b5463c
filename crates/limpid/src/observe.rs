//! From the engine's observations to log lines.
//!
//! Owns: the adaption. Does not own: the engine's events, the form of a line.
//!
//! Invariant: never waits, never fails.

use limpid_engine::Observer;
use limpid_model::{Fault, TableName};

use crate::report;

/// Writes what happens to stderr.
pub struct Lines {
    pub pipeline: String,
}

impl Observer for Lines {
    fn started(&self, position: &str) {
        eprintln!("{}: running from {position}", self.pipeline);
    }

    fn fault(&self, fault: &Fault, pause_ms: Option<u64>) {
        match pause_ms {
            Some(pause) => eprintln!("{}: {} (again in {pause} ms)", self.pipeline, report::fault(fault)),
            None => eprintln!("{}: halted\n{}", self.pipeline, report::fault(fault)),
        }
    }

    fn table_halted(&self, table: &TableName, fault: &Fault) {
        eprintln!("{}: table {table} halted\n{}", self.pipeline, report::fault(fault));
    }
}
