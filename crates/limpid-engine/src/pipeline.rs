//! One pipeline from its start to its end: attempts, pauses between them, and when to give up.
//!
//! Owns: the start position, restarts, the phase others see. Does not own: threads of an attempt (`flow`).
//!
//! Invariant: the only loop that tries again; everything below it reports and leaves. A definite fault is never
//! retried.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use limpid_codec::cursor::{self, Cursors};
use limpid_connector::{
    ChangeStream, Clock, Head, Keeping, Saved, Sink, Source, StartPoint, StreamEvent, Transforms, Until,
};
use limpid_model::{Component, Fault, FaultCode, PipelineName, Position, Response, TableName};
use limpid_state::Store;

use crate::backoff::Backoff;
use crate::commit::{self, Asked, Life};
use crate::copy::{CopyMode, CopyOptions};
use crate::flow::{self, Attempt, EncoderFactory, Ended, Resume};
use crate::ledger::{Book, Keeper};
use crate::observe::{Boarded, Observer};
use crate::parking::{OnRowError, Parking};
use crate::saver::Saver;
use crate::standing::Standing;
use crate::status::{Handle, Phase};
use crate::{heartbeat, watch};

/// SIGTERM is answered within 25 s; the rest is for joining threads and closing.
pub const DRAIN_MAX: Duration = Duration::from_secs(24);

/// What a pipeline is made of.
pub struct Parts {
    pub name: PipelineName,
    pub source: Box<dyn Source>,
    pub sink: Box<dyn Sink>,
    /// What happens to rows between decoding and encoding; `None` for nothing.
    pub transforms: Option<Arc<dyn Transforms>>,
    pub encoders: Option<EncoderFactory>,
    pub store: Arc<Store>,
    pub observer: Arc<dyn Observer>,
    pub clock: Clock,
    pub workers: usize,
    /// Where to begin when nothing is stored.
    pub start: StartPoint,
    pub until: Until,
    /// Whether and how tables are copied.
    pub copy: CopyOptions,
    /// The end that was asked for is that of the copy.
    pub until_copied: bool,
    /// Changes when the captured tables or columns do.
    pub selection: u64,
    pub misfit: Misfit,
    pub on_row_error: OnRowError,
}

/// What is done about a state that does not fit the sink's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The pipeline halts, and a running instance goes on undisturbed.
    Refuse,
    /// The state is taken as it is, knowingly.
    Accept,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Outcome {
    /// Stopped and drained.
    Stopped,
    /// The end that was asked for was reached and is durable.
    Reached,
    /// A fault that trying again cannot mend.
    Halted(Fault),
}

/// Runs a pipeline to its end on the calling thread. One that has halted may be run again.
pub fn run(parts: &mut Parts, handle: &Handle) -> Outcome {
    handle.board().phase(Phase::Starting);
    // What was wished of an earlier life is done by this one.
    handle.copy_control().take_again();
    let inner = Arc::clone(&parts.observer);
    parts.observer = Arc::new(Boarded { board: Arc::clone(handle.board()), inner: Arc::clone(&inner) });
    handle.asks().begin(&parts.store, &parts.name, parts.clock.wall_micros());
    // Two runs that begin in one microsecond are two machines', which have pipelines of their own names.
    let standing = Arc::new(Standing::new(parts.clock.wall_micros() as u64));
    let outcome = std::thread::scope(|scope| {
        let (observer, clock) = (Arc::clone(&parts.observer), parts.clock.clone());
        let watched = Arc::clone(&standing);
        // Should it break, the verdict is that nobody sees the head, which is true.
        let look = move || watch::head(&watched, handle, &*observer, &clock);
        scope.spawn(move || catch_unwind(AssertUnwindSafe(look)));
        let (observer, clock) = (Arc::clone(&parts.observer), parts.clock.clone());
        let watched = Arc::clone(&standing);
        // Without it no heartbeat comes any more, which is told by their age.
        let beat = move || heartbeat::run(&watched, handle, &*observer, &clock);
        scope.spawn(move || catch_unwind(AssertUnwindSafe(beat)));
        let _ends = EndsWith(&standing);
        supervise(parts, handle, &standing)
    });
    parts.observer = inner;
    handle.board().phase(if matches!(outcome, Outcome::Halted(_)) { Phase::Halted } else { Phase::Done });
    outcome
}

