//! The client of a running instance.
//!
//! Owns: `--server URL`, `--token-file`, `--ca`, one GET or POST, what can go wrong with it. Does not own: bytes on the socket
//! (`wire`), what is asked for.
//!
//! Invariant: a call ends within its time, with a bounded answer, whatever is at the other end. Only the resolver of
//! names has a time limit of its own, which is the system's. A token is in no fault and in no `Debug`.
//!
//! By hand rather than with `ureq`, which brings six crates for what is one request: HTTP/1.0, so that an answer ends
//! with its connection and is never chunked.

mod grpc;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode};
use serde::de::DeserializeOwned;

use crate::api::{
    ErrorDocument, HealthDocument, MoveDocument, ParkedAskDocument, ParkedBodyDocument, ParkedDocument,
    ParkedOutcomeDocument, PipelineStatus, PositionDocument, StatusDocument, TraceDocument, WatchDocument,
};
use crate::tokens::is_token;
pub use grpc::{Grpc, GrpcStatus};
use wire::Failed;

/// What is asked where nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7070";

/// A running instance.
#[derive(Clone, Debug)]
pub struct Client {
    /// As it stands in the URL.
    authority: String,
    /// Before every path; empty, or begins with a slash and ends without.
    prefix: String,
    timeout: Duration,
    scheme: Scheme,
    token: Option<Token>,
}

#[derive(Clone, Debug)]
enum Scheme {
    Http,
    /// With the file of the authorities to trust, instead of the system's.
    Https {
        authorities: Option<PathBuf>,
    },
}

