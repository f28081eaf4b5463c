//! How much of a busy source's time copying takes.
//!
//! Owns: the turns of reading and resting, what others lose while we read, the part of the time that follows from it. Does
//! not own: asking the source (`copier`), limits that an operator named (`pace`).
//!
//! Invariant: while others are busy, the part of the time in which chunks are read times the part of their statements that
//! they lose meanwhile stays at the bound that was given. Pure: times and counts are given.
//!
//! What a source can spare cannot be read off it: how many statements run says nothing of how many more could. So it is
//! tried: for a while chunks are read, for a while none is, and the statements that others get done in both are counted. The
//! difference is what we cost. A source with processors to spare shows none and is read without a pause; one that has none
//! is read for a few percent of the time. Others that do next to nothing cannot lose anything, and are not tried upon.

use std::time::Duration;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// Statements a second of others below which nobody is disturbed.
const BUSY_RATE: f64 = 50.0;

/// Fewer statements than these say nothing of a rate, however short the time.
const FEW: u64 = 3;

/// How often others are looked at while they do next to nothing, and how often that is tried without us: it might be our
/// doing.
const LOOK_EVERY: u64 = SECOND / 5;
const TRY_EVERY: u64 = 10 * SECOND;

/// What lies between the first two looks at least.
const LOOK_FIRST: u64 = 20 * MILLI;

/// One turn of reading and resting, and the least of each: what is shorter counts too few statements.
const TURN: u64 = SECOND;
const PART_MIN: u64 = 50 * MILLI;

/// What we read is worked on for a while after; the others' rest is counted behind it.
const SETTLE: u64 = 20 * MILLI;

/// A rest takes no longer, whatever follows from the figures.
const REST_MAX: u64 = 20 * SECOND;

/// How long reading lasts at first on a source that is busy, as a part of the time.
const DUTY_AT_FIRST: f64 = 0.1;
const DUTY_MIN: f64 = 0.01;

/// A part of the time grows by no more than this from turn to turn: one lucky count must not let us loose.
const GROWTH: f64 = 1.5;

/// What a turn's counts weigh when the next turn's are added: little where there are enough of them to tell a few percent, and
/// much where there are not.
const MEMORY: f64 = 0.7;
const MEMORY_OF_FEW: f64 = 0.95;
const ENOUGH: f64 = 2_000.0;

/// What is aimed at, as a part of the bound. Statements that are lost while we read are counted; what we leave to be done, and
/// what handling the rows takes from clients on the same machine, is not. Where 0.8 was aimed at and a loss of 4 % told, clients
/// that shared two cores with the server and us lost some 7 (`cargo xtask bench busy`, five rounds).
const AIM: f64 = 0.5;

/// What whoever wants to read a chunk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Reads it, and says so when it is read.
    Read,
    /// Asks again then.
    Wait(Duration),
    /// Asks the source how many statements others have had done, tells it, and asks again.
    Look,
}

/// How much is taken, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopyCost {
    /// The part of the time in which tables are read.
    pub duty: f64,
    /// The part of their statements that others lose to it, over reading and resting; what is measured, not what is aimed
    /// at. `None` before there is a figure.
    pub loss: Option<f64>,
}

/// Statements of others over times of one kind; later ones weigh more.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    statements: f64,
    seconds: f64,
}

impl Counted {
    fn add(&mut self, statements: u64, nanos: u64) {
        let memory = if self.statements >= ENOUGH { MEMORY } else { MEMORY_OF_FEW };
        self.statements = self.statements * memory + statements as f64;
        self.seconds = self.seconds * memory + nanos as f64 / SECOND as f64;
    }

    fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.statements / self.seconds } else { 0.0 }
    }
}

/// A look at the source.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: u64,
    statements: u64,
}

