//! Traces that applications named in their statements.
//!
//! Owns: which transaction a statement's contexts belong to. Does not own: finding them in its text (`comments`).
//!
//! Invariant: the contexts of a transaction are those of its statements that were not undone; each piece of a large one
//! has all that were named until it left. Of XA transactions none are known: what is held of them is their rows.

use super::*;

/// A transaction that names more traces than these names none that would tell anything.
const CONTEXTS_MAX: usize = 64;

impl Assembler {
    /// Looks through the comments of statements from here on, where the server sends them.
    pub fn read_contexts(&mut self) {
        self.reads_contexts = true;
    }

    /// The text of the statement whose rows follow.
    #[inline(never)]
    pub(super) fn row_statement(&mut self, kind: u8, body: &[u8], at: u64) {
        if !self.reads_contexts || self.is_xa() {
            return;
        }
        // MySQL writes a length of one byte before the text, and means nothing by it.
        let text = if kind == number::ROWS_QUERY { body.get(1..).unwrap_or_default() } else { body };
        let Some(group) = &mut self.group else { return };
        for context in crate::comments::contexts(text) {
            if group.contexts.len() < CONTEXTS_MAX && !group.contexts.iter().any(|(_, known)| *known == context) {
                group.contexts.push((at, context));
            }
        }
    }
}

/// Tells the batch of a group's contexts, where it holds rows of the group.
#[inline]
pub(super) fn tell(group: &Group, batch: &mut Batch) {
    if let (false, Some(txn)) = (group.contexts.is_empty(), group.txn) {
        let is_undone = |at| group.marks.is_undone(at) || group.fate.as_ref().is_some_and(|f| f.marks.is_undone(at));
        let kept = group.contexts.iter().filter(|(at, _)| !is_undone(*at));
        batch.contexts.extend(kept.map(|(_, context)| (txn, *context)));
    }
}
