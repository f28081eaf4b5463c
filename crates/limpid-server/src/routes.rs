//! Which path is answered by what.
//!
//! Owns: the table of routes, finding one, what holds for all of them (methods, panics, headers). Does not own: who may
//! ask (`gate`), the answers themselves (the files below).
//!
//! Invariant: every path has its line in [`ROUTES`], of which the OpenAPI document is made as well. An answer is made
//! without waiting for anything. A panic while it is made costs that answer only.

mod about;
mod dlq;
mod flow;
mod gravity;
mod health;
mod metrics;
mod position;
mod probes;
mod quality;
mod snapshot;
mod status;
mod trace;

use std::borrow::Cow;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hyper::header::ACCEPT;
use hyper::{Method, Request, StatusCode};
use limpid_model::FaultCode;
use limpid_telemetry::AnswerFailed;

use crate::answer::Answer;
use crate::gate::{Access, Call};
use crate::site::Site;
use crate::tokens::Role;
pub(crate) use position::Questions;

/// One path.
pub(crate) struct Route {
    /// As OpenAPI writes it; a part in braces stands for any one part.
    pub(crate) path: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) access: Access,
    answer: fn(&Site, &Asked<'_>) -> Answer,
}

impl Route {
    /// What it can be asked with.
    fn methods(&self) -> (&'static str, &'static [Method]) {
        match self.access {
            Access::Open | Access::Brief | Access::Viewer => ("GET, HEAD", &[Method::GET, Method::HEAD]),
            Access::Operator => ("POST", &[Method::POST]),
        }
    }

    /// Whether it is on the metrics' own port too.
    fn is_for_metrics(&self) -> bool {
        matches!(self.access, Access::Open | Access::Brief) || self.path == "/metrics"
    }
}

/// Every path, as people read them.
pub(crate) static ROUTES: &[Route] = &[
    route("/", "index", "What is here, for people", Access::Viewer, about::index),
    route(
        "/metrics",
        "metrics",
        "Metrics: OpenMetrics or Prometheus text, by Accept",
        Access::Viewer,
        metrics::metrics,
    ),
    route("/livez", "livez", "Whether the process answers", Access::Open, probes::live),
    route("/readyz", "readyz", "Whether state is open and pipelines are started", Access::Open, probes::ready),
    route("/startupz", "startupz", "Whether each pipeline had its first attempt", Access::Open, probes::startup),
    route("/healthz", "healthz", "Health of every part of every pipeline", Access::Brief, health::health),
    route("/status", "gravityStatus", "Status as Gravity tells it", Access::Viewer, gravity::status),
    route("/api/v1/pipelines", "listPipelines", "Status of all pipelines", Access::Viewer, status::all),
    route("/api/v1/pipelines/{name}", "getPipeline", "Status of one pipeline", Access::Viewer, status::one),
    route(
        "/api/v1/pipelines/{name}/snapshot",
        "askSnapshot",
        "Copy a table anew, or pause, resume or stop such copies",
        Access::Operator,
        snapshot::ask,
    ),
    route(
        "/api/v1/pipelines/{name}/pause",
        "pausePipeline",
        "Read no further until resumed",
        Access::Operator,
        snapshot::pause,
    ),
    route("/api/v1/pipelines/{name}/resume", "resumePipeline", "Go on reading", Access::Operator, snapshot::resume),
    route(
        "/api/v1/pipelines/{name}/position",
        "getPosition",
        "Where the stream is, and what became of the last move",
        Access::Viewer,
        position::show,
    ),
    route(
        "/api/v1/pipelines/{name}/position/set",
        "setPosition",
        "Have the stream go on at another position; asks first",
        Access::Operator,
        position::set,
    ),
    route("/api/v1/pipelines/{name}/dlq", "listParked", "Rows that could not be delivered", Access::Viewer, dlq::list),
    route(
        "/api/v1/pipelines/{name}/dlq/show",
        "showParked",
        "Cause and sizes of one of them",
        Access::Viewer,
        dlq::show,
    ),
    route(
        "/api/v1/pipelines/{name}/dlq/raw",
        "rawParked",
        "One of them with its keys and bytes",
        Access::Operator,
        dlq::raw,
    ),
    route(
        "/api/v1/pipelines/{name}/dlq/replay",
        "replayParked",
        "Hand some of them to the sink",
        Access::Operator,
        dlq::replay,
    ),
    route("/api/v1/pipelines/{name}/dlq/drop", "dropParked", "Give some of them up", Access::Operator, dlq::drop_rows),
    route(
        "/api/v1/pipelines/{name}/trace",
        "traceRows",
        "Where a row is: by table and key, position, or trace id",
        Access::Viewer,
        trace::trace,
    ),
    route(
        "/api/v1/pipelines/{name}/trace/watch",
        "watchKey",
        "Keep the transactions of a key as traces for a while",
        Access::Operator,
        trace::watch,
    ),
    route(
        "/api/v1/pipelines/{name}/flow",
        "getFlow",
        "What became of the rows, by table and window",
        Access::Viewer,
        flow::show,
    ),
    route(
        "/api/v1/pipelines/{name}/quality",
        "getQuality",
        "Odd values, and how columns look, by column; no value",
        Access::Viewer,
        quality::show,
    ),
    route("/api/v1/build", "getBuild", "What runs", Access::Viewer, about::build),
    route("/api/v1/openapi.json", "getOpenapi", "The description of this API", Access::Viewer, about::openapi),
];