/// A token on its way, which nothing shows.
#[derive(Clone)]
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Text or not, as whoever answers has it.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; what is none is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl Client {
    /// # Errors
    /// `USAGE_INVALID` for what is no `http://host[:port]` or `https://host[:port]`.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, Fault> {
        // What stands before an @ may be a password.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned();
        let wrong = |text: &str| Fault::new(FaultCode::UsageInvalid, Component::Server, text).about(shown.clone());
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https { authorities: None }, rest),
            Some(_) => return Err(wrong("the server's address begins with http:// or https://")),
            None => (Scheme::Http, url),
        };
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '"' | '<' | '>' | '\\');
        if authority.is_empty() || !authority.chars().all(legal) || !path.chars().all(legal) {
            return Err(wrong("the server's address reads http://host:port"));
        }
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { authority: authority.to_owned(), prefix, timeout, scheme, token: None })
    }

    /// Shows the token that stands alone in this file.
    ///
    /// # Errors
    /// `AUTH_FILE_INVALID`.
    pub fn with_token_file(self, path: &Path) -> Result<Self, Fault> {
        let place = path.display().to_string();
        let fault = |text: &str| Fault::new(FaultCode::AuthFileInvalid, Component::Server, text).about(place.clone());
        let text = std::fs::read_to_string(path).map_err(|error| fault("the file cannot be read").because(error))?;
        if !is_token(text.trim()) {
            return Err(fault("the file holds no token alone").help("write the token by itself, without name and role"));
        }
        Ok(Self { token: Some(Token(text.trim().to_owned())), ..self })
    }

    /// Trusts the authorities in this file, and those of the system no longer.
    ///
    /// # Errors
    /// `USAGE_INVALID` where the address is no `https://`.
    pub fn with_authorities(self, path: &Path) -> Result<Self, Fault> {
        let text = "authorities are of use with an https:// address only";
        match self.scheme {
            Scheme::Https { .. } => Ok(Self { scheme: Scheme::Https { authorities: Some(path.to_owned()) }, ..self }),
            Scheme::Http => Err(Fault::new(FaultCode::UsageInvalid, Component::Server, text).about(self.url())),
        }
    }

    /// The status of all pipelines.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`, `SERVER_TLS_FAILED`.
    pub fn status(&self) -> Result<StatusDocument, Fault> {
        self.document("/api/v1/pipelines")
    }

    /// The status of one pipeline.
    ///
    /// # Errors
    /// `HTTP_NOT_FOUND` where the instance has none of this name, `SERVER_UNREACHABLE`.
    pub fn pipeline(&self, name: &str) -> Result<PipelineStatus, Fault> {
        self.document(&format!("/api/v1/pipelines/{}", encoded(name)))
    }

    /// The health of all parts; an instance that has failed parts is an answer, not an error.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`, `SERVER_TLS_FAILED`.
    pub fn health(&self) -> Result<HealthDocument, Fault> {
        let answer = self.get("/healthz")?;
        match answer.status {
            200 | 503 => self.parsed(&answer),
            _ => Err(self.refused(&answer)),
        }
    }

    /// The answer to a GET, whatever its status. `path` begins with a slash.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`, `SERVER_TLS_FAILED`.
    pub fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.ask("GET", path)
    }

    /// The answer to a POST of these bytes, whatever its status. Each header is a name and a value without line breaks.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`, `SERVER_TLS_FAILED`.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Fault> {
        self.send("POST", path, headers, body)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer, Fault> {
        self.send(method, path, &[], &[])
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, Fault> {
        let raw = wire::exchange(self, method, path, headers, body).map_err(|failed| match failed {
            Failed::Socket(error) => self.unreachable("no answer from the instance").because(error),
            Failed::Tls(error) => {
                let text = "no TLS with the instance";
                Fault::new(FaultCode::ServerTlsFailed, Component::Server, text).about(self.url()).because(error)
            }
        })?;
        parse(&raw).ok_or_else(|| self.unreachable("what answers speaks no HTTP"))
    }

    /// Asks a pipeline something of its copies of tables; `parameters` as the API has them.
    ///
    /// # Errors
    /// What the instance says of it, `SERVER_UNREACHABLE`, `SERVER_TLS_FAILED`.
    pub fn ask_snapshot(&self, pipeline: &str, parameters: &[(&str, &str)]) -> Result<(), Fault> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let answer = self.ask("POST", &format!("/api/v1/pipelines/{}/snapshot?{query}", encoded(pipeline)))?;
        if answer.status == 202 { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// Has a pipeline read no further (`pause`) or go on (`resume`).
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn ask_pipeline(&self, pipeline: &str, word: &str) -> Result<(), Fault> {
        let answer = self.ask("POST", &format!("/api/v1/pipelines/{}/{word}", encoded(pipeline)))?;
        if answer.status == 202 { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// Where a pipeline's stream is.
    ///
    /// # Errors
    /// As [`Client::pipeline`].
    pub fn position(&self, pipeline: &str) -> Result<PositionDocument, Fault> {
        self.document(&format!("/api/v1/pipelines/{}/position", encoded(pipeline)))
    }

    /// What having a pipeline go on at `to` would do. Does nothing yet.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn ask_move(&self, pipeline: &str, to: &str) -> Result<MoveDocument, Fault> {
        let answer = self.ask("POST", &move_path(pipeline, to))?;
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    /// Has it done: `asked` is the answer of [`Client::ask_move`].
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn confirm_move(&self, asked: &MoveDocument) -> Result<(), Fault> {
        let path = format!("{}&confirm={}", move_path(&asked.pipeline, &asked.to), encoded(&asked.confirm));
        let answer = self.ask("POST", &path)?;
        if answer.status == 202 { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// The rows that a pipeline keeps, and what became of the last calls about them.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn parked(&self, pipeline: &str, table: Option<&str>) -> Result<ParkedDocument, Fault> {
        let query = table.map_or(String::new(), |table| format!("?table={}", encoded(table)));
        self.document(&format!("/api/v1/pipelines/{}/dlq{query}", encoded(pipeline)))
    }

    /// What became of the last calls about rows that are kept.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn parked_outcomes(&self, pipeline: &str) -> Result<Vec<ParkedOutcomeDocument>, Fault> {
        let path = format!("/api/v1/pipelines/{}/dlq?outcomes=true", encoded(pipeline));
        self.document(&path).map(|document: ParkedDocument| document.outcomes)
    }

    /// What is kept of one row; `raw` with its keys and bytes, which takes an operator.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn parked_row(&self, pipeline: &str, id: u64, raw: bool) -> Result<ParkedBodyDocument, Fault> {
        let pipeline = encoded(pipeline);
        let answer = match raw {
            true => self.ask("POST", &format!("/api/v1/pipelines/{pipeline}/dlq/raw?id={id}"))?,
            false => self.get(&format!("/api/v1/pipelines/{pipeline}/dlq/show?id={id}"))?,
        };
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    /// Has rows replayed or dropped (`word`); the number finds it in [`Client::parked_outcomes`].
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn ask_parked(&self, pipeline: &str, word: &str, parameters: &[(&str, &str)]) -> Result<u64, Fault> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let answer = self.ask("POST", &format!("/api/v1/pipelines/{}/dlq/{word}?{query}", encoded(pipeline)))?;
        if answer.status != 202 {
            return Err(self.refused(&answer));
        }
        self.parsed::<ParkedAskDocument>(&answer).map(|asked| asked.number)
    }

    /// The changes of a row or of a transaction; `parameters` as the API has them.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn trace(&self, pipeline: &str, parameters: &[(&str, &str)]) -> Result<TraceDocument, Fault> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        self.document(&format!("/api/v1/pipelines/{}/trace?{query}", encoded(pipeline)))
    }

    /// Has a key of a table be watched for a while; `parameters` are `table` and `key`.
    ///
    /// # Errors
    /// As [`Client::ask_snapshot`].
    pub fn watch_key(&self, pipeline: &str, parameters: &[(&str, &str)]) -> Result<WatchDocument, Fault> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let answer = self.ask("POST", &format!("/api/v1/pipelines/{}/trace/watch?{query}", encoded(pipeline)))?;
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let answer = self.get(path)?;
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Fault> {
        let text = "what answers is no Limpid, or one of another release";
        serde_json::from_slice(&answer.body).map_err(|error| self.unreachable(text).because(error))
    }

    /// The instance's own error where there is one.
    fn refused(&self, answer: &Answer) -> Fault {
        let own = serde_json::from_slice::<ErrorDocument>(&answer.body).ok().map(|document| document.error);
        match own.and_then(|error| Some((FaultCode::parse(&error.code)?, error))) {
            Some((code, error)) => {
                Fault::new(code, Component::Server, error.message).about(self.authority.clone()).help(error.help)
            }
            None => self.unreachable(&format!("what answers is no Limpid: it says {}", answer.status)),
        }
    }

    fn unreachable(&self, text: &str) -> Fault {
        Fault::new(FaultCode::ServerUnreachable, Component::Server, text).about(self.url())
    }

    fn url(&self) -> String {
        let scheme = if matches!(self.scheme, Scheme::Http) { "http" } else { "https" };
        format!("{scheme}://{}", self.authority)
    }
}

fn move_path(pipeline: &str, to: &str) -> String {
    format!("/api/v1/pipelines/{}/position/set?to={}", encoded(pipeline), encoded(to))
}

/// Bytes in Base64, as HTTP's basic authentication has them.
pub fn base64(text: &str) -> String {
    openssl::base64::encode_block(text.as_bytes())
}

/// A text as it stands in an address.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Status line, head and body of an answer that ended with its connection.
fn parse(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(raw.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    let status = Some(status).filter(|status| status.len() == 3)?.parse().ok()?;
    let body = raw.get(end + 4..)?;
    let length =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    // Less than was announced is a connection that broke.
    if let Some((_, length)) = length
        && length.trim().parse() != Ok(body.len())
    {
        return None;
    }
    Some(Answer { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it_or_refused() {
        let parts =
            |url: &str| Client::new(url, Duration::from_secs(1)).map(|client| (client.authority, client.prefix));
        let ok = |authority: &str, prefix: &str| Some((authority.to_owned(), prefix.to_owned()));
        for (url, expected) in [
            ("http://127.0.0.1:7070", ok("127.0.0.1:7070", "")),
            ("HTTP://127.0.0.1:7070/", ok("127.0.0.1:7070", "")),
            ("localhost:7070", ok("localhost:7070", "")),
            ("http://[::1]:7070/limpid/", ok("[::1]:7070", "/limpid")),
            ("http://host", ok("host", "")),
            ("HTTPS://host", ok("host", "")),
            ("ftp://host", None),
            ("http://", None),
            ("http://a b", None),
            ("http://host\r\nX: y", None),
            ("http://user:secret@host", None),
        ] {
            assert_eq!(parts(url).ok(), expected, "{url}");
        }
    }

    #[test]
    fn an_answer_that_broke_off_is_none() {
        let parsed = |raw: &str| parse(raw.as_bytes()).map(|answer| (answer.status, answer.text().into_owned()));
        assert_eq!(parsed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Some((200, "ok".to_owned())));
        assert_eq!(parsed("HTTP/1.0 503 X\r\n\r\nno"), Some((503, "no".to_owned())));
        for raw in
            ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 2x0 OK\r\n\r\n"]
        {
            assert_eq!(parsed(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn a_body_that_is_no_text_is_a_body() {
        // Field 1, 200 bytes long, as protobuf has it: no UTF-8.
        let raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x0a\xc8\x01";
        assert_eq!(parse(raw).map(|answer| answer.body), Some(vec![0x0a, 0xc8, 0x01]));
    }
}
