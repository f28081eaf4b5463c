//! What an OpenTelemetry Collector received, beside what a scrape and stderr have.
//!
//! Owns: reading the collector's JSON, the text of `/metrics` and log lines into the same form. Does not own: the collector, what is right.
//!
//! Invariant: nothing here is made of the product's own code. A bucket's bound is compared as a number.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use limpid_stack::otelcol;
use serde_json::Value;

/// A sample's name and labels, as Prometheus has them.
pub type SampleName = (String, BTreeMap<String, String>);

/// All metrics at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub samples: BTreeMap<SampleName, f64>,
    /// Type and help of each metric.
    pub heads: BTreeMap<String, (String, String)>,
    /// Trace ids.
    pub exemplars: BTreeSet<String>,
    /// Attributes of the resource.
    pub from: BTreeMap<String, String>,
}

impl Metrics {
    /// What `/metrics` says, in either form.
    ///
    /// # Errors
    /// It is no such text.
    pub fn of_page(page: &str) -> Result<Self> {
        let mut all = Self::default();
        for line in page.lines() {
            let (line, exemplar) = line.split_once(" # ").unwrap_or((line, ""));
            let id = exemplar.split("trace_id=\"").nth(1).and_then(|rest| rest.split('"').next());
            all.exemplars.extend(id.map(str::to_owned));
            if let Some(head) = line.strip_prefix("# ") {
                let (what, rest) = head.split_once(' ').unwrap_or((head, ""));
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let known = all.heads.entry(name.to_owned()).or_default();
                match what {
                    "TYPE" => text.clone_into(&mut known.0),
                    "HELP" => text.clone_into(&mut known.1),
                    _ => {}
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("a sample: {line}"))?;
            let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
            let mut found = BTreeMap::new();
            for label in labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once("=\"").with_context(|| format!("a label: {line}"))?;
                let value = value.trim_end_matches('"');
                found.insert(name.to_owned(), if name == "le" { bound(value.parse()?) } else { value.to_owned() });
            }
            all.samples.insert((name.to_owned(), found), value.parse()?);
        }
        Ok(all)
    }

    /// What the collector received last of the process whose HTTP API has this port.
    ///
    /// # Errors
    /// The collector's JSON is none.
    pub fn received(collector: &otelcol::Server, port: &str) -> Result<Option<Self>> {
        for message in collector.received().iter().rev() {
            let message: Value = serde_json::from_str(message)?;
            for resource in list(&message["resourceMetrics"]) {
                let from = attributes(&resource["resource"]["attributes"]);
                if from.get("service.instance.id").is_some_and(|id| id.ends_with(&format!(":{port}"))) {
                    let mut all = Self { from, ..Self::default() };
                    for scope in list(&resource["scopeMetrics"]) {
                        list(&scope["metrics"]).iter().try_for_each(|metric| all.add(metric))?;
                    }
                    return Ok(Some(all));
                }
            }
        }
        Ok(None)
    }

    fn add(&mut self, metric: &Value) -> Result<()> {
        let name = metric["name"].as_str().context("a name")?;
        let (kind, data) = [("gauge", "gauge"), ("counter", "sum"), ("histogram", "histogram")]
            .into_iter()
            .find_map(|(kind, key)| Some((kind, metric.get(key)?)))
            .with_context(|| format!("a kind that we send: {metric}"))?;
        if kind != "gauge" {
            ensure!(data["aggregationTemporality"] == 2, "cumulative: {metric}");
        }
        ensure!(kind != "counter" || data["isMonotonic"] == true, "a counter only grows: {metric}");
        let help = metric["description"].as_str().unwrap_or_default();
        let known = self.heads.insert(name.to_owned(), (kind.to_owned(), help.to_owned()));
        ensure!(known.is_none(), "{name} stands twice");
        for point in list(&data["dataPoints"]) {
            let labels = attributes(&point["attributes"]);
            let time = |name: &str| number(&point[name]);
            let (start, seen) = (time("startTimeUnixNano"), time("timeUnixNano"));
            ensure!(if kind == "gauge" { start == 0.0 } else { 0.0 < start && start <= seen }, "times: {name} {point}");
            if kind != "histogram" {
                let value = ["asInt", "asDouble"].into_iter().find_map(|key| point.get(key)).context("a value")?;
                self.samples.insert((name.to_owned(), labels), number(value));
                continue;
            }
            self.add_histogram(name, &labels, &point)?;
        }
        Ok(())
    }

