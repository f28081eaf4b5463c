//! One batch gone through: which rows go on, which are kept, which tables stop.
//!
//! Owns: the decision over each row. Does not own: storing what it decides (`parking`).
//!
//! Invariant: rows are decided in their order, each with what was decided before it in the same batch.

use std::collections::{HashMap, HashSet};

use limpid_connector::{EncodedBatch, RecordSpan};
use limpid_model::{Component, Fault, FaultCode, Op, Position, TableName, bytes_digest, key_digest};
use limpid_state::{ParkedKind, ToPark};

use super::body::Body;
use super::limits::Limits;
use super::{OnRowError, Parking, RowFate, kept};

/// What one batch comes to.
pub(super) struct Sorted {
    pub(super) rows: Vec<ToPark>,
    /// For each row that goes no further, its index and why.
    pub(super) fates: Vec<(u32, RowFate)>,
    /// Rows kept earlier that a row of the batch supersedes.
    pub(super) superseded: Vec<u64>,
    pub(super) halts: Vec<(TableName, Fault, u32)>,
    /// For each record, whether it stays in the batch.
    pub(super) keep: Vec<bool>,
}

/// A batch being gone through.
pub(super) struct Round<'a> {
    parking: &'a mut Parking,
    halted: &'a HashSet<TableName>,
    now: (u64, i64),
    position: &'a Position,
    /// Its text, once it is needed.
    text: Option<String>,
    sorted: Sorted,
    bytes: u64,
    /// Keys that this batch parks.
    parked: HashSet<u128>,
    /// Dead letters of this batch by key: places in `sorted.rows`.
    dead: HashMap<u128, Vec<usize>>,
}

/// What is done with one row.
enum Fate {
    Deliver,
    /// Its table has ended before it.
    Drop,
    Keep(ParkedKind, Option<Fault>),
    /// Its table stops at it.
    Halt(Fault),
}

