//! Lines that come again and again.
//!
//! Owns: which lines were told lately, and how often they were held back since. Does not own: writing.
//!
//! Invariant: the first of equal lines is always told, and every one held back is told of by number, at the latest at
//! the end of the log.

use super::{Level, Line, Value};

/// Equal lines within this time are told once. Longer than the usual pause between two attempts, short enough that a
/// person who looks sees that it still goes on.
const HOLD_MICROS: i64 = 10_000_000;

/// Distinct lines that are compared with, about 300 bytes each. What comes beyond this in ten seconds is told each
/// time.
const LINES_MAX: usize = 256;

/// What was told, and how often it came again.
#[derive(Debug)]
pub(super) struct Told {
    level: Level,
    pipeline: String,
    component: String,
    message: String,
    schema: Option<String>,
    table: Option<String>,
    error: Option<String>,
    error_code: Option<String>,
    /// What it is about; without numbers, which may differ from one time to the next, as a pause does.
    facts: Vec<(String, Value)>,
    stays: bool,
    at: i64,
    held: u64,
}

impl Told {
    /// The line that says how often.
    pub(super) fn line(&self) -> Line<'_> {
        let mut line = Line::new(self.level, &self.pipeline, &self.component, self.message.clone());
        line.schema = self.schema.as_deref();
        line.table = self.table.as_deref();
        line.error.clone_from(&self.error);
        line.error_code = self.error_code.as_deref();
        line.metadata = self.facts.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        line.stays = self.stays;
        line.with("repeated", Value::Number(self.held))
    }

    fn is(&self, line: &Line<'_>) -> bool {
        self.level == line.level
            && self.message == line.message
            && self.error_code.as_deref() == line.error_code
            && self.pipeline == line.pipeline
            && self.component == line.component
            && self.schema.as_deref() == line.schema
            && self.table.as_deref() == line.table
            && self.error == line.error
            && facts(line).eq(self.facts.iter().map(|(name, value)| (name.as_str(), value)))
    }
}

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Repeats(Vec<Told>);

impl Repeats {
    /// Lines whose time is over and that came again meanwhile. The others are forgotten.
    pub(super) fn due(&mut self, now: i64) -> Vec<Told> {
        // Both ways: a clock that was set back must not hold lines for a year.
        let over = self.0.extract_if(.., |told| (now - told.at).abs() >= HOLD_MICROS);
        over.filter(|told| told.held > 0).collect()
    }

    /// All that came again, whenever.
    pub(super) fn all(&mut self) -> Vec<Told> {
        self.0.drain(..).filter(|told| told.held > 0).collect()
    }

    /// True when the line must be told; else it is counted.
    pub(super) fn is_new(&mut self, line: &Line<'_>, now: i64) -> bool {
        if let Some(told) = self.0.iter_mut().find(|told| told.is(line)) {
            told.held += 1;
            return false;
        }
        if self.0.len() < LINES_MAX {
            self.0.push(Told {
                level: line.level,
                pipeline: line.pipeline.to_owned(),
                component: line.component.to_owned(),
                message: line.message.clone(),
                schema: line.schema.map(str::to_owned),
                table: line.table.map(str::to_owned),
                error: line.error.clone(),
                error_code: line.error_code.map(str::to_owned),
                facts: facts(line).map(|(name, value)| (name.to_owned(), value.clone())).collect(),
                stays: line.stays,
                at: now,
                held: 0,
            });
        }
        true
    }
}

fn facts<'a>(line: &'a Line<'_>) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let facts = line.metadata.iter().map(|(name, value)| (*name, value));
    facts.filter(|(_, value)| !matches!(value, Value::Number(_)))
}
