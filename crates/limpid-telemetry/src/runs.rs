//! The rows of a batch by transaction and table.
//!
//! Owns: which of them stand together. Does not own: what is made of it.
//!
//! Invariant: runs are in the order of the rows, and have all of them. They are made when a batch is handed to the sink, while it is
//! in somebody's cache: once it is delivered nothing of it is, and each of its parts would cost as much as all of its runs.

use limpid_model::Batch;
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

/// In bulk a batch has one or two.
pub(crate) type Runs = SmallVec<[Run; 4]>;

/// By the batch's events, unless those do not tell of every row.
pub(crate) fn runs_of(batch: &Batch) -> Runs {
    let of_events = batch.events.iter().filter(|event| event.rows > 0);
    let mut runs = joined(of_events.map(|event| (event.txn, event.table, event.rows)));
    if runs.iter().map(|run| run.rows as usize).sum::<usize>() != batch.rows.len() {
        runs = joined(batch.rows.iter().map(|row| (row.txn, row.table, 1)));
    }
    if !batch.filtered.is_empty() {
        let (mut end, mut filtered) = (0, &batch.filtered[..]);
        for run in &mut runs {
            end += run.rows;
            let here = filtered.partition_point(|filtered| filtered.row < end);
            run.passed -= here as u32;
            filtered = &filtered[here..];
        }
    }
    runs
}

fn joined(rows: impl Iterator<Item = (u32, u16, u32)>) -> Runs {
    let mut runs = Runs::new();
    for (txn, table, rows) in rows {
        match runs.last_mut() {
            Some(last) if (last.txn, last.table) == (txn, table) => {
                (last.rows, last.passed) = (last.rows + rows, last.passed + rows)
            }
            _ => runs.push(Run { txn, table, rows, passed: rows }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use limpid_model::{Filtered, Op, RowHeader};

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
        runs_of(batch).iter().map(|run| (run.txn, run.table, run.rows, run.passed)).collect()
    }

    #[test]
    fn rows_of_one_transaction_and_table_stand_together() {
        let rows = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)];
        let all = vec![(0, 0, 3, 3), (0, 1, 1, 1), (1, 1, 1, 1), (1, 0, 1, 1)];
        let by_events = batch(&[(0, 0, 2), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 1), (1, 0, 1)], &rows);
        assert_eq!(told(&by_events), all);
        assert_eq!(told(&batch(&[(0, 0, 2)], &rows)), all, "by the rows, where events do not tell of all");
    }

    #[test]
    fn rejected_rows_are_in_their_run_and_do_not_pass() {
        let mut batch = batch(&[(0, 0, 2), (1, 0, 3)], &[(0, 0), (0, 0), (1, 0), (1, 0), (1, 0)]);
        batch.filtered = [1, 2, 4].map(|row| Filtered { row, rule: 0 }).to_vec();
        assert_eq!(told(&batch), [(0, 0, 2, 1), (1, 0, 3, 1)]);
    }
}
