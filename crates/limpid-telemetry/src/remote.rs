//! Metrics as Prometheus' remote write, version 1.0.
//!
//! Owns: the message, its labels and times. Does not own: sending it (the binary), which series there are (`registry`).
//!
//! Invariant: names, labels and `le` texts are those of the exposition. Labels of a series are sorted by name, as receivers demand,
//! and every sample of a message has one time.
//!
//! Source: "Prometheus Remote-Write 1.0 specification", `prompb/remote.proto` and `types.proto`.

use prost::Message;

use crate::catalogue::{Kind, Metric};
use crate::exposition::go_float;
use crate::instruments::Histogram;
use crate::moment::Moment;
use crate::registry::{Now, Registry};

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<SentExemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct SentExemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    /// 1 a counter, 2 a gauge, 3 a histogram.
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

/// What one message holds.
pub struct RemoteWrite {
    request: WriteRequest,
    /// Sorted by name; every series has them.
    outer: Vec<(&'static str, String)>,
    millis: i64,
}

impl RemoteWrite {
    /// An empty message. `job` and `instance` tell this process from others, as a scrape's do.
    pub fn new(job: &str, instance: &str, now: Moment) -> Self {
        let outer = vec![("instance", instance.to_owned()), ("job", job.to_owned())];
        Self { request: WriteRequest::default(), outer, millis: now.wall_micros / 1000 }
    }

    /// Adds the series of a registry that [`Registry::each_of`] chooses.
    pub fn add(&mut self, registry: &Registry, pipeline: &str, process: bool, now: Moment) {
        registry.each_of(pipeline, process, now, |metric, labels, value| self.series(metric, &labels, &value));
    }

    /// The message, compressed as it is sent.
    pub fn body(&self) -> Vec<u8> {
        let plain = self.request.encode_to_vec();
        // It fails for what does not fit in 4 GiB; a message has some hundred bytes a series.
        snap::raw::Encoder::new().compress_vec(&plain).unwrap_or_default()
    }

    fn series(&mut self, metric: &Metric, labels: &[(&str, String)], value: &Now<'_>) {
        if self.request.metadata.last().is_none_or(|last| last.family != metric.name) {
            let kind = match metric.kind {
                Kind::Counter => 1,
                Kind::Gauge => 2,
                Kind::Histogram(_) => 3,
            };
            let (family, help, unit) = (metric.name.to_owned(), metric.help.to_owned(), metric.unit.to_owned());
            self.request.metadata.push(Metadata { kind, family, help, unit });
        }
        match value {
            Now::Count(count) => self.sample(metric.name, labels, None, *count as f64),
            Now::Value(value) => self.sample(metric.name, labels, None, *value),
            Now::Histogram(histogram) => self.histogram(metric.name, labels, histogram),
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, String)], histogram: &Histogram) {
        let (counts, sum) = histogram.read();
        let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
        let bucket_name = format!("{name}_bucket");
        let mut total = 0;
        for (bucket, (bound, count)) in bounds.zip(counts).enumerate() {
            total += count;
            self.sample(&bucket_name, labels, Some(go_float(bound)), total as f64);
            if let (Some(exemplar), Some(series)) = (histogram.exemplar(bucket), self.request.timeseries.last_mut()) {
                let labels = vec![Label { name: "trace_id".into(), value: format!("{:032x}", exemplar.trace_id) }];
                let (value, timestamp) = (exemplar.value, exemplar.wall_micros / 1000);
                series.exemplars.push(SentExemplar { labels, value, timestamp });
            }
        }
        self.sample(&format!("{name}_sum"), labels, None, sum);
        self.sample(&format!("{name}_count"), labels, None, total as f64);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, String)], le: Option<String>, value: f64) {
        let own = labels.iter().map(|(name, value)| (*name, value.clone()));
        let all = own.chain(le.map(|le| ("le", le))).chain(self.outer.iter().cloned());
        let mut labels: Vec<Label> = all.map(|(name, value)| Label { name: name.to_owned(), value }).collect();
        labels.push(Label { name: "__name__".into(), value: name.to_owned() });
        // An empty label is none.
        labels.retain(|label| !label.value.is_empty());
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        let samples = vec![Sample { value, timestamp: self.millis }];
        self.request.timeseries.push(TimeSeries { labels, samples, exemplars: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ERROR_TOTAL, INPUT_EMITTER_COUNTER, INPUT_LATENCY};
    use crate::instruments::Exemplar;
    use crate::registry::Build;

    fn registry() -> Registry {
        let registry = Registry::new(Build { version: "1", commit: "c" });
        registry.counter(&ERROR_TOTAL, &["p", "input", "say \"hi\"\\\n"]).add(2);
        registry.counter(&INPUT_EMITTER_COUNTER, &["q"]).add(3);
        let latency = registry.histogram(&INPUT_LATENCY, &["p"]);
        latency.observe(0.3, 2);
        latency.exemplify(Exemplar { trace_id: 0xabc, value: 0.3, wall_micros: 5_000 });
        registry
    }

    fn sent(pipeline: &str, process: bool) -> WriteRequest {
        let now = Moment { nanos: 0, wall_micros: 7_000_000 };
        let mut message = RemoteWrite::new("limpid", "here:7070", now);
        message.add(&registry(), pipeline, process, now);
        let plain = snap::raw::Decoder::new().decompress_vec(&message.body()).unwrap();
        WriteRequest::decode(&*plain).unwrap()
    }

    fn text(series: &TimeSeries) -> String {
        let labels: Vec<String> = series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        format!("{} {}@{}", labels.join(","), series.samples[0].value, series.samples[0].timestamp)
    }

    #[test]
    fn labels_are_those_of_the_exposition_whole_and_sorted() {
        let all: Vec<String> = sent("p", false).timeseries.iter().map(text).collect();
        let error = "__name__=gravity_error_total,component=input,error_type=say \"hi\"\\\n,instance=here:7070,job=limpid,pipeline=p 2@7000";
        assert!(all.iter().any(|series| series == error), "{all:#?}");
        let bucket = "__name__=gravity_input_latency_bucket,instance=here:7070,job=limpid,le=0.512,pipeline=p 2@7000";
        assert!(all.iter().any(|series| series == bucket), "{all:#?}");
        assert!(!all.iter().any(|series| series.contains("pipeline=q")), "another pipeline's");
        assert!(!all.iter().any(|series| series.contains("limpid_build_info")), "the process's");
    }

    #[test]
    fn what_is_no_pipelines_is_sent_where_it_is_asked_for() {
        let request = sent("q", true);
        let all: Vec<String> = request.timeseries.iter().map(text).collect();
        assert!(all.iter().any(|series| series.starts_with("__name__=limpid_build_info,commit=c")), "{all:#?}");
        assert!(all.iter().all(|series| !series.contains("pipeline=p")));
        assert!(
            request.metadata.iter().any(|known| known.family == "gravity_input_emitter_counter" && known.kind == 1)
        );
    }

    #[test]
    fn an_exemplar_goes_with_its_bucket() {
        let request = sent("p", false);
        let with: Vec<&TimeSeries> = request.timeseries.iter().filter(|series| !series.exemplars.is_empty()).collect();
        assert_eq!(with.len(), 1);
        assert!(text(with[0]).contains("le=0.512"));
        assert_eq!((with[0].exemplars[0].value, with[0].exemplars[0].timestamp), (0.3, 5));
    }
}
