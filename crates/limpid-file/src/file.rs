//! Lines in a file.
//!
//! Owns: which batches wait for the disk, when it is asked, when the file is rotated. Does not own: the file itself
//! (`file::lines`), the form of a line (`line`).
//!
//! Invariant: a batch is reported durable only after the level of `fsync` that was chosen allows it; after any failure
//! the file holds whole batches only, and the sink does nothing until it is opened again. Whatever was not reported
//! is handed in again by the engine: then lines may be there twice, and none is missing.
//!
//! The sink keeps no position record: one beside the file would have to be synced in the same step as the lines to be
//! better than the local state, and a file moved away by its reader would take it along.

mod lines;
mod name;

use std::io;
use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Sink, SinkEvent};
use limpid_model::{Fault, FaultCode};

use crate::config::{FileOptions, Fsync};
use crate::held::{HELD_BYTES_MAX, Held};
use crate::{faults, line};
use lines::LineFile;

/// How often [`Fsync::Interval`] asks the disk: what a crash of the machine makes us send again.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Writes lines to one file at a time.
#[derive(Debug)]
pub struct FileSink {
    options: FileOptions,
    clock: Clock,
    /// `None` before it is opened and after a failure.
    file: Option<LineFile>,
    /// Written, not reported; in order.
    held: Held,
    /// Clock nanoseconds of the last sync.
    synced_at: u64,
    /// A batch was turned away: the next poll asks the disk.
    turned_away: bool,
    buffer: Vec<u8>,
}

impl FileSink {
    pub fn new(options: FileOptions, clock: Clock) -> Self {
        Self { options, clock, file: None, held: Held::default(), synced_at: 0, turned_away: false, buffer: Vec::new() }
    }

    fn object(&self) -> String {
        self.options.path.display().to_string()
    }

    /// Writes all lines of a batch, or none.
    fn append(&mut self, batch: &EncodedBatch) -> Result<(), Fault> {
        let object = self.object();
        self.rotate_if_due()?;
        let now = self.clock.wall_micros();
        let file = self.file.as_mut().ok_or_else(|| not_open(&object))?;
        let start = file.end();
        if start == 0 {
            file.begin(now);
        }
        let written = line::write_lines(batch, &mut self.buffer, |chunk| file.append(chunk));
        written.map_err(|error| {
            let fault = faults::of_io(error, "write to the file", &object);
            self.give_up(start, fault)
        })
    }

    /// Cuts the file back to whole batches and closes it. If even that fails, opening it again mends it.
    fn give_up(&mut self, whole: u64, fault: Fault) -> Fault {
        if let Some(file) = self.file.take() {
            let _ = file.cut(whole);
        }
        fault
    }

    /// Asks the disk for everything written so far, unless it is never asked.
    fn sync(&mut self) -> Result<(), Fault> {
        let object = self.object();
        let file = self.file.as_mut().ok_or_else(|| not_open(&object))?;
        if self.options.fsync != Fsync::Never
            && let Err(error) = file.sync()
        {
            // After a failed sync nobody knows which lines the disk has: all that were not reported go.
            let reported = file.synced();
            let fault = faults::of_io(error, "sync the file", &object);
            return Err(self.give_up(reported, fault));
        }
        self.synced_at = self.clock.nanos();
        self.turned_away = false;
        Ok(())
    }

    /// Puts the file aside if it is full or old. What it holds is synced first, so that a later sync of the next file
    /// covers both.
    fn rotate_if_due(&mut self) -> Result<(), Fault> {
        let now = self.clock.wall_micros();
        let due = self.file.as_ref().is_some_and(|file| {
            let full = self.options.rotate_bytes.is_some_and(|max| file.end() >= max);
            let age = u64::try_from(now.saturating_sub(file.born_micros())).unwrap_or(0);
            let old = self.options.rotate_every.is_some_and(|every| Duration::from_micros(age) >= every);
            file.end() > 0 && (full || old)
        });
        if !due {
            return Ok(());
        }
        self.sync()?;
        // Dropped first, so that a failure on the way leaves a sink that must be opened again.
        drop(self.file.take());
        let path = &self.options.path;
        let rotate = || -> io::Result<()> {
            match name::put_aside(path, now) {
                // Somebody else took it away: the new one begins all the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => drop(done?),
            }
            if self.options.fsync == Fsync::Never { Ok(()) } else { name::sync_directory(path) }
        };
        rotate().map_err(|error| faults::of_io(error, "put the full file aside", &self.object()))?;
        self.file = Some(LineFile::open(path, self.options.fsync, now)?);
        Ok(())
    }

    /// How long until what is held must be synced; zero when it is due.
    fn time_left(&self) -> Duration {
        if self.options.fsync != Fsync::Interval || self.turned_away {
            return Duration::ZERO;
        }
        let since = Duration::from_nanos(self.clock.nanos().saturating_sub(self.synced_at));
        SYNC_EVERY.saturating_sub(since)
    }
}

impl Sink for FileSink {
    fn open(&mut self) -> Result<(), Fault> {
        self.held.clear();
        self.turned_away = false;
        self.synced_at = self.clock.nanos();
        // The lock on the old handle would keep the new one out.
        drop(self.file.take());
        self.file = Some(LineFile::open(&self.options.path, self.options.fsync, self.clock.wall_micros())?);
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        if !self.held.has_room(&batch) {
            self.turned_away = true;
            return Ok(Accepted::Full(batch));
        }
        self.append(&batch)?;
        self.held.push(batch);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.held.is_empty() {
            self.rotate_if_due()?;
            // Nothing can come: waiting is what keeps a caller that polls in a loop from turning in it.
            self.clock.sleep(wait);
            return Ok(());
        }
        let left = self.time_left();
        if !left.is_zero() {
            self.clock.sleep(left.min(wait));
        }
        if self.time_left().is_zero() {
            self.sync()?;
            self.held.report(events);
        }
        Ok(())
    }

    fn load_record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn save_record(&mut self, _record: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn held_bytes(&self) -> (u64, u64) {
        (self.held.bytes(), HELD_BYTES_MAX)
    }

    fn endpoint(&self) -> String {
        self.object()
    }
}

fn not_open(object: &str) -> Fault {
    faults::fault(FaultCode::SinkWriteFailed, "the file is not open: it failed and was not opened again", object)
}

#[cfg(test)]
mod tests;
