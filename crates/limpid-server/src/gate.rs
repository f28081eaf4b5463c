//! The one place that every request passes before it is answered.
//!
//! Owns: who asks, what that one may, refusing calls that another site's page sends, the audit. Does not own: tokens
//! (`tokens`), answers (`routes`).
//!
//! Invariant: nothing but a probe is answered without a token where there are tokens, nothing is changed without the
//! role operator, and of each call to change something the log tells who, from where, what and how it ended.
//!
//! Without tokens everyone who reaches us is a viewer; an operator too where that takes being on this machine, since
//! whoever is there could as well end the process.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use limpid_model::FaultCode;
use limpid_telemetry::{CallJudged, Log};

use crate::answer::Answer;
use crate::kept::Kept;
use crate::tokens::{Role, Tokens};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: an orchestrator has no token.
    Open,
    /// Nothing for the bare verdict, a viewer for the rest.
    Brief,
    /// A viewer.
    Viewer,
    /// An operator: it changes something, and is asked for with POST.
    Operator,
}

/// Who asks, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the token; empty without one.
    pub(crate) name: String,
    /// `None` for a stranger at an open route.
    pub(crate) role: Option<Role>,
}

impl Caller {
    fn stranger() -> Self {
        Self { name: String::new(), role: None }
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoToken,
    UnknownToken,
    LesserRole,
    /// There are no tokens, and we can be reached from elsewhere.
    Locked,
    CrossSite,
}

impl Refusal {
    pub(crate) fn answer(self) -> Answer {
        let (status, code, text) = match self {
            Refusal::NoToken => {
                (StatusCode::UNAUTHORIZED, FaultCode::AuthTokenInvalid, "this needs `Authorization: Bearer TOKEN`")
            }
            Refusal::UnknownToken => {
                (StatusCode::UNAUTHORIZED, FaultCode::AuthTokenInvalid, "the token is not one of this instance")
            }
            Refusal::LesserRole => {
                (StatusCode::FORBIDDEN, FaultCode::AuthForbidden, "the token's role is viewer, and this needs operator")
            }
            Refusal::Locked => {
                let text = "this changes something, which takes a token where others can reach the instance";
                (StatusCode::FORBIDDEN, FaultCode::AuthForbidden, text)
            }
            Refusal::CrossSite => {
                (StatusCode::FORBIDDEN, FaultCode::CrossSiteRefused, "the call was sent by a page of another site")
            }
        };
        Answer::error(status, code, text)
    }
}

/// See the file's comment.
pub(crate) struct Gate {
    tokens: Option<Kept<Tokens>>,
    /// Whether only this machine reaches us.
    on_loopback: bool,
    /// Calls let through to change something.
    calls: AtomicU64,
}

impl Gate {
    pub(crate) fn new(tokens: Option<Kept<Tokens>>, on_loopback: bool) -> Self {
        Self { tokens, on_loopback, calls: AtomicU64::new(0) }
    }

    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Who asks, and why that one may not, if so.
    pub(crate) fn judge(&self, access: Access, headers: &HeaderMap, log: &Log) -> (Caller, Option<Refusal>) {
        if access == Access::Open {
            return (Caller::stranger(), None);
        }
        let (caller, refusal) = match self.caller(headers, log) {
            Ok(caller) => (caller, None),
            Err(refusal) => (Caller::stranger(), Some(refusal)),
        };
        let refusal = match access {
            Access::Open | Access::Brief => None,
            Access::Viewer => refusal,
            Access::Operator if self.is_from_elsewhere(headers) => Some(Refusal::CrossSite),
            Access::Operator if refusal.is_none() && caller.role < Some(Role::Operator) => {
                Some(if self.has_tokens() { Refusal::LesserRole } else { Refusal::Locked })
            }
            Access::Operator => refusal,
        };
        (caller, refusal)
    }

    fn caller(&self, headers: &HeaderMap, log: &Log) -> Result<Caller, Refusal> {
        let Some(tokens) = &self.tokens else {
            let role = if self.on_loopback { Role::Operator } else { Role::Viewer };
            return Ok(Caller { name: String::new(), role: Some(role) });
        };
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (shown.next(), shown.next());
        let Some(first) = first else { return Err(Refusal::NoToken) };
        let token = bearer(first.as_bytes()).filter(|_| second.is_none()).ok_or(Refusal::UnknownToken)?;
        let tokens = tokens.current(log);
        let (name, role) = tokens.find(token).ok_or(Refusal::UnknownToken)?;
        Ok(Caller { name: name.to_owned(), role: Some(role) })
    }

    /// Whether a page of another site had a browser send this. What is no browser says nothing of either.
    fn is_from_elsewhere(&self, headers: &HeaderMap) -> bool {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if text(&SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return true;
        }
        let host = text(&HOST).unwrap_or_default();
        if text(&ORIGIN).is_some_and(|origin| !is_same(origin, host)) {
            return true;
        }
        // Without tokens, a name that some site has made to mean this machine is that site's (DNS rebinding).
        !self.has_tokens() && !host.is_empty() && !is_this_machine(host)
    }

    /// Tells of a call to change something.
    pub(crate) fn audit(&self, call: &Call<'_>, answer: &Answer, log: &Log) {
        let status = answer.status().as_u16();
        let admitted = call.refusal.is_none();
        let number = admitted.then(|| self.calls.fetch_add(1, Relaxed) + 1);
        let outcome = match status {
            ..400 => "done",
            400..500 => "refused",
            _ => "failed",
        };
        let peer = call.peer.to_string();
        let method = known_method(call.method);
        let Call { caller, route, pipeline, .. } = *call;
        let code = answer.code();
        CallJudged { who: &caller.name, peer: &peer, method, route, pipeline, outcome, status, code, number }.emit(log);
    }
}

/// A call to change something.
pub(crate) struct Call<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) peer: IpAddr,
    pub(crate) method: &'a Method,
    pub(crate) route: &'static str,
    /// One that there is, or empty.
    pub(crate) pipeline: &'a str,
}

/// A method may be any word that a client likes.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

/// Whether a page of this origin lies where the request was sent to. The scheme is not compared: it may be a proxy's.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare = |text: &str| text.to_ascii_lowercase().trim_end_matches(port).to_owned();
    !authority.is_empty() && bare(authority) == bare(host)
}

/// Whether a `Host` is this machine by its own address.
fn is_this_machine(host: &str) -> bool {
    let Ok(host) = host.parse::<Uri>() else { return false };
    let name = host.host().unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_its_header_only_as_the_standard_has_it() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
        for value in ["", "Bearer", "Bearer ", "Bearer  ", "Basic abc", "Bearerabc", "abc"] {
            assert_eq!(bearer(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn an_origin_is_our_own_by_host_and_port() {
        for (origin, host) in [
            ("http://a", "a"),
            ("http://A:80", "a"),
            ("https://a", "a:443"),
            ("https://a:7070", "A:7070"),
            ("http://[::1]:7070", "[::1]:7070"),
        ] {
            assert!(is_same(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "a"),
            ("", ""),
            ("http://", ""),
            ("http://a", "b"),
            ("http://a:7071", "a:7070"),
            ("http://a.evil.example", "a"),
            ("http://evil.example/a", "a"),
            ("https://a:80", "a"),
        ] {
            assert!(!is_same(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_own_names() {
        for host in ["localhost", "LOCALHOST:7070", "127.0.0.1:7070", "127.9.9.9", "[::1]:7070", "[::ffff:127.0.0.1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example:7070", "localhost.evil.example", "10.0.0.1", "[::2]", "a b"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
