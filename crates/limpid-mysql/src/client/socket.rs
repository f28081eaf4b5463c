//! Bytes to and from a server, in the clear or through TLS.
//!
//! Owns: the TCP connection and its options. Does not own: packets.
//!
//! Invariant: every blocking call is bounded by a time-out once one was set.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use openssl::ssl::{ConnectConfiguration, SslStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

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

    /// Reads what is there, waiting at most so long for it; `WouldBlock` when nothing came. Exact to a fraction of a
    /// millisecond: the kernel rounds a socket's own time-out up to its ticks, of which one is 4 ms and more.
    pub fn read_within(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        let is_here = matches!(self, Socket::Tls(stream) if stream.ssl().pending() > 0);
        if !is_here && !self.comes_within(wait)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.read_now(bytes) {
            // The beginning of a record is nothing yet, and the rest of it is on its way.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.is_secure() => {
                self.set_read_timeout(Some(wait.max(Duration::from_millis(1))));
                self.read(bytes)
            }
            read => read,
        }
    }

    /// True once the kernel has something for us.
    fn comes_within(&self, wait: Duration) -> io::Result<bool> {
        let wait = Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?;
        loop {
            match poll(&mut [PollFd::new(self.tcp()?, PollFlags::IN)], Some(&wait)) {
                Err(Errno::INTR) => {}
                come => return Ok(come? > 0),
            }
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a peer that is slow on the real clock")]
mod tests {
    use std::net::TcpListener;
    use std::pin::Pin;

    use openssl::ssl::{Ssl, SslConnector, SslContext, SslFiletype, SslMethod, SslVerifyMode};

    use super::*;

    /// Sends the first half of what is written, and the rest a little later.
    #[derive(Debug)]
    struct Halving(TcpStream);

    impl Read for Halving {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes)
        }
    }

    impl Write for Halving {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            self.0.write_all(first)?;
            std::thread::sleep(Duration::from_millis(100));
            self.0.write_all(rest)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_tls_record_that_comes_in_two_is_waited_for_whole() {
        let dir = limpid_stack::TempDir::new("halves").unwrap();
        let certificates = limpid_stack::tls::Certificates::make(dir.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
        context.set_certificate_file(certificates.cert(), SslFiletype::PEM).unwrap();
        context.set_private_key_file(certificates.key(), SslFiletype::PEM).unwrap();
        let context = context.build();
        let peer = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), Halving(stream)).unwrap();
            Pin::new(&mut stream).accept().unwrap();
            stream.write_all(&[7; 1000]).unwrap();
            stream
        });
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        let plain = Socket::connect("127.0.0.1", address.port(), Duration::from_secs(10)).unwrap();
        let mut socket = plain.secure(connector.build().configure().unwrap(), "localhost").unwrap();
        let mut bytes = [0; 2000];
        let read = socket.read_within(&mut bytes, Duration::from_secs(10));
        assert_eq!(read.unwrap(), 1000);
        drop(peer.join().unwrap());
    }
}
