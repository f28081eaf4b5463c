//! Keys that the stream touches while a chunk of their table is on its way.
//!
//! Owns: the windows, one a chunk, and the keys in each. Does not own: when a chunk may pass (the stream), what is done
//! about one that is spoiled (`plan`).
//!
//! Invariant: a window is opened before its chunk is read, so that every change the chunk may or may not show passes the
//! delivery while the window is open. A row whose key is in the window is in the stream, at a later state or the same:
//! only then may the chunk leave it out.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use limpid_connector::EncodedBatch;
use limpid_model::{Op, Place, RowHeader, TableName, key_digest};

/// Keys of one window: 16 bytes each and a hash table around them, so some 8 MB at most. More changes than that within
/// one chunk mean that chunks are read too slowly for them; it is read again.
const KEYS_MAX: usize = 200_000;

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowId(u64);

#[derive(Debug)]
struct Window {
    id: WindowId,
    table: TableName,
    keys: HashSet<u128>,
    spoiled: Option<&'static str>,
}

/// The open windows. Locked once a batch while there are any.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    open: AtomicUsize,
    windows: Mutex<(u64, Vec<Window>)>,
}

impl Touched {
    /// Begins to watch a table.
    pub(crate) fn open(&self, table: &TableName) -> WindowId {
        let mut windows = self.windows.lock().expect("never held across a panic");
        windows.0 += 1;
        let id = WindowId(windows.0);
        windows.1.push(Window { id, table: table.clone(), keys: HashSet::new(), spoiled: None });
        self.open.store(windows.1.len(), Ordering::Release);
        id
    }

    pub(crate) fn close(&self, id: WindowId) {
        let mut windows = self.windows.lock().expect("never held across a panic");
        windows.1.retain(|window| window.id != id);
        self.open.store(windows.1.len(), Ordering::Release);
    }

    /// Notes the keys of a batch of the stream that is handed to the sink.
    #[inline]
    pub(crate) fn mark(&self, encoded: &EncodedBatch) {
        if self.open.load(Ordering::Acquire) > 0 {
            self.mark_rows(encoded);
        }
    }

    #[cold]
    fn mark_rows(&self, encoded: &EncodedBatch) {
        let batch = &encoded.batch;
        let mut windows = self.windows.lock().expect("never held across a panic");
        for window in &mut windows.1 {
            let here: Vec<bool> = batch.tables.iter().map(|table| table.name == window.table).collect();
            if !here.contains(&true) {
                continue;
            }
            // A truncate spoils the chunk whether anybody is told of it or not.
            if batch.rows.iter().any(|row| here[usize::from(row.table)] && row.op == Op::Truncate) {
                window.spoil("the table was truncated meanwhile");
            }
            // A change that nobody is told of (`skipped-operations`) leaves the chunk's row the only word of its key.
            let mut last = u32::MAX;
            for record in encoded.records.iter().filter(|record| here[usize::from(record.table)]) {
                if record.row != last && window.spoiled.is_none() {
                    last = record.row;
                    window.note(encoded, &batch.rows[record.row as usize]);
                }
            }
        }
    }

    /// Drops from a chunk's batch the records whose keys were touched, and says how many; or why the whole chunk cannot
    /// be used.
    pub(crate) fn drop_touched(&self, id: WindowId, encoded: &mut EncodedBatch) -> Result<usize, &'static str> {
        let windows = self.windows.lock().expect("never held across a panic");
        let window = windows.1.iter().find(|window| window.id == id).expect("open until its chunk is handed on");
        if let Some(why) = window.spoiled {
            return Err(why);
        }
        if window.keys.is_empty() {
            return Ok(0);
        }
        let EncodedBatch { batch, records, .. } = encoded;
        let before = records.len();
        let mut last = (u32::MAX, false);
        records.retain(|record| {
            if last.0 != record.row {
                let row = &batch.rows[record.row as usize];
                let schema = &batch.tables[usize::from(row.table)];
                let digest = key_digest(batch, schema, batch.image(row.after, schema.columns.len()));
                last = (record.row, window.keys.contains(&digest));
            }
            !last.1
        });
        Ok(before - records.len())
    }
}

impl Window {
    fn note(&mut self, encoded: &EncodedBatch, row: &RowHeader) {
        let batch = &encoded.batch;
        let schema = &batch.tables[usize::from(row.table)];
        for first in [row.before, row.after] {
            let image = batch.image(first, schema.columns.len());
            if !image.is_empty() {
                self.keys.insert(key_digest(batch, schema, image));
            }
            // The chunk's row is then the only word on the columns that the stream left out.
            if first == row.after && image.iter().any(|cell| cell.place() == Place::Absent) {
                self.spoil("a row changed meanwhile, of which the log has some columns only");
                return;
            }
        }
        if self.keys.len() > KEYS_MAX {
            self.spoil("too many of its table's rows changed meanwhile");
        }
    }

