//! The source block and all that follows it.
//!
//! Owns: `,"source":{...` to the end of the value. Does not own: the constant parts (`plan`), the images before it.
//!
//! Invariant: what rows of one event share is written once and copied; only the row's number differs. The text is
//! always that of the event and operation last asked for.

use limpid_model::{Batch, CommitTime, EventHeader, Op, RowHeader, TxnHeader, TxnId};

use super::plan::TablePlan;
use crate::json::{put_hex, put_i64, put_text, put_u64};

/// Text of the event in hand.
pub(super) struct Origin {
    /// `,"source":{` up to and with `"row":`.
    head: Vec<u8>,
    /// `,"thread":` to the end; the operation's letter stands at `op_at`.
    tail: Vec<u8>,
    op_at: usize,
    /// What `head` and `tail` are for.
    event: u32,
    snapshot: bool,
    /// `","ts_ms":..,"ts_us":..,"ts_ns":..}`: when this batch is processed.
    now: Vec<u8>,
}

/// No event has this number.
const NO_EVENT: u32 = u32::MAX;

impl Origin {
    pub(super) fn new() -> Self {
        Self { head: Vec::new(), tail: Vec::new(), op_at: 0, event: NO_EVENT, snapshot: false, now: Vec::new() }
    }

    pub(super) fn begin_batch(&mut self, now_micros: i64) {
        self.event = NO_EVENT;
        self.now.clear();
        self.now.extend_from_slice(b"\",\"ts_ms\":");
        put_i64(&mut self.now, now_micros.div_euclid(1000));
        self.now.extend_from_slice(b",\"ts_us\":");
        put_i64(&mut self.now, now_micros);
        self.now.extend_from_slice(b",\"ts_ns\":");
        put_nanos(&mut self.now, now_micros);
        self.now.push(b'}');
    }

    /// Appends the source block of `row` and what follows it.
    #[inline]
    pub(super) fn put(&mut self, out: &mut Vec<u8>, batch: &Batch, plan: &TablePlan, row: &RowHeader, op: u8) {
        let snapshot = row.op == Op::Read;
        if self.event != row.event || self.snapshot != snapshot {
            self.render(batch, plan, row, snapshot);
        }
        out.reserve(self.head.len() + self.tail.len() + 20);
        out.extend_from_slice(&self.head);
        put_u64(out, row.row_in_event as u64);
        let at = out.len();
        out.extend_from_slice(&self.tail);
        out[at + self.op_at] = op;
    }

    #[inline(never)]
    fn render(&mut self, batch: &Batch, plan: &TablePlan, row: &RowHeader, snapshot: bool) {
        let event = &batch.events[row.event as usize];
        let txn = &batch.txns[row.txn as usize];
        let mut micros = commit_micros(txn, event);
        if row.op == Op::Truncate {
            // Debezium takes a statement's time through milliseconds.
            micros -= micros.rem_euclid(1000);
        }
        let head = &mut self.head;
        head.clear();
        plan.source_head.put(head);
        put_i64(head, micros.div_euclid(1000));
        if snapshot { &plan.source_snapshot } else { &plan.source_stream }.put(head);
        put_i64(head, micros);
        head.extend_from_slice(b",\"ts_ns\":");
        put_nanos(head, micros);
        plan.source_table.put(head);
        put_u64(head, event.server as u64);
        head.extend_from_slice(b",\"gtid\":");
        put_gtid(head, batch, txn.id);
        head.extend_from_slice(b",\"file\":\"");
        if let Some(log) = batch.logs.get(event.log as usize) {
            put_text(head, log.as_bytes());
        }
        head.extend_from_slice(b"\",\"pos\":");
        put_u64(head, event.at);
        head.extend_from_slice(b",\"row\":");
        let tail = &mut self.tail;
        tail.clear();
        tail.extend_from_slice(b",\"thread\":");
        match txn.thread {
            0 => tail.extend_from_slice(b"null"),
            thread => put_u64(tail, thread as u64),
        }
        tail.extend_from_slice(b",\"query\":null},\"transaction\":null,\"op\":\"");
        self.op_at = tail.len();
        tail.push(b'c');
        tail.extend_from_slice(&self.now);
        (self.event, self.snapshot) = (row.event, snapshot);
    }
}

/// When Debezium says the row was changed: the commit time where the log has one (MySQL 8 with GTIDs), else the second
/// in the row event's own header.
#[inline]
fn commit_micros(txn: &TxnHeader, event: &EventHeader) -> i64 {
    match (txn.id, txn.commit) {
        (TxnId::Uuid { .. }, CommitTime { micros, uncertainty_micros: 0 }) => micros,
        _ => event.seconds as i64 * 1_000_000,
    }
}

fn put_nanos(out: &mut Vec<u8>, micros: i64) {
    put_i64(out, micros);
    if micros != 0 {
        out.extend_from_slice(b"000");
    }
}

/// The transaction's own GTID between quotes, or null.
fn put_gtid(out: &mut Vec<u8>, batch: &Batch, id: TxnId) {
    match id {
        TxnId::Anonymous => {
            out.extend_from_slice(b"null");
            return;
        }
        TxnId::Uuid { sid, gno, tag } => {
            out.push(b'"');
            put_uuid(out, &sid);
            out.push(b':');
            if let Some(tag) = (tag as usize).checked_sub(1).and_then(|index| batch.tags.get(index)) {
                put_text(out, tag.as_bytes());
                out.push(b':');
            }
            put_u64(out, gno);
        }
        TxnId::Domain { domain, server, seq } => {
            out.push(b'"');
            put_u64(out, domain as u64);
            out.push(b'-');
            put_u64(out, server as u64);
            out.push(b'-');
            put_u64(out, seq);
        }
    }
    out.push(b'"');
}

/// A UUID in its usual form.
pub(super) fn put_uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    for (index, group) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        put_hex(out, &bytes[group]);
    }
}
