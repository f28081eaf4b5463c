//! How long a row is on its way at a steady pace.
//!
//! Owns: starting a pipeline beside the paced writers, and what the two tell. Does not own: writing, consuming and
//! the clock (`bench/src/bin/commit_to_seen.rs`).
//!
//! Invariant: writer and consumer are one process with one clock; limpid is another, as it is in life.

use anyhow::Context;
use limpid_stack::ports;
use serde_json::Value;

use super::contenders::{EXACTLY_ONCE, kafka, limpid_running};
use super::load::table_and_file;
use super::measure::Contender;
use super::sheet::Sheet;
use super::{Bench, memory};
use crate::shell;

const ROUNDS: u64 = 3;

/// Single-row transactions a second.
const RATE: u64 = 5_000;

/// Not measured: until every thread, table and connection is warm.
const WARM_SECONDS: u64 = 5;
const SECONDS: u64 = 20;

const NOTE: &str = "5,000 autocommitted single-row inserts a second on 4 connections, 5 s of warm-up, 20 s measured. A row's \
     time runs from its COMMIT's return in the writer until a consumer in the same process holds the record, so it \
     is an upper bound of commit to acknowledged: the consumer's fetch comes on top. The first line sends records of \
     the same size by librdkafka at the same pace, and shows what of the time is the broker's and the consumer's. \
     Exactly once, a row is seen when its transaction is committed, every 100 ms.";

const COLUMNS: &str = "id bigint not null primary key, k int not null, c varchar(120) not null";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Sheet> {
    println!("latency: {RATE} transactions a second");
    let columns = ["rows/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "limpid's CPU s a million", "peak MB"];
    let mut sheet = Sheet::new("latency", "latency: from commit to seen by a consumer", NOTE, &columns);
    for round in 0..ROUNDS {
        let topic = format!("floor{round}");
        bench.broker.create_topic(&topic, 1, &[])?;
        let floor = paced(bench, "kafka", &topic, &Run { table: "latency", number: round, seconds: SECONDS })?;
        println!("  round {round} librdkafka alone {floor:?}");
        sheet.add("librdkafka alone, sent to seen", floor);
        for (turn, (name, delivery)) in
            [("limpid, commit to seen", ""), ("limpid exactly once, commit to seen", EXACTLY_ONCE)]
                .into_iter()
                .enumerate()
        {
            let run = Run { table: "latency", number: 2 * round + turn as u64, seconds: SECONDS };
            let figures = through_limpid(bench, &run, delivery, |_| Ok(()))?;
            println!("  round {round} {name} {figures:?}");
            sheet.add(name, figures);
        }
    }
    Ok(sheet)
}

/// One stretch of writing.
pub(crate) struct Run<'a> {
    pub(crate) table: &'a str,
    /// Of the runs that write to this table: each writes other rows, since the table keeps them.
    pub(crate) number: u64,
    /// Measured, after the warm-up.
    pub(crate) seconds: u64,
}

/// Where the figures of a run have p99, and limpid's CPU seconds a million rows.
pub(crate) const P99: usize = 3;
pub(crate) const CPU: usize = 6;

/// A run beside a pipeline, which `change` may make another than the plain one.
pub(crate) fn through_limpid(
    bench: &Bench,
    run: &Run<'_>,
    delivery: &str,
    change: impl FnOnce(&mut Contender) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let Run { table, number, seconds } = *run;
    let word = format!("w{number}");
    let topic = format!("{word}.bench.{table}");
    bench.broker.create_topic(&topic, 1, &[])?;
    let file = table_and_file(bench, table, COLUMNS)?;
    let start = format!("file:{file}:4");
    let port = ports::lease()?;
    let sink = kafka(bench, &word) + delivery;
    let mut contender = limpid_running(bench, table, &word, &start, &sink, port.port())?;
    change(&mut contender)?;
    let mut limpid = contender.start(bench)?;
    limpid.until("it answers", || Ok(memory::metrics(port.port()).is_ok()))?;
    let mut figures = paced(bench, &bench.server.port().to_string(), &topic, run)?;
    let ended = limpid.end()?;
    figures.push(ended.cpu * 1e6 / (RATE * (WARM_SECONDS + seconds)) as f64);
    figures.push(ended.peak_mb);
    Ok(figures)
}

/// Paced writing and consuming to its end; the figures in the order of the sheet's columns.
fn paced(bench: &Bench, port: &str, topic: &str, run: &Run<'_>) -> anyhow::Result<Vec<f64>> {
    let Run { table, number, seconds } = *run;
    let first = 1 + number * RATE * (WARM_SECONDS + seconds);
    let mut command = std::process::Command::new(bench.programs.join("commit_to_seen"));
    command.args([port, &bench.broker.bootstrap(), topic, &format!("bench.{table}")]);
    command.args([first, RATE, WARM_SECONDS, seconds].map(|number| number.to_string()));
    let said: Value = serde_json::from_str(&shell::output(&mut command)?).context("read the latencies")?;
    let number = |key: &str| said[key].as_f64().with_context(|| format!("the writers tell {key}"));
    ["rate", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"].into_iter().map(number).collect()
}
