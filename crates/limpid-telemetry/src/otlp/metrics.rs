//! Metrics as OTLP has them.
//!
//! Owns: the message `ExportMetricsServiceRequest`, its points and times, the units' names. Does not own: sending it (the binary), which series there are (`registry`).
//!
//! Invariant: an instrument has the name, the bounds and the attributes that the exposition has as name, `le` and labels.
//! Counters and histograms are cumulative since one time, which is the same in every message of a process.
//!
//! Source: opentelemetry-proto 1.7, `metrics/v1/metrics.proto`, `collector/metrics/v1`; "Metrics Data Model" of OpenTelemetry.

use prost::{Message, Oneof};

use super::{KeyValue, PARTS_BYTES_MAX, Resource, Scope, SentBy, nanos, text};
use crate::catalogue::{ALL, Kind, Metric};
use crate::instruments::Histogram;
use crate::moment::Moment;
use crate::registry::{Now, Registry};
use crate::trace::names;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<SentMetric>,
}

#[derive(Clone, PartialEq, Message)]
struct SentMetric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Data {
    #[prost(message, tag = "5")]
    Gauge(SentGauge),
    #[prost(message, tag = "7")]
    Sum(SentSum),
    #[prost(message, tag = "9")]
    Histogram(SentHistogram),
}

#[derive(Clone, PartialEq, Message)]
struct SentGauge {
    #[prost(message, repeated, tag = "1")]
    points: Vec<NumberPoint>,
}

