//! What was delivered: by table, place and transaction.
//!
//! Owns: the labelled series of the delivery, the order in which batches count as delivered. Does not own: the
//! pipeline's own histograms (`bound`), which commit times are believed (`age`).
//!
//! Invariant: freshness moves only when no earlier batch is still out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use limpid_model::{Batch, Op};
use smallvec::SmallVec;

use super::TableTotals;
use super::age::Ages;
use super::bound::Bound;
use super::clock::SourceClock;
use super::input::ops;
use super::known::Known;
use super::names::{ByVersion, TableNames};
use super::waiting::Waiting;
use crate::catalogue::{
    COMMIT_TO_READ_SECONDS, DATA_LAG_SECONDS, OTHER, OUTPUT_COUNTER, OUTPUT_MSG_SIZE, READ_TO_DURABLE_SECONDS,
    THROUGHPUT,
};
use crate::instruments::{Counter, Exemplar, Gauge, Histogram, Rate};
use crate::moment::{Moment, seconds};
use crate::outline::Outline;
use crate::registry::Registry;
use crate::ring::{Delivery, Fate, PlaceOf, Remember, RingWriter};
use crate::trace::{Told, Tracer};

/// Records of a batch that went to one place.
#[derive(Clone, Copy, Debug)]
pub struct DeliveredTo<'a> {
    /// Index into the batch's tables.
    pub table: u16,
    /// A topic or a file; `None` for a sink that has no such thing.
    pub place: Option<&'a str>,
    /// -1 where there is none.
    pub partition: i32,
    /// First and last offset; -1 where there are none.
    pub offsets: (i64, i64),
    pub records: u32,
    /// Bytes of key and value of the last of them; `None` where nobody knows.
    pub last_bytes: Option<u32>,
}

pub(super) struct Output {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    tables: Arc<TableNames>,
    series: ByVersion<Series>,
    /// Rows by schema and table as labels name them. Not exposed: the exposition has records, by topic.
    rows: BTreeMap<(Box<str>, Box<str>), Arc<Counter>>,
    ring: RingWriter,
    ages: Ages,
    clock: Arc<SourceClock>,
    /// `None`: nothing is kept as a trace.
    pub tracer: Option<Tracer>,
    known: Arc<Known>,
    /// Versions that `known` has.
    noted: ByVersion<()>,
    /// Rows of the batch in hand that go no further.
    kept: Vec<(u32, Fate)>,
    /// Batches that are with the sink or not told of.
    pub waiting: Waiting,
    /// Which of the batch's tables were delivered, reused.
    there: Vec<bool>,
    /// The number of the batch before which all are delivered.
    next: u64,
    /// Batches delivered before their turn, with the last commit in each. As many as are in flight at most.
    early: BTreeMap<u64, Option<i64>>,
    /// The last commit before which everything is delivered, by our monotonic clock.
    upto: Option<i64>,
}

/// What is bound for one table version.
struct Series {
    schema: Box<str>,
    table: Box<str>,
    rows: Arc<Counter>,
    lag: Option<Lag>,
    rates: [Option<Arc<Rate>>; Op::COUNT],
    places: Vec<Place>,
}

/// How late a table's rows are, whole and in its two parts.
struct Lag {
    whole: Arc<Histogram>,
    before_us: Arc<Histogram>,
    with_us: Arc<Histogram>,
}

/// One partition of a table's topic. A table has a handful that are searched in order.
struct Place {
    name: Option<Box<str>>,
    partition: i32,
    counter: Arc<Counter>,
    size: Option<Arc<Gauge>>,
}

impl Output {
    pub(super) fn new(
        registry: &Arc<Registry>,
        pipeline: &str,
        tables: Arc<TableNames>,
        ring: RingWriter,
        (clock, known): (Arc<SourceClock>, Arc<Known>),
    ) -> Self {
        Self {
            registry: Arc::clone(registry),
            pipeline: pipeline.into(),
            tables,
            series: ByVersion::default(),
            rows: BTreeMap::new(),
            ring,
            ages: Ages::new(registry, pipeline, Arc::clone(&clock)),
            clock,
            tracer: None,
            known,
            noted: ByVersion::default(),
            kept: Vec::new(),
            waiting: Waiting::default(),
            there: Vec::new(),
            next: 0,
            early: BTreeMap::new(),
            upto: None,
        }
    }

    pub(super) fn started(&mut self) {
        self.next = 0;
        self.early.clear();
        self.waiting.forget();
        self.ring.started();
        if let Some(tracer) = &mut self.tracer {
            tracer.started();
        }
        self.kept.clear();
    }

