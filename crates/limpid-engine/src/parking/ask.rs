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
    waiting: VecDeque<ParkedAsk>,
    under_way: Option<u64>,
    outcomes: VecDeque<ParkedOutcome>,
}

impl Asks {
    pub(crate) fn begin(&self, store: &Arc<Store>, name: &PipelineName) {
        let _ = self.shelf.set((Arc::clone(store), name.clone()));
    }

    /// Its number; `None` when too many wait.
    pub(crate) fn ask(&self, action: ParkedAction, selection: ParkedSelection) -> Option<u64> {
        let mut queue = self.lock();
        if queue.waiting.len() >= WAITING_MAX {
            return None;
        }
        queue.last += 1;
        let number = queue.last;
        queue.waiting.push_back(ParkedAsk { number, action, selection });
        self.any.store(true, Ordering::Release);
        Some(number)
    }

    /// The next ask, which is under way from now on.
    #[inline]
    pub(crate) fn take(&self) -> Option<ParkedAsk> {
        if !self.any.load(Ordering::Acquire) { None } else { self.take_first() }
    }

    #[cold]
    fn take_first(&self) -> Option<ParkedAsk> {
        let mut queue = self.lock();
        let ask = queue.waiting.pop_front();
        queue.under_way = ask.as_ref().map(|ask| ask.number);
        self.any.store(!queue.waiting.is_empty(), Ordering::Release);
        ask
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
        let under_way = self.lock().under_way;
        if let Some(number) = under_way {
            self.ended(ParkedOutcome { number, interrupted: true, ..ParkedOutcome::default() });
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
        assert_eq!(asks.take().map(|ask| ask.number), Some(first));
        asks.interrupted();
        assert_eq!(asks.take().map(|ask| ask.number), Some(second));
        asks.ended(ParkedOutcome { number: second, done: 3, ..ParkedOutcome::default() });
        asks.interrupted();
        let told: Vec<_> = asks.outcomes().iter().map(|outcome| (outcome.number, outcome.interrupted)).collect();
        assert_eq!(told, [(first, true), (second, false)]);
        for _ in 0..WAITING_MAX {
            assert!(asks.ask(ParkedAction::Drop, ParkedSelection::default()).is_some());
        }
        assert_eq!(asks.ask(ParkedAction::Drop, ParkedSelection::default()), None);
    }
}
