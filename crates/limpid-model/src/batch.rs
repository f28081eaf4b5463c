//! The batch: the unit in which rows travel everywhere.
//!
//! Owns: raw blocks shared with the reader, the arena, cells, row, event and transaction headers, stage times.
//! Does not own: decoding (a source's `Decode`), encoding (`limpid-codec`), order (the engine's sequence number).
//!
//! Invariant: every row's cells lie in `cells` as `before..before + columns` and `after..after + columns` of its
//! table's schema; every raw cell points inside a block of this batch, every arena cell inside its arena. A batch is
//! `Send`, has no lifetime, and is recycled: its vectors keep their room.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cell::{Cell, Place};
use crate::ids::TraceContext;
use crate::mark::RowMark;
use crate::odd::OddValues;
use crate::position::Position;
use crate::schema::TableSchema;
use crate::shown::{AS_IS, Shown};

/// The index that stands for "there is none".
pub const NONE: u32 = u32::MAX;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// A row that came to be: no before image.
    Insert = 0,
    /// A row that changed.
    Update = 1,
    /// A row that went: no after image.
    Delete = 2,
    /// A table emptied by a statement: neither image.
    Truncate = 3,
    /// A row read by a snapshot: no before image.
    Read = 4,
}

impl Op {
    /// How many kinds there are; the length of per-operation counts.
    pub const COUNT: usize = 5;

    /// The word used in metrics, logs and configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Update => "update",
            Op::Delete => "delete",
            Op::Truncate => "truncate",
            Op::Read => "read",
        }
    }
}

/// One row's header. 24 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RowHeader {
    /// Index into [`Batch::events`].
    pub event: u32,
    /// The row's number inside its event, from 0.
    pub row_in_event: u32,
    /// Index into [`Batch::txns`].
    pub txn: u32,
    /// First cell of the before image, or [`NONE`].
    pub before: u32,
    /// First cell of the after image, or [`NONE`].
    pub after: u32,
    /// Index into [`Batch::tables`].
    pub table: u16,
    /// What happened.
    pub op: Op,
}

const _: () = assert!(size_of::<RowHeader>() == 24);

/// A row that a transform rejected: it stays among the batch's rows, and no record is made of it. 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// Index into [`Batch::rows`].
    pub row: u32,
    /// Index into the names of the pipeline's rules.
    pub rule: u16,
}

const _: () = assert!(size_of::<Filtered>() == 8);

/// One event of the source's log that may hold rows: where its raw bytes are and what a record says of its origin.
/// 40 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventHeader {
    /// Where the event begins in the log: byte position, LSN or ordinal.
    pub at: u64,
    /// Seconds since the epoch as the event's own header has them.
    pub seconds: u32,
    /// The server that first wrote it.
    pub server: u32,
    /// Offset of the event's body in its block.
    pub offset: u32,
    /// Length of the event's body.
    pub len: u32,
    /// Index into [`Batch::txns`].
    pub txn: u32,
    /// Rows in the event, set by the decoder.
    pub rows: u32,
    /// Index into [`Batch::blocks`].
    pub block: u16,
    /// Index into [`Batch::tables`] and [`Batch::layouts`].
    pub table: u16,
    /// Index into [`Batch::logs`].
    pub log: u16,
    /// The source's own event kind; opaque to everyone else.
    pub kind: u8,
    /// The source's own flags.
    pub flags: u8,
}

const _: () = assert!(size_of::<EventHeader>() == 40);

/// What a transaction is called at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxnId {
    /// The source names none (GTIDs off): its place in the log has to do.
    Anonymous,
    /// MySQL: server UUID, number, and an index into [`Batch::tags`] from 1 (0 = untagged).
    Uuid { sid: [u8; 16], gno: u64, tag: u16 },
    /// MariaDB: domain, server, sequence.
    Domain { domain: u32, server: u32, seq: u64 },
}

