//! Spans of a kept transaction, made afterwards from the times of its batches.
//!
//! Owns: the tree, times, attributes. Does not own: their names (`names`), the wire (`otlp`).
//!
//! Invariant: a trace has at most 64 spans and says how many it left out; every span's parent is among them, or is the
//! application's. No key and no value is in any.

use limpid_model::{Op, TraceContext, TxnId};

use super::gather::Granularity;
use super::ids::{SpanId, TraceId, trace_id};
use super::keep::{BaseRate, Why};
use super::kept::{Copied, Defined, KeptTrace, Part, PartTable, To};
use super::names;

/// The contract's bound.
const SPANS_MAX: usize = 64;

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace_id: u128,
    pub id: SpanId,
    /// 0 where there is none.
    pub parent: u64,
    pub name: String,
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: i64,
    pub end: i64,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub links: Vec<TraceContext>,
    pub trace_state: String,
    pub is_error: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Client,
    Producer,
    Consumer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Text(String),
    Number(i64),
}

/// What all traces of a pipeline share.
#[derive(Clone, Debug)]
pub struct SpanMaker {
    pub pipeline: String,
    pub granularity: Granularity,
    pub base: BaseRate,
    /// The sink is Kafka: places are topics.
    pub is_kafka: bool,
}

impl SpanMaker {
    /// All spans of a transaction: one trace, or one for each of its changes.
    pub fn spans(&self, kept: &KeptTrace) -> Vec<Span> {
        match self.granularity {
            Granularity::Change if !kept.is_apart() => self.changes(kept),
            Granularity::Transaction | Granularity::Change => self.transaction(kept),
        }
    }

    fn transaction(&self, kept: &KeptTrace) -> Vec<Span> {
        let mut tree = Tree::new(self, kept, kept.id, kept.shown_id(&self.pipeline, self.granularity));
        tree.root(kept);
        tree.definitions(kept);
        match &kept.copied {
            Some(copied) => tree.chunk(kept, copied),
            None => kept.parts.iter().for_each(|part| tree.stages(part, part.rows_before)),
        }
        let attempts = kept.tries.len() as u64 + 1;
        for (index, tried) in kept.tries.iter().enumerate() {
            tree.push(names::OUTPUT, (0, index as u64 + 1), tried.sent..tried.failed, |span| {
                (span.kind, span.is_error) = (Kind::Producer, true);
                span.text(names::ERROR_TYPE, tried.code.as_str());
                span.number(names::ATTEMPT, index as u64 + 1);
            });
        }
        for part in &kept.parts {
            tree.outputs(part, attempts);
        }
        tree.finish()
    }

    /// Each change as if it had come alone, within the times of its batch.
    fn changes(&self, kept: &KeptTrace) -> Vec<Span> {
        let mut all = Vec::new();
        for part in &kept.parts {
            for (index, (table, op)) in part.changes.iter().enumerate() {
                let ordinal = part.rows_before + index as u64;
                let id = change_id(&self.pipeline, &kept.txn, ordinal);
                let mut tree = Tree::new(self, kept, id, id.0);
                let name = part.tables.iter().find(|known| known.index == *table);
                tree.change(part, name, *op, ordinal);
                tree.stages(part, 0);
                if let Some(table) = name {
                    let to = if let [only] = &table.to[..] { Some(only) } else { None };
                    tree.output(part, table, to, (0, kept.tries.len() as u64 + 1), 1);
                }
                all.extend(tree.finish());
            }
        }
        all
    }
}

impl KeptTrace {
    /// The trace that the transaction is found under.
    pub fn shown_id(&self, pipeline: &str, granularity: Granularity) -> u128 {
        match (granularity, &self.contexts[..], self.parts.first()) {
            (Granularity::Transaction, [only], _) => only.trace_id,
            (Granularity::Transaction, ..) => self.id.0,
            (Granularity::Change, _, Some(part)) if !self.is_apart() => {
                change_id(pipeline, &self.txn, part.rows_before).0
            }
            (Granularity::Change, ..) => self.id.0,
        }
    }

    fn system(&self) -> &'static str {
        match (&self.copied, self.txn_id) {
            (Some(copied), _) => copied.system,
            (None, TxnId::Domain { .. }) => names::MARIADB,
            (None, _) => names::MYSQL,
        }
    }
}

/// The trace of one change, where changes have traces.
pub(super) fn change_id(pipeline: &str, txn: &str, ordinal: u64) -> TraceId {
    trace_id(pipeline, &format!("{txn}#{ordinal}"))
}

impl Span {
    fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.attributes.push((name, Attribute::Text(text.into())));
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.attributes.push((name, Attribute::Number(number as i64)));
    }
}

/// One trace under way.
struct Tree<'a> {
    maker: &'a SpanMaker,
    kept: &'a KeptTrace,
    /// What its spans' ids are made of.
    own: TraceId,
    /// What it is found under.
    shown: u128,
    spans: Vec<Span>,
    left_out: u64,
}

impl<'a> Tree<'a> {
    fn new(maker: &'a SpanMaker, kept: &'a KeptTrace, own: TraceId, shown: u128) -> Self {
        Self { maker, kept, own, shown, spans: Vec::new(), left_out: 0 }
    }

