//! What an operator asks about rows that are kept, and what became of it.
//!
//! Owns: asks until the delivery takes them, the last outcomes, looking at what is kept. Does not own: who may ask
//! (`limpid-server`), doing it (`replay`).
//!
//! Invariant: an ask that was taken up has an outcome in the end, if only that its attempt ended before it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use limpid_model::{Component, Fault, FaultCode, PipelineName, TableName};
use limpid_state::{ParkedRow, Store};

/// What is done with rows that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedAction {
    /// They go to the sink. `force`: although a later version of their key has.
    Replay { force: bool },
    /// They are given up.
    Drop,
}

/// Which rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedSelection {
    /// `None`: all.
    pub ids: Option<Vec<u64>>,
    pub table: Option<TableName>,
}

/// One ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedAsk {
    pub number: u64,
    pub action: ParkedAction,
    pub selection: ParkedSelection,
}

/// What became of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedOutcome {
    pub number: u64,
    /// Rows delivered or given up.
    pub done: u64,
    /// Rows that stay, and why.
    pub refused: Vec<(u64, String)>,
    /// The attempt ended before it was done.
    pub interrupted: bool,
}

/// An ask taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) ask: ParkedAsk,
    /// Rows delivered or given up so far.
    pub(crate) done: u64,
    /// An attempt before this one had taken it up, and learned which row the sink does not take.
    pub(crate) is_again: bool,
}

/// Asks that wait: an operator's calls, not a flood.
const WAITING_MAX: usize = 64;

/// Outcomes that are remembered.
const OUTCOMES_MAX: usize = 64;

/// Shared by a pipeline's handle and its attempts.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// Set when the pipeline begins.
    shelf: OnceLock<(Arc<Store>, PipelineName)>,
    queue: Mutex<Queue>,
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    last: u64,
    waiting: VecDeque<Taken>,
    under_way: Option<Taken>,
    outcomes: VecDeque<ParkedOutcome>,
}

impl Asks {
    /// Numbers begin at the machine's time, so that two processes give the same only where it was set back.
    pub(crate) fn begin(&self, store: &Arc<Store>, name: &PipelineName, wall_micros: i64) {
        let _ = self.shelf.set((Arc::clone(store), name.clone()));
        let mut queue = self.lock();
        queue.last = queue.last.max(u64::try_from(wall_micros).unwrap_or(0));
    }

    /// Its number; `None` when too many wait.
    pub(crate) fn ask(&self, action: ParkedAction, selection: ParkedSelection) -> Option<u64> {
        let mut queue = self.lock();
        if queue.waiting.len() >= WAITING_MAX {
            return None;
        }
        queue.last += 1;
        let number = queue.last;
        let ask = ParkedAsk { number, action, selection };
        queue.waiting.push_back(Taken { ask, done: 0, is_again: false });
        self.any.store(true, Ordering::Release);
        Some(number)
    }

    /// The next ask, which is under way from now on.
    #[inline]
    pub(crate) fn take(&self) -> Option<Taken> {
        if !self.any.load(Ordering::Acquire) { None } else { self.take_first() }
    }

    #[cold]
    fn take_first(&self) -> Option<Taken> {
        let mut queue = self.lock();
        let taken = queue.waiting.pop_front();
        queue.under_way.clone_from(&taken);
        self.any.store(!queue.waiting.is_empty(), Ordering::Release);
        taken
    }

    /// So many more rows of the ask under way are done.
    pub(crate) fn done(&self, rows: u64) {
        if let Some(taken) = &mut self.lock().under_way {
            taken.done += rows;
        }
    }

    /// The attempt ended because the sink's system refused a row, which the next one knows beforehand: what was under
    /// way is taken up once more then.
    pub(crate) fn once_more(&self) {
        let mut queue = self.lock();
        if let Some(taken) = queue.under_way.take_if(|taken| !taken.is_again) {
            queue.waiting.push_front(Taken { is_again: true, ..taken });
            self.any.store(true, Ordering::Release);
        }
    }

    pub(crate) fn ended(&self, outcome: ParkedOutcome) {
        let mut queue = self.lock();
        queue.under_way = None;
        queue.outcomes.push_back(outcome);
        if queue.outcomes.len() > OUTCOMES_MAX {
            queue.outcomes.pop_front();
        }
    }

    /// An attempt begins: whatever the one before had under way is not done by it.
    pub(crate) fn interrupted(&self) {
        let under_way = self.lock().under_way.take();
        if let Some(Taken { ask: ParkedAsk { number, .. }, done, .. }) = under_way {
            self.ended(ParkedOutcome { number, done, interrupted: true, ..ParkedOutcome::default() });
        }
    }

    pub(crate) fn outcomes(&self) -> Vec<ParkedOutcome> {
        self.lock().outcomes.iter().cloned().collect()
    }

    /// What is kept, in its order.
    pub(crate) fn rows(&self) -> Result<Vec<ParkedRow>, Fault> {
        let Some((store, name)) = self.shelf.get() else { return Ok(Vec::new()) };
        store.parked(name)
    }

    pub(crate) fn body(&self, id: u64) -> Result<super::Body, Fault> {
        let body = match self.shelf.get() {
            Some((store, name)) => store.parked_body(name, id)?,
            None => None,
        };
        let Some(body) = body else {
            return Err(Fault::new(FaultCode::HttpNotFound, Component::Server, format!("no row {id} is kept")));
        };
        super::Body::decode(&body)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("never held across a panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_is_taken_once_and_ends_with_its_attempt() {
        let asks = Asks::default();
        assert_eq!(asks.take(), None);
        let first = asks.ask(ParkedAction::Drop, ParkedSelection::default()).unwrap();
        let second = asks.ask(ParkedAction::Replay { force: false }, ParkedSelection::default()).unwrap();
        assert_eq!(asks.take().map(|taken| taken.ask.number), Some(first));
        asks.interrupted();
        assert_eq!(asks.take().map(|taken| taken.ask.number), Some(second));
        asks.ended(ParkedOutcome { number: second, done: 3, ..ParkedOutcome::default() });
        asks.interrupted();
        let told: Vec<_> = asks.outcomes().iter().map(|outcome| (outcome.number, outcome.interrupted)).collect();
        assert_eq!(told, [(first, true), (second, false)]);
        for _ in 0..WAITING_MAX {
            assert!(asks.ask(ParkedAction::Drop, ParkedSelection::default()).is_some());
        }
        assert_eq!(asks.ask(ParkedAction::Drop, ParkedSelection::default()), None);
    }

    #[test]
    fn an_ask_that_met_a_row_the_sink_does_not_take_is_taken_up_once_more() {
        let asks = Asks::default();
        let first = asks.ask(ParkedAction::Replay { force: false }, ParkedSelection::default()).unwrap();
        let second = asks.ask(ParkedAction::Drop, ParkedSelection::default()).unwrap();
        asks.once_more();
        assert!(!asks.take().unwrap().is_again, "none was under way");
        asks.done(2);
        asks.once_more();
        asks.interrupted();
        assert_eq!(asks.outcomes(), []);
        let again = asks.take().unwrap();
        assert_eq!((again.ask.number, again.done, again.is_again), (first, 2, true), "before those behind it");
        asks.once_more();
        asks.interrupted();
        let outcome = ParkedOutcome { number: first, done: 2, interrupted: true, ..ParkedOutcome::default() };
        assert_eq!(asks.outcomes(), [outcome], "and no further time");
        assert_eq!(asks.take().map(|taken| taken.ask.number), Some(second));
    }
}
