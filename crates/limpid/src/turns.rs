//! Telling by turns: how the cost of telling is measured within one process.
//!
//! Owns: whose turn a batch is, and the account of each turn. Does not own: what is told (`observe`), what follows from the accounts
//! (the bench).
//!
//! Invariant: nothing is done without `--turns` but one load a batch that may have headers. What a thread did between two looks at
//! its clock is of the batch that it did it for: of the reader and the workers the one that they tell of next, of the delivery the
//! one that it told of last, but for telling itself.
//!
//! Two processes that do the same differ by several percent in what the processor does for them, and so do two seconds of one, by the
//! machine's other guests; a cost of one percent is not seen beside that. Turns of a few hundredths of a second have all of that in
//! common.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use limpid_connector::{DecodeTally, Delivered, EncodeTally, EncodedBatch, TransformTally};
use limpid_engine::{
    Beat, CopyProgress, Fill, FlowWindow, HeadLooked, Observer, ParkedSeen, Ratios, RowAt, RowFate, RowKept,
};
use limpid_model::{Batch, Component, Fault, FaultCode, FlowCounts, TableName};
use rustix::time::{ClockId, clock_gettime};

/// Batches a turn.
const TURN: u64 = 16;

/// Who is told of, by turns.
#[derive(Debug)]
struct Turns {
    reads: AtomicU64,
    /// Locked a few times a batch.
    accounts: Mutex<BTreeMap<u64, Account>>,
    out: Mutex<File>,
}

/// What was done in a turn.
#[derive(Debug, Default)]
struct Account {
    rows: u64,
    nanos: u64,
}

static TURNS: OnceLock<Turns> = OnceLock::new();

thread_local! {
    /// What this thread's clock said last.
    static LAST: Cell<u64> = const { Cell::new(0) };
    /// The batch that this thread told last was delivered, or handed in.
    static TOLD_OF: Cell<u64> = const { Cell::new(0) };
}

/// Tells by turns from now on.
///
/// # Errors
/// The file for the accounts cannot be made.
pub fn begin(file: &Path) -> std::io::Result<()> {
    let turns = Turns { reads: AtomicU64::new(0), accounts: Mutex::default(), out: Mutex::new(File::create(file)?) };
    TURNS.set(turns).expect("once a process");
    Ok(())
}

/// An observer as it is, or one that is told by turns.
pub fn by_turns(inner: Arc<dyn Observer>) -> Arc<dyn Observer> {
    match TURNS.get() {
        Some(turns) => Arc::new(ByTurns { turns, inner }),
        None => inner,
    }
}

/// Whether a batch is told of, by its number.
pub fn tells(seq: u64) -> bool {
    TURNS.get().is_none() || is_telling(seq)
}

/// Writes the accounts, a line each: JSON with `turn`, `telling`, `rows` and `nanos` of the processor on the threads that batches
/// pass here; then one with the `nanos` of the process and of its threads by name, as far as they live.
///
/// # Errors
/// They cannot be written.
pub fn end() -> std::io::Result<()> {
    let Some(turns) = TURNS.get() else { return Ok(()) };
    let mut text = String::new();
    for (turn, Account { rows, nanos }) in &*turns.accounts.lock().expect("never held across a panic") {
        let telling = is_telling(turn * TURN);
        let line = serde_json::json!({ "turn": turn, "telling": telling, "rows": rows, "nanos": nanos });
        text += &format!("{line}\n");
    }
    let whole = serde_json::json!({ "nanos": clock(ClockId::ProcessCPUTime), "threads": threads()? });
    text += &format!("{whole}\n");
    turns.out.lock().expect("never held across a panic").write_all(text.as_bytes())
}

