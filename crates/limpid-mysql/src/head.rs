//! Watches the end of the log.
//!
//! Owns: a connection of its own, asked at each look. Does not own: how often, and what follows from it.
//!
//! Invariant: bytes of lag are exact across files: log files are counted by their sizes.

use limpid_connector::{Head, HeadSeen};
use limpid_model::{Fault, Position};

use crate::client::{Client, ConnectOptions};
use crate::position::LogPosition;
use crate::server::{self, ServerFacts};

/// Watches the end of the log on a connection of its own.
pub struct LogHead {
    client: Client,
    facts: ServerFacts,
    connect: ConnectOptions,
}

impl Head for LogHead {
    fn look(&mut self, from: &Position) -> Result<HeadSeen, Fault> {
        let head = server::head(&mut self.client, &self.facts, &self.connect)?;
        let from: Option<&LogPosition> = from.downcast();
        let lag_bytes = match from {
            Some(from) if from.file == head.file => head.offset.saturating_sub(from.offset),
            Some(from) if !from.file.is_empty() => self.bytes_between(from, &head)?,
            _ => 0,
        };
        Ok(HeadSeen { position: Position::new(head), lag_bytes })
    }
}

impl LogHead {
    /// Connects.
    ///
    /// # Errors
    /// Those of connecting and of reading the server's settings.
    pub fn open(connect: &ConnectOptions) -> Result<Self, Fault> {
        let mut client = Client::connect(connect)?;
        let facts = ServerFacts::read(&mut client)?;
        Ok(Self { client, facts, connect: connect.clone() })
    }

    /// Across files: the rest of ours, whole ones between, the head's part.
    fn bytes_between(&mut self, from: &LogPosition, head: &LogPosition) -> Result<u64, Fault> {
        let files = server::logs(&mut self.client, &self.connect)?;
        let mut sum = 0;
        let mut inside = false;
        for (file, size) in &files {
            if **file == *head.file {
                return Ok(sum + head.offset);
            }
            if **file == *from.file {
                inside = true;
                sum += size.saturating_sub(from.offset);
            } else if inside {
                sum += size;
            }
        }
        Ok(sum)
    }
}
