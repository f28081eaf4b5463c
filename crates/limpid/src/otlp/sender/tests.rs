//! Collectors that are slow, silent, or refuse a part.
//!
//! Owns: the end of the process while one is under way, what is counted of an answer. Does not own: real collectors (end to end).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender as Out, channel};

use limpid_config::{OtlpProtocol, Secret};

use super::*;
use crate::otlp::Signal;

/// For what a test waits for, which does not come only where it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Things that never run out, or so many.
struct Many {
    destination: Destination,
    left: Arc<AtomicUsize>,
    told: Out<Told>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Taken(usize, bool),
    Refused(String, bool),
    Dropped(&'static str, usize),
}

impl Many {
    fn new(url: &str, count: usize, told: Out<Told>) -> Self {
        let otlp = Secret::new(url.to_owned());
        let destination = Destination::of(Signal::Logs, Some(&otlp), Some(OtlpProtocol::Http)).unwrap().unwrap();
        Self { destination, left: Arc::new(AtomicUsize::new(count)), told }
    }
}

impl Outgoing for Many {
    type One = ();

    const THREAD: &'static str = "many";

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn count_max(&self) -> usize {
        10
    }

    fn take(&self, count_max: usize) -> Vec<()> {
        let left = self.left.load(Ordering::Relaxed);
        if left == usize::MAX {
            return vec![(); count_max.min(100)];
        }
        self.left.store(left - left.min(count_max), Ordering::Relaxed);
        vec![(); left.min(count_max)]
    }

    fn messages(&self, _: &SentBy, some: &[()]) -> Vec<OtlpMessage> {
        vec![OtlpMessage { bytes: vec![b'x'; some.len()], ends: some.len() }]
    }

    fn taken(&self, count: usize, is_again: bool) {
        let _ = self.told.send(Told::Taken(count, is_again));
    }

    fn refused(&self, not: NotTaken, is_first: bool) {
        let fault = not.fault(limpid_model::FaultCode::LogSendFailed);
        let _ = self.told.send(Told::Refused(fault.to_string(), is_first));
    }

    fn dropped(&self, why: Dropped, count: usize) {
        let _ = self.told.send(Told::Dropped(why.word(), count));
    }
}

/// A collector that does this with each connection, one after another, on a thread that ends with the test's process.
fn collector(mut each: impl FnMut(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(crate::run::spawn("collector", move || listener.incoming().for_each(|socket| each(socket.unwrap()))));
    url
}

/// Reads a request of which the message is all `x`, to its last byte.
fn read(socket: &mut TcpStream) {
    let mut piece = [0; 4096];
    while let Ok(count) = socket.read(&mut piece)
        && count > 0
        && piece[count - 1] != b'x'
    {}
}

fn answer(mut socket: TcpStream, body: &[u8]) {
    read(&mut socket);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = socket.write_all(&[head.as_bytes(), body].concat());
}

#[test]
fn a_collector_that_takes_everything_does_not_keep_the_process() {
    let (told, hears) = channel();
    let url = collector(|socket| answer(socket, b""));
    let crew = Crew::new();
    start(vec![Many::new(&url, usize::MAX, told)], "i", &Clock::system(), &crew).unwrap();
    // Under way, and there is always more.
    assert_eq!(hears.recv_timeout(PATIENCE), Ok(Told::Taken(10, false)));
    assert!(crew.finish(PATIENCE), "it goes on sending");
    assert!(hears.iter().any(|told| matches!(told, Told::Dropped("stopped", 1..))), "what is not sent is counted");
}

#[test]
fn a_collector_that_never_answers_is_left_behind() {
    let (told, hears) = channel();
    let (accepted, under_way) = channel();
    let url = collector(move |socket| drop(accepted.send(socket)));
    let crew = Crew::new();
    start(vec![Many::new(&url, 5, told)], "i", &Clock::system(), &crew).unwrap();
    let socket = under_way.recv_timeout(PATIENCE).unwrap();
    assert!(!crew.finish(Duration::from_millis(10)), "a call is under way");
    // Were it not left, it would be tried once more.
    drop(socket);
    assert!(matches!(hears.recv_timeout(PATIENCE), Ok(Told::Refused(_, true))));
    drop(under_way.recv_timeout(PATIENCE).unwrap());
    assert!(matches!(hears.recv_timeout(PATIENCE), Ok(Told::Refused(_, false))));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok(Told::Dropped("stopped", 5)));
}

#[test]
fn what_is_refused_of_a_message_is_counted_and_not_sent_again() {
    let (told, hears) = channel();
    // `rejected_log_records` 3 with 130 bytes of words: no text in any encoding.
    let some = [&b"\x0a\x87\x01\x08\x03\x12\x82\x01"[..], &[b'.'; 130]].concat();
    let mut answers = [some.clone(), some, Vec::new()].into_iter();
    let url = collector(move |socket| answer(socket, &answers.next().unwrap_or_default()));
    let crew = Crew::new();
    start(vec![Many::new(&url, 25, told)], "i", &Clock::system(), &crew).unwrap();
    let heard: Vec<Told> = (0..7).map(|_| hears.recv_timeout(PATIENCE).unwrap()).collect();
    let refused = |is_first| {
        Told::Refused("the collector refuses 3 log records of a message, and takes the others".to_owned(), is_first)
    };
    let expected = [
        Told::Dropped("refused", 3),
        Told::Taken(7, false),
        refused(true),
        Told::Dropped("refused", 3),
        Told::Taken(7, false),
        refused(false),
        Told::Taken(5, true),
    ];
    assert_eq!(heard, expected);
    assert!(crew.finish(PATIENCE));
}
