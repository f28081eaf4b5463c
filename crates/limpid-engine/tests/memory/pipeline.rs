//! A pipeline from a source in memory into a sink of the test's own, on a clock that is turned by hand.
//!
//! Owns: its parts, the thread it runs on. Does not own: the sink.
//!
//! Invariant: nothing here waits for real time but the test's own patience.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use limpid_connector::testkit::{MemoryLog, MemorySource};
use limpid_connector::{Clock, Sink, StartPoint, Stop, Until};
use limpid_engine::{CopyOptions, Handle, Misfit, OnRowError, Outcome, Parts, Unobserved};
use limpid_model::PipelineName;
use limpid_stack::TempDir;
use limpid_state::Store;

/// A pipeline that runs.
pub struct Running {
    handle: Handle,
    outcome: mpsc::Receiver<Outcome>,
    _dir: TempDir,
}

impl Running {
    /// Starts one over a log of these transactions.
    pub fn start(transactions: Vec<Vec<u64>>, sink: Box<dyn Sink>, clock: &Clock) -> Self {
        let dir = TempDir::new("pipeline").unwrap();
        let log: MemoryLog = Arc::new(Mutex::new(transactions));
        let mut parts = Parts {
            name: PipelineName::parse("memory").unwrap(),
            source: Box::new(MemorySource::new(log)),
            sink,
            transforms: None,
            encoders: None,
            store: Arc::new(Store::open(dir.path()).unwrap()),
            observer: Arc::new(Unobserved),
            clock: clock.clone(),
            workers: 1,
            start: StartPoint::Earliest,
            until: Until::Forever,
            copy: CopyOptions::never(),
            until_copied: false,
            selection: 1,
            misfit: Misfit::Refuse,
            on_row_error: OnRowError::HaltTable,
        };
        let handle = Handle::new(Stop::new(), clock.clone());
        let (ended, outcome) = mpsc::channel();
        let inner = handle.clone();
        std::thread::spawn(move || {
            let _ = ended.send(limpid_engine::run(&mut parts, &inner));
        });
        Self { handle, outcome, _dir: dir }
    }

    /// Asks it to stop; what it ends with.
    pub fn stop(self) -> Outcome {
        self.handle.stop();
        self.outcome.recv_timeout(Duration::from_secs(30)).expect("a stop is answered")
    }
}

/// Lets others run until it is so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited for {what}");
        std::thread::yield_now();
    }
}
