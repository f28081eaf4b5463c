//! What the stages of a pipeline do with their time, and which of them sets the pace.
//!
//! Owns: busy, blocked and idle time by stage, over the last ten seconds; what follows from them. Does not own: when a thread
//! waits for what (`flow`).
//!
//! Invariant: a thread's time is all told, each moment under one state, and nobody but the thread writes it. A stage that waits for
//! the one before it is idle, one that waits for the one behind it is blocked. A clock is read where a thread begins or ends to
//! wait, never for a row.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use limpid_connector::Clock;
use limpid_model::Component;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Busy = 0,
    Blocked = 1,
    Idle = 2,
}

const STATES: usize = 3;

/// One thread's account.
#[derive(Debug)]
pub(crate) struct Account {
    state: AtomicUsize,
    /// Since when, by our monotonic clock.
    since: AtomicU64,
    spent: [AtomicU64; STATES],
}

impl Account {
    fn new(now: u64) -> Self {
        Self { state: AtomicUsize::new(State::Idle as usize), since: AtomicU64::new(now), spent: Default::default() }
    }

    /// From here on it does this.
    pub(crate) fn enter(&self, state: State, now: u64) {
        let since = self.since.swap(now, Relaxed);
        let before = self.state.swap(state as usize, Relaxed);
        self.spent[before].fetch_add(now.saturating_sub(since), Relaxed);
    }

    /// What ends now took so long in all, of which it was idle for a part; from here on it is busy.
    pub(crate) fn was(&self, idle_nanos: u64, now: u64) {
        let since = self.since.swap(now, Relaxed);
        let all = now.saturating_sub(since);
        let idle = idle_nanos.min(all);
        self.spent[State::Idle as usize].fetch_add(idle, Relaxed);
        self.spent[State::Busy as usize].fetch_add(all - idle, Relaxed);
        self.state.store(State::Busy as usize, Relaxed);
    }

    /// Waits until the guard is dropped, then is busy.
    pub(crate) fn during<'a>(&'a self, state: State, clock: &'a Clock) -> During<'a> {
        self.enter(state, clock.nanos());
        During { account: self, clock }
    }

    /// With what the present state has lasted. A look in the midst of a change may be off by that moment.
    fn read(&self, now: u64) -> [u64; STATES] {
        let mut spent = [0, 1, 2].map(|state: usize| self.spent[state].load(Relaxed));
        spent[self.state.load(Relaxed).min(STATES - 1)] += now.saturating_sub(self.since.load(Relaxed));
        spent
    }
}

/// See [`Account::during`].
pub(crate) struct During<'a> {
    account: &'a Account,
    clock: &'a Clock,
}

impl Drop for During<'_> {
    fn drop(&mut self) {
        self.account.enter(State::Busy, self.clock.nanos());
    }
}

/// The accounts of one attempt.
#[derive(Debug)]
pub(crate) struct Stages {
    pub(crate) input: Account,
    /// One a worker.
    pub(crate) filter: Vec<Account>,
    pub(crate) scheduler: Account,
    /// Busy while the sink holds what it has not acknowledged.
    pub(crate) output: Account,
}

/// The order in which stages are told.
pub const STAGES: [Component; 4] = [Component::Input, Component::Filter, Component::Scheduler, Component::Output];

type Spent = [[u64; STATES]; STAGES.len()];

impl Stages {
    pub(crate) fn new(workers: usize, now: u64) -> Self {
        let account = || Account::new(now);
        Self {
            input: account(),
            filter: (0..workers).map(|_| account()).collect(),
            scheduler: account(),
            output: account(),
        }
    }

    fn read(&self, now: u64) -> Spent {
        let mut filter = [0; STATES];
        for spent in self.filter.iter().map(|account| account.read(now)) {
            filter.iter_mut().zip(spent).for_each(|(sum, spent)| *sum += spent);
        }
        [self.input.read(now), filter, self.scheduler.read(now), self.output.read(now)]
    }
}

/// Parts of the time, in the order of [`STAGES`]: busy, blocked, idle. Those of a stage add up to 1.
pub type Ratios = [[f64; STATES]; STAGES.len()];

/// Looks at the accounts a few times a second.
#[derive(Debug, Default)]
pub(crate) struct Looks(VecDeque<Spent>);

/// Of looks that are 200 ms apart: ten seconds.
const LOOKS: usize = 50;

impl Looks {
    /// What the last ten seconds were spent on; `None` at the first look.
    pub(crate) fn look(&mut self, stages: &Stages, now: u64) -> Option<Ratios> {
        let spent = stages.read(now);
        let ratios = self.0.front().map(|before| ratios(before, &spent));
        self.0.push_back(spent);
        if self.0.len() > LOOKS {
            self.0.pop_front();
        }
        ratios
    }
}

