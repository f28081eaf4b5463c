//! A table that is read whole, as of one moment, over one connection that stays open.
//!
//! Owns: the answer in progress. Does not own: the moment (`copy::fence`), rows (`copy::packets`).
//!
//! Invariant: memory is bounded by one piece: the server waits while nobody reads on.

use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{Chunk, Clock, KeyRange};
use limpid_model::{Fault, Position};

use super::fence::{self, Nearness, Opened};
use super::keys::SqlRange;
use super::known::Known;
use super::link::Link;
use super::packets::{Origin, RowReader};
use super::{Refused, begin_rows, broken, chunk};
use crate::client::Prepared;
use crate::position::LogPosition;
use crate::stream::MySqlOptions;

/// A table being read.
pub struct Whole {
    known: Arc<Known>,
    statement: Prepared,
    reader: RowReader,
    fence: LogPosition,
}

impl Whole {
    /// Opens the moment and asks for the rows. The inner error: the table changed, and is to be learnt anew.
    ///
    /// # Errors
    /// Those of the moment and of queries.
    pub fn begin(
        link: &mut Link,
        clock: &Clock,
        known: Arc<Known>,
        predicate: Option<&str>,
        options: &MySqlOptions,
    ) -> Result<Result<Self, Fault>, Fault> {
        let fence = match fence::open(link, &known, Nearness::Same)? {
            Opened::At(fence) => fence,
            Opened::Changed | Opened::Again => return Ok(Err(link.restless(&known.name))),
        };
        let sql = known.select(&SqlRange::default(), predicate, None);
        let origin = Origin { fence: fence.clone(), micros: clock.wall_micros() };
        match begin_rows(link, &known, &sql, origin, options) {
            Ok((statement, reader)) => Ok(Ok(Self { known, statement, reader, fence })),
            Err(Refused::Changed(fault)) => Ok(Err(fault.unwrap_or_else(|| link.restless(&known.name)))),
            Err(Refused::Fault(fault)) => Err(fault),
        }
    }

    pub fn fence(&self) -> Position {
        Position::new(self.fence.clone())
    }

    /// The next rows, about so many bytes of them; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or a row cannot be read.
    pub fn next(&mut self, link: &mut Link, clock: &Clock, bytes_max: u64) -> Result<Option<Chunk>, Fault> {
        let begin = clock.nanos();
        let piece = self.reader.read(&mut link.client, bytes_max.max(1));
        let piece = piece.map_err(|error| broken(link, &self.known, error))?;
        if piece.rows == 0 {
            return Ok(None);
        }
        let took = Duration::from_nanos(clock.nanos() - begin);
        Ok(Some(chunk(link, &self.known, KeyRange::default(), None, piece, self.fence(), took)))
    }

    /// Ends the moment, after the last row.
    ///
    /// # Errors
    /// Those of a query.
    pub fn end(&self, link: &mut Link) -> Result<(), Fault> {
        let closed = link.client.close(self.statement);
        closed.map_err(|error| link.table_fault("read a table", error, &self.known.name))?;
        fence::close(link)
    }
}
