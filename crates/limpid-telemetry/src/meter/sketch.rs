//! What a table's columns usually look like, of a sample of its rows.
//!
//! Owns: which batches are sampled, which of their rows, the bound on columns. Does not own: a table's windows and series
//! (`table`), one column's window (`window`), what is usual (`baseline`), log lines (`events`).
//!
//! Invariant: rows of a batch that is not sampled are not looked at. Every window of a table has the same number of rows,
//! so that windows compare, and no two end in one batch, so that what is usual is no one statement's doing. Copied rows are
//! left out: they are the table's past, not what the stream brings. Only columns that are shown behind the transforms are
//! measured.

mod baseline;
mod distinct;
mod table;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use limpid_model::{Batch, DdlKind, Definition, NONE, Op, Shown, TableName, TableSchema};

use super::names::{ByVersion, TableNames};
use crate::catalogue::{FOLDED_LABELS_TOTAL, OTHER, QUALITY_DRIFTING_COLUMNS, QUALITY_SAMPLED_ROWS_TOTAL};
use crate::registry::Registry;
use table::Table;

/// Columns that are measured, over all tables: some 800 bytes each, so 1.6 MiB. Those beyond are counted as folded.
const COLUMNS_MAX: usize = 2048;

/// Columns beyond the bound whose names are remembered, so that each is counted once.
const FOLDED_MAX: usize = 4096;

/// How closely rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SketchOptions {
    /// One batch in so many is sampled.
    pub one_in: u64,
    /// So many sampled rows of a table are compared with those before.
    pub window_rows: u32,
}

/// A column that is no longer as usual, or is again.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    pub table: TableName,
    pub column: Arc<str>,
    pub measure: &'static str,
    /// The baseline before this window.
    pub usual: f64,
    /// The window's.
    pub now: f64,
    pub is_back: bool,
}

/// One column as it was last measured.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSketch {
    pub table: TableName,
    pub column: Arc<str>,
    /// Windows of its table that are over.
    pub windows: u64,
    pub measures: Vec<Measure>,
}

/// One measure of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    pub name: &'static str,
    /// In the last window that had enough of it.
    pub last: Option<f64>,
    /// `None` during the warm-up.
    pub usual: Option<f64>,
    pub is_away: bool,
}

pub(super) struct Sketches {
    options: SketchOptions,
    /// Locked once a sampled batch by the workers, and where tables go.
    inner: Mutex<Inner>,
}

struct Inner {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    names: Arc<TableNames>,
    versions: ByVersion<Option<Place>>,
    places: HashMap<TableName, usize>,
    tables: Vec<Table>,
    folded: HashSet<(TableName, Arc<str>)>,
    /// The gauge has how many columns are not as usual.
    is_told: bool,
}

/// Where a table version's columns are measured.
#[derive(Clone)]
struct Place {
    table: usize,
    /// Of the table's columns when it was bound.
    generation: u32,
    /// By cell: index into the table's columns.
    columns: Arc<[Option<usize>]>,
}

impl Sketches {
    pub(super) fn new(
        registry: &Arc<Registry>,
        pipeline: &str,
        names: Arc<TableNames>,
        options: SketchOptions,
    ) -> Self {
        let inner = Inner {
            registry: Arc::clone(registry),
            pipeline: pipeline.into(),
            names,
            versions: ByVersion::default(),
            places: HashMap::new(),
            tables: Vec::new(),
            folded: HashSet::new(),
            is_told: true,
        };
        Self { options, inner: Mutex::new(inner) }
    }

    pub(super) fn options(&self) -> SketchOptions {
        self.options
    }

    /// Looks at the rows of a decoded batch, if it is one of those sampled.
    pub(super) fn look(&self, batch: &Batch) -> Vec<Drift> {
        // Spread evenly, but not in step with anything that comes every so many batches.
        let spread = batch.seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let is_sampled = spread.is_multiple_of(self.options.one_in) && !batch.is_copy() && !batch.rows.is_empty();
        if !is_sampled && batch.control.ddl.is_empty() {
            return Vec::new();
        }
        let mut inner = self.inner.lock().expect("never held across a panic");
        inner.forget(&batch.control.ddl);
        let drifts = if is_sampled { inner.look(batch, self.options.window_rows) } else { Vec::new() };
        inner.tell();
        drifts
    }

    pub(super) fn all(&self) -> Vec<ColumnSketch> {
        let inner = self.inner.lock().expect("never held across a panic");
        let mut all: Vec<ColumnSketch> = inner.tables.iter().flat_map(Table::sketches).collect();
        all.sort_by(|a, b| (&a.table, &a.column).cmp(&(&b.table, &b.column)));
        all
    }
}

