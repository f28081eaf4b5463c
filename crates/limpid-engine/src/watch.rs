//! Watches one attempt from beside: the end of the source's log, and how full the queues are.
//!
//! Owns: how often, and against which position the end is measured. Does not own: the connection (`limpid-connector`'s
//! `Head`), what follows from a look (the observer).
//!
//! Invariant: the position measured from was delivered before the source was asked, so a lag of 0 means that all that
//! was committed before the question is delivered. A look that fails is no reason to stop anything.

use std::time::Duration;

use limpid_connector::Head;

use crate::flow::Shared;
use crate::observe::{Fill, HeadLooked};

/// How often the end of the log is looked at: the period that verdicts are told in.
const PERIOD: Duration = Duration::from_millis(200);

/// Runs until the attempt ends.
pub(crate) fn run(mut head: Box<dyn Head>, shared: &Shared) {
    while !shared.abort.wait(PERIOD) {
        let (flight_bytes, flight_bytes_max) = shared.budget.used();
        let (sink_bytes, sink_bytes_max) = shared.sink_held();
        let (raw_batches, made_batches) = shared.waiting();
        shared.observer.fill(Fill {
            raw_batches,
            made_batches,
            flight_bytes,
            flight_bytes_max,
            sink_bytes,
            sink_bytes_max,
        });
        if let Some(copying) = &shared.copying {
            shared.observer.copying(&copying.progress(shared.clock.nanos()));
        }
        let (asked_nanos, asked_micros) = (shared.clock.nanos(), shared.clock.wall_micros());
        let from = shared.covered();
        if let Ok(seen) = head.look(&from)
            && let Some(lag_bytes) = seen.lag_bytes
        {
            let position = seen.position.text();
            shared.observer.head(HeadLooked { position: &position, lag_bytes, asked_nanos, asked_micros });
        }
    }
}
