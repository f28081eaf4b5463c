//! Rows that are kept go to the sink after all, or are given up.
//!
//! Owns: one ask under way: which rows, in which pieces, what became of them. Does not own: handing pieces to the sink
//! (`flow::delivery`).
//!
//! Invariant: rows of keys that hang together go in the order in which they were parked, and a key is free only once
//! the last of them is handed to the sink: what comes later goes behind it. The state marks a piece with a change
//! number before the sink gets it; a record that has that number has the piece delivered, so a crash neither repeats
//! a committed piece nor forgets one that was not.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use limpid_connector::EncodedBatch;
use limpid_model::{Batch, ChangeNumber, Fault, FaultCode, Op, TableName, TableSchema, key_seed};
use limpid_state::ParkedKind;

use super::ask::{ParkedAction, ParkedAsk, ParkedOutcome, ParkedSelection, Taken};
use super::body::Body;
use super::{Parking, kept};
use crate::failpoint::{Point, pass};
use crate::observe::Observer;

/// Bytes of one piece: as much as a usual batch, so that the sink's bound holds. A larger row goes alone.
const PIECE_BYTES_MAX: u64 = 1 << 20;

/// Rows of one piece: the state marks each.
const PIECE_ROWS_MAX: usize = 1000;

/// A replay under way.
#[derive(Debug)]
pub(super) struct Replay {
    number: u64,
    /// The limits of the sink are those that the attempt before learned.
    is_again: bool,
    /// Parked rows of these keys go, those that join them meanwhile too.
    keys: HashSet<u128>,
    /// Dead letters that are still to go.
    dead: BTreeSet<u64>,
    /// Keys whose first row was refused again.
    stuck: HashSet<u128>,
    /// The piece in hand; its rows' places are the `row` of its records.
    piece: Vec<u64>,
    /// Pieces that the sink has taken, by the number of their batch.
    out: HashMap<u64, Vec<u64>>,
    done: u64,
    refused: Vec<(u64, String)>,
}

impl Parking {
    /// Takes up what was asked; what needs no sink is done at once.
    pub(crate) fn take_asks(&mut self, observer: &dyn Observer) -> Result<(), Fault> {
        while self.replay.is_none()
            && let Some(taken) = self.asks.take()
        {
            match taken.ask.action {
                ParkedAction::Drop => self.give_up(&taken.ask, observer)?,
                ParkedAction::Replay { force } => self.replay = Some(self.begin_replay(&taken, force)),
            }
        }
        Ok(())
    }

    fn selected(&self, selection: &ParkedSelection) -> Vec<u64> {
        let wanted = |id: &u64| selection.ids.as_ref().is_none_or(|ids| ids.contains(id));
        let rows =
            self.index.iter().filter(|(_, entry)| selection.table.as_ref().is_none_or(|table| entry.table == *table));
        rows.map(|(id, _)| id).filter(wanted).collect()
    }

    fn missing(&self, selection: &ParkedSelection) -> Vec<(u64, String)> {
        let ids = selection.ids.iter().flatten().filter(|id| self.index.get(**id).is_none());
        ids.map(|id| (*id, "no such row is kept".to_owned())).collect()
    }

    fn give_up(&mut self, ask: &ParkedAsk, observer: &dyn Observer) -> Result<(), Fault> {
        let refused = self.missing(&ask.selection);
        let ids = self.selected(&ask.selection);
        let done = self.store.drop_parked(&self.name, &ids)? as u64;
        ids.iter().for_each(|id| drop(self.index.remove(*id)));
        if done > 0 {
            observer.rows_given_up(done);
        }
        self.tell(observer);
        self.asks.ended(ParkedOutcome { number: ask.number, done, refused, interrupted: false });
        Ok(())
    }

    fn begin_replay(&self, taken: &Taken, force: bool) -> Replay {
        let Taken { ask, done, is_again } = taken;
        // What is missing now may be what was delivered already.
        let mut refused = if *is_again { Vec::new() } else { self.missing(&ask.selection) };
        let (mut keys, mut dead) = (HashSet::new(), BTreeSet::new());
        for id in self.selected(&ask.selection) {
            match self.index.get(id) {
                Some(entry) if entry.kind == ParkedKind::Parked => keys.extend(&entry.keys),
                Some(entry) if entry.superseded && !force => {
                    refused.push((id, "a later version of its key was delivered; --force writes over it".to_owned()));
                }
                Some(_) => drop(dead.insert(id)),
                None => {}
            }
        }
        let (stuck, piece, out) = (HashSet::new(), Vec::new(), HashMap::new());
        let (number, done, is_again) = (ask.number, *done, *is_again);
        Replay { number, is_again, keys, dead, stuck, piece, out, done, refused }
    }

