//! `debezium-json`: the records Debezium writes through Kafka's JSON converter without schemas.
//!
//! Owns: which records a row becomes, in which order, and their bytes. Does not own: table constants (`plan`), values
//! (`value`), the source block (`origin`), topic names (`topic`).
//!
//! Invariant: byte-compatible with Debezium 3.5.0.Final but for the deviations listed in `docs/debezium-compat.md`.
//! After warm-up no row allocates or goes through the formatting machinery; a row either becomes all of its records or
//! none.

mod form;
mod options;
mod origin;
mod plan;
mod value;

use std::sync::Arc;

use crate::encoded::{Encode, EncodeTally, EncodedBatch, JsonText, RecordSpan, Span};
use limpid_model::{Batch, Cell, Component, Fault, FaultCode, Oddity, Op, RowHeader, Shown, TableSchema};

pub use options::{
    BigintUnsignedHandling, BinaryHandling, Compat, Connector, DebeziumOptions, DecimalHandling, MessageKey,
    MessageKeyError, SkippedOperations, TimePrecision, TinyInt1,
};

use crate::topic::TopicRegistry;
use origin::Origin;
use plan::{ColumnPlan, TablePlan};
use value::Misfit;

const NEW_KEY: &[u8] = b"__debezium.newkey";
const OLD_KEY: &[u8] = b"__debezium.oldkey";

/// So many table versions are kept compiled before starting afresh: 4,096 tables of 20 columns are 10 MB, and a
/// pipeline of more tables than that recompiles a few microseconds' worth now and then.
const PLANS_MAX: usize = 4096;

/// A span's offsets are 32 bits; what lies beyond has no address.
const BYTES_MAX: usize = u32::MAX as usize;

/// Encodes batches. One a worker; the topic registry is shared by all workers of a pipeline.
pub struct DebeziumEncoder {
    options: DebeziumOptions,
    topics: Arc<TopicRegistry>,
    plans: Vec<TablePlan>,
    /// For each of the batch's tables, its plan.
    slots: Vec<Slot>,
    origin: Origin,
    /// Columns of the row in hand whose values lost something; empty between rows.
    odd: Vec<(u16, Oddity)>,
}

/// Every operation, at its own number.
const OPS: [Op; Op::COUNT] = [Op::Insert, Op::Update, Op::Delete, Op::Truncate, Op::Read];

#[derive(Clone, Copy)]
struct Slot {
    plan: u32,
    /// The table has no topic: nothing of it is written.
    failed: bool,
}

impl DebeziumEncoder {
    pub fn new(options: DebeziumOptions, topics: Arc<TopicRegistry>) -> Self {
        Self { options, topics, plans: Vec::new(), slots: Vec::new(), origin: Origin::new(), odd: Vec::new() }
    }

    /// Finds or compiles the plans of the batch's tables and fills `topics`.
    fn prepare(&mut self, out: &mut EncodedBatch, tally: &mut EncodeTally) {
        if self.plans.len() + out.batch.tables.len() > PLANS_MAX {
            self.plans.clear();
        }
        self.slots.clear();
        for (index, schema) in out.batch.tables.iter().enumerate() {
            let plan = self.plan_for(schema, out.batch.shown(index));
            let known = &self.plans[plan];
            let failed = match &known.topic {
                Ok(topic) => {
                    out.topics.push(Some(Arc::clone(topic)));
                    false
                }
                Err(why) => {
                    out.topics.push(None);
                    tally.table_faults.extend(why.fault(schema).map(|fault| (index as u16, fault)));
                    true
                }
            };
            self.slots.push(Slot { plan: plan as u32, failed });
        }
    }

    /// How a table version is shown is always the same, so that its address tells it too.
    fn plan_for(&mut self, schema: &Arc<TableSchema>, shown: &Shown) -> usize {
        if let Some(known) = self.plans.iter().position(|plan| Arc::ptr_eq(&plan.schema, schema)) {
            return known;
        }
        self.plans.push(TablePlan::compile(schema, shown, &self.options, &self.topics));
        self.plans.len() - 1
    }
}

