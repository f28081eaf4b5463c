//! MySQL and MariaDB: the replication client, the log's decoder, schemas as of the log position.
//!
//! Owns: everything that knows these two servers. Does not own: order, checkpoints, other systems.
//!
//! Invariant: a row leaves only when its transaction is known to be committed, decoded with the schema it was written
//! with.

mod assemble;
mod bytes;
mod charset;
mod checksum;
mod compressed;
mod events;
mod group;
mod gtid;
mod jsonb;
mod mapping;
mod position;
mod replay;
mod rows;
mod schemas;
mod selection;
mod tablemap;
mod tables;
mod values;

pub use position::{Flavor, LogPosition};
pub use replay::LogFile;
pub use rows::RowsDecoder;
pub use selection::Selection;
