//! Threads that serve pipelines until the process ends.
//!
//! Owns: telling them to end, all at once, and how long that is waited for. Does not own: what they do.
//!
//! Invariant: nobody waits longer for them than it says; one that stays behind ends with the process.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use limpid_connector::Stop;

use crate::run::spawn;

/// The threads; dropped, they go on.
pub struct Crew {
    stop: Stop,
    /// Each thread holds one of these, and sends nothing.
    held: Sender<Infallible>,
    ended: Receiver<Infallible>,
}

impl Crew {
    pub fn new() -> Self {
        let (held, ended) = channel();
        Self { stop: Stop::new(), held, ended }
    }

    /// Starts one that ends soon after the stop is raised.
    pub fn spawn(&self, name: &str, work: impl FnOnce(&Stop) + Send + 'static) {
        let (stop, held) = (self.stop.clone(), self.held.clone());
        // One that panics has told so on stderr, and lets go of it as well.
        let thread = spawn(name, move || {
            let _held = held;
            work(&stop);
        });
        drop(thread);
    }

    /// Tells all of them to end, and waits for that; false where some are still at it after so long.
    pub fn finish(self, time: Duration) -> bool {
        let Self { stop, held, ended } = self;
        stop.raise();
        drop(held);
        matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }
}
