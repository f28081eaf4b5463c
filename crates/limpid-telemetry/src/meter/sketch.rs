//! What a table's columns usually look like, of a sample of its rows.
//!
//! Owns: which batches are sampled, windows, the bound on columns, the series. Does not own: one column's window
//! (`window`), what is usual (`baseline`), log lines (`events`).
//!
//! Invariant: rows of a batch that is not sampled are not looked at. Every window of a table has the same number of rows,
//! so that windows compare. Copied rows are left out: they are the table's past, not what the stream brings.

mod baseline;
mod distinct;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use limpid_model::{Batch, NONE, Op, TableName, TableSchema};

use super::names::{ByVersion, TableNames};
use crate::catalogue::{
    FOLDED_LABELS_TOTAL, Metric, OTHER, QUALITY_DISTINCT_RATIO, QUALITY_DRIFTING_COLUMNS, QUALITY_DRIFTS_TOTAL,
    QUALITY_LENGTH_BYTES, QUALITY_NULL_RATIO, QUALITY_SAMPLED_ROWS_TOTAL,
};
use crate::instruments::Gauge;
use crate::registry::Registry;
use baseline::{Baseline, Measured, Step};
use window::{MEASURES, Window};

/// Columns that are measured, over all tables: some 800 bytes each, so 1.6 MiB. Those beyond are counted as folded.
const COLUMNS_MAX: usize = 2048;

/// Columns beyond the bound whose names are remembered, so that each is counted once.
const FOLDED_MAX: usize = 4096;

const GAUGES: [&Metric; MEASURES.len()] = [&QUALITY_NULL_RATIO, &QUALITY_LENGTH_BYTES, &QUALITY_DISTINCT_RATIO];

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
    /// Locked once a sampled batch by the workers.
    inner: Mutex<Inner>,
}

struct Inner {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    names: Arc<TableNames>,
    versions: ByVersion<Option<Place>>,
    places: HashMap<TableName, usize>,
    tables: Vec<Table>,
    columns: usize,
    folded: HashSet<(TableName, Arc<str>)>,
    away: usize,
}

/// Where a table version's columns are measured.
#[derive(Clone)]
struct Place {
    table: usize,
    /// By cell: index into the table's columns.
    columns: Arc<[Option<usize>]>,
}

struct Table {
    name: TableName,
    /// Rows in the open window.
    rows: u32,
    windows: u64,
    columns: Vec<Column>,
}

struct Column {
    name: Arc<str>,
    window: Window,
    measures: [(Baseline, Option<Arc<Gauge>>); MEASURES.len()],
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
            columns: 0,
            folded: HashSet::new(),
            away: 0,
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
        if !spread.is_multiple_of(self.options.one_in) || batch.is_copy() || batch.rows.is_empty() {
            return Vec::new();
        }
        self.inner.lock().expect("never held across a panic").look(batch, self.options.window_rows)
    }

    pub(super) fn all(&self) -> Vec<ColumnSketch> {
        let inner = self.inner.lock().expect("never held across a panic");
        let measure = |((baseline, gauge), name): (&(Baseline, Option<Arc<Gauge>>), &'static str)| Measure {
            name,
            last: gauge.as_ref().and_then(|gauge| gauge.get()),
            usual: baseline.usual(),
            is_away: baseline.is_away,
        };
        let columns = inner.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        let mut all: Vec<ColumnSketch> = columns
            .map(|(table, column)| ColumnSketch {
                table: table.name.clone(),
                column: Arc::clone(&column.name),
                windows: table.windows,
                measures: column.measures.iter().zip(MEASURES).map(measure).collect(),
            })
            .collect();
        all.sort_by(|a, b| (&a.table, &a.column).cmp(&(&b.table, &b.column)));
        all
    }
}