impl Inner {
    fn look(&mut self, batch: &Batch, window_rows: u32) -> Vec<Drift> {
        let seen = |counts: [u32; Op::COUNT]| counts[Op::Insert as usize] + counts[Op::Update as usize] > 0;
        let tables = batch.tables.iter().zip(&batch.counts).enumerate();
        let place = |(index, (version, _)): (usize, (&Arc<TableSchema>, _))| {
            let is_there = seen(batch.passed(index)) && *batch.shown(index) != Shown::Withheld;
            is_there.then(|| self.place(version, batch.shown(index))).flatten()
        };
        let mut places: Vec<Option<Place>> = tables.map(place).collect();
        // A later version in the same batch may have fewer columns: rows from before are passed over.
        for place in &mut places {
            place.take_if(|place| place.generation != self.tables[place.table].generation());
        }
        let (mut drifts, mut sampled) = (Vec::new(), 0);
        for row in batch.runs().flat_map(|run| &batch.rows[run]).filter(|row| row.after != NONE) {
            let Some(place) = places.get(usize::from(row.table)).and_then(Option::as_ref) else { continue };
            let table = &mut self.tables[place.table];
            table.add(batch, batch.image(row.after, place.columns.len()), &place.columns);
            sampled += 1;
            if table.rows() == window_rows {
                table.close(&self.registry, &self.pipeline, &mut drifts);
                self.is_told = false;
                let over = place.table;
                places.iter_mut().for_each(|place| drop(place.take_if(|place| place.table == over)));
            }
        }
        if sampled > 0 {
            self.registry.counter(&QUALITY_SAMPLED_ROWS_TOTAL, &[&self.pipeline]).add(sampled);
        }
        drifts
    }

    /// Where the columns of a table version are measured; `None` for a table that has no series of its own.
    fn place(&mut self, version: &Arc<TableSchema>, shown: &Shown) -> Option<Place> {
        let Self { registry, pipeline, names, versions, places, tables, folded, is_told } = self;
        versions.forget_if(version, |place| {
            place.as_ref().is_some_and(|place| place.generation != tables[place.table].generation())
        });
        let bind = |name: &TableName| {
            if names.labels(name).1 == OTHER {
                return None;
            }
            let at = *places.entry(name.clone()).or_insert_with(|| {
                tables.push(Table::new(name.clone()));
                tables.len() - 1
            });
            let columns = shown_columns(version, shown);
            *is_told &= !tables[at].keep(&columns);
            let mut room = COLUMNS_MAX.saturating_sub(tables.iter().map(Table::width).sum());
            let mut column = |column: &Arc<str>| {
                let bound = tables[at].bind(column, &mut room);
                let mut is_new = || folded.len() < FOLDED_MAX && folded.insert((name.clone(), Arc::clone(column)));
                if bound.is_none() && is_new() {
                    registry.counter(&FOLDED_LABELS_TOTAL, &[pipeline, "sketch"]).add(1);
                }
                bound
            };
            let columns = columns.into_iter().map(|shown| shown.and_then(&mut column)).collect();
            Some(Place { table: at, generation: tables[at].generation(), columns })
        };
        versions.get(version, bind).clone()
    }

    /// Whatever was told of tables that are gone is so no more.
    fn forget(&mut self, definitions: &[Definition]) {
        for Definition { kind, schema, table, .. } in definitions {
            let is_all = match kind {
                DdlKind::DropTable | DdlKind::RenameTable => false,
                DdlKind::DropDatabase => true,
                DdlKind::CreateTable
                | DdlKind::AlterTable
                | DdlKind::TruncateTable
                | DdlKind::CreateDatabase
                | DdlKind::Other => continue,
            };
            let is_gone = |name: &TableName| name.schema == *schema && (is_all || name.table == *table);
            for gone in self.tables.iter_mut().filter(|table| is_gone(table.name())) {
                self.is_told &= !gone.keep(&[]);
            }
        }
    }

    /// Tells how many columns are not as usual, where that may have changed.
    fn tell(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            let away: usize = self.tables.iter().map(Table::away).sum();
            self.registry.gauge(&QUALITY_DRIFTING_COLUMNS, &[&self.pipeline]).set(away as f64);
        }
    }
}

/// The columns of a table version that are shown, each at its cell: under the source's names, as the table itself.
fn shown_columns<'a>(version: &'a TableSchema, shown: &Shown) -> Vec<Option<&'a Arc<str>>> {
    let mut names: Vec<_> = version.columns.iter().map(|column| Some(&column.name)).collect();
    if let Shown::As(table) = shown {
        let mut is_shown = vec![false; names.len()];
        table.columns.iter().for_each(|column| is_shown[usize::from(column.cell)] = true);
        names.iter_mut().zip(is_shown).for_each(|(name, is_shown)| *name = name.filter(|_| is_shown));
    }
    names
}

#[cfg(test)]
mod tests;
