//! What others may know of a pipeline at one moment.
//!
//! Owns: the board that the pipeline's threads write on and everyone may copy. Does not own: judging it (`verdict`),
//! numbers of rows (`limpid-telemetry`), showing any of it (`limpid-server`, the command line).
//!
//! Invariant: a reader gets one consistent copy and never holds up the data path: the board is locked for a copy or
//! for a change of state, never per row.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_model::{Component, Fault, FaultCode, TableName};
use limpid_state::ParkedRow;

use crate::copy::{Control, CopyProgress, CopyRequest};
use crate::ledger::{Book, FlowSeen};
use crate::observe::HeadLooked;
use crate::parking::{Asks, Body, ParkedAction, ParkedOutcome, ParkedSeen, ParkedSelection};
use crate::runway::Ends;
use crate::stages::Ratios;
use crate::verdict::{Circumstances, Keeper, Trail, Verdict};

/// Where a pipeline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connecting, or between two attempts.
    Starting,
    /// Rows flow, or would if there were any.
    Running,
    /// An operator had it read no further; what was read is delivered, and it waits.
    Paused,
    /// Asked to stop: what was read is being delivered.
    Draining,
    /// Stopped for good by a fault.
    Halted,
    /// Ended as asked.
    Done,
}

impl Phase {
    /// The word used in the API and in lines.
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Paused => "paused",
            Phase::Draining => "draining",
            Phase::Halted => "halted",
            Phase::Done => "done",
        }
    }
}

/// A fault as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSeen {
    pub code: FaultCode,
    pub component: Component,
    /// One sentence of our own, without values and secrets.
    pub message: String,
    pub object: Option<String>,
    pub remedy: String,
    /// Microseconds since 1970.
    pub at_micros: i64,
}

impl FaultSeen {
    pub(crate) fn of(fault: &Fault, at_micros: i64) -> Self {
        Self {
            code: fault.code(),
            component: fault.component(),
            message: fault.to_string(),
            object: fault.object().map(str::to_owned),
            remedy: fault.remedy().to_owned(),
            at_micros,
        }
    }
}

/// The last look at the end of the source's log.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSeenAt {
    pub position: String,
    /// Bytes of log between what is delivered and the end; `None` while nobody knows where in the log that lies.
    pub lag_bytes: Option<u64>,
    /// Transactions between the same two, where they have numbers.
    pub lag_transactions: Option<u64>,
    /// For how many seconds the source keeps the log that we need, and what ends that.
    pub runway: Option<(f64, Ends)>,
    /// Seconds until we follow again: p50, p90.
    pub catchup_seconds: Option<[f64; 2]>,
    /// Microseconds since 1970, before the source was asked.
    pub asked_micros: i64,
}

/// One system a pipeline speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub component: Component,
    /// Without credentials.
    pub endpoint: String,
    pub healthy: bool,
    /// Microseconds since 1970.
    pub since_micros: i64,
    /// What broke it, where it is broken.
    pub fault: Option<FaultSeen>,
}

/// A table whose rows are no longer delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaltedSeen {
    pub table: TableName,
    pub fault: FaultSeen,
}

/// A pipeline at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    pub phase: Phase,
    /// Microseconds since 1970.
    pub since_micros: i64,
    /// The last position saved; `None` before the first.
    pub position: Option<String>,
    /// When a position was last saved or found to be the head's.
    pub moved_micros: i64,
    pub head: Option<HeadSeenAt>,
    /// What all looks at the head left behind.
    pub trail: Trail,
    /// What halted it, or what it tries again after.
    pub fault: Option<FaultSeen>,
    pub halted: Vec<HaltedSeen>,
    pub peers: Vec<Peer>,
    /// How far tables are copied.
    pub copying: CopyProgress,
    /// What the stages did with the last ten seconds; `None` unless an attempt runs.
    pub stages: Option<Ratios>,
    /// Why the stream did not go where an operator last wanted it.
    pub move_refused: Option<FaultSeen>,
    /// Rows that could not be delivered, and those that wait behind them.
    pub parked: ParkedSeen,
}

impl Status {
    /// The verdict and its reason at a time of our monotonic clock. `freshness_seconds` is how old what the sink has is,
    /// where it is known.
    pub fn verdict(&self, now_nanos: u64, freshness_seconds: Option<f64>, lag_limit: Duration) -> (Verdict, String) {
        let code = self.fault.as_ref().map_or("", |fault| fault.code.as_str());
        let keeper = |component: Component| match component {
            Component::Output => Keeper::Sink,
            Component::Input => Keeper::Source,
            _ => Keeper::Us,
        };
        let broken = self.peers.iter().find(|peer| !peer.healthy && !self.stands_beside(peer));
        let lost = broken.map(|peer| (keeper(peer.component), peer.endpoint.as_str()));
        // Between two attempts it is the one that failed the last.
        let failed = self.fault.as_ref().filter(|_| self.phase == Phase::Starting);
        self.trail.verdict(&Circumstances {
            now_nanos,
            phase: self.phase,
            freshness_seconds,
            lag_limit,
            fault: code,
            lost: lost.or(failed.map(|fault| (keeper(fault.component), ""))),
        })
    }

