//! Copies whole tables beside the stream.
//!
//! Owns: what copiers, the reader and the delivery of one attempt share: the plan, chunks that wait for their fence, the
//! stand-still for tables without a key. Does not own: reading tables (the source's `TableReader`), the stream.
//!
//! Invariant: a chunk enters the stream's order behind its fence and leaves it without the keys that the stream touched
//! since before it was read; so what arrives last for a key is always its latest state.

mod control;
mod copier;
mod courtesy;
mod pace;
mod plan;
mod told;
mod touched;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use limpid_codec::cursor;
use limpid_connector::{Admission, ChangeStream, Chunk, EncodedBatch, Stop};
use limpid_model::{Batch, Component, Fault, FaultCode, Position, TableName};

use crate::failpoint::{Point, pass};
use crate::observe::Observer;
pub(crate) use control::Control;
pub use control::CopyRequest;
pub(crate) use copier::{CopierParts, run as run_copier};
pub use courtesy::CopyCost;
use courtesy::Courtesy;
use pace::Pace;
pub use pace::Throttle;
pub use plan::TableProgress;
use plan::{ChunkId, Plan};
pub(crate) use told::Told;
use touched::{Touched, WindowId};

/// Whether tables are copied before they are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    Never,
    /// At the first start.
    Initial,
    /// At the first start; then the pipeline ends.
    Only,
    /// At the first start, and when the source no longer has the log at the position.
    WhenNeeded,
}

/// How tables are copied.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub mode: CopyMode,
    /// Connections that read tables.
    pub parallel: usize,
    /// Rows of one chunk at most.
    pub chunk_rows: u32,
    /// Conditions by table, as `schema.table`.
    pub predicates: HashMap<String, String>,
    pub throttle: Throttle,
}

impl CopyOptions {
    /// No table is copied.
    pub fn never() -> Self {
        Self {
            mode: CopyMode::Never,
            parallel: 1,
            chunk_rows: CHUNK_ROWS,
            predicates: HashMap::new(),
            throttle: Throttle::default(),
        }
    }
}

/// Rows of a chunk where nothing else is said: a few milliseconds of reading, so that few of its keys change meanwhile.
pub const CHUNK_ROWS: u32 = 8192;

/// Bytes of a chunk, as the source sends them, and of a piece of a table without a key. With cells beside them some
/// 3 MiB; one chunk for each copier waits at most, and one is in its hand.
const CHUNK_BYTES: u64 = 1 << 20;

/// How long a wait lasts before it looks whether everybody leaves.
const LOOK_UP: Duration = Duration::from_millis(50);

/// What a batch of a chunk carries on its way to the sink.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A batch of a chunk by key; `ends`: the chunk's last.
    Chunk { id: ChunkId, window: WindowId, ends: bool },
    /// A piece of a table without a key.
    Piece,
    /// Behind its last piece.
    Whole { id: ChunkId, rows: u64 },
}

impl Mark {
    /// True for the last batch of what it belongs to: from there on the cursors say something else.
    pub(crate) fn ends(&self) -> bool {
        match self {
            Mark::Chunk { ends, .. } => *ends,
            Mark::Piece => false,
            Mark::Whole { .. } => true,
        }
    }
}

/// Something for the reader to put into the stream's order.
pub(crate) enum Offer {
    Chunk {
        chunk: Chunk,
        id: ChunkId,
        window: WindowId,
    },
    Piece {
        chunk: Chunk,
    },
    WholeEnd {
        id: ChunkId,
        rows: u64,
    },
    /// In the place of further pieces: the table could not be read to its end.
    LetGo,
}

/// Where the stand-still is.
#[derive(Clone, Debug, Default)]
enum Standing {
    #[default]
    No,
    /// A copier wants the stream to stand.
    Asked,
    /// The reader reads no further.
    Stands,
    /// The stream may go on up to the fence.
    UpTo(Position),
}

/// A remaining time beyond this is no more than "long": ten years.
const ETA_SECONDS_MAX: f64 = 315_360_000.0;

