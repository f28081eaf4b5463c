//! What telling costs: metrics, log, ring and traces, against the same binary that tells nothing.
//!
//! Owns: the pairs, the interval. Does not own: what is told, what `--unobserved` leaves out (`limpid`), turns within a process
//! (`turns`).
//!
//! Invariant: the two of a pair run one after the other on the same log, each first every other time; a second silent run in
//! each round shows what an interval looks like where there is nothing to find.

use std::path::Path;

use anyhow::{Context, ensure};

use super::latency::{self, Run};
use super::load::Load;
use super::measure::{Contender, Figure};
use super::receiver::Receiver;
use super::sheet::Sheet;
use super::turns::Turned;
use super::{Bench, contenders, turns};

/// Twenty at least are asked for; an even number, so that each is first equally often.
const PAIRS: usize = 20;

/// Of runs at a steady pace, a quarter of a minute each.
const LATE_PAIRS: usize = 10;

/// Student's t, 95 % two-sided, for 19 and for 9 degrees of freedom.
const T: [(usize, f64); 2] = [(PAIRS, 2.093), (LATE_PAIRS, 2.262)];

/// Measured of each run at a steady pace.
const LATE_SECONDS: u64 = 6;

/// Runs in which nobody is told in any turn.
const SILENT_RUNS: usize = 10;

/// Rounds of a run whose records all have headers and one whose have none.
const HEADER_ROUNDS: usize = 3;

/// The part of the transactions that is sampled.
const SAMPLE: f64 = 0.01;

const TELLING: &str = "telling";
const SILENT: &str = "silent";
const SILENT_AGAIN: &str = "silent, again";

const NOTE: &str = "3M rows to Apache Kafka, CPU of limpid's process from start to end by the kernel. `telling` has everything on: what is by \
     default, columns measured, traces kept for one transaction in a hundred, metrics pushed each 10 s, as is the default, by OTLP and by remote write, log \
     lines in a file and by OTLP, all of them into a receiver that takes them; `silent` is the same binary with `--unobserved`: no \
     metric, no line, no ring and no trace, while positions are saved and the end of the log is looked at as ever. Ratios are \
     taken within a round, and their mean is geometric.";

/// All that can be told.
fn everything(receiver: &str, file: &Path) -> String {
    let sent = format!("otlp: \"{receiver}\", protocol: http");
    let file = file.display();
    format!(
        "telemetry:\n  quality: {{ one-in: 64 }}\n  traces: {{ {sent}, sample: {SAMPLE} }}\n  \
         metrics: {{ {sent}, remote-write: \"{receiver}{REMOTE_WRITE}\" }}\n  \
         logs: {{ {sent}, file: \"{file}\" }}\n"
    )
}

const REMOTE_WRITE: &str = "/api/v1/write";

const RATIO_NOTE: &str = "Over all rounds: the mean and its 95 % interval (Student's t of the logarithms).";

pub(crate) const KEY: &str = "cost of telling";
pub(crate) const TOLD: &str = "telling, as a part of silent";
pub(crate) const MEAN: &str = "mean";
pub(crate) const HIGH: &str = "95 % to";
pub(crate) const MORE_MB: &str = "MB more";

pub(crate) const TURNS_KEY: &str = "cost of telling by turns";

const TURNS_NOTE: &str = "12M rows to Apache Kafka in one process that tells everything of 16 batches and nothing of the next 16, which first by a \
     coin, each thread's processor time counted for the batch it worked for. `more` is how much more a row that is told of takes than one of the \
     turn beside it, once the ring is full; `aside` are the threads that only tell, whole; `others` those of librdkafka. In `silent` nobody is told \
     in either turn. The last line is what librdkafka's threads take for headers: a run whose records all have one against one without, of \
     which one in a hundred counts. Two processes that do the same differ by several percent on a machine with other guests, turns by half of one.";

const TURNS_RATIO_NOTE: &str = "Each run's process with `more`, `aside` and headers on top, as a part of the same without them: the mean over all runs and \
     its 95 % interval (Student's t of the logarithms).";

const HEADERS: &str = "headers, in librdkafka's threads";

pub(crate) const LATE_KEY: &str = "delay by telling";

const LATE_NOTE: &str = "5,000 autocommitted single-row inserts a second to Apache Kafka, 5 s of warm-up, 6 s measured, commit to seen by a \
     consumer, rounds as above. The p99 of a run as a part of that of the round's first silent one: the mean over all rounds and its 95 % \
     interval (Student's t of the logarithms).";

pub(crate) const AGAIN: &str = "silent again, as a part of silent";

