//! How late rows are by the commit times of their transactions.
//!
//! Owns: which commit times are believed, and counting those that are not. Does not own: the series (`output`), the
//! clocks (`clock`).
//!
//! Invariant: all on our monotonic clock, with the source's offset taken off. A commit is never believed to lie after we
//! read it, nor before a time by which everything was delivered or an earlier commit that is: a statement's time may be
//! that of its beginning, and a session may set it. What is not believed is counted.

use std::sync::Arc;

use limpid_model::TxnHeader;

use super::clock::SourceClock;
use crate::catalogue::{
    COMMIT_TO_READ_SECONDS, DATA_LAG_SECONDS, DISBELIEVED_COMMITS_TOTAL, EVENT_TIME_LATENCY,
    SOURCE_TIME_RESOLUTION_SECONDS,
};
use crate::instruments::{Counter, Gauge, Tally};
use crate::moment::Moment;
use crate::outline::Outline;
use crate::registry::Registry;

/// A server takes a commit's time a while before the commit is in its log, where a look at the head finds it.
const LOGGED_LATE: i64 = 100_000_000;

pub(super) struct Ages {
    registry: Arc<Registry>,
    pipeline: Box<str>,
    clock: Arc<SourceClock>,
    resolution: Option<Arc<Gauge>>,
    ahead: Option<Arc<Counter>>,
    behind: Option<Arc<Counter>>,
    /// Empty between batches, as those below.
    pub event_time: Tally,
    /// One a table of the batch, reused.
    pub by_table: Vec<OfTable>,
}

/// What is gathered of a table over one batch.
pub(super) struct OfTable {
    pub whole: Tally,
    pub before_us: Tally,
    pub rows: u64,
}

/// Rows that stand one after the other with one age: rows of one table and one second, where the source has seconds.
#[derive(Clone, Copy)]
struct Run {
    table: usize,
    committed: i64,
    rows: u64,
}

impl Ages {
    pub(super) fn new(registry: &Arc<Registry>, pipeline: &str, clock: Arc<SourceClock>) -> Self {
        Self {
            registry: Arc::clone(registry),
            pipeline: pipeline.into(),
            clock,
            resolution: None,
            ahead: None,
            behind: None,
            event_time: Tally::of(&EVENT_TIME_LATENCY),
            by_table: Vec::new(),
        }
    }

    /// Gathers how late the rows of the tables that are `there` are: one look at the clock a transaction, one count a
    /// run of rows. `floor` is a time before which every commit was delivered.
    pub(super) fn measure(&mut self, batch: &Outline, there: &[bool], floor: Option<i64>, now: Moment) {
        let (read, slack) = (batch.times.read as i64, self.clock.uncertainty_nanos());
        while self.by_table.len() < batch.tables.len() {
            let (whole, before_us) = (Tally::of(&DATA_LAG_SECONDS), Tally::of(&COMMIT_TO_READ_SECONDS));
            self.by_table.push(OfTable { whole, before_us, rows: 0 });
        }
        let mut believed = floor.unwrap_or(i64::MIN).min(read);
        let (mut txn, mut ahead, mut behind) = (u32::MAX, 0, 0);
        let mut run = Run { table: usize::MAX, committed: 0, rows: 0 };
        for rows in batch.runs.iter().filter(|rows| rows.passed > 0) {
            if rows.txn != txn {
                txn = rows.txn;
                let Some(header) = batch.txns.get(txn as usize) else { continue };
                let told = self.clock.nanos_of(header.commit.micros, now);
                let resolution = i64::from(header.commit.uncertainty_micros) * 1000;
                ahead += u64::from(told > read + slack);
                behind += u64::from(told.saturating_add(resolution + slack + LOGGED_LATE) < believed);
                believed = believed.max(told.min(read));
            }
            let table = usize::from(rows.table);
            if (run.table, run.committed) != (table, believed) {
                self.count(run, batch);
                run = Run { table, committed: believed, rows: 0 };
            }
            if there.get(table) == Some(&true) {
                run.rows += u64::from(rows.passed);
            }
        }
        self.count(run, batch);
        self.tell(batch.txns.last(), ahead, behind);
    }

    fn count(&mut self, run: Run, batch: &Outline) {
        if run.rows == 0 {
            return;
        }
        let table = &mut self.by_table[run.table];
        let since = |nanos: u64| (nanos as i64).saturating_sub(run.committed) as f64 / 1e9;
        self.event_time.observe(since(batch.times.acked), run.rows);
        table.whole.observe(since(batch.times.acked), run.rows);
        table.before_us.observe(since(batch.times.read), run.rows);
        table.rows += run.rows;
    }

    fn tell(&mut self, last: Option<&TxnHeader>, ahead: u64, behind: u64) {
        let Self { registry, pipeline, resolution, .. } = self;
        if let Some(txn) = last {
            let bind = || registry.gauge(&SOURCE_TIME_RESOLUTION_SECONDS, &[pipeline]);
            let micros = txn.commit.uncertainty_micros.max(1);
            resolution.get_or_insert_with(bind).set(f64::from(micros) / 1e6);
        }
        for (counter, why, count) in [(&mut self.ahead, "ahead", ahead), (&mut self.behind, "behind", behind)] {
            if count > 0 {
                let bind = || registry.counter(&DISBELIEVED_COMMITS_TOTAL, &[pipeline, why]);
                counter.get_or_insert_with(bind).add(count);
            }
        }
    }

    /// The last commit of the batch whose time can be: one that lies after our reading of it proves nothing.
    pub(super) fn last_commit(&self, batch: &Outline, now: Moment) -> Option<i64> {
        let (read, slack) = (batch.times.read as i64, self.clock.uncertainty_nanos());
        let told = |txn: &TxnHeader| self.clock.nanos_of(txn.commit.micros, now);
        let ended = batch.txns.iter().rev().filter(|txn| txn.ends).map(told);
        ended.filter(|told| *told <= read + slack).map(|told| told.min(read)).next()
    }
}