impl Inner {
    fn look(&mut self, batch: &Batch, window_rows: u32) -> Vec<Drift> {
        let seen = |counts: &[u32; Op::COUNT]| counts[Op::Insert as usize] + counts[Op::Update as usize] > 0;
        let tables = batch.tables.iter().zip(&batch.counts);
        let places: Vec<Option<Place>> =
            tables.map(|(version, counts)| seen(counts).then(|| self.place(version)).flatten()).collect();
        let (mut drifts, mut sampled) = (Vec::new(), 0);
        for row in batch.runs().flat_map(|run| &batch.rows[run]).filter(|row| row.after != NONE) {
            let Some(place) = places.get(usize::from(row.table)).and_then(Option::as_ref) else { continue };
            let table = &mut self.tables[place.table];
            for (cell, column) in batch.image(row.after, place.columns.len()).iter().zip(&*place.columns) {
                if let Some(column) = column {
                    table.columns[*column].window.add(batch, *cell);
                }
            }
            sampled += 1;
            table.rows += 1;
            if table.rows == window_rows {
                self.close(place.table, &mut drifts);
            }
        }
        if sampled > 0 {
            self.registry.counter(&QUALITY_SAMPLED_ROWS_TOTAL, &[&self.pipeline]).add(sampled);
        }
        drifts
    }

    /// Where the columns of a table version are measured; `None` for a table that has no series of its own.
    fn place(&mut self, version: &Arc<TableSchema>) -> Option<Place> {
        let Self { registry, pipeline, names, versions, places, tables, columns, folded, .. } = self;
        let bind = |name: &TableName| {
            if names.labels(name).1 == OTHER {
                return None;
            }
            let at = *places.entry(name.clone()).or_insert_with(|| {
                tables.push(Table { name: name.clone(), rows: 0, windows: 0, columns: Vec::new() });
                tables.len() - 1
            });
            let table = &mut tables[at];
            let column = |column: &limpid_model::Column| {
                let known = table.columns.iter().position(|known| known.name == column.name);
                if known.is_some() {
                    return known;
                }
                if *columns == COLUMNS_MAX {
                    if folded.len() < FOLDED_MAX && folded.insert((name.clone(), Arc::clone(&column.name))) {
                        registry.counter(&FOLDED_LABELS_TOTAL, &[pipeline, "sketch"]).add(1);
                    }
                    return None;
                }
                *columns += 1;
                let (name, window) = (Arc::clone(&column.name), Window::default());
                table.columns.push(Column { name, window, measures: Default::default() });
                Some(table.columns.len() - 1)
            };
            Some(Place { table: at, columns: version.columns.iter().map(column).collect() })
        };
        versions.get(version, bind).clone()
    }

