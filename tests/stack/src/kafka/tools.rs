//! Kafka's own command line tools, straight from its jars.
//!
//! Owns: running one, and the console consumer's options.
//! Does not own: reading what the consumer prints (`records`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::kafka::java::Java;
use crate::kafka::records::{Format, Record};
use crate::wire::Isolation;

const LOG4J: &str = include_str!("tools.log4j.properties");
/// Only a safeguard, since the number of records is known: longer than a JVM starts on a machine that compiles.
const SILENCE_MS_MAX: &str = "30000";

/// Kafka's tools, of one set of jars.
#[derive(Debug)]
pub(crate) struct Tools {
    java: Java,
    log4j: PathBuf,
}

impl Tools {
    pub(super) fn new(java: Java, folder: &Path) -> anyhow::Result<Tools> {
        let log4j = folder.join("tools.log4j.properties");
        std::fs::write(&log4j, LOG4J).context("write the tools' log settings")?;
        Ok(Tools { java, log4j })
    }

    pub(crate) fn run(&self, class: &str, args: &[&str], input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut command = Command::new(&self.java.program);
        command.args(self.java.arguments("tools", &self.log4j, class)).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {class}"))?;
        let mut stdin = child.stdin.take().context("open the tool's input")?;
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A tool that ended early closes the pipe; its status and message say why.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().with_context(|| format!("wait for {class}"))
        })?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("{class} ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim());
        }
        Ok(output.stdout)
    }

    /// Reads exactly `expected` records with the console consumer, whose default deserialisers print bytes as they are.
    pub(crate) fn consume(
        &self,
        bootstrap: &str,
        topic: &str,
        isolation: Isolation,
        expected: u64,
    ) -> anyhow::Result<Vec<Record>> {
        if expected == 0 {
            return Ok(Vec::new());
        }
        let format = Format::new()?;
        let count = expected.to_string();
        let mut args = vec!["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning"];
        args.extend(["--isolation-level", isolation.name(), "--max-messages", &count, "--timeout-ms", SILENCE_MS_MAX]);
        let properties = format.properties();
        args.extend(properties.iter().flat_map(|property| ["--property", property]));
        let printed = self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", &args, b"")?;
        let mut records = format.read(&printed)?;
        ensure!(
            u64::try_from(records.len()) == Ok(expected),
            "{topic} holds {expected} records, but the consumer was given {}",
            records.len()
        );
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }
}
