//! What a request is answered with.
//!
//! Owns: bodies, content types, the form of errors, the headers that every answer has. Does not own: what is in them
//! (`routes`).
//!
//! Invariant: an answer lies whole in memory and has a length. No answer may be cached, sniffed, or read by a page of
//! another origin: there are no CORS headers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use limpid_model::{FaultCode, response_to};
use serde::Serialize;

use crate::api::{ErrorBody, ErrorDocument};

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// An answer before it meets HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    /// Of an error.
    code: Option<FaultCode>,
    /// What the path can be asked with, where it was asked otherwise.
    allow: Option<&'static str>,
}

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: Bytes) -> Self {
        Self { status, content_type, body, code: None, allow: None }
    }

    pub(crate) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self::new(status, TEXT, Bytes::from(body.into()))
    }

    pub(crate) fn page(content_type: &'static str, body: String) -> Self {
        Self::new(StatusCode::OK, content_type, Bytes::from(body))
    }

    pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec(document).expect("our documents have texts as keys, and write to memory");
        body.push(b'\n');
        Self::new(status, JSON, Bytes::from(body))
    }

    /// `message` may hold what the client sent: it is escaped, and no answer is taken for anything but JSON.
    pub(crate) fn error(status: StatusCode, code: FaultCode, message: impl Into<String>) -> Self {
        let error = ErrorBody {
            code: code.as_str().to_owned(),
            message: message.into(),
            help: response_to(code).1.to_owned(),
            page: fault_page(code.as_str()),
        };
        Self { code: Some(code), ..Self::json(status, &ErrorDocument { error }) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, FaultCode::HttpBadRequest, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::error(StatusCode::NOT_FOUND, FaultCode::HttpNotFound, message)
    }

    /// To a method that the path does not take.
    pub(crate) fn other_method(allow: &'static str) -> Self {
        let text = format!("this path takes {allow} only");
        let answer = Self::error(StatusCode::METHOD_NOT_ALLOWED, FaultCode::HttpBadRequest, text);
        Self { allow: Some(allow), ..answer }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn code(&self) -> Option<FaultCode> {
        self.code
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"limpid\""));
        }
        response
    }
}

/// The page of a code.
pub(crate) fn fault_page(code: &str) -> String {
    format!("docs/faults/{code}.md")
}
