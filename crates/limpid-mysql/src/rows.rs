//! Rows events: from bytes to cells, the hottest code of the house.
//!
//! Owns: the walk over row images of every row event of both servers. Does not own: which table they belong to
//! (`stream`), what single values mean (`values`), JSON (`jsonb`).
//!
//! Invariant: no allocation per row or value besides the batch's own growing vectors; every read is bounds-checked;
//! an image that does not end where its event ends is malformed, never a partial success.

mod image;

use std::sync::Arc;

use bytes::Bytes;
use limpid_connector::{Decode, DecodeTally, JsonText};
use limpid_model::{
    Batch, Cell, Component, EventHeader, Fault, FaultCode, NONE, Oddity, Op, RowHeader, RowMark, fit_marks, key_hash,
};

use crate::bytes::{Cursor, bit};
use crate::compressed;
use crate::mapping::Layout;
use image::{ImageReader, ImagesIn, Out, RowError};

/// Event kinds that hold rows, by their number in the log.
pub mod kind {
    pub const WRITE_V1: u8 = 23;
    pub const UPDATE_V1: u8 = 24;
    pub const DELETE_V1: u8 = 25;
    pub const WRITE_V2: u8 = 30;
    pub const UPDATE_V2: u8 = 31;
    pub const DELETE_V2: u8 = 32;
    pub const PARTIAL_UPDATE: u8 = 39;

    /// True for every kind above.
    #[inline]
    pub const fn holds_rows(kind: u8) -> bool {
        matches!(kind, WRITE_V1..=DELETE_V1 | WRITE_V2..=DELETE_V2 | PARTIAL_UPDATE)
    }

    /// Of a kind that MariaDB's `log_bin_compress` writes, the same kind without compression.
    #[inline]
    pub const fn plain(kind: u8) -> Option<u8> {
        match kind {
            166..=168 => Some(kind - 166 + WRITE_V1),
            169..=171 => Some(kind - 169 + WRITE_V2),
            _ => None,
        }
    }
}

/// The event header flag that marks a truncation made up by the reader: it has no body.
pub const TRUNCATE_KIND: u8 = 255;

/// The decoder of one stream. Stateless: all it needs is in the batch.
#[derive(Debug)]
pub struct RowsDecoder {
    pub json_text: JsonText,
    /// Columns that an image lacks are left out; else the image is a fault of its table.
    pub accept_partial_images: bool,
}

impl Decode for RowsDecoder {
    fn decode(&self, batch: &mut Batch, tally: &mut DecodeTally) -> Result<(), Fault> {
        batch.counts.resize(batch.tables.len(), [0; Op::COUNT]);
        let mut halted = vec![false; batch.tables.len()];
        let layouts = std::mem::take(&mut batch.layouts);
        let result = (0..batch.events.len() as u32).try_for_each(|event| {
            let header = batch.events[event as usize];
            let table = header.table as usize;
            if halted[table] {
                return Ok(());
            }
            let layout = Arc::clone(&layouts[table]);
            let layout = layout.downcast_ref::<Layout>().expect("the reader attaches its own layouts");
            match self.event(batch, event, layout) {
                Ok(()) => Ok(()),
                Err(error) => match fault_of(error, batch, header.at, table) {
                    (fault, true) => {
                        // A batch may hold the table in several versions: a server that reopens it gives it a new id.
                        for (halted, other) in halted.iter_mut().zip(&batch.tables) {
                            *halted |= other.name == batch.tables[table].name;
                        }
                        tally.table_faults.push((header.table, fault));
                        Ok(())
                    }
                    (fault, false) => Err(fault),
                },
            }
        });
        batch.layouts = layouts;
        fit_marks(&mut batch.marks);
        result
    }
}

/// The fault an error becomes, and whether it is one table's.
fn fault_of(error: RowError, batch: &Batch, at: u64, table: usize) -> (Fault, bool) {
    let name = batch.tables[table].name.to_string();
    match error {
        RowError::Malformed => {
            let fault = Fault::new(
                FaultCode::LogMalformed,
                Component::Input,
                format!("a rows event at log position {at} does not hold what its table map says"),
            );
            (fault.about(name), false)
        }
        RowError::Value { column, what } => {
            let column = batch.tables[table].columns.get(column).map_or("?", |column| &*column.name).to_owned();
            let text = format!("column {column} at log position {at} cannot be decoded: {what}");
            (Fault::new(FaultCode::RowUndecodable, Component::Input, text).about(name), true)
        }
        RowError::Partial => {
            let text = format!("a session logged a row at log position {at} with less than all of its columns");
            (Fault::new(FaultCode::RowImagePartial, Component::Input, text).about(name), true)
        }
    }
}

