//! Debezium's embedded engine as a contender.
//!
//! Owns: its jars, compiling the program around it (`tests/oracle`), where it starts to read. Does not own: that
//! program.
//!
//! Invariant: each run begins with a copy of what was kept at the load's start, so that none goes on where another
//! ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use limpid_stack::cache;
use limpid_stack::kafka::Isolation;

use super::Bench;
use super::load::Load;
use super::measure::{Account, Contender, Count};
use crate::shell;

pub(crate) struct Debezium {
    classpath: String,
}

/// Where it delivers to.
#[derive(Clone, Copy)]
pub(crate) enum Sink {
    Nowhere,
    Kafka,
}

/// What Kafka Connect's own start script gives its process, and no log but warnings.
const JVM: [&str; 2] = ["-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];

/// Offsets are written as seldom as Connect does it; the program's default, at every batch, is for recordings.
const SETTINGS: [&str; 2] = ["--set", "offset.flush.interval.ms=60000"];

impl Debezium {
    /// Fetches and compiles what is missing.
    pub(crate) fn find(root: &Path, dir: &Path) -> anyhow::Result<Self> {
        let oracle = root.join("tests/oracle");
        let jars = cache::debezium(&oracle.join("pom.xml"))?.join("lib/*");
        let classes = dir.join("classes");
        let mut javac = Command::new("javac");
        javac.arg("-d").arg(&classes).arg("-cp").arg(&jars);
        shell::output(javac.arg(oracle.join("src/main/java/limpid/oracle/Oracle.java")))?;
        Ok(Self { classpath: format!("{}:{}", classes.display(), jars.display()) })
    }

    /// Keeps the present position, and the definition of `table`, in the folder returned.
    pub(crate) fn prepare(&self, bench: &Bench, table: &str) -> anyhow::Result<PathBuf> {
        let folder = bench.dir.path().join(format!("debezium-{table}"));
        let arguments = self.arguments(bench, "prepare", table, &folder);
        shell::output(Command::new("java").args(arguments)).context("let Debezium keep its position")?;
        Ok(folder)
    }

    /// The topic that it fills, in every round: the prefix is part of what it keeps.
    pub(crate) fn topic(load: &Load) -> String {
        load.topic("oracle")
    }

    /// Reads a load from where it was prepared, to nowhere or to its topic.
    pub(crate) fn contender(&self, bench: &Bench, load: &Load, word: &str, sink: Sink) -> anyhow::Result<Contender> {
        let kept = load.offsets.as_ref().context("the load was prepared for Debezium")?;
        let folder = bench.dir.path().join(format!("debezium-{}-{word}", load.table));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        for name in ["offsets", "history"] {
            std::fs::copy(kept.join(name), folder.join(name)).with_context(|| format!("copy Debezium's {name}"))?;
        }
        let mut arguments = self.arguments(bench, "bench", &load.table, &folder);
        arguments.extend(["--rows".to_owned(), load.rows.to_string()]);
        arguments.extend(SETTINGS.map(str::to_owned));
        let count = match sink {
            Sink::Nowhere => Count::Said,
            Sink::Kafka => {
                arguments.extend(["--sink".to_owned(), "kafka".into(), "--brokers".into(), bench.broker.bootstrap()]);
                let topic = Self::topic(load);
                Count::Topic { before: bench.broker.count(&topic, Isolation::ReadCommitted)?, topic }
            }
        };
        let account = Account::Both { rows: load.rows };
        Ok(Contender { name: "Debezium".into(), program: "java".into(), arguments, count, rows: load.rows, account })
    }

    fn arguments(&self, bench: &Bench, mode: &str, table: &str, folder: &Path) -> Vec<String> {
        let mut arguments: Vec<String> = JVM.map(str::to_owned).to_vec();
        arguments.extend(["-cp".to_owned(), self.classpath.clone(), "limpid.oracle.Oracle".into(), mode.into()]);
        arguments.extend([
            "--connector".to_owned(),
            "mariadb".into(),
            "--port".into(),
            bench.server.port().to_string(),
        ]);
        arguments.extend(["--work".to_owned(), folder.display().to_string()]);
        arguments.extend(["--tables".to_owned(), format!("bench.{table}")]);
        arguments
    }
}
