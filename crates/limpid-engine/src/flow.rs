//! The threads of one attempt: a reader, workers, a delivery, and what runs between them.
//!
//! Owns: the channels, the shared signals, joining. Does not own: what an attempt is for (`pipeline`).
//!
//! Invariant: the first fault wins and stops all; a panic becomes a fault; no thread outlives its attempt.

mod delivery;
mod reader;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::bounded;
use limpid_connector::{
    ChangeStream, Clock, DecodeTally, Encode, EncodeTally, EncodedBatch, Sink, Source, Stop, StreamEvent,
    TransformTally, Transforms,
};
use limpid_model::{Component, Fault, FaultCode, Position, TableName};

use crate::budget::Budget;
use crate::copy::{self, Control, CopierParts, CopyOptions, Copying, Mark, Told};
use crate::ledger::Book;
use crate::observe::Observer;
use crate::parking::Parking;
use crate::saver::Saver;
use crate::stages::{Stages, State};
use crate::standing::Standing;
use crate::watch;

pub(crate) use delivery::Resume;

/// Raw bytes between socket and acknowledgement. With cells and records beside them (about six times as much for
/// Debezium's JSON of small rows) 3 MiB is some 25 MB at most; at 200,000 rows of 180 B a second it is 80 ms of rows,
/// many times a broker's answer.
const FLIGHT_BYTES_MAX: u64 = 3 * 1024 * 1024;

/// Batches that wait between two threads: enough to cover a hiccup, few enough that the byte budget is what counts.
const QUEUE_BATCHES: usize = 16;

/// Makes one encoder for each worker, for rows of the connector named.
pub type EncoderFactory = Arc<dyn Fn(&'static str) -> Box<dyn Encode> + Send + Sync>;

/// A batch on its way from reader to worker, with what happened before it.
pub(crate) struct Raw {
    /// Holds no records yet: cells and records go round together, so that both keep their room.
    encoded: Box<EncodedBatch>,
    events: Vec<StreamEvent>,
    taken: u64,
    /// Set for rows that were read from a table.
    mark: Option<Mark>,
}

/// A batch on its way from worker to delivery.
pub(crate) struct Made {
    encoded: Box<EncodedBatch>,
    events: Vec<StreamEvent>,
    decoded: DecodeTally,
    transformed: TransformTally,
    encoding: EncodeTally,
    taken: u64,
    mark: Option<Mark>,
    /// Rows of each table once they were decoded.
    read: Vec<u32>,
}

/// What the threads of one attempt share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) budget: Budget,
    /// Raised by a fault or at the end of a drain: everyone leaves.
    pub(crate) abort: Stop,
    /// Raised by the operator: the reader leaves, the rest drains.
    pub(crate) stop: Stop,
    pub(crate) observer: Arc<dyn Observer>,
    book: Arc<Book>,
    fault: Mutex<Option<Fault>>,
    /// Tables that delivery halted, for the reader to skip.
    halted: Mutex<Vec<TableName>>,
    any_halted: AtomicBool,
    pub(crate) standing: Arc<Standing>,
    /// What is saved at the sink and in the state, for the reader to hear. Short critical section: a move.
    saved: Mutex<Option<Position>>,
    any_saved: AtomicBool,
    /// Bytes the sink holds, and their bound.
    sink_held: (AtomicU64, AtomicU64),
    /// Batches that wait for a worker and for the delivery, as each side last saw them.
    waiting: (AtomicUsize, AtomicUsize),
    pub(crate) stages: Stages,
    control: Arc<Control>,
    /// What is copied beside the stream; `None` when nothing is.
    pub(crate) copying: Option<Copying>,
    /// The attempt ends once everything is copied.
    ends_when_copied: bool,
    /// Used batches on their way back.
    #[expect(clippy::vec_box, reason = "batches travel boxed; unboxing would move half a kilobyte each way")]
    spare: Mutex<Vec<Box<EncodedBatch>>>,
}

impl Shared {
    pub(crate) fn fail(&self, fault: Fault) {
        self.keep(fault);
        self.abort.raise();
    }

    /// The attempt ends with this fault, but what was read before it is delivered first.
    fn keep(&self, fault: Fault) {
        self.fault.lock().expect("never held across a panic").get_or_insert(fault);
    }

    fn halt(&self, table: TableName) {
        self.halted.lock().expect("never held across a panic").push(table);
        self.any_halted.store(true, Ordering::Release);
    }