impl Encode for DebeziumEncoder {
    fn encode(&mut self, out: &mut EncodedBatch, now_micros: i64, tally: &mut EncodeTally) {
        self.prepare(out, tally);
        self.origin.begin_batch(now_micros);
        let EncodedBatch { batch, bytes, records, headers, topics: _, sent_bytes: _ } = out;
        let mut pen = Pen {
            batch,
            bytes,
            records,
            headers,
            origin: &mut self.origin,
            tombstones: self.options.tombstones,
            skipped: self.options.skipped_operations,
            names: None,
            odd: &mut self.odd,
            more: &mut tally.more_records,
        };
        for (index, row) in batch.runs().flat_map(|run| run.clone().zip(&batch.rows[run])) {
            let slot = &self.slots[row.table as usize];
            if slot.failed {
                continue;
            }
            let plan = &self.plans[slot.plan as usize];
            let mark = pen.mark();
            let result = pen.row(plan, index as u32, row);
            let too_large = pen.bytes.len() > BYTES_MAX;
            if result.is_ok() && !too_large {
                if !pen.odd.is_empty() {
                    pen.odd.drain(..).for_each(|(column, why)| tally.odd.add(row.table, column, why, 1));
                }
                continue;
            }
            pen.rewind(mark, row.table);
            let fault = match result {
                Err(misfit) => unencodable(&plan.schema, misfit),
                Ok(()) => Fault::new(
                    FaultCode::RecordTooLarge,
                    Component::Scheduler,
                    "the records of one batch exceed 4 GiB at this row",
                )
                .about(plan.schema.name.to_string()),
            };
            tally.row_faults.push((index as u32, fault));
            let (key, value) = (Span::NULL, Span::NULL);
            pen.records.push(RecordSpan { key, value, headers: (0, 0), table: row.table, row: index as u32 });
        }
        tally.skipped = OPS.map(|op| self.options.skipped_operations.contains(op));
    }

    fn json_text(&self) -> JsonText {
        JsonText::Debezium
    }
}

fn unencodable(schema: &TableSchema, misfit: Misfit) -> Fault {
    let column = schema.columns.get(misfit.column as usize).map_or("?", |column| &*column.name);
    Fault::new(FaultCode::RowUnencodable, Component::Scheduler, misfit.what)
        .about(format!("{}, column {column}", schema.name))
}

/// What the loop over rows writes with.
struct Pen<'a> {
    batch: &'a Batch,
    bytes: &'a mut Vec<u8>,
    records: &'a mut Vec<RecordSpan>,
    headers: &'a mut Vec<(Span, Span)>,
    origin: &'a mut Origin,
    tombstones: bool,
    skipped: SkippedOperations,
    /// The two header names, once they stand in `bytes`.
    names: Option<[Span; 2]>,
    /// What the row in hand lost.
    odd: &'a mut Vec<(u16, Oddity)>,
    /// See [`EncodeTally::more_records`].
    more: &'a mut Vec<u32>,
}

struct Mark {
    bytes: usize,
    records: usize,
    headers: usize,
    names: Option<[Span; 2]>,
}