    /// A span below the root, or the root itself as the first.
    fn push(
        &mut self,
        stage: &'static str,
        (ordinal, attempt): (u64, u64),
        times: std::ops::Range<i64>,
        fill: impl FnOnce(&mut Span),
    ) {
        if self.spans.len() >= SPANS_MAX {
            self.left_out += 1;
            return;
        }
        let trace_state = match self.kept.why {
            Why::Sampled => self.maker.base.trace_state(),
            _ => String::new(),
        };
        let mut span = Span {
            trace_id: self.shown,
            id: self.own.span(stage, ordinal, attempt),
            parent: self.spans.first().map_or(0, |root| root.id.0),
            name: stage.to_owned(),
            kind: Kind::Internal,
            start: times.start,
            end: times.end.max(times.start),
            attributes: Vec::new(),
            links: Vec::new(),
            trace_state,
            is_error: false,
        };
        fill(&mut span);
        self.spans.push(span);
    }

    /// From the commit to the last acknowledgement.
    fn root(&mut self, kept: &KeptTrace) {
        let (acked, read) =
            (kept.parts.iter().map(|part| part.times.acked), kept.parts.iter().map(|part| part.times.read));
        let end = acked.chain(kept.definitions.iter().map(|one| one.acked)).max().unwrap_or(kept.committed);
        let start = read.fold(kept.committed, i64::min);
        let (maker, own) = (self.maker, self.own);
        self.push(names::ROOT, (0, 1), start..end, |span| {
            span.kind = Kind::Consumer;
            match &kept.contexts[..] {
                [only] => {
                    span.parent = only.span_id;
                    span.text(names::TXN_TRACE, own.to_string());
                }
                several => span.links.extend_from_slice(several),
            }
            let mut tables: Vec<&PartTable> = kept.parts.iter().flat_map(|part| &part.tables).collect();
            tables.dedup_by(|a, b| a.table == b.table);
            match (&kept.copied, &kept.definitions[..], &tables[..]) {
                (Some(_), ..) => {
                    span.kind = Kind::Internal;
                    name_root(span, names::COPY, &tables);
                }
                (None, [only], []) => name_definition(span, only),
                (None, ..) => name_root(span, names::PROCESS, &tables),
            }
            about(span, maker, kept);
            span.number(names::ROWS, kept.rows());
            span.number(names::BATCHES, kept.parts.len() as u64 + kept.more.0);
            let codes: Vec<_> = kept.parts.iter().flat_map(|part| &part.faults).collect();
            let rows_kept = codes.iter().map(|(_, rows)| rows).sum();
            if rows_kept > 0 {
                span.number(names::ROWS_KEPT, rows_kept);
            }
            if let Some(code) = codes.iter().find_map(|(code, _)| *code) {
                span.is_error = true;
                span.text(names::ERROR_TYPE, code.as_str());
            }
        });
    }

    /// The root of one change's trace.
    fn change(&mut self, part: &Part, table: Option<&PartTable>, op: Op, ordinal: u64) {
        let (maker, kept) = (self.maker, self.kept);
        let times = kept.committed.min(part.times.read)..part.times.acked;
        self.push(names::ROOT, (0, 1), times, |span| {
            span.kind = Kind::Consumer;
            span.links.extend_from_slice(&kept.contexts);
            name_root(span, names::PROCESS, table.as_slice());
            about(span, maker, kept);
            span.text(names::TXN_TRACE, kept.id.to_string());
            span.text(names::OPERATION, op.word());
            span.number(names::ORDINAL, ordinal);
        });
    }

    /// Statements that changed definitions, from their reading until everything up to them was delivered.
    fn definitions(&mut self, kept: &KeptTrace) {
        let system = kept.system();
        for (index, one) in kept.definitions.iter().enumerate() {
            self.push(names::DEFINITION, (index as u64, 1), one.read..one.acked, |span| {
                span.kind = Kind::Client;
                span.text(names::DB_SYSTEM, system);
                name_definition(span, one);
                names::DEFINITION.clone_into(&mut span.name);
            });
        }
    }

    /// A chunk: read, then waiting for the stream to pass its fence, then as any batch.
    fn chunk(&mut self, kept: &KeptTrace, copied: &Copied) {
        let tables: Vec<&PartTable> = kept.parts.iter().flat_map(|part| &part.tables).take(1).collect();
        self.push(names::INPUT, (0, 1), copied.began..copied.read, |span| {
            span.kind = Kind::Client;
            span.text(names::DB_SYSTEM, copied.system);
            one_table(span, &tables);
            span.number(names::DB_BATCH_SIZE, copied.rows);
            span.number(names::BYTES, copied.bytes);
        });
        let admitted = kept.parts.iter().map(|part| part.times.read).min().unwrap_or(copied.read);
        self.push(names::FENCE, (0, 1), copied.read..admitted, |_| {});
        for part in &kept.parts {
            let (times, ordinal) = (&part.times, part.rows_before);
            self.push(names::FILTER, (ordinal, 1), times.decoded..times.transformed, |span| {
                span.number(names::ROWS_FILTERED, part.filtered);
            });
            self.push(names::SCHEDULER, (ordinal, 1), times.transformed..times.sent, |_| {});
        }
    }

