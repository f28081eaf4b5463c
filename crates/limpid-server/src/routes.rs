//! Which path is answered by what.
//!
//! Owns: the table of routes, finding one, what holds for all of them (methods, panics, headers). Does not own: the
//! answers themselves (the files below).
//!
//! Invariant: every path has its line in [`ROUTES`], of which the OpenAPI document is made as well. An answer is made
//! without waiting for anything. A panic while it is made costs that answer only.

mod about;
mod gravity;
mod health;
mod metrics;
mod probes;
mod status;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::ACCEPT;
use hyper::{Method, Request, Response, StatusCode};
use limpid_model::FaultCode;
use limpid_telemetry::AnswerFailed;

use crate::answer::Answer;
use crate::site::Site;

/// One path that can be read.
pub(crate) struct Route {
    /// As OpenAPI writes it; a part in braces stands for any one part.
    pub(crate) path: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    answer: fn(&Site, &Asked<'_>) -> Answer,
}

/// Every path, as people read them.
pub(crate) static ROUTES: &[Route] = &[
    route("/", "index", "What is here, for people", about::index),
    route("/metrics", "metrics", "Metrics: OpenMetrics or Prometheus text, by Accept", metrics::metrics),
    route("/livez", "livez", "Whether the process answers", probes::live),
    route("/readyz", "readyz", "Whether state is open and pipelines are started", probes::ready),
    route("/startupz", "startupz", "Whether each pipeline has been through its first attempt", probes::startup),
    route("/healthz", "healthz", "Health of every part of every pipeline", health::health),
    route("/status", "gravityStatus", "Status as Gravity tells it", gravity::status),
    route("/api/v1/pipelines", "listPipelines", "Status of all pipelines", status::all),
    route("/api/v1/pipelines/{name}", "getPipeline", "Status of one pipeline", status::one),
    route("/api/v1/build", "getBuild", "What runs", about::build),
    route("/api/v1/openapi.json", "getOpenapi", "The description of this API", about::openapi),
];

const fn route(
    path: &'static str,
    operation: &'static str,
    summary: &'static str,
    answer: fn(&Site, &Asked<'_>) -> Answer,
) -> Route {
    Route { path, operation, summary, answer }
}

/// What of a request an answer may depend on.
pub(crate) struct Asked<'a> {
    /// The part that stands for `{name}`, decoded; empty where there is none.
    name: Cow<'a, str>,
    query: &'a str,
    /// All `Accept` headers as one.
    accept: Option<String>,
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

/// The whole way from a request to its response. The body, if there is one, is left unread.
pub(crate) fn respond<B>(site: &Site, request: &Request<B>) -> Response<Full<Bytes>> {
    let (route, name) = match find(request.uri().path()) {
        Ok(found) => found,
        Err(answer) => return answer.into_response(),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this path can only be read: GET or HEAD";
        return Answer::error(StatusCode::METHOD_NOT_ALLOWED, FaultCode::HttpBadRequest, text).into_response();
    }
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = accepts.map(str::to_owned).reduce(|all, more| all + "," + &more);
    let asked = Asked { name, query: request.uri().query().unwrap_or_default(), accept };
    guarded(site, route, &asked).into_response()
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
fn find(path: &str) -> Result<(&'static Route, Cow<'_, str>), Answer> {
    for route in ROUTES {
        match route.path.strip_suffix("{name}") {
            None if route.path == path => return Ok((route, Cow::Borrowed(""))),
            None => {}
            Some(before) => {
                let name = path.strip_prefix(before).filter(|name| !name.is_empty() && !name.contains('/'));
                if let Some(name) = name {
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