impl TxnId {
    /// True when both name one transaction. A tag's index means nothing outside its batch, but two ids of one source
    /// with one number and different tags never stand next to each other in a log.
    pub fn is_same(self, other: TxnId) -> bool {
        match (self, other) {
            (TxnId::Uuid { sid: a, gno: x, .. }, TxnId::Uuid { sid: b, gno: y, .. }) => a == b && x == y,
            (a, b) => a == b,
        }
    }
}

/// A commit time and how far it may be off. Nothing pretends to be finer than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitTime {
    /// Microseconds since the epoch, by the source's clock.
    pub micros: i64,
    /// The true time lies within this many microseconds after `micros`.
    pub uncertainty_micros: u32,
}

/// One transaction, or the part of it that this batch holds.
#[derive(Clone, Copy, Debug)]
pub struct TxnHeader {
    /// Its identity.
    pub id: TxnId,
    /// When it was committed.
    pub commit: CommitTime,
    /// The session that ran it; 0 where the log does not say.
    pub thread: u32,
    /// Rows of the transaction that came in earlier batches, counted over all tables; set once order is restored.
    pub rows_before: u64,
    /// The transaction's last row is in this batch.
    pub ends: bool,
}

/// Nanoseconds on the process's monotonic clock, one a stage; 0 = not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// First byte of the batch read from the socket.
    pub read: u64,
    /// Handed to a worker.
    pub queued: u64,
    /// Cells made.
    pub decoded: u64,
    /// Transforms done.
    pub transformed: u64,
    /// Records made.
    pub encoded: u64,
    /// Given to the sink.
    pub sent: u64,
    /// Last acknowledgement.
    pub acked: u64,
    /// Covered by a checkpoint.
    pub saved: u64,
}

impl StageTimes {
    /// One after the other, as a batch passes them.
    pub const fn in_order(&self) -> [u64; 8] {
        let Self { read, queued, decoded, transformed, encoded, sent, acked, saved } = *self;
        [read, queued, decoded, transformed, encoded, sent, acked, saved]
    }
}

/// A statement that changed a definition, as the metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdlKind {
    CreateTable,
    AlterTable,
    DropTable,
    RenameTable,
    TruncateTable,
    CreateDatabase,
    DropDatabase,
    Other,
}

impl DdlKind {
    /// The word used in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            DdlKind::CreateTable => "create-table",
            DdlKind::AlterTable => "alter-table",
            DdlKind::DropTable => "drop-table",
            DdlKind::RenameTable => "rename-table",
            DdlKind::TruncateTable => "truncate-table",
            DdlKind::CreateDatabase => "create-database",
            DdlKind::DropDatabase => "drop-database",
            DdlKind::Other => "other",
        }
    }
}

/// A definition that a statement changed.
#[derive(Clone, Debug)]
pub struct Definition {
    pub kind: DdlKind,
    /// Schema and table; either may be empty.
    pub schema: Arc<str>,
    pub table: Arc<str>,
    /// The statement's transaction.
    pub txn: TxnId,
    pub commit: CommitTime,
}

impl Definition {
    /// In no transaction that has a name.
    pub fn anonymous(kind: DdlKind, schema: &str, table: &str) -> Self {
        let commit = CommitTime { micros: 0, uncertainty_micros: 0 };
        Self { kind, schema: schema.into(), table: table.into(), txn: TxnId::Anonymous, commit }
    }
}

/// The chunk of a table that a batch was read with. A chunk has its number in a lane of its table's copy, and lanes are
/// counted anew with each epoch of the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct ChunkPart {
    pub epoch: u64,
    pub lane: u64,
    pub number: u64,
    /// Of the whole chunk: its rows, and bytes as the source sent them.
    pub rows: u64,
    pub bytes: u64,
    /// Nanoseconds on the monotonic clock between which it was read.
    pub began: u64,
    pub read: u64,
    /// Rows of it in earlier batches.
    pub rows_before: u64,
    /// It ends with this batch.
    pub ends: bool,
    /// What it was read from: `mariadb` or `mysql`.
    pub system: &'static str,
}

