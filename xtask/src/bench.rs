//! `cargo xtask bench`: one command makes the loads, runs the contenders in turn, and writes the figures.
//!
//! Owns: where everything is while a bench runs, and the order of the works. Does not own: a work's contenders
//! (`works`), how one is measured (`measure`), what is promised (`goals`).
//!
//! Invariant: contenders of one work run interleaved, round by round, on the same log of the same server; ratios are
//! taken within a round. One contender runs twice a round: the two differ by noise alone.

mod busy;
mod contenders;
mod cost;
mod debezium;
mod goals;
mod latency;
mod load;
mod measure;
mod memory;
mod receiver;
mod report;
mod sheet;
mod table;
mod truth;
mod turns;
mod works;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use limpid_stack::{TempDir, kafka, mariadb};

use crate::shell;
use debezium::Debezium;
use report::Report;

/// Where everything is while a bench runs.
pub(crate) struct Bench {
    /// The programs, copied: a build beside us must not exchange a contender between two rounds.
    pub(crate) programs: PathBuf,
    pub(crate) dir: TempDir,
    pub(crate) server: mariadb::Server,
    pub(crate) broker: kafka::Server,
    /// Or why it is not measured.
    pub(crate) debezium: Result<Debezium, String>,
}

const PROGRAMS: [&str; 6] =
    ["limpid", "bare_reader", "librdkafka_alone", "records_of", "commit_to_seen", "busy_clients"];

/// Runs the works named, or all.
pub(crate) fn run(wanted: &[&str]) -> anyhow::Result<()> {
    for name in wanted {
        ensure!(works::NAMES.contains(name), "there is no work {name}; there are {}", works::NAMES.join(", "));
    }
    let root = shell::root()?;
    let bench = prepare(&root)?;
    let mut report = Report::new(&root)?;
    if let Err(reason) = &bench.debezium {
        println!("Debezium is not measured: {reason}");
        report.note(format!("Debezium: not measured ({reason})."));
    }
    let measured = works::run(&bench, &mut report, |name| wanted.is_empty() || wanted.contains(&name));
    // Also after a failure: the works before it took minutes.
    report.write(&root.join("bench/results"))?;
    measured
}

fn prepare(root: &Path) -> anyhow::Result<Bench> {
    shell::run(shell::cargo().args(["build", "--release", "--locked", "-p", "limpid", "-p", "limpid-bench"]))?;
    let metadata = shell::metadata(root, &["--no-deps"])?;
    let target = metadata["target_directory"].as_str().context("cargo names its target folder")?;
    let dir = TempDir::new("bench")?;
    let programs = dir.path().join("bin");
    std::fs::create_dir(&programs).context("make a folder for the programs")?;
    for name in PROGRAMS {
        let built = Path::new(target).join("release").join(name);
        std::fs::copy(&built, programs.join(name)).with_context(|| format!("copy {}", built.display()))?;
    }
    let options = mariadb::Options {
        extra_args: ["--max-binlog-size=1G", "--max-allowed-packet=256M"].map(String::from).to_vec(),
        ..mariadb::Options::default()
    };
    Ok(Bench {
        programs,
        debezium: Debezium::find(root, dir.path()).map_err(|error| format!("{error:#}")),
        server: mariadb::start(&options)?,
        broker: kafka::start(&kafka::Options::default())?,
        dir,
    })
}
