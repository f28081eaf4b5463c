//! From events in log order to batches of whole transactions.
//!
//! Owns: the batch being built, the group in progress, the position reached. Does not own: reading bytes
//! (`transport`), what statements do to schemas (`schemas`), decoding rows (`rows`).
//!
//! Invariant: `end` of a batch covers exactly its own and earlier events; no event of a group is in a yielded batch
//! before the group's fate is known; a group that was rolled back leaves no trace but its position.

mod contexts;
mod rarer;
mod statements;
#[cfg(test)]
mod tests;
mod xa;
mod yielding;

use std::any::Any;
use std::sync::Arc;

use limpid_model::{
    Batch, CommitTime, Component, DdlKind, Definition, EventHeader, Fault, FaultCode, Op, Position, TableName,
    TxnHeader, TxnId,
};

use crate::events::{self, EventHead, GroupStart, Statement, number};
use crate::group::{Ending, Fate, Group, Marks};
use crate::gtid::GtidSet;
use crate::heartbeat::Listener;
use crate::held::{Held, RowsHead};
use crate::lookahead::mark_fault;
use crate::position::{Flavor, LogPosition, NamedTxn};
use crate::rows::{TRUNCATE_KIND, kind};
use crate::schemas::Schemas;
use crate::tables::{TableCache, Target};

/// A batch is closed at the next commit once it refers to this many bytes of log: large enough that a batch's costs
/// vanish beside its rows', small enough that 64 batches in flight stay within 32 MiB.
pub const BATCH_BYTES: u64 = 256 * 1024;

/// A group is held whole in memory up to this size; beyond, its fate is looked up by a second pass (MariaDB). Two
/// such groups (one held, one in flight) leave room in the 100 MB budget.
pub const GROUP_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// After so many bytes of log without a full batch the position is passed on all the same: what is not captured must
/// not hold a checkpoint back.
const SILENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The block of an event that has no bytes.
const NO_BLOCK: u16 = u16::MAX;

/// The place of a payload before the first one.
const NO_PAYLOAD: u64 = u64::MAX;

/// What feeding one event led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// Nothing to do.
    More,
    /// A group ended; the batch may be taken here.
    Boundary,
    /// The group in hand is too large to hold: its fate must be looked up before the next event is fed.
    LookAhead,
    /// A new log file begins.
    Rotated,
    /// A transaction payload: its events are to be fed next.
    Payload,
    /// Rows that were kept are to be read back before the next event.
    Replay,
}

/// What [`Assembler::finish`] left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A piece of an ended group is to be taken.
    Piece,
    /// The group is settled.
    Settled(Fed),
}

/// Where one event's body is: in block `block` of the batch being built.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub block: u16,
    pub offset: u32,
}

/// Builds batches from events.
pub struct Assembler {
    pub(crate) flavor: Flavor,
    pub(crate) schemas: Schemas,
    tables: TableCache,
    batch: Batch,
    /// How many of the batch's events and transactions belong to ended groups.
    settled_events: usize,
    settled_txns: usize,
    group: Option<Group>,
    file: Arc<str>,
    /// Where the last event ended.
    offset: u64,
    gtids: Option<Arc<GtidSet>>,
    /// True when the position moved since the last batch was taken.
    moved: bool,
    settled_bytes: u64,
    /// Where the last settled group ended.
    settled_offset: u64,
    /// Where the last transaction payload of this file begins: what its events have for a place.
    payload: u64,
    /// Where the event ended that says the rest of this file is encrypted on the server's disk.
    encryption_ends: u64,
    /// Where the server is, as its last heartbeat says.
    heard: Option<(Arc<str>, u64)>,
    /// XA transactions that are undecided.
    pub(crate) held: Held,
    replay: Option<xa::Replay>,
    /// Whether comments of statements are looked through.
    reads_contexts: bool,
    /// Tells heartbeats of ours.
    listener: Option<Listener>,
}

impl Assembler {
    /// Begins at `position`; its file may be empty until the first ROTATE event names it.
    pub fn new(flavor: Flavor, schemas: Schemas, position: &LogPosition) -> Self {
        Self {
            flavor,
            schemas,
            tables: TableCache::default(),
            batch: Batch::default(),
            settled_events: 0,
            settled_txns: 0,
            group: None,
            file: Arc::clone(&position.file),
            offset: position.offset,
            gtids: position.gtids.clone(),
            moved: false,
            settled_bytes: 0,
            settled_offset: position.offset,
            payload: NO_PAYLOAD,
            encryption_ends: u64::MAX,
            heard: None,
            held: Held::default(),
            replay: None,
            reads_contexts: false,
            listener: None,
        }
    }

