//! Everything durable, in one SQLite file of the data directory.
//!
//! Owns: `limpid.db` (pipelines' identities, checkpoints, schema history, halted tables, parked rows, the ledger of
//! flow), the files of large parked rows beside it, and `limpid.lock`.
//! Does not own: what a position or a table definition means (the sources; here they are text and bytes), when a
//! checkpoint is due and whether state and the sink's record fit together (`limpid-engine`), the record's wire form
//! (`limpid-codec`).
//!
//! Invariant: what a call has returned `Ok` for survives the death of the process and of the machine; a call that
//! failed has changed nothing; damage is refused, never mended and never removed.

mod checkpoint;
mod faults;
mod flow;
mod halted;
mod history;
mod layout;
mod lock;
mod open;
mod parked;
mod pipeline;
mod seal;
mod store;
mod verify;

pub use checkpoint::Checkpoint;
pub use flow::{FlowState, FlowWindow};
pub use halted::HaltedTable;
pub use history::SchemaHistory;
pub use parked::{ParkedKind, ParkedRow, ToPark};
pub use pipeline::PipelineState;
pub use store::Store;