const fn route(
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    access: Access,
    answer: fn(&Site, &Asked<'_>) -> Answer,
) -> Route {
    Route { path, operation, summary, access, answer }
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The one that has everything.
    Main,
    /// That of the metrics and the probes.
    Metrics,
}

/// What of a request an answer may depend on.
pub(crate) struct Asked<'a> {
    /// The part that stands for `{name}`, decoded; empty where there is none.
    name: Cow<'a, str>,
    query: &'a str,
    /// All `Accept` headers as one.
    accept: Option<String>,
    /// Whether the caller may know more than whether all is well.
    is_viewer: bool,
}

impl Asked<'_> {
    /// A parameter of the query, decoded. Those that nobody knows are passed over.
    fn parameter(&self, name: &str) -> Result<Option<Cow<'_, str>>, Answer> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => decoded(value).map(Some),
            (Some(_), Some(_)) => Err(Answer::bad_request(format!("the parameter {name} stands there twice"))),
        }
    }
}

/// The whole way from a request to its answer. The body, if there is one, is left unread.
pub(crate) fn answer<B>(site: &Site, port: Port, peer: IpAddr, request: &Request<B>) -> Answer {
    let found = find(site.routes, port, request.uri().path());
    // What is not there is told to those who may know what is.
    let access = found.as_ref().map_or(Access::Viewer, |(route, _)| route.access);
    let (caller, refusal) = site.gate.judge(access, request.headers(), &site.log);
    let (route, name) = match (refusal, found) {
        (None, Err(answer)) => return answer,
        (Some(refusal), Err(_)) => return refusal.answer(),
        (_, Ok(found)) => found,
    };
    let pipeline = site.pipeline(&name).map_or("", |shown| shown.view.name.as_str());
    let answer = match refusal {
        Some(refusal) => refusal.answer(),
        None => asked(site, route, name, caller.role, request),
    };
    if access == Access::Operator && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let call = Call { caller: &caller, refusal, peer, method: request.method(), route: route.path, pipeline };
        site.gate.audit(&call, &answer, &site.log);
    }
    answer
}

/// The answer to somebody who may ask.
fn asked<B>(site: &Site, route: &Route, name: Cow<'_, str>, role: Option<Role>, request: &Request<B>) -> Answer {
    let (allow, methods) = route.methods();
    if !methods.contains(request.method()) {
        return Answer::other_method(allow);
    }
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = accepts.map(str::to_owned).reduce(|all, more| all + "," + &more);
    let query = request.uri().query().unwrap_or_default();
    guarded(site, route, &Asked { name, query, accept, is_viewer: role >= Some(Role::Viewer) })
}

/// Nothing of the site is locked or half-changed while an answer is made, so a panic leaves it whole.
fn guarded(site: &Site, route: &Route, asked: &Asked<'_>) -> Answer {
    catch_unwind(AssertUnwindSafe(|| (route.answer)(site, asked))).unwrap_or_else(|_| {
        let code = FaultCode::HttpAnswerFailed;
        AnswerFailed { route: route.path, code }.emit(&site.log);
        Answer::error(StatusCode::INTERNAL_SERVER_ERROR, code, "the answer could not be made: a mistake of ours")
    })
}

/// The route of a path, with what stands for its `{name}`.
fn find<'a>(routes: &'static [Route], port: Port, path: &'a str) -> Result<(&'static Route, Cow<'a, str>), Answer> {
    for route in routes.iter().filter(|route| port == Port::Main || route.is_for_metrics()) {
        match route.path.split_once("{name}") {
            None if route.path == path => return Ok((route, Cow::Borrowed(""))),
            None => {}
            Some((before, after)) => {
                let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
                if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('/')) {
                    return Ok((route, decoded(name)?));
                }
            }
        }
    }
    Err(Answer::not_found(format!("there is nothing at {}", shortened(path))))
}

/// `%41` and such resolved.
fn decoded(text: &str) -> Result<Cow<'_, str>, Answer> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| Answer::bad_request("a % is not followed by two hexadecimal digits"))?);
        rest = after.get(2..).unwrap_or_default();
    }
    let text = String::from_utf8(bytes);
    text.map(Cow::Owned).map_err(|_| Answer::bad_request("what the % signs stand for is not UTF-8"))
}

/// What a client sent, as far as it is worth repeating.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(100).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests;
