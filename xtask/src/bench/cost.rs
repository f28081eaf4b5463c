//! What telling costs: metrics, log, ring and traces, against the same binary that tells nothing.
//!
//! Owns: the pairs, the interval. Does not own: what is told, what `--unobserved` leaves out (`limpid`).
//!
//! Invariant: the two of a pair run one after the other on the same log, each first every other time; a second silent run in
//! each round shows what an interval looks like where there is nothing to find.

use std::path::Path;

use anyhow::Context;

use super::load::Load;
use super::measure::{Contender, Figure};
use super::receiver::Receiver;
use super::sheet::Sheet;
use super::{Bench, contenders};

/// Twenty at least are asked for; an even number, so that each is first equally often.
const PAIRS: usize = 20;

/// Student's t for 19 degrees of freedom, 95 % two-sided.
const T: f64 = 2.093;

const NOTE: &str = "1M rows to Apache Kafka, CPU of limpid's process from start to end by the kernel. `telling` has everything on: what is by \
     default, columns measured, traces kept for one transaction in a hundred, metrics pushed each second by OTLP and by remote write, log \
     lines in a file and by OTLP, all of them into a receiver that takes them; `silent` is the same binary with `--unobserved`: no \
     metric, no line, no ring and no trace, while positions are saved and the end of the log is looked at as ever. Ratios are \
     taken within a round, and their mean is geometric.";

/// All that can be told.
fn everything(receiver: &str, file: &Path) -> String {
    let sent = format!("otlp: \"{receiver}\", protocol: http");
    let file = file.display();
    format!(
        "telemetry:\n  quality: {{ one-in: 64 }}\n  traces: {{ {sent}, sample: 0.01 }}\n  \
         metrics: {{ {sent}, remote-write: \"{receiver}{REMOTE_WRITE}\", push-every: 1s }}\n  \
         logs: {{ {sent}, file: \"{file}\" }}\n"
    )
}

const REMOTE_WRITE: &str = "/api/v1/write";

const RATIO_NOTE: &str = "Over all rounds: the mean and its 95 % interval (Student's t of the logarithms).";

pub(crate) const KEY: &str = "cost of telling";
pub(crate) const TOLD: &str = "telling, as a part of silent";
pub(crate) const HIGH: &str = "95 % to";
pub(crate) const MORE_MB: &str = "MB more";

const AGAIN: &str = "silent again, as a part of silent";

pub(crate) fn measure(bench: &Bench, load: &Load) -> anyhow::Result<[Sheet; 2]> {
    println!("cost: {PAIRS} pairs");
    let receiver = Receiver::start()?;
    let mut sheet = Sheet::new("cost", "cost: what telling costs", NOTE, &["CPU s", "s", "peak MB"]);
    let (mut told, mut again, mut more_mb) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..PAIRS {
        let order = if round % 2 == 0 { [true, false, false] } else { [false, true, false] };
        let (mut telling, mut silent) = (None, Vec::new());
        for (turn, tells) in order.into_iter().enumerate() {
            let figure = run(bench, load, &format!("x{round}{turn}"), tells.then_some(&receiver))?;
            let name = match (tells, silent.is_empty()) {
                (true, _) => "telling",
                (false, true) => "silent",
                (false, false) => "silent, again",
            };
            println!("  round {round} {name:<14} {figure}");
            sheet.add(name, vec![figure.cpu, figure.wall, figure.peak_mb.unwrap_or_default()]);
            if tells {
                telling = Some(figure);
            } else {
                silent.push(figure);
            }
        }
        let (telling, silent) = (telling.context("a round has one that tells")?, silent);
        told.push((telling.cpu / silent[0].cpu).ln());
        again.push((silent[1].cpu / silent[0].cpu).ln());
        more_mb.push(telling.peak_mb.unwrap_or_default() - silent[0].peak_mb.unwrap_or_default());
    }
    receiver.has_taken(&["/v1/traces", "/v1/metrics", "/v1/logs", REMOTE_WRITE])?;
    let columns = ["mean", "95 % from", HIGH, MORE_MB];
    let mut ratios = Sheet::new(KEY, "cost of telling: ratios", RATIO_NOTE, &columns);
    let highest = more_mb.into_iter().fold(f64::MIN, f64::max);
    ratios.add(TOLD, interval(&told).into_iter().chain([highest]).collect());
    ratios.add(AGAIN, interval(&again).to_vec());
    Ok([sheet, ratios])
}

/// Tells all to somebody, or nothing to anybody.
fn run(bench: &Bench, load: &Load, word: &str, tells: Option<&Receiver>) -> anyhow::Result<Figure> {
    let mut contender: Contender = contenders::limpid_to_kafka(bench, load, "limpid", word)?;
    if let Some(receiver) = tells {
        let file = Path::new(contender.arguments.get(1).context("a run names its file")?);
        let yaml = std::fs::read_to_string(file)? + &everything(&receiver.address(), &file.with_extension("log"));
        std::fs::write(file, yaml)?;
    } else {
        contender.arguments.push("--unobserved".to_owned());
    }
    let figures = contender.run(bench)?;
    Ok(figures.first().context("a run has a figure")?.1)
}

/// The mean of ratios given as logarithms, and the ends of its interval.
fn interval(logs: &[f64]) -> [f64; 3] {
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = T * (variance / count).sqrt();
    [mean, mean - half, mean + half].map(f64::exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected are figures worked out in another language from the definitions.
    #[test]
    fn an_interval_is_that_of_student() {
        let logs: Vec<f64> = [1.01_f64; 10].into_iter().chain([0.99; 10]).map(f64::ln).collect();
        let expected = [0.99995, 0.99516, 1.00476];
        for (got, expected) in interval(&logs).into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }
}
