//! The ledger of flow: what came in and what went out, by table.
//!
//! Owns: the account of each batch between its turn and its acknowledgement. Does not own: what is kept of it (`keeper`),
//! what others see (`book`).
//!
//! Invariant: what comes in is what the decoder made of the log's events, told by the worker; what was delivered is what
//! the sink acknowledged. Neither is worked out from the other, so that a record which the encoder, the order or the
//! sink dropped or doubled makes the two differ. Rows that are read again count once: a part of a transaction or of a
//! copied range that is not behind the saved position counts with what it belongs to. Per batch and table, never per
//! row, but where rows are taken out of a batch.

mod book;
mod keeper;

use std::collections::{HashMap, HashSet, VecDeque};

use limpid_connector::{Delivered, EncodeTally, EncodedBatch};
use limpid_model::{Batch, Flow, FlowCounts, FlowSums, Op, TableName};

use crate::copy::Mark;
use crate::parking::RowFate;
pub(crate) use book::Book;
pub use book::FlowSeen;
pub(crate) use keeper::Keeper;

/// One table of a batch.
#[derive(Debug)]
struct Account {
    table: TableName,
    counts: FlowCounts,
    /// That the sink is to acknowledge.
    records: i64,
}

/// What a batch belongs to that counts only as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A batch of the stream, or of a replay.
    None,
    /// Of a copied range, by table and lane; its last batch, or one before.
    Of { key: (TableName, u64), ends: bool },
    /// Of a table that is read whole.
    Piece,
    /// Behind the last piece of so many rows.
    Whole { table: TableName, rows: i64 },
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    is_durable: bool,
    part: Part,
    /// It is of no use, and comes again.
    is_void: bool,
    /// Where nothing is encoded the sink tells of rows.
    is_encoded: bool,
    comes_in: Flow,
    accounts: Vec<Account>,
}

/// The delivery's part of it.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Sums count as soon as a batch is handed in: what was handed in becomes durable with the next record.
    is_together: bool,
    /// The batch in hand.
    current: Option<Entry>,
    /// Handed in, the oldest first.
    out: VecDeque<Entry>,
    /// Parts of ranges that are not whole yet.
    ranges: HashMap<(TableName, u64), (FlowSums, bool)>,
    /// Pieces of tables that are not whole yet, in their order.
    pieces: HashMap<TableName, Vec<FlowCounts>>,
}

/// Rows of each of a batch's tables, as its decoder made them.
pub(crate) fn rows_read(batch: &Batch) -> Vec<u32> {
    batch.counts.iter().map(|counts| counts.iter().sum()).collect()
}

impl Ledger {
    pub(crate) fn new(is_together: bool) -> Self {
        let (current, out) = (None, VecDeque::new());
        Self { is_together, current, out, ranges: HashMap::new(), pieces: HashMap::new() }
    }

    /// The turn of a batch has come. `read` is what the worker had once it was decoded.
    pub(crate) fn begin(&mut self, encoded: &EncodedBatch, read: &[u32], encoding: &EncodeTally, mark: Option<&Mark>) {
        let batch = &encoded.batch;
        let comes_in = if mark.is_some() { Flow::Copied } else { Flow::Read };
        let is_encoded = !encoded.topics.is_empty();
        let part = mark.map_or(Part::None, |mark| match mark {
            Mark::Chunk { id, ends, .. } => Part::Of { key: (id.table.clone(), id.lane), ends: *ends },
            Mark::Piece => Part::Piece,
            Mark::Whole { id, rows } => Part::Whole { table: id.table.clone(), rows: *rows as i64 },
        });
        let mut accounts = Vec::with_capacity(batch.tables.len());
        for (index, schema) in batch.tables.iter().enumerate() {
            let rows = read.get(index).copied().map_or(0, i64::from);
            let filtered = filtered(batch, index, &encoding.skipped);
            let more = encoding.more_records.get(index).copied().map_or(0, i64::from);
            let mut counts = FlowCounts::landed(rows);
            counts.add(comes_in, rows);
            counts.add(Flow::Filtered, filtered);
            counts.add(Flow::Delivered, rows - filtered);
            accounts.push(Account { table: schema.name.clone(), counts, records: rows - filtered + more });
        }
        let (seq, is_durable, is_void) = (0, false, false);
        self.current = Some(Entry { seq, is_durable, part, is_void, is_encoded, comes_in, accounts });
    }

