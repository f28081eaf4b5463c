//! Every metric: the only place where a metric's name is written.
//!
//! Owns: names, types, labels, buckets, units, and for each the question it answers. Does not own: values
//! (`instruments`), series (`registry`), text (`exposition`).
//!
//! Invariant: what stands in [`ALL`] is all there is; dashboards, rules, docs and tests are made from it.

mod buckets;
mod copy;
mod flow;
mod heartbeat;
mod lag;
mod logs;
mod page;
mod parked;
mod pipeline;
mod process;
mod quality;
mod spine;
mod traces;

pub use copy::*;
pub use flow::*;
pub use heartbeat::*;
pub use lag::*;
pub use logs::*;
pub use page::markdown;
pub use parked::*;
pub use pipeline::*;
pub use process::*;
pub use quality::*;
pub use spine::*;
pub use traces::*;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound; the bounds, without infinity.
    Histogram(&'static [f64]),
}

/// From when on a metric is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// At 0 from the start of its pipeline.
    Start,
    /// From the first measurement on.
    Measurement,
    /// From the first use of its labels on.
    Use,
    /// In every exposition.
    Always,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// What one unit of it is.
    pub unit: &'static str,
    pub help: &'static str,
    /// The question it answers.
    pub question: &'static str,
    /// The metric one usually looks at beside it.
    pub partner: Option<&'static Metric>,
    presence: Option<Presence>,
}

impl Metric {
    const fn new(name: &'static str, kind: Kind, unit: &'static str) -> Self {
        let labels = &["pipeline"];
        Self { name, kind, labels, unit, help: "", question: "", partner: None, presence: None }
    }

    const fn counter(name: &'static str, unit: &'static str) -> Self {
        Self::new(name, Kind::Counter, unit)
    }

    const fn gauge(name: &'static str, unit: &'static str) -> Self {
        Self::new(name, Kind::Gauge, unit)
    }

    /// Every histogram so far measures time.
    const fn histogram(name: &'static str, bounds: &'static [f64]) -> Self {
        Self::new(name, Kind::Histogram(bounds), "seconds")
    }

