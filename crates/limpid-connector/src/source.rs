//! What a source is: something whose log can be read in order, and decoded by anyone, anywhere.
//!
//! Owns: the traits. Does not own: threads, restarts, order after decoding (`limpid-engine`).
//!
//! Invariant: a stream yields batches in commit order and a batch's `end` covers exactly what it and its
//! predecessors hold; no row of a transaction leaves before the transaction is known to be committed.

use std::sync::Arc;
use std::time::Duration;

use limpid_model::{Batch, Fault, FaultCode, Position, TableName};

use crate::clock::Clock;
use crate::copy::{Admission, Chunk, TableFound, TableReader};

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartPoint {
    /// What is committed from now on.
    Head,
    /// The oldest the server still has.
    Earliest,
    /// A position in its text form.
    At(String),
}

/// Where to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Forever,
    /// At the end of the log.
    CaughtUp,
    /// Once everything at or below this position (its text form) was read.
    Position(String),
}

/// What a call of [`ChangeStream::next`] brought.
#[derive(Debug)]
pub enum Next {
    /// The batch holds events and a position.
    Batch,
    /// No batch came within the time given: mostly since we are at the end of what the source has.
    Idle,
    /// The end that was asked for was reached; nothing further comes.
    End,
}

/// Something about the source that is no row.
#[derive(Debug)]
pub enum StreamEvent {
    /// A table's rows can no longer be trusted from here on; none of its later rows are yielded.
    TableFault { table: TableName, fault: Fault },
    /// Something odd that needs no action but must be counted and told.
    Doubt { code: FaultCode, object: String },
    /// A heartbeat of this pipeline came through the log, as [`Heartbeat::beat`] wrote it.
    Heartbeat { instance: u64, number: u64 },
    /// The schema history grew; it must be durable before a position beyond the batch being built is saved.
    History { version: u32, snapshot: Vec<u8> },
}

/// What was saved of an earlier stream, for the position that the next one is opened at.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The last [`StreamEvent::History`], as its version and bytes; `None` where the state was rebuilt without.
    pub history: Option<(u32, Vec<u8>)>,
    /// Transactions that were undecided there, as [`Position::undecided`] named them.
    pub undecided: Vec<String>,
}

/// One system to read from.
pub trait Source: Send + Sync {
    /// Connects, checks that the server can be read as asked, and positions the stream. `saved` belongs to this
    /// position; `None` at a first start.
    ///
    /// # Errors
    /// A fault with the source's own code; transient ones may be tried again.
    fn open(&mut self, from: &StartPoint, until: &Until, saved: Option<Saved>) -> Result<Box<dyn ChangeStream>, Fault>;

    /// Where a stream that is asked for this would begin, found out without beginning it.
    ///
    /// # Errors
    /// As [`Source::open`]; what the server tells only while it sends its log is not found.
    fn foresee(&self, from: &StartPoint) -> Result<Position, Fault>;

    /// The captured tables, asked for without opening anything.
    ///
    /// # Errors
    /// As [`Source::open`].
    fn tables(&self) -> Result<Vec<TableFound>, Fault>;

    /// A second connection that watches the end of the log.
    ///
    /// # Errors
    /// As [`Source::open`].
    fn head(&self) -> Result<Box<dyn Head>, Fault>;

    /// What writes heartbeats to the server in use; `None` where none are wanted. Connects to nothing yet.
    fn heartbeat(&self) -> Option<Box<dyn Heartbeat>> {
        None
    }

    /// Another connection that reads whole tables.
    ///
    /// # Errors
    /// As [`Source::open`].
    fn table_reader(&self) -> Result<Box<dyn TableReader>, Fault>;

    /// Host and port of the server in use, without credentials, for messages and the health metric.
    fn endpoint(&self) -> String;

    /// Of several servers those that were passed over at the last [`Source::open`], with the reason of each.
    fn passed_over(&mut self) -> Vec<(String, Fault)> {
        Vec::new()
    }
}

/// A source's log, being read. Used by one thread.
pub trait ChangeStream: Send {
    /// Fills an empty `batch` with raw events, their tables and transactions, and `end`. Waits at most `wait` for the
    /// first of them. Rows are not decoded yet.
    ///
    /// # Errors
    /// The stream is broken and must be opened anew at the last checkpoint.
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Next, Fault>;

