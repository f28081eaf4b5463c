//! What the live view knows, and what a key does to it.
//!
//! Owns: the page, the selection, the order of tables, what is typed. Does not own: the picture (`top::view`), asking.
//!
//! Invariant: pure; nothing is asked of an instance without a key that says so, and a pause asks twice.

use limpid_model::Fault;
use limpid_server::api::{PipelineStatus, StatusDocument, TableStatus};
use limpid_telemetry::catalogue::{DATA_LAG_SECONDS, THROUGHPUT};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::samples::Samples;

/// An answer of the instance.
pub type Asked = Result<(StatusDocument, Samples), Fault>;

/// What is asked of the instance for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `pause` or `resume`.
    Word {
        pipeline: String,
        word: &'static str,
    },
    Trace {
        pipeline: String,
        table: String,
        key: String,
    },
}

/// What follows from a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    None,
    End,
    Ask(Request),
}

/// What the lower part is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// All pipelines.
    Pipelines,
    /// One, with its tables.
    Pipeline(String),
}

/// What tables are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Rate,
    Lag,
    Name,
}

impl Order {
    pub const fn word(self) -> &'static str {
        match self {
            Order::Rate => "rate",
            Order::Lag => "lag",
            Order::Name => "name",
        }
    }

    fn next(self) -> Self {
        match self {
            Order::Rate => Order::Lag,
            Order::Lag => Order::Name,
            Order::Name => Order::Rate,
        }
    }
}

/// What waits for more keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// A word that is said again before it is sent.
    Sure { pipeline: String, word: &'static str },
    /// The key of a row of this table, as far as it is typed.
    Key { pipeline: String, table: String, typed: String },
}

/// A table as a line.
#[derive(Clone, Debug, PartialEq)]
pub struct TableLine {
    pub status: TableStatus,
    /// Rows delivered a second.
    pub rate: f64,
    /// From the commit until durable, over what was delivered between the last two looks; `None` where nothing was.
    pub lag_seconds: Option<f64>,
}

impl TableLine {
    pub fn name(&self) -> String {
        format!("{}.{}", self.status.schema, self.status.table)
    }
}

/// Everything that is shown.
#[derive(Debug)]
pub struct App {
    pub server: String,
    pub status: StatusDocument,
    pub samples: Samples,
    before: Samples,
    /// When the last answer came, and why none has since.
    pub seen_at: u64,
    pub silent: Option<String>,
    pub page: Page,
    /// The line that is marked, of the page's list.
    pub selected: usize,
    pub order: Order,
    pub prompt: Option<Prompt>,
    /// What came of the last request.
    pub told: Vec<String>,
}

impl App {
    pub fn new(server: String) -> Self {
        Self {
            server,
            status: StatusDocument { pipelines: Vec::new() },
            samples: Samples::default(),
            before: Samples::default(),
            seen_at: 0,
            silent: None,
            page: Page::Pipelines,
            selected: 0,
            order: Order::Rate,
            prompt: None,
            told: Vec::new(),
        }
    }

    /// An answer, or none: then what was seen last stays, and its age is shown.
    pub fn seen(&mut self, asked: Asked, nanos: u64) {
        match asked {
            Ok((status, samples)) => {
                self.before = std::mem::replace(&mut self.samples, samples);
                (self.status, self.seen_at, self.silent) = (status, nanos, None);
            }
            Err(fault) => self.silent = Some(format!("{}: {fault}", fault.code())),
        }
        self.selected = self.selected.min(self.lines().saturating_sub(1));
    }

    /// What came of a request.
    pub fn done(&mut self, lines: Vec<String>) {
        self.told = lines;
    }

    /// The pipeline that keys are about.
    pub fn pipeline(&self) -> Option<&PipelineStatus> {
        match &self.page {
            Page::Pipelines => self.status.pipelines.get(self.selected),
            Page::Pipeline(name) => self.status.pipelines.iter().find(|pipeline| pipeline.name == *name),
        }
    }

