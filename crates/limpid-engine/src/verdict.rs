//! How a stream stands, judged from looks at both of its ends.
//!
//! Owns: what looks leave behind, and the verdict over it, as a pure machine on one monotonic clock. Does not own:
//! looking (`watch`), the board it stands on (`status`), freshness (`marks`).
//!
//! Invariant: of all that is true the worst is told: `blind`, `rewind`, `stop`, `stall`, `warn`, `idle`, `ok`. Only one
//! that has ended or halted looks at nothing because it is not to: that is `stop`. A time in which the end of the log
//! was not seen counts against nobody.

use std::time::Duration;

use crate::status::Phase;

/// How a stream stands, the worst that is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The head moves, or did a moment ago, and we follow within the lag limit.
    Ok,
    /// Caught up, and the head still.
    Idle,
    /// Moving, but beyond the lag limit or losing ground.
    Warn,
    /// Behind and not moving.
    Stall,
    /// Paused, halted or ended.
    Stop,
    /// The position went back, and is not there again.
    Rewind,
    /// The head is not seen.
    Blind,
}

impl Verdict {
    pub const ALL: [Verdict; 7] =
        [Verdict::Ok, Verdict::Idle, Verdict::Warn, Verdict::Stall, Verdict::Stop, Verdict::Rewind, Verdict::Blind];

    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Idle => "idle",
            Verdict::Warn => "warn",
            Verdict::Stall => "stall",
            Verdict::Stop => "stop",
            Verdict::Rewind => "rewind",
            Verdict::Blind => "blind",
        }
    }
}

/// Who keeps a stream that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeper {
    /// Nothing that was read is under way: the source sends nothing.
    #[default]
    Source,
    /// What was read is with us.
    Us,
    /// The sink holds records and acknowledges none.
    Sink,
}

impl Keeper {
    pub const fn word(self) -> &'static str {
        match self {
            Keeper::Source => "source",
            Keeper::Us => "us",
            Keeper::Sink => "sink",
        }
    }
}

/// A head that was not seen for so long is not known: three periods of 200 ms, and the time that an answer and a busy
/// machine take.
const BLIND_AFTER: u64 = 1_500_000_000;
/// Caught up and still for so long is idle.
const IDLE_AFTER: u64 = 10_000_000_000;
/// Behind and not moving for so long is a stall.
const STALL_AFTER: u64 = 3_000_000_000;

/// One look at both ends of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// When the source answered, by our monotonic clock.
    pub seen_nanos: u64,
    /// Something was committed that was not delivered when the source was asked.
    pub is_behind: bool,
    /// Bytes of log to the head, where they are known.
    pub lag_bytes: Option<u64>,
    /// Since the look before: the head, and what is durable at the sink.
    pub head_moved: bool,
    pub moved: bool,
    /// We go on below a position that was saved, and are not there again.
    pub is_back: bool,
    pub keeper: Keeper,
    /// Catching up may take more than half of the time that the log is kept.
    pub is_at_risk: bool,
    /// The sink makes things durable only so often, as it is configured.
    pub settles_every: Duration,
}

/// What all looks so far leave behind.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    last: Option<Look>,
    /// Since when the head has not moved.
    still_since: u64,
    /// When we last moved, or were caught up, or began to see.
    moved_nanos: u64,
    ground: Ground,
}

/// What a verdict is told of besides looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    pub(crate) now_nanos: u64,
    pub(crate) phase: Phase,
    /// How old what the sink has is, where it is known.
    pub(crate) freshness_seconds: Option<f64>,
    pub(crate) lag_limit: Duration,
    /// The code of what halted it, or of what it tries again after.
    pub(crate) fault: &'a str,
    /// Whose side is lost, and the system's endpoint; empty where it is the attempt that failed.
    pub(crate) lost: Option<(Keeper, &'a str)>,
}

impl Trail {
    /// Takes note of a look.
    pub fn look(&mut self, look: Look) {
        let now = look.seen_nanos;
        let was_seen = self.last.is_some_and(|last| now.saturating_sub(last.seen_nanos) <= BLIND_AFTER);
        if look.head_moved || self.last.is_none() {
            self.still_since = now;
        }
        if !look.is_behind || look.moved || !was_seen {
            self.moved_nanos = now;
        }
        if !was_seen {
            self.ground = Ground::default();
        }
        self.ground.look(now, if look.is_behind { look.lag_bytes } else { Some(0) });
        self.last = Some(look);
    }

    /// A pause is over: the time in which we were not to move counts for nothing.
    pub(crate) fn goes_on(&mut self, now_nanos: u64) {
        self.moved_nanos = now_nanos;
        self.ground = Ground::default();
    }

