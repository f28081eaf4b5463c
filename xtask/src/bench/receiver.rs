//! Somebody who takes what is told: OTLP over HTTP and remote write.
//!
//! Owns: a port, and how often each path was asked for. Does not own: what the messages say.
//!
//! Invariant: each request is read whole and answered, and a connection closed that is to be, so that whoever sends never
//! waits for us or tries again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};

pub(crate) struct Receiver {
    port: u16,
    taken: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Receiver {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for what is told")?;
        let port = listener.local_addr().context("find the receiver's port")?.port();
        let taken: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let into = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let into = Arc::clone(&into);
                // A connection that breaks is its sender's business.
                std::thread::spawn(move || drop(answer(stream, &into)));
            }
        });
        Ok(Self { port, taken })
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// # Errors
    /// Where one of these paths was never asked for.
    pub(crate) fn has_taken(&self, paths: &[&str]) -> anyhow::Result<()> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            ensure!(taken.contains_key(*path), "nothing came to {path}: {taken:?}");
        }
        Ok(())
    }
}

/// Requests one after the other, for as long as the other side has some.
fn answer(mut stream: TcpStream, taken: &Mutex<BTreeMap<String, u64>>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut is_last) = (0, line.trim_end().ends_with("HTTP/1.0"));
        line.clear();
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse()?;
                }
                is_last |= name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close");
            }
            line.clear();
        }
        line.clear();
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
        *taken.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += 1;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        if is_last {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_connection_are_answered_one_after_the_other_and_counted_by_path() {
        let receiver = Receiver::start().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", receiver.port)).unwrap();
        for path in ["/v1/logs", "/write", "/write"] {
            write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc").unwrap();
            let mut answer = [0; 38];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{answer:?}");
        }
        for (version, header) in [("1.0", "X: y"), ("1.1", "Connection: close")] {
            let mut stream = TcpStream::connect(("127.0.0.1", receiver.port)).unwrap();
            write!(stream, "POST /v1/metrics HTTP/{version}\r\n{header}\r\ncontent-length: 1\r\n\r\na").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "and it ends: {answer:?}");
        }
        assert!(receiver.has_taken(&["/v1/logs", "/write"]).is_ok());
        assert!(receiver.has_taken(&["/v1/traces"]).is_err());
        assert_eq!(receiver.taken.lock().unwrap()["/write"], 2);
    }
}
