//! What is true of a pipeline's lag, and what it says of it meanwhile.
//!
//! Owns: a writer that knows when it committed what, a reader of the sink, samples of both surfaces, and the comparison.
//! Does not own: what befalls the servers (`tests/lag_truth.rs`).
//!
//! Invariant: nothing here is learnt from the pipeline: commits are the writer's own, deliveries are read at the sink. Both
//! are on this process's monotonic clock.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use limpid_stack::Session;
use serde_json::Value;

use crate::binary::page;
use crate::worker::Worker;

/// The value of a sample on a page of metrics, by its beginning.
pub fn sample(page: &str, begins: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(begins))?.rsplit(' ').next()?.parse().ok()
}

/// Commits that are known, and what the sink had when it was looked at.
///
/// What is true at a moment is known once it is over: between a look that was answered before and one that was asked
/// after. So nothing here depends on how soon this process is let run.
#[derive(Default)]
pub struct Ledger {
    /// Of each row in its order: when its statement was sent, and when it was answered.
    commits: Mutex<Vec<(Instant, Instant)>>,
    /// Of each look at the sink in its order.
    looks: Mutex<Vec<Look>>,
    /// When the sink was stopped and let go on: nothing arrives there in between.
    stops: Mutex<Vec<(Instant, Instant)>>,
}

/// How many rows the sink had, at some moment between question and answer.
struct Look {
    asked: Instant,
    answered: Instant,
    rows: u64,
}

/// What is true of a sink within a stretch of time: the age of what it has, at least and at most, in seconds.
type Bounds = (f64, f64);

impl Ledger {
    fn look(&self, asked: Instant, rows: u64) {
        let answered = Instant::now();
        self.looks.lock().expect("never held across a panic").push(Look { asked, answered, rows });
    }

    /// Nothing arrived at the sink between `from` and `upto`.
    pub fn stood_still(&self, from: Instant, upto: Instant) {
        self.stops.lock().expect("never held across a panic").push((from, upto));
    }

    /// How old what the sink had was, from `from` to `upto`: the time since the first commit that it lacked. Nothing where
    /// nobody reads the sink.
    fn freshness(&self, from: Instant, upto: Instant) -> Option<Bounds> {
        let commits = self.commits.lock().expect("never held across a panic");
        let looks = self.looks.lock().expect("never held across a panic");
        let stops = self.stops.lock().expect("never held across a panic");
        if looks.is_empty() {
            return None;
        }
        let known = looks.partition_point(|look| look.answered <= from).checked_sub(1).map_or(0, |at| looks[at].rows);
        let later = looks.get(looks.partition_point(|look| look.asked < upto)).map(|look| look.rows as usize);
        // Neither can it have what was not even sent before it was stopped.
        let moving = stops.iter().find(|stop| stop.0 <= upto && upto <= stop.1).map_or(upto, |stop| stop.0);
        let sent = commits.partition_point(|commit| commit.0 <= moving);
        let most = commits.get(known as usize).map(|commit| upto.saturating_duration_since(commit.0));
        let least = commits.get(later.unwrap_or(sent).min(sent)).map(|commit| from.saturating_duration_since(commit.1));
        Some((least.unwrap_or_default().as_secs_f64(), most.unwrap_or_default().as_secs_f64()))
    }

    pub fn committed(&self) -> u64 {
        self.commits.lock().expect("never held across a panic").len() as u64
    }

    pub fn delivered(&self) -> u64 {
        self.looks.lock().expect("never held across a panic").last().map_or(0, |look| look.rows)
    }
}

/// Rows 1, 2, 3, ... into `db.t`, one a transaction, fifty a second while it is on.
pub struct SteadyWriter {
    worker: Worker,
    on: Arc<AtomicBool>,
}

impl SteadyWriter {
    pub fn start(mut session: Session, database: &str, ledger: &Arc<Ledger>) -> Result<Self> {
        session.exec(&format!("use {database}"))?;
        let on = Arc::new(AtomicBool::new(false));
        let (ledger, is_on) = (Arc::clone(ledger), Arc::clone(&on));
        let worker = Worker::start(move || {
            if is_on.load(Ordering::SeqCst) {
                let id = ledger.committed() + 1;
                let sent = Instant::now();
                session.exec(&format!("insert into t values ({id}, 'x')"))?;
                ledger.commits.lock().expect("never held across a panic").push((sent, Instant::now()));
            }
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        });
        Ok(Self { worker, on })
    }

