//! Watches a pipeline from beside: the end of the source's log, and how full the queues are.
//!
//! Owns: how often, and against which position the end is measured. Does not own: the connection (`limpid-connector`'s
//! `Head`), what follows from a look (`verdict`, the observer).
//!
//! Invariant: the position measured from was delivered before the source was asked, so a lag of 0 means that all that
//! was committed before the question is delivered. A look that fails is no reason to stop anything. The head is watched
//! between attempts too: while we try again, the source goes on.

use std::time::Duration;

use limpid_connector::{Clock, Head};
use limpid_model::Position;

use crate::catchup::Catchup;
use crate::flow::Shared;
use crate::marks::Marks;
use crate::observe::{Fill, HeadLooked, Observer};
use crate::runway::{Ends, Runway};
use crate::source_clock::SourceClock;
use crate::stages::Looks;
use crate::standing::{Place, Standing};
use crate::status::{Handle, Phase};
use crate::verdict::Look;

/// How often the end of the log is looked at: the period that verdicts are told in.
const PERIOD: Duration = Duration::from_millis(200);

/// Between two looks, how often it is noticed that the end seen last is delivered: what freshness is told too old by.
const TICK: Duration = Duration::from_millis(50);

/// Looks between two questions after the log's files: two seconds.
const FILES_EVERY: u32 = 10;

/// Of a log of more files, which the server has to look at one by one, it is a minute.
const MANY_FILES: usize = 1000;
const MANY_FILES_EVERY: u32 = 300;

/// What the sink has is as fresh as it gets: what is under way is no backlog.
const FOLLOWS: u64 = 2_000_000_000;

/// Looks for which a position that was saved may lie beyond the end of the log: ten seconds. Then that log is gone, and
/// its positions are no measure.
const BEYOND_MAX: u32 = 50;

/// Tells how full the queues of one attempt are, until it ends.
pub(crate) fn fill(shared: &Shared) {
    let mut looks = Looks::default();
    while !shared.abort.wait(PERIOD) {
        if let Some(ratios) = looks.look(&shared.stages, shared.clock.nanos()) {
            shared.observer.stages(Some(&ratios));
        }
        let (flight_bytes, flight_bytes_max) = shared.budget.used();
        let (sink_bytes, sink_bytes_max) = shared.sink_held();
        let (raw_batches, made_batches) = shared.waiting();
        let fill = Fill { raw_batches, made_batches, flight_bytes, flight_bytes_max, sink_bytes, sink_bytes_max };
        shared.standing.fill(&fill);
        shared.observer.fill(fill);
        if let Some(copying) = &shared.copying {
            shared.observer.copying(&copying.progress(shared.clock.nanos()));
        }
    }
    shared.observer.stages(None);
}

/// Looks at the head until the pipeline ends.
pub(crate) fn head(standing: &Standing, handle: &Handle, observer: &dyn Observer, clock: &Clock) {
    let mut watch = Watch::default();
    let mut left = Duration::ZERO;
    loop {
        let wait = if watch.marks.is_empty() { left } else { left.min(TICK) };
        if standing.ends.wait(wait) {
            return;
        }
        left = left.saturating_sub(wait);
        let place = standing.place();
        if left.is_zero() {
            watch.head = standing.take_head().or(watch.head);
            // The place that belongs to the head, or a later one.
            let place = standing.place();
            watch.paused(handle.phase() == Phase::Paused);
            left = if watch.head.is_some() { PERIOD } else { TICK };
            watch.look(&place, observer, clock);
        } else if place.moves != watch.moves
            && let Some(covered) = &place.covered
            && let Some(upto) = watch.pass(covered)
        {
            observer.fresh(upto);
        }
    }
}

/// What looks leave behind.
#[derive(Default)]
struct Watch {
    head: Option<Box<dyn Head>>,
    marks: Marks<Position>,
    clock: SourceClock,
    /// The end of the log as it was seen last.
    seen: Option<String>,
    /// How often the sink had moved then.
    moves: u64,
    /// The highest position that was saved, and how often one had been forgotten then.
    highest: Option<Position>,
    forgotten: u64,
    /// Looks since which it lies beyond the end of the log.
    beyond: u32,
    is_paused: bool,
    catchup: Catchup,
    files: Runway,
    runway: Option<(f64, Ends)>,
    /// Looks until the log's files are asked after.
    until_files: u32,
}