    /// Of several servers of a source another one is read.
    fn stands_beside(&self, lost: &Peer) -> bool {
        lost.component == Component::Input
            && self.peers.iter().any(|peer| peer.component == Component::Input && peer.healthy)
    }
}

/// A halted pipeline notices at least this often that it is to go on.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Looks at a pipeline and stops it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    board: Arc<Board>,
    stop: Stop,
    copies: Arc<Control>,
    asks: Arc<Asks>,
    book: Arc<Book>,
}

impl Handle {
    /// A handle of a pipeline that has not begun.
    pub fn new(stop: Stop, clock: Clock) -> Self {
        let status = Status {
            phase: Phase::Starting,
            since_micros: clock.wall_micros(),
            position: None,
            moved_micros: clock.wall_micros(),
            head: None,
            trail: Trail::default(),
            fault: None,
            halted: Vec::new(),
            peers: Vec::new(),
            copying: CopyProgress::default(),
            stages: None,
            move_refused: None,
            parked: ParkedSeen::default(),
        };
        let board = Arc::new(Board { status: Mutex::new(status), clock });
        Self { board, stop, copies: Arc::default(), asks: Arc::default(), book: Arc::default() }
    }

    /// The verdict alone, see [`Status::verdict`].
    pub fn verdict(&self, now_nanos: u64, freshness_seconds: Option<f64>, lag_limit: Duration) -> Verdict {
        let mut status = self.board.status.lock().expect("never held across a panic");
        let phase = status.phase;
        status.phase = self.paused_or(phase);
        let (verdict, _) = status.verdict(now_nanos, freshness_seconds, lag_limit);
        status.phase = phase;
        verdict
    }

    /// A copy of how it stands now.
    pub fn status(&self) -> Status {
        let mut status = self.board.status.lock().expect("never held across a panic").clone();
        status.phase = self.paused_or(status.phase);
        status
    }

    fn paused_or(&self, phase: Phase) -> Phase {
        if phase == Phase::Running && self.copies.stands() { Phase::Paused } else { phase }
    }

    /// Reads no further until resumed: the phase says when it stands. A restart of the process is not paused.
    pub fn pause(&self) {
        self.copies.pause_stream(true);
    }

    /// Goes on reading; a pipeline that is halted is tried again.
    pub fn resume(&self) {
        self.copies.pause_stream(false);
        self.board.change(|status, _| status.trail.goes_on(self.board.clock.nanos()));
        self.try_again();
    }

    fn try_again(&self) {
        // A wish of a time when it ran is none to try again.
        if self.phase() == Phase::Halted {
            self.copies.try_again();
        }
    }

    /// Has the stream go on at another position, in its text form: what is under way is delivered first. Where the
    /// source has no such place the pipeline goes on where it was, and [`Status::move_refused`] says why.
    pub fn move_to(&self, position: &str) {
        self.board.change(|status, _| status.move_refused = None);
        self.copies.move_to(position.to_owned());
        self.try_again();
    }

    /// Where the stream is to go, until it is there or cannot.
    pub fn moving_to(&self) -> Option<String> {
        self.copies.target()
    }

    /// For whoever runs a pipeline that has halted: waits until it is to be tried again (true) or stopped.
    pub fn waits_to_go_on(&self) -> bool {
        loop {
            if self.stop.wait(LOOK_UP) {
                return false;
            }
            if self.copies.take_again() {
                return true;
            }
        }
    }

    /// Where it stands now.
    pub fn phase(&self) -> Phase {
        self.paused_or(self.board.status.lock().expect("never held across a panic").phase)
    }

    /// Drains and ends the pipeline.
    pub fn stop(&self) {
        self.board.change(|status, _| {
            if status.phase == Phase::Running {
                status.phase = Phase::Draining;
            }
        });
        self.stop.raise();
    }

    /// Asks something of the copies of tables. What a running attempt takes up is in the position record from its next
    /// save on.
    pub fn ask_copy(&self, request: CopyRequest) {
        self.copies.ask(request);
    }

    /// Asks something about rows that are kept. A running attempt takes it up; the number finds its outcome among
    /// [`Handle::parked_outcomes`]. `None` when too many wait already.
    pub fn ask_parked(&self, action: ParkedAction, selection: ParkedSelection) -> Option<u64> {
        self.asks.ask(action, selection)
    }