    pub fn write(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    pub fn end(self) -> Result<()> {
        self.worker.end()
    }
}

/// Reads the file of a sink as it grows.
pub struct FileReader(Worker);

impl FileReader {
    pub fn start(path: PathBuf, ledger: &Arc<Ledger>) -> Self {
        let ledger = Arc::clone(ledger);
        let (mut at, mut rest, mut rows) = (0, String::new(), 0);
        Self(Worker::start(move || {
            std::thread::sleep(Duration::from_millis(10));
            let asked = Instant::now();
            let Ok(mut file) = std::fs::File::open(&path) else { return Ok(()) };
            file.seek(SeekFrom::Start(at))?;
            let mut bytes = Vec::new();
            at += file.read_to_end(&mut bytes)? as u64;
            rest.push_str(&String::from_utf8_lossy(&bytes));
            if let Some(end) = rest.rfind('\n') {
                // Rows of the writer come in their order: the last one says how many.
                let last = rest[..end].lines().rev().find(|line| line.contains("\"table\":\"t\""));
                rows = last.and_then(|line| number_after(line, "\"after\":{\"id\":")).unwrap_or(rows);
                rest.drain(..=end);
            }
            ledger.look(asked, rows);
            Ok(())
        }))
    }

    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}

/// Counts the records of a topic that has one a row.
pub struct TopicReader(Worker);

impl TopicReader {
    pub fn start(count: impl Fn() -> Result<u64> + Send + 'static, ledger: &Arc<Ledger>) -> Self {
        let ledger = Arc::clone(ledger);
        Self(Worker::start(move || {
            let asked = Instant::now();
            // A broker that stands still has no more than before.
            if let Ok(count) = count() {
                ledger.look(asked, count);
            }
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        }))
    }

    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}

fn number_after(line: &str, mark: &str) -> Option<u64> {
    let rest = line.split_once(mark)?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What both surfaces said at one moment.
#[derive(Clone, Debug)]
pub struct Said {
    /// Before the first was asked, when it had answered, and when the second had.
    asked: Instant,
    pub at: Instant,
    ended: Instant,
    pub verdict: String,
    pub reason: String,
    /// The verdicts that are 1 in the metrics.
    pub in_metrics: Vec<String>,
    pub freshness: Option<f64>,
    /// The same in the metrics, a moment later.
    pub freshness_in_metrics: Option<f64>,
    pub lag_transactions: Option<u64>,
    pub clock_offset: Option<f64>,
    pub clock_uncertainty: Option<f64>,
    /// The lag by heartbeats.
    pub heartbeat: Option<f64>,
}

/// Looks at a running instance, four times a second where nothing else is said.
pub struct Sampler {
    worker: Worker,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Sampler {
    pub fn start(address: String) -> Self {
        Self::every(Duration::from_millis(250), address)
    }

    pub fn every(rest: Duration, address: String) -> Self {
        let said: Arc<Mutex<Vec<Said>>> = Arc::default();
        let list = Arc::clone(&said);
        let worker = Worker::start(move || {
            let one = look(&address)?;
            list.lock().expect("never held across a panic").push(one);
            std::thread::sleep(rest);
            Ok(())
        });
        Self { worker, said }
    }

    pub fn last(&self) -> Option<Said> {
        self.said.lock().expect("never held across a panic").last().cloned()
    }

    pub fn end(self) -> Result<Vec<Said>> {
        self.worker.end()?;
        Ok(std::mem::take(&mut *self.said.lock().expect("never held across a panic")))
    }
}

fn look(address: &str) -> Result<Said> {
    let asked = Instant::now();
    let document: Value = serde_json::from_str(&page(address, "/api/v1/pipelines")?)?;
    let at = Instant::now();
    let metrics = page(address, "/metrics")?;
    let ended = Instant::now();
    let pipeline = &document["pipelines"][0];
    let is_one = |line: &&str| line.starts_with("limpid_stream_verdict{") && line.ends_with(" 1");
    let word = |line: &str| line.split("verdict=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    let text = |key: &str| pipeline[key].as_str().unwrap_or_default().to_owned();
    Ok(Said {
        asked,
        at,
        ended,
        verdict: text("verdict"),
        reason: text("reason"),
        in_metrics: metrics.lines().filter(is_one).filter_map(word).collect(),
        freshness: pipeline["freshness_seconds"].as_f64(),
        freshness_in_metrics: sample(&metrics, "limpid_freshness_seconds{"),
        lag_transactions: pipeline["lag_transactions"].as_u64(),
        clock_offset: sample(&metrics, "limpid_clock_offset_seconds{"),
        clock_uncertainty: sample(&metrics, "limpid_clock_offset_uncertainty_seconds{"),
        heartbeat: sample(&metrics, "limpid_heartbeat_lag_seconds{"),
    })
}

/// How soon a verdict is to be told once it is true.
const SOON: Duration = Duration::from_secs(3);

/// One stretch of time with one thing that befalls a stream.
#[derive(Clone, Debug)]
pub struct Stretch {
    pub name: &'static str,
    pub from: Instant,
    pub upto: Instant,
    /// What may be told until `then` is.
    pub first: &'static [&'static str],
    /// What becomes true so long after the beginning.
    pub then: &'static str,
    pub after: Duration,
}

impl Stretch {
    /// The source can be asked. One that cannot may have committed anything, so freshness has to grow.
    fn is_seen(&self, said: &Said) -> bool {
        self.then != "blind" && (!self.first.contains(&"blind") || said.at - self.from > Duration::from_secs(1))
    }

    /// What either surface said, each by the time at which it had answered.
    fn allows(&self, said: &Said) -> bool {
        let allows = |at: Instant, verdict: &str| {
            let age = at - self.from;
            let may_be_first = age < self.after + SOON && self.first.contains(&verdict);
            may_be_first || (age >= self.after.saturating_sub(Duration::from_millis(600)) && verdict == self.then)
        };
        // What began while the metrics were asked is the next stretch's.
        let in_metrics = || said.in_metrics.iter().all(|verdict| allows(said.ended, verdict));
        allows(said.at, &said.verdict) && (said.ended >= self.upto || in_metrics())
    }
}

/// Every sample against what was so. Prints a line a stretch.
pub fn compare(said: &[Said], stretches: &[Stretch], ledger: &Ledger) -> Result<()> {
    // Before the first look at the log's end nobody knows.
    let mut is_known = false;
    for said in said {
        ensure!(said.in_metrics.len() == 1, "exactly one verdict is 1: {said:?}");
        for (shown, truth) in told_and_true(said, ledger) {
            is_known |= shown.is_some();
            if !is_known {
                continue;
            }
            let shown = shown.with_context(|| format!("nobody says how fresh it is any more: {said:?}"))?;
            let Some((least, _)) = truth else { continue };
            ensure!(shown >= least - 0.05, "fresher than it is, {least:.3} s: {said:?}");
        }
    }
    ensure!(is_known, "nobody ever said how fresh it is");
    for stretch in stretches {
        let of: Vec<&Said> = said.iter().filter(|said| said.at >= stretch.from && said.at < stretch.upto).collect();
        let told = of.iter().find(|said| said.verdict == stretch.then);
        let told = told.map(|said| (said.at - stretch.from).as_secs_f64());
        let seen = of.iter().filter(|said| stretch.is_seen(said)).flat_map(|said| told_and_true(said, ledger));
        let mut errors: Vec<f64> = seen.filter_map(|(shown, truth)| Some((shown? - truth?.1).max(0.0))).collect();
        errors.sort_by(f64::total_cmp);
        // A look at the head that the machine let us take late makes one reading old, and is no fault.
        let error = errors.get((errors.len() * 9 / 10).min(errors.len().saturating_sub(1))).copied();
        let (name, then, looks) = (stretch.name, stretch.then, of.len());
        let (told, tenth, most) = (figure(told, 1), figure(error, 3), figure(errors.last().copied(), 3));
        println!(
            "{name:<32} {looks:>4} looks, {then} after {told} s, freshness too old by {tenth} s in one of ten, {most} s at most"
        );
        let lasted = stretch.upto - stretch.from;
        ensure!(looks > 3 || lasted < Duration::from_secs(2), "{name}: nobody looked");
        let wrong = of.iter().find(|said| !stretch.allows(said)).map(|said| (said.at - stretch.from, said));
        ensure!(wrong.is_none(), "{name}, so long after it began: {wrong:?}");
        // What lies between two looks at the head, and a reading of both surfaces on a busy machine.
        ensure!(error.is_none_or(|error| error <= 0.6), "{name}: older than it is by {tenth} s");
        let last = of.last().map_or("", |said| said.verdict.as_str());
        ensure!(lasted < stretch.after + SOON || last == then, "{name}: {last}");
    }
    Ok(())
}

/// The freshness that either surface told, with what was true while it was asked; nothing where nobody reads the sink.
fn told_and_true(said: &Said, ledger: &Ledger) -> [(Option<f64>, Option<Bounds>); 2] {
    [
        (said.freshness, ledger.freshness(said.asked, said.at)),
        (said.freshness_in_metrics, ledger.freshness(said.at, said.ended)),
    ]
}

/// With so many digits, or a dash.
fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Of all samples with a heartbeat, by how much 99 of 100 were off at most, in seconds, and how many there are.
pub fn heartbeat_error(said: &[Said], ledger: &Ledger) -> Option<(f64, usize)> {
    let error = |said: &Said| {
        let (lag, (least, most)) = said.heartbeat.zip(ledger.freshness(said.at, said.ended))?;
        Some((least - lag).max(lag - most).max(0.0))
    };
    let mut errors: Vec<f64> = said.iter().filter_map(error).collect();
    errors.sort_by(f64::total_cmp);
    Some((*errors.get((errors.len() * 99).div_ceil(100).checked_sub(1)?)?, errors.len()))
}

/// The clock of the source was so many seconds ahead of this machine's.
pub fn offset_is(said: &Said, seconds: f64) -> bool {
    matches!(
        (said.clock_offset, said.clock_uncertainty),
        (Some(offset), Some(within)) if (offset - seconds).abs() <= within
    )
}
