//! The client of a running instance.
//!
//! Owns: `--server URL`, one GET with a time limit, what can go wrong with it. Does not own: what is asked for.
//!
//! Invariant: a call ends within its time, with a bounded answer, whatever is at the other end. Only the resolver of
//! names has a time limit of its own, which is the system's.
//!
//! By hand rather than with `ureq`, which brings six crates for what is one request: HTTP/1.0, so that an answer ends
//! with its connection and is never chunked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use limpid_model::{Component, Fault, FaultCode};
use serde::de::DeserializeOwned;

use crate::api::{ErrorDocument, HealthDocument, PipelineStatus, StatusDocument};

/// What is asked where nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7070";
/// A status of 200 tables is 40 KiB; a page of metrics a few MiB.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A running instance.
#[derive(Clone, Debug)]
pub struct Client {
    /// As it stands in the URL.
    authority: String,
    /// Before every path; empty, or begins with a slash and ends without.
    prefix: String,
    timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Client {
    /// # Errors
    /// `USAGE_INVALID` for what is no `http://host[:port]`.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, Fault> {
        // What stands before an @ may be a password.
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned();
        let wrong = |text: &str| Fault::new(FaultCode::UsageInvalid, Component::Server, text).about(shown.clone());
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                let help = "use the instance's own http address, or a tunnel (ssh -L) in place of the proxy";
                return Err(wrong("the command line speaks no TLS to an instance in this version").help(help));
            }
            Some(_) => return Err(wrong("the server's address begins with http://")),
            None => url,
        };
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '?' | '#' | '"' | '<' | '>' | '\\');
        if authority.is_empty() || !authority.chars().all(legal) || !path.chars().all(legal) {
            return Err(wrong("the server's address reads http://host:port"));
        }
        let path = path.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { authority: authority.to_owned(), prefix, timeout })
    }

    /// The status of all pipelines.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`.
    pub fn status(&self) -> Result<StatusDocument, Fault> {
        self.document("/api/v1/pipelines")
    }

    /// The status of one pipeline.
    ///
    /// # Errors
    /// `HTTP_NOT_FOUND` where the instance has none of this name, `SERVER_UNREACHABLE`.
    pub fn pipeline(&self, name: &str) -> Result<PipelineStatus, Fault> {
        let mut path = "/api/v1/pipelines/".to_owned();
        for byte in name.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => path.push(char::from(byte)),
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
        self.document(&path)
    }

    /// The health of all parts; an instance that has failed parts is an answer, not an error.
    ///
    /// # Errors
    /// `SERVER_UNREACHABLE`.
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
    /// `SERVER_UNREACHABLE`.
    pub fn get(&self, path: &str) -> Result<Answer, Fault> {
        let raw =
            self.exchange(path).map_err(|error| self.unreachable("no answer from the instance").because(error))?;
        parse(&raw).ok_or_else(|| self.unreachable("what answers speaks no HTTP"))
    }

    fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        let answer = self.get(path)?;
        if answer.status == 200 { self.parsed(&answer) } else { Err(self.refused(&answer)) }
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Fault> {
        let text = "what answers is no Limpid, or one of another release";
        serde_json::from_str(&answer.body).map_err(|error| self.unreachable(text).because(error))
    }

    /// The instance's own error where there is one.
    fn refused(&self, answer: &Answer) -> Fault {
        let own = serde_json::from_str::<ErrorDocument>(&answer.body).ok().map(|document| document.error);
        match own.and_then(|error| Some((FaultCode::parse(&error.code)?, error))) {
            Some((code, error)) => {
                Fault::new(code, Component::Server, error.message).about(self.authority.clone()).help(error.help)
            }
            None => self.unreachable(&format!("what answers is no Limpid: it says {}", answer.status)),
        }
    }

    fn unreachable(&self, text: &str) -> Fault {
        Fault::new(FaultCode::ServerUnreachable, Component::Server, text).about(format!("http://{}", self.authority))
    }

    /// Everything that comes back.
    fn exchange(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let clock = Limit::new(self.timeout);
        let mut socket = self.connect(&clock)?;
        let request = format!(
            "GET {}{path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json, text/plain\r\nUser-Agent: limpid\r\n\r\n",
            self.prefix, self.authority
        );
        socket.set_write_timeout(Some(clock.left()?))?;
        socket.write_all(request.as_bytes())?;
        let mut raw = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            socket.set_read_timeout(Some(clock.left()?))?;
            match socket.read(&mut piece) {
                Ok(0) => return Ok(raw),
                Ok(read) => raw.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if raw.len() as u64 > ANSWER_BYTES_MAX {
                return Err(std::io::Error::other("the answer is too long"));
            }
        }
    }

    /// To the first address of the name that takes us.
    fn connect(&self, clock: &Limit) -> std::io::Result<TcpStream> {
        let authority = &self.authority;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let addresses: Vec<SocketAddr> = match has_port {
            true => authority.to_socket_addrs()?.collect(),
            false => (authority.trim_start_matches('[').trim_end_matches(']'), 80).to_socket_addrs()?.collect(),
        };
        let mut last = std::io::ErrorKind::NotFound.into();
        for address in addresses {
            match TcpStream::connect_timeout(&address, clock.left()?) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The time that a call has.
struct Limit {
    until: Instant,
}

impl Limit {
    #[expect(clippy::disallowed_methods, reason = "a command's own time limit on a real socket")]
    fn new(timeout: Duration) -> Self {
        Self { until: Instant::now() + timeout }
    }

    /// What is left, which is never nothing: a socket takes 0 for no limit.
    #[expect(clippy::disallowed_methods, reason = "a command's own time limit on a real socket")]
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
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
    Some(Answer { status, body: String::from_utf8(body.to_vec()).ok()? })
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
            ("https://host", None),
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
        let parsed = |raw: &str| parse(raw.as_bytes()).map(|answer| (answer.status, answer.body));
        assert_eq!(parsed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Some((200, "ok".to_owned())));
        assert_eq!(parsed("HTTP/1.0 503 X\r\n\r\nno"), Some((503, "no".to_owned())));
        for raw in
            ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "HTTP/1.1 2x0 OK\r\n\r\n"]
        {
            assert_eq!(parsed(raw), None, "{raw:?}");
        }
    }
}