/// What the processor does more, and by how much rows are later.
pub(crate) fn measure(bench: &Bench, load: &Load) -> anyhow::Result<[Sheet; 4]> {
    println!("cost: {PAIRS} pairs, then {LATE_PAIRS} at a steady pace");
    let receiver = Receiver::start()?;
    let mut cpu = Sheet::new("cost", "cost: what telling costs", NOTE, &["CPU s", "s", "peak MB"]);
    let told = rounds(PAIRS, |turn, name| {
        let figure = run(bench, load, &format!("x{turn}"), (name == TELLING).then_some(&receiver))?;
        println!("  {turn:>2} {name:<14} {figure}");
        cpu.add(name, vec![figure.cpu, figure.wall, figure.peak_mb.unwrap_or_default()]);
        Ok(figure)
    })?;
    let more_mb = |round: &Round<Figure>| Some(round.telling.peak_mb? - round.silent.peak_mb?);
    let highest = told.iter().filter_map(more_mb).fold(f64::MIN, f64::max);
    let mut ratios = Sheet::new(KEY, "cost of telling: ratios", RATIO_NOTE, &[MEAN, "95 % from", HIGH, MORE_MB]);
    let [telling, again] = intervals(told.iter().map(|round| round.map(|figure| figure.cpu)))?;
    ratios.add(TOLD, telling.into_iter().chain([highest]).collect());
    ratios.add(AGAIN, again.to_vec());
    receiver.has_taken(&["/v1/traces", "/v1/metrics", "/v1/logs", REMOTE_WRITE])?;

    let mut late =
        Sheet::new("late", "late: what telling adds to a row's way", LATE_NOTE, &["p99 ms", "CPU s a million"]);
    let told = rounds(LATE_PAIRS, |turn, name| {
        let paced = Run { table: "told", number: turn, seconds: LATE_SECONDS };
        let tells = (name == TELLING).then_some(&receiver);
        let figures = latency::through_limpid(bench, &paced, "", |contender| tell(contender, tells))?;
        println!("  {turn:>2} {name:<14} {figures:?}");
        late.add(name, vec![figures[latency::P99], figures[latency::CPU]]);
        Ok(figures[latency::P99])
    })?;
    let mut delays = Sheet::new(LATE_KEY, "late: ratios", RATIO_NOTE, &[MEAN, "95 % from", HIGH]);
    let [telling, again] = intervals(told.into_iter())?;
    delays.add(TOLD, telling.to_vec());
    delays.add(AGAIN, again.to_vec());
    Ok([cpu, ratios, late, delays])
}

/// The same within one process, for what whole processes are too unlike each other to show.
pub(crate) fn by_turns(bench: &Bench, load: &Load) -> anyhow::Result<[Sheet; 2]> {
    println!("cost by turns: {PAIRS} runs, and {SILENT_RUNS} silent ones");
    let receiver = Receiver::start()?;
    let mut sheet =
        Sheet::new("turns", "turns: what telling costs", TURNS_NOTE, &["more", "aside", "others", "ns a row", "pairs"]);
    let mut runs = 0_u64;
    let mut run = |name: &str, tells: Option<(&Receiver, &str)>| -> anyhow::Result<Turned> {
        runs += 1;
        let turned = turns::run(bench, load, &format!("t{runs}"), |contender| match tells {
            Some((receiver, headers)) => tell_with(contender, receiver, headers),
            None => tell(contender, None),
        })?;
        println!("  {runs:>2} {name:<14} {turned:?}");
        Ok(turned)
    };
    let mut headers = Vec::new();
    for round in 0..HEADER_ROUNDS {
        let mut others = |kind| anyhow::Ok(run(kind, Some((&receiver, kind)))?.others);
        let (all, off) = if round % 2 == 0 {
            (others("all")?, others("off")?)
        } else {
            let off = others("off")?;
            (others("all")?, off)
        };
        // Records of every other turn have one.
        headers.push((all - off) * 2.0 * SAMPLE);
    }
    let of_headers = headers.iter().sum::<f64>() / headers.len() as f64;
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    for round in 0..PAIRS {
        told.push(run(TELLING, Some((&receiver, "sampled")))?);
        if round % (PAIRS / SILENT_RUNS) == 0 {
            silent.push(run(SILENT, None)?);
        }
    }
    receiver.has_taken(&["/v1/traces", "/v1/metrics", "/v1/logs", REMOTE_WRITE])?;
    for (name, runs) in [(TELLING, &told), (SILENT, &silent)] {
        for Turned { more, aside, others, whole, pairs } in runs {
            sheet.add(name, vec![*more, *aside, *others, *whole, *pairs as f64]);
        }
    }
    for header in headers {
        sheet.add(HEADERS, vec![header, f64::NAN, f64::NAN, f64::NAN, f64::NAN]);
    }
    let mut ratios = Sheet::new(TURNS_KEY, "turns: ratios", TURNS_RATIO_NOTE, &[MEAN, "95 % from", HIGH]);
    let logs = |runs: &[Turned], headers: f64| runs.iter().map(|run| run.ratio(headers).ln()).collect::<Vec<_>>();
    ratios.add(TOLD, interval(&logs(&told, of_headers))?.to_vec());
    ratios.add(AGAIN, interval(&logs(&silent, 0.0))?.to_vec());
    Ok([sheet, ratios])
}