/// What the reader saw besides rows, for the counters.
#[derive(Clone, Debug, Default)]
pub struct ControlCounts {
    /// Transactions that ended in this batch.
    pub commits: u32,
    /// Bytes of log that this batch covers.
    pub log_bytes: u64,
    /// Events of a kind we do not know and may ignore.
    pub unknown_events: u32,
    /// Definitions changed.
    pub ddl: Vec<Definition>,
}

/// Rows of one or several tables, from whole transactions where they fit.
#[derive(Debug, Default)]
pub struct Batch {
    /// The engine's order: batches of one stream are numbered without gaps.
    pub seq: u64,
    /// Raw bytes as read from the source, shared with neighbouring batches.
    pub blocks: Vec<Bytes>,
    /// Bytes that had to be made.
    pub arena: Vec<u8>,
    /// All row images, one after the other.
    pub cells: Vec<Cell>,
    pub rows: Vec<RowHeader>,
    /// One a row, in the order of `rows`: what is remembered of them. Set by the decoder, taken by whoever remembers it.
    pub marks: Vec<RowMark>,
    pub events: Vec<EventHeader>,
    pub txns: Vec<TxnHeader>,
    /// Table versions that `rows` and `events` refer to.
    pub tables: Vec<Arc<TableSchema>>,
    /// How `tables` are shown to sinks; empty where all are as they are.
    pub shown: Vec<Shown>,
    /// For each table version, what the source's decoder knows of its wire layout.
    pub layouts: Vec<Arc<dyn Any + Send + Sync>>,
    /// Names of log files that `events` refer to.
    pub logs: Vec<Arc<str>>,
    /// GTID tags that `txns` refer to.
    pub tags: Vec<Arc<str>>,
    /// The traces that applications named in statements of transactions: index into `txns`, in their order; each once.
    /// Empty unless the source was asked to look for them.
    pub contexts: Vec<(u32, TraceContext)>,
    /// Rows by table version and operation, rejected ones too.
    pub counts: Vec<[u32; Op::COUNT]>,
    /// Rows that a transform rejected, in their order. They go no further, but count as done with their batch.
    pub filtered: Vec<Filtered>,
    /// How many of `counts` were rejected; empty where none was.
    pub rejected: Vec<[u32; Op::COUNT]>,
    /// What was found odd while cells were made.
    pub odd: OddValues,
    pub control: ControlCounts,
    /// Set where the rows were read from a table.
    pub chunk: Option<ChunkPart>,
    /// Everything at or below this position is in this batch or in an earlier one.
    pub end: Option<Position>,
    pub times: StageTimes,
}

impl Batch {
    /// Empties the batch but keeps its room.
    pub fn clear(&mut self) {
        self.seq = 0;
        self.blocks.clear();
        self.arena.clear();
        self.cells.clear();
        self.rows.clear();
        self.marks.clear();
        self.events.clear();
        self.txns.clear();
        self.tables.clear();
        self.shown.clear();
        self.layouts.clear();
        self.logs.clear();
        self.tags.clear();
        self.contexts.clear();
        self.counts.clear();
        self.filtered.clear();
        self.rejected.clear();
        self.odd.clear();
        self.control.commits = 0;
        self.control.log_bytes = 0;
        self.control.unknown_events = 0;
        self.control.ddl.clear();
        self.chunk = None;
        self.end = None;
        self.times = StageTimes::default();
    }