    pub(crate) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether limits of the sink are worth asking for anew for the replay that begins.
    pub(crate) fn wants_new_limits(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| !replay.is_again)
    }

    /// The rows that go next, in their order.
    fn next_rows(&mut self) -> Vec<u64> {
        let Some(replay) = &mut self.replay else { return Vec::new() };
        if replay.keys.is_empty() && replay.dead.is_empty() {
            return Vec::new();
        }
        replay.keys = self.index.together(std::mem::take(&mut replay.keys));
        // Rows that have joined since may tie a key that went on to one that stays.
        replay.stuck = self.index.together(std::mem::take(&mut replay.stuck));
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (id, entry) in self.index.iter() {
            let goes = match entry.kind {
                ParkedKind::Parked => {
                    let has = |keys: &HashSet<u128>| entry.keys.iter().any(|key| keys.contains(key));
                    has(&replay.keys) && !has(&replay.stuck)
                }
                ParkedKind::DeadLetter => replay.dead.contains(&id),
            };
            if !goes {
                continue;
            }
            bytes += entry.bytes;
            if !rows.is_empty() && (bytes > PIECE_BYTES_MAX || rows.len() >= PIECE_ROWS_MAX) {
                break;
            }
            rows.push(id);
        }
        rows
    }

    /// The next piece of the replay under way. `None` when nothing is left to hand out; what is out may not be delivered
    /// yet.
    pub(crate) fn next_piece(&mut self, mut encoded: Box<EncodedBatch>) -> Result<Option<Box<EncodedBatch>>, Fault> {
        let rows = self.next_rows();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut stay = HashMap::new();
        for (place, id) in rows.iter().enumerate() {
            let place = place as u32;
            let table = self.index.get(*id).expect("a row of the index").table.clone();
            let body = self.store.parked_body(&self.name, *id);
            match body.and_then(|bytes| bytes.map(|bytes| Body::decode(&bytes)).transpose()) {
                Ok(Some(body)) if !body.records.is_empty() => {
                    let number = self.table(&mut encoded, &table, body.topic.as_deref());
                    encoded.batch.counts[usize::from(number)][Op::Update as usize] += 1;
                    body.append(&mut encoded, number, place);
                }
                Ok(_) => drop(stay.insert(place, None)),
                // It is about this row alone.
                Err(fault) if fault.code() == FaultCode::StateCorrupt => drop(stay.insert(place, Some(kept(&fault)))),
                Err(fault) => return Err(fault),
            }
        }
        if let Some(replay) = &mut self.replay {
            replay.piece = rows;
        }
        self.hold_back(&mut encoded, &stay)?;
        Ok(Some(encoded))
    }

    /// The number of a table and topic in a piece.
    fn table(&mut self, encoded: &mut EncodedBatch, name: &TableName, topic: Option<&str>) -> u16 {
        let EncodedBatch { batch, topics, .. } = encoded;
        let Batch { tables, counts, .. } = batch;
        let known = tables.iter().zip(&*topics).position(|(table, to)| table.name == *name && to.as_deref() == topic);
        let number = known.unwrap_or_else(|| {
            let schema = self.schemas.entry(name.clone()).or_insert_with(|| {
                let (columns, key) = (Vec::new(), [].into());
                Arc::new(TableSchema { name: name.clone(), version: 0, columns, key, key_seed: key_seed(name) })
            });
            tables.push(Arc::clone(schema));
            counts.push([0; Op::COUNT]);
            topics.push(topic.map(Into::into));
            tables.len() - 1
        });
        u16::try_from(number).expect("a piece has fewer tables than rows")
    }

    /// The piece is about to be handed to the sink, which would not take the rows told: they stay. Returns the change
    /// number of the records that have the rest delivered, and older dead letters of its keys superseded by it.
    pub(crate) fn begin_piece(
        &mut self,
        encoded: &mut EncodedBatch,
        refused: &[(u32, Fault)],
    ) -> Result<Option<ChangeNumber>, Fault> {
        self.hold_back(encoded, &refused.iter().map(|(place, fault)| (*place, Some(kept(fault)))).collect())?;
        let Some(replay) = &mut self.replay else { return Ok(None) };
        if replay.piece.is_empty() {
            return Ok(None);
        }
        let mut older = BTreeSet::new();
        for id in &replay.piece {
            let keys = self.index.get(*id).map_or(&[][..], |entry| &entry.keys);
            // In their order, so that those of the piece itself can be looked for.
            let dead = self.index.dead_of(keys).filter(|dead| dead < id && replay.piece.binary_search(dead).is_err());
            older.extend(dead);
        }
        replay.dead.retain(|id| !older.contains(id));
        let older: Vec<u64> = older.into_iter().collect();
        let change = self.store.begin_replay(&self.name, &replay.piece, &older)?;
        older.iter().for_each(|id| self.index.supersede(*id));
        pass(Point::AfterReplayMarked);
        Ok(Some(change))
    }

    /// Rows of the piece that cannot go stay, with all of their keys that come behind them; what is left of it goes. Each
    /// has its new cause; none: it has no record.
    fn hold_back(
        &mut self,
        encoded: &mut EncodedBatch,
        stay: &HashMap<u32, Option<(FaultCode, String)>>,
    ) -> Result<(), Fault> {
        if stay.is_empty() {
            return Ok(());
        }
        let Some(replay) = &mut self.replay else { return Ok(()) };
        let mut faults = Vec::new();
        let mut held = HashSet::new();
        for (place, id) in replay.piece.iter().enumerate() {
            let Some(entry) = self.index.get(*id) else { continue };
            let refused = stay.get(&(place as u32));
            let is_parked = entry.kind == ParkedKind::Parked;
            if refused.is_none() && !(is_parked && entry.keys.iter().any(|key| replay.stuck.contains(key))) {
                continue;
            }
            if is_parked {
                replay.stuck.extend(&entry.keys);
                replay.stuck = self.index.together(std::mem::take(&mut replay.stuck));
            }
            replay.dead.remove(id);
            held.insert(place as u32);
            match refused {
                Some(Some((code, text))) => {
                    replay.refused.push((*id, format!("{code}: {text}")));
                    faults.push((*id, (*code, text.clone())));
                }
                Some(None) => {
                    replay.refused.push((*id, "it has no record in the sink's format; drop it".to_owned()));
                }
                None => {}
            }
        }
        self.store.fail_replay(&self.name, &faults)?;
        faults.into_iter().for_each(|(id, fault)| self.index.fail(id, fault));
        // Places in the piece are the rows of its records.
        let mut places = vec![0; replay.piece.len()];
        let mut left = Vec::new();
        for (place, id) in replay.piece.iter().enumerate() {
            places[place] = left.len() as u32;
            if !held.contains(&(place as u32)) {
                left.push(*id);
            }
        }
        replay.piece = left;
        encoded.records.retain_mut(|record| {
            let stays = held.contains(&record.row);
            record.row = places[record.row as usize];
            !stays
        });
        Ok(())
    }

    /// The sink has the piece: its keys are free.
    pub(crate) fn handed_out(&mut self, seq: u64) {
        let Some(replay) = &mut self.replay else { return };
        let rows = std::mem::take(&mut replay.piece);
        for id in &rows {
            replay.dead.remove(id);
            self.index.remove(*id);
        }
        replay.out.insert(seq, rows);
    }

    /// A batch is durable: if it was a piece, the state forgets its rows.
    #[inline]
    pub(crate) fn durable(&mut self, seq: u64, observer: &dyn Observer) -> Result<(), Fault> {
        if self.replay.is_none() { Ok(()) } else { self.piece_durable(seq, observer) }
    }

    #[cold]
    fn piece_durable(&mut self, seq: u64, observer: &dyn Observer) -> Result<(), Fault> {
        let Some(rows) = self.replay.as_mut().and_then(|replay| replay.out.remove(&seq)) else { return Ok(()) };
        if rows.is_empty() {
            // All of it was refused.
            return Ok(());
        }
        pass(Point::AfterReplayDurable);
        let done = self.store.drop_parked(&self.name, &rows)? as u64;
        if let Some(replay) = &mut self.replay {
            replay.done += done;
            self.asks.done(done);
        }
        observer.rows_replayed(done);
        self.tell(observer);
        Ok(())
    }

    /// Ends the replay once nothing of it is left or out.
    pub(crate) fn end_replay(&mut self) {
        let is_over = self.next_rows().is_empty()
            && self.replay.as_ref().is_some_and(|replay| replay.out.is_empty() && replay.piece.is_empty());
        if is_over && let Some(replay) = self.replay.take() {
            let Replay { number, done, refused, .. } = replay;
            self.asks.ended(ParkedOutcome { number, done, refused, interrupted: false });
        }
    }
}
