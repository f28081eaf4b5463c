//! Which series exist.
//!
//! Owns: for each metric its series and their labels, the bound on them, the exposition's order. Does not own: values
//! (`instruments`), the text (`exposition`), who binds what (`meter`).
//!
//! Invariant: a series is bound once and kept; a label set past the bound is folded into `__other__` and counted,
//! never dropped. A scrape works on a copy of the list, and waits for nobody but for what was not added yet.

mod chosen;

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use crate::catalogue::{self, ALL, Metric, OTHER};
use crate::exposition::{Exposition, Format, escape_label};
use crate::instruments::{Counter, Gauge, Histogram, Rate};
use crate::moment::Moment;
use crate::process;

/// Label sets of one metric, all pipelines together. 200 tables with 5 operations make 1,000, 200 topics of 12
/// partitions 2,400; at 20 lines of 150 bytes a histogram series, 10,000 would be a page of 30 MB, so the tables'
/// own bound is what holds in practice.
const SERIES_MAX: usize = 10_000;

/// What is worked out when it is looked at.
pub trait Sampled: Send + Sync {
    /// `None` before the first measurement.
    fn sample(&self, now: Moment) -> Option<f64>;
}

/// Who has something to add to series before anybody reads them.
pub(crate) trait Settle: Send + Sync {
    fn settle(&self);
}

/// What runs.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    pub version: &'static str,
    pub commit: &'static str,
}

/// Every series of the process.
pub struct Registry {
    /// As [`ALL`]. Short critical section: a search, and rarely an insertion.
    families: Box<[Mutex<Arc<Vec<Entry>>>]>,
    /// Asked before series are read; those that are gone stay here, a pipeline has one.
    settling: Mutex<Vec<Weak<dyn Settle>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("families", &self.families).finish_non_exhaustive()
    }
}

/// What a series says now.
pub(crate) enum Now<'a> {
    Count(u64),
    Value(f64),
    Histogram(&'a Histogram),
}

#[derive(Clone, Debug)]
struct Entry {
    /// As they stand between the braces, escaped.
    labels: Arc<str>,
    series: Series,
}

#[derive(Clone)]
enum Series {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
    Histogram(Arc<Histogram>),
    Rate(Arc<Rate>),
    Sampled(Arc<dyn Sampled>),
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Series::Counter(_) => "counter",
            Series::Gauge(_) => "gauge",
            Series::Histogram(_) => "histogram",
            Series::Rate(_) => "rate",
            Series::Sampled(_) => "sampled",
        })
    }
}

impl Registry {
    pub fn new(build: Build) -> Self {
        let families = ALL.iter().map(|_| Mutex::default()).collect();
        let registry = Self { families, settling: Mutex::default() };
        registry.gauge(&catalogue::BUILD_INFO, &[build.version, build.commit]).set(1.0);
        registry
    }

    /// The counter with these labels, made if it is new.
    pub fn counter(&self, metric: &'static Metric, values: &[&str]) -> Arc<Counter> {
        match self.bind(metric, values, || Series::Counter(Arc::default())) {
            Series::Counter(counter) => counter,
            _ => panic!("{} is bound as something else", metric.name),
        }
    }

    /// The gauge with these labels, made if it is new.
    pub fn gauge(&self, metric: &'static Metric, values: &[&str]) -> Arc<Gauge> {
        match self.bind(metric, values, || Series::Gauge(Arc::default())) {
            Series::Gauge(gauge) => gauge,
            _ => panic!("{} is bound as something else", metric.name),
        }
    }

    /// The histogram with these labels, made if it is new.
    pub fn histogram(&self, metric: &'static Metric, values: &[&str]) -> Arc<Histogram> {
        match self.bind(metric, values, || Series::Histogram(Arc::new(Histogram::of(metric)))) {
            Series::Histogram(histogram) => histogram,
            _ => panic!("{} is bound as something else", metric.name),
        }
    }

    /// The rate with these labels, made if it is new. One thread adds to it.
    pub fn rate(&self, metric: &'static Metric, values: &[&str]) -> Arc<Rate> {
        match self.bind(metric, values, || Series::Rate(Arc::default())) {
            Series::Rate(rate) => rate,
            _ => panic!("{} is bound as something else", metric.name),
        }
    }

    /// Has these labels say what `sampled` says, whatever they said before.
    pub fn sampled(&self, metric: &'static Metric, values: &[&str], sampled: Arc<dyn Sampled>) {
        let made = Arc::clone(&sampled);
        let _ = self.bind(metric, values, move || Series::Sampled(made));
        let labels = labels(metric, values);
        let mut family = self.families[metric.index()].lock().expect("never held across a panic");
        if let Ok(found) = family.binary_search_by(|entry| (*entry.labels).cmp(&labels)) {
            Arc::make_mut(&mut family)[found].series = Series::Sampled(sampled);
        }
    }

    /// Has somebody asked before series are read, for as long as they live.
    pub(crate) fn settled_by(&self, settles: Weak<dyn Settle>) {
        self.settling.lock().expect("never held across a panic").push(settles);
    }

    /// All of it as text. `now` is the time for what is worked out when it is looked at.
    pub fn render(&self, format: Format, now: Moment) -> String {
        let mut out = Exposition::new(format);
        self.each(now, |metric, labels, value| match value {
            Now::Count(count) => out.count(metric, labels, count),
            Now::Value(value) => out.value(metric, labels, value),
            Now::Histogram(histogram) => out.histogram(metric, labels, histogram),
        });
        out.finish()
    }