    /// The end of the log was seen a moment ago: what was measured to it is worth something.
    pub fn is_seen(&self, now_nanos: u64) -> bool {
        self.last.is_some_and(|last| now_nanos.saturating_sub(last.seen_nanos) <= BLIND_AFTER)
    }

    /// For how long we have not moved though we were behind.
    pub fn still_for(&self, now_nanos: u64) -> Duration {
        Duration::from_nanos(now_nanos.saturating_sub(self.moved_nanos))
    }

    /// The verdict and its reason.
    pub(crate) fn verdict(&self, now: &Circumstances<'_>) -> (Verdict, String) {
        match now.phase {
            Phase::Halted => return (Verdict::Stop, format!("halted by {}", now.fault)),
            Phase::Done => return (Verdict::Stop, "ended as asked".to_owned()),
            Phase::Starting | Phase::Running | Phase::Paused | Phase::Draining => {}
        }
        let since = |nanos: u64| now.now_nanos.saturating_sub(nanos);
        let Some(last) = self.last.filter(|last| since(last.seen_nanos) <= BLIND_AFTER) else {
            return (Verdict::Blind, self.blind(now));
        };
        if last.is_back {
            let reason = "the position went back, and what was delivered before is not reached again";
            return (Verdict::Rewind, reason.to_owned());
        }
        if now.phase == Phase::Paused {
            return (Verdict::Stop, "paused by an operator".to_owned());
        }
        if last.is_behind && since(self.moved_nanos) > STALL_AFTER + last.settles_every.as_nanos() as u64 {
            let keeper = now.lost.map_or(last.keeper, |(keeper, _)| keeper);
            return (Verdict::Stall, format!("behind and not moving: {}{}", keeper.word(), now.why_lost()));
        }
        if now.freshness_seconds.is_some_and(|seconds| seconds > now.lag_limit.as_secs_f64()) {
            return (Verdict::Warn, "moving, beyond the lag limit".to_owned());
        }
        if last.is_behind && last.is_at_risk {
            let reason = "moving, but catching up may take more than half of the time that the log is kept";
            return (Verdict::Warn, reason.to_owned());
        }
        if self.ground.is_losing() {
            return (Verdict::Warn, "moving, and losing ground for a minute".to_owned());
        }
        if !last.is_behind && since(self.still_since) > IDLE_AFTER {
            return (Verdict::Idle, "caught up, and the source is still".to_owned());
        }
        (Verdict::Ok, "following within the lag limit".to_owned())
    }

    fn blind(&self, now: &Circumstances<'_>) -> String {
        let when = if self.last.is_some() { "is not seen" } else { "was not seen yet" };
        format!("the end of the source's log {when}{}", now.why_lost())
    }
}

impl Circumstances<'_> {
    fn why_lost(&self) -> String {
        match self.lost {
            None => String::new(),
            Some((_, "")) => format!(" ({})", self.fault),
            Some((_, endpoint)) => format!(" ({endpoint} is lost)"),
        }
    }
}

/// Whether the distance to the head grew for a whole minute.
///
/// Of each ten seconds the least distance counts, so that bursts and the batches under way do not; a single look that
/// finds us caught up begins anew.
#[derive(Clone, Debug, Default)]
struct Ground {
    /// The slice in progress.
    began: u64,
    least: Option<u64>,
    /// Of the slices before it, the oldest first.
    minima: [u64; Ground::SLICES],
    known: usize,
}

impl Ground {
    const SLICE: u64 = 10_000_000_000;
    /// Six steps of ten seconds.
    const SLICES: usize = 7;
    /// What the distance grows by in a minute at least: less is what transactions under way differ by.
    const GROWTH_MIN: u64 = 64 * 1024;

    fn look(&mut self, now: u64, lag_bytes: Option<u64>) {
        let Some(lag_bytes) = lag_bytes else { return };
        if lag_bytes == 0 {
            *self = Self { began: now, ..Self::default() };
            return;
        }
        if let Some(least) = self.least.filter(|_| now.saturating_sub(self.began) >= Self::SLICE) {
            if self.known == Self::SLICES {
                self.minima.rotate_left(1);
                self.known -= 1;
            }
            self.minima[self.known] = least;
            self.known += 1;
            (self.began, self.least) = (now, None);
        }
        if self.least.is_none() && self.known == 0 && self.began == 0 {
            self.began = now;
        }
        self.least = Some(self.least.map_or(lag_bytes, |least| least.min(lag_bytes)));
    }

    fn is_losing(&self) -> bool {
        let (first, last) = (self.minima[0], self.minima[Self::SLICES - 1]);
        self.known == Self::SLICES
            && self.minima.is_sorted_by(|a, b| a < b)
            && last - first >= Self::GROWTH_MIN.max(first / 10)
            // And goes on to.
            && self.least.is_none_or(|least| least > last)
    }
}

#[cfg(test)]
mod tests;