    /// Takes one event whose checksum was verified and cut off.
    ///
    /// # Errors
    /// What the log must not hold, or what we cannot read.
    #[inline]
    pub fn feed(&mut self, head: &EventHead, place: Place, body: &[u8]) -> Result<Fed, Fault> {
        let at = self.advance(head);
        self.event(head, place, body, at)
    }

    /// Takes one event out of the transaction payload that was fed last: it has no place of its own in the log.
    ///
    /// # Errors
    /// As [`Assembler::feed`].
    pub fn feed_inner(&mut self, head: &EventHead, place: Place, body: &[u8]) -> Result<Fed, Fault> {
        self.event(head, place, body, self.payload)
    }

    #[inline]
    fn event(&mut self, head: &EventHead, place: Place, body: &[u8], at: u64) -> Result<Fed, Fault> {
        match head.kind {
            number::TABLE_MAP => self.table_map(body, at),
            rows if kind::holds_rows(rows) || kind::plain(rows).is_some() => self.rows(head, place, body, at),
            number::XID => self.end_group(Ending::Committed),
            number::MARIA_GTID => {
                let start = GroupStart::parse_mariadb(body, head.server).ok_or_else(|| self.malformed("GTID", at))?;
                self.begin_group(start, at)
            }
            number::GTID | number::ANONYMOUS_GTID => {
                let start = GroupStart::parse_mysql(body, head.kind == number::ANONYMOUS_GTID)
                    .ok_or_else(|| self.malformed("GTID", at))?;
                self.begin_group(start, at)
            }
            number::QUERY => {
                let statement = Statement::parse(body).ok_or_else(|| self.malformed("QUERY", at))?;
                self.statement(head, at, statement)
            }
            _ => self.rarer(head, body, at),
        }
    }

    /// Moves the position over an event and returns where it begins. Headers keep only 32 bits of an offset, and
    /// made-up events none.
    #[inline]
    fn advance(&mut self, head: &EventHead) -> u64 {
        let made_up = head.next == 0 || head.flags & events::ARTIFICIAL_FLAG != 0;
        if made_up || matches!(head.kind, number::HEARTBEAT | number::HEARTBEAT_V2) {
            return self.offset;
        }
        let mut end = (self.offset & !0xffff_ffff) | head.next as u64;
        if end < self.offset {
            // Either the 32 bits wrapped, or the server repeats the file's first events before our start.
            if self.offset - end < 1 << 31 {
                return self.offset;
            }
            end += 1 << 32;
        }
        self.batch.control.log_bytes += head.size as u64;
        self.offset = end;
        end.saturating_sub(head.size as u64)
    }

    fn begin_group(&mut self, start: GroupStart, at: u64) -> Result<Fed, Fault> {
        if self.group.as_ref().is_some_and(|open| open.begun) {
            return Err(self.malformed("GTID inside a transaction", at));
        }
        self.group = Some(Group {
            id: start.id,
            tag: start.tag,
            begin: at,
            commit_micros: start.commit_micros,
            alter: start.alter,
            txn: None,
            marks: Marks::default(),
            fate: None,
            bytes: 0,
            left: false,
            begun: self.flavor == Flavor::MariaDb && !start.standalone,
            ended: false,
            xa: start.prepared_xa,
            decides: None,
            thread: 0,
            contexts: Vec::new(),
        });
        Ok(Fed::More)
    }

    /// The group in hand; logs without GTIDs have groups that begin with BEGIN or with a row.
    fn group_at(&mut self, at: u64) -> &mut Group {
        self.group.get_or_insert_with(|| Group {
            id: TxnId::Anonymous,
            tag: None,
            begin: at,
            commit_micros: 0,
            alter: None,
            txn: None,
            marks: Marks::default(),
            fate: None,
            bytes: 0,
            left: false,
            begun: false,
            ended: false,
            xa: false,
            decides: None,
            thread: 0,
            contexts: Vec::new(),
        })
    }