/// The watch ends with the pipeline, however that ends.
struct EndsWith<'a>(&'a Standing);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.ends.raise();
    }
}

fn supervise(parts: &mut Parts, handle: &Handle, standing: &Arc<Standing>) -> Outcome {
    let mut backoff = Backoff::new(parts.clock.wall_micros() as u64);
    let mut begun = None;
    let mut failing_since = None;
    loop {
        let before = begun.as_ref().map(|started: &Started| started.saver.record().delivered.clone());
        let fault = match attempt(parts, handle, standing, &mut begun) {
            Ok(Ended::Stopped) => return Outcome::Stopped,
            Ok(Ended::Reached) => return Outcome::Reached,
            Ok(Ended::Copied) => continue,
            Ok(Ended::Moving) => {
                handle.board().phase(Phase::Starting);
                continue;
            }
            Err(fault) => fault,
        };
        if parts.copy.mode == CopyMode::WhenNeeded
            && matches!(fault.code(), FaultCode::SourceLogPurged | FaultCode::SourceChanged)
            && let Some(started) = begun.as_mut().filter(|started| !started.saver.record().delivered.is_empty())
        {
            // What lies between cannot be had: everything is copied anew from where the log is now.
            let pause = backoff.pause();
            parts.observer.fault(&fault, Some(pause.as_millis() as u64));
            started.forget_position();
            standing.forget();
            if handle.stop_signal().wait(pause) {
                return Outcome::Stopped;
            }
            continue;
        }
        handle.board().phase(Phase::Starting);
        if fault.code() == FaultCode::RecordRefused {
            handle.asks().once_more();
        }
        if handle.stop_signal().is_raised() && fault.code() == FaultCode::DrainTimedOut {
            parts.observer.fault(&fault, None);
            return Outcome::Halted(fault);
        }
        // An attempt that saved something got somewhere: it begins a new series of failures.
        if begun.as_ref().map(|started| started.saver.record().delivered.clone()) != before {
            backoff.reset();
            failing_since = None;
        }
        let now = parts.clock.nanos();
        let since = *failing_since.get_or_insert(now);
        let Response::Retry { window_max } = fault.response() else {
            parts.observer.fault(&fault, None);
            return Outcome::Halted(fault);
        };
        if now - since > window_max.as_nanos() as u64 {
            parts.observer.fault(&fault, None);
            return Outcome::Halted(fault);
        }
        let pause = backoff.pause();
        parts.observer.fault(&fault, Some(pause.as_millis() as u64));
        if handle.stop_signal().wait(pause) {
            return Outcome::Stopped;
        }
    }
}

/// What an attempt goes on from.
struct Started {
    saver: Saver,
    /// The fingerprint under which the rows of a transaction in progress were counted, as far as it is known.
    counted_under: Option<u64>,
    halted: Vec<TableName>,
    /// The copy before the end that was asked for is done.
    copied: bool,
    /// The source has no way on from the position, though state and record still have it.
    is_forgotten: bool,
}

impl Started {
    /// The stream stands at a place that is not where the record left off.
    fn begin_at(
        &mut self,
        position: &Position,
        history: Option<(u32, Vec<u8>)>,
        (copies, is_moved): (bool, bool),
        sink: &mut dyn Sink,
        observer: &dyn Observer,
    ) -> Result<(), Fault> {
        let cursors = match is_moved {
            true => self.saver.record().cursors.clone(),
            false => cursor::encode(&Cursors { all: copies, tables: Vec::new() }),
        };
        let before = self.saver.record().delivered.clone();
        // What the state has is of another reading of the log.
        if is_moved || self.is_forgotten {
            self.saver.begin_anew(position, cursors, history, sink, observer)?;
        } else {
            self.saver.begin_at(position, cursors, history, sink, observer)?;
        }
        (self.counted_under, self.is_forgotten) = (Some(self.saver.selection()), false);
        if is_moved {
            observer.moved(&before, &position.text());
        }
        Ok(())
    }

