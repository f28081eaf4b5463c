//! Log lines: JSON for machines, text for people.
//!
//! Owns: the form of a line, levels, where lines go, telling a repeated line once. Does not own: what is worth a line
//! (`events`), the clock (handed in).
//!
//! Invariant: a line is written whole or not at all, and its keys stand in the contract's order. Lines are rare (a
//! state changed, something failed), so they are written where they arise; a log that cannot be written is never a
//! reason to stop.

mod calendar;
mod file;
mod json;
mod reduce;
mod repeats;
mod sent;
mod text;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use limpid_model::Fault;

use crate::trace::RowTrace;
pub use calendar::rfc3339;
use file::RotatedFile;
use repeats::Repeats;
pub use sent::{LogQueue, LogRecord};

/// How much a line matters. Ordered from the least to the most that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A person must act, or data is at risk.
    Error,
    /// Unexpected, recovered.
    Warn,
    /// A change of state.
    Info,
    /// For finding a mistake.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }
}

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Json,
    Text,
}

/// How much of other people's words a line may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Up to where values may begin.
    Reduced,
    /// As they came (`--raw`).
    Raw,
}

/// A further fact of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
}

/// One line, without its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    pub level: Level,
    /// Empty for what concerns the process.
    pub pipeline: &'a str,
    pub component: &'a str,
    pub trace_id: Option<u128>,
    pub span_id: Option<u64>,
    /// One sentence, made of our own words, codes and objects.
    pub message: String,
    pub schema: Option<&'a str>,
    pub table: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub duration_ms: Option<u64>,
    /// The cause chain, reduced.
    pub error: Option<String>,
    pub error_code: Option<&'a str>,
    pub metadata: Vec<(&'a str, Value)>,
    /// Written here, and not sent to a collector.
    pub stays: bool,
}

impl<'a> Line<'a> {
    pub fn new(level: Level, pipeline: &'a str, component: &'a str, message: impl Into<String>) -> Self {
        Self {
            level,
            pipeline,
            component,
            trace_id: None,
            span_id: None,
            message: message.into(),
            schema: None,
            table: None,
            operation: None,
            duration_ms: None,
            error: None,
            error_code: None,
            metadata: Vec::new(),
            stays: false,
        }
    }

    /// It is about a row of this trace.
    pub(crate) fn of_trace(&mut self, trace: Option<RowTrace>) {
        self.trace_id = trace.map(|trace| trace.trace_id);
        self.span_id = trace.map(|trace| trace.span_id);
    }

    /// With one further fact.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value) -> Self {
        self.metadata.push((name, value));
        self
    }

    /// Not sent to a collector: for what tells of sending.
    #[must_use]
    pub(crate) fn staying(mut self) -> Self {
        self.stays = true;
        self
    }
}

/// Where a pipeline's lines are written beside stderr, and how large that may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    pub path: PathBuf,
    /// A file that reaches this many bytes becomes `<path>.1`.
    pub bytes_max: u64,
    /// Older files that are kept.
    pub kept: u32,
}

/// How a log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    pub style: Style,
    /// The least that is told.
    pub level: Level,
    pub words: Words,
    pub file: Option<FileOptions>,
}

/// Where lines go. Usually one a pipeline, since each may have its own level and file.
pub struct Log {
    style: Style,
    level: Level,
    words: Words,
    /// Microseconds since 1970.
    wall: Box<dyn Fn() -> i64 + Send + Sync>,
    /// Locked for one line.
    outlets: Mutex<Outlets>,
}

struct Outlets {
    out: Box<dyn Write + Send>,
    file: Option<RotatedFile>,
    repeats: Repeats,
    /// What is sent to a collector, if anything is.
    sent: Option<Arc<LogQueue>>,
}

impl Log {
    /// A log to stderr, and to the file where one is named.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn to_stderr(options: &LogOptions, wall: impl Fn() -> i64 + Send + Sync + 'static) -> io::Result<Self> {
        Self::to(Box::new(io::stderr()), options, wall)
    }

    /// A log to any place; each line is one write.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn to(
        out: Box<dyn Write + Send>,
        options: &LogOptions,
        wall: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let file = options.file.as_ref().map(RotatedFile::open).transpose()?;
        let LogOptions { style, level, words, .. } = *options;
        let outlets = Mutex::new(Outlets { out, file, repeats: Repeats::default(), sent: None });
        Ok(Self { style, level, words, wall: Box::new(wall), outlets })
    }

    /// Has every line sent to a collector too, by whoever empties the queue.
    #[must_use]
    pub fn sending(mut self, queue: Arc<LogQueue>) -> Self {
        self.outlets.get_mut().expect("never held across a panic").sent = Some(queue);
        self
    }

    /// True when lines of this level are told: for those that are dear to make.
    pub fn tells(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Writes a line, unless the same was written within the last seconds: then it is counted.
    pub fn write(&self, line: &Line<'_>) {
        if !self.tells(line.level) {
            return;
        }
        let now = (self.wall)();
        let mut outlets = self.outlets.lock().expect("never held across a panic");
        let due = outlets.repeats.due(now);
        let is_new = outlets.repeats.is_new(line, now);
        outlets.put(self.style, now, due.iter().map(repeats::Told::line));
        if is_new {
            outlets.put(self.style, now, [line.clone()]);
        }
    }

    /// Tells how often lines were held back, where that is still untold. For the end of a pipeline, and for a timer.
    pub fn flush(&self) {
        let now = (self.wall)();
        let mut outlets = self.outlets.lock().expect("never held across a panic");
        let due = outlets.repeats.all();
        outlets.put(self.style, now, due.iter().map(repeats::Told::line));
    }

    /// A fault's chain of causes as it may stand in a line.
    pub fn causes(&self, fault: &Fault) -> Option<String> {
        let mut told = Vec::new();
        let mut next = fault.source();
        while let Some(cause) = next {
            told.push(match self.words {
                Words::Raw => cause.to_string(),
                Words::Reduced => reduce::cause(cause),
            });
            next = cause.source();
        }
        (!told.is_empty()).then(|| told.join(": "))
    }
}

impl Outlets {
    fn put<'a>(&mut self, style: Style, now: i64, lines: impl IntoIterator<Item = Line<'a>>) {
        for line in lines {
            let mut text = String::with_capacity(256);
            match style {
                Style::Json => json::write(&mut text, now, &line),
                Style::Text => text::write(&mut text, now, &line),
            }
            text.push('\n');
            // A closed stderr or a full disk is no reason to stop moving rows; the next line tries again.
            let _ = self.out.write_all(text.as_bytes());
            if let Some(file) = &mut self.file {
                let _ = file.write(text.as_bytes());
            }
            if let Some(queue) = self.sent.as_ref().filter(|_| !line.stays) {
                queue.put(LogRecord::of(now, &line));
            }
        }
    }
}

#[cfg(test)]
mod tests;
