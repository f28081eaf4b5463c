//! What copying a table takes from a source that has no time to spare.
//!
//! Owns: the busy clients' rounds with and without us beside them. Does not own: what the clients do
//! (`bench/src/bin/busy_clients.rs`).
//!
//! Invariant: the same clients for the same time in every line; lines are interleaved, and each is compared with the
//! clients alone of its own round.

use anyhow::{Context, ensure};
use limpid_stack::ports;
use serde_json::Value;

use super::contenders::limpid_beside;
use super::load;
use super::sheet::Sheet;
use super::{Bench, memory};
use crate::shell;

const ROUNDS: u64 = 5;
const CONNECTIONS: u64 = 8;
const WARM_SECONDS: u64 = 2;
const SECONDS: u64 = 20;
const ROWS: u64 = 100_000;
const TABLES: u32 = 32;

const NOTE: &str = "8 connections without pauses, each transaction as `oltp_read_write` of sysbench has it (10 rows by key, 4 ranges \
     of 100, 2 updates, a delete and its insert) on a table of 100,000 rows, 2 s of warm-up, 20 s measured. Beside them \
     limpid follows the log, and copies thirty-two other tables of 500,000 rows each to null; it is not done before they are. \
     Clients, server and limpid share the machine's cores, so what limpid itself uses is part of what the clients lose. What \
     the copy takes is told against limpid that only follows the log, before it and after it in the same round; how far those \
     two lie from their mean tells the noise.";

const STREAM: &str = "limpid following the log";
pub(crate) const COPY: &str = "limpid copying too";

/// What is promised of.
pub(crate) const KEPT: &str = "part of following's mean";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Sheet> {
    println!("busy: {CONNECTIONS} connections without pauses");
    tables(bench)?;
    let columns = ["transactions/s", KEPT, "limpid's CPU s", "rows copied/s", "duty as shown", "loss as shown"];
    let mut sheet = Sheet::new("busy", "busy: what a copy takes from a busy source", NOTE, &columns);
    for round in 0..ROUNDS {
        let mut lines = Vec::new();
        for (word, name, snapshot) in [
            ("s", STREAM, "never"),
            ("c", COPY, "initial"),
            ("t", "limpid following the log, again", "never"),
            ("u", "limpid copying, `slowdown: 100`", "{ mode: initial, slowdown: 100 }"),
        ] {
            let figures = beside(bench, &format!("{word}{round}"), snapshot).with_context(|| format!("run {name}"))?;
            lines.push((name, figures));
        }
        lines.push(("the clients alone", vec![clients(bench)?]));
        let stream = (lines[0].1[0] + lines[2].1[0]) / 2.0;
        for (name, mut figures) in lines {
            figures.insert(1, figures[0] / stream);
            println!("  round {round} {name} {figures:?}");
            sheet.add(name, figures);
        }
    }
    Ok(sheet)
}

fn tables(bench: &Bench) -> anyhow::Result<()> {
    bench.server.sql(&format!(
        "create database if not exists bench; use bench; drop table if exists busy; \
         create table busy (id int not null primary key auto_increment, k int not null default 0, \
         c char(120) not null default '', pad char(60) not null default '', key (k)); \
         insert into busy select seq, seq % 997, md5(seq), md5(-seq) from seq_1_to_{ROWS};"
    ))?;
    for number in 0..TABLES {
        load::unlogged(bench, &format!("copied_{number}"), 500_000)?;
    }
    Ok(())
}

/// Transactions a second.
fn clients(bench: &Bench) -> anyhow::Result<f64> {
    let mut command = std::process::Command::new(bench.programs.join("busy_clients"));
    command.args([bench.server.port().to_string(), "bench.busy".to_owned()]);
    command.args([ROWS, CONNECTIONS, WARM_SECONDS, SECONDS].map(|number| number.to_string()));
    let said: Value = serde_json::from_str(&shell::output(&mut command)?).context("read what the clients did")?;
    said["rate"].as_f64().context("the clients tell their rate")
}

/// Transactions a second, and what limpid tells of itself.
fn beside(bench: &Bench, word: &str, snapshot: &str) -> anyhow::Result<Vec<f64>> {
    let port = ports::lease()?;
    let mut limpid = limpid_beside(bench, "copied_*", word, snapshot, port.port())?.start(bench)?;
    limpid.until("it answers", || Ok(memory::metrics(port.port()).is_ok()))?;
    let rate = clients(bench)?;
    let metrics = memory::metrics(port.port())?;
    let of = |name: &str| {
        let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let ended = limpid.end()?;
    let mut figures = vec![rate, ended.cpu];
    if snapshot == "never" {
        return Ok(figures);
    }
    let rows = of("gravity_output_job_fetched_count").context("limpid tells its rows")?;
    ensure!(rows > 0.0, "limpid copied nothing");
    ensure!(of("limpid_snapshot_ratio").is_some_and(|ratio| ratio < 1.0), "limpid was done before the clients were");
    figures.push(rows / (WARM_SECONDS + SECONDS) as f64);
    figures.extend([of("limpid_snapshot_duty_ratio"), of("limpid_snapshot_source_loss_ratio")].into_iter().flatten());
    Ok(figures)
}
