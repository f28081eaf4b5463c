//! What is kept, without the bodies: in its order, and by key.
//!
//! Owns: the rows' places, the bound on them. Does not own: the rows (`limpid-state`). Pure: no I/O.
//!
//! Invariant: equal to what the state keeps, but for rows on their way to the sink, which the state forgets later.

use std::collections::{BTreeMap, HashMap, HashSet};

use limpid_model::{FaultCode, TableName};
use limpid_state::{ParkedKind, ParkedRow, ToPark};

use super::ParkedSeen;

/// Rows kept of one pipeline: a list that can still be shown and gone through, and 1 MB of this index.
pub(crate) const ROWS_MAX: usize = 10_000;

/// Bytes of their bodies: what a small machine's disk has to spare; 25 KB a row where there are as many as may be.
pub(crate) const BYTES_MAX: u64 = 256 << 20;

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: ParkedKind,
    pub(crate) table: TableName,
    pub(crate) keys: Vec<u128>,
    pub(crate) fault: Option<(FaultCode, String)>,
    pub(crate) superseded: bool,
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: BTreeMap<u64, Entry>,
    /// How many parked rows hold a key.
    parked: HashMap<u128, u32>,
    /// Dead letters of a key that nothing superseded.
    dead: HashMap<u128, Vec<u64>>,
    tables: HashMap<TableName, u32>,
    parked_rows: u64,
    bytes: u64,
}

impl Index {
    pub(crate) fn of(rows: Vec<ParkedRow>) -> Self {
        let mut index = Self::default();
        for row in rows {
            let ParkedRow { id, kind, table, keys, fault, superseded, bytes, .. } = row;
            index.insert(id, Entry { kind, table, keys, fault, superseded, bytes });
        }
        index
    }

    /// Adds rows that were stored under these ids.
    pub(crate) fn extend(&mut self, rows: Vec<ToPark>, ids: &[u64]) {
        for (row, id) in rows.into_iter().zip(ids) {
            let ToPark { kind, table, keys, fault, superseded, body, .. } = row;
            self.insert(*id, Entry { kind, table, keys, fault, superseded, bytes: body.len() as u64 });
        }
    }

    fn insert(&mut self, id: u64, entry: Entry) {
        match entry.kind {
            ParkedKind::Parked => {
                self.parked_rows += 1;
                entry.keys.iter().for_each(|key| *self.parked.entry(*key).or_default() += 1);
            }
            ParkedKind::DeadLetter if !entry.superseded => {
                entry.keys.iter().for_each(|key| self.dead.entry(*key).or_default().push(id));
            }
            ParkedKind::DeadLetter => {}
        }
        self.bytes += entry.bytes;
        *self.tables.entry(entry.table.clone()).or_default() += 1;
        self.rows.insert(id, entry);
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.rows.remove(&id)?;
        self.bytes -= entry.bytes;
        if let Some(count) = self.tables.get_mut(&entry.table) {
            *count -= 1;
            if *count == 0 {
                self.tables.remove(&entry.table);
            }
        }
        self.unlink(id, &entry);
        Some(entry)
    }

    fn unlink(&mut self, id: u64, entry: &Entry) {
        if entry.kind == ParkedKind::Parked {
            self.parked_rows -= 1;
            for key in &entry.keys {
                if let Some(count) = self.parked.get_mut(key) {
                    *count -= 1;
                    if *count == 0 {
                        self.parked.remove(key);
                    }
                }
            }
        }
        for key in &entry.keys {
            if let Some(ids) = self.dead.get_mut(key) {
                ids.retain(|dead| *dead != id);
                if ids.is_empty() {
                    self.dead.remove(key);
                }
            }
        }
    }

    /// A later version was delivered: it is a dead letter that nothing waits for.
    pub(crate) fn supersede(&mut self, id: u64) {
        if let Some(entry) = self.remove(id) {
            self.insert(id, Entry { kind: ParkedKind::DeadLetter, superseded: true, ..entry });
        }
    }

