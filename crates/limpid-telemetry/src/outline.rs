//! A batch as it is told of: what is left of it once its rows are with the sink.
//!
//! Owns: what is noted of a batch, which of its rows stand together. Does not own: what is made of it.
//!
//! Invariant: nobody needs the batch itself for what is told later: of its rows there are the runs and the marks, no value. It is made
//! once, when the batch is handed to the sink; each part of a batch that is read later costs as much as all of this, since nothing of
//! it is in a cache then.

use std::sync::Arc;

use limpid_model::{
    Batch, ChunkPart, Definition, Filtered, Op, RowMark, StageTimes, TableName, TableSchema, TraceContext, TxnHeader,
    fit_marks,
};
use smallvec::SmallVec;

/// Rows of one transaction and one table version that stand one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Indices in the batch.
    pub txn: u32,
    pub table: u16,
    pub rows: u32,
    /// Those of them that no rule rejected.
    pub passed: u32,
}

/// As the batch's fields of these names. What a batch in bulk has is in one piece of memory.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub seq: u64,
    pub times: StageTimes,
    /// All rows in their order. In bulk a batch has one or two.
    pub runs: SmallVec<[Run; 2]>,
    /// One a row. They are what a frame of the ring keeps.
    pub marks: Arc<Vec<RowMark>>,
    pub txns: SmallVec<[TxnHeader; 1]>,
    pub tables: SmallVec<[Arc<TableSchema>; 1]>,
    pub counts: SmallVec<[[u32; Op::COUNT]; 1]>,
    rare: Option<Box<Rare>>,
}

/// What most batches have nothing of.
#[derive(Debug, Default)]
struct Rare {
    tags: Vec<Arc<str>>,
    filtered: Vec<Filtered>,
    rejected: Vec<[u32; Op::COUNT]>,
    contexts: Vec<(u32, TraceContext)>,
    ddl: Vec<Definition>,
    chunk: Option<ChunkPart>,
}

impl Outline {
    #[cfg(test)]
    pub(crate) fn of(batch: &Batch) -> Self {
        let mut outline = Self::default();
        outline.note(batch);
        outline
    }

    /// Takes what there is to tell of a batch, and its marks with their room.
    pub(crate) fn take(&mut self, batch: &mut Batch) {
        self.note_but_marks(batch);
        fit_marks(&mut batch.marks);
        self.marks = Arc::new(std::mem::take(&mut batch.marks));
        self.mark_all(batch);
    }

    /// The same of a batch that nobody handed in.
    pub(crate) fn note(&mut self, batch: &Batch) {
        self.note_but_marks(batch);
        self.marks = Arc::new(batch.marks.clone());
        self.mark_all(batch);
    }

    /// Says what there is to say of this batch, and nothing of the one before, whose room it keeps.
    fn note_but_marks(&mut self, batch: &Batch) {
        (self.seq, self.times) = (batch.seq, batch.times);
        self.txns.clear();
        self.txns.extend_from_slice(&batch.txns);
        // A table's count of holders is on a line that all who make batches write to.
        let is_same = |(a, b): (&Arc<TableSchema>, &Arc<TableSchema>)| Arc::ptr_eq(a, b);
        if self.tables.len() != batch.tables.len() || !self.tables.iter().zip(&batch.tables).all(is_same) {
            self.tables = batch.tables.iter().cloned().collect();
        }
        self.counts.clear();
        self.counts.extend_from_slice(&batch.counts);
        if Rare::is_in(batch) {
            self.rare.get_or_insert_default().note(batch);
        } else {
            self.rare = None;
        }
        self.note_runs(batch);
    }

    /// Rows of a decoder that makes no marks are found by their transactions alone.
    fn mark_all(&mut self, batch: &Batch) {
        if self.marks.len() != batch.rows.len() {
            self.marks = Arc::new(batch.rows.iter().map(|row| RowMark::new(0, row.op)).collect());
        }
    }

    /// By the batch's events, unless those do not tell of every row.
    fn note_runs(&mut self, batch: &Batch) {
        let runs = &mut self.runs;
        let of_events = batch.events.iter().filter(|event| event.rows > 0);
        join(runs, of_events.map(|event| (event.txn, event.table, event.rows)));
        if runs.iter().map(|run| run.rows as usize).sum::<usize>() != batch.rows.len() {
            join(runs, batch.rows.iter().map(|row| (row.txn, row.table, 1)));
        }
        if !batch.filtered.is_empty() {
            let (mut end, mut filtered) = (0, &batch.filtered[..]);
            for run in runs {
                end += run.rows;
                let here = filtered.partition_point(|filtered| filtered.row < end);
                run.passed -= here as u32;
                filtered = &filtered[here..];
            }
        }
    }

    /// The rows of a table version by operation that were not rejected.
    pub(crate) fn passed(&self, table: usize) -> [u32; Op::COUNT] {
        let mut counts = self.counts[table];
        if let Some(rejected) = self.rare.as_ref().and_then(|rare| rare.rejected.get(table)) {
            counts.iter_mut().zip(rejected).for_each(|(count, rejected)| *count -= rejected);
        }
        counts
    }

