//! A transaction that is kept, as it is gathered: times and counts, no row and no value.
//!
//! Owns: its form, its size. Does not own: gathering it (`gather`), what is made of it (`spans`).
//!
//! Invariant: bounded: so many parts, tables, places and changes; what is beyond is counted.

use limpid_model::{CommitTime, DdlKind, FaultCode, Op, TableName, TraceContext, TxnId};
use smallvec::SmallVec;

use super::ids::TraceId;
use super::keep::Why;

/// Batches of a transaction that are told of one by one: the first ones and the last.
pub(super) const PARTS_MAX: usize = 14;
/// Tables of a part, and places of a table.
pub(super) const TABLES_MAX: usize = 16;
pub(super) const PLACES_MAX: usize = 16;
/// Changes of a transaction that have a trace of their own, where changes have.
pub(super) const CHANGES_MAX: usize = 256;
/// Contexts of a transaction that are linked to.
pub(super) const CONTEXTS_MAX: usize = 32;
/// Definitions of a transaction that are told of.
pub(super) const DEFINITIONS_MAX: usize = 16;
/// Attempts of a transaction that are told of.
pub(super) const TRIES_MAX: usize = 8;

/// One transaction, or one chunk of a table that was copied.
#[derive(Clone, Debug)]
pub struct KeptTrace {
    /// Ours; the trace it stands in may be an application's.
    pub id: TraceId,
    /// As its server prints it; of a chunk, its table and numbers.
    pub txn: String,
    pub txn_id: TxnId,
    pub why: Why,
    pub commit: CommitTime,
    /// The commit on our wall clock, nanoseconds since 1970.
    pub committed: i64,
    pub parts: Vec<Part>,
    /// Definitions that it changed.
    pub definitions: Vec<Defined>,
    /// Set for a chunk.
    pub copied: Option<Copied>,
    /// Batches and rows of the transaction that are not among the parts.
    pub more: (u64, u64),
    pub tries: Vec<Try>,
    /// What applications named in its statements: the one place where a parent or links come in.
    pub contexts: Vec<TraceContext>,
}

/// A definition that changed.
#[derive(Clone, Debug)]
pub struct Defined {
    pub kind: DdlKind,
    pub table: TableName,
    /// Nanoseconds since 1970: when it was read, and when everything up to it was delivered.
    pub read: i64,
    pub acked: i64,
}

/// A chunk that was read.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    pub rows: u64,
    /// As the source sent them.
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub began: i64,
    pub read: i64,
    pub system: &'static str,
}

/// What one batch had of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Rows of the transaction in earlier batches.
    pub rows_before: u64,
    pub rows: u64,
    /// Rejected by a rule.
    pub filtered: u64,
    pub times: Times,
    /// The batch had nothing else.
    pub is_alone: bool,
    pub tables: SmallVec<[PartTable; 1]>,
    /// How many rows are kept, by their fault; without one they wait behind another of their key. None of them where its
    /// table is halted for it.
    pub faults: Vec<(Option<FaultCode>, u64)>,
    /// The attempt of the pipeline that delivered it.
    pub(super) attempt: u32,
    /// Table and operation of each, where changes have traces of their own.
    pub changes: Vec<(u16, Op)>,
}

/// Nanoseconds since 1970 by our wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub read: i64,
    pub decoded: i64,
    pub transformed: i64,
    pub sent: i64,
    pub acked: i64,
}

/// The rows of one table in it.
#[derive(Clone, Debug)]
pub struct PartTable {
    /// In its batch.
    pub(super) index: u16,
    pub table: TableName,
    pub rows: u64,
    pub to: SmallVec<[To; 1]>,
}

/// Where the batch's records of the table went.
#[derive(Clone, Debug)]
pub struct To {
    pub place: Option<Box<str>>,
    pub partition: i32,
    pub offsets: (i64, i64),
    pub records: u32,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    pub sent: i64,
    pub failed: i64,
    pub code: FaultCode,
}

impl KeptTrace {
    /// Takes a part in; of many the first ones and the last stay.
    pub(super) fn add(&mut self, part: Part) {
        // A later attempt delivers again what an earlier one did, from some row on.
        if self.parts.last().is_some_and(|last| last.attempt < part.attempt) {
            self.parts.retain(|known| known.attempt == part.attempt || known.rows_before < part.rows_before);
        }
        if self.parts.len() == PARTS_MAX
            && let Some(last) = self.parts.pop()
        {
            self.more = (self.more.0 + 1, self.more.1 + last.rows);
        }
        self.parts.push(part);
    }

    /// It has no changes that could have traces of their own.
    pub(super) fn is_apart(&self) -> bool {
        self.copied.is_some() || self.parts.is_empty()
    }

    /// Rows in all of its parts.
    pub fn rows(&self) -> u64 {
        self.more.1 + self.parts.iter().map(|part| part.rows).sum::<u64>()
    }

    /// About what it takes in memory.
    pub fn bytes(&self) -> usize {
        let table = |table: &PartTable| {
            let names: usize = table.to.iter().filter_map(|to| to.place.as_deref()).map(str::len).sum();
            size_of::<PartTable>() + table.to.len() * size_of::<To>() + names
        };
        let part = |part: &Part| {
            let faults = part.faults.len() * size_of::<(Option<FaultCode>, u64)>();
            let changes = part.changes.len() * size_of::<(u16, Op)>();
            size_of::<Part>() + part.tables.iter().map(table).sum::<usize>() + faults + changes
        };
        let name = |one: &Defined| size_of::<Defined>() + one.table.schema.len() + one.table.table.len();
        let names = self.definitions.iter().map(name).sum::<usize>();
        let further = names + self.tries.len() * size_of::<Try>() + self.contexts.len() * size_of::<TraceContext>();
        size_of::<Self>() + self.txn.len() + further + self.parts.iter().map(part).sum::<usize>()
    }
}
