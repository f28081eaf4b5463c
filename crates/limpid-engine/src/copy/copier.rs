//! A copier: one connection that reads tables as the plan says.
//!
//! Owns: the order of watching, reading and offering. Does not own: what is read next (`plan`), how fast (`pace`).
//!
//! Invariant: the table is watched before its chunk is read. A copier never holds more than the chunk in its hand: it
//! reads the next only when the reader has room for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use limpid_connector::{ChunkAsk, Clock, KeyRange, Source, TableFound, TableReader};
use limpid_model::{Component, Fault, FaultCode, FaultKind, TableName};

use super::courtesy::Turn;
use super::plan::{ChunkId, Work};
use super::touched::WindowId;
use super::{CHUNK_BYTES, Copying, LOOK_UP, Offer, Standing};
use crate::failpoint::{Point, pass};

/// Chunks that wait for the reader, for each copier, beside the one in its hand.
const WAITING_EACH: usize = 1;

/// Ranges of a table for each copier: while a chunk of one waits for its fence, another is read.
const RANGES_EACH: usize = 2;

/// What a copier works with.
pub(crate) struct CopierParts<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) clock: &'a Clock,
    pub(crate) copying: &'a Copying,
}

/// Reads until the attempt ends.
pub(crate) fn run(parts: &CopierParts<'_>) -> Result<(), Fault> {
    let mut reader = None;
    loop {
        if parts.copying.leaves() {
            return Ok(());
        }
        let is_paused = parts.copying.control.is_paused();
        let work = if is_paused { Work::Finished } else { parts.copying.next_work() };
        match work {
            Work::Wait => continue,
            Work::Finished => {
                // Nothing is open at the source while there is nothing to read.
                reader = None;
                parts.copying.busy.store(false, Ordering::Relaxed);
                parts.copying.wait_for_change();
                continue;
            }
            _ => {}
        }
        parts.copying.busy.store(true, Ordering::Relaxed);
        let reader = match &mut reader {
            Some(reader) => reader,
            none => none.insert(parts.source.table_reader()?),
        };
        let table = work.table().cloned();
        if let Err(fault) = parts.work(&mut **reader, work) {
            let asked = table.filter(|table| parts.copying.plan().is_asked(table));
            match asked.filter(|_| fault.kind() == FaultKind::Definite) {
                Some(table) => parts.copying.failed(&table, &fault),
                None => return Err(fault),
            }
        }
    }
}

/// A chunk is being read.
struct Reading<'a>(&'a Copying);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.courtesy().ended();
    }
}

