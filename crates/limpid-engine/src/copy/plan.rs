//! Which table is copied when, and how far each is.
//!
//! Owns: the order of the work, ranges that are read, admitted or delivered, the cursors. Does not own: reading
//! (`copier`), admission (the stream), dropping keys (`touched`), saving (`saver`).
//!
//! Invariant: a key range is in the cursors until its rows were handed to the sink in the stream's order; no range is
//! worked on twice at once, and none is forgotten: at any time the ranges of a table that is not done, delivered ones
//! added, are the table. Pure: no clock, no I/O.

use std::collections::{BTreeMap, VecDeque};

use limpid_codec::cursor::{self, Cursors, TableCursor};
use limpid_connector::{KeyRange, TableFound};
use limpid_model::TableName;

/// One range in the hands of a copier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkId {
    pub(crate) table: TableName,
    pub(crate) lane: u64,
}

/// What a copier should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Ask the source which tables there are.
    List,
    /// Ask the source where to split the table.
    Split { table: TableName },
    /// Read the beginning of the range: the lane's chunk of this number, which is the same however often it is read.
    Chunk { id: ChunkId, number: u64, range: KeyRange, predicate: Option<String> },
    /// Read the table, which has no key, as one, while the stream stands still. Nobody else is given such work before
    /// [`Plan::stream_released`].
    Whole { id: ChunkId, predicate: Option<String> },
    /// Nothing until something changes.
    Wait,
    /// Nothing is left to read.
    Finished,
}

impl Work {
    /// The table that it is about.
    pub(crate) fn table(&self) -> Option<&TableName> {
        match self {
            Work::Split { table } => Some(table),
            Work::Chunk { id, .. } | Work::Whole { id, .. } => Some(&id.table),
            Work::List | Work::Wait | Work::Finished => None,
        }
    }
}

/// How far one table is, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct TableProgress {
    pub table: TableName,
    /// Done of it, 0 to 1; by the source's own estimate until it is done.
    pub ratio: f64,
    pub rows: u64,
    pub bytes_estimated: u64,
    pub done: bool,
}

#[derive(Debug)]
enum State {
    Unsplit,
    Splitting,
    /// By key, in lanes that are read beside each other.
    Lanes(Vec<Lane>),
    /// Has no key. The number of the reading under way, which one that was given up has no longer.
    Whole {
        reading: Option<u64>,
    },
    Done,
}

#[derive(Debug)]
struct Lane {
    id: u64,
    /// Admitted behind the stream, and not yet handed to the sink; oldest first, each beginning where the one before
    /// ends.
    admitted: VecDeque<KeyRange>,
    /// Not admitted yet; begins where the last one admitted ends.
    rest: Option<KeyRange>,
    /// A copier has the beginning of `rest` in hand.
    busy: bool,
    /// Chunks that were admitted of it.
    chunks: u64,
}

#[derive(Debug)]
struct Table {
    state: State,
    /// Set when an operator asked for this copy: the condition, empty for none.
    asked: Option<String>,
    rows_estimated: u64,
    bytes_estimated: u64,
    rows: u64,
}

/// The plan of one attempt.
#[derive(Debug)]
pub(crate) struct Plan {
    tables: BTreeMap<TableName, Table>,
    /// Every captured table is to be copied, not only those asked for.
    all: bool,
    listing: Listing,
    next_lane: u64,
    /// The stream stands still for a table, whatever became of that table's copy since.
    stream_held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Wanted,
    UnderWay,
    Done,
}

impl Plan {
    /// Goes on from what was saved.
    pub(crate) fn resume(saved: Cursors) -> Self {
        let listing = if saved.all { Listing::Wanted } else { Listing::Done };
        let mut plan = Self { tables: BTreeMap::new(), all: saved.all, listing, next_lane: 0, stream_held: false };
        for TableCursor { table, ranges, asked } in saved.tables {
            let ranges: Vec<KeyRange> = ranges.into_iter().map(|(after, until)| KeyRange { after, until }).collect();
            let state = match ranges.is_empty() {
                true => State::Done,
                false => State::Lanes(plan.lanes(ranges)),
            };
            if !matches!(state, State::Done) {
                plan.listing = Listing::Wanted;
            }
            plan.tables.insert(table, Table::new(state, asked));
        }
        plan
    }

    fn lanes(&mut self, ranges: Vec<KeyRange>) -> Vec<Lane> {
        let lane = |range| {
            self.next_lane += 1;
            Lane { id: self.next_lane, admitted: VecDeque::new(), rest: Some(range), busy: false, chunks: 0 }
        };
        ranges.into_iter().map(lane).collect()
    }