    pub(crate) fn tags(&self) -> &[Arc<str>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.tags)
    }

    pub(crate) fn filtered(&self) -> &[Filtered] {
        self.rare.as_ref().map_or(&[], |rare| &rare.filtered)
    }

    pub(crate) fn contexts(&self) -> &[(u32, TraceContext)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.contexts)
    }

    pub(crate) fn ddl(&self) -> &[Definition] {
        self.rare.as_ref().map_or(&[], |rare| &rare.ddl)
    }

    pub(crate) fn chunk(&self) -> Option<&ChunkPart> {
        self.rare.as_ref()?.chunk.as_ref()
    }

    /// Its rows were read from a table, not from the log.
    pub(crate) fn is_copy(&self) -> bool {
        self.counts.iter().any(|counts| counts[Op::Read as usize] > 0)
    }

    /// Of each row, in their order, its transaction and table.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, u16)> {
        self.runs.iter().flat_map(|run| std::iter::repeat_n((run.txn, run.table), run.rows as usize))
    }

    /// The table of the first row.
    pub(crate) fn first_table(&self) -> Option<&TableName> {
        Some(&self.tables.get(usize::from(self.runs.first()?.table))?.name)
    }
}

impl Rare {
    fn is_in(batch: &Batch) -> bool {
        let is_plain = batch.tags.is_empty() && batch.filtered.is_empty() && batch.contexts.is_empty();
        !is_plain || !batch.control.ddl.is_empty() || batch.chunk.is_some()
    }

    fn note(&mut self, batch: &Batch) {
        self.tags.clone_from(&batch.tags);
        self.filtered.clone_from(&batch.filtered);
        self.rejected.clone_from(&batch.rejected);
        self.contexts.clone_from(&batch.contexts);
        self.ddl.clone_from(&batch.control.ddl);
        self.chunk = batch.chunk;
    }
}

fn join(runs: &mut SmallVec<[Run; 2]>, rows: impl Iterator<Item = (u32, u16, u32)>) {
    runs.clear();
    for (txn, table, rows) in rows {
        match runs.last_mut() {
            Some(last) if (last.txn, last.table) == (txn, table) => {
                (last.rows, last.passed) = (last.rows + rows, last.passed + rows)
            }
            _ => runs.push(Run { txn, table, rows, passed: rows }),
        }
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::RowHeader;

    use super::*;
    use crate::meter::tests::event_of;

    fn batch(events: &[(u32, u16, u32)], rows: &[(u32, u16)]) -> Batch {
        let row =
            |(txn, table)| RowHeader { event: 0, row_in_event: 0, txn, before: 0, after: 0, table, op: Op::Insert };
        Batch {
            events: events.iter().map(|(txn, table, rows)| event_of(*txn, *table, *rows)).collect(),
            rows: rows.iter().copied().map(row).collect(),
            ..Batch::default()
        }
    }

    fn told(batch: &Batch) -> Vec<(u32, u16, u32, u32)> {
        Outline::of(batch).runs.iter().map(|run| (run.txn, run.table, run.rows, run.passed)).collect()
    }

    #[test]
    fn rows_of_one_transaction_and_table_stand_together() {
        let rows = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
        let all = vec![(0, 0, 3, 3), (0, 1, 1, 1), (1, 1, 1, 1), (1, 0, 1, 1)];
        let by_events = batch(&[(0, 0, 2), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 1), (1, 0, 1)], &rows);
        assert_eq!(told(&by_events), all);
        assert_eq!(told(&batch(&[(0, 0, 2)], &rows)), all, "by the rows, where events do not tell of all");
        assert_eq!(Outline::of(&by_events).rows().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn rejected_rows_are_in_their_run_and_do_not_pass() {
        let mut batch = batch(&[(0, 0, 2), (1, 0, 3)], &[(0, 0), (0, 0), (1, 0), (1, 0), (1, 0)]);
        batch.filtered = [1, 2, 4].map(|row| Filtered { row, rule: 0 }).to_vec();
        assert_eq!(told(&batch), [(0, 0, 2, 1), (1, 0, 3, 1)]);
    }

    #[test]
    fn nothing_of_the_batch_before_is_left() {
        let mut first = batch(&[(0, 0, 2)], &[(0, 0), (0, 0)]);
        first.filtered = vec![Filtered { row: 1, rule: 0 }];
        first.contexts = vec![(0, TraceContext { trace_id: 7, span_id: 7, is_sampled: true })];
        first.control.ddl = vec![Definition::anonymous(limpid_model::DdlKind::Other, "s", "t")];
        (first.counts, first.rejected) = (vec![[2, 0, 0, 0, 0]], vec![[1, 0, 0, 0, 0]]);
        first.marks.extend([RowMark::new(8, Op::Insert); 2]);
        let mut second = batch(&[(0, 1, 1)], &[(0, 1)]);
        // Something rare too, whose memory is used again.
        second.tags = vec!["blue".into()];
        let mut again = Outline::of(&first);
        again.note(&second);
        assert_eq!(format!("{again:?}"), format!("{:?}", Outline::of(&second)));
    }

    #[test]
    fn marks_are_taken_without_a_copy() {
        let mut batch = batch(&[(0, 0, 2)], &[(0, 0), (0, 0)]);
        batch.marks.extend([8, 16].map(|hash| RowMark::new(hash, Op::Insert)));
        let marks = batch.marks.as_ptr();
        let mut outline = Outline::default();
        outline.take(&mut batch);
        assert_eq!((outline.marks.len(), outline.marks.as_ptr()), (2, marks));
        assert_eq!(batch.marks.capacity(), 0);
    }
}
