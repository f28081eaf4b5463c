//! Figures as Markdown and JSON.
//!
//! Owns: medians, ratios, the two files. Does not own: measuring.
//!
//! Invariant: a ratio is the median of the ratios within each round, never of figures of different rounds.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::measure::Figure;

/// One work: its contenders' figures, round by round.
pub(crate) struct Work {
    title: String,
    rows: u64,
    contenders: Vec<(String, Vec<Figure>)>,
}

impl Work {
    pub(crate) fn new(title: &str, rows: u64) -> Self {
        Self { title: title.to_owned(), rows, contenders: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, figure: Figure) {
        match self.contenders.iter_mut().find(|(known, _)| known == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.contenders.push((name.to_owned(), vec![figure])),
        }
    }
}

/// All works of one run.
pub(crate) struct Report {
    rounds: usize,
    works: Vec<Work>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Report {
    pub(crate) fn new(rounds: usize) -> Self {
        Self { rounds, works: Vec::new() }
    }

    pub(crate) fn add(&mut self, work: Work) {
        self.works.push(work);
    }

    /// Writes `latest.md` and `latest.json` into `dir` and prints the table.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = format!(
            "# Figures\n\nMedians of {} interleaved rounds on {cores} cores shared with the servers; whole processes, from start \
             to end.\nRatios are medians of the ratios within a round, to the first contender of the work.\n",
            self.rounds
        );
        for work in &self.works {
            work.markdown(&mut text)?;
        }
        let json: Vec<_> = self.works.iter().map(Work::json).collect();
        std::fs::write(dir.join("latest.md"), &text).context("write the figures")?;
        std::fs::write(dir.join("latest.json"), serde_json::to_string_pretty(&json)?).context("write the figures")?;
        println!("\n{text}");
        Ok(())
    }
}

impl Work {
    fn markdown(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "\n## {}\n", self.title)?;
        writeln!(text, "| contender | rows/s | CPU s per million rows | peak MiB | CPU ratio | time ratio |")?;
        writeln!(text, "|---|---|---|---|---|---|")?;
        let Some((_, first)) = self.contenders.first() else { return Ok(()) };
        let million = self.rows as f64 / 1e6;
        for (name, figures) in &self.contenders {
            let of = |value: fn(&Figure) -> f64| median(figures.iter().map(value).collect());
            let ratio = |value: fn(&Figure) -> f64| {
                median(figures.iter().zip(first).map(|(own, mark)| value(own) / value(mark)).collect())
            };
            writeln!(
                text,
                "| {name} | {:.0} | {:.3} | {:.0} | {:.2} | {:.2} |",
                self.rows as f64 / of(|figure| figure.wall),
                of(|figure| figure.cpu) / million,
                of(|figure| figure.peak_mib),
                ratio(|figure| figure.cpu),
                ratio(|figure| figure.wall),
            )?;
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let contenders: Vec<_> = self
            .contenders
            .iter()
            .map(|(name, figures)| {
                let rounds: Vec<_> = figures
                    .iter()
                    .map(|figure| json!({"wall_s": figure.wall, "cpu_s": figure.cpu, "peak_mib": figure.peak_mib}))
                    .collect();
                json!({"name": name, "rounds": rounds})
            })
            .collect();
        json!({"work": self.title, "rows": self.rows, "contenders": contenders})
    }
}
