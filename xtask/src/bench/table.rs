//! One work as a table: its contenders' figures, round by round.
//!
//! Owns: medians, ratios, the noise, Markdown and JSON of a work. Does not own: measuring, the files (`report`).
//!
//! Invariant: a ratio is the median of the ratios within each round, never of figures of different rounds.

use std::fmt::Write;

use serde_json::json;

use super::measure::Figure;

pub(crate) struct Work {
    key: &'static str,
    title: String,
    rows: u64,
    notes: Vec<String>,
    contenders: Vec<(String, Vec<Figure>)>,
}

/// What can be compared.
pub(crate) type Of = fn(&Figure) -> f64;

pub(crate) const CPU: Of = |figure| figure.cpu;
pub(crate) const WALL: Of = |figure| figure.wall;

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => f64::NAN,
        (0, Some(upper)) => (values[middle - 1] + upper) / 2.0,
        (_, Some(value)) => *value,
    }
}

impl Work {
    pub(crate) fn new(key: &'static str, title: &str, rows: u64) -> Self {
        Self { key, title: title.to_owned(), rows, notes: Vec::new(), contenders: Vec::new() }
    }

    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn add(&mut self, name: &str, figure: Figure) {
        match self.contenders.iter_mut().find(|(known, _)| known == name) {
            Some((_, figures)) => figures.push(figure),
            None => self.contenders.push((name.to_owned(), vec![figure])),
        }
    }

    fn figures(&self, name: &str) -> Option<&[Figure]> {
        self.contenders.iter().find(|(known, _)| known == name).map(|(_, figures)| figures.as_slice())
    }

    /// One contender's figure as a part of another's, of the rounds that both have run.
    pub(crate) fn ratio(&self, name: &str, mark: &str, of: Of) -> Option<f64> {
        Some(median(ratios(self.figures(name)?, self.figures(mark)?, of)))
    }

    /// CPU seconds per million rows.
    pub(crate) fn cpu_a_million(&self, name: &str) -> Option<f64> {
        Some(median(self.figures(name)?.iter().map(CPU).collect()) * 1e6 / self.rows as f64)
    }

    /// The highest of all rounds, of the contenders whose name begins so.
    pub(crate) fn peak_mb(&self, prefix: &str) -> Option<f64> {
        let own = self.contenders.iter().filter(|(name, _)| name.starts_with(prefix));
        own.flat_map(|(_, figures)| figures).filter_map(|figure| figure.peak_mb).max_by(f64::total_cmp)
    }

    pub(crate) fn markdown(&self, text: &mut String) -> anyhow::Result<()> {
        writeln!(text, "\n## {}\n", self.title)?;
        writeln!(
            text,
            "| contender | rows/s | CPU s per million rows | peak MB | rows at the sink | CPU ratio | time ratio | rounds |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|")?;
        let Some((mark, _)) = self.contenders.first() else { return Ok(()) };
        for (name, figures) in &self.contenders {
            let of = |value: Of| median(figures.iter().map(value).collect());
            let ratio = |value: Of| self.ratio(name, mark, value).unwrap_or(f64::NAN);
            let peak = figures.iter().filter_map(|figure| figure.peak_mb).max_by(f64::total_cmp);
            let rows = figures.iter().find_map(|figure| figure.rows);
            writeln!(
                text,
                "| {name} | {:.0} | {:.3} | {} | {} | {:.2} | {:.2} | {} |",
                self.rows as f64 / of(WALL),
                self.cpu_a_million(name).unwrap_or(f64::NAN),
                peak.map_or("-".to_owned(), |peak| format!("{peak:.0}")),
                rows.map_or("-".to_owned(), |rows| rows.to_string()),
                ratio(CPU),
                ratio(WALL),
                figures.len(),
            )?;
        }
        writeln!(text)?;
        if let Some(noise) = self.noise() {
            writeln!(text, "{noise}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(text, "{note}"))?;
        Ok(())
    }

    /// How much one contender differs from itself within a round.
    fn noise(&self) -> Option<String> {
        let (again, second) = self.contenders.iter().find(|(name, _)| name.ends_with(", again"))?;
        let first = self.figures(again.trim_end_matches(", again"))?;
        let range = |of: Of| {
            let ratios = ratios(second, first, of);
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            format!("{least:.2} to {:.2}", ratios.iter().copied().fold(0.0, f64::max))
        };
        Some(format!("Noise (the same contender twice a round): CPU {}, time {}.", range(CPU), range(WALL)))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let round = |figure: &Figure| json!({"wall_s": figure.wall, "cpu_s": figure.cpu, "peak_mb": figure.peak_mb, "rows": figure.rows});
        let contender = |(name, figures): &(String, Vec<Figure>)| json!({"name": name, "rounds": figures.iter().map(round).collect::<Vec<_>>()});
        let contenders: Vec<_> = self.contenders.iter().map(contender).collect();
        json!({"work": self.key, "title": self.title, "rows": self.rows, "notes": self.notes, "contenders": contenders})
    }
}

fn ratios(own: &[Figure], mark: &[Figure], of: Of) -> Vec<f64> {
    own.iter().zip(mark).map(|(own, mark)| of(own) / of(mark)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let mut work = Work::new("w", "w", 1_000_000);
        for (own, mark) in [(2.0, 1.0), (30.0, 10.0), (4.0, 1.0)] {
            let figure = |cpu| Figure { wall: cpu, cpu, peak_mb: None, rows: None };
            work.add("own", figure(own));
            work.add("mark", figure(mark));
        }
        assert_eq!(work.ratio("own", "mark", CPU), Some(3.0));
        assert_eq!(work.ratio("own", "nobody", CPU), None);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
