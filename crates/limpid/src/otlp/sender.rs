//! What waits, on its way to a collector: kept traces, log lines.
//!
//! Owns: a thread for each, its turns, how often a message is tried. Does not own: what waits and its messages (`Outgoing`), the
//! call (`otlp`).
//!
//! Invariant: nobody waits for a collector. A message that finds nobody within three turns is dropped and counted; one that is
//! refused is so at once. What waits meanwhile is bounded by whoever holds it. The end of the process is looked for between any
//! two messages.

use std::collections::VecDeque;
use std::time::Duration;

use limpid_connector::{Clock, Stop};
use limpid_model::Fault;
use limpid_telemetry::{Dropped, OtlpMessage, SentBy};

use super::{Call, Destination, LAST_TIMEOUT, NotTaken, TIMEOUT};
use crate::crew::Crew;

/// How often what waits is sent: a call a second is not seen, and who follows a row looks at the ring, not at a collector.
const TURN: Duration = Duration::from_secs(1);

/// A message that finds nobody is tried so often.
const TRIES_MAX: u32 = 3;

/// Something that waits to be sent, and what is told of it.
pub trait Outgoing: Send + 'static {
    type One;

    /// The sender's thread.
    const THREAD: &'static str;

    fn destination(&self) -> &Destination;

    /// The most that is taken at a time.
    fn count_max(&self) -> usize;

    /// The oldest, at most so many.
    fn take(&self, count_max: usize) -> Vec<Self::One>;

    fn messages(&self, by: &SentBy, some: &[Self::One]) -> Vec<OtlpMessage>;

    /// So many were taken by the collector; `is_again` after others that were not.
    fn taken(&self, count: usize, is_again: bool);

    /// A message was not taken, or a part of it was not; `is_first` after others that were, or none.
    fn refused(&self, not: NotTaken, is_first: bool);

    /// So many will not be sent.
    fn dropped(&self, why: Dropped, count: usize);
}

/// Starts a thread for each. `instance` tells this process from others.
///
/// # Errors
/// `CONFIG_BAD_VALUE` for what is no address.
pub fn start<Q: Outgoing>(all: Vec<Q>, instance: &str, clock: &Clock, crew: &Crew) -> Result<(), Fault> {
    for outgoing in all {
        let sender = Sender::new(outgoing, instance, clock)?;
        crew.spawn(Q::THREAD, move |stop| sender.run(stop));
    }
    Ok(())
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
        let (mut waiting, mut tried) = (VecDeque::new(), 0);
        while !stop.wait(TURN) {
            while !stop.is_raised() {
                let Some(message) = self.next(&mut waiting) else { break };
                match self.send(&self.call, &message, &mut works) {
                    Ok(()) => tried = 0,
                    Err(Dropped::Unreachable) if tried + 1 < TRIES_MAX => {
                        tried += 1;
                        waiting.push_front(message);
                        break;
                    }
                    Err(why) => {
                        tried = 0;
                        self.outgoing.dropped(why, message.ends);
                        break;
                    }
                }
            }
        }
        self.finish(waiting, &mut works);
    }

    /// The oldest message of those that wait, or else the first of what is taken now.
    fn next(&self, waiting: &mut VecDeque<OtlpMessage>) -> Option<OtlpMessage> {
        if waiting.is_empty() {
            let some = self.outgoing.take(self.outgoing.count_max());
            if !some.is_empty() {
                *waiting = self.outgoing.messages(&self.by, &some).into();
            }
        }
        waiting.pop_front()
    }

    /// Whatever still waits, as long as there is time.
    fn finish(&self, mut waiting: VecDeque<OtlpMessage>, works: &mut Option<bool>) {
        let until = self.clock.nanos() + LAST_TIMEOUT.as_nanos() as u64;
        while let Some(message) = self.next(&mut waiting) {
            let has_time = self.clock.nanos() < until;
            if !has_time || self.send(&self.last_call, &message, works).is_err() {
                let made: usize = waiting.iter().map(|message| message.ends).sum();
                let rest = self.outgoing.take(usize::MAX).len();
                return self.outgoing.dropped(Dropped::Stopped, message.ends + made + rest);
            }
        }
    }

    fn send(&self, call: &Call, message: &OtlpMessage, works: &mut Option<bool>) -> Result<(), Dropped> {
        let sent = call.send(&message.bytes);
        let worked = works.replace(matches!(sent, Ok(0)));
        let is_first = worked != Some(false);
        match sent {
            Ok(0) => {
                self.outgoing.taken(message.ends, worked == Some(false));
                Ok(())
            }
            // It is not to be sent again: the rest was taken.
            Ok(rejected) => {
                let lost = usize::try_from(rejected).unwrap_or(usize::MAX).min(message.ends);
                self.outgoing.dropped(Dropped::Refused, lost);
                self.outgoing.taken(message.ends - lost, false);
                self.outgoing.refused(call.not_taken_in_part(rejected), is_first);
                Ok(())
            }
            Err(not) => {
                let why = if not.is_passing { Dropped::Unreachable } else { Dropped::Refused };
                self.outgoing.refused(not, is_first);
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests;
