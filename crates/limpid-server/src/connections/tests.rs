//! Limits that would take too long to wait for at their real size.
#![expect(clippy::disallowed_methods, reason = "drives real sockets on the real clock")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use limpid_model::FaultCode;
use limpid_stack::TempDir;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;

use super::*;
use crate::site;

#[path = "../../tests/http/certificates.rs"]
mod certificates;

const QUICK: Limits = Limits {
    open_max: 3,
    head_time_max: Duration::from_millis(300),
    stuck_max: Duration::from_millis(300),
    grace: Duration::from_millis(100),
};

/// What the clients speak.
#[derive(Clone, Copy, PartialEq)]
enum Under {
    Plain,
    Tls,
}

struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    /// Of a client.
    connector: Option<SslConnector>,
    _files: TempDir,
}

fn serve_quickly(under: Under) -> Served {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let files = TempDir::new("connections").unwrap();
    let issued = certificates::issue(2);
    let paths = [("cert", &issued.certificate), ("key", &issued.key)].map(|(name, pem)| {
        let path = files.path().join(name);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    });
    let kept = Kept::read(paths.to_vec(), FaultCode::ListenTlsInvalid, crate::tls::acceptor).unwrap();
    let tls = (under == Under::Tls).then(|| Arc::new(kept));
    let connector = (under == Under::Tls).then(|| {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        connector.cert_store_mut().add_cert(X509::from_pem(&issued.authority).unwrap()).unwrap();
        connector.build()
    });
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            let site = Arc::new(site::tests::site(Vec::new()).0);
            serve(listener, Door { port: Port::Main, tls, site }, QUICK, stopped).await;
        });
    });
    Served { address, stop, thread, connector, _files: files }
}

/// A client's end.
trait Wire: Read + Write {}
impl<S: Read + Write> Wire for S {}

impl Served {
    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn connect(&self) -> Box<dyn Wire> {
        match &self.connector {
            None => Box::new(self.socket()),
            Some(connector) => Box::new(connector.connect("localhost", self.socket()).unwrap()),
        }
    }

    fn end(self) {
        self.stop.send(true).unwrap();
        self.thread.join().unwrap();
    }
}

/// True where the other side is gone, with or without what it had sent before.
fn is_closed(socket: &mut impl Read) -> bool {
    let mut piece = [0; 64 * 1024];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            // Under TLS an end without a farewell.
            Err(error) => return matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::Other),
        }
    }
}

#[test]
fn a_head_that_does_not_come_ends_its_connection() {
    for under in [Under::Plain, Under::Tls] {
        let served = serve_quickly(under);
        let begun = Instant::now();
        let (mut silent, mut slow) = (served.connect(), served.connect());
        slow.write_all(b"GET /livez HTTP/1.1\r\nX-Slo").unwrap();
        // A byte now and then buys no time.
        while slow.write_all(b"o").is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(3));
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(is_closed(&mut silent));
        assert!(begun.elapsed() < Duration::from_secs(3));
        served.end();
    }
}

#[test]
fn a_handshake_that_does_not_end_ends_its_connection() {
    let served = serve_quickly(Under::Tls);
    let begun = Instant::now();
    let (mut silent, mut slow) = (served.socket(), served.socket());
    // The head of a record that announces 512 bytes of a hello.
    slow.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    while slow.write_all(b"o").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(3));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_closed(&mut silent));
    assert!(begun.elapsed() < Duration::from_secs(3));
    // What is no TLS at all is not even waited for.
    let mut plain = served.socket();
    plain.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_closed(&mut plain));
    served.end();
}

#[test]
fn a_head_too_large_is_refused_under_tls_too() {
    for under in [Under::Plain, Under::Tls] {
        let served = serve_quickly(under);
        let mut socket = served.connect();
        let request = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
        let _ = socket.write_all(request.as_bytes());
        let mut answer = Vec::new();
        // Closed while there was more to send, which may overtake the answer.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
        served.end();
    }
}

#[test]
fn a_reader_that_makes_no_room_ends_its_connection() {
    for under in [Under::Plain, Under::Tls] {
        let served = serve_quickly(under);
        let mut lazy = served.connect();
        // Answers that nobody reads fill the sockets, then questions do, until the server gives up.
        let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1000);
        let begun = Instant::now();
        let ended = loop {
            if let Err(error) = lazy.write_all(requests.as_bytes()) {
                break error.kind();
            }
        };
        assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended}");
        assert!(begun.elapsed() < Duration::from_secs(9));
        served.end();
    }
}

#[test]
fn a_newcomer_beyond_every_place_takes_the_oldest() {
    for under in [Under::Plain, Under::Tls] {
        let served = serve_quickly(under);
        let ask = |socket: &mut Box<dyn Wire>| {
            socket.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
            let mut first = [0; 12];
            socket.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
        };
        let mut sockets: Vec<Box<dyn Wire>> = Vec::new();
        for _ in 0..QUICK.open_max + 1 {
            let mut socket = served.connect();
            ask(&mut socket);
            sockets.push(socket);
        }
        let begun = Instant::now();
        assert!(is_closed(&mut sockets[0]));
        assert!(begun.elapsed() < QUICK.head_time_max / 2, "closed by the newcomer, not by time");
        served.end();
    }
}
