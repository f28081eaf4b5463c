//! What is promised, and whether the figures of a run keep it.
//!
//! Owns: the goals. Does not own: figures, and what a missed goal leads to: it never fails the command, since a
//! machine's noise would.
//!
//! Invariant: a goal without its figure is told as not measured, never as met.

use std::fmt::Write;

use serde_json::json;

use super::report::Report;
use super::table::{CPU, WALL, Work, median};
use super::{busy, cost};

/// One promise beside its figure.
pub(crate) struct Goal {
    work: &'static str,
    promise: &'static str,
    bound: Bound,
    figure: Option<f64>,
    unit: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_kept_by(self, figure: f64) -> bool {
        match self {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        }
    }
}

const NULL: &str = "limpid to null";
const ENCODED: &str = "limpid encoded, dropped";
const KAFKA: &str = "limpid to kafka";
const ONCE: &str = "limpid to kafka, exactly once";
const DEBEZIUM: &str = "Debezium, warmed up";

/// All goals, those of works that were not run too.
pub(crate) fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = reading(report);
    goals.extend(sending(report));
    goals.extend(resting(report));
    goals
}

fn goal(work: &'static str, promise: &'static str, bound: Bound, figure: Option<f64>, unit: &'static str) -> Goal {
    Goal { work, promise, bound, figure, unit }
}

/// A speed as a part of another's is the other's time as a part of it.
fn speed(work: &Work, name: &str, mark: &str) -> Option<f64> {
    work.ratio(mark, name, WALL)
}

fn reading(report: &Report) -> Vec<Goal> {
    let (bulk, single) = (report.work("bulk"), report.work("single"));
    let of_bulk = |name: &str, mark: &str| bulk.and_then(|work| work.ratio(name, mark, CPU));
    let of_single = |name: &str, mark: &str| single.and_then(|work| work.ratio(name, mark, CPU));
    vec![
        goal(
            "bulk",
            "to null: CPU at most twice the bare reader's",
            Bound::AtMost(2.0),
            of_bulk(NULL, "bare reader"),
            "x",
        ),
        goal(
            "bulk",
            "to null: CPU below `mariadb-binlog --raw`",
            Bound::AtMost(1.0),
            of_bulk(NULL, "mariadb-binlog --raw"),
            "x",
        ),
        goal(
            "bulk",
            "Debezium JSON, dropped: at most 0.5 CPU s per million rows",
            Bound::AtMost(0.5),
            bulk.and_then(|work| work.cpu_a_million(ENCODED)),
            "s",
        ),
        goal(
            "snapshot",
            "to null: at least twice the speed of `mariadb --quick`",
            Bound::AtLeast(2.0),
            report.work("snapshot").and_then(|work| speed(work, "limpid snapshot to null", "mariadb --quick")),
            "x",
        ),
        goal(
            "single",
            "to null: at least 60 % of the bare reader's speed",
            Bound::AtLeast(0.6),
            single.and_then(|work| speed(work, NULL, "bare reader")),
            "x",
        ),
        goal(
            "single",
            "to null: CPU at most 1/9 of `mariadb-binlog -vv`",
            Bound::AtMost(1.0 / 9.0),
            of_single(NULL, "mariadb-binlog -vv"),
            "x",
        ),
    ]
}

fn sending(report: &Report) -> Vec<Goal> {
    let (kafka, latency) = (report.work("kafka"), report.sheet("latency"));
    let cpu = |mark: &str| kafka.and_then(|work| work.ratio(KAFKA, mark, CPU));
    let of = |name: &str, column: &str| latency.and_then(|sheet| sheet.figures(name, column)).map(median);
    let wait = |column: &str| of("limpid, commit to seen", column);
    vec![
        goal(
            "kafka",
            "at least 80 % of librdkafka alone",
            Bound::AtLeast(0.8),
            kafka.and_then(|work| speed(work, KAFKA, "librdkafka alone")),
            "x",
        ),
        goal(
            "kafka",
            "exactly once: at least 80 % of at least once",
            Bound::AtLeast(0.8),
            kafka.and_then(|work| speed(work, ONCE, KAFKA)),
            "x",
        ),
        goal(
            "kafka",
            "snapshot: at least 60 % of librdkafka alone",
            Bound::AtLeast(0.6),
            kafka.and_then(|work| speed(work, "limpid snapshot to kafka", "librdkafka alone")),
            "x",
        ),
        goal("kafka", "CPU at most 1.3 times librdkafka alone", Bound::AtMost(1.3), cpu("librdkafka alone"), "x"),
        goal("kafka", "CPU at most 1/5 of Debezium's", Bound::AtMost(0.2), cpu(DEBEZIUM), "x"),
        goal(
            "busy",
            "a busy source keeps 95 % of its own throughput beside a copy that it has beside the stream alone",
            Bound::AtLeast(0.95),
            report.sheet("busy").and_then(|sheet| sheet.figures(busy::COPY, busy::KEPT)).map(median),
            "x",
        ),
        goal("latency", "commit to acknowledged: p50 at most 5 ms", Bound::AtMost(5.0), wait("p50 ms"), "ms"),
        goal("latency", "commit to acknowledged: p99 at most 20 ms", Bound::AtMost(20.0), wait("p99 ms"), "ms"),
        goal(
            "latency",
            "exactly once, commit to seen: p99 at most the commit interval and 40 ms",
            Bound::AtMost(140.0),
            of("limpid exactly once, commit to seen", "p99 ms"),
            "ms",
        ),
    ]
}

