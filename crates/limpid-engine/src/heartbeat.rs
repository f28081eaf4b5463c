//! A heartbeat through the source's log.
//!
//! Owns: when one is written, which are under way, how long each took. Does not own: writing it and telling it in the log (the
//! source), what is made of the times (the observer).
//!
//! Invariant: both ends of a time are read from one monotonic clock, the first before the source is asked to write, so that
//! no time is told shorter than it was. What cannot be written is told and costs nothing else. While a pipeline is paused
//! nothing is written, and what was under way is no measure any more.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use limpid_connector::{Clock, Heartbeat};

use crate::flow::Shared;
use crate::observe::{Beat, Observer};
use crate::standing::Standing;
use crate::status::{Handle, Phase};

/// How often it is looked whether there is a source to write to.
const LOOK: Duration = Duration::from_millis(100);

/// After one that could not be written the next is tried no sooner, however often they are wanted.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Heartbeats under way that are remembered: an hour at one a second. Of older ones nothing is told.
const UNDER_WAY_MAX: usize = 3600;

/// The heartbeats of one run of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    /// Number and time of each that is not delivered, oldest first. Short critical section: a search among a few.
    under_way: Mutex<VecDeque<(u64, u64)>>,
}

impl Beats {
    fn sent(&self, number: u64, nanos: u64) -> u64 {
        let mut under_way = self.under_way.lock().expect("never held across a panic");
        if under_way.len() >= UNDER_WAY_MAX {
            under_way.pop_front();
        }
        under_way.push_back((number, nanos));
        under_way.front().map_or(nanos, |(_, nanos)| *nanos)
    }

    /// It was not written. When the oldest that is left was.
    fn forget(&self, number: u64) -> Option<u64> {
        let mut under_way = self.under_way.lock().expect("never held across a panic");
        under_way.retain(|(known, _)| *known != number);
        under_way.front().map(|(_, nanos)| *nanos)
    }

    fn clear(&self) {
        self.under_way.lock().expect("never held across a panic").clear();
    }

    /// When this one was written, if it is under way.
    pub(crate) fn seen(&self, number: u64) -> Option<u64> {
        let under_way = self.under_way.lock().expect("never held across a panic");
        under_way.iter().find(|(known, _)| *known == number).map(|(_, nanos)| *nanos)
    }

    /// It is durable at the sink, and so are all before it. When it was written, and when the oldest that is left.
    pub(crate) fn delivered(&self, number: u64) -> Option<(u64, Option<u64>)> {
        let mut under_way = self.under_way.lock().expect("never held across a panic");
        let at = under_way.iter().position(|(known, _)| *known == number)?;
        let (_, nanos) = under_way.drain(..=at).next_back()?;
        Some((nanos, under_way.front().map(|(_, nanos)| *nanos)))
    }
}

/// Those of one attempt that came through the log and are not delivered: the batch each came with, and its number.
#[derive(Debug, Default)]
pub(crate) struct BeatsOut(VecDeque<(u64, u64)>);

impl BeatsOut {
    /// One came with this batch, perhaps another's.
    pub(crate) fn came(&mut self, seq: u64, instance: u64, number: u64, standing: &Standing) {
        if instance == standing.instance {
            self.0.push_back((seq, number));
        }
    }

    /// Everything before this batch is durable.
    pub(crate) fn pass(&mut self, first: u64, shared: &Shared) {
        while let Some((_, number)) = self.0.pop_front_if(|(seq, _)| *seq < first) {
            if let Some((sent, oldest_nanos)) = shared.standing.beats.delivered(number) {
                let took_nanos = shared.clock.nanos().saturating_sub(sent);
                shared.observer.beat(Beat::Delivered { took_nanos, oldest_nanos });
            }
        }
    }
}

/// Writes heartbeats until the pipeline ends.
pub(crate) fn run(standing: &Standing, handle: &Handle, observer: &dyn Observer, clock: &Clock) {
    let mut heartbeat: Option<Box<dyn Heartbeat>> = None;
    let (mut number, mut is_failing, mut wait) = (0, false, LOOK);
    while !standing.ends.wait(wait) {
        heartbeat = standing.take_heartbeat().or(heartbeat);
        wait = LOOK;
        let Some(heartbeat) = &mut heartbeat else { continue };
        if handle.phase() == Phase::Paused {
            standing.beats.clear();
            observer.beat(Beat::Paused);
            continue;
        }
        number += 1;
        let sent = clock.nanos();
        observer.beat(Beat::Sent { oldest_nanos: standing.beats.sent(number, sent) });
        let (every, mut is_written) = (heartbeat.every(), true);
        match heartbeat.beat(standing.instance, number) {
            Ok(()) if std::mem::take(&mut is_failing) => observer.beat(Beat::Again),
            Ok(()) => {}
            Err(fault) => {
                is_written = false;
                let oldest_nanos = standing.beats.forget(number);
                let is_first = !std::mem::replace(&mut is_failing, true);
                observer.beat(Beat::Failed { fault: &fault, is_first, oldest_nanos });
            }
        }
        wait = rest(every, is_written, Duration::from_nanos(clock.nanos().saturating_sub(sent)));
    }
    observer.beat(Beat::Paused);
}

/// From the end of an attempt to write one, which took so long, until the next.
fn rest(every: Duration, is_written: bool, took: Duration) -> Duration {
    let apart = if is_written { every } else { every.max(FAILED_PAUSE) };
    apart.saturating_sub(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivered_one_takes_those_before_it_along() {
        let beats = Beats::default();
        for number in 1..=4 {
            beats.sent(number, number * 10);
        }
        assert_eq!((beats.seen(2), beats.seen(5)), (Some(20), None));
        assert_eq!(beats.delivered(3), Some((30, Some(40))));
        assert_eq!((beats.seen(1), beats.delivered(3)), (None, None), "each once");
        assert_eq!(beats.forget(4), None, "nothing is left");
        assert_eq!(beats.delivered(4), None, "one that was not written is none");
        assert_eq!(beats.sent(5, 50), 50, "and holds nothing up");
    }

    #[test]
    fn one_that_could_not_be_written_is_not_tried_again_at_once() {
        let millis = Duration::from_millis;
        assert_eq!(rest(millis(100), true, millis(30)), millis(70));
        assert_eq!(rest(millis(100), false, millis(30)), millis(970));
        assert_eq!(rest(millis(5000), false, millis(30)), millis(4970), "nor sooner than one is wanted");
        assert_eq!(rest(millis(100), true, millis(300)), millis(0));
    }

    #[test]
    fn those_under_way_are_bounded() {
        let beats = Beats::default();
        let oldest = (0..UNDER_WAY_MAX as u64 + 10).map(|number| beats.sent(number, number)).last();
        assert_eq!(oldest, Some(10));
    }
}