#[derive(Clone, PartialEq, Message)]
struct SentSum {
    #[prost(message, repeated, tag = "1")]
    points: Vec<NumberPoint>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct SentHistogram {
    #[prost(message, repeated, tag = "1")]
    points: Vec<HistogramPoint>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
struct NumberPoint {
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(oneof = "Number", tags = "4, 6")]
    value: Option<Number>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Number {
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
struct HistogramPoint {
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    /// One more than there are bounds; not cumulated.
    #[prost(fixed64, repeated, tag = "6")]
    counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    bounds: Vec<f64>,
    #[prost(message, repeated, tag = "8")]
    exemplars: Vec<SentExemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct SentExemplar {
    #[prost(fixed64, tag = "2")]
    time: u64,
    #[prost(double, tag = "3")]
    value: f64,
    #[prost(bytes = "vec", tag = "5")]
    trace_id: Vec<u8>,
}

/// What was counted since the start, rather than since the message before.
const CUMULATIVE: i32 = 2;

#[derive(Clone, Debug)]
enum Point {
    Number(NumberPoint),
    Histogram(HistogramPoint),
}

/// What is sent in one turn.
#[derive(Debug)]
pub struct OtlpMetrics {
    /// As [`ALL`]; those of all pipelines together, since a metric stands in a message once.
    points: Vec<Vec<Point>>,
    start: u64,
    time: u64,
}

impl OtlpMetrics {
    /// Nothing yet. `since_micros` is when counting began, the same in each turn.
    pub fn new(since_micros: i64, now: Moment) -> Self {
        let start = nanos(since_micros);
        // A clock that was set back gives no point before the start, which receivers refuse.
        Self { points: ALL.iter().map(|_| Vec::new()).collect(), start, time: nanos(now.wall_micros).max(start) }
    }

    /// Adds the series of a registry that [`Registry::each_of`] chooses.
    pub fn add(&mut self, registry: &Registry, pipeline: &str, process: bool, now: Moment) {
        registry.each_of(pipeline, process, now, |metric, labels, value| {
            let attributes: Vec<KeyValue> = labels.iter().map(|(name, value)| text(name, value)).collect();
            let start = if metric.kind == Kind::Gauge { 0 } else { self.start };
            let number = match value {
                Now::Count(count) => Number::Int(i64::try_from(count).unwrap_or(i64::MAX)),
                Now::Value(value) => Number::Double(value),
                Now::Histogram(histogram) => {
                    let point = Point::Histogram(self.histogram(attributes, histogram));
                    return self.points[metric.index()].push(point);
                }
            };
            let point = NumberPoint { attributes, start, time: self.time, value: Some(number) };
            self.points[metric.index()].push(Point::Number(point));
        });
    }

    /// The messages, as they are sent. There is one unless there are some thousand series.
    pub fn messages(self, by: &SentBy) -> Vec<Vec<u8>> {
        self.messages_of(by, PARTS_BYTES_MAX)
    }

    fn messages_of(self, by: &SentBy, bytes_max: usize) -> Vec<Vec<u8>> {
        let (mut messages, mut metrics, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (metric, points) in ALL.iter().zip(self.points) {
            let mut is_open = false;
            for point in points {
                let more = point.encoded_bytes();
                if bytes + more > bytes_max && bytes > 0 {
                    messages.push(message(by, std::mem::take(&mut metrics)));
                    (bytes, is_open) = (0, false);
                }
                bytes += more;
                if !is_open {
                    metrics.push(head(metric));
                    is_open = true;
                }
                if let Some(open) = metrics.last_mut() {
                    open.push(point);
                }
            }
        }
        if !metrics.is_empty() {
            messages.push(message(by, metrics));
        }
        messages
    }

    fn histogram(&self, attributes: Vec<KeyValue>, histogram: &Histogram) -> HistogramPoint {
        let (counts, sum) = histogram.read();
        let exemplars = (0..counts.len()).filter_map(|bucket| histogram.exemplar(bucket));
        let exemplars = exemplars.map(|exemplar| SentExemplar {
            time: nanos(exemplar.wall_micros),
            value: exemplar.value,
            trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
        });
        HistogramPoint {
            attributes,
            start: self.start,
            time: self.time,
            count: counts.iter().sum(),
            sum: Some(sum),
            exemplars: exemplars.collect(),
            counts,
            bounds: histogram.bounds().to_vec(),
        }
    }
}

impl Point {
    fn encoded_bytes(&self) -> usize {
        match self {
            Point::Number(point) => point.encoded_len(),
            Point::Histogram(point) => point.encoded_len(),
        }
    }
}

impl SentMetric {
    fn push(&mut self, point: Point) {
        match (&mut self.data, point) {
            (Some(Data::Gauge(gauge)), Point::Number(point)) => gauge.points.push(point),
            (Some(Data::Sum(sum)), Point::Number(point)) => sum.points.push(point),
            (Some(Data::Histogram(histogram)), Point::Histogram(point)) => histogram.points.push(point),
            _ => panic!("{} is bound as something else", self.name),
        }
    }
}

/// A metric without points.
fn head(metric: &Metric) -> SentMetric {
    let data = match metric.kind {
        Kind::Gauge => Data::Gauge(SentGauge::default()),
        Kind::Counter => Data::Sum(SentSum { points: Vec::new(), temporality: CUMULATIVE, is_monotonic: true }),
        Kind::Histogram(_) => Data::Histogram(SentHistogram { points: Vec::new(), temporality: CUMULATIVE }),
    };
    SentMetric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: ucum(metric.unit),
        data: Some(data),
    }
}

/// A unit as "The Unified Code for Units of Measure" writes it, which receivers know; what it does not measure stands in braces,
/// which it allows for words.
fn ucum(unit: &str) -> String {
    match unit {
        "seconds" => "s".to_owned(),
        "bytes" => "By".to_owned(),
        "ratio" => "1".to_owned(),
        // A fact, rather than a number of something.
        "1" | "1 or 0" => String::new(),
        "rows per second" => "{rows}/s".to_owned(),
        words => format!("{{{}}}", words.replace(' ', "_")),
    }
}

fn message(by: &SentBy, metrics: Vec<SentMetric>) -> Vec<u8> {
    let message = Export {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(by.resource()),
            scope_metrics: vec![ScopeMetrics { scope: Some(by.scope()), metrics }],
            schema_url: names::SCHEMA_URL.into(),
        }],
    };
    message.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ERROR_TOTAL, FRESHNESS, INPUT_EMITTER_COUNTER, INPUT_LATENCY};
    use crate::instruments::Exemplar;
    use crate::registry::Build;

    fn registry() -> Registry {
        let registry = Registry::new(Build { version: "1", commit: "c" });
        registry.counter(&ERROR_TOTAL, &["p", "input", "say \"hi\"\\\n"]).add(2);
        registry.counter(&INPUT_EMITTER_COUNTER, &["p"]).add(5);
        registry.counter(&INPUT_EMITTER_COUNTER, &["q"]).add(3);
        registry.gauge(&FRESHNESS, &["p"]).set(0.25);
        let latency = registry.histogram(&INPUT_LATENCY, &["p"]);
        latency.observe(0.3, 2);
        latency.exemplify(Exemplar { trace_id: 0xabc, value: 0.3, wall_micros: 5_000 });
        registry
    }

    fn sent(pipelines: &[(&str, bool)], bytes_max: usize) -> Vec<SentMetric> {
        let (registry, now) = (registry(), Moment { nanos: 0, wall_micros: 7_000_000 });
        let mut all = OtlpMetrics::new(6_000_000, now);
        pipelines.iter().for_each(|(pipeline, process)| all.add(&registry, pipeline, *process, now));
        let by = SentBy { service: "limpid".into(), ..SentBy::default() };
        let messages = all.messages_of(&by, bytes_max);
        let mut metrics = Vec::new();
        for message in messages {
            let mut export = Export::decode(&*message).unwrap();
            let ResourceMetrics { resource, scope_metrics, .. } = export.resource_metrics.remove(0);
            assert_eq!(resource, Some(by.resource()), "each message says who sends it");
            metrics.extend(scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
        metrics
    }

    fn of<'a>(all: &'a [SentMetric], metric: &Metric) -> Vec<&'a SentMetric> {
        all.iter().filter(|sent| sent.name == metric.name).collect()
    }

    #[test]
    fn a_metric_of_two_pipelines_stands_once_and_others_do_not() {
        let all = sent(&[("p", true), ("q", false)], usize::MAX);
        let [Some(Data::Sum(sum))] =
            of(&all, &INPUT_EMITTER_COUNTER).iter().map(|sent| &sent.data).collect::<Vec<_>>()[..]
        else {
            panic!("{all:#?}")
        };
        let values: Vec<_> = sum.points.iter().map(|point| (&point.attributes[..], &point.value)).collect();
        let (p, q) = ([text("pipeline", "p")], [text("pipeline", "q")]);
        assert_eq!(values, [(&p[..], &Some(Number::Int(5))), (&q[..], &Some(Number::Int(3)))]);
        assert_eq!((sum.temporality, sum.is_monotonic), (2, true));
        assert_eq!((sum.points[0].start, sum.points[0].time), (6_000_000_000, 7_000_000_000));
        assert_eq!(of(&all, &crate::catalogue::BUILD_INFO).len(), 1, "the process's, once");
        let only = sent(&[("q", false)], usize::MAX);
        assert!(of(&only, &FRESHNESS).is_empty() && of(&only, &crate::catalogue::BUILD_INFO).is_empty(), "{only:#?}");
    }

    #[test]
    fn a_histogram_has_its_bounds_and_its_exemplar() {
        let all = sent(&[("p", false)], usize::MAX);
        let Some(Data::Histogram(SentHistogram { points, temporality: 2 })) = &of(&all, &INPUT_LATENCY)[0].data else {
            panic!("{all:#?}")
        };
        let Kind::Histogram(bounds) = INPUT_LATENCY.kind else { unreachable!() };
        assert_eq!((&*points[0].bounds, points[0].counts.len()), (bounds, bounds.len() + 1));
        assert_eq!((points[0].count, points[0].sum), (2, Some(0.6)));
        let within = bounds.iter().position(|bound| *bound >= 0.3).unwrap();
        assert_eq!(points[0].counts[within], 2);
        let exemplar = SentExemplar { time: 5_000_000, value: 0.3, trace_id: 0xabc_u128.to_be_bytes().to_vec() };
        assert_eq!(points[0].exemplars, [exemplar]);
    }

    #[test]
    fn what_does_not_fit_in_a_message_is_in_the_next() {
        let whole = sent(&[("p", true), ("q", true)], usize::MAX);
        let parts = sent(&[("p", true), ("q", true)], 1);
        let points = |sent: &SentMetric| match sent.data.as_ref().unwrap() {
            Data::Gauge(SentGauge { points }) | Data::Sum(SentSum { points, .. }) => points.len(),
            Data::Histogram(SentHistogram { points, .. }) => points.len(),
        };
        assert!(parts.iter().all(|sent| points(sent) == 1), "one a message");
        assert_eq!(parts.len(), whole.iter().map(points).sum::<usize>());
    }

    #[test]
    fn a_gauge_has_its_value_and_no_start() {
        let all = sent(&[("p", false)], usize::MAX);
        let [SentMetric { unit, data: Some(Data::Gauge(SentGauge { points })), .. }] = of(&all, &FRESHNESS)[..] else {
            panic!("{all:#?}")
        };
        let value = Some(Number::Double(0.25));
        let expected = NumberPoint { attributes: vec![text("pipeline", "p")], start: 0, time: 7_000_000_000, value };
        assert_eq!((&**unit, &points[..]), ("s", &[expected][..]));
    }

    /// Each unit of the catalogue, as "The Unified Code for Units of Measure" has it.
    const UNITS: &[(&str, &str)] = &[
        ("seconds", "s"),
        ("bytes", "By"),
        ("ratio", "1"),
        ("1", ""),
        ("1 or 0", ""),
        ("rows per second", "{rows}/s"),
        ("attempts", "{attempts}"),
        ("changes", "{changes}"),
        ("chunks", "{chunks}"),
        ("columns", "{columns}"),
        ("descriptors", "{descriptors}"),
        ("doubts", "{doubts}"),
        ("drifts", "{drifts}"),
        ("errors", "{errors}"),
        ("events", "{events}"),
        ("heartbeats", "{heartbeats}"),
        ("items", "{items}"),
        ("keys", "{keys}"),
        ("label sets", "{label_sets}"),
        ("lanes", "{lanes}"),
        ("lines", "{lines}"),
        ("messages", "{messages}"),
        ("records", "{records}"),
        ("retries", "{retries}"),
        ("rows", "{rows}"),
        ("tables", "{tables}"),
        ("traces", "{traces}"),
        ("transactions", "{transactions}"),
        ("values", "{values}"),
    ];

    #[test]
    fn every_unit_of_the_catalogue_is_sent_as_the_table_says() {
        for metric in ALL {
            let known = UNITS.iter().find(|(unit, _)| *unit == metric.unit).map(|(_, sent)| *sent);
            assert_eq!(Some(&*ucum(metric.unit)), known, "{}: {}", metric.name, metric.unit);
        }
        let unused = UNITS.iter().find(|(unit, _)| !ALL.iter().any(|metric| metric.unit == *unit));
        assert_eq!(unused, None, "of no metric");
        // What is a part of something has one unit.
        let ratios = ALL.iter().filter(|metric| metric.name.ends_with("_ratio"));
        ratios.for_each(|metric| assert_eq!(metric.unit, "ratio", "{}", metric.name));
    }
}