    #[inline]
    fn table_map(&mut self, body: &[u8], at: u64) -> Result<Fed, Fault> {
        if let Some(listener) = &mut self.listener {
            listener.map(body);
        }
        match self.tables.map(body, &mut self.schemas) {
            Some(()) if self.is_xa() => self.gather_map(body),
            Some(()) => Ok(Fed::More),
            None => Err(self.malformed("TABLE_MAP", at)),
        }
    }

    #[inline]
    fn rows(&mut self, head: &EventHead, place: Place, body: &[u8], at: u64) -> Result<Fed, Fault> {
        let Some(id) = crate::tablemap::table_id(body) else { return Err(self.malformed("rows", at)) };
        if let Some(listener) = &mut self.listener {
            listener.rows(id, head.kind, body);
        }
        let table = match self.tables.target(id, &mut self.batch) {
            Some(Target::Captured(table)) => table,
            Some(Target::Skipped) => return self.pass_over(id),
            // MySQL writes an empty rows event with this id to end a statement.
            None if id == 0x00ff_ffff || id == 0xffff_ffff_ffff => return Ok(Fed::More),
            None => return Err(self.malformed("rows without a table map", at)),
        };
        if self.is_xa() {
            return self.gather_rows(head, at, body);
        }
        let fate = self.group.as_ref().and_then(|group| group.fate.as_ref());
        if fate.is_some_and(|fate| fate.ending != Ending::Committed || fate.marks.is_undone(at)) {
            return Ok(Fed::More);
        }
        let EventHead { kind, seconds, server, .. } = *head;
        self.push_rows(RowsHead { kind, seconds, server, at }, place, body.len() as u32, table);
        if self.group.as_ref().is_some_and(|group| group.bytes > GROUP_BYTES_MAX && group.fate.is_none()) {
            return Ok(self.too_large());
        }
        Ok(Fed::More)
    }

    /// Puts an event with rows into the group in hand.
    #[inline]
    fn push_rows(&mut self, head: RowsHead, place: Place, len: u32, table: u16) {
        let RowsHead { kind, seconds, server, at } = head;
        let txn = self.txn_index(seconds, at);
        self.batch.events.push(EventHeader {
            at,
            seconds,
            server,
            offset: place.offset,
            len,
            txn,
            rows: 0,
            block: place.block,
            table,
            log: (self.batch.logs.len() - 1) as u16,
            kind,
            flags: 0,
        });
        self.group.as_mut().expect("txn_index made sure of a group").bytes += len as u64;
    }

    /// A group beyond the bound: MySQL logs no row of a group that is rolled back, so there its fate is known;
    /// MariaDB's must be looked up.
    #[cold]
    fn too_large(&mut self) -> Fed {
        match (self.flavor, &mut self.group) {
            (Flavor::MySql, Some(group)) if !group.xa => {
                group.fate = Some(Fate { ending: Ending::Committed, marks: Marks::default() });
                Fed::More
            }
            _ => Fed::LookAhead,
        }
    }

    /// Index of the group's transaction header in the batch being built.
    #[inline]
    fn txn_index(&mut self, seconds: u32, at: u64) -> u32 {
        if self.batch.logs.last().is_none_or(|log| !Arc::ptr_eq(log, &self.file)) {
            self.batch.logs.push(Arc::clone(&self.file));
        }
        let group = self.group_at(at);
        if let Some(txn) = group.txn {
            return txn;
        }
        let commit = commit_time(group.commit_micros, seconds);
        let (tag, thread) = (group.tag.clone(), group.thread);
        let id = with_tag(group.id, tag, &mut self.batch.tags);
        let header = TxnHeader { id, commit, thread, rows_before: 0, ends: false };
        let txn = self.batch.txns.len() as u32;
        self.batch.txns.push(header);
        self.group.as_mut().expect("group_at made it").txn = Some(txn);
        txn
    }