    /// A position is saved at the sink and in the state.
    pub(crate) fn tell_saved(&self, position: Position) {
        self.standing.saved(&position);
        *self.saved.lock().expect("never held across a panic") = Some(position);
        self.any_saved.store(true, Ordering::Release);
    }

    /// The position saved last, if one was since the last call.
    fn newly_saved(&self) -> Option<Position> {
        if !self.any_saved.load(Ordering::Relaxed) || !self.any_saved.swap(false, Ordering::Acquire) {
            return None;
        }
        self.saved.lock().expect("never held across a panic").take()
    }

    /// Bytes the sink holds and has not acknowledged, and their bound.
    pub(crate) fn sink_held(&self) -> (u64, u64) {
        (self.sink_held.0.load(Ordering::Relaxed), self.sink_held.1.load(Ordering::Relaxed))
    }

    fn hold(&self, (bytes, max): (u64, u64)) {
        let is_out = bytes > 0;
        if is_out != (self.sink_held.0.load(Ordering::Relaxed) > 0) {
            self.stages.output.enter(if is_out { State::Busy } else { State::Idle }, self.clock.nanos());
        }
        self.sink_held.0.store(bytes, Ordering::Relaxed);
        self.sink_held.1.store(max, Ordering::Relaxed);
    }

    /// Batches that wait for a worker, and for the delivery.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.waiting.0.load(Ordering::Relaxed), self.waiting.1.load(Ordering::Relaxed))
    }

    /// Tables halted since the last call.
    fn newly_halted(&self) -> Vec<TableName> {
        if !self.any_halted.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.halted.lock().expect("never held across a panic"))
    }

    /// An empty batch, reused where one is there.
    fn take_spare(&self) -> Box<EncodedBatch> {
        self.spare.lock().expect("never held across a panic").pop().unwrap_or_default()
    }

    /// Gives a used batch and its bytes back.
    fn recycle(&self, mut batch: Box<EncodedBatch>, taken: u64) {
        batch.clear();
        self.budget.give(taken);
        // A batch that grew beyond the usual gives its memory back to the system, not to the next batch.
        if batch.batch.heap_bytes() + batch.bytes.capacity() <= SPARE_BYTES_MAX {
            let mut spare = self.spare.lock().expect("never held across a panic");
            if spare.len() < SPARE_BATCHES_MAX {
                spare.push(batch);
            }
        }
    }
}

/// A recycled batch keeps at most this much room; a usual one has 1 to 2 MiB.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Spare batches kept: as many as are usually in flight at once on a fast path.
const SPARE_BATCHES_MAX: usize = 8;

/// Everything one attempt runs with.
pub(crate) struct Attempt<'a> {
    pub(crate) stream: Box<dyn ChangeStream>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) sink: &'a mut dyn Sink,
    pub(crate) transforms: Option<Arc<dyn Transforms>>,
    pub(crate) encoders: Option<EncoderFactory>,
    pub(crate) saver: &'a mut Saver,
    pub(crate) parking: Parking,
    pub(crate) workers: usize,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) resume: Option<Resume>,
    pub(crate) halted: Vec<TableName>,
    pub(crate) drain_max: Duration,
    /// What is copied beside the stream, and from whom.
    pub(crate) copy: Option<CopyOptions>,
    pub(crate) copy_control: Arc<Control>,
    pub(crate) source: &'a dyn Source,
    pub(crate) ends_when_copied: bool,
}

/// How an attempt ended without a fault.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// The operator's stop: drained.
    Stopped,
    /// The end that was asked for.
    Reached,
    /// The tables are copied; the end that was asked for is looked for from here on.
    Copied,
    /// An operator wants the stream to go on elsewhere: drained.
    Moving,
}

