//! A known history that is written in two phases.
//!
//! Owns: sessions that prepare, wait, and commit or roll back. Does not own: the check (`history`).
//!
//! Invariant: as of every writer, each key's `v` goes 1, 2, 3, ...; what is rolled back is written again, so that a
//! row that came out of it shows as a version that came twice, or too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use limpid_stack::Session;

use crate::worker::Worker;

/// Prepares and decides until told to stop.
pub struct XaWriter {
    decisions: Arc<AtomicU64>,
    worker: Worker,
}

/// Keys of one session: a transaction changes two of them.
const KEYS: u64 = 4;

/// One session and the transaction that it has prepared, if any.
struct Slot {
    session: Session,
    xid: String,
    first: u64,
    versions: [u64; KEYS as usize],
    prepared: Option<[u64; KEYS as usize]>,
}

impl XaWriter {
    /// Writes to keys from `first` on, all of which have this version now; 0 if they are not in `db.t` yet. While it
    /// runs most sessions have something prepared, and they are decided in another order than they were prepared in.
    pub fn start(sessions: Vec<Session>, database: &str, first: u64, version: u64) -> Result<Self> {
        let mut slots = Vec::new();
        for (number, mut session) in sessions.into_iter().enumerate() {
            session.exec(&format!("use {database}"))?;
            let xid = format!("'{database}','{}',7", first + number as u64);
            let first = first + number as u64 * KEYS;
            slots.push(Slot { session, xid, first, versions: [version; KEYS as usize], prepared: None });
        }
        let decisions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&decisions);
        let mut turn = first + 1;
        let step = move |slots: &mut Vec<Slot>| {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let index = (turn >> 33) as usize % slots.len();
            counted.fetch_add(slots[index].step(turn >> 40)?, Ordering::Relaxed);
            Ok(())
        };
        // What is still prepared is committed, so that the table says how it ended.
        let worker = Worker::over(slots, step, |slots| slots.iter_mut().try_for_each(Slot::commit));
        Ok(Self { decisions, worker })
    }

    /// Decisions so far.
    pub fn decisions(&self) -> u64 {
        self.decisions.load(Ordering::Relaxed)
    }

    /// Ends it and reports what went wrong.
    pub fn stop(self) -> Result<()> {
        self.worker.end()
    }
}

impl Slot {
    /// Prepares, or decides what is prepared; returns how many were decided.
    fn step(&mut self, turn: u64) -> Result<u64> {
        if self.prepared.is_none() {
            self.prepare(turn)?;
            return Ok(0);
        }
        if turn.is_multiple_of(4) {
            self.session.exec(&format!("xa rollback {}", self.xid))?;
            self.prepared = None;
        } else {
            self.commit()?;
        }
        Ok(1)
    }

    fn prepare(&mut self, turn: u64) -> Result<()> {
        let mut after = self.versions;
        self.session.exec(&format!("xa start {}", self.xid))?;
        for index in [turn % KEYS, (turn + 1) % KEYS] {
            let id = self.first + index;
            let version = &mut after[index as usize];
            *version += 1;
            let sql = match *version {
                1 => format!("insert into t values ({id}, 1, 'xa')"),
                v => format!("update t set v = {v} where id = {id}"),
            };
            self.session.exec(&sql)?;
        }
        self.session.exec(&format!("xa end {}", self.xid))?;
        self.session.exec(&format!("xa prepare {}", self.xid))?;
        self.prepared = Some(after);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if let Some(after) = self.prepared.take() {
            self.session.exec(&format!("xa commit {}", self.xid))?;
            self.versions = after;
        }
        Ok(())
    }
}