/// What others are told of it.
fn told(fate: &Fate) -> Option<RowFate> {
    match fate {
        Fate::Deliver => None,
        Fate::Drop => Some(RowFate::Withheld(None)),
        Fate::Halt(fault) => Some(RowFate::Withheld(Some(fault.code()))),
        Fate::Keep(ParkedKind::Parked, fault) => Some(RowFate::Parked(fault.as_ref().map(Fault::code))),
        Fate::Keep(ParkedKind::DeadLetter, fault) => Some(RowFate::DeadLetter(fault.as_ref().map(Fault::code))),
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(
        parking: &'a mut Parking,
        halted: &'a HashSet<TableName>,
        now: (u64, i64),
        position: &'a Position,
    ) -> Self {
        let (rows, fates, superseded) = (Vec::new(), Vec::new(), Vec::new());
        let sorted = Sorted { rows, fates, superseded, halts: Vec::new(), keep: Vec::new() };
        let (parked, dead) = (HashSet::new(), HashMap::new());
        Self { parking, halted, now, position, text: None, sorted, bytes: 0, parked, dead }
    }

    pub(super) fn done(self) -> Sorted {
        self.sorted
    }

    /// Decides over every row that has a record; one that has none any more was filtered out or is done already.
    pub(super) fn sort(&mut self, encoded: &EncodedBatch, faults: Vec<(u32, Fault)>) {
        let mut faults: HashMap<u32, Fault> = faults.into_iter().collect();
        let EncodedBatch { batch, .. } = encoded;
        let table_of = |row: &u32| &batch.tables[usize::from(batch.rows[*row as usize].table)].name;
        let faulty: HashSet<&TableName> = faults.keys().map(table_of).collect();
        let is_concerned = |name| faulty.contains(name) || self.parking.index.holds(name);
        let concerned: Vec<bool> = batch.tables.iter().map(|table| is_concerned(&table.name)).collect();
        for records in encoded.records.chunk_by(|a, b| a.row == b.row) {
            let (row, table) = (records[0].row, records[0].table);
            let fate = match concerned[usize::from(table)] {
                true => self.fate(encoded, records, faults.remove(&row)),
                false => Fate::Deliver,
            };
            let stays = matches!(fate, Fate::Deliver);
            self.sorted.keep.resize(self.sorted.keep.len() + records.len(), stays);
            self.sorted.fates.extend(told(&fate).map(|fate| (row, fate)));
            match fate {
                Fate::Deliver | Fate::Drop => {}
                Fate::Keep(kind, fault) => self.keep(encoded, records, kind, fault.as_ref()),
                Fate::Halt(fault) => {
                    self.sorted.halts.push((batch.tables[usize::from(table)].name.clone(), fault, row))
                }
            }
        }
    }

    fn fate(&mut self, encoded: &EncodedBatch, records: &[RecordSpan], fault: Option<Fault>) -> Fate {
        let row = &encoded.batch.rows[records[0].row as usize];
        let name = &encoded.batch.tables[usize::from(row.table)].name;
        if self.halted.contains(name) || self.sorted.halts.iter().any(|(halted, ..)| halted == name) {
            return Fate::Drop;
        }
        let keys = digests(encoded, records);
        let is_behind = self.parking.index.is_parked(&keys) || keys.iter().any(|key| self.parked.contains(key));
        let bytes = records.iter().map(length).sum();
        if is_behind {
            return match self.has_room(bytes) {
                true => Fate::Keep(ParkedKind::Parked, fault),
                false => Fate::Halt(self.no_room(name)),
            };
        }
        let Some(fault) = fault else {
            self.supersede(name, row.op, &keys);
            return Fate::Deliver;
        };
        let kind = match self.parking.mode {
            OnRowError::HaltTable => return Fate::Halt(fault),
            OnRowError::ParkKey if !keys.is_empty() => ParkedKind::Parked,
            OnRowError::ParkKey | OnRowError::DeadLetter => ParkedKind::DeadLetter,
        };
        match self.within_limits(encoded, name, &fault) {
            Ok(()) if self.has_room(bytes) => Fate::Keep(kind, Some(fault)),
            Ok(()) => Fate::Halt(self.no_room(name)),
            Err(stop) => Fate::Halt(stop),
        }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.parking.index.has_room(self.sorted.rows.len() + 1, self.bytes + bytes)
    }

    /// Halting a table that has too much waiting: its first fault is why.
    fn no_room(&self, table: &TableName) -> Fault {
        let earlier = self.parking.index.iter().filter(|(_, entry)| entry.table == *table);
        let first = earlier.filter_map(|(_, entry)| entry.fault.clone()).next();
        let here = || self.sorted.rows.iter().filter(|row| row.table == *table).find_map(|row| row.fault.clone());
        let limits = || self.parking.limits.get(table).map(|limits| limits.first.clone());
        let first = first.or_else(here).or_else(limits);
        stop(table, first, "as many rows are kept as may be: 10,000, or 256 MiB")
    }

    fn within_limits(&mut self, encoded: &EncodedBatch, table: &TableName, fault: &Fault) -> Result<(), Fault> {
        let limits = self.parking.limits.entry(table.clone()).or_insert_with(|| {
            let batch = &encoded.batch;
            let tables = batch.tables.iter().enumerate().filter(|(_, schema)| schema.name == *table);
            let rows = tables.flat_map(|(index, _)| batch.passed(index)).map(u64::from).sum();
            Limits::new(kept(fault), rows)
        });
        let first = limits.first.clone();
        limits.fault(self.now.0).map_err(|beyond| stop(table, Some(first), beyond.words()))
    }

    /// The row is delivered: dead letters of its keys are older versions from now on, and so is whatever a truncate
    /// finds.
    fn supersede(&mut self, table: &TableName, op: Op, keys: &[u128]) {
        if op == Op::Truncate {
            self.parked.clear();
            let older = self.parking.index.iter().filter(|(_, entry)| entry.table == *table && !entry.superseded);
            let older: Vec<u64> = older.map(|(id, _)| id).collect();
            older.iter().for_each(|id| self.parking.index.supersede(*id));
            self.sorted.superseded.extend(older);
            for row in self.sorted.rows.iter_mut().filter(|row| row.table == *table) {
                (row.kind, row.superseded) = (ParkedKind::DeadLetter, true);
            }
            let others = self.sorted.rows.iter().filter(|row| row.kind == ParkedKind::Parked);
            self.parked.extend(others.flat_map(|row| &row.keys));
            return;
        }
        let older = self.parking.index.dead_of(keys);
        for id in older {
            if !self.sorted.superseded.contains(&id) {
                self.sorted.superseded.push(id);
            }
        }
        for place in keys.iter().filter_map(|key| self.dead.get(key)).flatten() {
            self.sorted.rows[*place].superseded = true;
        }
    }

    fn keep(&mut self, encoded: &EncodedBatch, records: &[RecordSpan], kind: ParkedKind, fault: Option<&Fault>) {
        let row = &encoded.batch.rows[records[0].row as usize];
        let table = encoded.batch.tables[usize::from(row.table)].name.clone();
        let keys = digests(encoded, records);
        match kind {
            ParkedKind::Parked => self.parked.extend(&keys),
            ParkedKind::DeadLetter => {
                let place = self.sorted.rows.len();
                keys.iter().for_each(|key| self.dead.entry(*key).or_default().push(place));
            }
        }
        // A row without a form has one record that says nothing.
        let has_form = records.iter().any(|record| !record.key.is_null() || !record.value.is_null());
        let body = match has_form {
            true => Body::of_records(encoded, records),
            false => Body::of_cells(&encoded.batch, records[0].row),
        };
        let body = body.encode();
        self.bytes += body.len() as u64;
        self.sorted.rows.push(ToPark {
            kind,
            table,
            keys,
            operation: row.op.word().to_owned(),
            position: self.text.get_or_insert_with(|| self.position.text()).clone(),
            at_micros: self.now.1,
            fault: fault.map(kept),
            superseded: false,
            body,
        });
    }
}

fn length(record: &RecordSpan) -> u64 {
    [record.key, record.value].into_iter().filter(|span| !span.is_null()).map(|span| u64::from(span.len)).sum()
}

/// A table stops, with its first fault as its reason.
fn stop(table: &TableName, first: Option<(FaultCode, String)>, beyond: &str) -> Fault {
    let (code, message) = first.unwrap_or((FaultCode::RowUnencodable, "a row could not be delivered".to_owned()));
    let help = format!(
        "mend the cause, then replay or drop the rows kept (limpid dlq list) and copy the table anew: {beyond}"
    );
    Fault::new(code, Component::Output, message).about(table.to_string()).because(beyond.to_owned()).help(help)
}

/// Whatever tells the row's keys: those of its images, by the table's key, and those of its records, which a user may
/// have chosen otherwise. An image that lacks a part of the key tells none.
fn digests(encoded: &EncodedBatch, records: &[RecordSpan]) -> Vec<u128> {
    let batch = &encoded.batch;
    let row = &batch.rows[records[0].row as usize];
    let schema = &batch.tables[usize::from(row.table)];
    let mut keys = Vec::with_capacity(4);
    let mut add = |key: u128| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    };
    if !schema.key.is_empty() {
        for first in [row.before, row.after] {
            let image = batch.image(first, schema.columns.len());
            if !image.is_empty() && schema.key.iter().all(|column| image[*column as usize].is_value()) {
                add(key_digest(batch, schema, image));
            }
        }
    }
    for key in records.iter().filter_map(|record| encoded.get(record.key)) {
        add(bytes_digest(schema, key));
    }
    keys
}
