//! A place in a source's log, opaque to everyone but the source.
//!
//! Owns: the wrapper that the engine passes around. Does not own: any source's grammar or order (each connector's
//! `position`).
//!
//! Invariant: the engine orders by its own sequence numbers; it never compares positions.

use std::any::Any;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::batch::TxnId;

/// What a source's own position type offers to the rest of the house.
pub trait PositionValue: fmt::Debug + Send + Sync + 'static {
    /// The text form users see and the record keeps (the contract's grammar, including `+row` inside a transaction).
    fn text(&self) -> String;
    /// Order where there is one: GTID sets are ordered by inclusion, so two may be neither before nor after.
    fn compare(&self, other: &dyn PositionValue) -> Option<Ordering>;
    /// True when everything at or below `other` is at or below this place.
    fn reaches(&self, other: &dyn PositionValue) -> bool {
        matches!(self.compare(other), Some(Ordering::Equal | Ordering::Greater))
    }
    /// The same place with so many rows of the transaction in progress done (counted over all tables); the position
    /// itself for a place between transactions.
    fn with_rows_done(&self, rows: u64) -> Position;
    /// The transaction in progress and how many of its rows are done, for a place inside one.
    fn inside(&self) -> Option<(TxnId, u64)>;
    /// The place a restart begins to read at: the start of the transaction in progress, or the position itself.
    fn read_from(&self) -> Position;
    /// The transactions that are prepared but undecided at this place, each by a name of the source's own.
    fn undecided(&self) -> Vec<String> {
        Vec::new()
    }
    /// For the source to get its own type back.
    fn as_any(&self) -> &dyn Any;
}

/// A place in a log: everything at or below it is done. Cheap to clone.
#[derive(Clone)]
pub struct Position(Arc<dyn PositionValue>);

impl Position {
    pub fn new(value: impl PositionValue) -> Self {
        Self(Arc::new(value))
    }

    /// The source's own type, if it is a `T`.
    pub fn downcast<T: PositionValue>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }

    /// The text form.
    pub fn text(&self) -> String {
        self.0.text()
    }

    /// The same place with so many rows of the transaction in progress done.
    pub fn with_rows_done(&self, rows: u64) -> Position {
        self.0.with_rows_done(rows)
    }

    /// The transaction in progress and how many of its rows are done.
    pub fn inside(&self) -> Option<(TxnId, u64)> {
        self.0.inside()
    }

    /// The place a restart begins to read at.
    pub fn read_from(&self) -> Position {
        self.0.read_from()
    }

    /// The transactions that are prepared but undecided at this place.
    pub fn undecided(&self) -> Vec<String> {
        self.0.undecided()
    }

    /// True when everything at or below `other` is at or below this place.
    pub fn reaches(&self, other: &Position) -> bool {
        self.0.reaches(&*other.0)
    }

    /// Order where there is one.
    pub fn compare(&self, other: &Position) -> Option<Ordering> {
        self.0.compare(&*other.0)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text())
    }
}