fn ratios(before: &Spent, now: &Spent) -> Ratios {
    let mut ratios = Ratios::default();
    for ((ratio, before), now) in ratios.iter_mut().zip(before).zip(now) {
        // A time that was moved from one state to another between two looks is no negative time.
        let spent = [0, 1, 2].map(|state: usize| now[state].saturating_sub(before[state]) as f64);
        let all: f64 = spent.iter().sum();
        *ratio = if all > 0.0 { spent.map(|spent| spent / all) } else { [0.0, 0.0, 1.0] };
    }
    ratios
}

/// What sets the pace, with what would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    pub component: Component,
    pub why: &'static str,
    pub help: &'static str,
}

/// A stage that has so much of its time to do is the one.
const BUSY: f64 = 0.7;
/// A reader that is held up for so much of its time is held up.
const HELD_UP: f64 = 0.3;

/// `None` while nothing is in anybody's way: the source sends no more than we take.
pub fn bottleneck(ratios: &Ratios) -> Option<Bottleneck> {
    let [input, filter, scheduler, output] = ratios;
    let (busy, blocked) = (State::Busy as usize, State::Blocked as usize);
    if input[blocked] >= HELD_UP {
        return Some(if filter[busy] >= BUSY {
            Bottleneck {
                component: Component::Filter,
                why: "decoding, transforming and encoding take all the time of their threads",
                help: "give the process more processors; take columns and tables out that nobody needs",
            }
        } else if scheduler[busy] >= BUSY {
            Bottleneck {
                component: Component::Scheduler,
                why: "putting batches in order and handing them to the sink takes all the time of its thread",
                help: "split the tables over several pipelines",
            }
        } else {
            let waits = output[busy] >= BUSY || scheduler[blocked] >= HELD_UP;
            Bottleneck {
                component: Component::Output,
                why: if waits { "the sink takes records more slowly than they come" } else { "the sink holds us up" },
                help: "look at the sink's own load and at the network to it; more partitions, compression, a longer commit-interval",
            }
        });
    }
    (input[busy] >= BUSY).then_some(Bottleneck {
        component: Component::Input,
        why: "reading the source's log takes all the time of its thread",
        help: "log less (tables that nobody captures, row images); split the source's databases over several servers",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_of_a_thread_is_told_once() {
        let account = Account::new(100);
        assert_eq!(account.read(110), [0, 0, 10], "idle from the beginning");
        account.enter(State::Busy, 120);
        account.enter(State::Blocked, 150);
        assert_eq!(account.read(155), [30, 5, 20]);
        account.enter(State::Busy, 160);
        account.was(15, 200);
        assert_eq!(account.read(200), [55, 10, 35]);
        account.was(50, 210);
        assert_eq!(account.read(210), [55, 10, 45], "no longer idle than it took");
        assert_eq!(account.read(210).iter().sum::<u64>(), 110);
    }

    #[test]
    fn ratios_are_of_the_last_ten_seconds_and_add_up() {
        let stages = Stages::new(2, 0);
        let mut looks = Looks::default();
        assert_eq!(looks.look(&stages, 0), None);
        const LOOK: u64 = 200_000_000;
        stages.filter[0].enter(State::Busy, 0);
        let ratios = (1..=100).map(|turn| looks.look(&stages, turn * LOOK)).last().flatten().unwrap();
        assert_eq!(ratios[0], [0.0, 0.0, 1.0]);
        assert_eq!(ratios[1], [0.5, 0.0, 0.5], "one of two workers");
        stages.input.enter(State::Blocked, 100 * LOOK);
        let ratios = (101..=149).map(|turn| looks.look(&stages, turn * LOOK)).last().flatten().unwrap();
        assert!((ratios[0][1] - 0.98).abs() < 1e-9 && (ratios[0].iter().sum::<f64>() - 1.0).abs() < 1e-9, "{ratios:?}");
    }

    #[test]
    fn who_sets_the_pace_is_told_and_nobody_where_nobody_does() {
        let idle = [0.0, 0.0, 1.0];
        let check = |ratios: Ratios, expected: Option<Component>| {
            assert_eq!(bottleneck(&ratios).map(|found| found.component), expected, "{ratios:?}");
        };
        check([idle; 4], None);
        check([[0.2, 0.0, 0.8], [0.4, 0.0, 0.6], idle, [0.9, 0.0, 0.1]], None);
        check([[0.1, 0.9, 0.0], [0.2, 0.0, 0.8], idle, [1.0, 0.0, 0.0]], Some(Component::Output));
        check([[0.1, 0.9, 0.0], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0]], Some(Component::Output));
        check([[0.3, 0.6, 0.1], [0.95, 0.0, 0.05], [0.2, 0.0, 0.8], [0.9, 0.0, 0.1]], Some(Component::Filter));
        check([[0.3, 0.6, 0.1], [0.4, 0.5, 0.1], [0.9, 0.0, 0.1], [0.9, 0.0, 0.1]], Some(Component::Scheduler));
        check([[0.9, 0.0, 0.1], [0.3, 0.0, 0.7], idle, idle], Some(Component::Input));
    }
}