/// What the threads share, and how many of them copy tables.
fn share(attempt: &Attempt<'_>) -> Result<(Arc<Shared>, usize), Fault> {
    let abort = Stop::new();
    let copy = attempt.copy.clone().map(|options| {
        let (record, observer) = (attempt.saver.record(), Arc::clone(&attempt.observer));
        let told = Told { epoch: record.epoch.0, system: attempt.stream.connector() };
        let copiers = options.parallel.max(1);
        let control = Arc::clone(&attempt.copy_control);
        Copying::resume(options, control, (&record.cursors, told), &attempt.halted, &attempt.stop, &abort, observer)
            .map(|copying| (copying, copiers))
    });
    let (copying, copiers) = copy.transpose()?.map_or((None, 0), |(copying, copiers)| (Some(copying), copiers));
    let shared = Shared {
        stages: Stages::new(attempt.workers.max(1), attempt.clock.nanos()),
        clock: attempt.clock.clone(),
        budget: Budget::new(FLIGHT_BYTES_MAX),
        control: Arc::clone(&attempt.copy_control),
        copying,
        ends_when_copied: attempt.ends_when_copied,
        abort,
        stop: attempt.stop.clone(),
        observer: Arc::clone(&attempt.observer),
        book: Arc::clone(attempt.saver.book()),
        fault: Mutex::new(None),
        halted: Mutex::new(attempt.halted.clone()),
        any_halted: AtomicBool::new(!attempt.halted.is_empty()),
        standing: Arc::clone(&attempt.standing),
        saved: Mutex::new(None),
        any_saved: AtomicBool::new(false),
        sink_held: (AtomicU64::new(0), AtomicU64::new(0)),
        waiting: (AtomicUsize::new(0), AtomicUsize::new(0)),
        spare: Mutex::new(Vec::new()),
    };
    Ok((Arc::new(shared), copiers))
}

/// Runs the threads until the stream ends, the stop is raised or something fails.
pub(crate) fn run(attempt: Attempt<'_>) -> Result<Ended, Fault> {
    let (shared, copiers) = share(&attempt)?;
    let (raw_out, raw_in) = bounded::<Raw>(QUEUE_BATCHES);
    let (made_out, made_in) = bounded::<Made>(QUEUE_BATCHES);
    let opened_at: Position = attempt.stream.opened_at();
    let decoder = attempt.stream.decoder();
    let connector = attempt.stream.connector();
    let stream = attempt.stream;
    std::thread::scope(|scope| {
        let shared_reader = Arc::clone(&shared);
        let reader = scope.spawn(move || {
            guarded(&shared_reader, Component::Input, || {
                // The source failed, the sink did not.
                Ok(reader::run(stream, &raw_out, &shared_reader).map_err(|fault| shared_reader.keep(fault)).ok())
            })
        });
        for number in 0..attempt.workers.max(1) {
            let shared = Arc::clone(&shared);
            let (raw_in, made_out) = (raw_in.clone(), made_out.clone());
            let (decoder, encoders) = (Arc::clone(&decoder), attempt.encoders.clone());
            let transforms = attempt.transforms.clone();
            scope.spawn(move || {
                guarded(&shared, Component::Filter, || {
                    let transform = transforms.map(|transforms| transforms.worker());
                    let encoder = encoders.map(|make| make(connector));
                    worker::run((&raw_in, &made_out), number, &*decoder, transform, encoder, &shared)
                })
            });
        }
        for _ in 0..copiers {
            let (shared, source) = (Arc::clone(&shared), attempt.source);
            scope.spawn(move || {
                guarded(&shared, Component::Input, || match &shared.copying {
                    Some(copying) => copy::run_copier(&CopierParts { source, clock: &shared.clock, copying }),
                    None => Ok(()),
                })
            });
        }
        let watcher = Arc::clone(&shared);
        scope.spawn(move || {
            guarded(&watcher, Component::Input, || {
                watch::fill(&watcher);
                Ok(())
            })
        });
        // Only the threads hold the ends now, so that each channel closes when its senders are gone.
        drop((raw_in, made_out));
        let delivery = delivery::Delivery::new(
            attempt.sink,
            (attempt.saver, attempt.parking),
            &shared,
            attempt.resume,
            opened_at,
            attempt.halted,
            attempt.drain_max,
        );
        guarded(&shared, Component::Output, || delivery.run(&made_in));
        shared.abort.raise();
        drop(made_in);
        let ended = reader.join().ok().flatten().flatten().unwrap_or(Ended::Stopped);
        match shared.fault.lock().expect("never held across a panic").take() {
            Some(fault) => Err(fault),
            None => Ok(ended),
        }
    })
}

/// Runs a thread's work; a panic and an error both become the attempt's fault.
fn guarded<T>(shared: &Shared, component: Component, work: impl FnOnce() -> Result<T, Fault>) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Some(value),
        Ok(Err(fault)) => {
            shared.fail(fault);
            None
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let fault = Fault::new(FaultCode::PipelinePanicked, component, "an invariant of our own broke");
            shared.fail(fault.because(text.to_owned()));
            None
        }
    }
}
