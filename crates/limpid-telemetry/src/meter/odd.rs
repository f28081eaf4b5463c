//! Values that were not delivered as they are stored, by table, column and reason.
//!
//! Owns: the counters' series, the bound on columns. Does not own: what is odd (decoders and encoders).
//!
//! Invariant: touched once a batch that has odd values, per column and reason; a value beyond a bound is counted under
//! `__other__`, never dropped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use limpid_model::{Batch, OddValues, Oddity};

use super::names::{ByVersion, TableNames};
use crate::catalogue::{COERCED_VALUES_TOTAL, FOLDED_LABELS_TOTAL, OTHER, QUALITY_VALUES_TOTAL};
use crate::instruments::Counter;
use crate::registry::Registry;

/// Columns of one table with odd values that have series of their own. With 200 tables and a reason each they are
/// 12,800 at the very most; the registry's bound on label sets is below that, and tells too.
const COLUMNS_MAX: usize = 64;

/// One count, for the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddTotal {
    pub schema: Box<str>,
    pub table: Box<str>,
    pub column: Box<str>,
    pub why: Oddity,
    /// Since the process began.
    pub values: u64,
}

/// Schema, table and column as labels name them, and the reason.
type Labels = (Box<str>, Box<str>, Box<str>, Oddity);

pub(super) struct Odd {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    tables: Arc<TableNames>,
    /// What is bound for a table version: its column and the reason.
    versions: ByVersion<HashMap<(u16, Oddity), Arc<Counter>>>,
    bound: BTreeMap<Labels, Arc<Counter>>,
    /// By schema and table as labels name them: the columns with names of their own, and those beyond the bound.
    columns: HashMap<(Box<str>, Box<str>), Columns>,
}

#[derive(Default)]
struct Columns {
    named: HashSet<Box<str>>,
    folded: HashSet<Box<str>>,
}

impl Odd {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str, tables: Arc<TableNames>) -> Self {
        Self {
            registry: Arc::clone(registry),
            pipeline: pipeline.into(),
            tables,
            versions: ByVersion::default(),
            bound: BTreeMap::new(),
            columns: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, batch: &Batch, odd: &OddValues) {
        let Self { registry, pipeline, tables, versions, bound, columns } = self;
        for count in odd.counts() {
            let Some(version) = batch.tables.get(usize::from(count.table)) else { continue };
            let known = versions.get(version, |_| HashMap::new());
            let counter = known.entry((count.column, count.why)).or_insert_with(|| {
                let (schema, table) = tables.labels(&version.name);
                let column = version.columns.get(usize::from(count.column)).map_or("?", |column| &*column.name);
                let here = columns.entry((schema.into(), table.into())).or_default();
                let column = match table {
                    OTHER => OTHER,
                    _ => here.label(column, || registry.counter(&FOLDED_LABELS_TOTAL, &[pipeline, "column"]).add(1)),
                };
                let labels = [&**pipeline, schema, table, column, count.why.word()];
                let key = (schema.into(), table.into(), column.into(), count.why);
                let make = || registry.counter(&QUALITY_VALUES_TOTAL, &labels);
                Arc::clone(bound.entry(key).or_insert_with(make))
            });
            counter.add(count.values);
            if let Some(kind) = kind(count.why) {
                registry.counter(&COERCED_VALUES_TOTAL, &[pipeline, kind]).add(count.values);
            }
        }
    }

    pub(super) fn totals(&self) -> Vec<OddTotal> {
        let total = |((schema, table, column, why), counter): (&Labels, &Arc<Counter>)| OddTotal {
            schema: schema.clone(),
            table: table.clone(),
            column: column.clone(),
            why: *why,
            values: counter.get(),
        };
        self.bound.iter().map(total).collect()
    }
}

/// Columns beyond the bound whose names are remembered, so that each is counted once.
const FOLDED_MAX: usize = 1024;

impl Columns {
    /// The column's label; `fold` is called for each column that has none of its own, once.
    fn label<'a>(&mut self, column: &'a str, fold: impl FnOnce()) -> &'a str {
        if self.named.contains(column) {
            return column;
        }
        if self.named.len() < COLUMNS_MAX {
            self.named.insert(column.into());
            return column;
        }
        if self.folded.len() < FOLDED_MAX && self.folded.insert(column.into()) {
            fold();
        }
        OTHER
    }
}

/// Under which the pipeline as a whole counts it; `None` where nothing was lost.
const fn kind(why: Oddity) -> Option<&'static str> {
    match why {
        Oddity::ImpossibleDate => Some("impossible_date"),
        Oddity::MalformedText | Oddity::UnmappedText => Some("malformed_text"),
        Oddity::OutOfRange | Oddity::Truncated | Oddity::UnsignedWrap | Oddity::NotFinite => Some("unrepresentable"),
        Oddity::JsonPartial | Oddity::SchemaDisagreement => None,
    }
}

