//! Where a pipeline stands, whichever attempt moves it.
//!
//! Owns: the position that is durable at the sink, what was saved, what waits where, and whom to ask after the head.
//! Does not own: looking (`watch`), saving (`saver`).
//!
//! Invariant: it outlives attempts, so a pipeline that tries again and again is seen to stand all the while.

use std::sync::Mutex;
use std::time::Duration;

use limpid_connector::{Head, Heartbeat, Stop};
use limpid_model::Position;

use crate::heartbeat::Beats;
use crate::observe::Fill;
use crate::verdict::Keeper;

/// Shared by the attempts of a pipeline and its watch.
#[derive(Default)]
pub(crate) struct Standing {
    /// Short critical section: a copy or a move.
    place: Mutex<Place>,
    /// A connection that the watch has not taken yet.
    head: Mutex<Option<Box<dyn Head>>>,
    /// What writes heartbeats, until it is taken.
    heartbeat: Mutex<Option<Box<dyn Heartbeat>>>,
    pub(crate) beats: Beats,
    /// Tells this run's heartbeats from those of others.
    pub(crate) instance: u64,
    /// The pipeline ends.
    pub(crate) ends: Stop,
}

/// A copy of it.
#[derive(Clone, Default)]
pub(crate) struct Place {
    /// Everything at or below it is durable at the sink; `None` before the first attempt has a stream.
    pub(crate) covered: Option<Position>,
    /// How often it was told: what is read from tables counts too, though it moves no position.
    pub(crate) moves: u64,
    /// The last position that was saved.
    pub(crate) saved: Option<Position>,
    pub(crate) keeper: Keeper,
    /// How often the position was given up for good.
    pub(crate) forgotten: u64,
    /// When, by the source's clock, what is durable was committed: microseconds since 1970.
    pub(crate) committed_micros: Option<i64>,
    /// The sink makes things durable only so often, as it is configured.
    pub(crate) settles_every: Duration,
}

impl Standing {
    pub(crate) fn new(instance: u64) -> Self {
        Self { instance, ..Self::default() }
    }

    /// Heartbeats are written by this from here on.
    pub(crate) fn beat_by(&self, heartbeat: Option<Box<dyn Heartbeat>>) {
        *self.heartbeat.lock().expect("never held across a panic") = heartbeat;
    }

    pub(crate) fn take_heartbeat(&self) -> Option<Box<dyn Heartbeat>> {
        self.heartbeat.lock().expect("never held across a panic").take()
    }

    /// An attempt begins: from here on this is asked after the head, and goes on from here.
    pub(crate) fn begin(&self, head: Box<dyn Head>, opened_at: Position, settles_every: Duration) {
        self.change(|place| {
            place.saved.get_or_insert_with(|| opened_at.clone());
            place.covered = Some(opened_at);
            place.settles_every = settles_every;
        });
        // Whoever takes it finds the place that belongs to it.
        *self.head.lock().expect("never held across a panic") = Some(head);
    }

    /// The source has no way on from the position: where it stood is no measure of what comes.
    pub(crate) fn forget(&self) {
        self.change(|place| {
            (place.saved, place.committed_micros) = (None, None);
            place.forgotten += 1;
        });
    }

    pub(crate) fn take_head(&self) -> Option<Box<dyn Head>> {
        self.head.lock().expect("never held across a panic").take()
    }

    pub(crate) fn cover(&self, position: &Position, committed_micros: Option<i64>) {
        self.change(|place| {
            place.covered = Some(position.clone());
            place.committed_micros = committed_micros.or(place.committed_micros);
            place.moves += 1;
        });
    }

    pub(crate) fn saved(&self, position: &Position) {
        self.change(|place| place.saved = Some(position.clone()));
    }

    /// Who would keep the stream if it stood now: the one with what was read furthest down.
    pub(crate) fn fill(&self, fill: &Fill) {
        let is_with_us = fill.flight_bytes > 0 || fill.raw_batches > 0 || fill.made_batches > 0;
        let keeper = match (fill.sink_bytes > 0, is_with_us) {
            (true, _) => Keeper::Sink,
            (false, true) => Keeper::Us,
            (false, false) => Keeper::Source,
        };
        self.change(|place| place.keeper = keeper);
    }

    pub(crate) fn place(&self) -> Place {
        self.place.lock().expect("never held across a panic").clone()
    }

    fn change(&self, change: impl FnOnce(&mut Place)) {
        change(&mut self.place.lock().expect("never held across a panic"));
    }
}
