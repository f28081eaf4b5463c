//! A blocking client of the MySQL protocol: log in, run a query, dump the log.
//!
//! Owns: one connection, its packets, its login. Does not own: the stream's buffers (`intake`), what is asked
//! (`server`, `stream`), TLS details (`client::tls`).
//!
//! Invariant: no password and no query text is ever part of an error.

mod login;
mod socket;
mod statement;
pub mod tls;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limpid_model::{Component, Fault, FaultCode};

pub use socket::Socket;
pub use statement::Prepared;
pub use tls::{TlsMode, TlsOptions};

/// Where and as whom to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub tls: TlsOptions,
    pub connect_timeout: Duration,
    pub asked: Asked,
}

/// Counts the statements that a server was asked on all connections that share it.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<AtomicU64>);

impl Asked {
    /// The process's own for this server: pipelines beside each other are no others to one another.
    pub fn of(host: &str, port: u16) -> Self {
        static ALL: Mutex<BTreeMap<(String, u16), Asked>> = Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().expect("never held across a panic");
        all.entry((host.to_owned(), port)).or_default().clone()
    }

    /// So many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl ConnectOptions {
    /// Host and port, for messages.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

/// An error packet of the server. Its message may hold values, so only the numbers leave this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    pub number: u16,
    pub state: String,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the server answered with error {} ({})", self.number, self.state)
    }
}

impl std::error::Error for ServerError {}

/// Rows of a text result: each value as the server printed it.
pub type TextRows = Vec<Vec<Option<Vec<u8>>>>;

/// A logged-in connection.
pub struct Client {
    socket: Socket,
    /// Bytes received and not yet read: answers come in many small packets. Empty between two commands.
    received: Vec<u8>,
    read_to: usize,
    seq: u8,
    endpoint: String,
    asked: Asked,
    pub server_version: String,
    /// The server's number for this connection.
    pub connection_id: u32,
}

/// What is read ahead of the packet in hand: one answer of a catalogue query is some tens of KiB.
const READ_AHEAD: usize = 16 * 1024;

/// One packet's payload is at most this long; a longer message goes on in the next packet.
pub const PACKET_MAX: usize = 0xff_ffff;

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// `SOURCE_UNREACHABLE`, `SOURCE_TLS_FAILED`, `SOURCE_AUTH_FAILED`.
    pub fn connect(options: &ConnectOptions) -> Result<Self, Fault> {
        let socket = Socket::connect(&options.host, options.port, options.connect_timeout)
            .map_err(|error| unreachable(&options.endpoint(), error))?;
        let mut client = Self {
            socket,
            received: Vec::new(),
            read_to: 0,
            seq: 0,
            endpoint: options.endpoint(),
            asked: options.asked.clone(),
            server_version: String::new(),
            connection_id: 0,
        };
        login::login(&mut client, options)?;
        Ok(client)
    }

    /// The socket, for whoever takes over after a dump command.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// The socket, for whoever reads rows into blocks of their own.
    pub(crate) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Runs a statement and reads its rows, if any. For small results.
    ///
    /// # Errors
    /// The server's error inside [`QueryError::Server`], or a broken connection.
    pub fn query(&mut self, sql: &str) -> Result<TextRows, QueryError> {
        self.query_named(sql).map(|(_, rows)| rows)
    }

    /// Rows behind their columns' descriptions, up to the packet that ends them.
    fn text_rows(&mut self, columns: u64) -> Result<TextRows, QueryError> {
        let mut rows = Vec::new();
        loop {
            let packet = self.read_packet()?;
            match packet.first() {
                Some(0xfe) if packet.len() < 9 => return Ok(rows),
                Some(0xff) => return Err(QueryError::Server(server_error(&packet))),
                _ => rows.push(text_row(&packet, columns).ok_or_else(|| self.garbled())?),
            }
        }
    }

    /// The only value of the only row.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub fn query_value(&mut self, sql: &str) -> Result<Option<String>, QueryError> {
        let rows = self.query(sql)?;
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Sends a command as the first packet of an exchange.
    ///
    /// # Errors
    /// The connection broke.
    pub fn command(&mut self, payload: &[u8]) -> Result<(), QueryError> {
        self.seq = 0;
        self.write_packet(payload)
    }

    pub(crate) fn write_packet(&mut self, payload: &[u8]) -> Result<(), QueryError> {
        let mut bytes = Vec::with_capacity(payload.len() + 4);
        let mut rest = payload;
        loop {
            let (now, later) = rest.split_at(rest.len().min(PACKET_MAX));
            bytes.extend_from_slice(&(now.len() as u32).to_le_bytes()[..3]);
            bytes.push(self.seq);
            self.seq = self.seq.wrapping_add(1);
            bytes.extend_from_slice(now);
            if now.len() < PACKET_MAX {
                break;
            }
            rest = later;
        }
        self.socket.write_all(&bytes).map_err(|error| self.lost(error))
    }

    pub(crate) fn read_packet(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut payload = Vec::new();
        loop {
            let mut head = [0; 4];
            self.read_exact(&mut head).map_err(|error| self.lost(error))?;
            let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
            self.seq = head[3].wrapping_add(1);
            let start = payload.len();
            payload.resize(start + len, 0);
            self.read_exact(&mut payload[start..]).map_err(|error| self.lost(error))?;
            if len < PACKET_MAX {
                return Ok(payload);
            }
        }
    }

    /// As `Read::read_exact`, by way of a buffer. Looking ahead takes nothing that belongs to TLS or to a dump: before
    /// either begins the server waits for us.
    fn read_exact(&mut self, mut into: &mut [u8]) -> std::io::Result<()> {
        while !into.is_empty() {
            if self.read_to == self.received.len() {
                if into.len() >= READ_AHEAD {
                    return self.socket.read_exact(into);
                }
                self.received.resize(READ_AHEAD, 0);
                self.read_to = 0;
                let read = self.socket.read(&mut self.received);
                self.received.truncate(*read.as_ref().unwrap_or(&0));
                if read? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            let n = into.len().min(self.received.len() - self.read_to);
            into[..n].copy_from_slice(&self.received[self.read_to..self.read_to + n]);
            self.read_to += n;
            into = &mut into[n..];
        }
        Ok(())
    }

    pub(crate) fn lost(&self, error: std::io::Error) -> QueryError {
        QueryError::Lost(unreachable(&self.endpoint, error))
    }

    pub(crate) fn garbled(&self) -> QueryError {
        let text = format!("{} answered with something that is no MySQL packet", self.endpoint);
        QueryError::Lost(Fault::new(FaultCode::SourceUnreachable, Component::Input, text))
    }
}

