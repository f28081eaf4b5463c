//! XA: rows that are gathered until it is known whether they are prepared, and rows that flow once they are decided.
//!
//! Owns: what each step of an XA transaction does to the group. Does not own: keeping rows (`held`), when a batch is
//! taken (`yielding`).
//!
//! Invariant: no row of an XA group is in a batch before its commit was read. Rows that were prepared earlier have the
//! commit's place, time and id, and the layout of the table as it was when they were prepared; where that is no longer
//! known their table halts.

use super::*;
use crate::bytes::Cursor;
use crate::ddl::Xid;
use crate::held::{Entry, Held, Reader, RowsHead, Step, Why};
use crate::position::txn_text;
use crate::tablemap;

/// Rows on their way back from where they were kept.
pub(super) struct Replay {
    reader: Reader,
    /// What the commit's header says, for rows that were prepared before; `None` where they are the group's own.
    commit: Option<RowsHead>,
}

impl Assembler {
    /// Goes on with what is held.
    pub fn with_held(self, held: Held) -> Self {
        Self { held, ..self }
    }

    #[inline]
    pub(super) fn is_xa(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.xa)
    }

    /// A table map inside an XA transaction.
    #[cold]
    pub(super) fn gather_map(&mut self, body: &[u8]) -> Result<Fed, Fault> {
        if let (Some(id), Some((schema, table))) = (tablemap::table_id(body), tablemap::names(body)) {
            let definition = self.schemas.fingerprint(&TableName::new(schema, table));
            self.held.map(id, definition, body)?;
        }
        Ok(Fed::More)
    }

    /// Rows inside an XA transaction.
    #[cold]
    pub(super) fn gather_rows(&mut self, head: &EventHead, at: u64, body: &[u8]) -> Result<Fed, Fault> {
        let EventHead { kind, seconds, server, .. } = *head;
        self.held.rows(RowsHead { kind, seconds, server, at }, body)?;
        Ok(Fed::More)
    }

    /// Rows of a table that is not captured.
    pub(super) fn pass_over(&mut self, table: u64) -> Result<Fed, Fault> {
        if self.is_xa() {
            self.held.left_out(table)?;
        }
        Ok(Fed::More)
    }

    /// XA PREPARE, or by its flag XA COMMIT ONE PHASE.
    pub(super) fn xa_prepare(&mut self, body: &[u8], at: u64) -> Result<Fed, Fault> {
        if body.first().is_some_and(|flag| *flag != 0) {
            return self.end_group(Ending::Committed);
        }
        let xid = prepared_xid(body).ok_or_else(|| self.malformed("XA PREPARE", at))?;
        self.schemas.forget_prepared(&xid);
        let bytes = self.held.gathered_bytes();
        let older = match &mut self.group {
            Some(group) if bytes > 0 => {
                let undone = std::mem::take(&mut group.marks).into_undone();
                let place = match group.id {
                    TxnId::Anonymous => format!("{}:{}", self.file, group.begin),
                    id => txn_text(&NamedTxn { id, tag: group.tag.clone().unwrap_or_default() }),
                };
                self.held.course.note(&xid, Step::Prepared, &self.file, at);
                // What is small waits in memory for the batch to be taken.
                self.settled_bytes += bytes;
                self.held.prepare(xid, &place, undone)?
            }
            _ => {
                self.held.discard();
                let older = self.held.prepare_nothing(&xid);
                self.schemas.remember_prepared(xid);
                older
            }
        };
        if let Some(name) = older {
            self.schemas.doubt(FaultCode::XaRolledBackUnseen, name);
        }
        self.end_group(Ending::Prepared)
    }

    /// An XA transaction that ends without having been prepared; `Some` where its rows are to be read back first.
    #[cold]
    pub(super) fn end_xa(&mut self, ending: Ending) -> Result<Option<Fed>, Fault> {
        if ending != Ending::Committed || self.held.gathered_bytes() == 0 {
            self.held.discard();
            return Ok(None);
        }
        let Some(reader) = self.held.read_gathered()? else { return Ok(None) };
        if let Some(group) = &mut self.group {
            group.xa = false;
            group.fate = Some(Fate { ending, marks: std::mem::take(&mut group.marks) });
        }
        self.replay = Some(Replay { reader, commit: None });
        Ok(Some(Fed::Replay))
    }

    /// XA COMMIT of a transaction that was prepared before.
    #[cold]
    pub(super) fn xa_commit(&mut self, head: &EventHead, at: u64, xid: Xid) -> Result<Fed, Fault> {
        let has_rows = self.group.as_ref().is_some_and(|group| group.txn.is_some());
        if has_rows || self.held.gathered_bytes() > 0 {
            return self.end_group(Ending::Committed);
        }
        if let Some((reader, undone)) = self.held.read(&xid)? {
            self.held.course.note(&xid, Step::Committed, &self.file, at);
            let EventHead { kind, seconds, server, .. } = *head;
            self.replay = Some(Replay { reader, commit: Some(RowsHead { kind, seconds, server, at }) });
            let group = self.group_at(at);
            group.decides = Some(xid);
            group.fate = Some(Fate { ending: Ending::Committed, marks: Marks::of_undone(undone) });
            return Ok(Fed::Replay);
        }
        if self.held.passes_over {
            self.group_at(at).decides = Some(xid);
            return self.end_group(Ending::Committed);
        }
        let place = format!("{xid}, committed at {}:{at}", self.file);
        match self.held.listed(&xid) {
            Some(Why::BeforeStart) => {
                let text = "an XA transaction that was prepared before the pipeline began is committed";
                return Err(self.fault(FaultCode::XaRowsBeforeStart, text.to_owned()).about(place));
            }
            Some(Why::RolledBackUnseen) => {
                let text = "an XA transaction is committed that the server had forgotten";
                return Err(self.fault(FaultCode::XaRowsLost, text.to_owned()).about(place));
            }
            None if self.schemas.forget_prepared(&xid) => {}
            None => self.schemas.doubt(FaultCode::XaCommitUnknown, place),
        }
        self.end_group(Ending::Committed)
    }

    /// XA ROLLBACK of a transaction that was prepared before, or of one whose rows stand before it in the same group.
    #[cold]
    pub(super) fn xa_rollback(&mut self, at: u64, xid: Xid) -> Result<Fed, Fault> {
        self.schemas.forget_prepared(&xid);
        self.group_at(at).decides = Some(xid);
        self.end_group(Ending::RolledBack)
    }

    /// True while rows are to be read back before the next event.
    #[inline]
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Reads back as much as a batch has, into a block of its own.
    ///
    /// # Errors
    /// `XA_ROWS_LOST`.
    pub fn replay(&mut self) -> Result<Fed, Fault> {
        let Some(mut replay) = self.replay.take() else { return Ok(Fed::More) };
        let mut block = Vec::with_capacity(BATCH_BYTES as usize + 16 * 1024);
        let number = self.next_block();
        while block.len() < BATCH_BYTES as usize {
            let begin = block.len();
            let Some(entry) = replay.reader.next(&mut block)? else {
                self.seal(block.into());
                return self.end_group(Ending::Committed);
            };
            let is_used = match entry {
                Entry::Map { definition, from } => self.replay_map(definition, &block[from..]).map(|()| false)?,
                Entry::Left { table } => self.replay_left(table),
                Entry::Rows { head, from } => {
                    let place = Place { block: number, offset: from as u32 };
                    self.replay_rows(replay.commit, head, place, &block[from..])?
                }
            };
            if !is_used {
                block.truncate(begin);
            }
        }
        self.seal(block.into());
        self.replay = Some(replay);
        Ok(Fed::More)
    }

    fn replay_map(&mut self, definition: u64, body: &[u8]) -> Result<(), Fault> {
        let Some((schema, table)) = tablemap::names(body) else { return Err(self.malformed("TABLE_MAP", self.offset)) };
        let name = TableName::new(schema, table);
        if self.schemas.differs(&name, definition) {
            let text = "it was defined anew while an XA transaction with rows of it was prepared";
            let fault = self.fault(FaultCode::TableSchemaMismatch, text.to_owned()).about(name.to_string());
            self.schemas.halt(name, fault);
        }
        let mapped = self.tables.map(body, &mut self.schemas);
        mapped.ok_or_else(|| self.malformed("TABLE_MAP", self.offset))
    }

    /// Rows were left out, since their table was not captured then. False: there are no bytes.
    fn replay_left(&mut self, table: u64) -> bool {
        if let Some(Target::Captured(table)) = self.tables.target(table, &mut self.batch) {
            let name = self.batch.tables[table as usize].name.clone();
            let text = "an XA transaction with rows of it was prepared before the table was captured";
            let fault = self.fault(FaultCode::XaRowsBeforeStart, text.to_owned()).about(name.to_string());
            self.schemas.halt(name, fault);
        }
        false
    }

    /// True where the rows are part of the batch.
    fn replay_rows(
        &mut self,
        commit: Option<RowsHead>,
        head: RowsHead,
        place: Place,
        body: &[u8],
    ) -> Result<bool, Fault> {
        let Some(id) = tablemap::table_id(body) else { return Err(self.malformed("rows", head.at)) };
        let table = match self.tables.target(id, &mut self.batch) {
            Some(Target::Captured(table)) if !self.schemas.is_halted(&self.batch.tables[table as usize].name) => table,
            Some(_) => return Ok(false),
            None => return Err(self.malformed("rows without a table map", head.at)),
        };
        let fate = self.group.as_ref().and_then(|group| group.fate.as_ref());
        if fate.is_some_and(|fate| fate.marks.is_undone(head.at)) {
            return Ok(false);
        }
        let shown = RowsHead { kind: head.kind, ..commit.unwrap_or(head) };
        self.push_rows(shown, place, body.len() as u32, table);
        Ok(true)
    }

    /// What is held is on disk, so that a position may pass it.
    ///
    /// # Errors
    /// Those of the disk.
    #[inline]
    pub fn persist(&mut self) -> Result<(), Fault> {
        self.held.persist()
    }

    /// What the head's looks at the server's own list led to.
    ///
    /// # Errors
    /// Those of the disk.
    #[inline]
    pub fn mind_looks(&mut self) -> Result<(), Fault> {
        if self.group.is_some() || !self.held.is_anything() {
            return Ok(());
        }
        let position = self.position();
        if let Some(names) = self.held.presume(&position)? {
            names.into_iter().for_each(|name| self.schemas.doubt(FaultCode::XaRolledBackUnseen, name));
            self.moved = true;
        }
        if self.held.is_blind() {
            let object = "XA RECOVER: GRANT XA_RECOVER_ADMIN ON *.* lets the account see what is prepared";
            self.schemas.doubt(FaultCode::SourceGrantMissing, object.to_owned());
        }
        Ok(())
    }
}

/// The id in an XA_PREPARE event: a flag, the format, two lengths, the bytes.
fn prepared_xid(body: &[u8]) -> Option<Xid> {
    let mut cur = Cursor::new(body);
    cur.u8()?;
    let format = cur.u32()? as u64;
    let (gtrid, bqual) = (cur.u32()? as usize, cur.u32()? as usize);
    Some(Xid { format, gtrid: cur.take(gtrid)?.to_vec(), bqual: cur.take(bqual)?.to_vec() })
}
