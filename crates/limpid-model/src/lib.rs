//! The nouns that every other crate shares. No I/O, no async, no serde.
//!
//! Owns: cells and batches (the way a row travels), table schemas, positions, the position record, fault codes.
//! Does not own: how any of these is stored or sent (`limpid-state`, `limpid-codec`), nor how they come to be.
//!
//! Invariant: nothing here knows a database, a broker or a wire format by name, except where a noun *is* the
//! field's own (a GTID is a transaction's identity in two of our sources).

mod batch;
mod cell;
mod fault;
mod flow;
mod ids;
mod keyhash;
mod mark;
mod odd;
mod position;
mod record;
mod schema;
mod shown;

pub use batch::{
    Batch, ChunkPart, CommitTime, ControlCounts, DdlKind, Definition, EventHeader, Filtered, NONE, Op, RowHeader,
    StageTimes, TxnHeader, TxnId,
};
pub use cell::{Cell, CellKind, Place, unpack_impossible};
pub use fault::{ALL_CODES, Component, Fault, FaultCode, FaultKind, Response, response_to};
pub use flow::{Flow, FlowCounts, FlowSums};
pub use ids::{ChangeNumber, Epoch, PipelineId, PipelineName, TraceContext};
pub use keyhash::{bytes_digest, cell_hash, key_digest, key_hash, key_seed};
pub use mark::{RowMark, fit_marks};
pub use odd::{OddCount, OddValues, Oddity};
pub use position::{Position, PositionValue};
pub use record::PositionRecord;
pub use schema::{Column, ColumnSet, LogicalType, TableName, TableSchema};
pub use shown::{Shown, ShownColumn, ShownTable, Target};
