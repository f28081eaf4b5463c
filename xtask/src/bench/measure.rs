//! Contenders as whole processes, and what the kernel says of each.
//!
//! Owns: starting and ending processes, CPU seconds, peak memory, counting rows at the sink. Does not own: command
//! lines (`contenders`), what is compared with what (`works`).
//!
//! Invariant: a contender that ends with an error or delivers another number of rows is no figure but a failure.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use limpid_stack::kafka::Isolation;
use serde_json::Value;

use super::Bench;

/// Ten times what the longest load takes on a quiet machine.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// One run of one contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// Millions of bytes; none where the program holds its input in memory.
    pub(crate) peak_mb: Option<f64>,
    /// Counted at the sink, where the sink can be counted.
    pub(crate) rows: Option<u64>,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s, CPU {:.3} s", self.wall, self.cpu)?;
        self.peak_mb.map_or(Ok(()), |peak| write!(f, ", {peak:.0} MB"))
    }
}

/// How rows are counted.
#[derive(Clone)]
pub(crate) enum Count {
    Nothing,
    /// The records of a topic beyond those before the run.
    Topic {
        topic: String,
        before: u64,
    },
    /// `all` of the line of JSON that the program ends with.
    Said,
}

/// Whose account of a run is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The kernel's, of the whole process.
    Kernel,
    /// The program's, from its first record on: `{"records":N,"seconds":S,"cpu_seconds":C}`.
    Own,
    /// Both. What the program tells is of its last N rows and is carried over to all.
    Both { rows: u64 },
}

/// A command to be measured.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) count: Count,
    /// Must be what is counted.
    pub(crate) rows: u64,
    pub(crate) account: Account,
}

impl Contender {
    /// Runs it to its end. Two figures where both accounts are taken.
    pub(crate) fn run(&self, bench: &Bench) -> anyhow::Result<Vec<(String, Figure)>> {
        let ended = self.start(bench)?.wait()?;
        let said: Value =
            ended.said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let rows = match &self.count {
            Count::Nothing => None,
            Count::Topic { topic, before } => Some(bench.broker.count(topic, Isolation::ReadCommitted)? - before),
            Count::Said => Some(said["all"].as_u64().with_context(|| format!("{} counts its rows", self.name))?),
        };
        if let Some(rows) = rows {
            ensure!(rows == self.rows, "{} rows were counted, not {}", rows, self.rows);
        }
        let kernel = Figure { wall: ended.wall, cpu: ended.cpu, peak_mb: Some(ended.peak_mb), rows };
        let own = |all: Option<u64>| -> anyhow::Result<Figure> {
            let number = |key: &str| said[key].as_f64().with_context(|| format!("{} tells its {key}", self.name));
            let scale = all.map_or(Ok(1.0), |all| number("records").map(|records| all as f64 / records))?;
            Ok(Figure { wall: number("seconds")? * scale, cpu: number("cpu_seconds")? * scale, peak_mb: None, rows })
        };
        match self.account {
            Account::Kernel => Ok(vec![(self.name.clone(), kernel)]),
            Account::Own => Ok(vec![(self.name.clone(), own(None)?)]),
            Account::Both { rows } => {
                let warm = (format!("{}, warmed up", self.name), own(Some(rows))?);
                Ok(vec![(format!("{}, whole process", self.name), kernel), warm])
            }
        }
    }

    /// Starts it for somebody else to end.
    pub(crate) fn start(&self, bench: &Bench) -> anyhow::Result<Running> {
        let (out, err) = (bench.dir.path().join("contender.out"), bench.dir.path().join("contender.err"));
        let file = |path: &Path| std::fs::File::create(path).with_context(|| format!("make {}", path.display()));
        forget_own_peak();
        let since = Instant::now();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        Ok(Running { name: self.name.clone(), child, since, out, err, is_reaped: false })
    }
}

/// A contender at work; killed when it is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    since: Instant,
    out: PathBuf,
    err: PathBuf,
    is_reaped: bool,
}

/// What is known of a process that ended.
pub(crate) struct Ended {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_mb: f64,
    said: String,
}

impl Running {
    pub(crate) fn wait(mut self) -> anyhow::Result<Ended> {
        let (status, usage) = wait4(self.child.id(), 0)?.context("wait for the contender")?;
        self.is_reaped = true;
        let wall = self.since.elapsed().as_secs_f64();
        ensure!(status == 0, "{} ended with {status}: {}", self.name, self.errors());
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Ok(Ended {
            wall,
            cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_mb: usage.ru_maxrss as f64 * 1024.0 / 1e6,
            said: std::fs::read_to_string(&self.out).unwrap_or_default(),
        })
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn end(self) -> anyhow::Result<Ended> {
        // SAFETY: a signal to a child of ours that nobody has reaped.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.wait()
    }

    /// Resident memory now, in millions of bytes.
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("find the resident memory")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("read the resident memory")?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// Waits until `is_there`, but not for a contender that ended or for ever.
    pub(crate) fn until(&mut self, what: &str, is_there: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let since = Instant::now();
        while !is_there()? {
            if wait4(self.child.id(), libc::WNOHANG)?.is_some() {
                self.is_reaped = true;
                anyhow::bail!("{} ended before {what}: {}", self.name, self.errors());
            }
            ensure!(since.elapsed() < WAIT_MAX, "{} took too long until {what}", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            // It may have ended by itself; there is nobody left to tell.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The kernel counts a child's peak from that of the process it was made by, so ours has to be small: scripts for the
/// server are some megabytes for a moment.
fn forget_own_peak() {
    // Where the kernel does not take it, a small child's peak reads as ours.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Waits for a child with the kernel's account of it; none if it is to be waited for and runs.
fn wait4(pid: u32, options: i32) -> anyhow::Result<Option<(i32, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and both pointers outlive the call.
    let (found, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid as i32, &mut status, options, &mut usage), usage)
    };
    ensure!(found >= 0, "wait for the contender: {}", std::io::Error::last_os_error());
    Ok((found == pid as i32).then_some((status, usage)))
}
