//! One row image: null bits, then one value after another.
//!
//! Owns: the loop over columns. Does not own: events (`rows`), packed values (`values`), JSON (`jsonb`).
//!
//! Invariant: either a whole image's cells were pushed, or an error says why not; cells never point outside their
//! block.

mod partial;
mod skip;
mod versioned;

use limpid_connector::JsonText;
use limpid_model::{Cell, CellKind, OddValues};

use crate::bytes::{be, bit, le};
use crate::charset::Charset;
use crate::compressed;
use crate::jsonb;
use crate::mapping::{Layout, Wire, WireColumn};
use crate::values;

/// Why an image could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowError {
    /// The bytes do not fit the layout: the log is broken, or the layout is not the table's.
    Malformed,
    /// One value has no meaning; the others may.
    Value { column: usize, what: &'static str },
    /// An image lacks columns, which was not agreed to.
    Partial,
}

/// Where cells and made bytes go: the batch's own vectors, held by value so that the loop keeps them in registers.
#[derive(Default)]
pub(super) struct Out {
    pub(super) cells: Vec<Cell>,
    pub(super) arena: Vec<u8>,
}

/// Where the images of one event are.
pub(super) struct ImagesIn<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the first one begins in `bytes`.
    pub(super) at: usize,
    /// The block that `bytes` is part of, and where in it.
    pub(super) block: u16,
    pub(super) base: u32,
}

/// Reads images one after another out of one event's body.
pub(super) struct ImageReader<'a, 't> {
    layout: &'a Layout,
    body: &'a [u8],
    pos: usize,
    block: u16,
    base: u32,
    json_text: JsonText,
    /// The table's index in its batch, and where its odd values are counted.
    odd: (u16, &'t mut OddValues),
    /// Raw JSON of the image last read, by JSON column: what a partial update starts from.
    json_raw: Vec<Option<&'a [u8]>>,
    keep_json: bool,
    /// Cells pushed before the image in hand, to name a column in an error.
    image_start: usize,
    /// Where the version ends that the image last read holds, if that column is skipped.
    row_end: &'a [u8],
}

impl<'a, 't> ImageReader<'a, 't> {
    pub(super) fn new(
        layout: &'a Layout,
        images: ImagesIn<'a>,
        json_text: JsonText,
        odd: (u16, &'t mut OddValues),
    ) -> Self {
        let ImagesIn { bytes: body, at: pos, block, base } = images;
        Self {
            layout,
            body,
            pos,
            block,
            base,
            json_text,
            odd,
            json_raw: Vec::new(),
            keep_json: false,
            image_start: 0,
            row_end: &[],
        }
    }

    #[inline]
    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.body.len()
    }

    #[inline]
    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&'a [u8], RowError> {
        let bytes = self.body.get(self.pos..self.pos + n).ok_or(RowError::Malformed)?;
        self.pos += n;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let bytes = self.body.get(self.pos..).and_then(|rest| rest.first_chunk::<N>()).ok_or(RowError::Malformed)?;
        self.pos += N;
        Ok(*bytes)
    }

    /// Reads an image whose present columns are `present`; returns its first cell.
    #[inline]
    pub(super) fn read(&mut self, out: &mut Out, present: &[u8]) -> Result<u32, RowError> {
        let width = self.layout.columns.len();
        let ones = present_count(present, width);
        let nulls = self.take(ones.div_ceil(8))?;
        let first = out.cells.len() as u32;
        self.image_start = out.cells.len();
        self.row_end = &[];
        if ones == width {
            self.full(out, nulls)?
        } else {
            self.some(out, present, nulls)?
        }
        Ok(first)
    }

