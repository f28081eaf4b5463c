//! Telling current rows of a table with system versioning from former versions.
//!
//! Owns: the meaning of a row's end. Does not own: reading it (`image`), what follows for the row (`rows`).
//!
//! Invariant: a row whose end is not known counts as current.

use limpid_model::CellKind;

use super::{ImageReader, Out};
use crate::bytes::{be, le};

/// The end of a current row in seconds: 2038-01-19 03:14:07, and since MariaDB 11.5 2106-02-07 06:28:15. Source:
/// `TIMESTAMP_MAX_VALUE` of either; microseconds are 999999.
const NEVER: [u64; 2] = [0x7fff_ffff, 0xffff_ffff];
const NEVER_MICROS: u64 = 999_999;

impl ImageReader<'_, '_> {
    /// Remembers the bytes from `from` on, if the column just walked over is the row's end.
    #[inline]
    pub(super) fn note_row_end(&mut self, index: usize, from: usize) {
        if self.layout.row_end == Some(index) {
            self.row_end = self.body.get(from..self.pos).unwrap_or_default();
        }
    }

    /// True when the image last read, whose cells begin at `first`, holds a former version of its row.
    pub(in crate::rows) fn row_has_ended(&self, out: &Out, first: u32) -> bool {
        match self.row_end {
            [] => self.captured_end(out, first),
            // The number of the transaction that ended it.
            end @ [_, _, _, _, _, _, _, _] => le(end) != u64::MAX,
            end => {
                let (seconds, micros) = end.split_at(end.len().min(4));
                !(NEVER.contains(&be(seconds)) && be(micros) == NEVER_MICROS)
            }
        }
    }

    /// The same where the row's end is a captured column.
    fn captured_end(&self, out: &Out, first: u32) -> bool {
        let Some(index) = self.layout.row_end else { return false };
        let columns = &self.layout.columns;
        if !columns.get(index).is_some_and(|column| column.captured) {
            return false;
        }
        let place = first as usize + columns.iter().take(index).filter(|column| column.captured).count();
        let Some(cell) = out.cells.get(place).filter(|cell| cell.is_value()) else { return false };
        match cell.kind() {
            CellKind::UInt => cell.bits() != u64::MAX,
            CellKind::Timestamp => {
                let end = cell.bits();
                !(NEVER.contains(&(end / 1_000_000)) && end % 1_000_000 == NEVER_MICROS)
            }
            _ => false,
        }
    }
}
