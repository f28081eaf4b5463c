//! What the engine tells whoever watches: once per batch, never per row.
//!
//! Owns: the trait. Does not own: metrics, logs and the ring (`limpid-telemetry`, joined to this by the binary).
//!
//! Invariant: an observer never blocks and never fails; the data path does not wait for it.

use limpid_connector::{DecodeTally, Delivered, EncodeTally, EncodedBatch};
use limpid_model::{Batch, Component, Fault, FaultCode, TableName};

/// Watches one pipeline. Called from its threads.
pub trait Observer: Send + Sync {
    /// The stream gave nothing for a while: we are at the end of what the source has.
    fn idle(&self, _nanos: u64) {}
    /// A raw batch was read.
    fn read(&self, _batch: &Batch) {}
    /// The reader got its budget at this time, having waited for it since the batch was read.
    fn blocked(&self, _nanos: u64) {}
    /// A batch was decoded and encoded.
    fn made(&self, _batch: &EncodedBatch) {}
    /// What decoding and encoding found besides rows.
    fn tallies(&self, _batch: &EncodedBatch, _decoded: &DecodeTally, _encoded: &EncodeTally) {}
    /// Every record of a batch is durable.
    fn durable(&self, _batch: &EncodedBatch, _delivered: &[Delivered]) {}
    /// A position was saved.
    fn saved(&self, _position: &str, _took_nanos: u64) {}
    /// A peer was lost or found.
    fn health(&self, _component: Component, _endpoint: &str, _healthy: bool) {}
    /// A table's rows are delivered no longer.
    fn table_halted(&self, _table: &TableName, _fault: &Fault) {}
    /// Something odd that needs no action.
    fn doubt(&self, _code: FaultCode, _object: &str) {}
    /// An attempt failed; another follows after `pause_ms`, or none does.
    fn fault(&self, _fault: &Fault, _pause_ms: Option<u64>) {}
    /// The pipeline runs: connected, positioned.
    fn started(&self, _position: &str) {}
}

/// Watches nothing.
pub struct Unobserved;

impl Observer for Unobserved {}
