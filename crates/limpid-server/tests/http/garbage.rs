//! Clients that are broken, slow or hostile.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::pipelines::{Desk, Fate, desk};
use crate::wire::{self, connect, exchange, get, read_all};

fn lives(address: SocketAddr) {
    let reply = get(address, "/livez");
    assert_eq!((reply.status, &*reply.body), (200, "ok\n"));
}

/// One server for all generated requests.
fn shared() -> SocketAddr {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| desk(&[("shop", Fate::HaltsTable)])).address()
}

/// Every answer that came is whole, says what was wrong, and none is a failure of ours.
fn answered_or_closed(bytes: &[u8]) {
    let raw = exchange(shared(), bytes);
    for reply in wire::parse(&raw, bytes.starts_with(b"HEAD")) {
        assert!((200..500).contains(&reply.status) || reply.status == 503, "{reply:?} to {bytes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_answered_or_closed(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        answered_or_closed(&bytes);
        lives(shared());
    }

    #[test]
    fn a_nearly_right_request_is_answered_or_closed(
        method in "GET|POST|PUT|get|CONNECT|OPTIONS|TRACE|[A-Z]{1,30}|",
        path in "(/|\\*|http://x|x:1|)(status|metrics|api/v1/pipelines/)?[ -~]{0,40}(\\?pipeline=[ -~]{0,20})?",
        version in "HTTP/1\\.[01]|HTTP/2\\.0|HTTP/0\\.9|[A-Z/0-9.]{0,12}",
        headers in prop::collection::vec("[A-Za-z-]{0,12}:[ -~]{0,40}|Content-Length: [0-9]{1,25}|Transfer-Encoding: [a-z, ]{0,12}|Expect: 100-continue|Accept: [ -~]{0,40}", 0..6),
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = format!("{method} {path} {version}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes();
        bytes.extend(body);
        // An answer to HEAD has a length and no body, which nobody but its asker can know.
        prop_assume!(!bytes.windows(5).any(|five| five == b"HEAD "));
        answered_or_closed(&bytes);
        lives(shared());
    }
}

#[test]
fn paths_that_lead_elsewhere_are_not_found() {
    for path in [
        "/../../etc/passwd",
        "/api/v1/pipelines/../../../etc/passwd",
        "/api/v1/pipelines/..%2f..%2fetc%2fpasswd",
        "/api/v1/pipelines/%2e%2e",
        "/api/v1/pipelines/%00",
        "//etc/passwd",
        "/api/v1/pipelines/shop/",
        "/livez%00",
        "/%6Civez",
    ] {
        let reply = get(shared(), path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.json()["error"]["code"], "HTTP_NOT_FOUND", "{path}");
    }
}

#[test]
fn invalid_utf8_in_a_path_or_a_header_is_refused_or_passed_over() {
    answered_or_closed(b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n");
    let raw = exchange(shared(), b"GET /metrics HTTP/1.1\r\nAccept: \xff\xfe\r\nConnection: close\r\n\r\n");
    assert_eq!(wire::parse(&raw, false)[0].status, 200);
}

#[test]
fn a_huge_head_is_refused() {
    let long = "x".repeat(1_000_000);
    for request in [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100_000)),
        long.clone(),
    ] {
        let raw = exchange(shared(), request.as_bytes());
        // Refused with an answer, or closed while there was more to send, which may overtake the answer.
        for reply in wire::parse(&raw, false) {
            assert!(matches!(reply.status, 400 | 414 | 431), "{reply:?}");
        }
    }
    lives(shared());
}

#[test]
fn a_body_is_not_waited_for() {
    let begun = Instant::now();
    let mut socket = connect(shared());
    socket.write_all(b"POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{").unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 405");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(socket);
    lives(shared());
}

#[test]
fn a_thousand_requests_at_once_on_one_connection_are_answered_in_order() {
    let mut requests = String::new();
    for number in 0..999 {
        requests.push_str(&format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    requests.push_str("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut socket = connect(shared());
    let mut reader = socket.try_clone().unwrap();
    let read = std::thread::spawn(move || read_all(&mut reader));
    socket.write_all(requests.as_bytes()).unwrap();
    let replies = wire::parse(&read.join().unwrap(), false);
    assert_eq!(replies.len(), 1000);
    for (number, reply) in replies[..999].iter().enumerate() {
        assert_eq!(reply.json()["error"]["message"], format!("there is nothing at /{number}"));
    }
    assert_eq!(replies[999].body, "ok\n");
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let desk = desk(&[("shop", Fate::Runs)]);
    // A few: what each has asked for is work that is done before whatever comes behind.
    let mut lazy: Vec<_> = (0..4).map(|_| connect(desk.address())).collect();
    for socket in &mut lazy {
        let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400);
        // As much as there is room for: from some point on the server stops reading.
        socket.set_nonblocking(true).unwrap();
        let _ = socket.write(requests.as_bytes());
    }
    let begun = Instant::now();
    lives(desk.address());
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    assert!(desk.end() < Duration::from_secs(1));
    drop(lazy);
}

#[test]
fn slow_and_silent_clients_beyond_every_place_lock_nobody_out() {
    let desk = desk(&[]);
    let mut slow: Vec<_> = (0..400).map(|_| connect(desk.address())).collect();
    for (number, socket) in slow.iter_mut().enumerate() {
        // Some half-open, some with half a head. The oldest may have been closed to make room.
        if number % 2 == 0 {
            let _ = socket.write_all(b"GET /livez HTTP/1.1\r\nX-Slo");
        }
    }
    let begun = Instant::now();
    lives(desk.address());
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    // The first ones were closed, the last ones still have their place.
    assert_eq!(slow[0].read(&mut [0; 1]).unwrap_or(0), 0);
    let last = slow.last_mut().unwrap();
    last.write_all(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(wire::parse(&read_all(last), false)[0].body, "ok\n");
    assert!(desk.end() < Duration::from_secs(1));
}
