//! Images of which some JSON documents are given as differences to the image before.
//!
//! Owns: the walk over such an image, putting documents together. Does not own: what a difference means (`jsonb`).
//!
//! Invariant: a document is put together whole or the image is an error; each that was is counted.

use limpid_model::{Cell, CellKind, Oddity};

use super::{ImageReader, Out, RowError, present_count};
use crate::bytes::bit;
use crate::jsonb;
use crate::mapping::Wire;

impl<'a> ImageReader<'a, '_> {
    /// Reads the after image of a partial update: some JSON columns are given as differences to the before image.
    /// Source: MySQL's `Rows_log_event::PARTIAL_UPDATE_ROWS_EVENT` (WL#2955) and `rpl_record.cc`.
    pub(in crate::rows) fn read_partial(&mut self, out: &mut Out, present: &[u8]) -> Result<u32, RowError> {
        let options = self.lenenc()?;
        let partial = if options & 1 == 1 { self.take(self.layout.json_columns.div_ceil(8))? } else { &[] };
        let width = self.layout.columns.len();
        let nulls = self.take(present_count(present, width).div_ceil(8))?;
        let layout = self.layout;
        let before = std::mem::take(&mut self.json_raw);
        let first = out.cells.len() as u32;
        self.image_start = out.cells.len();
        let (mut nth, mut json) = (0, 0);
        for (index, column) in layout.columns.iter().enumerate() {
            let is_json = matches!(column.wire, Wire::Json { .. });
            let is_diff = is_json && bit(partial, json);
            json += is_json as usize;
            let mut cell = Cell::ABSENT;
            if bit(present, index) {
                nth += 1;
                if bit(nulls, nth - 1) {
                    cell = Cell::NULL;
                } else if is_diff {
                    let len = u32::from_le_bytes(self.array()?) as usize;
                    let diffs = self.take(len)?;
                    let from = before.get(json - 1).copied().flatten();
                    cell = self.merged(out, from, diffs, column.captured)?;
                } else if column.captured {
                    cell = self.value(out, column.wire)?;
                } else {
                    self.skip(column.wire)?;
                }
            }
            if column.captured {
                out.cells.push(cell);
            }
        }
        self.json_raw = before;
        Ok(first)
    }

    fn merged(&mut self, out: &mut Out, from: Option<&[u8]>, diffs: &[u8], captured: bool) -> Result<Cell, RowError> {
        let column = out.cells.len() - self.image_start;
        let what = "a partial JSON update does not fit the value before it";
        let from = from.ok_or(RowError::Value { column, what })?;
        let start = out.arena.len();
        jsonb::apply_differences(from, diffs, self.json_text, &mut out.arena)
            .ok_or(RowError::Value { column, what })?;
        if captured {
            self.odd.1.add(self.odd.0, column as u16, Oddity::JsonPartial, 1);
        }
        Ok(Cell::arena(CellKind::Json, start as u64, (out.arena.len() - start) as u32, 0))
    }

    fn lenenc(&mut self) -> Result<u64, RowError> {
        let mut cur = crate::bytes::Cursor::new(self.body.get(self.pos..).unwrap_or_default());
        let value = cur.lenenc().ok_or(RowError::Malformed)?;
        self.pos += cur.pos();
        Ok(value)
    }
}
