//! Memory at rest, and what a running pipeline says of itself.
//!
//! Owns: the work `idle`, counting rows by limpid's own metrics. Does not own: peaks under load, which come with every
//! work's figures.
//!
//! Invariant: memory is read from the kernel, never from limpid.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use limpid_stack::kafka::Isolation;
use limpid_stack::ports;

use super::Bench;
use super::contenders::{kafka, limpid_running};
use super::load::Load;
use super::sheet::Sheet;

/// How long a pipeline rests before it is looked at.
const REST: Duration = Duration::from_secs(5);

const NOTE: &str = "Resident memory with a Kafka sink, 5 s after the pipeline was caught up, and its peak until then.";

/// Memory of a pipeline that has nothing to do: from the start on, and after a backlog.
pub(crate) fn idle(bench: &Bench, load: &Load) -> anyhow::Result<Sheet> {
    println!("idle: memory at rest");
    let mut sheet = Sheet::new("idle", "idle: memory at rest", NOTE, &["resident MB", "peak MB"]);
    for round in 0..2 {
        for (name, word, start) in [
            ("having read nothing", "h", "head".to_owned()),
            ("after a backlog of 1M rows", "b", format!("file:{}:4", load.file)),
        ] {
            let word = format!("idle{word}{round}");
            let port = ports::lease()?;
            let sink = kafka(bench, &word);
            let mut limpid = limpid_running(bench, &load.table, &word, &start, &sink, port.port())?.start(bench)?;
            limpid.until("it answers", || Ok(metrics(port.port()).is_ok()))?;
            if start != "head" {
                let topic = load.topic(&word);
                // The topic is not there before the first row.
                let count = || bench.broker.count(&topic, Isolation::ReadCommitted).unwrap_or(0);
                limpid.until("it was caught up", || Ok(count() >= load.rows))?;
            }
            thread::sleep(REST);
            let resident = limpid.resident_mb()?;
            let figures = vec![resident, limpid.end()?.peak_mb];
            println!("  round {round} {name:<32} {figures:.1?}");
            sheet.add(name, figures);
        }
    }
    Ok(sheet)
}

/// Lets a pipeline read the load to a null sink until its counter says that all rows were delivered. The counter is
/// limpid's own, but a row that were lost on the way would not reach it. `work` sets the pipeline apart.
pub(crate) fn count_rows(bench: &Bench, load: &Load, work: &str) -> anyhow::Result<u64> {
    let port = ports::lease()?;
    let start = format!("file:{}:4", load.file);
    let word = format!("-counted-for-{work}");
    let mut limpid = limpid_running(bench, &load.table, &word, &start, "type: \"null\"", port.port())?.start(bench)?;
    let delivered = || metrics(port.port()).map(|text| sum(&text, "gravity_output_counter")).unwrap_or(0);
    limpid.until("all rows were delivered", || Ok(delivered() >= load.rows))?;
    let found = delivered();
    ensure!(found == load.rows, "{found} rows were delivered, not {}", load.rows);
    limpid.end()?;
    Ok(found)
}

/// The page of metrics of a running process.
pub(crate) fn metrics(port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect to limpid")?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).context("bound the wait")?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").context("ask")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("read the metrics")?;
    ensure!(text.starts_with("HTTP/1.1 200"), "limpid answered {}", text.lines().next().unwrap_or_default());
    Ok(text)
}

/// All series of a counter together.
fn sum(text: &str, name: &str) -> u64 {
    let series = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_of_a_counter_count_and_no_other() {
        let text = "# HELP rows x\nrows{a=\"1\"} 3\nrows{a=\"2\"} 4\nrows_other{a=\"1\"} 9\n";
        assert_eq!(sum(text, "rows"), 7);
    }
}
