//! Figures that are no race: latencies, memory at rest, a start.
//!
//! Owns: named columns, medians and worst values, Markdown and JSON. Does not own: measuring.
//!
//! Invariant: each line has a figure for each column it can tell, in the columns' order, round by round; NaN is
//! one that nobody knows.

use std::fmt::Write;

use serde_json::json;

use super::table::median;

pub(crate) struct Sheet {
    key: &'static str,
    title: String,
    note: &'static str,
    columns: Vec<&'static str>,
    lines: Vec<(String, Vec<Vec<f64>>)>,
}

impl Sheet {
    pub(crate) fn new(key: &'static str, title: &str, note: &'static str, columns: &[&'static str]) -> Self {
        Self { key, title: title.to_owned(), note, columns: columns.to_vec(), lines: Vec::new() }
    }

    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    pub(crate) fn add(&mut self, name: &str, figures: Vec<f64>) {
        match self.lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.lines.push((name.to_owned(), vec![figures])),
        }
    }

    /// The rounds' figures of one line and column.
    pub(crate) fn figures(&self, name: &str, column: &str) -> Option<Vec<f64>> {
        let (_, rounds) = self.lines.iter().find(|(known, _)| known == name)?;
        let index = self.columns.iter().position(|known| *known == column)?;
        rounds.iter().map(|figures| figures.get(index).copied()).collect()
    }

    pub(crate) fn markdown(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "\n## {}\n\n{} Medians, and in brackets the worst round.\n", self.title, self.note)?;
        writeln!(text, "| | {} | rounds |", self.columns.join(" | "))?;
        writeln!(text, "|---|{}---|", "---|".repeat(self.columns.len()))?;
        for (name, rounds) in &self.lines {
            write!(text, "| {name} |")?;
            for column in &self.columns {
                match self.figures(name, column) {
                    Some(figures) => {
                        let worst = figures.iter().copied().fold(f64::NAN, f64::max);
                        write!(text, " {} ({}) |", short(median(figures)), short(worst))?;
                    }
                    None => write!(text, " |")?,
                }
            }
            writeln!(text, " {} |", rounds.len())?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let lines: Vec<_> = self.lines.iter().map(|(name, rounds)| json!({"name": name, "rounds": rounds})).collect();
        json!({"work": self.key, "title": self.title, "columns": self.columns, "lines": lines})
    }
}

/// Three digits that mean something; a dash for what nobody knows.
fn short(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