    fn forget_position(&mut self) {
        self.saver.forget_position();
        (self.counted_under, self.is_forgotten) = (None, true);
    }
}

fn attempt(
    parts: &mut Parts,
    handle: &Handle,
    standing: &Arc<Standing>,
    begun: &mut Option<Started>,
) -> Result<Ended, Fault> {
    let opened = parts.sink.open();
    let endpoint = parts.sink.endpoint();
    parts.observer.health(Component::Output, &endpoint, opened.is_ok(), opened.as_ref().err());
    opened?;
    // Each attempt anew: whether the last commit of a failed one went through, only the sink knows.
    let life = if begun.is_some() { Life::Again } else { Life::First };
    let carried = begun.as_ref().map_or((false, false), |earlier| (earlier.copied, earlier.is_forgotten));
    let started = begun.insert(begin(parts, life, carried, Arc::clone(handle.book()))?);
    let course = Course::of(parts, started, handle.copy_control().target());
    let Some((stream, head)) = open_source(parts, handle, started, &course)? else { return Ok(Ended::Moving) };
    let opened_at = stream.opened_at();
    let same_selection = started.counted_under == Some(started.saver.selection());
    let resume = resume_of(&opened_at).filter(|_| same_selection);
    let (store, asks) = (Arc::clone(&parts.store), Arc::clone(handle.asks()));
    let parking = Parking::load(store, parts.name.clone(), parts.on_row_error, asks)?;
    let settles_every = match parts.sink.keeping() {
        Keeping::Together { every, .. } => every,
        Keeping::Nowhere | Keeping::Beside => Duration::ZERO,
    };
    standing.begin(head, opened_at.clone(), settles_every);
    standing.beat_by(parts.source.heartbeat());
    handle.board().phase(Phase::Running);
    parts.observer.started(&opened_at.text());
    let ended = flow::run(Attempt {
        stream,
        standing: Arc::clone(standing),
        sink: &mut *parts.sink,
        transforms: parts.transforms.clone(),
        encoders: parts.encoders.clone(),
        saver: &mut started.saver,
        parking,
        workers: parts.workers,
        clock: parts.clock.clone(),
        stop: handle.stop_signal().clone(),
        observer: Arc::clone(&parts.observer),
        resume,
        halted: started.halted.clone(),
        drain_max: DRAIN_MAX,
        copy: (!started.copied).then(|| parts.copy.clone()),
        copy_control: Arc::clone(handle.copy_control()),
        source: &*parts.source,
        ends_when_copied: course.copies_first || course.ends_when_copied,
    });
    match ended {
        Ok(Ended::Reached) if course.copies_first && !course.ends_when_copied => {
            started.copied = true;
            Ok(Ended::Copied)
        }
        ended => ended,
    }
}

/// What an attempt is to do.
struct Course {
    /// Where an operator wants it to begin.
    target: Option<String>,
    /// There is a position to go on from.
    is_resumed: bool,
    copies: bool,
    /// The end that was asked for is that of the copy.
    ends_when_copied: bool,
    /// An end in the log is looked for once the tables are there: their fences may lie behind it.
    copies_first: bool,
}

impl Course {
    fn of(parts: &Parts, started: &Started, target: Option<String>) -> Self {
        let record = started.saver.record();
        let is_resumed = !record.delivered.is_empty();
        let copies = parts.copy.mode != CopyMode::Never && (!is_resumed || !record.cursors.is_empty());
        let ends_when_copied = parts.until_copied || parts.copy.mode == CopyMode::Only;
        let copies_first = copies && !started.copied && parts.until != Until::Forever;
        Self { target, is_resumed, copies, ends_when_copied, copies_first }
    }
}

/// The stream, and what watches the end of its log.
type OpenedSource = (Box<dyn ChangeStream>, Box<dyn Head>);

