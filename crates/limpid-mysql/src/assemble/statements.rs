//! Statements in the log: transaction control, definitions, and changes that were logged as text.
//!
//! Owns: what each class of statement does to the group and the schemas. Does not own: reading SQL (`ddl`).
//!
//! Invariant: a statement that changes rows of a captured table is a fault of that table, never a silence.

use super::*;
use crate::ddl::{Class, Effect, Kind, SqlMode, classify};
use crate::events::AlterPhase;

impl Assembler {
    /// A QUERY event.
    #[inline]
    pub(super) fn statement(&mut self, head: &EventHead, at: u64, statement: Statement<'_>) -> Result<Fed, Fault> {
        match classify(statement.sql) {
            Class::Begin => {
                let group = self.group_at(at);
                group.begun = true;
                group.thread = statement.thread;
                Ok(Fed::More)
            }
            Class::Commit => self.end_group(Ending::Committed),
            Class::Rollback => self.end_group(Ending::RolledBack),
            Class::Savepoint(name) => {
                let marked = self.group_at(at).marks.savepoint(name.as_bytes(), at);
                marked.map(|()| Fed::More).map_err(|error| mark_fault(error, &self.file, at))
            }
            Class::RollbackTo(name) => self.rollback_to(&name, at),
            Class::ReleaseSavepoint(_) => Ok(Fed::More),
            Class::XaStart(_) => {
                let group = self.group_at(at);
                group.begun = true;
                group.xa = true;
                group.thread = statement.thread;
                Ok(Fed::More)
            }
            Class::XaEnd(_) => Ok(Fed::More),
            // The event of its own that follows ends the group.
            Class::XaPrepare(_) => Ok(Fed::More),
            Class::XaCommit { one_phase: false, xid } => self.xa_commit(head, at, xid),
            Class::XaCommit { one_phase: true, .. } => self.end_group(Ending::Committed),
            Class::XaRollback(xid) => self.xa_rollback(at, xid),
            Class::Other => self.other_statement(head, at, statement),
        }
    }

    /// A group whose fate was looked up knows its undone ranges already.
    fn rollback_to(&mut self, name: &str, at: u64) -> Result<Fed, Fault> {
        // Events of a payload share its place, so a range of them cannot be told. Servers do not compress what has such
        // ranges: https://dev.mysql.com/doc/refman/8.4/en/binary-log-transaction-compression.html
        if at == self.payload {
            let text = format!("the transaction payload at {}:{at} holds a ROLLBACK TO", self.file);
            return Err(self.fault(FaultCode::LogPayloadCorrupt, text));
        }
        let group = self.group_at(at);
        if group.fate.is_some() {
            return Ok(Fed::More);
        }
        let marked = group.marks.rollback_to(name.as_bytes(), at);
        marked.map(|()| Fed::More).map_err(|error| mark_fault(error, &self.file, at))
    }

    /// Definitions and changes as text. Outside BEGIN a statement is a group of its own.
    fn other_statement(&mut self, head: &EventHead, at: u64, statement: Statement<'_>) -> Result<Fed, Fault> {
        let phase = self.group.as_ref().and_then(|group| group.alter);
        let alone = self.group.as_ref().is_none_or(|group| !group.begun);
        // MariaDB's two-phase ALTER stands in the log twice; it counts where it is committed.
        if !matches!(phase, Some(AlterPhase::Start | AlterPhase::Rollback)) {
            self.apply(head, at, &statement);
        }
        if alone { self.end_group(Ending::Committed) } else { Ok(Fed::More) }
    }

    fn apply(&mut self, head: &EventHead, at: u64, statement: &Statement<'_>) {
        let schema = String::from_utf8_lossy(statement.schema).into_owned();
        let mode = SqlMode(statement.sql_mode.unwrap_or(0));
        let scanned = self.schemas.scan(&statement.text(), &schema, mode);
        match scanned.kind {
            Kind::Dml => {
                for table in &scanned.written {
                    self.schemas.statement_change(table, &self.file, at);
                }
            }
            Kind::Ddl => {
                for effect in &scanned.effects {
                    self.count_ddl(effect, head.seconds);
                    if let Effect::TruncateTable { table } = effect {
                        self.truncate_event(head, at, table);
                    }
                }
            }
            Kind::Transaction(_) | Kind::Other | Kind::Unknown => {}
        }
        self.schemas.apply(&scanned);
    }

    fn count_ddl(&mut self, effect: &Effect, seconds: u32) {
        let (kind, name) = match effect {
            Effect::CreateTable { table, .. } | Effect::CreateTableLike { table, .. } => (DdlKind::CreateTable, table),
            Effect::AlterTable { table, .. } => (DdlKind::AlterTable, table),
            Effect::DropTable { table, .. } => (DdlKind::DropTable, table),
            Effect::RenameTable { from, .. } => (DdlKind::RenameTable, from),
            Effect::TruncateTable { table } => (DdlKind::TruncateTable, table),
            Effect::CreateDatabase { name, .. } => return self.note_ddl(DdlKind::CreateDatabase, (name, ""), seconds),
            Effect::AlterDatabase { name, .. } => return self.note_ddl(DdlKind::Other, (name, ""), seconds),
            Effect::DropDatabase { name } => return self.note_ddl(DdlKind::DropDatabase, (name, ""), seconds),
            Effect::CreateSequence { table, .. } | Effect::RowsChanged { table, .. } => (DdlKind::Other, table),
            Effect::TemporaryTable { .. } => return,
        };
        let (schema, table) = (name.schema.to_string(), name.table.to_string());
        self.note_ddl(kind, (&schema, &table), seconds);
    }

    fn note_ddl(&mut self, kind: DdlKind, (schema, table): (&str, &str), seconds: u32) {
        let (id, tag, micros) = match &self.group {
            Some(group) => (group.id, group.tag.clone(), group.commit_micros),
            None => (TxnId::Anonymous, None, 0),
        };
        let (txn, commit) = (with_tag(id, tag, &mut self.batch.tags), commit_time(micros, seconds));
        self.batch.control.ddl.push(Definition { kind, schema: schema.into(), table: table.into(), txn, commit });
    }

    /// `LOAD DATA` in statement format: the text stands behind the file's number and the place of its name.
    pub(super) fn load_statement(&mut self, head: &EventHead, body: &[u8], at: u64) -> Result<Fed, Fault> {
        // Thread 4, time 4, schema length 1, error 2, status length 2, then file id 4, two offsets 4 each, duplicates 1.
        const POST_HEADER: usize = 13;
        const LOAD_HEADER: usize = 13;
        let parsed = body.split_at_checked(POST_HEADER).and_then(|(head, rest)| {
            let mut plain = head.to_vec();
            plain.extend_from_slice(rest.get(LOAD_HEADER..)?);
            Some(plain)
        });
        let plain = parsed.ok_or_else(|| self.malformed("LOAD DATA", at))?;
        let statement = Statement::parse(&plain).ok_or_else(|| self.malformed("LOAD DATA", at))?;
        self.other_statement(head, at, statement)
    }
}
