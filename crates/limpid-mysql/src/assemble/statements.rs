//! Statements in the log: transaction control, definitions, and changes that were logged as text.
//!
//! Owns: what each class of statement does to the group and the schemas. Does not own: reading SQL (`ddl`).
//!
//! Invariant: a statement that changes rows of a captured table is a fault of that table, never a silence.

use super::*;

impl Assembler {
    /// A QUERY event.
    pub(super) fn statement(&mut self, head: &EventHead, at: u64, statement: Statement<'_>) -> Result<Fed, Fault> {
        match statement.sql {
            b"BEGIN" => {
                let thread = statement.thread;
                let group = self.group_at(at);
                group.begun = true;
                group.thread = thread;
                Ok(Fed::More)
            }
            b"COMMIT" => self.end_group(head, Ending::Committed),
            b"ROLLBACK" => self.end_group(head, Ending::RolledBack),
            _ => self.end_group(head, Ending::Committed),
        }
    }

    pub(super) fn load_statement(&mut self, _head: &EventHead, _body: &[u8], _at: u64) -> Result<Fed, Fault> {
        Ok(Fed::More)
    }
}