impl CopierParts<'_> {
    fn work(&self, reader: &mut dyn TableReader, work: Work) -> Result<(), Fault> {
        let copying = self.copying;
        match work {
            Work::List => {
                let found = reader.tables()?;
                // The first of two looks: what others do is known by the time there is a chunk to read.
                self.look(reader);
                copying.check_predicates(&found)?;
                let missing = copying.plan().listed(&found);
                for table in missing {
                    let text = "no captured table has this name";
                    let fault = Fault::new(FaultCode::SourceQueryFailed, Component::Input, text);
                    copying.failed(&table, &fault.about(table.to_string()));
                }
            }
            Work::Split { table } => {
                let pieces = (copying.options.parallel * RANGES_EACH) as u32;
                let ranges = reader.split(&table, pieces)?;
                copying.plan().split(&table, ranges);
            }
            Work::Chunk { id, number, range, predicate } => {
                return self.chunk(reader, (id, number), &range, predicate);
            }
            Work::Whole { id, predicate } => return self.whole(reader, id, predicate),
            Work::Wait | Work::Finished => {}
        }
        copying.changed.notify_all();
        Ok(())
    }

    fn chunk(
        &self,
        reader: &mut dyn TableReader,
        (id, number): (ChunkId, u64),
        range: &KeyRange,
        asked: Option<String>,
    ) -> Result<(), Fault> {
        let copying = self.copying;
        let Some((window, turn)) = self.watch(reader, &id.table)? else { return Ok(()) };
        let ask = ChunkAsk {
            table: &id.table,
            range,
            predicate: asked.as_deref().or(copying.predicate(&id.table)),
            rows_max: copying.options.chunk_rows,
            bytes_max: CHUNK_BYTES,
        };
        let mut chunk = match reader.read(&ask) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                copying.touched.close(window);
                copying.plan().gone(&id.table);
                return Ok(());
            }
            Err(fault) => {
                copying.touched.close(window);
                return Err(fault);
            }
        };
        pass(Point::AfterChunk);
        let read = self.clock.nanos();
        drop(turn);
        self.look(reader);
        let rest = copying.read(read, chunk.rows, chunk.took);
        copying.observer.chunk_read(&chunk.table, chunk.rows, chunk.took);
        copying.told.tell(&mut chunk, (id.lane, number), read);
        copying.offer(Offer::Chunk { chunk, id, window });
        copying.rest(rest);
        Ok(())
    }

    /// Begins to watch the stream for keys of the table, once a chunk of it may be read. `None`: everybody leaves.
    fn watch(&self, reader: &mut dyn TableReader, table: &TableName) -> Result<Option<(WindowId, Reading<'_>)>, Fault> {
        let copying = self.copying;
        let mut is_told = false;
        loop {
            // Room first: whose turn it is has to read, not to wait.
            if !copying.wait_for_room() || !self.hold_pace(reader)? {
                return Ok(None);
            }
            let Some(turn) = self.take_turn(reader)? else { return Ok(None) };
            let window = copying.touched.open(table);
            let behind = reader.is_behind();
            if matches!(behind, Ok(false)) {
                return Ok(Some((window, turn)));
            }
            drop(turn);
            copying.touched.close(window);
            behind?;
            if !std::mem::replace(&mut is_told, true) {
                copying
                    .observer
                    .chunk_stale(table, "the replica it is to be read from has not got as far as the stream");
            }
            copying.stop.wait(LOOK_UP);
        }
    }

    /// A table without a key: the stream stands still, so that no change of it is in the table and in the stream both.
    fn whole(&self, reader: &mut dyn TableReader, id: ChunkId, asked: Option<String>) -> Result<(), Fault> {
        let copying = self.copying;
        if !copying.ask_to_stand() {
            return Ok(());
        }
        let predicate = asked.as_deref().or(copying.predicate(&id.table));
        let fence = match reader.begin_whole(&id.table, predicate) {
            Ok(Some(fence)) => fence,
            none => {
                copying.set_standing(Standing::No);
                copying.plan().stream_released();
                none?;
                copying.plan().gone(&id.table);
                return Ok(());
            }
        };
        copying.set_standing(Standing::UpTo(fence));
        let (mut rows, mut number) = (0, 0);
        while copying.wait_for_room() {
            let mut chunk = match reader.read_whole(CHUNK_BYTES) {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    copying.offer(Offer::WholeEnd { id, rows });
                    return Ok(());
                }
                Err(fault) => {
                    // Else the stream would stand at the fence for ever.
                    copying.offer(Offer::LetGo);
                    return Err(fault);
                }
            };
            pass(Point::AfterChunk);
            rows += chunk.rows;
            copying.observer.chunk_read(&chunk.table, chunk.rows, chunk.took);
            copying.told.tell(&mut chunk, (id.lane, number), self.clock.nanos());
            number += 1;
            copying.offer(Offer::Piece { chunk });
        }
        Ok(())
    }

    /// Waits while others have the source to themselves; `None`: everybody leaves.
    fn take_turn(&self, reader: &mut dyn TableReader) -> Result<Option<Reading<'_>>, Fault> {
        let copying = self.copying;
        loop {
            if copying.leaves() {
                return Ok(None);
            }
            let turn = copying.courtesy().turn(self.clock.nanos());
            match turn {
                Turn::Read => return Ok(Some(Reading(copying))),
                Turn::Wait(time) => drop(copying.stop.wait(time.min(LOOK_UP))),
                Turn::Look => self.ask(reader),
            }
        }
    }

    /// Asks the source what others have had done, if it is time to.
    fn look(&self, reader: &mut dyn TableReader) {
        let due = self.copying.courtesy().is_due(self.clock.nanos());
        if due {
            self.ask(reader);
        }
    }

    /// A source that cannot be asked is read as one that does not tell: a table is no worse for it, and what else is the
    /// matter with the source is seen by whoever reads next.
    fn ask(&self, reader: &mut dyn TableReader) {
        let statements = reader.statements_of_others().unwrap_or(None);
        self.copying.courtesy().looked(self.clock.nanos(), statements);
    }

    /// Waits while the rate or the source's load says so; false: everybody leaves.
    fn hold_pace(&self, reader: &mut dyn TableReader) -> Result<bool, Fault> {
        let copying = self.copying;
        loop {
            if copying.leaves() {
                return Ok(false);
            }
            let due = copying.pace.lock().expect("never held across a panic").look_is_due(self.clock.nanos());
            if due {
                let load = reader.load()?;
                copying.pace.lock().expect("never held across a panic").loaded(load);
            }
            let wait = copying.pace.lock().expect("never held across a panic").wait(self.clock.nanos());
            if wait.is_zero() {
                return Ok(true);
            }
            copying.stop.wait(wait.min(LOOK_UP));
        }
    }
}