/// How far a copy is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CopyProgress {
    pub tables: Vec<TableProgress>,
    /// Done of all, 0 to 1, weighed by the tables' estimated sizes; 1 where nothing is to be copied.
    pub ratio: f64,
    pub remaining: Option<Duration>,
    /// What it costs the source; `None` while nobody reads.
    pub cost: Option<CopyCost>,
}

/// An empty table counts a little, so that one table of many has a part in the whole.
fn weighed(tables: &[TableProgress]) -> f64 {
    let weight = |table: &TableProgress| table.bytes_estimated.max(1) as f64;
    let (mut all, mut done) = (0.0, 0.0);
    for table in tables {
        all += weight(table);
        done += weight(table) * table.ratio;
    }
    if all > 0.0 { done / all } else { 1.0 }
}

/// Shared by the threads of one attempt.
pub(crate) struct Copying {
    options: CopyOptions,
    /// No table was copied or begun before.
    fresh: bool,
    control: Arc<Control>,
    plan: Mutex<Plan>,
    changed: Condvar,
    offers: Mutex<VecDeque<Offer>>,
    offered: AtomicUsize,
    /// A copier has something to read.
    busy: AtomicBool,
    pub(crate) touched: Touched,
    standing: Mutex<Standing>,
    stood: Condvar,
    stand: AtomicBool,
    /// A piece of the table that is read whole was refused: what follows of it is of no use.
    whole_failed: AtomicBool,
    pace: Mutex<Pace>,
    courtesy: Mutex<Courtesy>,
    /// When its progress was first looked at, and how far it was.
    begun: Mutex<Option<(u64, f64)>>,
    /// Both raised by the attempt.
    stop: Stop,
    abort: Stop,
    observer: Arc<dyn Observer>,
    told: Told,
}

/// A batch of a chunk, ready to take its place behind the stream.
pub(crate) struct Passing {
    pub(crate) batch: Batch,
    pub(crate) mark: Mark,
}

impl Copying {
    /// Goes on from the cursors of the position record.
    ///
    /// # Errors
    /// `POSITION_INVALID`: a later release wrote them, or they are damaged.
    pub(crate) fn resume(
        options: CopyOptions,
        control: Arc<Control>,
        (cursors, told): (&[String], Told),
        halted: &[TableName],
        stop: &Stop,
        abort: &Stop,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Fault> {
        let mut saved = cursor::decode(cursors).map_err(|number| {
            let text = format!("cursor {number} of the position record cannot be read");
            Fault::new(FaultCode::PositionInvalid, Component::State, text)
        })?;
        if options.mode == CopyMode::Never {
            // What was begun under another mode ends here; what an operator asked for does not.
            saved.all = false;
            saved.tables.retain(|table| table.asked.is_some());
        }
        let pace = Pace::new(options.throttle);
        let courtesy = Courtesy::new(options.throttle.slowdown_percent);
        let fresh = saved.tables.is_empty();
        let mut plan = Plan::resume(saved);
        halted.iter().for_each(|table| plan.exclude(table));
        Ok(Self {
            fresh,
            plan: Mutex::new(plan),
            changed: Condvar::new(),
            offers: Mutex::new(VecDeque::new()),
            offered: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            touched: Touched::default(),
            standing: Mutex::new(Standing::No),
            stood: Condvar::new(),
            stand: AtomicBool::new(false),
            whole_failed: AtomicBool::new(false),
            pace: Mutex::new(pace),
            courtesy: Mutex::new(courtesy),
            begun: Mutex::new(None),
            stop: stop.clone(),
            abort: abort.clone(),
            observer,
            told,
            options,
            control,
        })
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("never held across a panic")
    }

    fn courtesy(&self) -> MutexGuard<'_, Courtesy> {
        self.courtesy.lock().expect("never held across a panic")
    }

    fn leaves(&self) -> bool {
        self.stop.is_raised() || self.abort.is_raised()
    }

    /// True once every table is copied and handed to the sink.
    pub(crate) fn is_finished(&self) -> bool {
        self.plan().is_finished()
    }