impl Pen<'_> {
    #[inline]
    fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), records: self.records.len(), headers: self.headers.len(), names: self.names }
    }

    /// Takes back what a row wrote before it failed.
    fn rewind(&mut self, mark: Mark, table: u16) {
        if let Some(more) = self.more.get_mut(usize::from(table)) {
            *more -= (self.records.len() - mark.records).saturating_sub(1) as u32;
        }
        self.bytes.truncate(mark.bytes);
        self.records.truncate(mark.records);
        self.headers.truncate(mark.headers);
        self.odd.clear();
        self.names = mark.names;
    }

    #[inline]
    fn row(&mut self, plan: &TablePlan, index: u32, row: &RowHeader) -> Result<(), Misfit> {
        if self.skipped.contains(row.op) {
            return Ok(());
        }
        let columns = plan.schema.columns.len();
        let batch = self.batch;
        let before = batch.image(row.before, columns);
        let after = batch.image(row.after, columns);
        match row.op {
            Op::Insert | Op::Read => {
                let key = self.key(plan, after, &[])?;
                let op = if row.op == Op::Insert { b'c' } else { b'r' };
                self.record(plan, index, row, key, (&[], after), op, (0, 0))
            }
            Op::Update if self.key_changed(plan, before, after)? => self.key_change(plan, index, row, before, after),
            Op::Update => {
                let key = self.key(plan, after, before)?;
                self.record(plan, index, row, key, (before, after), b'u', (0, 0))
            }
            Op::Delete => {
                let key = self.key(plan, before, &[])?;
                self.record(plan, index, row, key, (before, &[]), b'd', (0, 0))?;
                self.tombstone(index, row, key, (0, 0));
                Ok(())
            }
            Op::Truncate => self.record(plan, index, row, Span::NULL, (&[], &[]), b't', (0, 0)),
        }
    }

    /// A row that got another key is a delete of the old one and a create of the new one, each naming the other.
    #[inline(never)]
    fn key_change(
        &mut self,
        plan: &TablePlan,
        index: u32,
        row: &RowHeader,
        before: &[Cell],
        after: &[Cell],
    ) -> Result<(), Misfit> {
        let [new_name, old_name] = self.header_names();
        let old_key = self.key(plan, before, after)?;
        let new_key = self.key(plan, after, before)?;
        let first = self.headers.len() as u32;
        self.headers.push((new_name, new_key));
        self.headers.push((old_name, old_key));
        self.record(plan, index, row, old_key, (before, &[]), b'd', (first, 1))?;
        self.tombstone(index, row, old_key, (first, 1));
        self.record(plan, index, row, new_key, (&[], after), b'c', (first + 1, 1))?;
        self.one_more(row.table);
        Ok(())
    }

    /// The row has a further record.
    fn one_more(&mut self, table: u16) {
        let table = usize::from(table);
        if self.more.len() <= table {
            self.more.resize(table + 1, 0);
        }
        self.more[table] += 1;
    }

    fn header_names(&mut self) -> [Span; 2] {
        if let Some(names) = self.names {
            return names;
        }
        let names = [NEW_KEY, OLD_KEY].map(|name| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(name);
            Span::since(start, self.bytes)
        });
        self.names = Some(names);
        names
    }

    /// True when the two images have different keys. Cells that are equal mean equal keys; cells that differ are
    /// written out and compared, since a value may have more than one cell (a decimal inline and in the arena).
    #[inline]
    fn key_changed(&mut self, plan: &TablePlan, before: &[Cell], after: &[Cell]) -> Result<bool, Misfit> {
        let batch = self.batch;
        let same = plan.key.iter().all(|part| {
            let (old, new) = (before[part.column as usize], after[part.column as usize]);
            same_cell(batch, old, new)
        });
        if same {
            return Ok(false);
        }
        let start = self.bytes.len();
        let old = self.key(plan, before, after)?;
        let new = self.key(plan, after, before)?;
        let text = |span: Span| &self.bytes[span.start as usize..(span.start + span.len) as usize];
        let changed = text(old) != text(new);
        self.bytes.truncate(start);
        Ok(changed)
    }

    /// Writes the key of an image; what the image lacks is taken from `other` (a partial row image has the key in one
    /// of the two).
    #[inline]
    fn key(&mut self, plan: &TablePlan, image: &[Cell], other: &[Cell]) -> Result<Span, Misfit> {
        if plan.key.is_empty() {
            return Ok(Span::NULL);
        }
        let (start, odd) = (self.bytes.len(), self.odd.len());
        for part in &plan.key {
            let at = part.column as usize;
            let mut cell = image[at];
            if !cell.is_value() && cell != Cell::NULL {
                cell = *other
                    .get(at)
                    .filter(|cell| cell.is_value())
                    .ok_or(Misfit { column: part.column, what: "the row image lacks a column of the record's key" })?;
            }
            part.prefix.put(self.bytes);
            let column = &plan.columns[usize::from(part.shown)];
            value::put(self.bytes, self.batch, column, part.column, cell, self.odd)?;
        }
        // The image that the key is taken from tells of it.
        self.odd.truncate(odd);
        self.bytes[start] = b'{';
        self.bytes.push(b'}');
        Ok(Span::since(start, self.bytes))
    }

    /// Writes one value and adds its record.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the parts of one record; a struct would be built for one call")]
    fn record(
        &mut self,
        plan: &TablePlan,
        index: u32,
        row: &RowHeader,
        key: Span,
        (before, after): (&[Cell], &[Cell]),
        op: u8,
        headers: (u32, u16),
    ) -> Result<(), Misfit> {
        let start = self.bytes.len();
        if before.is_empty() {
            plan.no_before.put(self.bytes);
        } else {
            self.bytes.extend_from_slice(b"{\"before\":");
            self.image(plan, before)?;
            self.bytes.extend_from_slice(b",\"after\":");
        }
        if after.is_empty() {
            self.bytes.extend_from_slice(b"null");
        } else {
            self.image(plan, after)?;
        }
        self.origin.put(self.bytes, self.batch, plan, row, op);
        let value = Span::since(start, self.bytes);
        self.records.push(RecordSpan { key, value, headers, table: row.table, row: index });
        Ok(())
    }

    fn tombstone(&mut self, index: u32, row: &RowHeader, key: Span, headers: (u32, u16)) {
        if self.tombstones {
            self.records.push(RecordSpan { key, value: Span::NULL, headers, table: row.table, row: index });
            self.one_more(row.table);
        }
    }

    #[inline]
    fn columns<'c>(&mut self, columns: impl Iterator<Item = (&'c ColumnPlan, &'c Cell)>) -> Result<(), Misfit> {
        for (column, cell) in columns {
            if *cell == Cell::ABSENT {
                continue;
            }
            column.prefix.put(self.bytes);
            value::put(self.bytes, self.batch, column, column.cell, *cell, self.odd)?;
        }
        Ok(())
    }

    /// Writes one row image. Each prefix begins with a comma; the first one becomes the brace.
    #[inline]
    fn image(&mut self, plan: &TablePlan, cells: &[Cell]) -> Result<(), Misfit> {
        let start = self.bytes.len();
        if plan.is_whole {
            self.columns(plan.columns.iter().zip(cells))?;
        } else {
            self.columns(plan.columns.iter().map(|column| (column, &cells[usize::from(column.cell)])))?;
        }
        match self.bytes.get_mut(start) {
            Some(first) => *first = b'{',
            None => self.bytes.push(b'{'),
        }
        self.bytes.push(b'}');
        Ok(())
    }
}

/// True for cells that surely hold the same value. Where a cell's bytes are does not matter, what they are does.
#[inline]
fn same_cell(batch: &Batch, old: Cell, new: Cell) -> bool {
    use limpid_model::Place::{Absent, Arena, Inline, Null, Raw, Unchanged};
    match (old.place(), new.place()) {
        // An image that lacks the column says that it did not change.
        (Absent | Unchanged, _) | (_, Absent | Unchanged) => true,
        (Null, Null) => true,
        (Inline, Inline) => old.bits() == new.bits() && old.kind() == new.kind(),
        (Raw | Arena, Raw | Arena) => old.kind() == new.kind() && batch.bytes(old) == batch.bytes(new),
        (Null | Inline | Raw | Arena, _) => false,
    }
}