    /// What became of the last asks.
    pub fn parked_outcomes(&self) -> Vec<ParkedOutcome> {
        self.asks.outcomes()
    }

    /// The rows that are kept, in the order in which they were.
    ///
    /// # Errors
    /// What the state says.
    pub fn parked_rows(&self) -> Result<Vec<ParkedRow>, Fault> {
        self.asks.rows()
    }

    /// What is kept of one of them.
    ///
    /// # Errors
    /// `HTTP_NOT_FOUND` where it is not there, else what the state says.
    pub fn parked_body(&self, id: u64) -> Result<Body, Fault> {
        self.asks.body(id)
    }

    /// What became of the rows, by table.
    pub fn flow(&self) -> FlowSeen {
        self.book.seen()
    }

    /// Rows in flight, and windows known whose rows do not add up.
    pub fn flow_brief(&self) -> (u64, u64) {
        self.book.brief()
    }

    pub(crate) fn book(&self) -> &Arc<Book> {
        &self.book
    }

    pub(crate) fn asks(&self) -> &Arc<Asks> {
        &self.asks
    }

    pub(crate) fn copy_control(&self) -> &Arc<Control> {
        &self.copies
    }

    pub(crate) fn stop_signal(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

/// What the pipeline's threads write on.
#[derive(Debug)]
pub(crate) struct Board {
    status: Mutex<Status>,
    clock: Clock,
}

impl Board {
    fn change(&self, change: impl FnOnce(&mut Status, i64)) {
        let now = self.clock.wall_micros();
        change(&mut self.status.lock().expect("never held across a panic"), now);
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.change(|status, now| {
            if status.phase != phase {
                (status.phase, status.since_micros) = (phase, now);
            }
            if phase == Phase::Running {
                status.fault = None;
            }
        });
    }

    pub(crate) fn position(&self, position: &str) {
        self.change(|status, now| {
            if status.position.as_deref() != Some(position) {
                (status.position, status.moved_micros) = (Some(position.to_owned()), now);
            }
        });
    }

    pub(crate) fn head(&self, looked: &HeadLooked<'_>) {
        self.change(|status, _| {
            if looked.look.moved || !looked.look.is_behind {
                status.moved_micros = looked.asked_micros;
            }
            status.trail.look(looked.look);
            status.head = Some(HeadSeenAt {
                position: looked.position.to_owned(),
                lag_bytes: looked.lag_bytes,
                lag_transactions: looked.lag_transactions,
                runway: looked.runway,
                catchup_seconds: looked.catchup_seconds,
                asked_micros: looked.asked_micros,
            });
        });
    }

    pub(crate) fn move_refused(&self, fault: &Fault) {
        self.change(|status, now| status.move_refused = Some(FaultSeen::of(fault, now)));
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        self.change(|status, now| status.fault = Some(FaultSeen::of(fault, now)));
    }

    pub(crate) fn copying(&self, progress: &CopyProgress) {
        self.change(|status, _| status.copying.clone_from(progress));
    }

    pub(crate) fn stages(&self, ratios: Option<&Ratios>) {
        self.change(|status, _| status.stages = ratios.copied());
    }

    pub(crate) fn parked(&self, seen: ParkedSeen) {
        self.change(|status, _| status.parked = seen);
    }

    pub(crate) fn halted(&self, table: &TableName, fault: &Fault) {
        self.change(|status, now| {
            if !status.halted.iter().any(|halted| halted.table == *table) {
                status.halted.push(HaltedSeen { table: table.clone(), fault: FaultSeen::of(fault, now) });
            }
        });
    }

    /// Returns whether that is news.
    pub(crate) fn peer(&self, component: Component, endpoint: &str, fault: Option<&Fault>, healthy: bool) -> bool {
        let mut is_news = true;
        self.change(|status, now| {
            let fault = fault.map(|fault| FaultSeen::of(fault, now));
            let known = status.peers.iter_mut().find(|peer| peer.component == component && peer.endpoint == endpoint);
            match known {
                Some(peer) if peer.healthy == healthy => {
                    // Away for another reason is news too.
                    is_news = matches!((&fault, &peer.fault), (Some(now), Some(before)) if now.code != before.code);
                    peer.fault = fault.or(peer.fault.take()).filter(|_| !healthy);
                }
                Some(peer) => (peer.healthy, peer.since_micros, peer.fault) = (healthy, now, fault),
                None => {
                    let endpoint = endpoint.to_owned();
                    status.peers.push(Peer { component, endpoint, healthy, since_micros: now, fault });
                }
            }
        });
        is_news
    }
}
