//! Asks a server whether it serves: the proof is its own protocol's answer, never a pause.
//!
//! Owns: one probe per kind of server.
//! Does not own: how long to wait (`instance`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::wire;

/// A stalled server must not stall the poll: every single exchange is bounded by this.
const EXCHANGE_MAX: Duration = Duration::from_secs(3);

/// How to tell that a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The greeting that a MySQL or MariaDB server sends first.
    MySqlGreeting,
    /// A metadata answer that lists the broker itself: in KRaft it does so once the controller has unfenced it.
    KafkaMetadata,
    /// `200` from `/-/ready`.
    Prometheus,
    /// A connection is taken, which this server does once all of its parts have started.
    Listens,
}

impl Probe {
    pub(crate) fn check(self, port: u16) -> anyhow::Result<()> {
        match self {
            Probe::MySqlGreeting => mysql_greeting(port),
            Probe::KafkaMetadata => wire::Broker::connect(port)?.lists_itself(),
            Probe::Listens => connect(port).map(drop),
            Probe::Prometheus => {
                let (status, _) = http(port, "GET", "/-/ready")?;
                ensure!(status == 200, "/-/ready answers {status}");
                Ok(())
            }
        }
    }
}

pub(crate) fn connect(port: u16) -> anyhow::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, EXCHANGE_MAX).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(EXCHANGE_MAX)).context("bound reads")?;
    stream.set_write_timeout(Some(EXCHANGE_MAX)).context("bound writes")?;
    stream.set_nodelay(true).context("send at once")?;
    Ok(stream)
}

/// One HTTP/1.0 exchange; 1.0 so that the answer is never chunked and ends with the connection.
pub(crate) fn http(port: u16, method: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = connect(port)?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n")
        .context("send the request")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("find the end of the answer's head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("find the status")?;
    Ok((status, body.to_owned()))
}

/// Protocol::HandshakeV10 begins with a 4-byte packet header and the byte 10; 0xff in its place is a refusal.
fn mysql_greeting(port: u16) -> anyhow::Result<()> {
    let mut head = [0; 5];
    connect(port)?.read_exact(&mut head).context("read the server's greeting")?;
    let [_, _, _, _, version] = head;
    if version != 10 {
        bail!("the server greets with protocol {version}, not 10");
    }
    Ok(())
}
