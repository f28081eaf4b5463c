//! Bytes to and from a server, in the clear or through TLS.
//!
//! Owns: the TCP connection and its options. Does not own: packets.
//!
//! Invariant: every blocking call is bounded by a time-out once one was set.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use openssl::ssl::{ConnectConfiguration, SslStream};

/// A connection.
pub enum Socket {
    Plain(TcpStream),
    Tls(SslStream<TcpStream>),
    /// Given up between two states; every call on it fails.
    Closed,
}

impl Socket {
    pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    return Ok(Socket::Plain(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Goes on through TLS. The handshake is completed before this returns.
    pub fn secure(self, configuration: ConnectConfiguration, host: &str) -> io::Result<Self> {
        let Socket::Plain(stream) = self else { return Ok(self) };
        // The error carries the half-made connection; only its words are of use.
        let connected = configuration.connect(host, stream).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Socket::Tls(connected))
    }

    pub fn is_secure(&self) -> bool {
        matches!(self, Socket::Tls(_))
    }

    fn tcp(&self) -> io::Result<&TcpStream> {
        match self {
            Socket::Plain(stream) => Ok(stream),
            Socket::Tls(stream) => Ok(stream.get_ref()),
            Socket::Closed => Err(closed()),
        }
    }

    pub fn set_read_timeout(&self, time: Option<Duration>) {
        // Only a zero duration is refused, and none is ever passed.
        if let Ok(tcp) = self.tcp() {
            let _ = tcp.set_read_timeout(time);
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Plain(stream) => stream.write_all(bytes),
            Socket::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
            Socket::Closed => Err(closed()),
        }
    }

    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Socket::Plain(stream) => stream.read_exact(bytes),
            Socket::Tls(stream) => stream.read_exact(bytes),
            Socket::Closed => Err(closed()),
        }
    }

    /// Reads what is there, waiting for the first byte. 0 at the end of the stream.
    #[inline]
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(stream) => stream.read(bytes),
            Socket::Tls(stream) => stream.read(bytes),
            Socket::Closed => Err(closed()),
        }
    }

    /// Reads what is there without waiting; `WouldBlock` when nothing is.
    #[inline]
    pub fn read_now(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(stream) => {
                let (n, _) = rustix::net::recv(&*stream, bytes, rustix::net::RecvFlags::DONTWAIT)?;
                Ok(n)
            }
            Socket::Tls(stream) => {
                stream.get_ref().set_nonblocking(true)?;
                let read = stream.read(bytes);
                stream.get_ref().set_nonblocking(false)?;
                read
            }
            Socket::Closed => Err(closed()),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the connection is closed")
}