    /// What to do next; whatever it is, nobody else is given it.
    pub(crate) fn next(&mut self) -> Work {
        match self.listing {
            Listing::Wanted => {
                self.listing = Listing::UnderWay;
                return Work::List;
            }
            Listing::UnderWay => return Work::Wait,
            Listing::Done => {}
        }
        let mut waiting = false;
        for (name, table) in &mut self.tables {
            match &mut table.state {
                State::Done => {}
                State::Splitting => waiting = true,
                State::Unsplit => {
                    table.state = State::Splitting;
                    return Work::Split { table: name.clone() };
                }
                State::Lanes(lanes) => {
                    waiting = true;
                    let ready = lanes.iter_mut().find(|lane| !lane.busy && lane.rest.is_some());
                    if let Some((lane, range)) = ready.and_then(|lane| lane.rest.clone().map(|range| (lane, range))) {
                        lane.busy = true;
                        let (id, number) = (ChunkId { table: name.clone(), lane: lane.id }, lane.chunks);
                        return Work::Chunk { id, number, range, predicate: table.condition() };
                    }
                }
                State::Whole { reading } => {
                    waiting = true;
                    // The stream can stand still for one of them only.
                    if reading.is_none() && !self.stream_held {
                        self.stream_held = true;
                        self.next_lane += 1;
                        *reading = Some(self.next_lane);
                        let id = ChunkId { table: name.clone(), lane: self.next_lane };
                        return Work::Whole { id, predicate: table.condition() };
                    }
                }
            }
        }
        if waiting { Work::Wait } else { Work::Finished }
    }

    /// The source's tables: those that no cursor names are to be copied, those that are gone are not. Returns what an
    /// operator asked for and is not there.
    pub(crate) fn listed(&mut self, found: &[TableFound]) -> Vec<TableName> {
        self.listing = Listing::Done;
        let mut missing = Vec::new();
        self.tables.retain(|name, table| {
            let is_there = found.iter().any(|found| found.name == *name);
            if !is_there && table.asked.is_some() && !matches!(table.state, State::Done) {
                missing.push(name.clone());
            }
            is_there
        });
        for found in found {
            let unnamed = if self.all { State::Unsplit } else { State::Done };
            let table = self.tables.entry(found.name.clone()).or_insert_with(|| Table::new(unnamed, None));
            (table.rows_estimated, table.bytes_estimated) = (found.rows, found.bytes);
            if !found.has_key && !matches!(table.state, State::Done | State::Whole { .. }) {
                table.state = State::Whole { reading: None };
            }
        }
        missing
    }

    /// A copy of one table that an operator asks for: from its beginning, whatever was done of it.
    pub(crate) fn ask(&mut self, name: &TableName, condition: Option<String>) {
        let asked = Some(condition.unwrap_or_default());
        self.tables.insert(name.clone(), Table::new(State::Unsplit, asked));
        self.listing = Listing::Wanted;
    }

    /// Ends the copies that operators asked for.
    pub(crate) fn give_up_asked(&mut self) {
        for table in self.tables.values_mut().filter(|table| table.asked.is_some()) {
            table.state = State::Done;
        }
    }

    /// True when an operator asked for this copy of the table.
    pub(crate) fn is_asked(&self, name: &TableName) -> bool {
        self.tables.get(name).is_some_and(|table| table.asked.is_some())
    }

    /// Where a table is split. Nothing in between the ranges is left out.
    pub(crate) fn split(&mut self, name: &TableName, ranges: Vec<KeyRange>) {
        let lanes = self.lanes(ranges);
        if let Some(table) = self.tables.get_mut(name).filter(|table| matches!(table.state, State::Splitting)) {
            table.state = State::Lanes(lanes);
        }
    }

    /// The chunk may pass behind the stream; `range` is what it holds, `rest` what its lane has left.
    pub(crate) fn admitted(&mut self, id: &ChunkId, range: KeyRange, rest: Option<KeyRange>) {
        if let Some(lane) = self.lane(id) {
            lane.admitted.push_back(range);
            (lane.rest, lane.busy) = (rest, false);
            lane.chunks += 1;
        }
    }

    /// The chunk must be read again.
    pub(crate) fn redo(&mut self, id: &ChunkId) {
        if let Some(lane) = self.lane(id) {
            lane.busy = false;
        }
    }

    /// Rows of the oldest admitted chunk of the lane were handed to the sink, so many of them; `ends`: its last.
    pub(crate) fn delivered(&mut self, id: &ChunkId, rows: u64, ends: bool) {
        let Some(lane) = self.lane(id) else { return };
        if ends {
            lane.admitted.pop_front();
            self.settle(&id.table);
        }
        if let Some(table) = self.tables.get_mut(&id.table) {
            table.rows += rows;
        }
    }

    /// The oldest admitted chunk of the lane was not handed on after all: its range becomes a lane of its own.
    pub(crate) fn spoiled(&mut self, id: &ChunkId) {
        let Some(range) = self.lane(id).and_then(|lane| lane.admitted.pop_front()) else { return };
        let lanes = self.lanes(vec![range]);
        if let Some(Table { state: State::Lanes(known), .. }) = self.tables.get_mut(&id.table) {
            known.extend(lanes);
        }
        self.settle(&id.table);
    }

    /// A table without a key was read and handed on whole.
    pub(crate) fn whole_delivered(&mut self, id: &ChunkId, rows: u64) {
        if let Some(table) = self.whole(id) {
            table.state = State::Done;
            table.rows += rows;
        }
    }

