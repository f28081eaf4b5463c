//! What happens to the HTTP server.
//!
//! Owns: its occurrences and their lines. Does not own: answers and refusals (`limpid-server`).
//!
//! Invariant: they concern the process, so each has a log alone. No line holds a token, nor what a client sent: of a
//! call the token's name is told, of a path the route it was found at.

use limpid_model::{Component, Fault, FaultCode};

use crate::log::{Level, Line, Log, Value};

fn line(level: Level, message: &str) -> Line<'_> {
    Line::new(level, "", Component::Server.word(), message)
}

/// The HTTP server answers.
#[derive(Clone, Copy, Debug)]
pub struct Listening<'a> {
    pub address: &'a str,
    pub tls: bool,
    /// Whether more than the probes needs a token.
    pub tokens: bool,
}

impl Listening<'_> {
    pub fn emit(&self, log: &Log) {
        let line = line(Level::Info, "the server listens").with("address", Value::Text(self.address.to_owned()));
        log.write(&line.with("tls", Value::Flag(self.tls)).with("tokens", Value::Flag(self.tokens)));
    }
}

/// A request was answered with our own failure.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFailed<'a> {
    /// The route, never the path that was asked.
    pub route: &'a str,
    pub code: FaultCode,
}

impl AnswerFailed<'_> {
    pub fn emit(&self, log: &Log) {
        let mut line = line(Level::Error, "a request could not be answered");
        line.error_code = Some(self.code.as_str());
        log.write(&line.with("route", Value::Text(self.route.to_owned())));
    }
}

/// A file of the server was changed, and what is in it holds from now on.
#[derive(Clone, Copy, Debug)]
pub struct FilesTaken<'a> {
    pub file: &'a str,
}

impl FilesTaken<'_> {
    pub fn emit(&self, log: &Log) {
        let line = line(Level::Info, "a changed file was taken over");
        log.write(&line.with("object", Value::Text(self.file.to_owned())));
    }
}

/// A file of the server was changed into something that cannot be used, so what was in it before still holds.
#[derive(Clone, Copy, Debug)]
pub struct FilesKept<'a> {
    pub fault: &'a Fault,
}

impl FilesKept<'_> {
    pub fn emit(&self, log: &Log) {
        let mut line = line(Level::Warn, "a changed file cannot be used, and what was in it before still holds");
        line.error = Some(self.fault.to_string());
        line.error_code = Some(self.fault.code().as_str());
        log.write(&line.with("object", Value::Text(self.fault.object().unwrap_or_default().to_owned())));
    }
}

/// A call that changes something was carried out, failed or was refused: the audit.
#[derive(Clone, Copy, Debug)]
pub struct CallJudged<'a> {
    /// The name of the token, never the token; empty where there was none or none that is known.
    pub who: &'a str,
    /// The address it came from, without the port.
    pub peer: &'a str,
    pub method: &'a str,
    /// The route, never the path that was asked.
    pub route: &'a str,
    /// The pipeline it is about, where there is one of the name.
    pub pipeline: &'a str,
    /// `done`, `failed` or `refused`.
    pub outcome: &'a str,
    pub status: u16,
    /// Why it was refused.
    pub code: Option<FaultCode>,
    /// Tells calls apart that are otherwise the same, so that each one has its line. Refused ones have none: equal ones
    /// are told by number, and a flood of them fills no disk.
    pub number: Option<u64>,
}

impl CallJudged<'_> {
    pub fn emit(&self, log: &Log) {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut line = Line::new(Level::Info, self.pipeline, Component::Server.word(), "a call to change something");
        line.error_code = self.code.map(FaultCode::as_str);
        line = line.with("who", text(self.who)).with("peer", text(self.peer));
        line = line.with("method", text(self.method)).with("route", text(self.route));
        line = line.with("outcome", text(self.outcome)).with("status", Value::Number(u64::from(self.status)));
        if let Some(number) = self.number {
            line = line.with("call", Value::Text(number.to_string()));
        }
        log.write(&line);
    }
}