    /// For the delivery: takes what operators asked for into the plan; true when that changed the cursors.
    pub(crate) fn take_requests(&self) -> bool {
        let requests = self.control.take();
        if requests.is_empty() {
            return false;
        }
        let mut plan = self.plan();
        for request in &requests {
            match request {
                CopyRequest::Table { table, condition } => plan.ask(table, condition.clone()),
                CopyRequest::Stop => plan.give_up_asked(),
                CopyRequest::Pause | CopyRequest::Resume => {}
            }
        }
        drop(plan);
        self.changed.notify_all();
        true
    }

    /// A copy that an operator asked for cannot be made; the pipeline goes on.
    fn failed(&self, table: &TableName, fault: &Fault) {
        self.observer.copy_failed(table, fault);
        self.plan().failed(table);
        self.changed.notify_all();
    }

    /// What a restart needs to go on behind what was handed to the sink so far.
    pub(crate) fn cursors(&self) -> Arc<Vec<String>> {
        Arc::new(self.plan().cursors())
    }

    /// How far it is, and when it will be done if it goes on as since the attempt began.
    pub(crate) fn progress(&self, now_nanos: u64) -> CopyProgress {
        let tables = self.plan().progress();
        let ratio = weighed(&tables);
        let mut begun = self.begun.lock().expect("never held across a panic");
        let (since, from) = *begun.get_or_insert((now_nanos, ratio));
        let done = ratio - from;
        let remaining = (done > 0.0 && ratio < 1.0).then(|| {
            let elapsed = now_nanos.saturating_sub(since) as f64 / 1e9;
            Duration::from_secs_f64((elapsed * (1.0 - ratio) / done).min(ETA_SECONDS_MAX))
        });
        let cost = self.is_busy().then(|| self.courtesy().cost());
        CopyProgress { tables, ratio, remaining, cost }
    }

    /// For the reader: a captured table came to be under the stream's eyes, so there is nothing to copy.
    pub(crate) fn created(&self, table: &TableName) {
        self.plan().created(table);
    }

    /// For the reader: the stream saw the table go.
    pub(crate) fn dropped(&self, table: &TableName) {
        self.plan().dropped(table);
    }

    /// For the delivery: the table's rows are delivered no longer.
    pub(crate) fn halted(&self, table: &TableName) {
        self.plan().exclude(table);
        self.changed.notify_all();
    }

    /// True while something waits for the reader, which then must not sleep long.
    #[inline]
    pub(crate) fn waits_for_reader(&self) -> bool {
        self.offered.load(Ordering::Acquire) > 0 || self.stand.load(Ordering::Acquire)
    }

    /// True while tables are read: a chunk may come at any moment, and must not wait for the stream to say something.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// For the reader: the next chunk that may pass behind what the stream has yielded.
    pub(crate) fn admit(&self, stream: &mut dyn ChangeStream) -> Vec<Passing> {
        let mut passing = Vec::new();
        let mut offers = self.offers.lock().expect("never held across a panic");
        let before = offers.len();
        let mut kept = VecDeque::with_capacity(before);
        while let Some(offer) = offers.pop_front() {
            match offer {
                Offer::Chunk { mut chunk, id, window } => match stream.admit(&mut chunk) {
                    Admission::NotYet => kept.push_back(Offer::Chunk { chunk, id, window }),
                    Admission::Stale(why) => {
                        self.touched.close(window);
                        self.observer.chunk_stale(&chunk.table, why);
                        self.plan().redo(&id);
                    }
                    Admission::Admitted => {
                        pass(Point::AfterAdmission);
                        self.plan().admitted(&id, chunk.range, chunk.rest);
                        pass_chunk(chunk.batches, &id, window, &mut passing);
                    }
                },
                Offer::Piece { .. } if self.whole_failed.load(Ordering::Relaxed) => {}
                Offer::Piece { mut chunk } => match stream.admit(&mut chunk) {
                    Admission::NotYet => {
                        // Its later pieces come behind it.
                        kept.push_back(Offer::Piece { chunk });
                        kept.append(&mut offers);
                    }
                    Admission::Stale(why) => {
                        self.whole_failed.store(true, Ordering::Relaxed);
                        self.observer.chunk_stale(&chunk.table, why);
                    }
                    Admission::Admitted => {
                        passing.extend(chunk.batches.into_iter().map(|batch| Passing { batch, mark: Mark::Piece }));
                    }
                },
                Offer::WholeEnd { id, rows } => {
                    if self.go_on(stream) {
                        passing.push(Passing { batch: Batch::default(), mark: Mark::Whole { id, rows } });
                    } else {
                        self.plan().redo_whole(&id);
                    }
                }
                Offer::LetGo => {
                    self.go_on(stream);
                }
            }
        }
        *offers = kept;
        let has_changed = offers.len() < before;
        self.offered.store(offers.len(), Ordering::Release);
        drop(offers);
        if has_changed {
            // Whoever has looked and found no room is waiting by now.
            drop(self.plan());
            self.changed.notify_all();
        }
        passing
    }