    /// Its tables in their order.
    pub fn tables(&self, pipeline: &PipelineStatus) -> Vec<TableLine> {
        let mut lines: Vec<TableLine> =
            pipeline.tables.iter().map(|table| self.line(&pipeline.name, table.clone())).collect();
        match self.order {
            Order::Rate => lines.sort_by(|a, b| b.rate.total_cmp(&a.rate)),
            Order::Lag => {
                let lag = |line: &TableLine| line.lag_seconds.unwrap_or(f64::NEG_INFINITY);
                lines.sort_by(|a, b| lag(b).total_cmp(&lag(a)));
            }
            Order::Name => lines.sort_by_key(TableLine::name),
        }
        lines
    }

    fn line(&self, pipeline: &str, status: TableStatus) -> TableLine {
        let labels = [("pipeline", pipeline), ("schema", &*status.schema), ("table", &*status.table)];
        let rate = self.samples.of(&THROUGHPUT, &labels).map(|(_, rate)| rate).sum();
        let now = self.samples.histogram(&DATA_LAG_SECONDS, &labels);
        let (sum, count) = self.before.histogram(&DATA_LAG_SECONDS, &labels).unwrap_or_default();
        let lag_seconds = now.and_then(|now| (now.1 > count).then(|| (now.0 - sum) / (now.1 - count)));
        TableLine { status, rate, lag_seconds }
    }

    /// Lines of the page's list.
    fn lines(&self) -> usize {
        match &self.page {
            Page::Pipelines => self.status.pipelines.len(),
            Page::Pipeline(_) => self.pipeline().map_or(0, |pipeline| pipeline.tables.len()),
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Action::End;
        }
        match self.prompt.take() {
            Some(prompt) => self.prompted(prompt, key.code),
            None => self.pressed(key.code),
        }
    }

    fn pressed(&mut self, code: KeyCode) -> Action {
        self.told.clear();
        match code {
            KeyCode::Char('q') => return Action::End,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(self.lines().max(1) - 1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Enter => {
                if let (Page::Pipelines, Some(pipeline)) = (&self.page, self.pipeline()) {
                    (self.page, self.selected) = (Page::Pipeline(pipeline.name.clone()), 0);
                }
            }
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            KeyCode::Char('p') => {
                if let Some(pipeline) = self.pipeline() {
                    let word =
                        if pipeline.phase == "paused" || pipeline.phase == "halted" { "resume" } else { "pause" };
                    self.prompt = Some(Prompt::Sure { pipeline: pipeline.name.clone(), word });
                }
            }
            KeyCode::Char('t') => self.ask_for_key(),
            _ => {}
        }
        Action::None
    }

    /// To all pipelines, with the one that was open marked.
    fn back(&mut self) {
        if let Page::Pipeline(name) = &self.page {
            let place = self.status.pipelines.iter().position(|pipeline| pipeline.name == *name);
            (self.page, self.selected) = (Page::Pipelines, place.unwrap_or(0));
        }
    }

    fn ask_for_key(&mut self) {
        let Page::Pipeline(name) = &self.page else {
            self.told = vec!["open a pipeline and mark the table of the row first".to_owned()];
            return;
        };
        let tables = self.pipeline().map(|pipeline| self.tables(pipeline)).unwrap_or_default();
        if let Some(table) = tables.get(self.selected) {
            let (pipeline, table) = (name.clone(), table.name());
            self.prompt = Some(Prompt::Key { pipeline, table, typed: String::new() });
        }
    }

    fn prompted(&mut self, prompt: Prompt, code: KeyCode) -> Action {
        match (prompt, code) {
            (Prompt::Sure { pipeline, word }, KeyCode::Char('y')) => Action::Ask(Request::Word { pipeline, word }),
            (Prompt::Sure { .. }, _) | (Prompt::Key { .. }, KeyCode::Esc) => Action::None,
            (Prompt::Key { pipeline, table, typed }, KeyCode::Enter) if !typed.is_empty() => {
                Action::Ask(Request::Trace { pipeline, table, key: typed })
            }
            (Prompt::Key { pipeline, table, mut typed }, code) => {
                match code {
                    KeyCode::Char(letter) => typed.push(letter),
                    KeyCode::Backspace => drop(typed.pop()),
                    _ => {}
                }
                self.prompt = Some(Prompt::Key { pipeline, table, typed });
                Action::None
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
