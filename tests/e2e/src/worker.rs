//! A thread of the harness that does the same over and over.
//!
//! Owns: its stop. Does not own: what it does.
//!
//! Invariant: one that is not ended is told to stop when it is dropped: a case that failed must not go on writing beside
//! the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

/// Takes turns until it is told to stop.
pub struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Worker {
    pub fn start(mut turn: impl FnMut() -> Result<()> + Send + 'static) -> Self {
        Self::over((), move |()| turn(), |()| Ok(()))
    }

    /// With something of its own, which is left in order by `last`.
    pub fn over<T: Send + 'static>(
        mut own: T,
        mut turn: impl FnMut(&mut T) -> Result<()> + Send + 'static,
        last: impl FnOnce(&mut T) -> Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                turn(&mut own)?;
            }
            last(&mut own)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it and reports what went wrong.
    pub fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().context("ended once")?.join().ok().context("a thread of the harness panicked")?
    }
}

impl Drop for Worker {
    /// Waits for nothing: its server may be gone, and its client wait for an answer for ever.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