impl Copying {
    fn predicate(&self, table: &TableName) -> Option<&str> {
        self.options.predicates.get(&table.to_string()).map(String::as_str)
    }

    /// A condition that no table meets by its name is a slip that would copy what should not be. Told at the first copy
    /// only: later a table may be gone for good reasons.
    fn check_predicates(&self, found: &[TableFound]) -> Result<(), Fault> {
        let is_there = |name: &&String| found.iter().any(|found| found.name.to_string() == **name);
        match self.options.predicates.keys().find(|name| !is_there(name)) {
            Some(name) if self.fresh => {
                let text = format!("source.snapshot.where has a condition for {name}, which is no captured table");
                Err(Fault::new(FaultCode::ConfigBadValue, Component::Input, text).about("source.snapshot.where"))
            }
            _ => Ok(()),
        }
    }

    /// What to do next; has waited for a change where that is nothing now.
    fn next_work(&self) -> Work {
        let mut plan = self.plan();
        let work = plan.next();
        if work == Work::Wait {
            drop(self.changed.wait_timeout(plan, LOOK_UP).expect("never held across a panic"));
        }
        work
    }

    fn wait_for_change(&self) {
        let plan = self.plan();
        drop(self.changed.wait_timeout(plan, LOOK_UP).expect("never held across a panic"));
    }

    /// Waits until the reader has few enough chunks waiting; false: everybody leaves.
    fn wait_for_room(&self) -> bool {
        let max = self.options.parallel * WAITING_EACH;
        let mut plan = self.plan();
        while self.offered.load(Ordering::Acquire) >= max {
            if self.leaves() {
                return false;
            }
            plan = self.changed.wait_timeout(plan, LOOK_UP).expect("never held across a panic").0;
        }
        drop(plan);
        !self.leaves()
    }

    fn offer(&self, offer: Offer) {
        let mut offers = self.offers.lock().expect("never held across a panic");
        offers.push_back(offer);
        self.offered.store(offers.len(), Ordering::Release);
    }

    fn read(&self, now: u64, rows: u64, took: Duration) -> Duration {
        let mut pace = self.pace.lock().expect("never held across a panic");
        pace.read(now, rows);
        pace.rest(took)
    }

    fn rest(&self, time: Duration) {
        if !time.is_zero() {
            self.stop.wait(time.min(Duration::from_secs(1)));
        }
    }

    fn set_standing(&self, to: Standing) {
        *self.standing.lock().expect("never held across a panic") = to;
        self.stood.notify_all();
    }

    /// Asks the reader to stand and waits until it does; false: everybody leaves.
    fn ask_to_stand(&self) -> bool {
        let mut standing = self.standing.lock().expect("never held across a panic");
        *standing = Standing::Asked;
        self.stand.store(true, Ordering::Release);
        while !matches!(*standing, Standing::Stands) {
            if self.leaves() {
                return false;
            }
            standing = self.stood.wait_timeout(standing, LOOK_UP).expect("never held across a panic").0;
        }
        true
    }
}

#[cfg(test)]
mod tests;
