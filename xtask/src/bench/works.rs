//! What is measured, by whom, and how often.
//!
//! Owns: the works in their order, their contenders, rounds. Does not own: making a load, measuring, judging.
//!
//! Invariant: a load is read before the next one is made, since contenders read from its file to the log's end.

use anyhow::Context;

use super::debezium::{self, Debezium};
use super::load::{self, Load};
use super::measure::Contender;
use super::report::Report;
use super::sheet::Sheet;
use super::table::Work;
use super::{Bench, busy, contenders, cost, latency, memory, truth};

pub(crate) const NAMES: [&str; 13] = [
    "bulk", "snapshot", "kafka", "idle", "cost", "turns", "large", "single", "start", "latency", "busy", "huge",
    "truth",
];

/// Rounds of most works; medians are quoted.
const ROUNDS: usize = 5;

/// Of contenders that take half a minute and win or lose by an order of magnitude.
const SLOW_ROUNDS: usize = 2;

const NULL: &str = "type: \"null\"";
const ENCODED: &str = "type: \"null\", format: debezium-json";

pub(crate) fn run(bench: &Bench, report: &mut Report, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    if ["bulk", "snapshot", "kafka", "idle"].into_iter().any(&wanted) {
        let load = load::bulk(bench, "bulk", 1_000_000, 10_000)?;
        if wanted("bulk") {
            measure(bench, report, "bulk", "1M rows, 10,000 a transaction", &load, ROUNDS, &readers)?;
        }
        if wanted("snapshot") {
            measure(bench, report, "snapshot", "the same table, copied", &load, ROUNDS, &copiers)?;
        }
        if wanted("kafka") {
            to_kafka(bench, report, &load)?;
        }
        if wanted("idle") {
            report.add_sheet(memory::idle(bench, &load)?);
        }
    }
    if wanted("cost") {
        // The ring is written round once in so many rows, and is made of pages that stay from then on.
        let load = load::bulk(bench, "cost", 3_000_000, 10_000)?;
        cost::measure(bench, &load)?.into_iter().for_each(|sheet| report.add_sheet(sheet));
    }
    if wanted("turns") {
        // Twice as many as the ring needs to be written round, and some more.
        let load = load::bulk(bench, "turns", 12_000_000, 10_000)?;
        cost::by_turns(bench, &load)?.into_iter().for_each(|sheet| report.add_sheet(sheet));
    }
    if wanted("large") {
        let load = load::bulk(bench, "large", 1_000_000, 1_000_000)?;
        measure(bench, report, "large", "the same rows in one transaction", &load, 3, &limpids)?;
    }
    if wanted("single") {
        let load = load::single(bench, 500_000)?;
        measure(bench, report, "single", "500,000 single-row transactions", &load, ROUNDS, &readers)?;
    }
    if wanted("start") {
        report.add_sheet(start(bench)?);
    }
    if wanted("latency") {
        report.add_sheet(latency::measure(bench)?);
    }
    if wanted("busy") {
        report.add_sheet(busy::measure(bench)?);
    }
    if wanted("huge") {
        let load = load::huge(bench)?;
        measure(bench, report, "huge", "one transaction of more than 2 GiB", &load, SLOW_ROUNDS, &huge)?;
    }
    if wanted("truth") {
        report.add_sheet(truth::measure(bench)?);
    }
    Ok(())
}

type Contenders<'a> = dyn Fn(&Bench, &Load, usize) -> anyhow::Result<Vec<Contender>> + 'a;

/// Rounds of all contenders in turn, after one run that is not measured: it counts the rows, and finds the log in
/// the system's cache for those that follow.
fn measure(
    bench: &Bench,
    report: &mut Report,
    key: &'static str,
    title: &str,
    load: &Load,
    rounds: usize,
    contenders: &Contenders<'_>,
) -> anyhow::Result<()> {
    let bytes = load.bytes as f64 / load.rows as f64;
    let title = format!("{key}: {title}, {bytes:.0} B of log a row");
    println!("{title}");
    let counted = memory::count_rows(bench, load, key)?;
    let mut work = Work::new(key, &title, load.rows);
    work.note(format!("A run beside the rounds read {counted} rows from limpid's own counter at the null sink."));
    for round in 0..rounds {
        for contender in contenders(bench, load, round)? {
            for (name, figure) in contender.run(bench).with_context(|| format!("run {}", contender.name))? {
                println!("  round {round} {name:<32} {figure}");
                work.add(&name, figure);
            }
        }
    }
    report.add_work(work);
    Ok(())
}