    /// The usual case: every column is in the image. One loop with the position in a register; what is seldom or slow
    /// goes through `rarer_value`.
    #[inline]
    fn full(&mut self, out: &mut Out, nulls: &[u8]) -> Result<(), RowError> {
        let layout = self.layout;
        let body = self.body;
        let mut pos = self.pos;
        macro_rules! fixed {
            ($n:literal) => {{
                let Some(bytes) = body.get(pos..).and_then(|rest| rest.first_chunk::<$n>()) else {
                    return Err(RowError::Malformed);
                };
                pos += $n;
                *bytes
            }};
        }
        self.json_raw.clear();
        out.cells.reserve(layout.columns.len());
        for (index, column) in layout.columns.iter().enumerate() {
            if nulls[index / 8] >> (index % 8) & 1 == 1 {
                self.null(column);
                if column.captured {
                    out.cells.push(Cell::NULL);
                }
                continue;
            }
            if !column.captured {
                self.pos = pos;
                self.skip(column.wire)?;
                self.note_row_end(index, pos);
                pos = self.pos;
                continue;
            }
            let int = |value: i64| Cell::int(CellKind::Int, value);
            let cell = match column.wire {
                Wire::I8 => int(fixed!(1)[0] as i8 as i64),
                Wire::I16 => int(i16::from_le_bytes(fixed!(2)) as i64),
                Wire::I32 => int(i32::from_le_bytes(fixed!(4)) as i64),
                Wire::I64 => int(i64::from_le_bytes(fixed!(8))),
                Wire::U32 => Cell::inline(CellKind::UInt, u32::from_le_bytes(fixed!(4)) as u64),
                Wire::U64 => Cell::inline(CellKind::UInt, u64::from_le_bytes(fixed!(8))),
                Wire::F64 => Cell::inline(CellKind::F64, u64::from_le_bytes(fixed!(8))),
                Wire::Text { prefix: 1, charset: Charset::Utf8 } => {
                    let len = fixed!(1)[0] as usize;
                    if body.len() < pos + len {
                        return Err(RowError::Malformed);
                    }
                    pos += len;
                    Cell::raw(CellKind::Text, self.block, self.base + (pos - len) as u32, len as u32)
                }
                Wire::Text { prefix: 2, charset: Charset::Utf8 } => {
                    let len = u16::from_le_bytes(fixed!(2)) as usize;
                    if body.len() < pos + len {
                        return Err(RowError::Malformed);
                    }
                    pos += len;
                    Cell::raw(CellKind::Text, self.block, self.base + (pos - len) as u32, len as u32)
                }
                other => {
                    self.pos = pos;
                    let cell = self.value(out, other)?;
                    pos = self.pos;
                    cell
                }
            };
            out.cells.push(cell);
        }
        self.pos = pos;
        Ok(())
    }

    #[inline]
    fn null(&mut self, column: &WireColumn) {
        if self.keep_json && matches!(column.wire, Wire::Json { .. }) {
            self.json_raw.push(None);
        }
    }

    /// MINIMAL, NOBLOB and FULL_NODUP images.
    fn some(&mut self, out: &mut Out, present: &[u8], nulls: &[u8]) -> Result<(), RowError> {
        let layout = self.layout;
        let mut nth = 0;
        self.json_raw.clear();
        for (index, column) in layout.columns.iter().enumerate() {
            let is_json = self.keep_json && matches!(column.wire, Wire::Json { .. });
            let cell = if !bit(present, index) {
                Cell::ABSENT
            } else {
                nth += 1;
                if bit(nulls, nth - 1) {
                    Cell::NULL
                } else if column.captured {
                    self.value(out, column.wire)?
                } else {
                    let from = self.pos;
                    self.skip(column.wire)?;
                    self.note_row_end(index, from);
                    continue;
                }
            };
            if is_json && !cell.is_value() {
                self.json_raw.push(None);
            }
            if column.captured {
                out.cells.push(cell);
            }
        }
        Ok(())
    }

    /// From now on remembers the raw JSON of each image, for partial updates.
    pub(super) fn keep_json(&mut self) {
        self.keep_json = true;
    }

    /// The bytes behind a length of `prefix` bytes, and where they begin in the body.
    #[inline]
    fn prefixed(&mut self, prefix: u8) -> Result<(u32, &'a [u8]), RowError> {
        let len = match prefix {
            1 => self.array::<1>()?[0] as usize,
            2 => u16::from_le_bytes(self.array()?) as usize,
            _ => le(self.take(prefix as usize)?) as usize,
        };
        let at = self.pos as u32;
        Ok((at, self.take(len)?))
    }

