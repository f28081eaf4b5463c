//! Lines on standard output.
//!
//! Owns: the stream. Does not own: the form of a line (`line`).
//!
//! Invariant: a batch is reported durable once the stream has taken all of it. What the reader at the other end does
//! with it is the reader's: for a pipe, "durable" means handed over.

use std::io::{Stdout, Write};
use std::time::Duration;

use limpid_connector::{Accepted, Clock, EncodedBatch, Sink, SinkEvent};
use limpid_model::{Fault, FaultCode};

use crate::held::{HELD_BYTES_MAX, Held};
use crate::{faults, line};

/// Writes lines to a stream, standard output by default.
#[derive(Debug)]
pub struct StdoutSink<W = Stdout> {
    out: W,
    clock: Clock,
    buffer: Vec<u8>,
    held: Held,
}

impl StdoutSink {
    pub fn new(clock: Clock) -> Self {
        Self::to(std::io::stdout(), clock)
    }
}

impl<W: Write + Send> StdoutSink<W> {
    /// To another stream.
    pub fn to(out: W, clock: Clock) -> Self {
        Self { out, clock, buffer: Vec::new(), held: Held::default() }
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn open(&mut self) -> Result<(), Fault> {
        self.held.clear();
        Ok(())
    }

    fn write(&mut self, batch: Box<EncodedBatch>) -> Result<Accepted, Fault> {
        if !self.held.has_room(&batch) {
            return Ok(Accepted::Full(batch));
        }
        line::write_lines(&batch, &mut self.buffer, |chunk| self.out.write_all(chunk))
            .and_then(|()| self.out.flush())
            .map_err(|error| {
                // Never transient, a full disk neither: half a line cannot be taken back, and what came next would be
                // joined to it.
                let sentence = match error.kind() {
                    std::io::ErrorKind::BrokenPipe => "cannot write to standard output: its reader has gone",
                    _ => "cannot write to standard output",
                };
                faults::fault(FaultCode::SinkWriteFailed, sentence, "stdout").because(error)
            })?;
        self.held.push(batch);
        Ok(Accepted::Taken)
    }

    fn poll(&mut self, wait: Duration, events: &mut Vec<SinkEvent>) -> Result<(), Fault> {
        if self.held.is_empty() {
            // Nothing can come: waiting is what keeps a caller that polls in a loop from turning in it.
            self.clock.sleep(wait);
        }
        self.held.report(events);
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
        "stdout".to_owned()
    }
}

#[cfg(test)]
mod tests;