    /// Rows of the batch in hand go no further, and so many records with them.
    pub(crate) fn take_out(&mut self, table: usize, fate: Flow, rows: i64, records: i64) {
        if let Some(account) = self.current.as_mut().and_then(|entry| entry.accounts.get_mut(table)) {
            account.counts.add(Flow::Delivered, -rows);
            account.counts.add(fate, rows);
            account.records -= records;
        }
    }

    /// The batch in hand is read again, all of it.
    pub(crate) fn void(&mut self) {
        let Some(entry) = &mut self.current else { return };
        entry.is_void = true;
        for account in &mut entry.accounts {
            account.counts = FlowCounts::landed(account.counts.landed);
            if entry.is_encoded {
                account.records = 0;
            }
        }
    }

    /// Rows of the batch in hand were counted before a restart. `records` were taken out of each table.
    pub(crate) fn again(
        &mut self,
        batch: &Batch,
        skipped: &[bool; Op::COUNT],
        records: &[i64],
        is_again: impl Fn(usize) -> bool,
    ) {
        let Some(entry) = &mut self.current else { return };
        for index in (0..batch.rows.len()).filter(|index| is_again(*index)) {
            let row = &batch.rows[index];
            let Some(account) = entry.accounts.get_mut(usize::from(row.table)) else { continue };
            let is_rejected = batch.filtered.binary_search_by_key(&(index as u32), |row| row.row).is_ok();
            let is_filtered = is_rejected || skipped[row.op as usize];
            account.counts.add(entry.comes_in, -1);
            account.counts.add(if is_filtered { Flow::Filtered } else { Flow::Delivered }, -1);
        }
        for (account, gone) in entry.accounts.iter_mut().zip(records) {
            account.records -= gone;
        }
    }

    /// The batch in hand is a piece of a replay.
    pub(crate) fn replayed(&mut self, encoded: &EncodedBatch) {
        let tables = &encoded.batch.tables;
        let mut accounts: Vec<Account> = tables
            .iter()
            .map(|schema| Account { table: schema.name.clone(), counts: FlowCounts::default(), records: 0 })
            .collect();
        for records in encoded.records.chunk_by(|a, b| a.row == b.row) {
            let account = &mut accounts[usize::from(records[0].table)];
            account.counts.add(Flow::Replayed, 1);
            account.counts.add(Flow::Delivered, 1);
            account.records += records.len() as i64;
        }
        let (seq, is_durable, part, is_void) = (0, false, Part::None, false);
        let (is_encoded, comes_in) = (true, Flow::Replayed);
        self.current = Some(Entry { seq, is_durable, part, is_void, is_encoded, comes_in, accounts });
    }

    /// Rows of the batch in hand that go no further, each with why, and the records of each table that went with them.
    pub(crate) fn diverted(&mut self, batch: &Batch, fates: &[(u32, RowFate)], records: &[i64]) {
        for (row, fate) in fates {
            let fate = match fate {
                RowFate::Parked(_) => Flow::Parked,
                RowFate::DeadLetter(_) => Flow::DeadLettered,
                RowFate::Withheld(_) => Flow::Withheld,
            };
            self.take_out(usize::from(batch.rows[*row as usize].table), fate, 1, 0);
        }
        for (table, gone) in records.iter().enumerate() {
            self.take_out(table, Flow::Delivered, 0, *gone);
        }
    }

    /// The sink has the batch in hand. What counts from here on.
    pub(crate) fn handed_in(&mut self, seq: u64) -> FlowSums {
        let Some(mut entry) = self.current.take() else { return FlowSums::default() };
        entry.seq = seq;
        let counts = if self.is_together { self.count(&mut entry) } else { FlowSums::default() };
        self.out.push_back(entry);
        counts
    }

