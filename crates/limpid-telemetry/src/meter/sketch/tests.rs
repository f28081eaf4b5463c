//! Columns as they are measured, over batches made here.
//!
//! Owns: the batches, and what is told of them. Does not own: the arithmetic of one window or one measure (`window`,
//! `baseline`, `distinct`).
//!
//! Invariant: expected figures are counted in the rows, never taken from the sketches.

use limpid_model::{Cell, CellKind, Column, LogicalType, PipelineName, RowHeader, ShownColumn, ShownTable, Target};

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
        let column = |index| Column { name: format!("c{index}").into(), logical: logical.clone(), nullable, tinyint1 };
        let columns = (0..columns).map(column).collect();
        let name = TableName::new("s", "t");
        let version = Arc::new(TableSchema { name, version: 1, columns, key: [].into(), key_seed: 0 });
        Self { registry, meter, version, seq: 0 }
    }

    /// A batch of rows of one column of numbers and one of text, which is NULL where it is empty.
    fn look(&mut self, op: Op, rows: &[(i64, &str)]) -> Vec<Drift> {
        let batch = self.batch(op, rows);
        self.meter.look(&batch)
    }

    fn batch(&mut self, op: Op, rows: &[(i64, &str)]) -> Batch {
        let mut batch = Batch { seq: self.seq, tables: vec![Arc::clone(&self.version)], ..Batch::default() };
        self.seq += 1;
        let mut counts = [0; Op::COUNT];
        counts[op as usize] = rows.len() as u32;
        batch.counts.push(counts);
        for (number, text) in rows {
            let at = batch.cells.len() as u32;
            let (before, after) = if op == Op::Delete { (at, NONE) } else { (NONE, at) };
            let (event, row_in_event, txn, table) = (0, 0, 0, 0);
            batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table, op });
            batch.cells.push(Cell::int(CellKind::Int, *number));
            let text_at = batch.arena.len() as u64;
            batch.arena.extend_from_slice(text.as_bytes());
            let cell = Cell::arena(CellKind::Text, text_at, text.len() as u32, 0);
            batch.cells.push(if text.is_empty() { Cell::NULL } else { cell });
            batch.cells.extend(self.version.columns.iter().skip(2).map(|_| Cell::NULL));
        }
        batch
    }

    /// An even stream for so long that everything is told of, then one in which columns are not as usual.
    fn drift(&mut self) {
        for round in 0..20 {
            assert_eq!(self.look(Op::Insert, &rows(round * 100, 100, 10)), [], "{round}");
        }
        let told = self.look(Op::Insert, &rows(0, 100, 60));
        assert_eq!(
            told.iter().map(|drift| (&*drift.column, drift.measure)).collect::<Vec<_>>(),
            [("c1", "null_ratio")]
        );
        assert_eq!(self.samples("limpid_quality_drifting_columns{"), ["pipeline=\"shop\"} 1"]);
    }

    /// The table's next version, with so many columns of the present ones.
    fn alter(&mut self, columns: usize) {
        let mut next = TableSchema::clone(&self.version);
        next.version += 1;
        next.columns.truncate(columns);
        self.version = Arc::new(next);
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
        let (event, row_in_event, txn, before, after, table, op) = (0, 0, 0, NONE, 0, 0, Op::Insert);
        batch.rows.push(RowHeader { event, row_in_event, txn, before, after, table, op });
        assert_eq!(desk.meter.look(&batch), []);
        let fresh = TableSchema { version: desk.version.version + 1, ..TableSchema::clone(&desk.version) };
        desk.version = Arc::new(fresh);
    }
    assert_eq!(desk.meter.sketched().unwrap().1.len(), COLUMNS_MAX);
    assert_eq!(desk.samples("limpid_folded_labels_total{"), ["pipeline=\"shop\",label=\"sketch\"} 2"]);
}

#[test]
fn a_column_that_is_gone_is_not_odd_any_more() {
    let mut desk = Desk::new(Some(EVERY), 2);
    desk.drift();
    let before = desk.batch(Op::Insert, &rows(0, 40, 40));
    desk.alter(1);
    let mut after = desk.batch(Op::Insert, &[]);
    (after.counts, after.cells) = (vec![[1, 0, 0, 0, 0]], vec![Cell::int(CellKind::Int, 1)]);
    let (event, row_in_event, txn, before_at, at, table) = (0, 0, 0, NONE, 0, 0);
    after.rows.push(RowHeader { event, row_in_event, txn, before: before_at, after: at, table, op: Op::Insert });
    assert_eq!(desk.meter.look(&after), []);
    assert_eq!(desk.samples("limpid_quality_drifting_columns{"), ["pipeline=\"shop\"} 0"]);
    let left: Vec<Arc<str>> = desk.meter.sketched().unwrap().1.into_iter().map(|sketch| sketch.column).collect();
    assert_eq!(left, ["c0".into()]);
    let ratios = desk.samples("limpid_quality_null_ratio{");
    assert!(ratios.len() == 1 && ratios[0].contains("column=\"c0\""), "{ratios:?}");
    // A batch from before it went is late: nothing breaks, and what comes after it sets things right.
    assert_eq!(desk.meter.look(&before), []);
    assert_eq!(desk.meter.look(&after), []);
    assert_eq!(desk.meter.sketched().unwrap().1.len(), 1);
}