fn limpids(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let limpid = |name, word: &str, sink| contenders::limpid(bench, load, name, &format!("{word}{round}"), sink);
    Ok(vec![
        contenders::bare_reader(bench, load),
        limpid("limpid to null", "n", NULL)?,
        limpid("limpid to null, again", "a", NULL)?,
        limpid("limpid encoded, dropped", "e", ENCODED)?,
    ])
}

fn readers(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let mut list = limpids(bench, load, round)?;
    list.push(contenders::mariadb_binlog(bench, load, "mariadb-binlog --raw", &["--raw"]));
    list.push(contenders::mariadb_binlog(bench, load, "mariadb-binlog -vv", &["--base64-output=decode-rows", "-vv"]));
    if let (Ok(debezium), true) = (&bench.debezium, round < SLOW_ROUNDS) {
        list.push(debezium.contender(bench, load, &format!("n{round}"), debezium::Sink::Nowhere)?);
    }
    Ok(list)
}

/// The server does the greater part of the work, and is no part of anybody's CPU here.
fn copiers(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let limpid =
        |name, word: &str, sink| contenders::limpid_copying(bench, load, name, &format!("{word}{round}"), sink);
    Ok(vec![
        contenders::mariadb_quick(bench, load),
        limpid("limpid snapshot to null", "cn", NULL)?,
        limpid("limpid snapshot to null, again", "ca", NULL)?,
        limpid("limpid snapshot encoded, dropped", "ce", ENCODED)?,
    ])
}

fn huge(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let limpid = |name, word: &str, sink| contenders::limpid(bench, load, name, &format!("{word}{round}"), sink);
    Ok(vec![limpid("limpid to null", "n", NULL)?, limpid("limpid encoded, dropped", "e", ENCODED)?])
}

/// librdkafka alone sends what limpid has sent: a first run fills a topic, which is then read into a file.
fn to_kafka(bench: &Bench, report: &mut Report, load: &Load) -> anyhow::Result<()> {
    println!("kafka: filling a topic for librdkafka to send again");
    contenders::limpid_to_kafka(bench, load, "limpid to kafka", "first")?.run(bench)?;
    let records = contenders::records_of(bench, &load.topic("first"), load.rows)?;
    bench.broker.create_topic(&Debezium::topic(load), 1, &[])?;
    let senders = |bench: &Bench, load: &Load, round: usize| {
        let (one, two) = (format!("k{round}"), format!("l{round}"));
        let mut list = vec![
            contenders::librdkafka(bench, load, &records, &format!("r{round}"))?,
            contenders::limpid_to_kafka(bench, load, "limpid to kafka", &one)?,
            contenders::limpid_to_kafka(bench, load, "limpid to kafka, again", &two)?,
            contenders::limpid_once_to_kafka(bench, load, "limpid to kafka, exactly once", &format!("o{round}"))?,
            contenders::limpid_copying_to_kafka(bench, load, "limpid snapshot to kafka", &format!("c{round}"))?,
        ];
        if let (Ok(debezium), true) = (&bench.debezium, round < SLOW_ROUNDS) {
            list.push(debezium.contender(bench, load, &format!("k{round}"), debezium::Sink::Kafka)?);
        }
        Ok(list)
    };
    let bytes = std::fs::metadata(&records).context("measure the records")?.len() / load.rows;
    let title = format!("a backlog of 1M rows to Apache Kafka, {bytes} B of key and value a record");
    measure(bench, report, "kafka", &title, load, ROUNDS, &senders)
}

/// The whole life of a process that has one row to read: more than the time until its first row. To Kafka it is what
/// every run of the work `kafka` has besides its rows.
fn start(bench: &Bench) -> anyhow::Result<Sheet> {
    let load = load::one_row(bench)?;
    println!("start: a log of one row");
    let mut sheet = Sheet::new(
        "start",
        "start: from exec to exit over a log of one row",
        "Connecting, reading the catalogue, delivering the row and ending: an upper bound of the time until the first \
         row is out. To Kafka, topics are made too.",
        &["ms", "CPU ms"],
    );
    for round in 0..10 {
        for contender in [
            contenders::limpid(bench, &load, "limpid to null", &format!("s{round}"), NULL)?,
            contenders::limpid_to_kafka(bench, &load, "limpid to kafka", &format!("s{round}"))?,
        ] {
            for (name, figure) in contender.run(bench)? {
                println!("  round {round} {name:<32} {figure}");
                sheet.add(&name, vec![figure.wall * 1e3, figure.cpu * 1e3]);
            }
        }
    }
    Ok(sheet)
}
