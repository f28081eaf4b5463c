//! What waits, on its way to a collector: kept traces, log lines.
//!
//! Owns: a thread for each, its turns, how often a message is tried. Does not own: what waits and its messages (`Outgoing`), the
//! call (`otlp`).
//!
//! Invariant: nobody waits for a collector. What it does not take within three turns is dropped and counted; what waits
//! meanwhile is bounded by whoever holds it.

use std::thread::JoinHandle;
use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_model::Fault;
use limpid_telemetry::{Dropped, SentBy};

use super::{Call, Destination, NotTaken, TIMEOUT};
use crate::run::spawn;

/// What a process that ends gives the collector in all.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// How often what waits is sent.
const TURN: Duration = Duration::from_millis(500);

/// A message is tried so often.
const TRIES_MAX: u32 = 3;

/// Something that waits to be sent, and what is told of it.
pub trait Outgoing: Send + 'static {
    type One;

    /// The sender's thread.
    const THREAD: &'static str;

    /// The most that one message may hold.
    const COUNT_MAX: usize;

    fn destination(&self) -> &Destination;

    /// The oldest, at most so many.
    fn take(&self, count_max: usize) -> Vec<Self::One>;

    fn message(&self, by: &SentBy, some: &[Self::One]) -> Vec<u8>;

    /// So many were taken by the collector; `is_again` after others that were not.
    fn taken(&self, count: usize, is_again: bool);

    /// A message was not taken, and may be tried again; `is_first` after others that were, or none.
    fn refused(&self, not: NotTaken, is_first: bool);

    /// So many will not be sent.
    fn dropped(&self, why: Dropped, count: usize);
}

/// The threads.
pub struct Senders {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    /// Starts a thread for each. `instance` tells this process from others.
    ///
    /// # Errors
    /// `CONFIG_BAD_VALUE` for what is no address.
    pub fn start<Q: Outgoing>(all: Vec<Q>, instance: &str, clock: &Clock) -> Result<Self, Fault> {
        let stop = Stop::new();
        let mut threads = Vec::new();
        for outgoing in all {
            let sender = Sender::new(outgoing, instance, clock)?;
            let stop = stop.clone();
            threads.push(spawn(Q::THREAD, move || sender.run(&stop)));
        }
        Ok(Self { stop, threads })
    }

    /// Sends what waits, for a second at the most, and ends.
    pub fn finish(self) {
        self.stop.raise();
        for thread in self.threads {
            // One that panicked has told so on stderr, and nothing that it sends is worth more.
            let _ = thread.join();
        }
    }
}

struct Sender<Q> {
    outgoing: Q,
    by: SentBy,
    clock: Clock,
    call: Call,
    last_call: Call,
}

impl<Q: Outgoing> Sender<Q> {
    fn new(outgoing: Q, instance: &str, clock: &Clock) -> Result<Self, Fault> {
        let destination = outgoing.destination();
        let by = destination.sent_by(instance);
        let call = Call::new(destination, TIMEOUT)?;
        let last_call = Call::new(destination, LAST_TIMEOUT)?;
        Ok(Self { outgoing, by, clock: clock.clone(), call, last_call })
    }

    fn run(&self, stop: &Stop) {
        let mut works = None;
        let mut waiting: Option<(Vec<Q::One>, u32)> = None;
        loop {
            let is_last = stop.wait(TURN);
            if is_last {
                return self.finish(waiting.map(|(some, _)| some), &mut works);
            }
            loop {
                let (some, tried) = waiting.take().unwrap_or_else(|| (self.outgoing.take(Q::COUNT_MAX), 0));
                if some.is_empty() {
                    break;
                }
                match self.send(&self.call, &some, &mut works) {
                    Ok(()) => {}
                    Err(Dropped::Unreachable) if tried + 1 < TRIES_MAX => {
                        waiting = Some((some, tried + 1));
                        break;
                    }
                    Err(why) => self.outgoing.dropped(why, some.len()),
                }
                if works == Some(false) {
                    break;
                }
            }
        }
    }

    /// Whatever still waits, as long as there is time.
    fn finish(&self, waiting: Option<Vec<Q::One>>, works: &mut Option<bool>) {
        let until = self.clock.nanos() + LAST_TIMEOUT.as_nanos() as u64;
        let mut waiting = waiting;
        loop {
            let some = waiting.take().unwrap_or_else(|| self.outgoing.take(Q::COUNT_MAX));
            if some.is_empty() {
                return;
            }
            let has_time = self.clock.nanos() < until;
            if !has_time || self.send(&self.last_call, &some, works).is_err() {
                let rest = self.outgoing.take(usize::MAX).len();
                return self.outgoing.dropped(Dropped::Stopped, some.len() + rest);
            }
        }
    }

    fn send(&self, call: &Call, some: &[Q::One], works: &mut Option<bool>) -> Result<(), Dropped> {
        let sent = call.send(&self.outgoing.message(&self.by, some));
        let worked = works.replace(sent.is_ok());
        sent.map(|()| self.outgoing.taken(some.len(), worked == Some(false))).map_err(|not| {
            let why = if not.is_passing { Dropped::Unreachable } else { Dropped::Refused };
            self.outgoing.refused(not, worked != Some(false));
            why
        })
    }
}
