//! `cargo xtask bench`: one command makes the loads, runs the contenders in turn, and writes the figures.
//!
//! Owns: which work is measured, by whom, and how the figures are put together. Does not own: a contender's way of
//! working; each is a whole process from start to end, measured by the kernel.
//!
//! Invariant: contenders of one work run interleaved, round by round, on the same log of the same server; ratios are
//! taken within a round. The first contender runs twice a round: the two differ by noise alone.

mod load;
mod measure;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Context;
use limpid_stack::{TempDir, kafka, mariadb};

use crate::shell;
use load::Load;
use measure::Contender;

/// Rounds of each work; medians are quoted.
const ROUNDS: usize = 5;

/// Where everything is while a bench runs.
pub(crate) struct Bench {
    pub(crate) root: PathBuf,
    pub(crate) release: PathBuf,
    pub(crate) dir: TempDir,
    pub(crate) server: mariadb::Server,
    pub(crate) broker: Option<kafka::Server>,
}

/// Runs the works named, or all.
pub(crate) fn run(works: &[&str]) -> anyhow::Result<()> {
    let wanted = |name: &str| works.is_empty() || works.contains(&name);
    let root = shell::root()?;
    shell::run(shell::cargo().args(["build", "--release", "--locked", "-p", "limpid", "-p", "limpid-bench"]))?;
    let metadata = shell::metadata(&root, &["--no-deps"])?;
    let target = metadata["target_directory"].as_str().context("cargo names its target folder")?;
    let options = mariadb::Options {
        extra_args: ["--max-binlog-size=1G", "--max-allowed-packet=256M"].map(String::from).to_vec(),
        ..mariadb::Options::default()
    };
    let bench = Bench {
        release: Path::new(target).join("release"),
        dir: TempDir::new("bench")?,
        server: mariadb::start(&options)?,
        broker: wanted("kafka").then(|| kafka::start(&kafka::Options::default())).transpose()?,
        root,
    };
    let mut report = table::Report::new(ROUNDS);
    if wanted("bulk") {
        let load = load::bulk(&bench, "bulk", 1_000_000, 10_000)?;
        measure_work(&bench, &mut report, "bulk: 1M rows of 175 B, 10,000 a transaction", &load, &readers)?;
    }
    if wanted("large") {
        let load = load::bulk(&bench, "large", 1_000_000, 1_000_000)?;
        measure_work(&bench, &mut report, "large: the same in one transaction", &load, &limpids)?;
    }
    if wanted("single") {
        let load = load::single(&bench, 200_000)?;
        measure_work(&bench, &mut report, "single: 200,000 single-row transactions", &load, &readers)?;
    }
    if wanted("kafka") {
        let load = load::bulk(&bench, "backlog", 1_000_000, 10_000)?;
        measure_work(&bench, &mut report, "kafka: a backlog of 1M rows to Apache Kafka", &load, &senders)?;
    }
    report.write(&bench.root.join("bench/results"))
}

type Contenders = dyn Fn(&Bench, &Load, usize) -> anyhow::Result<Vec<Contender>>;

/// Rounds of all contenders in turn.
fn measure_work(
    bench: &Bench,
    report: &mut table::Report,
    title: &str,
    load: &Load,
    contenders: &Contenders,
) -> anyhow::Result<()> {
    println!("{title}");
    let mut work = table::Work::new(title, load.rows);
    for round in 0..ROUNDS {
        for contender in contenders(bench, load, round)? {
            let figure = contender.run(bench).with_context(|| format!("run {}", contender.name))?;
            println!("  round {round} {:<28} {figure}", contender.name);
            work.add(&contender.name, figure);
        }
    }
    report.add(work);
    Ok(())
}

fn limpids(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    Ok(vec![
        measure::bare_reader(bench, load, "bare reader"),
        measure::limpid(bench, load, "limpid to null", &format!("n{round}"), None, "type: \"null\"")?,
        measure::limpid(bench, load, "limpid to null, again", &format!("a{round}"), None, "type: \"null\"")?,
        measure::limpid(
            bench,
            load,
            "limpid encoded, dropped",
            &format!("e{round}"),
            None,
            "type: \"null\", format: debezium-json",
        )?,
    ])
}

fn readers(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let mut contenders = limpids(bench, load, round)?;
    contenders.push(measure::mariadb_binlog(bench, load, "mariadb-binlog --raw", &["--raw"]));
    let verbose = ["--base64-output=decode-rows", "-vv"];
    contenders.push(measure::mariadb_binlog(bench, load, "mariadb-binlog -vv", &verbose));
    Ok(contenders)
}

fn senders(bench: &Bench, load: &Load, round: usize) -> anyhow::Result<Vec<Contender>> {
    let broker = bench.broker.as_ref().context("the broker runs")?;
    let sink = |name: &str| {
        format!("type: kafka, brokers: [\"{}\"], topic: \"{name}.{{schema}}.{{table}}\"", broker.bootstrap())
    };
    let (one, two) = (format!("k{round}"), format!("l{round}"));
    Ok(vec![
        measure::librdkafka(bench, "librdkafka alone", &format!("r{round}"))?,
        measure::limpid(bench, load, "limpid to kafka", &one, Some(load.topic(&one)), &sink(&one))?,
        measure::limpid(bench, load, "limpid to kafka, again", &two, Some(load.topic(&two)), &sink(&two))?,
    ])
}