impl Watch {
    fn look(&mut self, place: &Place, observer: &dyn Observer, clock: &Clock) {
        let (Some(head), Some(from)) = (&mut self.head, &place.covered) else { return };
        let (asked_nanos, asked_micros) = (clock.nanos(), clock.wall_micros());
        let Ok(seen) = head.look(from, clock) else { return };
        let seen_nanos = clock.nanos();
        let position = seen.position.text();
        self.forget(place, &seen.position);
        let head_moved = self.seen.as_ref() != Some(&position);
        self.marks.saw(asked_nanos, seen.position, !head_moved);
        let fresh_upto = self.pass(from);
        if let Some(sample) = seen.clock {
            self.clock.compare(sample);
        }
        let proved_nanos = fresh_upto.map(|upto| seen_nanos.saturating_sub(upto));
        // Until the end of the log at a look is delivered, commit times tell.
        let age_nanos = proved_nanos.or_else(|| self.age_by_commit(place, seen_nanos));
        let is_behind = seen.lag_bytes != Some(0);
        if let Some(lag_bytes) = seen.lag_bytes {
            let follows = !is_behind || proved_nanos.is_some_and(|age| age < FOLLOWS);
            self.catchup.look(seen_nanos, lag_bytes, follows);
        }
        self.ask_files(from, age_nanos, clock);
        let look = Look {
            is_at_risk: self.runway.is_some_and(|(seconds, _)| {
                self.catchup.is_at_risk(seconds, age_nanos.map(|nanos| nanos as f64 / 1e9))
            }),
            seen_nanos,
            is_behind,
            lag_bytes: seen.lag_bytes,
            head_moved,
            moved: place.moves != self.moves,
            is_back: self.is_back(place, from),
            keeper: place.keeper,
            settles_every: place.settles_every,
        };
        observer.head(HeadLooked {
            position: &position,
            lag_bytes: seen.lag_bytes,
            lag_transactions: seen.lag_transactions,
            asked_nanos,
            asked_micros,
            fresh_upto,
            clock: self.clock.seen(seen_nanos),
            runway: self.runway,
            catchup_seconds: self.catchup.seconds(),
            look,
        });
        (self.seen, self.moves) = (Some(position), place.moves);
    }

    /// A pause in which nothing was to be gained is over.
    fn paused(&mut self, is_paused: bool) {
        if std::mem::replace(&mut self.is_paused, is_paused) && !is_paused {
            self.catchup.begin_anew();
        }
    }

    /// How old what the sink has is by the time that the source gave its last commit.
    fn age_by_commit(&self, place: &Place, now_nanos: u64) -> Option<u64> {
        let clock = self.clock.seen(now_nanos)?;
        let now_micros = clock.source_micros_at_zero.saturating_add((now_nanos / 1000) as i64);
        let age_micros = now_micros.saturating_sub(place.committed_micros?).max(0);
        Some(age_micros as u64 * 1000)
    }

    /// Gives up the highest position where it was forgotten, or where the log ends below it and goes on to: it began anew.
    fn forget(&mut self, place: &Place, head: &Position) {
        let is_beyond = self.highest.as_ref().is_some_and(|highest| is_below(head, highest));
        self.beyond = if is_beyond { self.beyond + 1 } else { 0 };
        if place.forgotten != self.forgotten || self.beyond > BEYOND_MAX {
            (self.highest, self.forgotten, self.beyond) = (None, place.forgotten, 0);
        }
    }

    fn ask_files(&mut self, from: &Position, age_nanos: Option<u64>, clock: &Clock) {
        self.until_files = self.until_files.saturating_sub(1);
        let Some(head) = self.head.as_mut().filter(|_| self.until_files == 0) else { return };
        self.until_files = FILES_EVERY;
        // Whoever may not ask has no runway; that is no reason to look at nothing else.
        let Ok(Some(retention)) = head.retention(from) else {
            self.runway = None;
            return;
        };
        if retention.files.len() > MANY_FILES {
            self.until_files = MANY_FILES_EVERY;
        }
        self.runway = self.files.look(clock.nanos(), &retention, age_nanos);
    }

    fn pass(&mut self, covered: &Position) -> Option<u64> {
        self.marks.pass(|head| {
            if covered.reaches(head) {
                return Some(true);
            }
            head.reaches(covered).then_some(false)
        })
    }

    /// We go on below what was saved before. A restart goes on from what was saved last, so it is none.
    fn is_back(&mut self, place: &Place, covered: &Position) -> bool {
        if let Some(saved) = &place.saved
            && !self.highest.as_ref().is_some_and(|highest| is_below(saved, highest))
        {
            self.highest = Some(saved.clone());
        }
        self.highest.as_ref().is_some_and(|highest| is_below(covered, highest))
    }
}

fn is_below(position: &Position, highest: &Position) -> bool {
    highest.reaches(position) && !position.reaches(highest)
}

#[cfg(test)]
mod tests;