impl RowsDecoder {
    fn event(&self, batch: &mut Batch, event: u32, layout: &Layout) -> Result<(), RowError> {
        let header = batch.events[event as usize];
        if header.kind == TRUNCATE_KIND {
            push_truncate(batch, event);
            return Ok(());
        }
        // A `Bytes` clone is a reference count; it frees the batch's vectors for writing.
        let block = batch.blocks[header.block as usize].clone();
        let body =
            block.get(header.offset as usize..(header.offset + header.len) as usize).ok_or(RowError::Malformed)?;
        let packed = kind::plain(header.kind);
        let mut frame = Frame::parse(packed.unwrap_or(header.kind), body).ok_or(RowError::Malformed)?;
        if frame.width != layout.columns.len() {
            return Err(RowError::Malformed);
        }
        if !self.accept_partial_images && !frame.is_full(layout) {
            return Err(RowError::Partial);
        }
        frame.fills = !self.accept_partial_images && !is_whole(frame.second, frame.width);
        let mut images_in = ImagesIn { bytes: body, at: frame.rows_at, block: header.block, base: header.offset };
        let inflated;
        if packed.is_some() {
            inflated = inflate(body.get(frame.rows_at..).unwrap_or_default(), batch)?;
            images_in = ImagesIn { bytes: &inflated.1, at: 0, block: inflated.0, base: 0 };
        }
        let first_row = batch.rows.len();
        let mut out = Out { cells: std::mem::take(&mut batch.cells), arena: std::mem::take(&mut batch.arena) };
        let reader = ImageReader::new(layout, images_in, self.json_text, (header.table, &mut batch.odd));
        let result = match layout.row_end {
            None => images(&frame, reader, &mut out, event, &header, &mut batch.rows),
            Some(_) => versioned_images(&frame, reader, &mut out, event, &header, &mut batch.rows),
        };
        (batch.cells, batch.arena) = (out.cells, out.arena);
        for row in &batch.rows[first_row..] {
            batch.counts[header.table as usize][row.op as usize] += 1;
        }
        batch.events[event as usize].rows = (batch.rows.len() - first_row) as u32;
        if !layout.disputed.is_empty() {
            count_disputed(batch, first_row, header.table, &layout.disputed);
        }
        mark_rows(batch, first_row, header.table);
        result
    }
}

/// Inflates the rows of a compressed event into a block of their own, and gives its number. Room grows with what is
/// really inflated; the servers write no event above 1 GiB.
#[cold]
fn inflate(packed: &[u8], batch: &mut Batch) -> Result<(u16, Bytes), RowError> {
    let block = u16::try_from(batch.blocks.len()).map_err(|_| RowError::Malformed)?;
    let bytes = Bytes::from(compressed::event(packed).ok_or(RowError::Malformed)?);
    batch.blocks.push(bytes.clone());
    Ok((block, bytes))
}

/// Reads the images of all rows of one event.
fn images(
    frame: &Frame<'_>,
    mut reader: ImageReader<'_, '_>,
    out: &mut Out,
    event: u32,
    header: &EventHeader,
    rows: &mut Vec<RowHeader>,
) -> Result<(), RowError> {
    if frame.partial {
        reader.keep_json();
    }
    let (txn, table) = (header.txn, header.table);
    let mut number = 0;
    while !reader.at_end() {
        let begin = reader.pos();
        let before = match frame.op {
            Op::Insert => NONE,
            _ => reader.read(out, frame.first)?,
        };
        let after = match frame.op {
            Op::Insert => reader.read(out, frame.first)?,
            Op::Update if frame.partial => reader.read_partial(out, frame.second)?,
            Op::Update => reader.read(out, frame.second)?,
            _ => NONE,
        };
        moved(begin, reader.pos())?;
        if frame.fills {
            fill(out, before, after);
        }
        let row = RowHeader { event, row_in_event: number, txn, before, after, table, op: frame.op };
        rows.push(row);
        number += 1;
    }
    Ok(())
}

/// Images without a column have no bytes: a rest that they do not shorten is none, and would be read for ever.
#[inline]
fn moved(from: usize, to: usize) -> Result<(), RowError> {
    if to > from { Ok(()) } else { Err(RowError::Malformed) }
}