    /// True when there is neither a row, nor an event, nor a position to carry.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.rows.is_empty() && self.end.is_none()
    }

    /// How a table version is shown.
    #[inline]
    pub fn shown(&self, table: usize) -> &Shown {
        self.shown.get(table).unwrap_or(&AS_IS)
    }

    /// Rejects a row. Rows are rejected in their order, each once.
    #[inline]
    pub fn reject(&mut self, row: u32, rule: u16) {
        debug_assert!(self.filtered.last().is_none_or(|last| last.row < row), "rows are rejected in their order");
        if self.rejected.is_empty() {
            self.rejected.resize(self.tables.len(), [0; Op::COUNT]);
        }
        let header = &self.rows[row as usize];
        self.rejected[header.table as usize][header.op as usize] += 1;
        self.filtered.push(Filtered { row, rule });
    }

    /// The rows of a table version by operation that were not rejected.
    pub fn passed(&self, table: usize) -> [u32; Op::COUNT] {
        let mut counts = self.counts[table];
        if let Some(rejected) = self.rejected.get(table) {
            counts.iter_mut().zip(rejected).for_each(|(count, rejected)| *count -= rejected);
        }
        counts
    }

    /// The rows that were not rejected, as runs of indices: one run where none was.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = self.filtered.iter().map(|filtered| filtered.row as usize).chain([self.rows.len()]);
        let begins = [0].into_iter().chain(self.filtered.iter().map(|filtered| filtered.row as usize + 1));
        begins.zip(ends).map(|(begin, end)| begin..end)
    }

    /// Rows that were not rejected.
    pub fn rows_passed(&self) -> u64 {
        (self.rows.len() - self.filtered.len()) as u64
    }

    /// True when the rows were read from a table, not from the log: a batch holds either. By its counts, since its rows are
    /// in nobody's cache any more once it is delivered.
    pub fn is_copy(&self) -> bool {
        self.counts.iter().any(|counts| counts[Op::Read as usize] > 0)
    }

    /// The bytes a `Raw` or `Arena` cell points at; empty for all others.
    #[inline]
    pub fn bytes(&self, cell: Cell) -> &[u8] {
        let start = cell.bits() as usize;
        let end = start + cell.len() as usize;
        match cell.place() {
            Place::Raw => &self.blocks[cell.block() as usize][start..end],
            Place::Arena => &self.arena[start..end],
            Place::Null | Place::Absent | Place::Unchanged | Place::Inline => &[],
        }
    }

    /// The cells of one image, `first` being a row header's `before` or `after`; empty for [`NONE`].
    #[inline]
    pub fn image(&self, first: u32, columns: usize) -> &[Cell] {
        if first == NONE { &[] } else { &self.cells[first as usize..first as usize + columns] }
    }

    /// Drops those events from index `from` on that `keep` refuses.
    pub fn events_retain(&mut self, from: usize, mut keep: impl FnMut(&EventHeader) -> bool) {
        let mut index = 0;
        self.events.retain(|event| {
            index += 1;
            index <= from || keep(event)
        });
    }

    /// What is left to tell of a batch that was sent: its transactions, and how many rows of which tables it had, none of them.
    pub fn receipt(&self) -> Self {
        Self {
            seq: self.seq,
            txns: self.txns.clone(),
            tables: self.tables.clone(),
            tags: self.tags.clone(),
            contexts: self.contexts.clone(),
            counts: self.counts.clone(),
            rejected: self.rejected.clone(),
            control: self.control.clone(),
            chunk: self.chunk,
            end: self.end.clone(),
            times: self.times,
            ..Self::default()
        }
    }

    /// Room this batch keeps besides its raw blocks, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.arena.capacity()
            + self.cells.capacity() * size_of::<Cell>()
            + self.rows.capacity() * size_of::<RowHeader>()
            + self.marks.capacity() * size_of::<RowMark>()
            + self.filtered.capacity() * size_of::<Filtered>()
            + self.events.capacity() * size_of::<EventHeader>()
            + self.txns.capacity() * size_of::<TxnHeader>()
    }

    /// Raw bytes this batch refers to.
    pub fn raw_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_away_with_their_rows_and_their_room_counts() {
        let mut batch = Batch::default();
        let (event, row_in_event, txn, before, after, table, op) = (0, 0, 0, NONE, NONE, 0, Op::Insert);
        batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table, op });
        let before_marks = batch.heap_bytes();
        batch.marks.reserve(1000);
        batch.marks.push(RowMark::new(8, op));
        assert!(batch.heap_bytes() >= before_marks + 8000, "what is under way is bounded with them");
        batch.clear();
        assert_eq!((batch.rows.len(), batch.marks.len()), (0, 0));
    }
}