    /// Compares a table's window with those before, and begins the next one.
    fn close(&mut self, table: usize, drifts: &mut Vec<Drift>) {
        let Self { registry, pipeline, tables, away, .. } = self;
        let Table { name, rows, windows, columns } = &mut tables[table];
        (*rows, *windows) = (0, *windows + 1);
        for column in columns {
            let measured = column.window.measures();
            column.window.clear();
            for (index, (measured, (baseline, gauge))) in measured.into_iter().zip(&mut column.measures).enumerate() {
                let Some(Measured { value, .. }) = measured else { continue };
                let labels = [&**pipeline, &*name.schema, &*name.table, &*column.name];
                gauge.get_or_insert_with(|| registry.gauge(GAUGES[index], &labels)).set(value);
                let usual = baseline.usual();
                let is_back = match measured.map(|measured| baseline.step(measured)) {
                    Some(Step::Left) => false,
                    Some(Step::Back) => true,
                    Some(Step::Learning | Step::Usual | Step::StillAway) | None => continue,
                };
                let measure = MEASURES[index];
                if is_back {
                    *away -= 1;
                } else {
                    *away += 1;
                    let [pipeline, schema, table, column] = labels;
                    registry.counter(&QUALITY_DRIFTS_TOTAL, &[pipeline, schema, table, column, measure]).add(1);
                }
                let (table, column) = (name.clone(), Arc::clone(&column.name));
                drifts.push(Drift { table, column, measure, usual: usual.unwrap_or(value), now: value, is_back });
            }
        }
        registry.gauge(&QUALITY_DRIFTING_COLUMNS, &[pipeline]).set(*away as f64);
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::{Cell, CellKind, Column as Definition, LogicalType, PipelineName, RowHeader};

    use super::*;
    use crate::exposition::Format;
    use crate::meter::{MeterOptions, PipelineMeter};
    use crate::moment::Moment;
    use crate::registry::Build;

    struct Desk {
        registry: Arc<Registry>,
        meter: PipelineMeter,
        version: Arc<TableSchema>,
        seq: u64,
    }

    impl Desk {
        fn new(options: Option<SketchOptions>, columns: usize) -> Self {
            let registry = Arc::new(Registry::new(Build { version: "1", commit: "a" }));
            let name = PipelineName::parse("shop").unwrap();
            let meter = PipelineMeter::new(&registry, &name, MeterOptions::default());
            if let Some(options) = options {
                meter.sketch(options);
            }
            let (logical, nullable, tinyint1) = (LogicalType::Text, true, false);
            let column =
                |index| Definition { name: format!("c{index}").into(), logical: logical.clone(), nullable, tinyint1 };
            let columns = (0..columns).map(column).collect();
            let name = TableName::new("s", "t");
            let version = Arc::new(TableSchema { name, version: 1, columns, key: [].into(), key_seed: 0 });
            Self { registry, meter, version, seq: 0 }
        }

        /// A batch of rows of one column of numbers and one of text, which is NULL where it is empty.
        fn look(&mut self, op: Op, rows: &[(i64, &str)]) -> Vec<Drift> {
            let mut batch = Batch { seq: self.seq, tables: vec![Arc::clone(&self.version)], ..Batch::default() };
            self.seq += 1;
            let mut counts = [0; Op::COUNT];
            counts[op as usize] = rows.len() as u32;
            batch.counts.push(counts);
            for (number, text) in rows {
                let at = batch.cells.len() as u32;
                let (before, after) = if op == Op::Delete { (at, NONE) } else { (NONE, at) };
                let (key_hash, event, row_in_event, txn, table) = (0, 0, 0, 0, 0);
                batch.rows.push(RowHeader { key_hash, event, row_in_event, txn, before, after, table, op });
                batch.cells.push(Cell::int(CellKind::Int, *number));
                let text_at = batch.arena.len() as u64;
                batch.arena.extend_from_slice(text.as_bytes());
                let cell = Cell::arena(CellKind::Text, text_at, text.len() as u32, 0);
                batch.cells.push(if text.is_empty() { Cell::NULL } else { cell });
            }
            self.meter.look(&batch)
        }

        fn samples(&self, name: &str) -> Vec<String> {
            let page = self.registry.render(Format::Text, Moment { nanos: 0, wall_micros: 0 });
            page.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
        }
    }

    const EVERY: SketchOptions = SketchOptions { one_in: 1, window_rows: 100 };

    /// So many rows, the first part of which has no text.
    fn rows(first: i64, count: i64, nulls: i64) -> Vec<(i64, &'static str)> {
        (0..count)
            .map(|row| (first + row, if row < nulls { "" } else { ["a", "bb", "ccc", "dddd"][row as usize % 4] }))
            .collect()
    }

    #[test]
    fn a_sudden_rise_of_nulls_is_told_once_and_so_is_its_end() {
        let mut desk = Desk::new(Some(EVERY), 2);
        for round in 0..40 {
            assert_eq!(desk.look(Op::Insert, &rows(round * 50, 50, 5)), [], "{round}: an even stream");
            assert_eq!(desk.look(Op::Delete, &rows(0, 500, 500)), [], "what goes is not what comes");
            assert_eq!(desk.look(Op::Read, &rows(0, 500, 500)), [], "nor is what was there before");
        }
        let labels = |column: &str| format!("{{pipeline=\"shop\",schema=\"s\",table=\"t\",column=\"{column}\"}}");
        let value = |desk: &Desk, name: &str, column: &str| {
            let line = desk.samples(&format!("{name}{}", labels(column)));
            line.first().map(|value| value.trim().parse::<f64>().unwrap())
        };
        assert_eq!(value(&desk, "limpid_quality_null_ratio", "c1"), Some(0.1));
        assert_eq!(value(&desk, "limpid_quality_null_ratio", "c0"), Some(0.0));
        // 45 texts a batch, of which 12 are of 2, 11 of 3, 11 of 4 bytes, and 11 of one.
        let exact = (11 + 12 * 2 + 11 * 3 + 11 * 4) as f64 / 45.0;
        let length = value(&desk, "limpid_quality_length_bytes", "c1").unwrap();
        assert!((length - exact).abs() < 0.05, "{length} {exact}");
        assert_eq!(value(&desk, "limpid_quality_length_bytes", "c0"), None, "a number has none");
        let distinct = value(&desk, "limpid_quality_distinct_ratio", "c0").unwrap();
        assert!(distinct > 0.9, "{distinct}");
        let few = value(&desk, "limpid_quality_distinct_ratio", "c1").unwrap();
        assert!((few - 4.0 / 90.0).abs() < 0.01, "{few}");

        let told = desk.look(Op::Update, &rows(5000, 100, 60));
        let [drift] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&*drift.column, drift.measure, drift.is_back), ("c1", "null_ratio", false));
        assert!((drift.usual - 0.1).abs() < 1e-9 && drift.now == 0.6, "{drift:?}");
        assert_eq!(desk.samples("limpid_quality_drifting_columns{"), ["pipeline=\"shop\"} 1"]);
        assert_eq!(desk.look(Op::Insert, &rows(6000, 100, 60)), [], "told once");
        let back = desk.look(Op::Insert, &rows(7000, 100, 10));
        assert_eq!(back.iter().map(|drift| (drift.measure, drift.is_back)).collect::<Vec<_>>(), [("null_ratio", true)]);
        assert_eq!(desk.samples("limpid_quality_drifting_columns{"), ["pipeline=\"shop\"} 0"]);
        let counted = desk.samples("limpid_quality_drifts_total{");
        assert_eq!(counted, ["pipeline=\"shop\",schema=\"s\",table=\"t\",column=\"c1\",measure=\"null_ratio\"} 1"]);
        assert_eq!(desk.samples("limpid_quality_sampled_rows_total{"), ["pipeline=\"shop\"} 2300"]);
    }

    #[test]
    fn nothing_is_there_where_nobody_asked_for_it() {
        let mut desk = Desk::new(None, 2);
        assert_eq!(desk.look(Op::Insert, &rows(0, 1000, 100)), []);
        assert_eq!(desk.samples("limpid_quality_"), [""; 0]);
        assert_eq!(desk.meter.sketched(), None);
    }

    #[test]
    fn one_batch_in_so_many_is_looked_at() {
        let mut desk = Desk::new(Some(SketchOptions { one_in: 64, window_rows: 16 }), 2);
        (0..6400).for_each(|_| drop(desk.look(Op::Insert, &rows(0, 1, 0))));
        let sampled = desk.samples("limpid_quality_sampled_rows_total{pipeline=\"shop\"} ");
        let sampled: u64 = sampled[0].parse().unwrap();
        assert!((90..=110).contains(&sampled), "{sampled}");
    }

    #[test]
    fn columns_beyond_the_bound_are_not_measured_and_told_once() {
        let mut desk = Desk::new(Some(EVERY), COLUMNS_MAX + 2);
        for _ in 0..2 {
            // Rows of a wide table, of which only the first two cells are told apart here.
            let mut batch = Batch { tables: vec![Arc::clone(&desk.version)], ..Batch::default() };
            batch.counts.push([1, 0, 0, 0, 0]);
            batch.cells = vec![Cell::NULL; COLUMNS_MAX + 2];
            let (key_hash, event, row_in_event, txn, before, after, table, op) = (0, 0, 0, 0, NONE, 0, 0, Op::Insert);
            batch.rows.push(RowHeader { key_hash, event, row_in_event, txn, before, after, table, op });
            assert_eq!(desk.meter.look(&batch), []);
            let fresh = TableSchema { version: desk.version.version + 1, ..TableSchema::clone(&desk.version) };
            desk.version = Arc::new(fresh);
        }
        assert_eq!(desk.meter.sketched().unwrap().1.len(), COLUMNS_MAX);
        assert_eq!(desk.samples("limpid_folded_labels_total{"), ["pipeline=\"shop\",label=\"sketch\"} 2"]);
    }
}