    fn spoil(&mut self, why: &'static str) {
        self.spoiled = Some(why);
        self.keys = HashSet::new();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use limpid_connector::{RecordSpan, Span};
    use limpid_model::{Batch, Cell, CellKind, Column, LogicalType, NONE, TableSchema};

    use super::*;

    fn schema() -> Arc<TableSchema> {
        let column = |name: &str| Column {
            name: name.into(),
            logical: LogicalType::Int { bits: 64, signed: true },
            nullable: false,
            tinyint1: false,
        };
        let name = TableName::new("s", "t");
        let key_seed = limpid_model::key_seed(&name);
        Arc::new(TableSchema { name, version: 1, columns: vec![column("id"), column("v")], key: [0].into(), key_seed })
    }

    /// Rows of (before, after) ids.
    fn batch(op: Op, ids: &[(Option<i64>, Option<i64>)]) -> EncodedBatch {
        let mut batch = Batch { tables: vec![schema()], ..Default::default() };
        let mut records = Vec::new();
        for (index, (before, after)) in ids.iter().enumerate() {
            let mut image = |id: &Option<i64>| match id {
                None => NONE,
                Some(id) => {
                    batch.cells.extend([Cell::int(CellKind::Int, *id), Cell::int(CellKind::Int, index as i64)]);
                    batch.cells.len() as u32 - 2
                }
            };
            let (before, after) = (image(before), image(after));
            batch.rows.push(RowHeader { event: 0, row_in_event: 0, txn: 0, before, after, table: 0, op });
            records.push(RecordSpan {
                key: Span::NULL,
                value: Span::NULL,
                headers: (0, 0),
                table: 0,
                row: index as u32,
            });
        }
        EncodedBatch { batch, records, ..Default::default() }
    }

    fn left(encoded: &EncodedBatch) -> Vec<u32> {
        encoded.records.iter().map(|record| record.row).collect()
    }

    #[test]
    fn a_row_is_left_out_exactly_when_the_stream_touched_its_key_while_the_window_was_open() {
        let touched = Touched::default();
        touched.mark(&batch(Op::Insert, &[(None, Some(1))]));
        let window = touched.open(&TableName::new("s", "t"));
        let other = touched.open(&TableName::new("s", "other"));
        touched.mark(&batch(Op::Insert, &[(None, Some(2))]));
        touched.mark(&batch(Op::Update, &[(Some(3), Some(4))]));
        touched.mark(&batch(Op::Delete, &[(Some(5), None)]));
        let mut chunk = batch(Op::Read, &[1, 2, 3, 4, 5, 6].map(|id| (None, Some(id))));
        assert_eq!(touched.drop_touched(window, &mut chunk), Ok(4));
        assert_eq!(left(&chunk), [0, 5], "1 was changed before, 6 never");
        let mut chunk = batch(Op::Read, &[(None, Some(2))]);
        assert_eq!(touched.drop_touched(other, &mut chunk), Ok(0), "another table's window");
        touched.close(window);
        touched.close(other);
        assert_eq!(touched.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_truncate_and_too_many_changes_spoil_the_chunk() {
        let touched = Touched::default();
        let window = touched.open(&TableName::new("s", "t"));
        touched.mark(&batch(Op::Truncate, &[(None, None)]));
        assert!(touched.drop_touched(window, &mut batch(Op::Read, &[(None, Some(1))])).is_err());
        let window = touched.open(&TableName::new("s", "t"));
        let ids: Vec<_> = (0..=KEYS_MAX as i64).map(|id| (None, Some(id))).collect();
        touched.mark(&batch(Op::Insert, &ids));
        assert!(touched.drop_touched(window, &mut batch(Op::Read, &[(None, Some(-1))])).is_err());
    }

    #[test]
    fn a_change_of_which_the_log_has_some_columns_only_spoils_the_chunk() {
        let touched = Touched::default();
        let window = touched.open(&TableName::new("s", "t"));
        let mut partial = batch(Op::Update, &[(Some(1), Some(1))]);
        touched.mark(&partial);
        assert_eq!(touched.drop_touched(window, &mut batch(Op::Read, &[(None, Some(2))])), Ok(0));
        partial.batch.cells[3] = Cell::ABSENT;
        touched.mark(&partial);
        assert!(touched.drop_touched(window, &mut batch(Op::Read, &[(None, Some(2))])).is_err());
    }
}