    /// For the reader: stands still if a copier asks for it, until told how far to go on. False: everybody leaves.
    pub(crate) fn stand_if_asked(&self, stream: &mut dyn ChangeStream) -> bool {
        if !self.stand.load(Ordering::Acquire) {
            return true;
        }
        let mut standing = self.standing.lock().expect("never held across a panic");
        loop {
            match &*standing {
                Standing::Asked => {
                    *standing = Standing::Stands;
                    self.stood.notify_all();
                }
                Standing::Stands if self.leaves() => return false,
                Standing::Stands => {
                    standing = self.stood.wait_timeout(standing, LOOK_UP).expect("never held across a panic").0;
                }
                Standing::UpTo(fence) => {
                    stream.hold_at(Some(fence.clone()));
                    break;
                }
                Standing::No => break,
            }
        }
        // Under the lock: whoever asks next raises it again.
        self.stand.store(false, Ordering::Release);
        true
    }

    /// Lets the stream go on behind a table that was read whole; false where one of its pieces was refused.
    fn go_on(&self, stream: &mut dyn ChangeStream) -> bool {
        *self.standing.lock().expect("never held across a panic") = Standing::No;
        stream.hold_at(None);
        let failed = self.whole_failed.swap(false, Ordering::Relaxed);
        self.plan().stream_released();
        !failed
    }

    /// For the delivery: a batch of a chunk whose turn has come. Drops what must not follow what the stream said.
    ///
    /// Returns how many of its rows the stream has overtaken; `None` where the whole batch is of no use.
    pub(crate) fn deliver(&self, mark: &Mark, encoded: &mut EncodedBatch) -> Option<usize> {
        let mut overtaken = Some(0);
        match mark {
            Mark::Piece => {}
            Mark::Whole { id, rows } => {
                self.plan().whole_delivered(id, *rows);
                self.changed.notify_all();
            }
            Mark::Chunk { id, window, ends } => {
                let rows = encoded.batch.rows.len() as u64;
                match self.touched.drop_touched(*window, encoded) {
                    Ok(dropped) => {
                        overtaken = Some(dropped);
                        self.plan().delivered(id, rows, *ends);
                    }
                    Err(why) => {
                        overtaken = None;
                        encoded.records.clear();
                        if *ends {
                            self.observer.chunk_stale(&id.table, why);
                            self.plan().spoiled(id);
                        }
                    }
                }
                if *ends {
                    self.touched.close(*window);
                    self.changed.notify_all();
                }
            }
        }
        overtaken
    }
}

fn pass_chunk(batches: Vec<Batch>, id: &ChunkId, window: WindowId, passing: &mut Vec<Passing>) {
    // Also a chunk without rows ends its range.
    let batches = if batches.is_empty() { vec![Batch::default()] } else { batches };
    let last = batches.len() - 1;
    passing.extend(
        batches
            .into_iter()
            .enumerate()
            .map(|(index, batch)| Passing { batch, mark: Mark::Chunk { id: id.clone(), window, ends: index == last } }),
    );
}

/// Marks for the tests of others.
#[cfg(test)]
pub(crate) mod tests_ids;