impl Look {
    /// Statements between two looks; `None` where the count went back.
    fn done_until(self, later: Look) -> Option<u64> {
        u64::try_from(later.statements.wrapping_sub(self.statements) as i64).ok()
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing is known, or one look only.
    Unknown(Option<Look>),
    /// Others do next to nothing, as was last tried then: no turns.
    Alone { look: Look, tried: u64 },
    /// Chunks are read until then.
    Reading { from: Look, until: u64 },
    /// The last chunk of the turn is read; what it leaves to do is being done.
    Settling { until: u64, rest: u64 },
    /// Nobody reads until then.
    Resting { from: Look, until: u64 },
    /// The source does not tell, or nobody wants to know.
    Blind,
}

impl State {
    /// The look that the next one is compared with.
    fn from(self) -> Option<Look> {
        match self {
            State::Unknown(look) => look,
            State::Alone { look, .. } => Some(look),
            State::Reading { from, .. } | State::Resting { from, .. } => Some(from),
            State::Settling { .. } | State::Blind => None,
        }
    }
}

/// Shared by the copiers of a pipeline.
#[derive(Debug)]
pub(super) struct Courtesy {
    /// What others may lose, 0 to 1.
    bound: f64,
    state: State,
    /// Chunks that are being read.
    under_way: u32,
    /// Somebody asks the source.
    is_looked_at: bool,
    on: Counted,
    off: Counted,
    /// Both, of this turn alone.
    turn: Counted,
    duty: f64,
}

impl Courtesy {
    /// `bound_percent` of others' statements may be lost to us; at 100 nobody is asked.
    pub(super) fn new(bound_percent: u8) -> Self {
        let state = if bound_percent >= 100 { State::Blind } else { State::Unknown(None) };
        let bound = f64::from(bound_percent) / 100.0;
        let [on, off, turn] = [Counted::default(); 3];
        Self { bound, state, under_way: 0, is_looked_at: false, on, off, turn, duty: 1.0 }
    }

    /// What to do now.
    pub(super) fn turn(&mut self, now: u64) -> Turn {
        let (is_due, wait) = match self.state {
            State::Blind => return self.read(),
            State::Alone { look, .. } if now < look.at + LOOK_EVERY => return self.read(),
            State::Unknown(Some(look)) => {
                let due = look.at + LOOK_FIRST;
                (now >= due, due.saturating_sub(now))
            }
            State::Reading { until, .. } if now < until => return self.read(),
            State::Reading { .. } => (self.under_way == 0, PART_MIN / 10),
            State::Settling { until, .. } | State::Resting { until, .. } => (now >= until, until.saturating_sub(now)),
            State::Unknown(None) | State::Alone { .. } => (true, 0),
        };
        if !is_due || self.is_looked_at {
            return Turn::Wait(Duration::from_nanos(wait.max(MILLI)));
        }
        self.is_looked_at = true;
        Turn::Look
    }

    /// True when the source should be asked now, though nobody wants to read: nothing is known yet, or reading has just
    /// ended. Whoever hears it asks.
    pub(super) fn is_due(&mut self, now: u64) -> bool {
        let due = match self.state {
            State::Unknown(known) => known.is_none(),
            State::Reading { until, .. } => now >= until && self.under_way == 0,
            _ => false,
        };
        let is_ours = due && !self.is_looked_at;
        self.is_looked_at |= is_ours;
        is_ours
    }

    fn read(&mut self) -> Turn {
        self.under_way += 1;
        Turn::Read
    }