    fn add_histogram(&mut self, name: &str, labels: &BTreeMap<String, String>, point: &Value) -> Result<()> {
        let (bounds, counts) = (list(&point["explicitBounds"]), list(&point["bucketCounts"]));
        ensure!(counts.len() == bounds.len() + 1, "a count more than bounds: {point}");
        let mut total = 0.0;
        for (number_of, count) in counts.iter().enumerate() {
            total += number(count);
            let mut labels = labels.clone();
            labels.insert("le".into(), bound(bounds.get(number_of).map_or(f64::INFINITY, number)));
            self.samples.insert((format!("{name}_bucket"), labels), total);
        }
        self.samples.insert((format!("{name}_sum"), labels.clone()), number(&point["sum"]));
        self.samples.insert((format!("{name}_count"), labels.clone()), number(&point["count"]));
        let ids = list(&point["exemplars"]).into_iter().filter_map(|one| one["traceId"].as_str().map(str::to_owned));
        self.exemplars.extend(ids);
        Ok(())
    }
}

/// A log line, as it was written or as it was received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLine {
    /// Nanoseconds since 1970.
    pub nanos: String,
    pub severity: (u64, String),
    pub message: String,
    pub trace_id: String,
    pub span_id: String,
    /// Whatever else it says; keys of `metadata` with that before them.
    pub facts: BTreeMap<String, String>,
}

impl LogLine {
    /// Lines as stderr has them, one JSON object each; `date` reads their times.
    ///
    /// # Errors
    /// One of them is something else.
    pub fn written(stderr: &str) -> Result<Vec<Self>> {
        stderr.lines().map(Self::of_json).collect()
    }

    fn of_json(line: &str) -> Result<Self> {
        let Value::Object(mut all) = serde_json::from_str(line).with_context(|| format!("a line: {line}"))? else {
            bail!("no object: {line}")
        };
        let mut take = |name: &str| all.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let time = take("timestamp").context("a time")?;
        let nanos = Command::new("date").args(["-u", "+%s%N", "-d", &time]).output()?;
        let level = take("level").context("a level")?;
        let numbers = [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17)];
        let number = numbers.into_iter().find(|(word, _)| *word == level).context("a level that there is")?.1;
        let message = take("message").context("a message")?;
        let (trace_id, span_id) = (take("trace_id").unwrap_or_default(), take("span_id").unwrap_or_default());
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut facts = BTreeMap::new();
        for (name, value) in &all {
            match value.as_object() {
                Some(inner) => facts.extend(inner.iter().map(|(key, value)| (format!("{name}.{key}"), text(value)))),
                None => facts.extend(Some((name.clone(), text(value))).filter(|(_, value)| !value.is_empty())),
            }
        }
        let nanos = String::from_utf8(nanos.stdout)?.trim().to_owned();
        Ok(Self { nanos, severity: (number, level), message, trace_id, span_id, facts })
    }

    /// What the collector received of the process whose HTTP API has this port.
    ///
    /// # Errors
    /// The collector's JSON is none.
    pub fn received(collector: &otelcol::Server, port: &str) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for message in collector.received() {
            let message: Value = serde_json::from_str(&message)?;
            for resource in list(&message["resourceLogs"]) {
                let from = attributes(&resource["resource"]["attributes"]);
                if from.get("service.instance.id").is_some_and(|id| id.ends_with(&format!(":{port}"))) {
                    let scopes = list(&resource["scopeLogs"]);
                    found.extend(scopes.iter().flat_map(|scope| list(&scope["logRecords"])).map(|one| Self::of(&one)));
                }
            }
        }
        Ok(found)
    }

    fn of(record: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            nanos: text(&record["timeUnixNano"]),
            severity: (record["severityNumber"].as_u64().unwrap_or_default(), text(&record["severityText"])),
            message: text(&record["body"]["stringValue"]),
            trace_id: text(&record["traceId"]),
            span_id: text(&record["spanId"]),
            facts: attributes(&record["attributes"]),
        }
    }
}

fn bound(bound: f64) -> String {
    format!("{bound:e}")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// 64-bit integers stand in quotes; what is left out is 0.
fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// Texts, and other values as JSON writes them.
fn attributes(pairs: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        let (_, value) = value.as_object()?.iter().next()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let pairs = list(pairs);
    pairs.iter().filter_map(|pair| Some((pair["key"].as_str()?.to_owned(), text(&pair["value"])?))).collect()
}