    /// How long the last [`ChangeStream::next`] waited for something to come: no part of the way of what then came, and idle
    /// time where it came back without a batch.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// What decodes this stream's batches. One for the stream's life, shared by all workers.
    fn decoder(&self) -> Arc<dyn Decode>;

    /// What happened besides rows since the last call, in order.
    fn take_events(&mut self) -> Vec<StreamEvent>;

    /// From here on yields no row of this table: someone further down cannot deliver it.
    fn halt_table(&mut self, table: &TableName);

    /// Whether rows of this table are captured, if there is such a table.
    fn captures(&self, table: &TableName) -> bool;

    /// What Debezium calls a connector to this server: `mysql`, `mariadb`, ... Known once the server was asked.
    fn connector(&self) -> &'static str;

    /// The position the stream was opened at.
    fn opened_at(&self) -> Position;

    /// Weighs a chunk against what was yielded so far: whether the fence is passed and the table still is what it was.
    fn admit(&mut self, chunk: &mut Chunk) -> Admission;

    /// A position of this stream is saved everywhere: what was kept for an earlier one is of no use any more.
    fn saved(&mut self, _: &Position) {}

    /// From here on yields nothing beyond `fence`, which is not passed yet; with `None` goes on.
    fn hold_at(&mut self, fence: Option<Position>);
}

/// What a decoder found besides rows. Odd values are counted in the batch.
#[derive(Debug, Default)]
pub struct DecodeTally {
    /// Tables whose rows could not be decoded, by index into the batch's tables, with the number of that batch's rows
    /// (in `rows`) that precede the failure. No row of the table after it is in the batch.
    pub table_faults: Vec<(u16, Fault)>,
}

/// Turns a batch's raw events into rows and cells.
pub trait Decode: Send + Sync {
    /// Fills `rows`, `cells`, `arena` and `counts` of a batch from this decoder's stream.
    ///
    /// # Errors
    /// A broken log, which is never one row's fault. What concerns one table only is in the tally.
    fn decode(&self, batch: &mut Batch, tally: &mut DecodeTally) -> Result<(), Fault>;
}

/// Writes heartbeats into a source's log, by an ordinary row that is never delivered on its own account.
pub trait Heartbeat: Send {
    /// How often.
    fn every(&self) -> Duration;

    /// Writes one and waits until it is committed.
    ///
    /// # Errors
    /// It could not be written, or nobody knows; the next one is tried all the same.
    fn beat(&mut self, instance: u64, number: u64) -> Result<(), Fault>;
}

/// Watches the end of a source's log.
pub trait Head: Send {
    /// Looks at the end of the log now, and measures what lies between `from` and there. `clock` is ours, to be read
    /// around the question after the source's.
    ///
    /// # Errors
    /// Transient: the head is not seen.
    fn look(&mut self, from: &Position, clock: &Clock) -> Result<HeadSeen, Fault>;

    /// What the source keeps of its log, for one who would begin again at `from`; `None` where it does not tell.
    ///
    /// # Errors
    /// Transient, as [`Head::look`].
    fn retention(&mut self, _from: &Position) -> Result<Option<Retention>, Fault> {
        Ok(None)
    }
}

/// What a source keeps of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Tells one server's log from another's.
    pub server: String,
    /// A file is given up so long after it was closed.
    pub keeps: Option<Duration>,
    /// The oldest files are given up when all together have more bytes.
    pub bytes_max: Option<u64>,
    /// The files by number, with their bytes; the oldest first, the last one is written to.
    pub files: Vec<(u64, u64)>,
    /// The file that one who begins again there needs first; `None` while nobody knows.
    pub ours: Option<u64>,
}

/// The end of the log at one look.
#[derive(Clone, Debug)]
pub struct HeadSeen {
    pub position: Position,
    /// Bytes of log between our position and the end, exact across files; `None` while the stream has not yet told
    /// where in the log our position lies.
    pub lag_bytes: Option<u64>,
    /// Transactions between the same two; `None` where transactions have no numbers.
    pub lag_transactions: Option<u64>,
    /// What the source's clock showed meanwhile, if it was asked.
    pub clock: Option<ClockSample>,
}

/// The source's clock, read between two readings of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// Microseconds since 1970.
    pub source_micros: i64,
    /// Our monotonic clock before it was asked, and when the answer was there.
    pub sent_nanos: u64,
    pub got_nanos: u64,
}