    pub(crate) fn fail(&mut self, id: u64, fault: (FaultCode, String)) {
        if let Some(entry) = self.rows.get_mut(&id) {
            entry.fault = Some(fault);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Entry> {
        self.rows.get(&id)
    }

    /// In the order in which they were kept.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.rows.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn holds(&self, table: &TableName) -> bool {
        self.tables.contains_key(table)
    }

    pub(crate) fn is_parked(&self, keys: &[u128]) -> bool {
        keys.iter().any(|key| self.parked.contains_key(key))
    }

    /// Dead letters of these keys that a delivered row supersedes.
    pub(crate) fn dead_of(&self, keys: &[u128]) -> impl Iterator<Item = u64> {
        keys.iter().filter_map(|key| self.dead.get(key)).flatten().copied()
    }

    /// Whether there is room for so much more.
    pub(crate) fn has_room(&self, rows: usize, bytes: u64) -> bool {
        self.rows.len() + rows <= ROWS_MAX && self.bytes + bytes <= BYTES_MAX
    }

    /// These keys, and all that hang together with them by a parked row that changed its key.
    pub(crate) fn together(&self, mut keys: HashSet<u128>) -> HashSet<u128> {
        loop {
            let before = keys.len();
            for entry in self.rows.values().filter(|entry| entry.kind == ParkedKind::Parked) {
                if entry.keys.iter().any(|key| keys.contains(key)) {
                    keys.extend(&entry.keys);
                }
            }
            if keys.len() == before {
                return keys;
            }
        }
    }

    pub(crate) fn seen(&self) -> ParkedSeen {
        // The first digest stands for the key: of one key there may be two, by its columns and by its record.
        let parked = self.rows.values().filter(|entry| entry.kind == ParkedKind::Parked);
        let keys: HashSet<u128> = parked.filter_map(|entry| entry.keys.first().copied()).collect();
        ParkedSeen {
            keys: keys.len() as u64,
            rows: self.parked_rows,
            dead_letters: self.rows.len() as u64 - self.parked_rows,
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, kind: ParkedKind, keys: &[u128]) -> ParkedRow {
        ParkedRow {
            id,
            kind,
            table: TableName::new("s", "t"),
            keys: keys.to_vec(),
            operation: "update".into(),
            position: "p".into(),
            at_micros: 0,
            fault: (id == 1).then(|| (FaultCode::RecordTooLarge, "m".into())),
            superseded: false,
            change: limpid_model::ChangeNumber(id),
            bytes: 10,
        }
    }

    #[test]
    fn a_key_is_free_once_no_row_holds_it() {
        use ParkedKind::{DeadLetter, Parked};
        let mut index = Index::of(vec![row(1, Parked, &[1]), row(2, Parked, &[1, 2]), row(3, DeadLetter, &[3])]);
        assert!(index.is_parked(&[9, 2]) && !index.is_parked(&[3]));
        assert_eq!(index.together([1].into()), [1, 2].into(), "a row that changed its key ties two together");
        assert_eq!(index.seen(), ParkedSeen { keys: 1, rows: 2, dead_letters: 1, bytes: 30 });
        index.remove(2);
        assert!(index.is_parked(&[1]) && !index.is_parked(&[2]));
        index.remove(1);
        assert!(!index.is_parked(&[1]));
        assert_eq!(index.dead_of(&[3]).collect::<Vec<_>>(), [3]);
        index.supersede(3);
        assert_eq!(index.dead_of(&[3]).count(), 0);
        assert_eq!(index.seen(), ParkedSeen { keys: 0, rows: 0, dead_letters: 1, bytes: 10 });
    }

    #[test]
    fn the_bound_counts_what_is_there_and_what_is_to_come() {
        let index = Index::of((0..ROWS_MAX as u64 - 1).map(|id| row(id, ParkedKind::Parked, &[])).collect());
        assert!(index.has_room(1, 0) && !index.has_room(2, 0));
        let free = BYTES_MAX - index.seen().bytes;
        assert!(index.has_room(1, free) && !index.has_room(1, free + 1));
    }
}