    /// A chunk is read, or given up.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The count of others' statements stands there now; `None`: the source does not tell.
    pub(super) fn looked(&mut self, now: u64, statements: Option<u64>) {
        self.is_looked_at = false;
        let Some(statements) = statements else {
            self.state = State::Blind;
            return;
        };
        let look = Look { at: now, statements };
        if self.state.from().is_some_and(|from| from.done_until(look).is_none()) {
            // The server started anew, and counts from 0.
            self.state = State::Unknown(Some(look));
            return;
        }
        self.state = match self.state {
            State::Blind => State::Blind,
            State::Unknown(None) => State::Unknown(Some(look)),
            State::Unknown(Some(from)) if is_busy(from, look) => self.take_turns(DUTY_AT_FIRST, look),
            State::Unknown(Some(_)) => State::Alone { look, tried: now },
            State::Alone { look: from, .. } if is_busy(from, look) => self.take_turns(DUTY_AT_FIRST, look),
            State::Alone { tried, .. } if now >= tried + TRY_EVERY => self.take_turns(1.0, look),
            State::Alone { tried, .. } => State::Alone { look, tried },
            State::Reading { from, .. } => {
                let took = add([&mut self.on, &mut self.turn], from, look);
                let rest = (took as f64 * (1.0 - self.duty) / self.duty) as u64;
                State::Settling { until: now + SETTLE, rest: rest.clamp(PART_MIN, REST_MAX) }
            }
            State::Settling { rest, .. } => State::Resting { from: look, until: now + rest },
            State::Resting { from, .. } => {
                add([&mut self.off, &mut self.turn], from, look);
                self.judge(look)
            }
        };
    }

    /// Begins with a rest, once what is being read is read: what others do without us is to be known first.
    fn take_turns(&mut self, duty: f64, look: Look) -> State {
        self.duty = duty;
        [self.on, self.off, self.turn] = [Counted::default(); 3];
        State::Reading { from: look, until: look.at }
    }

    /// A turn is over.
    fn judge(&mut self, look: Look) -> State {
        if std::mem::take(&mut self.turn).rate() < BUSY_RATE {
            self.duty = 1.0;
            return State::Alone { look, tried: look.at };
        }
        if self.on.seconds < PART_MIN as f64 / SECOND as f64 {
            // Others are there, and no turn of reading has been counted yet.
            self.duty = self.duty.min(DUTY_AT_FIRST);
        } else {
            let aim = self.bound * AIM;
            let lost = self.lost() - self.doubt();
            let duty = if lost <= aim { 1.0 } else { aim / lost };
            self.duty = duty.min(self.duty * GROWTH).max(DUTY_MIN);
        }
        let reading = ((TURN as f64 * self.duty) as u64).clamp(PART_MIN, TURN - PART_MIN);
        State::Reading { from: look, until: look.at + reading }
    }

    /// The part of their statements that others lose while chunks are read.
    fn lost(&self) -> f64 {
        let off = self.off.rate();
        if off > 0.0 { (1.0 - self.on.rate() / off).max(0.0) } else { 0.0 }
    }

    /// How far that may be off by chance, where statements come as they please.
    fn doubt(&self) -> f64 {
        let off = self.off.rate();
        if off == 0.0 {
            return 0.0;
        }
        let scatter = |counted: &Counted| counted.statements.max(1.0).sqrt() / counted.seconds;
        scatter(&self.on).hypot(scatter(&self.off) * self.on.rate() / off) / off
    }

    /// How much is taken.
    pub(super) fn cost(&self) -> CopyCost {
        let is_known = !matches!(self.state, State::Blind | State::Unknown(_));
        let loss = if matches!(self.state, State::Alone { .. }) { 0.0 } else { self.duty * self.lost() };
        CopyCost { duty: self.duty, loss: is_known.then_some(loss) }
    }
}

fn is_busy(from: Look, to: Look) -> bool {
    let statements = from.done_until(to).unwrap_or(0);
    let seconds = to.at.saturating_sub(from.at) as f64 / SECOND as f64;
    statements > FEW && statements as f64 > BUSY_RATE * seconds
}

/// Adds what lies between two looks; how long that was.
fn add(to: [&mut Counted; 2], from: Look, look: Look) -> u64 {
    let took = look.at.saturating_sub(from.at);
    for counted in to {
        counted.add(from.done_until(look).unwrap_or(0), took);
    }
    took
}

#[cfg(test)]
mod tests;
