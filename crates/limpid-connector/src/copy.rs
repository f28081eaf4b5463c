//! What copying whole tables beside the stream asks of a source.
//!
//! Owns: the chunk, the key range, the trait of whoever reads them. Does not own: which table is read when, how fast,
//! and what of a chunk is dropped (`limpid-engine::copy`); the text inside a key (the source).
//!
//! Invariant: a chunk holds the rows of its range as they were at one moment, and `fence` is at or after that moment: a
//! stream that has yielded everything up to the fence has yielded every change that the chunk shows.

use std::time::Duration;

use limpid_model::{Batch, Fault, Position, TableName};

/// A captured table, as a copy plans it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFound {
    pub name: TableName,
    /// The source's own estimates; rough, and 0 for an empty table.
    pub rows: u64,
    pub bytes: u64,
    /// False: it has neither a primary key nor a unique one without nullable columns, and can only be read whole.
    pub has_key: bool,
}

/// The part of a table whose keys lie behind `after` and up to `until`, which is part of it. Keys are texts that only
/// the source reads; they are kept in the position record. `None` is the table's own end on that side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    pub after: Option<String>,
    pub until: Option<String>,
}

/// One chunk to be read.
#[derive(Clone, Debug)]
pub struct ChunkAsk<'a> {
    pub table: &'a TableName,
    pub range: &'a KeyRange,
    /// A condition of the user's in the source's own language; only rows that meet it are read.
    pub predicate: Option<&'a str>,
    /// Reading ends at the first row with which one of these is reached.
    pub rows_max: u32,
    pub bytes_max: u64,
}

/// Rows of one range, decoded.
#[derive(Debug)]
pub struct Chunk {
    pub table: TableName,
    /// What was read: `after` as asked, `until` the last key in it, or as asked when nothing follows.
    pub range: KeyRange,
    /// What of the range asked for was not read; `None` when nothing is left.
    pub rest: Option<KeyRange>,
    /// Rows with [`limpid_model::Op::Read`] and all that belongs to them; neither numbered nor with an end.
    pub batches: Vec<Batch>,
    pub fence: Position,
    pub rows: u64,
    /// Bytes as the source sent them.
    pub bytes: u64,
    /// From the first question to the last row.
    pub took: Duration,
    /// What only the stream of the same source understands: what has to be compared before the chunk may pass.
    pub proof: Box<dyn std::any::Any + Send>,
}

/// Whether a chunk may pass behind what the stream has yielded so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The stream has not yielded everything up to the fence.
    NotYet,
    /// It may pass now. Its batches refer to the stream's own version of the table.
    Admitted,
    /// It cannot be used and must be read again; why, for the log.
    Stale(&'static str),
}

/// How busy the source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLoad {
    pub threads_running: Option<u64>,
    /// How far the server we read from is behind its own source; `None` where it has none.
    pub replica_lag: Option<Duration>,
}

/// A connection that reads tables. Used by one thread; several may be open at once.
pub trait TableReader: Send {
    /// The captured tables, in the order of their names. Views are none.
    ///
    /// # Errors
    /// A fault with the source's own code; transient ones may be tried again.
    fn tables(&mut self) -> Result<Vec<TableFound>, Fault>;

    /// Splits a table into at most `pieces` ranges of about equal size, in key order, which together are the table.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn split(&mut self, table: &TableName, pieces: u32) -> Result<Vec<KeyRange>, Fault>;

    /// Whether what is read lags behind what the stream may have yielded by now; then nothing may be read yet. Asked after
    /// the caller began to watch the stream, and before each chunk.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn is_behind(&mut self) -> Result<bool, Fault> {
        Ok(false)
    }

    /// Reads one chunk. Changes that are committed before the call may be in it or not; the caller has begun to watch
    /// the stream for keys of this table before.
    ///
    /// `None`: the table is gone.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn read(&mut self, ask: &ChunkAsk<'_>) -> Result<Option<Chunk>, Fault>;

    /// Begins to read a table without a key whole, as of one moment. The caller has stopped the stream before, which
    /// therefore has not passed the fence that comes back. `None`: the table is gone.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn begin_whole(&mut self, table: &TableName, predicate: Option<&str>) -> Result<Option<Position>, Fault>;

    /// The next piece of the table begun, about so many bytes of it; all pieces have the same fence. `None` at its end.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn read_whole(&mut self, bytes_max: u64) -> Result<Option<Chunk>, Fault>;

    /// A count of the statements that others have had done at the server that is read from; `None` where it does not tell.
    /// Differences alone mean something, as wrapping numbers: a server that starts anew goes back, even below zero.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn statements_of_others(&mut self) -> Result<Option<u64>, Fault>;

    /// How busy the source is now.
    ///
    /// # Errors
    /// As [`TableReader::tables`].
    fn load(&mut self) -> Result<SourceLoad, Fault>;
}