/// As [`images`] for a table with system versioning: the log has each former version of a row as a row of its own,
/// told by its end. Only current rows are the table's: one that ends is deleted, one that was written with an end never
/// was one.
fn versioned_images(
    frame: &Frame<'_>,
    mut reader: ImageReader<'_, '_>,
    out: &mut Out,
    event: u32,
    header: &EventHeader,
    rows: &mut Vec<RowHeader>,
) -> Result<(), RowError> {
    let (txn, table) = (header.txn, header.table);
    let mut number = 0;
    while !reader.at_end() {
        let begin = reader.pos();
        let mut image = |wanted: bool, present: &[u8]| -> Result<u32, RowError> {
            if !wanted {
                return Ok(NONE);
            }
            let first = reader.read(out, present)?;
            Ok(if reader.row_has_ended(out, first) { NONE } else { first })
        };
        let before = image(frame.op != Op::Insert, frame.first)?;
        let after = image(frame.op != Op::Delete, frame.second)?;
        moved(begin, reader.pos())?;
        if frame.fills && before != NONE && after != NONE {
            fill(out, before, after);
        }
        let op = match (before, after) {
            (NONE, NONE) => None,
            (NONE, _) => Some(Op::Insert),
            (_, NONE) => Some(Op::Delete),
            _ => Some(Op::Update),
        };
        if let Some(op) = op {
            rows.push(RowHeader { event, row_in_event: number, txn, before, after, table, op });
        }
        number += 1;
    }
    Ok(())
}

/// Gives the image at `after` what only the one at `before`, which ends where it begins, has.
fn fill(out: &mut Out, before: u32, after: u32) {
    let (known, filled) = out.cells.split_at_mut(after as usize);
    for (cell, known) in filled.iter_mut().zip(known.iter().skip(before as usize)) {
        if *cell == Cell::ABSENT {
            *cell = *known;
        }
    }
}

/// Counts the values of columns that the log describes otherwise than the history does, in the rows from `first_row` on.
#[cold]
fn count_disputed(batch: &mut Batch, first_row: usize, table: u16, disputed: &[u16]) {
    let images = |row: &RowHeader| u64::from(row.before != NONE) + u64::from(row.after != NONE);
    let values = batch.rows[first_row..].iter().map(images).sum();
    for column in disputed {
        batch.odd.add(table, *column, Oddity::SchemaDisagreement, values);
    }
}

/// Marks the rows from `first_row` on, which are all of this table.
pub fn mark_rows(batch: &mut Batch, first_row: usize, table: u16) {
    let schema = Arc::clone(&batch.tables[table as usize]);
    let columns = schema.columns.len();
    let mut marks = std::mem::take(&mut batch.marks);
    marks.extend(batch.rows[first_row..].iter().map(|row| {
        let image = batch.image(if row.after == NONE { row.before } else { row.after }, columns);
        RowMark::new(key_hash(batch, &schema, image), row.op)
    }));
    batch.marks = marks;
}

fn push_truncate(batch: &mut Batch, event: u32) {
    let EventHeader { txn, table, .. } = batch.events[event as usize];
    batch.counts[table as usize][Op::Truncate as usize] += 1;
    let op = Op::Truncate;
    batch.rows.push(RowHeader { event, row_in_event: 0, txn, before: NONE, after: NONE, table, op });
    batch.marks.push(RowMark::new(0, op));
}

/// True when every column is present.
fn is_whole(present: &[u8], width: usize) -> bool {
    (0..width).all(|index| bit(present, index))
}

/// What stands before the rows of a rows event.
pub(crate) struct Frame<'a> {
    pub(crate) op: Op,
    pub(crate) partial: bool,
    pub(crate) width: usize,
    /// Columns present in the only image, or the before image.
    pub(crate) first: &'a [u8],
    /// Columns present in the after image of an update.
    pub(crate) second: &'a [u8],
    pub(crate) rows_at: usize,
    /// What the image after an update lacks is to be taken from the one before it: it did not change.
    fills: bool,
}

impl<'a> Frame<'a> {
    /// True when the images hold every captured column; of an update, the one before it: what only the one after it
    /// lacks did not change (FULL_NODUP).
    #[inline]
    fn is_full(&self, layout: &Layout) -> bool {
        is_whole(self.first, self.width)
            || layout.columns.iter().enumerate().all(|(index, column)| !column.captured || bit(self.first, index))
    }

    /// Source: `Rows_log_event` of both servers.
    pub(crate) fn parse(event_kind: u8, body: &'a [u8]) -> Option<Self> {
        let mut cur = Cursor::new(body);
        cur.take(8)?;
        if event_kind >= kind::WRITE_V2 {
            let extra = cur.u16()? as usize;
            cur.take(extra.checked_sub(2)?)?;
        }
        let width = usize::try_from(cur.lenenc()?).ok()?;
        let op = match event_kind {
            kind::WRITE_V1 | kind::WRITE_V2 => Op::Insert,
            kind::UPDATE_V1 | kind::UPDATE_V2 | kind::PARTIAL_UPDATE => Op::Update,
            kind::DELETE_V1 | kind::DELETE_V2 => Op::Delete,
            _ => return None,
        };
        let first = cur.take(width.div_ceil(8))?;
        let second = if op == Op::Update { cur.take(width.div_ceil(8))? } else { first };
        let partial = event_kind == kind::PARTIAL_UPDATE;
        Some(Self { op, partial, width, first, second, rows_at: cur.pos(), fills: false })
    }
}
