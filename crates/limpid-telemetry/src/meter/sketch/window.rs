//! One column in a window of sampled rows.
//!
//! Owns: counts, sums and the sketch of distinct values, and the measures they come to. Does not own: what is usual
//! (`baseline`), which rows are sampled (the front file).
//!
//! Invariant: no value is kept, and no hash of one: only counts, sums of lengths, and registers that many hashes share.

use limpid_model::{Batch, Cell, CellKind, Place, cell_hash};

use super::baseline::Measured;
use super::distinct::Distinct;

/// What is measured of a column, in the order of [`Window::measures`].
pub(super) const MEASURES: [&str; 3] = ["null_ratio", "length", "distinct_ratio"];

#[derive(Clone, Default)]
pub(super) struct Window {
    nulls: u32,
    values: u32,
    /// Values that have a length: text, bytes, documents.
    lengthy: u32,
    bytes: f64,
    squares: f64,
    distinct: Distinct,
}

impl Window {
    #[inline]
    pub(super) fn add(&mut self, batch: &Batch, cell: Cell) {
        match cell.place() {
            Place::Null => {
                self.nulls += 1;
                return;
            }
            // Nobody knows.
            Place::Absent | Place::Unchanged => return,
            Place::Inline => {}
            Place::Raw | Place::Arena => {
                if matches!(cell.kind(), CellKind::Text | CellKind::Bytes | CellKind::Json | CellKind::Document) {
                    let bytes = f64::from(cell.len());
                    self.lengthy += 1;
                    self.bytes += bytes;
                    self.squares += bytes * bytes;
                }
            }
        }
        self.values += 1;
        self.distinct.add(cell_hash(batch, cell));
    }

    /// What the window comes to, which was one of so many rows; `None` where there is too little for it.
    pub(super) fn measures(&self, rows: u32) -> [Option<Measured>; 3] {
        // A handful of values among NULLs is no sample, and neither is one among rows that lack the column.
        let is_sample = |count: u32| count > 0 && f64::from(count) * 8.0 >= f64::from(rows);
        let null_ratio = is_sample(self.nulls + self.values).then(|| {
            let seen = f64::from(self.nulls + self.values);
            let value = f64::from(self.nulls) / seen;
            Measured { value, noise: (value * (1.0 - value) / seen).sqrt(), floor: 0.02 }
        });
        let length = is_sample(self.lengthy).then(|| {
            let count = f64::from(self.lengthy);
            let value = self.bytes / count;
            let variance = (self.squares / count - value * value).max(0.0);
            Measured { value, noise: (variance / count).sqrt(), floor: 0.1 * value }
        });
        let distinct = is_sample(self.values).then(|| {
            let value = (self.distinct.estimate() / f64::from(self.values)).min(1.0);
            Measured { value, noise: 0.046 * value, floor: 0.1 }
        });
        [null_ratio, length, distinct]
    }

    pub(super) fn clear(&mut self) {
        (self.nulls, self.values, self.lengthy) = (0, 0, 0);
        (self.bytes, self.squares) = (0.0, 0.0);
        self.distinct.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_values_for_the_rows_of_a_window_are_no_sample() {
        let batch = Batch { arena: b"text".to_vec(), ..Batch::default() };
        let (text, number) = (Cell::arena(CellKind::Text, 0, 4, 0), Cell::int(CellKind::Int, 7));
        // Of eighty rows so many have a text, a number, a NULL; the others lack the column.
        for (texts, numbers, nulls, expected) in [
            (80, 0, 0, [true, true, true]),
            (10, 0, 0, [true, true, true]),
            (9, 0, 0, [false, false, false]),
            (0, 10, 0, [true, false, true]),
            (9, 0, 1, [true, false, false]),
            (9, 0, 71, [true, false, false]),
            (0, 0, 10, [true, false, false]),
            (0, 0, 9, [false, false, false]),
            (0, 0, 0, [false, false, false]),
        ] {
            let mut window = Window::default();
            for (cell, count) in [(text, texts), (number, numbers), (Cell::NULL, nulls)] {
                (0..count).for_each(|_| window.add(&batch, cell));
            }
            (texts + numbers + nulls..80).for_each(|_| window.add(&batch, Cell::ABSENT));
            let told = window.measures(80).map(|measured| measured.is_some());
            assert_eq!(told, expected, "{texts} texts, {numbers} numbers, {nulls} NULLs");
        }
    }
}
