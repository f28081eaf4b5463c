//! Limits that would take too long to wait for at their real size.
#![expect(clippy::disallowed_methods, reason = "drives real sockets on the real clock")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use super::*;
use crate::site;

const QUICK: Limits = Limits {
    open_max: 3,
    head_time_max: Duration::from_millis(300),
    stuck_max: Duration::from_millis(300),
    grace: Duration::from_millis(100),
};

struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

fn serve_quickly() -> Served {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            serve(listener, Arc::new(site::tests::site(Vec::new()).0), QUICK, stopped).await;
        });
    });
    Served { address, stop, thread }
}

impl Served {
    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn end(self) {
        self.stop.send(true).unwrap();
        self.thread.join().unwrap();
    }
}

/// True where the other side is gone, with or without what it had sent before.
fn is_closed(socket: &mut TcpStream) -> bool {
    let mut piece = [0; 64 * 1024];
    loop {
        match socket.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_head_that_does_not_come_ends_its_connection() {
    let served = serve_quickly();
    let begun = Instant::now();
    let (mut silent, mut slow) = (served.connect(), served.connect());
    slow.write_all(b"GET /livez HTTP/1.1\r\nX-Slo").unwrap();
    // A byte now and then buys no time.
    let mut dripping = slow.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while dripping.write_all(b"o").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(is_closed(&mut silent) && is_closed(&mut slow));
    assert!(begun.elapsed() < Duration::from_secs(3));
    drip.join().unwrap();
    served.end();
}

#[test]
fn a_reader_that_makes_no_room_ends_its_connection() {
    let served = serve_quickly();
    let mut lazy = served.connect();
    lazy.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // Answers that nobody reads fill the sockets, then questions do, until the server gives up.
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1000);
    let begun = Instant::now();
    let ended = loop {
        if let Err(error) = lazy.write_all(requests.as_bytes()) {
            break error.kind();
        }
    };
    assert!(matches!(ended, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{ended}");
    assert!(begun.elapsed() < Duration::from_secs(9));
    served.end();
}

#[test]
fn a_newcomer_beyond_every_place_takes_the_oldest() {
    let served = serve_quickly();
    let ask = |socket: &mut TcpStream| {
        socket.write_all(b"GET /livez HTTP/1.1\r\n\r\n").unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    };
    let mut sockets: Vec<TcpStream> = Vec::new();
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