    /// What a batch went through before the sink.
    fn stages(&mut self, part: &Part, ordinal: u64) {
        let (times, system) = (&part.times, self.kept.system());
        let tables: Vec<&PartTable> = part.tables.iter().collect();
        self.push(names::INPUT, (ordinal, 1), times.read..times.decoded, |span| {
            span.kind = Kind::Client;
            span.text(names::DB_SYSTEM, system);
            one_table(span, &tables);
            span.number(names::DB_BATCH_SIZE, part.rows);
            span.number(names::ROWS_BEFORE, part.rows_before);
        });
        self.push(names::FILTER, (ordinal, 1), times.decoded..times.transformed, |span| {
            span.number(names::ROWS_FILTERED, part.filtered);
        });
        self.push(names::SCHEDULER, (ordinal, 1), times.transformed..times.sent, |_| {});
    }

    /// One for each place that records of a table went to, or for the table where its batch had others' rows too.
    fn outputs(&mut self, part: &Part, attempt: u64) {
        let mut ordinal = part.rows_before;
        for table in &part.tables {
            let places: Vec<Option<&To>> = match &table.to[..] {
                [] => continue,
                [only] => vec![Some(only)],
                several if part.is_alone => several.iter().map(Some).collect(),
                _ => vec![None],
            };
            for to in places {
                let rows = match to {
                    Some(to) if part.is_alone => u64::from(to.records),
                    _ => table.rows,
                };
                self.output(part, table, to, (ordinal, attempt), rows);
                ordinal += 1;
            }
        }
    }

    fn output(&mut self, part: &Part, table: &PartTable, to: Option<&To>, id: (u64, u64), records: u64) {
        let is_kafka = self.maker.is_kafka;
        self.push(names::OUTPUT, id, part.times.sent..part.times.acked, |span| {
            span.kind = Kind::Producer;
            span.number(names::ATTEMPT, id.1);
            one_table(span, &[table]);
            let place = to.or(table.to.first()).and_then(|to| to.place.as_deref());
            if is_kafka {
                span.text(names::MESSAGING_SYSTEM, names::KAFKA);
                span.text(names::MESSAGING_OPERATION, names::SEND);
                span.text(names::MESSAGING_OPERATION_TYPE, names::SEND);
            }
            if let Some(place) = place {
                span.text(names::MESSAGING_DESTINATION, place);
            }
            span.number(names::MESSAGING_COUNT, records);
            let Some(to) = to.filter(|to| to.partition >= 0) else { return };
            span.text(names::MESSAGING_PARTITION, to.partition.to_string());
            if part.is_alone && to.offsets.0 >= 0 {
                span.number(names::MESSAGING_OFFSET, to.offsets.0 as u64);
                span.number(names::LAST_OFFSET, to.offsets.1 as u64);
            } else {
                span.number(names::BATCH_RECORDS, u64::from(to.records));
            }
        });
    }

    fn finish(mut self) -> Vec<Span> {
        let left_out = self.left_out;
        if let Some(root) = self.spans.first_mut().filter(|_| left_out > 0) {
            root.number(names::LEFT_OUT, left_out);
        }
        self.spans
    }
}

/// `process shop.orders`, or `process` where it has several tables.
fn name_root(span: &mut Span, word: &str, tables: &[&PartTable]) {
    span.name = match tables {
        [only] => format!("{word} {}.{}", only.table.schema, only.table.table),
        _ => word.to_owned(),
    };
    one_table(span, tables);
}

/// `CREATE TABLE shop.orders`: the kind and the name, never the statement.
fn name_definition(span: &mut Span, Defined { kind, table, .. }: &Defined) {
    let operation = kind.word().replace('-', " ").to_uppercase();
    let name =
        [&*table.schema, &*table.table].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    span.name = format!("{operation} {name}");
    span.text(names::DB_OPERATION, operation);
    for (attribute, value) in [(names::DB_NAMESPACE, &table.schema), (names::DB_COLLECTION, &table.table)] {
        if !value.is_empty() {
            span.text(attribute, &**value);
        }
    }
}

fn one_table(span: &mut Span, tables: &[&PartTable]) {
    if let [only] = tables {
        span.text(names::DB_NAMESPACE, &*only.table.schema);
        span.text(names::DB_COLLECTION, &*only.table.table);
    }
}

/// What every root says.
fn about(span: &mut Span, maker: &SpanMaker, kept: &KeptTrace) {
    span.text(names::PIPELINE, maker.pipeline.as_str());
    span.text(names::DB_SYSTEM, kept.system());
    span.text(names::WHY, kept.why.word());
    match &kept.copied {
        Some(copied) => {
            span.text(names::CHUNK, kept.txn.as_str());
            span.number(names::BYTES, copied.bytes);
        }
        None => {
            span.text(names::TXN, kept.txn.as_str());
            span.number(names::UNCERTAINTY, u64::from(kept.commit.uncertainty_micros));
        }
    }
}
