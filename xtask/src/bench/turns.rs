//! What telling costs, measured within one process that tells of some batches and not of others, by turns.
//!
//! Owns: running it, the difference between turns, what is added for threads that no batch passes. Does not own: the turns and their
//! accounts (`limpid --turns`), the interval (`cost`).
//!
//! Invariant: each two turns stand one behind the other, and which of them tells is as by a coin; a second kind of run in which nobody
//! is told in either shows what the difference is where there is nothing to find.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::load::Load;
use super::measure::Contender;
use super::{Bench, contenders};

/// Threads that only tell. They work when they like, so that no turn can be charged with it.
const TELLING: [&str; 5] = ["traces", "push", "logs", "http", "progress"];

/// Turns until the ring is full: it remembers a batch of every other turn, some 13 KB each, and its memory is new until then.
const FILLED: u64 = 160;

/// The last ones, in which batches become few.
const TAIL: usize = 8;

/// What one run shows, in nanoseconds of the processor a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turned {
    /// What a row takes more on the threads that batches pass, where it is told of.
    pub(crate) more: f64,
    /// The threads that only tell; of traces as if every batch were told of.
    pub(crate) aside: f64,
    /// Of all other threads: those of librdkafka.
    pub(crate) others: f64,
    /// The whole process.
    pub(crate) whole: f64,
    pub(crate) pairs: usize,
}

impl Turned {
    /// The whole process that tells everything as a part of one that tells nothing; `headers` is what librdkafka's threads take a
    /// row for the headers of those records that have some.
    pub(crate) fn ratio(&self, headers: f64) -> f64 {
        let silent = self.whole - self.more / 2.0 - self.aside;
        (silent + self.more + self.aside + headers) / silent
    }
}

/// Runs a pipeline to Kafka by turns; `tell` says what it tells and to whom.
pub(crate) fn run(
    bench: &Bench,
    load: &Load,
    word: &str,
    tell: impl FnOnce(&mut Contender) -> anyhow::Result<()>,
) -> anyhow::Result<Turned> {
    let mut contender = contenders::limpid_to_kafka(bench, load, "limpid by turns", word)?;
    tell(&mut contender)?;
    let file = bench.dir.path().join("turns");
    contender.arguments.extend(["--turns".to_owned(), file.display().to_string()]);
    contender.run(bench)?;
    bench.broker.delete_topic(&load.topic(word))?;
    read(&file).with_context(|| format!("read {}", file.display()))
}

fn read(file: &Path) -> anyhow::Result<Turned> {
    let text = std::fs::read_to_string(file)?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (whole, turns) = lines.split_last().context("the last line is of the whole process")?;
    accounts(whole, turns)
}

fn accounts(whole: &Value, turns: &[Value]) -> anyhow::Result<Turned> {
    let number = |value: &Value, key: &str| value[key].as_f64().with_context(|| format!("a line has no {key}"));
    let is_telling = |turn: &Value| turn["telling"] == true;
    let sum = |key: &str, only: &dyn Fn(&Value) -> bool| -> anyhow::Result<f64> {
        turns.iter().filter(|turn| only(turn)).map(|turn| number(turn, key)).sum()
    };
    let (rows, told) = (sum("rows", &|_| true)?, sum("rows", &is_telling)?);
    let passed = sum("nanos", &|_| true)?;
    let mut aside = 0.0;
    let mut aside_nanos = 0.0;
    for name in TELLING {
        let nanos = whole["threads"][name].as_f64().unwrap_or(0.0);
        aside_nanos += nanos;
        aside += nanos / if name == "traces" { told.max(1.0) } else { rows };
    }
    let full: Vec<&Value> = turns.iter().filter(|turn| turn["turn"].as_u64() >= Some(FILLED)).collect();
    let full = full.get(..full.len().saturating_sub(TAIL)).unwrap_or_default();
    let (mut more, mut pairs) = (0.0, 0);
    for pair in full.chunks_exact(2) {
        let [first, second] = pair else { continue };
        ensure!(is_telling(first) != is_telling(second), "one of two turns tells");
        let a_row = |turn: &Value| Ok::<_, anyhow::Error>(number(turn, "nanos")? / number(turn, "rows")?);
        let (first_a_row, second_a_row) = (a_row(first)?, a_row(second)?);
        more += if is_telling(first) { first_a_row - second_a_row } else { second_a_row - first_a_row };
        pairs += 1;
    }
    ensure!(pairs > 20, "only {pairs} pairs of turns: the load is too small");
    let whole = number(whole, "nanos")?;
    Ok(Turned {
        more: more / pairs as f64,
        aside,
        others: (whole - passed - aside_nanos) / rows,
        whole: whole / rows,
        pairs,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(turn: u64, telling: bool, nanos: u64) -> Value {
        json!({ "turn": turn, "telling": telling, "rows": 100, "nanos": nanos })
    }

    /// Telling takes 5 ns a row more from turn 160 on, and 400 before; every tenth turn is slow, and its neighbour with it.
    #[test]
    fn the_difference_is_that_of_neighbours_once_the_ring_is_full() -> anyhow::Result<()> {
        let of = |number: u64| {
            let telling = (number + number / 2 % 2).is_multiple_of(2);
            let slow = if (number / 2).is_multiple_of(5) { 30_000 } else { 0 };
            let more = if number < FILLED { 40_000 } else { 500 };
            turn(number, telling, 100_000 + slow + if telling { more } else { 0 })
        };
        let turns: Vec<Value> = (0..220).map(of).collect();
        let nanos: u64 = turns.iter().map(|turn| turn["nanos"].as_u64().unwrap_or(0)).sum();
        let threads = json!({ "traces": 11_000, "push": 22_000, "limpid": 7 });
        let whole = json!({ "nanos": nanos + 33_000 + 220_000, "threads": threads });
        let turned = accounts(&whole, &turns)?;
        assert_eq!((turned.more, turned.pairs), (5.0, 26));
        assert_eq!(turned.aside, 1.0 + 1.0, "half of the rows are told of, which is all that traces have");
        assert_eq!(turned.others, 10.0);
        assert!((turned.whole - (nanos as f64 / 22_000.0 + 11.5)).abs() < 1e-9);
        Ok(())
    }

    #[test]
    fn the_ratio_is_to_a_process_that_tells_nothing() {
        let turned = Turned { more: 10.0, aside: 5.0, others: 0.0, whole: 1010.0, pairs: 1 };
        assert_eq!(turned.ratio(5.0), 1.02);
    }

    #[test]
    fn too_few_turns_are_no_figure() {
        let turns: Vec<Value> = (0..180).map(|number| turn(number, number % 2 == 0, 1)).collect();
        assert!(accounts(&json!({ "nanos": 1, "threads": {} }), &turns).is_err());
    }
}