fn resting(report: &Report) -> Vec<Goal> {
    let peak = |key: &str| report.work(key).and_then(|work| work.peak_mb("limpid"));
    let highest = |keys: &[&str]| keys.iter().filter_map(|key| peak(key)).max_by(f64::total_cmp);
    let worst = |figures: Vec<f64>| figures.into_iter().max_by(f64::total_cmp);
    let idle = |name| report.sheet("idle").and_then(|sheet| sheet.figures(name, "resident MB")).and_then(worst);
    let told = |column| report.sheet(cost::KEY).and_then(|sheet| sheet.figures(cost::TOLD, column)).map(median);
    let by_turns = |column| report.sheet(cost::TURNS_KEY)?.figures(cost::TOLD, column).map(median);
    let late = |name, column| report.sheet(cost::LATE_KEY)?.figures(name, column).map(median);
    let start = |name| report.sheet("start").and_then(|sheet| sheet.figures(name, "ms")).and_then(worst);
    vec![
        goal(
            "bulk, kafka, single",
            "memory at full speed: at most 100 MB",
            Bound::AtMost(100.0),
            highest(&["bulk", "kafka", "single"]),
            "MB",
        ),
        goal("idle", "memory idle: at most 40 MB", Bound::AtMost(40.0), idle("having read nothing"), "MB"),
        goal(
            "idle",
            "memory idle after full speed: at most 40 MB",
            Bound::AtMost(40.0),
            idle("after a backlog of 1M rows"),
            "MB",
        ),
        goal(
            "turns",
            "telling everything: at most 1 % of CPU (end of the interval)",
            Bound::AtMost(1.01),
            by_turns(cost::HIGH),
            "x",
        ),
        goal("cost", "telling everything: at most 64 MB", Bound::AtMost(64.0), told(cost::MORE_MB), "MB"),
        goal(
            "cost",
            "telling everything: p99 within the interval of two silent runs",
            Bound::AtMost(1.0),
            late(cost::TOLD, cost::MEAN).zip(late(cost::AGAIN, cost::HIGH)).map(|(told, silent)| told / silent),
            "x",
        ),
        goal("huge", "one transaction of 2 GB: never above 100 MB", Bound::AtMost(100.0), peak("huge"), "MB"),
        goal("large", "one transaction of 1M small rows: the same", Bound::AtMost(100.0), peak("large"), "MB"),
        goal("start", "start until the first row: at most 1 s", Bound::AtMost(1000.0), start(NULL), "ms"),
        goal("start", "the same to Kafka, its topic made: at most 1 s", Bound::AtMost(1000.0), start(KAFKA), "ms"),
    ]
}

impl Goal {
    fn verdict(&self) -> &'static str {
        match self.figure {
            Some(figure) if self.bound.is_kept_by(figure) => "met",
            Some(_) => "**missed**",
            None => "not measured",
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let is_met = self.figure.map(|figure| self.bound.is_kept_by(figure));
        json!({"work": self.work, "promise": self.promise, "figure": self.figure, "unit": self.unit, "met": is_met})
    }
}

pub(crate) fn markdown(goals: &[Goal], text: &mut String) -> anyhow::Result<()> {
    writeln!(text, "\n## Goals\n\n| work | goal | figure | |\n|---|---|---|---|")?;
    for goal in goals {
        let figure = goal.figure.map_or("-".to_owned(), |figure| format!("{figure:.3} {}", goal.unit));
        writeln!(text, "| {} | {} | {figure} | {} |", goal.work, goal.promise, goal.verdict())?;
    }
    Ok(())
}