    /// A table without a key must be read again.
    pub(crate) fn redo_whole(&mut self, id: &ChunkId) {
        if let Some(table) = self.whole(id) {
            table.state = State::Whole { reading: None };
        }
    }

    /// The table of a reading that was not given up since.
    fn whole(&mut self, id: &ChunkId) -> Option<&mut Table> {
        let is_this = |table: &&mut Table| matches!(table.state, State::Whole { reading: Some(run) } if run == id.lane);
        self.tables.get_mut(&id.table).filter(is_this)
    }

    /// The stream goes on: it may stand still for the next table.
    pub(crate) fn stream_released(&mut self) {
        self.stream_held = false;
    }

    /// The stream saw a captured table come to be. Before the tables are listed nobody knows whether it was there
    /// already.
    pub(crate) fn created(&mut self, name: &TableName) {
        if self.listing == Listing::Done && !self.tables.contains_key(name) {
            self.exclude(name);
        }
    }

    /// The stream saw the table go: a copied one needs no cursor any more. One under way is found to be gone.
    pub(crate) fn dropped(&mut self, name: &TableName) {
        if self.tables.get(name).is_some_and(|table| matches!(table.state, State::Done)) {
            self.tables.remove(name);
        }
    }

    /// The source has the table no longer.
    pub(crate) fn gone(&mut self, name: &TableName) {
        self.tables.remove(name);
    }

    /// The copy cannot be made.
    pub(crate) fn failed(&mut self, name: &TableName) {
        if let Some(table) = self.tables.get_mut(name) {
            table.state = State::Done;
        }
    }

    /// Nothing of the table is to be copied, now or after a restart.
    pub(crate) fn exclude(&mut self, name: &TableName) {
        self.tables.entry(name.clone()).or_insert_with(|| Table::new(State::Done, None)).state = State::Done;
    }

    /// True once every table's rows were handed to the sink.
    pub(crate) fn is_finished(&self) -> bool {
        self.listing == Listing::Done && self.tables.values().all(|table| matches!(table.state, State::Done))
    }

    /// What a restart needs. Of a copy of all tables, one that is not split yet has no cursor and will be copied for
    /// that.
    pub(crate) fn cursors(&self) -> Vec<String> {
        let cursor = |(name, table): (&TableName, &Table)| {
            let ranges = match &table.state {
                // Without a copy of all, a table that nobody asked for has nothing to remember.
                State::Done if !self.all && table.asked.is_none() => return None,
                State::Done => Vec::new(),
                State::Lanes(lanes) => lanes.iter().map(Lane::remaining).collect(),
                State::Unsplit | State::Splitting | State::Whole { .. } if table.asked.is_none() => return None,
                State::Unsplit | State::Splitting | State::Whole { .. } => vec![(None, None)],
            };
            Some(TableCursor { table: name.clone(), ranges, asked: table.asked.clone() })
        };
        let tables = self.tables.iter().filter_map(cursor).collect();
        cursor::encode(&Cursors { all: self.all, tables })
    }

    /// How far each table is.
    pub(crate) fn progress(&self) -> Vec<TableProgress> {
        let one = |(name, table): (&TableName, &Table)| {
            let done = matches!(table.state, State::Done);
            let ratio = match (done, table.rows_estimated) {
                (true, _) => 1.0,
                (false, 0) => 0.0,
                // Estimates may be half the truth: nothing is done before it is.
                (false, estimated) => (table.rows as f64 / estimated as f64).min(0.99),
            };
            let bytes_estimated = table.bytes_estimated;
            TableProgress { table: name.clone(), ratio, rows: table.rows, bytes_estimated, done }
        };
        self.tables.iter().map(one).collect()
    }

    fn lane(&mut self, id: &ChunkId) -> Option<&mut Lane> {
        match &mut self.tables.get_mut(&id.table)?.state {
            State::Lanes(lanes) => lanes.iter_mut().find(|lane| lane.id == id.lane),
            State::Unsplit | State::Splitting | State::Whole { .. } | State::Done => None,
        }
    }

    /// Drops lanes with nothing left; a table without lanes is done.
    fn settle(&mut self, name: &TableName) {
        let Some(table) = self.tables.get_mut(name) else { return };
        if let State::Lanes(lanes) = &mut table.state {
            lanes.retain(|lane| lane.rest.is_some() || !lane.admitted.is_empty());
            if lanes.is_empty() {
                table.state = State::Done;
            }
        }
    }
}

impl Table {
    fn new(state: State, asked: Option<String>) -> Self {
        Self { state, asked, rows_estimated: 0, bytes_estimated: 0, rows: 0 }
    }

    fn condition(&self) -> Option<String> {
        self.asked.clone().filter(|condition| !condition.is_empty())
    }
}

impl Lane {
    /// From the oldest range that was not handed on to the lane's end.
    fn remaining(&self) -> cursor::KeyTexts {
        let first = self.admitted.front().or(self.rest.as_ref());
        let last = self.rest.as_ref().or(self.admitted.back());
        (first.and_then(|range| range.after.clone()), last.and_then(|range| range.until.clone()))
    }
}

#[cfg(test)]
mod tests;
