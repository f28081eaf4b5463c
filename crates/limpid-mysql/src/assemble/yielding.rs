//! Taking batches out: when, with which position, and what goes on in the next one.
//!
//! Owns: blocks, pieces of large groups, carrying a group in progress over. Does not own: what events do to a group
//! (`assemble`).
//!
//! Invariant: a batch that is taken holds whole ended groups, or pieces of one whose fate is known; its position
//! covers exactly those.

use bytes::Bytes;
use limpid_connector::StreamEvent;

use super::*;
use crate::tables::Captured;

impl Assembler {
    /// True when the batch should be taken at this boundary.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.settled_bytes >= BATCH_BYTES
            || self.settled_txns >= 4096
            || self.batch.control.log_bytes >= SILENT_BYTES_MAX
    }

    /// True inside a large group that is known to be committed and has gathered enough for a piece.
    #[inline]
    pub fn piece_is_due(&self) -> bool {
        let Some(group) = &self.group else { return false };
        group.bytes >= BATCH_BYTES && group.fate.as_ref().is_some_and(|fate| fate.ending == Ending::Committed)
    }

    /// True when there is a position to report that no batch has carried yet.
    pub fn has_news(&self) -> bool {
        self.moved
    }

    /// The index the next sealed block will get.
    #[inline]
    pub fn next_block(&self) -> u16 {
        self.batch.blocks.len() as u16
    }

    /// Gives the batch the block that its latest events may point into; kept only if one does.
    pub fn seal(&mut self, block: Bytes) {
        let number = self.next_block();
        let mut latest = self.batch.events.iter().rev().filter(|event| event.block != NO_BLOCK);
        if latest.next().is_some_and(|event| event.block == number) {
            self.batch.blocks.push(block);
        }
    }

    /// The position everything settled is below.
    pub fn position(&self) -> LogPosition {
        LogPosition {
            gtids: self.gtids.clone(),
            file: Arc::clone(&self.file),
            offset: self.offset,
            inside: None,
            undecided: self.held.undecided(),
        }
    }

    /// Places before which everything is settled: where the group in hand begins or the last event ended, and what an
    /// idle server said last of how far its log is read. It need not have sent us anything on the way there.
    pub fn settled_places(&self) -> [Option<(&str, u64)>; 2] {
        match &self.group {
            Some(group) => [Some((&*self.file, group.begin)), None],
            None => [Some((&*self.file, self.offset)), self.heard.as_ref().map(|(file, offset)| (&**file, *offset))],
        }
    }

    /// The table as rows of it would be yielded now.
    pub fn current(&mut self, name: &TableName) -> Option<Captured> {
        let made = self.schemas.made(name)?;
        Some(self.tables.latest(name, self.schemas.generation()).cloned().unwrap_or(made))
    }

    /// Where the group in hand begins: file and offset for a look ahead.
    pub fn group_begin(&self) -> Option<(Arc<str>, u64)> {
        self.group.as_ref().map(|group| (Arc::clone(&self.file), group.begin))
    }

    /// Where the transaction payload fed last begins, for faults.
    pub fn payload_place(&self) -> String {
        format!("{}:{}", self.file, self.payload)
    }

    /// What the look ahead found for the group in hand. Of a group that is not committed no row is held any longer.
    pub fn set_fate(&mut self, fate: Fate) {
        if self.group.is_none() {
            return;
        }
        match fate.ending {
            Ending::RolledBack | Ending::Prepared => self.batch.events.truncate(self.settled_events),
            Ending::Committed => {
                self.batch.events_retain(self.settled_events, |event| !fate.marks.is_undone(event.at));
            }
        }
        let bytes = self.held_bytes();
        if let Some(group) = &mut self.group {
            group.bytes = bytes;
            group.fate = Some(fate);
        }
    }

    /// Bytes of the group in hand that are held: what was undone counts no longer, else its pieces would never end.
    pub(super) fn held_bytes(&self) -> u64 {
        self.batch.events.iter().skip(self.settled_events).map(|event| event.len as u64).sum()
    }

    /// Takes what is settled (and, of a large group whose fate is known, what is there) into `out`. The group in
    /// progress goes on in the next batch.
    pub fn take(&mut self, out: &mut Batch) {
        let piece = self.group.as_ref().is_some_and(|group| {
            group.fate.as_ref().is_some_and(|fate| fate.ending == Ending::Committed) && group.txn.is_some()
        });
        let mut piece_bytes = 0;
        if piece {
            // Up to the usual size; the rest of the group is the next batch's.
            while self.settled_events < self.batch.events.len() && piece_bytes < BATCH_BYTES {
                piece_bytes += self.batch.events[self.settled_events].len as u64;
                self.settled_events += 1;
            }
            self.settled_txns = self.batch.txns.len();
            self.group.iter().for_each(|group| contexts::tell(group, &mut self.batch));
        }
        std::mem::swap(out, &mut self.batch);
        self.batch.clear();
        self.tables.new_batch();
        self.carry_over(out);
        out.end = Some(Position::new(self.end_position(piece)));
        if let Some(group) = &mut self.group
            && piece
        {
            group.left = true;
            group.bytes -= piece_bytes;
        }
        (self.settled_events, self.settled_txns, self.settled_bytes) = (0, 0, 0);
        self.moved = false;
    }

    fn end_position(&self, piece: bool) -> LogPosition {
        let mut position = self.position();
        if let Some(group) = &self.group {
            position.offset = group.begin;
            if piece {
                let tag = group.tag.clone().unwrap_or_default();
                position.inside = Some((NamedTxn { id: group.id, tag }, 0));
            }
        }
        position
    }

    /// Moves the events of the group in progress from the batch just taken to the next one.
    fn carry_over(&mut self, taken: &mut Batch) {
        let events = taken.events.split_off(self.settled_events);
        taken.txns.truncate(self.settled_txns);
        if let Some(group) = &mut self.group {
            group.txn = None;
        }
        if !taken.control.ddl.is_empty() {
            self.carry_definitions(taken);
        }
        let Some(first) = events.first() else { return };
        let with_bytes = events.iter().find(|event| event.block != NO_BLOCK);
        let first_block = with_bytes.map_or(taken.blocks.len() as u16, |event| event.block);
        self.batch.blocks.extend(taken.blocks[first_block as usize..].iter().cloned());
        // Blocks that stay with the batch count as its bytes until it is delivered.
        let last = taken.events.iter().rev().find(|event| event.block != NO_BLOCK);
        taken.blocks.truncate(last.map_or(0, |event| event.block as usize + 1));
        let (seconds, at) = (first.seconds, first.at);
        let txn = self.txn_index(seconds, at);
        for mut event in events {
            if event.block != NO_BLOCK {
                event.block -= first_block;
            }
            event.log = 0;
            event.txn = txn;
            let (schema, layout) = (&taken.tables[event.table as usize], &taken.layouts[event.table as usize]);
            event.table = self.tables.adopt(schema, layout, &mut self.batch);
            self.batch.events.push(event);
        }
    }

    /// Definitions of the group in hand stay with its rows, unless some of those are taken.
    fn carry_definitions(&mut self, taken: &mut Batch) {
        let Some(group) = self.group.as_ref().filter(|group| group.id != TxnId::Anonymous) else { return };
        if taken.txns.last().is_some_and(|txn| txn.id.is_same(group.id)) {
            return;
        }
        let others = taken.control.ddl.iter().rposition(|one| !one.txn.is_same(group.id));
        for mut one in taken.control.ddl.split_off(others.map_or(0, |last| last + 1)) {
            one.txn = with_tag(group.id, group.tag.clone(), &mut self.batch.tags);
            self.batch.control.ddl.push(one);
        }
    }

    /// After a fault: what is settled may still be taken, at the place where the last settled group ended. The group
    /// in progress is for whoever reads the log again.
    pub fn give_up_group(&mut self) {
        self.group = None;
        self.replay = None;
        self.batch.events.truncate(self.settled_events);
        self.batch.txns.truncate(self.settled_txns);
        self.offset = self.settled_offset;
    }

    /// What happened besides rows since the last call.
    pub fn take_events(&mut self) -> Vec<StreamEvent> {
        let mut events = self.schemas.take_events();
        let heard = self.listener.iter_mut().flat_map(Listener::take);
        events.extend(heard.map(|(instance, number)| StreamEvent::Heartbeat { instance, number }));
        events
    }

    /// Listens for heartbeats from here on.
    pub fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }
}
