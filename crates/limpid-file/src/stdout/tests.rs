//! Tests of the stream sink, on streams of our own.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use limpid_model::{FaultCode, FaultKind};

use super::*;
use crate::sample::batch;

/// A stream that breaks after so many bytes.
struct Breaking {
    taken: Arc<Mutex<Vec<u8>>>,
    room: usize,
    how: ErrorKind,
}

impl Write for Breaking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room);
        if len == 0 {
            return Err(self.how.into());
        }
        self.room -= len;
        self.taken.lock().unwrap().extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sink(room: usize, how: ErrorKind) -> (StdoutSink<Breaking>, Arc<Mutex<Vec<u8>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    (StdoutSink::to(Breaking { taken: Arc::clone(&taken), room, how }, Clock::manual()), taken)
}

#[test]
fn a_batch_is_durable_once_the_stream_has_taken_it() {
    let (mut sink, taken) = sink(usize::MAX, ErrorKind::BrokenPipe);
    sink.open().unwrap();
    assert!(matches!(sink.write(batch(0, 3)), Ok(Accepted::Taken)));
    assert_eq!(taken.lock().unwrap().iter().filter(|byte| **byte == b'\n').count(), 3);
    assert!(sink.held_bytes().0 > 0);
    let mut events = Vec::new();
    sink.poll(Duration::ZERO, &mut events).unwrap();
    let [SinkEvent::Durable { delivered, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(delivered.iter().map(|delivered| delivered.records).sum::<u32>(), 3);
    assert_eq!(sink.held_bytes().0, 0);
}

fn check(how: ErrorKind, code: FaultCode, kind: FaultKind) {
    let (mut sink, _) = sink(10, how);
    sink.open().unwrap();
    let fault = sink.write(batch(0, 3)).unwrap_err();
    assert_eq!((fault.code(), fault.kind(), fault.object()), (code, kind, Some("stdout")));
    let mut events = Vec::new();
    sink.poll(Duration::ZERO, &mut events).unwrap();
    assert!(events.is_empty(), "a batch that failed is not reported");
}

#[test]
fn a_reader_that_went_away_is_no_success() {
    check(ErrorKind::BrokenPipe, FaultCode::SinkWriteFailed, FaultKind::Definite);
}

#[test]
fn a_full_disk_behind_the_stream_halts_since_half_a_line_cannot_be_taken_back() {
    check(ErrorKind::StorageFull, FaultCode::SinkWriteFailed, FaultKind::Definite);
}