/// Why a query gave no rows.
#[derive(Debug)]
pub enum QueryError {
    /// The server refused it.
    Server(ServerError),
    /// The connection is gone.
    Lost(Fault),
}

impl QueryError {
    /// The fault of a query that was made for `what` ("read the position of the log").
    pub fn into_fault(self, what: &str, endpoint: &str) -> Fault {
        match self {
            QueryError::Lost(fault) => fault,
            QueryError::Server(error) => {
                let code = match error.number {
                    // Access denied for a statement, a table, a column; not enough rights for an operation. 1045 is
                    // also a wrong password, but that is told at login, which has its own reading of it.
                    1044 | 1045 | 1142 | 1143 | 1227 | 1370 => FaultCode::SourceGrantMissing,
                    1698 => FaultCode::SourceAuthFailed,
                    // Shutting down, too many connections, out of resources, a lock or statement time-out.
                    1040 | 1041 | 1053 | 1152 | 1158..=1161 | 1205 | 1213 | 1226 | 1927 => FaultCode::SourceUnreachable,
                    _ => FaultCode::SourceQueryFailed,
                };
                Fault::new(code, Component::Input, format!("could not {what}")).about(endpoint).because(error)
            }
        }
    }
}

/// The numbers of an error packet.
pub fn server_error(packet: &[u8]) -> ServerError {
    let number = packet.get(1..3).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let state = match packet.get(3) {
        Some(b'#') => packet.get(4..9).map(|state| String::from_utf8_lossy(state).into_owned()),
        _ => None,
    };
    ServerError { number, state: state.unwrap_or_else(|| "HY000".into()) }
}

/// Only for deciding what an error 1236 means: its text is fixed by the server and holds no values.
pub(crate) fn server_error_text(packet: &[u8]) -> String {
    let text = if packet.get(3) == Some(&b'#') { packet.get(9..) } else { packet.get(3..) };
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

fn text_row(packet: &[u8], columns: u64) -> Option<Vec<Option<Vec<u8>>>> {
    let mut cur = crate::bytes::Cursor::new(packet);
    let mut row = Vec::new();
    for _ in 0..columns {
        let mut probe = cur;
        if probe.u8()? == 0xfb {
            cur = probe;
            row.push(None);
        } else {
            row.push(Some(cur.lenenc_bytes()?.to_vec()));
        }
    }
    Some(row)
}

fn unreachable(endpoint: &str, error: std::io::Error) -> Fault {
    Fault::new(
        FaultCode::SourceUnreachable,
        Component::Input,
        format!("lost or never had the connection to {endpoint}"),
    )
    .about(endpoint)
    .because(error)
}