    /// Every series that has a value, in the order of [`ALL`], with its labels as they stand between the braces.
    pub(crate) fn each(&self, now: Moment, tell: impl FnMut(&'static Metric, &str, Now<'_>)) {
        self.each_chosen(true, |_, _| true, now, tell);
    }

    /// Those of them that are chosen by their metric and labels, and with `process` what the kernel says of it.
    fn each_chosen(
        &self,
        process: bool,
        is_chosen: impl Fn(&'static Metric, &str) -> bool,
        now: Moment,
        mut tell: impl FnMut(&'static Metric, &str, Now<'_>),
    ) {
        let settling = self.settling.lock().expect("never held across a panic").clone();
        settling.iter().filter_map(Weak::upgrade).for_each(|settles| settles.settle());
        let process = if process { process::read() } else { Vec::new() };
        for (metric, family) in ALL.iter().zip(&self.families) {
            let entries = Arc::clone(&family.lock().expect("never held across a panic"));
            let measured = process.iter().filter(|(of, _)| std::ptr::eq(*of, *metric));
            measured.for_each(|(_, value)| tell(metric, "", Now::Value(*value)));
            for Entry { labels, series } in entries.iter().filter(|entry| is_chosen(metric, &entry.labels)) {
                let value = match series {
                    Series::Counter(counter) => Some(Now::Count(counter.get())),
                    Series::Gauge(gauge) => gauge.get().map(Now::Value),
                    Series::Histogram(histogram) => Some(Now::Histogram(histogram)),
                    Series::Rate(rate) => Some(Now::Value(rate.per_second(now.nanos))),
                    Series::Sampled(sampled) => sampled.sample(now).map(Now::Value),
                };
                if let Some(value) = value {
                    tell(metric, labels, value);
                }
            }
        }
    }

    fn bind(&self, metric: &'static Metric, values: &[&str], make: impl FnOnce() -> Series) -> Series {
        let (series, folded) = self.bind_within(metric, values, make, SERIES_MAX);
        if folded && let Some(pipeline) = values.first() {
            self.counter(&catalogue::FOLDED_LABELS_TOTAL, &[pipeline, "series"]).add(1);
        }
        series
    }

    /// The series, and whether it is one that several label sets share.
    fn bind_within(
        &self,
        metric: &'static Metric,
        values: &[&str],
        make: impl FnOnce() -> Series,
        max: usize,
    ) -> (Series, bool) {
        let labels = labels(metric, values);
        let mut family = self.families[metric.index()].lock().expect("never held across a panic");
        let place = match family.binary_search_by(|entry| (*entry.labels).cmp(&labels)) {
            Ok(found) => return (family[found].series.clone(), false),
            Err(place) => place,
        };
        // The sets that hold the folded ones come on top: one a pipeline.
        let (place, labels, folded) = if family.len() < max || metric.labels.len() < 2 {
            (place, labels, false)
        } else {
            let mut others = vec![OTHER; values.len()];
            others[0] = values[0];
            let labels = self::labels(metric, &others);
            match family.binary_search_by(|entry| (*entry.labels).cmp(&labels)) {
                Ok(found) => return (family[found].series.clone(), true),
                Err(place) => (place, labels, true),
            }
        };
        let series = make();
        Arc::make_mut(&mut family).insert(place, Entry { labels: labels.into(), series: series.clone() });
        (series, folded)
    }
}

/// What stands between the braces, in the catalogue's order.
fn labels(metric: &Metric, values: &[&str]) -> String {
    assert_eq!(metric.labels.len(), values.len(), "{} has labels {:?}", metric.name, metric.labels);
    labels_of(metric.labels, values)
}

fn labels_of(names: &[&str], values: &[&str]) -> String {
    let mut text = String::new();
    for (name, value) in names.iter().zip(values) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        escape_label(&mut text, value);
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ERROR_TOTAL, FOLDED_LABELS_TOTAL};

    fn registry() -> Registry {
        Registry::new(Build { version: "0", commit: "0" })
    }

    #[test]
    fn one_label_set_is_one_series() {
        let registry = registry();
        registry.counter(&ERROR_TOTAL, &["p", "input", "A"]).add(2);
        registry.counter(&ERROR_TOTAL, &["p", "input", "A"]).add(3);
        assert_eq!(registry.counter(&ERROR_TOTAL, &["p", "input", "A"]).get(), 5);
    }

    #[test]
    fn a_label_set_past_the_bound_is_folded_and_not_lost() {
        let registry = registry();
        let bind = |code: &str| {
            let make = || Series::Counter(Arc::default());
            match registry.bind_within(&ERROR_TOTAL, &["p", "input", code], make, 2) {
                (Series::Counter(counter), folded) => {
                    counter.add(1);
                    folded
                }
                _ => unreachable!("made above"),
            }
        };
        assert_eq!(["A", "B", "C", "D", "A"].map(bind), [false, false, true, true, false]);
        assert_eq!(registry.counter(&ERROR_TOTAL, &["p", OTHER, OTHER]).get(), 2);
        assert_eq!(registry.counter(&FOLDED_LABELS_TOTAL, &["p", "series"]).get(), 0, "counted by the caller");
    }
}