#[cfg(test)]
mod tests {
    use limpid_model::{Column, LogicalType, PipelineName, TableName, TableSchema};

    use super::*;
    use crate::exposition::Format;
    use crate::meter::{MeterOptions, PipelineMeter};
    use crate::moment::Moment;
    use crate::registry::Build;

    fn desk(tables_max: usize) -> (Arc<Registry>, PipelineMeter) {
        let registry = Arc::new(Registry::new(Build { version: "1", commit: "a" }));
        let options = MeterOptions { tables_max, ..MeterOptions::default() };
        let meter = PipelineMeter::new(&registry, &PipelineName::parse("shop").unwrap(), options);
        (registry, meter)
    }

    fn batch(table: &str, version: u32, columns: usize) -> Batch {
        let name = TableName::new("s", table);
        let column = |index| Column {
            name: format!("c{index}").into(),
            logical: LogicalType::Text,
            nullable: true,
            tinyint1: false,
        };
        let key_seed = limpid_model::key_seed(&name);
        let columns = (0..columns).map(column).collect();
        let schema = TableSchema { name, version, columns, key: [].into(), key_seed };
        Batch { tables: vec![Arc::new(schema)], ..Batch::default() }
    }

    fn samples(registry: &Registry, name: &str) -> Vec<String> {
        let page = registry.render(Format::Text, Moment { nanos: 0, wall_micros: 0 });
        page.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    }

    fn odd(counts: &[(u16, Oddity, u64)]) -> OddValues {
        let mut odd = OddValues::default();
        counts.iter().for_each(|(column, why, values)| odd.add(0, *column, *why, *values));
        odd
    }

    #[test]
    fn counts_of_a_column_add_up_over_batches_and_versions() {
        let (registry, meter) = desk(200);
        let name = "limpid_quality_values_total";
        meter.odd(&batch("t", 1, 2), &odd(&[]));
        assert_eq!(samples(&registry, name), [""; 0], "no series without an odd value");
        meter.odd(&batch("t", 1, 2), &odd(&[(0, Oddity::ImpossibleDate, 2), (1, Oddity::UnmappedText, 1)]));
        meter.odd(&batch("t", 2, 2), &odd(&[(0, Oddity::ImpossibleDate, 3), (1, Oddity::JsonPartial, 4)]));
        let line = |column: &str, why: &str, values: u64| {
            format!("{{pipeline=\"shop\",schema=\"s\",table=\"t\",column=\"{column}\",reason=\"{why}\"}} {values}")
        };
        let expected =
            [line("c0", "impossible_date", 5), line("c1", "json_partial", 4), line("c1", "unmapped_text", 1)];
        assert_eq!(samples(&registry, name), expected);
        let kinds = ["{pipeline=\"shop\",kind=\"impossible_date\"} 5", "{pipeline=\"shop\",kind=\"malformed_text\"} 1"];
        assert_eq!(samples(&registry, "limpid_coerced_values_total"), kinds, "what was put together lost nothing");
        let totals: Vec<_> = meter.odd_totals().iter().map(|total| (total.column.to_string(), total.values)).collect();
        assert_eq!(totals, [("c0".to_owned(), 5), ("c1".to_owned(), 1), ("c1".to_owned(), 4)]);
    }

    #[test]
    fn columns_and_tables_beyond_their_bounds_are_counted_together_and_told() {
        let (registry, meter) = desk(1);
        let columns = COLUMNS_MAX + 3;
        let wide: Vec<_> = (0..columns as u16).map(|column| (column, Oddity::Truncated, 1)).collect();
        meter.odd(&batch("t", 1, columns), &odd(&wide));
        meter.odd(&batch("t", 2, columns), &odd(&wide));
        meter.odd(&batch("u", 3, 2), &odd(&[(0, Oddity::Truncated, 7), (1, Oddity::Truncated, 1)]));
        let lines = samples(&registry, "limpid_quality_values_total");
        assert_eq!(lines.len(), COLUMNS_MAX + 2);
        let ends = |table: &str, values: u64| {
            let labels = format!("table=\"{table}\",column=\"__other__\",reason=\"truncated\"}} {values}");
            assert!(lines.iter().any(|line| line.ends_with(&labels)), "{labels}: {lines:?}");
        };
        ends("t", 6);
        ends("__other__", 8);
        let folded = samples(&registry, "limpid_folded_labels_total");
        let expected = ["column\"} 3", "table\"} 1"].map(|label| format!("{{pipeline=\"shop\",label=\"{label}"));
        assert_eq!(folded, expected, "each column once, however many versions");
    }
}