/// One of each two turns, the first or the second as by a coin, so that nothing that comes again and again weighs on one side.
fn is_telling(seq: u64) -> bool {
    let turn = seq / TURN;
    // The finaliser of SplitMix64, whose lowest bit is as good as a coin for numbers in a row.
    let mixed = (turn / 2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (turn + (mixed ^ mixed >> 31)).is_multiple_of(2)
}

impl Turns {
    fn last_read(&self) -> u64 {
        self.reads.load(Relaxed).saturating_sub(1)
    }

    /// What this thread did since its last look at the clock was for this batch.
    fn count(&self, seq: u64, rows: u64) {
        let now = clock(ClockId::ThreadCPUTime);
        let last = LAST.replace(now);
        let mut accounts = self.accounts.lock().expect("never held across a panic");
        let account = accounts.entry(seq / TURN).or_default();
        account.rows += rows;
        account.nanos += now - last;
    }
}

/// Nanoseconds of the processor so far.
fn clock(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What the processor did for the threads that live, by their names, as the kernel counts it.
fn threads() -> std::io::Result<BTreeMap<String, u64>> {
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        // One that ends meanwhile has neither.
        let name = std::fs::read_to_string(thread.join("comm")).unwrap_or_default();
        let account = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        let nanos = account.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        *threads.entry(name.trim().to_owned()).or_default() += nanos;
    }
    Ok(threads)
}

/// Tells another, by turns.
struct ByTurns {
    turns: &'static Turns,
    inner: Arc<dyn Observer>,
}

impl ByTurns {
    /// What belongs to no batch goes with the one that was read last.
    fn sometimes(&self, tell: impl FnOnce(&dyn Observer)) {
        if is_telling(self.turns.last_read()) {
            tell(&*self.inner);
        }
    }

    /// Of a batch that the delivery has in hand; `rows` of it are delivered with this.
    fn of(&self, seq: u64, rows: usize, tell: impl FnOnce(&dyn Observer)) {
        self.turns.count(TOLD_OF.get(), 0);
        if is_telling(seq) {
            tell(&*self.inner);
        }
        self.turns.count(seq, rows as u64);
        TOLD_OF.set(seq);
    }
}

impl Observer for ByTurns {
    fn read(&self, batch: &mut Batch) {
        let seq = self.turns.reads.fetch_add(1, Relaxed);
        if is_telling(seq) {
            self.inner.read(batch);
        }
        self.turns.count(seq, 0);
    }

    fn blocked(&self, nanos: u64) {
        self.sometimes(|inner| inner.blocked(nanos));
    }

    fn made(&self, batch: &EncodedBatch, transformed: &TransformTally) {
        let seq = batch.batch.seq;
        if is_telling(seq) {
            self.inner.made(batch, transformed);
        }
        self.turns.count(seq, 0);
    }

    fn tallies(&self, batch: &EncodedBatch, decoded: &DecodeTally, encoded: &EncodeTally) {
        self.of(batch.batch.seq, 0, |inner| inner.tallies(batch, decoded, encoded));
    }

    fn submitted(&self, batch: &mut EncodedBatch) {
        let seq = batch.batch.seq;
        self.of(seq, 0, |inner| inner.submitted(batch));
    }

    fn durable(&self, batch: &EncodedBatch, delivered: &[Delivered]) {
        // A receipt has no rows.
        let rows = batch.batch.counts.iter().flatten().map(|count| *count as usize).sum();
        self.of(batch.batch.seq, rows, |inner| inner.durable(batch, delivered));
    }

    fn saved(&self, position: &str, took_nanos: u64) {
        self.sometimes(|inner| inner.saved(position, took_nanos));
    }

    fn flow(&self, window: &FlowWindow, totals: &BTreeMap<TableName, FlowCounts>) {
        self.sometimes(|inner| inner.flow(window, totals));
    }

    fn head(&self, look: HeadLooked<'_>) {
        self.sometimes(|inner| inner.head(look));
    }

    fn fresh(&self, upto_nanos: u64) {
        self.sometimes(|inner| inner.fresh(upto_nanos));
    }

    fn stages(&self, ratios: Option<&Ratios>) {
        self.sometimes(|inner| inner.stages(ratios));
    }

    fn fill(&self, fill: Fill) {
        self.sometimes(|inner| inner.fill(fill));
    }

    fn idle(&self, nanos: u64) {
        self.inner.idle(nanos);
    }

    fn beat(&self, beat: Beat<'_>) {
        self.inner.beat(beat);
    }

    fn health(&self, component: Component, endpoint: &str, healthy: bool, fault: Option<&Fault>) {
        self.inner.health(component, endpoint, healthy, fault);
    }

    fn passed_over(&self, endpoint: &str, why: &Fault) {
        self.inner.passed_over(endpoint, why);
    }

    fn table_halted(&self, table: &TableName, fault: &Fault, from: Option<RowAt<'_>>) {
        self.inner.table_halted(table, fault, from);
    }

    fn row_kept(&self, row: RowKept<'_>) {
        self.inner.row_kept(row);
    }

    fn diverted(&self, rows: &[(u32, RowFate)]) {
        self.inner.diverted(rows);
    }

    fn parked(&self, seen: ParkedSeen) {
        self.inner.parked(seen);
    }

    fn rows_replayed(&self, rows: u64) {
        self.inner.rows_replayed(rows);
    }

    fn rows_given_up(&self, rows: u64) {
        self.inner.rows_given_up(rows);
    }

    fn doubt(&self, code: FaultCode, object: &str) {
        self.inner.doubt(code, object);
    }

    fn unfenced(&self, why: &Fault) {
        self.inner.unfenced(why);
    }

    fn accepted(&self, code: FaultCode, position: &str) {
        self.inner.accepted(code, position);
    }

    fn fault(&self, fault: &Fault, pause_ms: Option<u64>) {
        self.inner.fault(fault, pause_ms);
    }

    fn started(&self, position: &str) {
        self.inner.started(position);
    }

    fn moved(&self, from: &str, to: &str) {
        self.inner.moved(from, to);
    }

    fn move_refused(&self, to: &str, why: &Fault) {
        self.inner.move_refused(to, why);
    }

    fn chunk_read(&self, table: &TableName, rows: u64, took: Duration) {
        self.inner.chunk_read(table, rows, took);
    }

    fn chunk_stale(&self, table: &TableName, why: &str) {
        self.inner.chunk_stale(table, why);
    }

    fn copy_failed(&self, table: &TableName, fault: &Fault) {
        self.inner.copy_failed(table, fault);
    }

    fn copying(&self, progress: &CopyProgress) {
        self.inner.copying(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_turns_tells_and_either_is_first_as_often() {
        let pairs: Vec<[bool; 2]> =
            (0..1000).map(|pair| [0, 1].map(|of| is_telling((pair * 2 + of) * TURN + 5))).collect();
        assert!(pairs.iter().all(|[first, second]| first != second));
        let first = pairs.iter().filter(|[first, _]| *first).count();
        assert!((450..550).contains(&first), "{first}");
        let same = pairs.windows(2).filter(|two| two[0] == two[1]).count();
        assert!((450..550).contains(&same), "{same}");
    }
}