/// The stream where it is to begin, and what is to be stored of that before its first event. `None`: it cannot begin
/// where an operator wants it.
fn open_source(
    parts: &mut Parts,
    handle: &Handle,
    started: &mut Started,
    course: &Course,
) -> Result<Option<OpenedSource>, Fault> {
    let Course { target, is_resumed, copies, .. } = course;
    let goes_on = *is_resumed && target.is_none();
    let version = started.saver.record().schema_version;
    let history = parts.store.history_at(&parts.name, version)?.filter(|_| goes_on);
    let history = history.map(|history| (history.version, history.definitions));
    if goes_on && history.is_none() {
        // A state rebuilt from the record: the source reads definitions anew, and numbers them from the start.
        started.saver.forget_history()?;
    }
    let from = match target {
        Some(text) => StartPoint::At(text.clone()),
        None => start_point(parts, started, *is_resumed, *copies),
    };
    let until = if course.copies_first || course.ends_when_copied { &Until::Forever } else { &parts.until };
    let undecided = started.saver.record().undecided.clone();
    let opened = parts.source.open(&from, until, goes_on.then_some(Saved { history, undecided }));
    let passed_over = parts.source.passed_over();
    passed_over.iter().for_each(|(endpoint, fault)| parts.observer.passed_over(endpoint, fault));
    // Tried once, whatever kept it: until it is given up nothing is read.
    if let (Some(target), Err(fault)) = (target, &opened) {
        parts.observer.move_refused(target, fault);
        handle.copy_control().moved(target);
        return Ok(None);
    }
    if opened.is_ok() || passed_over.is_empty() {
        let endpoint = parts.source.endpoint();
        parts.observer.health(Component::Input, &endpoint, opened.is_ok(), opened.as_ref().err());
    }
    let mut stream = opened?;
    let head = parts.source.head()?;
    if !goes_on {
        let mut history = None;
        for event in stream.take_events() {
            match event {
                StreamEvent::History { version, snapshot } => history = Some((version, snapshot)),
                StreamEvent::Doubt { code, object } => parts.observer.doubt(code, &object),
                // Before the first event there is no row that a table could halt at, and no heartbeat.
                StreamEvent::TableFault { .. } | StreamEvent::Heartbeat { .. } => {}
            }
        }
        let at = stream.opened_at();
        started.begin_at(&at, history, (*copies, *is_resumed), &mut *parts.sink, &*parts.observer)?;
    }
    if let Some(target) = target {
        handle.copy_control().moved(target);
    }
    Ok(Some((stream, head)))
}

/// Where to open the stream.
fn start_point(parts: &Parts, started: &Started, resumed: bool, copies: bool) -> StartPoint {
    match (resumed, copies) {
        (true, _) => StartPoint::At(started.saver.record().delivered.clone()),
        // What was committed before is in the tables.
        (false, true) => StartPoint::Head,
        (false, false) => parts.start.clone(),
    }
}

fn resume_of(position: &Position) -> Option<Resume> {
    position.inside().filter(|(_, rows)| *rows > 0).map(|(txn, rows)| Resume { txn, rows })
}

/// Weighs what is stored, shuts others out and raises the epoch, before any row.
fn begin(
    parts: &mut Parts,
    life: Life,
    (copied, is_forgotten): (bool, bool),
    book: Arc<Book>,
) -> Result<Started, Fault> {
    let asked = match (life, parts.misfit) {
        (Life::First, Misfit::Accept) => Asked::Accept,
        (Life::First, Misfit::Refuse) | (Life::Again, _) => Asked::Refuse,
    };
    let begun = commit::begin(&parts.store, &parts.name, &mut *parts.sink, (life, asked), &*parts.observer)?;
    let halted: Vec<TableName> = begun.halted.into_iter().map(|halted| halted.table).collect();
    let selection = halted.iter().fold(parts.selection, |sum, table| sum ^ limpid_model::key_seed(table));
    let counted_under = begun.record.selection;
    let seen = (book, Arc::clone(&parts.observer));
    let flow = Keeper::begin(&parts.store, &parts.name, &begun.record, seen, parts.clock.clone())?;
    let saver = Saver::new(Arc::clone(&parts.store), parts.sink.keeping(), begun.record, selection, flow);
    let mut started = Started { saver, counted_under, halted, copied, is_forgotten };
    if is_forgotten {
        started.forget_position();
    }
    Ok(started)
}