    /// Ends the group in hand.
    fn end_group(&mut self, ending: Ending) -> Result<Fed, Fault> {
        if self.is_xa()
            && let Some(fed) = self.end_xa(ending)?
        {
            return Ok(fed);
        }
        let Some(mut group) = self.group.take() else { return Ok(Fed::More) };
        match ending {
            Ending::Committed => {
                if !group.marks.nothing_undone() {
                    self.batch.events_retain(self.settled_events, |event| !group.marks.is_undone(event.at));
                    group.bytes = self.held_bytes();
                }
                if let Some(txn) = group.txn
                    && group.bytes <= 2 * BATCH_BYTES
                {
                    self.batch.txns[txn as usize].ends = true;
                }
            }
            Ending::RolledBack if group.left => {
                return Err(self.fault(
                    FaultCode::TransactionRolledBack,
                    format!("a transaction at {}:{} was rolled back after rows of it had left", self.file, group.begin),
                ));
            }
            Ending::RolledBack => {
                group.contexts.clear();
                self.batch.events.truncate(self.settled_events);
                self.batch.txns.truncate(self.settled_txns);
            }
            // Its rows are held.
            Ending::Prepared => {}
        }
        if ending == Ending::Committed && group.bytes > 2 * BATCH_BYTES {
            // It leaves in pieces of the usual size, so that no batch is much larger than others.
            group.fate = Some(Fate { ending, marks: Marks::default() });
            group.ended = true;
            self.group = Some(group);
            return Ok(Fed::More);
        }
        Ok(self.settle(&group))
    }

    /// What remains to be done with a group that has ended: a piece to take, or the settling of its last one.
    #[inline]
    pub fn finish(&mut self) -> Option<Finish> {
        let group = self.group.as_ref().filter(|group| group.ended)?;
        if group.bytes > 2 * BATCH_BYTES {
            return Some(Finish::Piece);
        }
        let group = self.group.take()?;
        if let Some(txn) = group.txn {
            self.batch.txns[txn as usize].ends = true;
        }
        Some(Finish::Settled(self.settle(&group)))
    }

    /// True while an ended group has pieces left, or rows are being read back.
    pub fn is_working(&self) -> bool {
        self.is_replaying() || self.group.as_ref().is_some_and(|group| group.ended)
    }

    /// The position now includes the group.
    fn settle(&mut self, group: &Group) -> Fed {
        if let Some(gtids) = &mut self.gtids
            && group.id != TxnId::Anonymous
        {
            Arc::make_mut(gtids).add(group.id, group.tag.as_deref().unwrap_or_default());
        }
        if let Some(xid) = &group.decides {
            self.held.decide(xid);
        }
        contexts::tell(group, &mut self.batch);
        self.batch.control.commits += 1;
        self.settled_events = self.batch.events.len();
        self.settled_txns = self.batch.txns.len();
        self.settled_bytes += group.bytes;
        self.settled_offset = self.offset;
        self.moved = true;
        if self.schemas.is_waiting() {
            let position = self.position();
            self.schemas.reached(&position);
        }
        Fed::Boundary
    }

    fn truncate_event(&mut self, head: &EventHead, at: u64, name: &TableName) {
        let Some((schema, layout)) = self.schemas.empty_layout(name) else { return };
        let layout: Arc<dyn Any + Send + Sync> = layout;
        let table = self.tables.adopt(&schema, &layout, &mut self.batch);
        let txn = self.txn_index(head.seconds, at);
        self.batch.events.push(EventHeader {
            at,
            seconds: head.seconds,
            server: head.server,
            offset: 0,
            len: 0,
            txn,
            rows: 1,
            block: NO_BLOCK,
            table,
            log: (self.batch.logs.len() - 1) as u16,
            kind: TRUNCATE_KIND,
            flags: Op::Truncate as u8,
        });
    }

    fn malformed(&self, what: &str, at: u64) -> Fault {
        self.fault(FaultCode::LogMalformed, format!("a {what} event at {}:{at} cannot be read", self.file))
    }

    fn fault(&self, code: FaultCode, text: String) -> Fault {
        Fault::new(code, Component::Input, text)
    }
}

/// The commit as its group's own event has it, or else the second in which its statement began, or anything the session
/// set.
fn commit_time(micros: u64, seconds: u32) -> CommitTime {
    match micros {
        0 => CommitTime { micros: seconds as i64 * 1_000_000, uncertainty_micros: 1_000_000 },
        micros => CommitTime { micros: micros as i64, uncertainty_micros: 0 },
    }
}

/// The id with the place of its tag among the batch's.
#[inline]
fn with_tag(id: TxnId, tag: Option<Arc<str>>, tags: &mut Vec<Arc<str>>) -> TxnId {
    let (TxnId::Uuid { sid, gno, .. }, Some(tag)) = (id, tag) else { return id };
    let place = tags.iter().position(|known| *known == tag).unwrap_or_else(|| {
        tags.push(tag);
        tags.len() - 1
    });
    // A batch ends at 4096 transactions, so there are no more tags.
    TxnId::Uuid { sid, gno, tag: place as u16 + 1 }
}