    const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    const fn says(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    const fn answers(mut self, question: &'static str) -> Self {
        self.question = question;
        self
    }

    const fn beside(mut self, partner: &'static Metric) -> Self {
        self.partner = Some(partner);
        self
    }

    const fn always(mut self) -> Self {
        self.presence = Some(Presence::Always);
        self
    }

    const fn on_use(mut self) -> Self {
        self.presence = Some(Presence::Use);
        self
    }

    /// Counters and histograms of a pipeline as a whole exist at 0 from its start, gauges from their first
    /// measurement, the rest from their first use.
    pub fn presence(&self) -> Presence {
        match (self.presence, self.kind) {
            (Some(presence), _) => presence,
            (None, Kind::Gauge) => Presence::Measurement,
            (None, Kind::Counter | Kind::Histogram(_)) if self.labels == ["pipeline"] => Presence::Start,
            (None, Kind::Counter | Kind::Histogram(_)) => Presence::Use,
        }
    }

    /// The place in [`ALL`].
    pub(crate) fn index(&'static self) -> usize {
        ALL.iter().position(|metric| std::ptr::eq(*metric, self)).expect("every metric stands in ALL")
    }
}

/// What a label says when its set is full.
pub const OTHER: &str = "__other__";

/// Every metric, in the order of the exposition.
pub static ALL: &[&Metric] = &[
    &BUILD_INFO,
    &INPUT_COUNTER,
    &INPUT_EMITTER_COUNTER,
    &INPUT_LATENCY,
    &INPUT_PROBE_LATENCY,
    &INPUT_AFTER_COMMIT_LATENCY,
    &EMITTER_SCHEDULER_COUNTER,
    &EMITTER_LATENCY,
    &SCHEDULER_SUBMIT_LATENCY,
    &SCHEDULER_OUTPUT_COUNTER,
    &SCHEDULER_RETRY_COUNTER,
    &SCHEDULER_ACK_LATENCY,
    &SCHEDULER_TOTAL_LATENCY,
    &SCHEDULER_NR_WORKER,
    &SCHEDULER_BATCH_SIZE,
    &SCHEDULER_SLIDING_WINDOW_RATIO,
    &OUTPUT_COUNTER,
    &OUTPUT_LATENCY,
    &OUTPUT_MSG_SIZE,
    &BATCH_QUERY_DURATION,
    &JOB_FETCHED_COUNT,
    &EVENT_TIME_LATENCY,
    &PROCESS_TIME_LATENCY,
    &QUEUE_LENGTH,
    &ERROR_TOTAL,
    &RETRY_TOTAL,
    &DATA_LAG_SECONDS,
    &THROUGHPUT,
    &CONNECTION_HEALTH,
    &FRESHNESS,
    &POSITION_LAG_BYTES,
    &STAGE_TIME_RATIO,
    &POSITION_LAG_TRANSACTIONS,
    &STREAM_VERDICT,
    &CLOCK_OFFSET_SECONDS,
    &CLOCK_OFFSET_UNCERTAINTY_SECONDS,
    &SOURCE_TIME_RESOLUTION_SECONDS,
    &COMMIT_TO_READ_SECONDS,
    &READ_TO_DURABLE_SECONDS,
    &DISBELIEVED_COMMITS_TOTAL,
    &RETENTION_RUNWAY_SECONDS,
    &CATCHUP_SECONDS,
    &HEARTBEAT_DELIVERY,
    &HEARTBEAT_LAG,
    &HEARTBEAT_FAILURES_TOTAL,
    &METRIC_PUSHES_TOTAL,
    &TRACES_KEPT_TOTAL,
    &TRACES_SENT_TOTAL,
    &TRACES_DROPPED_TOTAL,
    &LOG_LINES_SENT_TOTAL,
    &LOG_LINES_DROPPED_TOTAL,
    &FILTERED_TOTAL,
    &FLOW_ROWS_TOTAL,
    &FLOW_DIFFERENCE_ROWS,
    &INPUT_BYTES_TOTAL,
    &INPUT_BLOCKED_SECONDS_TOTAL,
    &UNKNOWN_EVENTS_TOTAL,
    &DOUBTS_TOTAL,
    &COERCED_VALUES_TOTAL,
    &QUALITY_VALUES_TOTAL,
    &QUALITY_NULL_RATIO,
    &QUALITY_LENGTH_BYTES,
    &QUALITY_DISTINCT_RATIO,
    &QUALITY_DRIFTS_TOTAL,
    &QUALITY_DRIFTING_COLUMNS,
    &QUALITY_SAMPLED_ROWS_TOTAL,
    &HALTED_TABLES,
    &SNAPSHOT_RATIO,
    &SNAPSHOT_REMAINING_SECONDS,
    &SNAPSHOT_DUTY_RATIO,
    &SNAPSHOT_SOURCE_LOSS_RATIO,
    &SNAPSHOT_STALE_CHUNKS_TOTAL,
    &PARKED_KEYS,
    &PARKED_ROWS,
    &PARKED_BYTES,
    &DEAD_LETTERS,
    &ROWS_KEPT_TOTAL,
    &ROWS_REPLAYED_TOTAL,
    &ROWS_GIVEN_UP_TOTAL,
    &FOLDED_LABELS_TOTAL,
    &RING_REACH_SECONDS,
    &DISK_BYTES,
    &CPU_SECONDS_TOTAL,
    &MAX_FDS,
    &OPEN_FDS,
    &RESIDENT_MEMORY_BYTES,
    &START_TIME_SECONDS,
    &VIRTUAL_MEMORY_BYTES,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_metric_that_nobody_could_interpret_is_refused() {
        let mut names = HashSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(names.insert(name), "{name} stands twice");
            assert!(metric.help.ends_with('.') && metric.help.len() > 10, "{name}: help");
            assert!(metric.question.ends_with('?'), "{name}: question");
            assert!(metric.partner.is_some_and(|partner| !std::ptr::eq(partner, *metric)), "{name}: partner");
            let is_process = metric.presence() == Presence::Always || std::ptr::eq(*metric, &DISK_BYTES);
            assert!(is_process || metric.labels.first() == Some(&"pipeline"), "{name}: pipeline is the first label");
            assert_eq!(metric.index(), names.len() - 1);
        }
    }

    #[test]
    fn a_type_that_the_name_does_not_promise_is_refused() {
        for metric in ALL {
            let counter = ["_total", "_counter", "_count"].iter().any(|end| metric.name.ends_with(end));
            assert_eq!(counter, metric.kind == Kind::Counter, "{}", metric.name);
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(bounds.is_sorted_by(|a, b| a < b), "{}", metric.name);
                assert!(bounds.len() <= crate::instruments::BOUNDS_MAX, "{}", metric.name);
            }
        }
    }

    #[test]
    fn a_bucket_that_gravity_does_not_have_is_refused() {
        let bounds = |metric: &Metric| match metric.kind {
            Kind::Histogram(bounds) => bounds,
            _ => panic!("{} is no histogram", metric.name),
        };
        // The last bound below infinity of the sample taken from a running Gravity, and how many there are.
        for (metric, count, last) in [
            (&INPUT_LATENCY, 15, 8.192),
            (&INPUT_AFTER_COMMIT_LATENCY, 15, 8.192),
            (&EMITTER_LATENCY, 15, 8.192),
            (&SCHEDULER_SUBMIT_LATENCY, 15, 8.192),
            (&SCHEDULER_ACK_LATENCY, 15, 8.192),
            (&SCHEDULER_TOTAL_LATENCY, 15, 8.192),
            (&OUTPUT_LATENCY, 18, 65.536),
            (&PROCESS_TIME_LATENCY, 19, 131.072),
            (&EVENT_TIME_LATENCY, 21, 536_870.912),
            (&DATA_LAG_SECONDS, 15, 1638.4),
            (&BATCH_QUERY_DURATION, 22, 1048.576),
        ] {
            assert_eq!((bounds(metric).len(), bounds(metric).last()), (count, Some(&last)), "{}", metric.name);
        }
        assert_eq!(bounds(&EVENT_TIME_LATENCY)[14..17], [8.192, 16.384, 131.072]);
    }
}