    /// The sink acknowledged a batch. What counts from here on, and what sets right what was counted before.
    pub(crate) fn durable(&mut self, seq: u64, delivered: &[Delivered], halted: &HashSet<TableName>) -> FlowSums {
        let Some(first) = self.out.front().map(|entry| entry.seq) else { return FlowSums::default() };
        let mut sums = FlowSums::default();
        if let Some(entry) = self.out.get_mut((seq - first) as usize) {
            entry.is_durable = true;
            for (index, account) in entry.accounts.iter_mut().enumerate() {
                let of_it = delivered.iter().filter(|to| usize::from(to.table) == index);
                let acked: i64 = of_it.map(|to| i64::from(to.records)).sum();
                let short = account.records - acked;
                if short == 0 {
                    continue;
                }
                let mut right = FlowCounts::default();
                right.add(Flow::Delivered, -short);
                if short > 0 && halted.contains(&account.table) {
                    right.add(Flow::Withheld, short);
                }
                match self.is_together {
                    true => sums.add(&account.table, &right),
                    false => account.counts.merge(&right),
                }
            }
        }
        while self.out.front().is_some_and(|entry| entry.is_durable) {
            if let Some(mut entry) = self.out.pop_front()
                && !self.is_together
            {
                sums.merge(&self.count(&mut entry));
            }
        }
        sums
    }

    /// What of a batch counts now: parts wait for what they belong to.
    fn count(&mut self, entry: &mut Entry) -> FlowSums {
        let mut sums = FlowSums::default();
        let accounts = std::mem::take(&mut entry.accounts);
        entry.accounts = match self.is_together {
            // They are still compared with what the sink says.
            true => accounts.iter().map(|account| Account { table: account.table.clone(), ..*account }).collect(),
            false => Vec::new(),
        };
        match &entry.part {
            Part::None => accounts.iter().for_each(|account| sums.add(&account.table, &account.counts)),
            Part::Of { key, ends } => {
                let (mut whole, mut is_void) = self.ranges.remove(key).unwrap_or_default();
                accounts.iter().for_each(|account| whole.add(&account.table, &account.counts));
                is_void |= entry.is_void;
                if !ends {
                    self.ranges.insert(key.clone(), (whole, is_void));
                } else if is_void {
                    sums.merge(&landed(&whole));
                } else {
                    sums = whole;
                }
            }
            Part::Piece => {
                for account in accounts {
                    self.pieces.entry(account.table).or_default().push(account.counts);
                }
            }
            Part::Whole { table, rows } => {
                // The last of them are of the reading that got through.
                let mut left = *rows;
                for counts in self.pieces.remove(table).unwrap_or_default().into_iter().rev() {
                    let is_of_it = left > 0;
                    left -= counts.get(Flow::Copied);
                    let counts = if is_of_it { counts } else { only_landed(&counts) };
                    sums.add(table, &counts);
                }
            }
        }
        sums
    }
}

/// Rows that are in flight no longer and count for nothing.
fn landed(sums: &FlowSums) -> FlowSums {
    FlowSums(sums.0.iter().map(|(table, counts)| (table.clone(), only_landed(counts))).collect())
}

fn only_landed(counts: &FlowCounts) -> FlowCounts {
    FlowCounts::landed(counts.landed)
}

/// Rows of a table that a rule rejected, or of which the format makes no record.
fn filtered(batch: &Batch, table: usize, skipped: &[bool; Op::COUNT]) -> i64 {
    let rejected: i64 = batch.rejected.get(table).map_or(0, |counts| counts.iter().copied().map(i64::from).sum());
    if !skipped.contains(&true) || batch.counts.len() <= table {
        return rejected;
    }
    let passed = batch.passed(table);
    rejected + passed.iter().zip(skipped).filter(|(_, skips)| **skips).map(|(rows, _)| i64::from(*rows)).sum::<i64>()
}

#[cfg(test)]
mod tests;