    #[inline]
    fn raw(&self, kind: CellKind, at: u32, bytes: &[u8]) -> Cell {
        Cell::raw(kind, self.block, self.base + at, bytes.len() as u32)
    }

    /// Reads one value.
    #[inline]
    fn value(&mut self, out: &mut Out, wire: Wire) -> Result<Cell, RowError> {
        let int = |value: i64| Cell::int(CellKind::Int, value);
        let uint = |value: u64| Cell::inline(CellKind::UInt, value);
        Ok(match wire {
            Wire::I8 => int(self.array::<1>()?[0] as i8 as i64),
            Wire::U8 => uint(self.array::<1>()?[0] as u64),
            Wire::I16 => int(i16::from_le_bytes(self.array()?) as i64),
            Wire::U16 => uint(u16::from_le_bytes(self.array()?) as u64),
            Wire::I24 => {
                let [a, b, c] = self.array()?;
                int((i32::from_le_bytes([0, a, b, c]) >> 8) as i64)
            }
            Wire::U24 => {
                let [a, b, c] = self.array()?;
                uint(u32::from_le_bytes([a, b, c, 0]) as u64)
            }
            Wire::I32 => int(i32::from_le_bytes(self.array()?) as i64),
            Wire::U32 => uint(u32::from_le_bytes(self.array()?) as u64),
            Wire::I64 => int(i64::from_le_bytes(self.array()?)),
            Wire::U64 => uint(u64::from_le_bytes(self.array()?)),
            Wire::F32 => Cell::inline(CellKind::F32, u32::from_le_bytes(self.array()?) as u64),
            Wire::F64 => Cell::inline(CellKind::F64, u64::from_le_bytes(self.array()?)),
            Wire::DecimalSmall { precision, scale, size } => {
                values::decimal_small(self.take(size as usize)?, precision, scale)
            }
            Wire::DateTime { digits } => {
                let bytes = self.take(5 + values::fraction_size(digits))?;
                values::datetime2(bytes, digits).ok_or(RowError::Malformed)?
            }
            Wire::Timestamp { digits } => {
                let bytes = self.take(4 + values::fraction_size(digits))?;
                values::timestamp2(bytes, digits).ok_or(RowError::Malformed)?
            }
            Wire::Date => {
                let [a, b, c] = self.array()?;
                values::date(u32::from_le_bytes([a, b, c, 0]))
            }
            Wire::Text { prefix, charset: Charset::Utf8 } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.raw(CellKind::Text, at, bytes)
            }
            Wire::Bytes { prefix } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.raw(CellKind::Bytes, at, bytes)
            }
            other => self.rarer_value(out, other)?,
        })
    }

    /// The types that are seldom or slow anyway, out of the hot loop's way.
    #[inline(never)]
    fn rarer_value(&mut self, out: &mut Out, wire: Wire) -> Result<Cell, RowError> {
        Ok(match wire {
            Wire::DecimalBig { precision, scale, size } => {
                values::decimal_big(self.take(size as usize)?, precision, scale, &mut out.arena)
            }
            Wire::Year => {
                let year = self.array::<1>()?[0] as i64;
                Cell::int(CellKind::Year, if year == 0 { 0 } else { year + 1900 })
            }
            Wire::TimeOld => {
                let [a, b, c] = self.array()?;
                values::time_old(u32::from_le_bytes([a, b, c, 0]))
            }
            Wire::DateTimeOld => {
                let packed = u64::from_le_bytes(self.array()?);
                values::datetime_old(packed).ok_or(RowError::Malformed)?
            }
            Wire::TimestampOld => {
                let seconds = u32::from_le_bytes(self.array()?) as i64;
                values::timestamp(seconds, 0, 0)
            }
            Wire::Time { digits } => {
                let bytes = self.take(3 + values::fraction_size(digits))?;
                values::time2(bytes, digits).ok_or(RowError::Malformed)?
            }
            Wire::Bit { bytes } => Cell::inline(CellKind::Bit, be(self.take(bytes as usize)?)),
            Wire::Enum { bytes } => Cell::inline(CellKind::Enum, le(self.take(bytes as usize)?)),
            Wire::Set { bytes } => Cell::inline(CellKind::Set, le(self.take(bytes as usize)?)),
            Wire::Text { prefix, charset } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.text(out, at, bytes, charset)
            }
            Wire::FixedBytes { prefix, len } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.padded(out, at, bytes, len, CellKind::Bytes)
            }
            Wire::Uuid { prefix } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.padded(out, at, bytes, 16, CellKind::Uuid)
            }
            Wire::Inet { prefix, len } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.padded(out, at, bytes, len, CellKind::Inet)
            }
            Wire::Json { prefix } => self.json(out, prefix)?,
            Wire::Geometry { prefix } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.raw(CellKind::Geometry, at, bytes)
            }
            Wire::Vector { prefix } => {
                let (at, bytes) = self.prefixed(prefix)?;
                self.raw(CellKind::Vector, at, bytes)
            }
            Wire::CompressedText { prefix, charset } => self.inflated(out, prefix, Some(charset))?,
            Wire::CompressedBytes { prefix } => self.inflated(out, prefix, None)?,
            _ => return self.value(out, wire),
        })
    }

    /// Text of a set other than UTF-8: as it is where it is ASCII, converted into the arena where it is not.
    fn text(&mut self, out: &mut Out, at: u32, bytes: &[u8], charset: Charset) -> Cell {
        if charset.is_ascii_compatible() && bytes.is_ascii() {
            return self.raw(CellKind::Text, at, bytes);
        }
        let start = out.arena.len();
        let (table, odd) = &mut self.odd;
        charset.to_utf8(bytes, &mut out.arena).count(odd, *table, out.cells.len() - self.image_start);
        Cell::arena(CellKind::Text, start as u64, (out.arena.len() - start) as u32, 0)
    }

    /// Fixed-length bytes whose trailing zeroes the log leaves out.
    fn padded(&mut self, out: &mut Out, at: u32, bytes: &[u8], len: u8, kind: CellKind) -> Cell {
        if bytes.len() >= len as usize {
            return self.raw(kind, at, bytes);
        }
        let start = out.arena.len();
        out.arena.extend_from_slice(bytes);
        out.arena.resize(start + len as usize, 0);
        Cell::arena(kind, start as u64, len as u32, 0)
    }

    fn json(&mut self, out: &mut Out, prefix: u8) -> Result<Cell, RowError> {
        let (_, bytes) = self.prefixed(prefix)?;
        if self.keep_json {
            self.json_raw.push(Some(bytes));
        }
        let start = out.arena.len();
        let column = out.cells.len() - self.image_start;
        jsonb::write_text(bytes, self.json_text, &mut out.arena)
            .ok_or(RowError::Value { column, what: "its binary JSON is malformed" })?;
        Ok(Cell::arena(CellKind::Json, start as u64, (out.arena.len() - start) as u32, 0))
    }

    fn inflated(&mut self, out: &mut Out, prefix: u8, charset: Option<Charset>) -> Result<Cell, RowError> {
        let (_, bytes) = self.prefixed(prefix)?;
        let column = out.cells.len() - self.image_start;
        let what = "its compressed value is malformed";
        let value = compressed::column(bytes).ok_or(RowError::Value { column, what })?;
        let start = out.arena.len();
        let kind = match charset {
            Some(charset) => {
                let (table, odd) = &mut self.odd;
                charset.to_utf8(&value, &mut out.arena).count(odd, *table, column);
                CellKind::Text
            }
            None => {
                out.arena.extend_from_slice(&value);
                CellKind::Bytes
            }
        };
        Ok(Cell::arena(kind, start as u64, (out.arena.len() - start) as u32, 0))
    }
}

/// How many of the first `width` bits are set.
#[inline]
fn present_count(present: &[u8], width: usize) -> usize {
    let whole: u32 = present[..width / 8].iter().map(|byte| byte.count_ones()).sum();
    let rest = width % 8;
    let last = if rest == 0 { 0 } else { (present[width / 8] & ((1u16 << rest) - 1) as u8).count_ones() };
    (whole + last) as usize
}