/// The figures of one round.
struct Round<F> {
    telling: F,
    silent: F,
    again: F,
}

impl<F: Copy> Round<F> {
    fn map<G>(&self, of: impl Fn(F) -> G) -> Round<G> {
        Round { telling: of(self.telling), silent: of(self.silent), again: of(self.again) }
    }
}

/// So many rounds; `run` is told how many runs there were before, and whose turn it is.
fn rounds<F>(
    count: usize,
    mut run: impl FnMut(u64, &'static str) -> anyhow::Result<F>,
) -> anyhow::Result<Vec<Round<F>>> {
    let mut turns = 0..;
    let mut turn = |name| run(turns.next().unwrap_or_default(), name);
    let mut round = |number| {
        let (telling, silent);
        if number % 2 == 0 {
            (telling, silent) = (turn(TELLING)?, turn(SILENT)?);
        } else {
            let first = turn(SILENT)?;
            (telling, silent) = (turn(TELLING)?, first);
        }
        Ok(Round { telling, silent, again: turn(SILENT_AGAIN)? })
    };
    (0..count).map(&mut round).collect()
}

fn run(bench: &Bench, load: &Load, word: &str, tells: Option<&Receiver>) -> anyhow::Result<Figure> {
    let mut contender: Contender = contenders::limpid_to_kafka(bench, load, "limpid", word)?;
    tell(&mut contender, tells)?;
    let figures = contender.run(bench)?;
    // All runs together would fill a disk.
    bench.broker.delete_topic(&load.topic(word))?;
    Ok(figures.first().context("a run has a figure")?.1)
}

/// Tells all to somebody, or nothing to anybody.
fn tell(contender: &mut Contender, tells: Option<&Receiver>) -> anyhow::Result<()> {
    let Some(receiver) = tells else {
        contender.arguments.push("--unobserved".to_owned());
        return Ok(());
    };
    let file = Path::new(contender.arguments.get(1).context("a run names its file")?);
    let yaml = std::fs::read_to_string(file)? + &everything(&receiver.address(), &file.with_extension("log"));
    Ok(std::fs::write(file, yaml)?)
}

/// Tells all, with these headers.
fn tell_with(contender: &mut Contender, receiver: &Receiver, headers: &str) -> anyhow::Result<()> {
    tell(contender, Some(receiver))?;
    let file = Path::new(contender.arguments.get(1).context("a run names its file")?);
    let sample = format!("sample: {SAMPLE}");
    let yaml = std::fs::read_to_string(file)?;
    ensure!(yaml.contains(&sample), "the file says how much is sampled");
    Ok(std::fs::write(file, yaml.replace(&sample, &format!("{sample}, headers: \"{headers}\"")))?)
}

/// By how much the first and the third are above the second, each as [`interval`] says.
fn intervals(rounds: impl Iterator<Item = Round<f64>>) -> anyhow::Result<[[f64; 3]; 2]> {
    let (telling, again): (Vec<f64>, Vec<f64>) =
        rounds.map(|round| ((round.telling / round.silent).ln(), (round.again / round.silent).ln())).unzip();
    Ok([interval(&telling)?, interval(&again)?])
}

/// The mean of ratios given as logarithms, and the ends of its interval.
fn interval(logs: &[f64]) -> anyhow::Result<[f64; 3]> {
    let t = T.into_iter().find_map(|(count, t)| (count == logs.len()).then_some(t)).context("no t for so many")?;
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = t * (variance / count).sqrt();
    Ok([mean, mean - half, mean + half].map(f64::exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected are figures worked out in another language from the definitions.
    #[test]
    fn an_interval_is_that_of_student() -> anyhow::Result<()> {
        let logs: Vec<f64> = [1.01_f64; 10].into_iter().chain([0.99; 10]).map(f64::ln).collect();
        let expected = [0.99995, 0.99516, 1.00476];
        for (got, expected) in interval(&logs)?.into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
        Ok(())
    }

    #[test]
    fn each_of_a_pair_is_first_every_other_time() -> anyhow::Result<()> {
        let mut order = Vec::new();
        let rounds = rounds(2, |turn, name| {
            order.push(name);
            Ok(turn)
        })?;
        assert_eq!(order, [TELLING, SILENT, SILENT_AGAIN, SILENT, TELLING, SILENT_AGAIN]);
        let figures = rounds.iter().map(|round| [round.telling, round.silent, round.again]);
        assert_eq!(figures.collect::<Vec<_>>(), [[0, 1, 2], [4, 3, 5]]);
        Ok(())
    }
}
