//! What others may know of a pipeline at one moment.
//!
//! Owns: the board that the pipeline's threads write on and everyone may copy, and the verdict over it. Does not own:
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
use crate::parking::{Asks, Body, ParkedAction, ParkedOutcome, ParkedSeen, ParkedSelection};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadSeenAt {
    pub position: String,
    /// Bytes of log between what is delivered and the end.
    pub lag_bytes: u64,
    /// Microseconds since 1970, before the source was asked.
    pub asked_micros: i64,
    /// Since when the end has not moved.
    pub still_since_micros: i64,
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
    /// What halted it, or what it tries again after.
    pub fault: Option<FaultSeen>,
    pub halted: Vec<HaltedSeen>,
    pub peers: Vec<Peer>,
    /// How far tables are copied.
    pub copying: CopyProgress,
    /// Why the stream did not go where an operator last wanted it.
    pub move_refused: Option<FaultSeen>,
    /// Rows that could not be delivered, and those that wait behind them.
    pub parked: ParkedSeen,
}

/// How a stream stands, the worst that is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Idle,
    Warn,
    Stall,
    Stop,
    Blind,
}

impl Verdict {
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Idle => "idle",
            Verdict::Warn => "warn",
            Verdict::Stall => "stall",
            Verdict::Stop => "stop",
            Verdict::Blind => "blind",
        }
    }
}

/// A head that was not seen for so long is not known: three periods and the time an answer takes.
const BLIND_AFTER_MICROS: i64 = 1_500_000;
/// Caught up and still for so long is idle.
const IDLE_AFTER_MICROS: i64 = 10_000_000;
/// Behind and not moving for so long is a stall.
const STALL_AFTER_MICROS: i64 = 3_000_000;

impl Status {
    /// The verdict and its reason at a time. `freshness_seconds` is how old what the sink has is, where it is known.
    pub fn verdict(&self, now_micros: i64, freshness_seconds: Option<f64>, lag_limit: Duration) -> (Verdict, String) {
        let broken = self.peers.iter().find(|peer| !peer.healthy);
        match self.phase {
            Phase::Halted => {
                let code = self.fault.as_ref().map_or("", |fault| fault.code.as_str());
                return (Verdict::Stop, format!("halted by {code}"));
            }
            Phase::Done => return (Verdict::Stop, "ended as asked".to_owned()),
            Phase::Paused => return (Verdict::Stop, "paused by an operator".to_owned()),
            Phase::Starting | Phase::Running | Phase::Draining => {}
        }
        let head = match &self.head {
            Some(head) if now_micros - head.asked_micros <= BLIND_AFTER_MICROS => head,
            _ => {
                let reason = "the end of the source's log is not seen";
                return (Verdict::Blind, broken.map_or(reason.to_owned(), |peer| format!("{} is lost", peer.endpoint)));
            }
        };
        if head.lag_bytes > 0 && now_micros - self.moved_micros.max(head.still_since_micros) > STALL_AFTER_MICROS {
            let who = broken.map_or("us", |peer| if peer.component == Component::Output { "sink" } else { "source" });
            return (Verdict::Stall, format!("behind and not moving: {who}"));
        }
        if freshness_seconds.is_some_and(|seconds| seconds > lag_limit.as_secs_f64()) {
            return (Verdict::Warn, "moving, beyond the lag limit".to_owned());
        }
        if head.lag_bytes == 0 && now_micros - head.still_since_micros > IDLE_AFTER_MICROS {
            return (Verdict::Idle, "caught up, and the source is still".to_owned());
        }
        (Verdict::Ok, "following within the lag limit".to_owned())
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
            fault: None,
            halted: Vec::new(),
            peers: Vec::new(),
            copying: CopyProgress::default(),
            move_refused: None,
            parked: ParkedSeen::default(),
        };
        let board = Arc::new(Board { status: Mutex::new(status), clock });
        Self { board, stop, copies: Arc::default(), asks: Arc::default() }
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

    pub(crate) fn head(&self, position: String, lag_bytes: u64, asked_micros: i64) {
        self.change(|status, _| {
            let still = status.head.as_ref().filter(|head| head.position == position);
            let still_since_micros = still.map_or(asked_micros, |head| head.still_since_micros);
            if lag_bytes == 0 || status.head.as_ref().is_some_and(|head| head.lag_bytes > lag_bytes) {
                status.moved_micros = asked_micros;
            }
            status.head = Some(HeadSeenAt { position, lag_bytes, asked_micros, still_since_micros });
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn running(lag_bytes: u64, asked: i64, still_since: i64, moved: i64) -> Status {
        Status {
            phase: Phase::Running,
            since_micros: 0,
            position: None,
            moved_micros: moved,
            head: Some(HeadSeenAt {
                position: "p".into(),
                lag_bytes,
                asked_micros: asked,
                still_since_micros: still_since,
            }),
            fault: None,
            halted: Vec::new(),
            peers: Vec::new(),
            copying: CopyProgress::default(),
            move_refused: None,
            parked: ParkedSeen::default(),
        }
    }

    #[test]
    fn the_worst_that_is_true_is_told() {
        let s = 1_000_000;
        let now = 100 * s;
        let told = |status: Status, fresh| status.verdict(now, fresh, LIMIT).0;
        assert_eq!(told(running(0, now, now, now), Some(0.1)), Verdict::Ok);
        assert_eq!(told(running(0, now, now - 11 * s, now), Some(0.1)), Verdict::Idle);
        assert_eq!(told(running(5, now, now, now), Some(61.0)), Verdict::Warn);
        assert_eq!(told(running(5, now, now - 4 * s, now - 4 * s), Some(61.0)), Verdict::Stall);
        assert_eq!(told(running(5, now, now - 4 * s, now - s), Some(4.0)), Verdict::Ok);
        assert_eq!(told(running(0, now - 2 * s, now - 2 * s, now), Some(2.0)), Verdict::Blind);
        let halted = Status { phase: Phase::Halted, ..running(0, now, now, now) };
        assert_eq!(told(halted, Some(0.1)), Verdict::Stop);
    }
}
