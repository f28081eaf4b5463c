//! HTTP by the byte: a client that shares no code with the server, nor with our own client.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Without the status line; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

pub fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, "GET", path, "")
}

/// `headers` are whole lines.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    let raw = exchange(address, request.as_bytes());
    let mut replies = parse(&raw, method == "HEAD");
    assert_eq!(replies.len(), 1, "{request}{}", String::from_utf8_lossy(&raw));
    replies.remove(0)
}

/// Sends bytes, says that nothing more comes, and reads until the other side ends. A reset ends it too.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut socket = connect(address);
    // The server may have closed before all was sent.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    read_all(&mut socket)
}

pub fn read_all(socket: &mut TcpStream) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return raw,
            Ok(read) => raw.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return raw,
            Err(error) => panic!("the server neither answered nor closed: {error}"),
        }
    }
}

/// All answers on a connection. Every answer has a length.
pub fn parse(mut raw: &[u8], head_only: bool) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = std::str::from_utf8(&raw[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.").unwrap()[2..5].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse().unwrap());
        let length = if head_only { 0 } else { length.unwrap() };
        let body = &raw[end + 4..];
        replies.push(Reply { status, headers, body: String::from_utf8(body[..length].to_vec()).unwrap() });
        raw = &body[length..];
    }
    assert_eq!(raw, b"", "bytes beyond the last answer");
    replies
}
