//! `stack up` and `stack down`: real servers to try things out with.
//!
//! Owns: the state file `.stack/servers.json`, and ending what it names.
//! Does not own: how a server is found and started (`limpid-stack`).
//!
//! Invariant: `down` ends a process only when its id still belongs to the process that `up` started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use limpid_stack::{Instance, Lifetime, Placement, Running, cache, kafka, mariadb, mysql, prometheus};
use serde_json::{Value, json};

use crate::shell;

/// A clean stop of MySQL takes 2 s; after ten times that it hangs.
const STOP_MAX: Duration = Duration::from_secs(20);

/// A server that `up` has started.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    running: Running,
    port: u16,
    dir: PathBuf,
}

const NAMES: [&str; 4] = ["mariadb", "mysql", "kafka", "prometheus"];

pub(crate) fn fetch() -> anyhow::Result<()> {
    println!("MySQL in {}", cache::mysql()?.display());
    println!("Kafka in {}", cache::kafka()?.display());
    println!("OpenTelemetry Collector in {}", cache::otelcol()?.display());
    Ok(())
}

pub(crate) fn up() -> anyhow::Result<()> {
    let file = state_file()?;
    let mut entries = read(&file)?;
    for name in NAMES {
        if entries.iter().any(|entry| entry.name == name && entry.running.is_alive()) {
            continue;
        }
        entries.retain(|entry| entry.name != name);
        let entry = start(name)?;
        entries.push(entry);
        // After each, so that a later failure leaves nothing unknown behind.
        write(&file, &entries)?;
    }
    show(&entries);
    Ok(())
}

pub(crate) fn down() -> anyhow::Result<()> {
    let file = state_file()?;
    let mut entries = read(&file)?;
    while let Some(entry) = entries.pop() {
        let ended = entry.running.end(STOP_MAX).with_context(|| format!("stop {}", entry.name))?;
        println!("{} {}", entry.name, if ended { "stopped" } else { "was not running" });
        if entry.dir.exists() {
            std::fs::remove_dir_all(&entry.dir).with_context(|| format!("remove {}", entry.dir.display()))?;
        }
        write(&file, &entries)?;
    }
    Ok(())
}

pub(crate) fn status() -> anyhow::Result<()> {
    show(&read(&state_file()?)?);
    Ok(())
}

fn start(name: &str) -> anyhow::Result<Entry> {
    let dir = limpid_stack::lasting_folder(&shell::root()?)?.join(name);
    if dir.exists() {
        // Left by servers that are gone, with the machine's last boot perhaps.
        std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    let placement = Placement { lifetime: Lifetime::Detached, dir: Some(dir), port: None };
    match name {
        "mariadb" => entry(name, &*mariadb::start(&mariadb::Options { placement, ..Default::default() })?),
        "mysql" => entry(name, &*mysql::start(&mysql::Options { placement, ..Default::default() })?),
        "kafka" => entry(name, &*kafka::start(&kafka::Options { placement, ..Default::default() })?),
        "prometheus" => entry(name, &*prometheus::start(&prometheus::Options { placement, ..Default::default() })?),
        _ => bail!("{name} is no server of ours"),
    }
}

fn entry(name: &str, instance: &Instance) -> anyhow::Result<Entry> {
    let running = instance.running().with_context(|| format!("find the process of {name}"))?;
    Ok(Entry { name: name.to_owned(), running, port: instance.port(), dir: instance.dir().to_path_buf() })
}

fn show(entries: &[Entry]) {
    if entries.is_empty() {
        println!("no server is up; `cargo xtask stack up` starts them");
    }
    for entry in entries {
        let state = if entry.running.is_alive() { "up" } else { "dead" };
        println!(
            "{:<10} {state:<4} 127.0.0.1:{} pid {} in {}",
            entry.name,
            entry.port,
            entry.running.pid,
            entry.dir.display()
        );
    }
}

fn state_file() -> anyhow::Result<PathBuf> {
    Ok(shell::root()?.join(".stack/servers.json"))
}

fn read(file: &Path) -> anyhow::Result<Vec<Entry>> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text).with_context(|| format!("read {}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

fn write(file: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let folder = file.parent().context("find the folder of the state file")?;
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, print(entries)).with_context(|| format!("write {}", fresh.display()))?;
    std::fs::rename(&fresh, file).with_context(|| format!("write {}", file.display()))
}

fn print(entries: &[Entry]) -> String {
    let rows = entries.iter().map(|entry| {
        json!({
            "name": entry.name, "pid": entry.running.pid, "started": entry.running.started,
            "port": entry.port, "dir": entry.dir.to_string_lossy(),
        })
    });
    format!("{:#}\n", Value::from_iter(rows))
}

fn parse(text: &str) -> anyhow::Result<Vec<Entry>> {
    let value: Value = serde_json::from_str(text).context("parse JSON")?;
    let rows = value.as_array().context("find a list")?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                name: row["name"].as_str().context("find a name")?.to_owned(),
                running: Running {
                    pid: u32::try_from(row["pid"].as_u64().context("find a process id")?)
                        .context("read a process id")?,
                    started: row["started"].as_u64().context("find a start time")?,
                },
                port: u16::try_from(row["port"].as_u64().context("find a port")?).context("read a port")?,
                dir: row["dir"].as_str().context("find a folder")?.into(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_file_reads_back_as_written() {
        let running = Running { pid: 7, started: 123_456 };
        let entries = vec![Entry { name: "kafka".into(), running, port: 21_000, dir: "/tmp/kafka".into() }];
        assert_eq!(parse(&print(&entries)).unwrap(), entries);
        assert!(parse("[{}]").is_err());
    }
}
