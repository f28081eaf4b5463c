//! One request and its answer on a socket, plain or under TLS.
//!
//! Owns: connecting, the handshake, the time that all of it may take. Does not own: what the bytes say (`client`).
//!
//! Invariant: each step has what is left of the call's time, so that an instance that drips cannot hold us.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslStream};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};

use super::{Client, Scheme, Token};

/// A status of 200 tables is 40 KiB; a page of metrics a few MiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why nothing came back.
pub(super) enum Failed {
    Socket(io::Error),
    Tls(Box<dyn Error + Send + Sync>),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Failed::Socket(error)
    }
}

/// Everything that comes back to a request.
pub(super) fn exchange(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Vec<u8>, Failed> {
    let limit = Limit::new(client.timeout);
    let socket = Timed { socket: connect(client, &limit)?, limit };
    let bearer = client.token.as_ref().map(|Token(token)| format!("Authorization: Bearer {token}\r\n"));
    let mut further: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    if !body.is_empty() {
        further.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let head = format!(
        "{method} {}{path} HTTP/1.0\r\nHost: {}\r\n{}{further}Accept: application/json, text/plain\r\nUser-Agent: limpid\r\n\r\n",
        client.prefix,
        client.authority,
        bearer.unwrap_or_default()
    );
    let request = [head.as_bytes(), body].concat();
    match &client.scheme {
        Scheme::Http => Ok(ask(socket, &request)?),
        Scheme::Https { authorities } => {
            let host = host_and_port(&client.authority).0;
            Ok(ask(secured(socket, host, authorities.as_deref())?, &request)?)
        }
    }
}

fn ask(mut socket: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    socket.write_all(request)?;
    let mut raw = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return Ok(raw),
            Ok(read) => raw.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if raw.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}

/// The handshake, with the certificate and the name in it checked.
fn secured(socket: Timed, host: &str, authorities: Option<&Path>) -> Result<SslStream<Timed>, Failed> {
    let failed = |error: ErrorStack| Failed::Tls(error.into());
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(failed)?;
    if let Some(file) = authorities {
        // A store of its own, without the system's.
        let mut store = X509StoreBuilder::new().map_err(failed)?;
        let pem = std::fs::read(file).map_err(|error| Failed::Tls(error.into()))?;
        let certificates = X509::stack_from_pem(&pem).map_err(failed)?;
        if certificates.is_empty() {
            return Err(Failed::Tls("there is no certificate in the file of --ca".into()));
        }
        certificates.into_iter().try_for_each(|one| store.add_cert(one)).map_err(failed)?;
        builder.set_cert_store(store.build());
    }
    builder.build().connect(host, socket).map_err(|error| match error {
        HandshakeError::SetupFailure(error) => Failed::Tls(error.into()),
        HandshakeError::Failure(middle) | HandshakeError::WouldBlock(middle) => {
            let verdict = middle.ssl().verify_result();
            match middle.into_error().into_io_error() {
                Ok(error) => Failed::Socket(error),
                // Says what is wrong with the certificate, where the error itself says only that something is.
                Err(_) if verdict != X509VerifyResult::OK => Failed::Tls(verdict.into()),
                Err(error) => Failed::Tls(error.into()),
            }
        }
    })
}

/// To the first address of the name that takes us.
fn connect(client: &Client, limit: &Limit) -> io::Result<TcpStream> {
    let (host, port) = host_and_port(&client.authority);
    let usual = if matches!(client.scheme, Scheme::Http) { 80 } else { 443 };
    let port = port.map_or(Ok(usual), str::parse).map_err(io::Error::other)?;
    let mut last = io::ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs()?.collect::<Vec<SocketAddr>>() {
        match TcpStream::connect_timeout(&address, limit.left()?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Of `host`, `host:port`, `[::1]` or `[::1]:port`.
pub(super) fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// A socket whose every step has what is left of the call's time.
#[derive(Debug)]
struct Timed {
    socket: TcpStream,
    limit: Limit,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.limit.left()?))?;
        self.socket.read(into).map_err(told)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.limit.left()?))?;
        self.socket.write(bytes).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A socket's time-out reads "would block", which OpenSSL takes for an invitation to try again.
fn told(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// The time that a call has.
#[derive(Debug)]
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
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