    /// Rows of the batch that is handed to the sink next go no further. What was said first of a row stands.
    pub(super) fn kept(&mut self, rows: &[(u32, Fate)]) {
        let known: HashSet<u32> = self.kept.iter().map(|(row, _)| *row).collect();
        self.kept.extend(rows.iter().filter(|(row, _)| !known.contains(row)));
    }

    /// Takes note of a batch that is handed to the sink. True when it is time to tell.
    pub(super) fn handed_in(&mut self, batch: &mut Batch, now: Moment) -> bool {
        let is_time = self.waiting.handed_in(batch, &mut self.kept, now.wall_micros);
        self.kept.clear();
        is_time
    }

    /// Puts a batch that was handed to the sink into the ring. `kept` are its rows that go no further.
    pub(super) fn push(&mut self, batch: &Outline, kept: &[(u32, Fate)], wall_micros: i64) {
        for version in &batch.tables {
            self.noted.get(version, |_| self.known.version(version));
        }
        self.ring.push(batch, kept, wall_micros);
        if let Some(tracer) = &mut self.tracer {
            tracer.handed_in(batch, kept);
        }
    }

    /// Counts a batch; returns the changes that were delivered of it. `fresh` is the time before which every commit is
    /// known to be at the sink.
    pub(super) fn durable(
        &mut self,
        bound: &Bound,
        batch: &Outline,
        delivered: &[DeliveredTo<'_>],
        (now, fresh): (Moment, Option<i64>),
    ) -> u64 {
        self.there.clear();
        self.there.resize(batch.tables.len(), false);
        for to in delivered.iter().filter(|to| to.records > 0) {
            if let Some(there) = self.there.get_mut(usize::from(to.table)) {
                *there = true;
                self.place(batch, to);
            }
        }
        let mut changes = 0;
        for index in 0..batch.counts.len() {
            if self.there.get(index) == Some(&true) {
                let counts = batch.passed(index);
                let rows = counts.iter().map(|count| u64::from(*count)).sum::<u64>();
                changes += rows;
                bind(&mut self.series, &mut self.rows, &self.tables, batch, index).rows.add(rows);
                self.rates(batch, index, &counts, now);
            }
        }
        // A row that was read from a table has no commit that it could be late for.
        if !batch.is_copy() {
            self.ages.measure(batch, &self.there, self.upto.max(fresh), now);
            bound.event_time.absorb(&mut self.ages.event_time);
            self.lags(batch);
        }
        changes
    }

    fn lags(&mut self, batch: &Outline) {
        let Self { registry, pipeline, tables, series, rows, ages, .. } = self;
        let with_us = seconds(batch.times.read, batch.times.acked);
        for (index, table) in ages.by_table.iter_mut().enumerate().filter(|(_, table)| !table.whole.is_empty()) {
            let series = bind(series, rows, tables, batch, index);
            let labels = [&**pipeline, &series.schema, &series.table];
            let lag = series.lag.get_or_insert_with(|| Lag {
                whole: registry.histogram(&DATA_LAG_SECONDS, &labels),
                before_us: registry.histogram(&COMMIT_TO_READ_SECONDS, &labels),
                with_us: registry.histogram(&READ_TO_DURABLE_SECONDS, &labels),
            });
            lag.whole.absorb(&mut table.whole);
            lag.before_us.absorb(&mut table.before_us);
            lag.with_us.observe(with_us, std::mem::take(&mut table.rows));
        }
    }

    /// Completes what the ring has of a batch that was just counted.
    pub(super) fn remember(&mut self, batch: &Outline, bytes: usize, delivered: &[DeliveredTo<'_>], now: Moment) {
        let mut places = SmallVec::<[PlaceOf; 4]>::new();
        for to in delivered.iter().filter(|to| to.records > 0) {
            let Some(schema) = batch.tables.get(usize::from(to.table)) else { continue };
            let DeliveredTo { partition, offsets, records, .. } = *to;
            places.push(PlaceOf { table: schema.key_seed, partition, offsets, records });
        }
        let held_back = |index: usize| !self.there[index] && batch.passed(index) != [0; Op::COUNT];
        let some_are = (0..batch.counts.len()).any(held_back);
        let remember = if some_are { Remember::Tables(&self.there) } else { Remember::All };
        let acked_wall_micros = now.wall_at(batch.times.acked);
        let delivery = Delivery { bytes: bytes as u64, acked_wall_micros, places: &places };
        self.ring.complete(batch, remember, delivery);
    }

    /// Hands on what is kept of a batch as traces, with its exemplars by table; returns those of the batch as a whole.
    pub(super) fn trace(&mut self, batch: &Outline, delivered: &[DeliveredTo<'_>], now: Moment) -> Option<Told> {
        let Self { tables, series, rows, clock, tracer, .. } = self;
        let told = tracer.as_mut()?.durable(batch, delivered, |micros| clock.nanos_of(micros, now), now);
        // What is copied counts for none of the lags.
        if batch.is_copy() {
            return None;
        }
        let wall_micros = now.wall_at(batch.times.acked);
        for one in told {
            let Some(lag) = &bind(series, rows, tables, batch, one.table).lag else { continue };
            lag.whole.exemplify(Exemplar { trace_id: one.trace_id, value: one.seconds, wall_micros });
        }
        told.last().copied()
    }

    /// Rows by table so far.
    pub(super) fn tables(&self) -> Vec<TableTotals> {
        let total = |((schema, table), rows): (&(Box<str>, Box<str>), &Arc<Counter>)| TableTotals {
            schema: schema.clone(),
            table: table.clone(),
            rows_delivered: rows.get(),
        };
        self.rows.iter().map(total).collect()
    }

    /// Takes note that a batch is delivered. Returns the latest commit before which everything is, if it moved.
    pub(super) fn close(&mut self, batch: &Outline, now: Moment) -> Option<i64> {
        let last = if batch.is_copy() { None } else { self.ages.last_commit(batch, now) };
        let before = self.upto;
        if batch.seq == self.next {
            self.next += 1;
            self.upto = self.upto.max(last);
            while let Some(last) = self.early.remove(&self.next) {
                self.next += 1;
                self.upto = self.upto.max(last);
            }
        } else if batch.seq > self.next {
            self.early.insert(batch.seq, last);
        }
        // One that is not of this attempt, or comes twice, tells nothing.
        self.upto.filter(|_| self.upto != before)
    }

    fn place(&mut self, batch: &Outline, to: &DeliveredTo<'_>) {
        let Self { registry, pipeline, tables, series, rows, known: topics, .. } = self;
        let series = bind(series, rows, tables, batch, usize::from(to.table));
        let known = |place: &Place| place.partition == to.partition && place.name.as_deref() == to.place;
        let at = series.places.iter().position(known).unwrap_or_else(|| {
            if let Some(topic) = to.place {
                topics.topic(&batch.tables[usize::from(to.table)].name, topic);
            }
            series.places.push(place(registry, pipeline, (&series.schema, &series.table), to));
            series.places.len() - 1
        });
        series.places[at].counter.add(u64::from(to.records));
        if let (Some(size), Some(bytes)) = (&series.places[at].size, to.last_bytes) {
            size.set(f64::from(bytes));
        }
    }

    fn rates(&mut self, batch: &Outline, index: usize, counts: &[u32; Op::COUNT], now: Moment) {
        let Self { registry, pipeline, tables, series, rows, .. } = self;
        let series = bind(series, rows, tables, batch, index);
        for ((op, count), rate) in ops().into_iter().zip(counts).zip(&mut series.rates) {
            if *count > 0 {
                let labels = [&**pipeline, &series.schema, &series.table, op.word()];
                let rate = rate.get_or_insert_with(|| registry.rate(&THROUGHPUT, &labels));
                rate.add(now.nanos, u64::from(*count));
            }
        }
    }
}

fn bind<'a>(
    series: &'a mut ByVersion<Series>,
    rows: &mut BTreeMap<(Box<str>, Box<str>), Arc<Counter>>,
    tables: &TableNames,
    batch: &Outline,
    index: usize,
) -> &'a mut Series {
    series.get(&batch.tables[index], |name| {
        let (schema, table) = tables.labels(name);
        let (schema, table): (Box<str>, Box<str>) = (schema.into(), table.into());
        let rows = Arc::clone(rows.entry((schema.clone(), table.clone())).or_default());
        Series { schema, table, rows, lag: None, rates: Default::default(), places: Vec::new() }
    })
}

/// Kafka: topic and partition. A sink without places: schema, table and kind. A folded table's topic is folded too.
fn place(registry: &Registry, pipeline: &str, (schema, table): (&str, &str), to: &DeliveredTo<'_>) -> Place {
    let partition = if to.partition < 0 { String::new() } else { to.partition.to_string() };
    let folded = table == OTHER;
    let labels = match to.place {
        Some(_) if folded => [pipeline, OTHER, "", "", ""],
        Some(place) => [pipeline, place, &partition, "", ""],
        None => [pipeline, schema, table, "dml", ""],
    };
    let topic = to.place.filter(|_| to.partition >= 0);
    Place {
        name: to.place.map(Into::into),
        partition: to.partition,
        counter: registry.counter(&OUTPUT_COUNTER, &labels),
        size: topic.map(|topic| registry.gauge(&OUTPUT_MSG_SIZE, &[pipeline, if folded { OTHER } else { topic }])),
    }
}