#[test]
fn a_table_that_is_gone_is_not_odd_any_more() {
    for (kind, schema, table, is_gone) in [
        (DdlKind::DropTable, "s", "t", true),
        (DdlKind::RenameTable, "s", "t", true),
        (DdlKind::DropDatabase, "s", "", true),
        (DdlKind::DropTable, "s", "other", false),
        (DdlKind::DropDatabase, "other", "", false),
        (DdlKind::AlterTable, "s", "t", false),
        (DdlKind::TruncateTable, "s", "t", false),
    ] {
        let mut desk = Desk::new(Some(EVERY), 2);
        desk.drift();
        let mut batch = Batch { seq: 77, ..Batch::default() };
        batch.control.ddl.push(Definition::anonymous(kind, schema, table));
        assert_eq!(desk.meter.look(&batch), []);
        let away = if is_gone { 0 } else { 1 };
        assert_eq!(
            desk.samples("limpid_quality_drifting_columns{"),
            [format!("pipeline=\"shop\"}} {away}")],
            "{kind:?}"
        );
        assert_eq!(desk.meter.sketched().unwrap().1.is_empty(), is_gone, "{kind:?}");
        // One of that name that comes later begins anew.
        let told = desk.look(Op::Insert, &rows(0, 100, 10));
        assert_eq!(told.len(), if is_gone { 0 } else { 1 }, "{kind:?}");
    }
}

#[test]
fn a_column_of_which_two_measures_are_odd_is_one_column() {
    let mut desk = Desk::new(Some(EVERY), 2);
    (0..20).for_each(|round| assert_eq!(desk.look(Op::Insert, &rows(round * 100, 100, 10)), []));
    let odd: Vec<(i64, &str)> =
        (0..100).map(|row| (row, if row < 50 { "" } else { "as long as never before" })).collect();
    let told = desk.look(Op::Insert, &odd);
    let told: Vec<_> = told.iter().map(|drift| (&*drift.column, drift.measure)).collect();
    assert_eq!(told, [("c1", "null_ratio"), ("c1", "length")]);
    assert_eq!(desk.samples("limpid_quality_drifting_columns{"), ["pipeline=\"shop\"} 1"]);
}

#[test]
fn one_large_batch_is_not_the_whole_of_what_is_usual() {
    let mut desk = Desk::new(Some(EVERY), 2);
    assert_eq!(desk.look(Op::Insert, &rows(0, 10_000, 10_000)), []);
    let column = desk.meter.sketched().unwrap().1.remove(1);
    assert_eq!((column.windows, column.measures[0].last, column.measures[0].usual), (1, Some(1.0), None));
    assert_eq!(desk.samples("limpid_quality_sampled_rows_total{"), ["pipeline=\"shop\"} 100"]);
    // The rows after the window's end are not the beginning of the next one.
    assert_eq!(desk.look(Op::Insert, &rows(0, 100, 0)), []);
    let column = desk.meter.sketched().unwrap().1.remove(1);
    assert_eq!((column.windows, column.measures[0].last), (2, Some(0.0)));
}

#[test]
fn a_column_that_the_transforms_hide_is_not_measured() {
    let mut desk = Desk::new(Some(EVERY), 2);
    let shown = |desk: &Desk, cell: u16| {
        let column = Column { name: "renamed".into(), ..desk.version.columns[usize::from(cell)].clone() };
        let columns = vec![ShownColumn { cell, column, is_blurred: false }];
        Shown::As(Arc::new(ShownTable { columns, target: Target::of(&TableName::new("else", "where")) }))
    };
    let mut batch = desk.batch(Op::Insert, &rows(0, 100, 10));
    batch.shown = vec![Shown::Withheld];
    assert_eq!(desk.meter.look(&batch), []);
    assert_eq!(desk.meter.sketched().unwrap().1, []);
    batch.shown = vec![shown(&desk, 1)];
    assert_eq!(desk.meter.look(&batch), []);
    let [column] = &desk.meter.sketched().unwrap().1[..] else { panic!("one column is shown") };
    assert_eq!((&*column.column, column.measures[0].last), ("c1", Some(0.1)), "under the source's name");
    // Rows that were all rejected claim no room.
    desk.version = Arc::new(TableSchema { name: TableName::new("s", "rejected"), ..TableSchema::clone(&desk.version) });
    let mut rejected = desk.batch(Op::Insert, &rows(0, 1, 0));
    rejected.reject(0, 0);
    assert_eq!(desk.meter.look(&rejected), []);
    assert_eq!(desk.meter.sketched().unwrap().1.len(), 1);
}
