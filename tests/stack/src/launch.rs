//! A server's command line, and the process that runs it.
//!
//! Owns: the change of user, the parent-death signal or the session of its own, the exit.
//! Does not own: readiness (`ready`), directories and ports (`instance`).
//!
//! Invariant: a process is reaped by whoever ends it, so that its port and its data directory's lock are free
//! afterwards.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::files::Account;
use crate::spawner;

/// How long a server is bound to its parent process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// Killed by the kernel when this process ends, however it ends.
    #[default]
    WithParent,
    /// In a session of its own; somebody else ends it (`cargo xtask stack down`).
    Detached,
}

/// A command that can be started again and again.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) folder: PathBuf,
    /// Standard output and error are appended here.
    pub(crate) output: PathBuf,
    pub(crate) account: Option<Account>,
    pub(crate) lifetime: Lifetime,
}

impl Launch {
    pub(crate) fn spawn(&self) -> anyhow::Result<Process> {
        let open = || File::options().create(true).append(true).open(&self.output);
        let out = open().with_context(|| format!("open {}", self.output.display()))?;
        let err = open().with_context(|| format!("open {}", self.output.display()))?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Ok(Process { child: spawner::spawn(command)? })
    }

    /// Runs a step of the set-up (such as `--initialize`) to its end.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut process = self.spawn()?;
        let status = process.child.wait().with_context(|| format!("wait for {}", self.program.display()))?;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.program.display(), tail_of(&self.output, 40));
        }
        Ok(())
    }

    fn command(&self) -> Command {
        // setpriv sets the signal after the change of user; the kernel clears it at that change (prctl(2)), so the
        // order matters. Both wrappers replace themselves by the server: the child's id is the server's.
        let mut words: Vec<OsString> = Vec::new();
        if self.lifetime == Lifetime::Detached {
            words.push("setsid".into());
        }
        if self.account.is_some() || self.lifetime == Lifetime::WithParent {
            words.push("setpriv".into());
        }
        if let Some(account) = &self.account {
            for word in ["--reuid", &account.name, "--regid", &account.group, "--init-groups"] {
                words.push(word.into());
            }
        }
        if self.lifetime == Lifetime::WithParent {
            words.extend(["--pdeathsig".into(), "KILL".into()]);
        }
        if words.last().is_some_and(|word| word != "setsid") {
            words.push("--".into());
        }
        words.push(self.program.clone().into_os_string());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.args).current_dir(&self.folder);
        command
    }
}

/// A running server; ends with [`Process::kill`] or [`Process::terminate`], never by being dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if it has ended on its own.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("ask whether the server runs")
    }

    /// SIGKILL, then waits until the kernel has let go of everything.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(libc::SIGKILL)?;
        self.child.wait().context("wait for the killed server")?;
        Ok(())
    }

    /// SIGTERM, then waits for an orderly end; kills and fails after `patience`.
    pub(crate) fn terminate(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.signal(libc::SIGTERM)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.ended()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill()?;
        bail!("the server did not stop within {patience:?} and was killed")
    }

    pub(crate) fn signal(&mut self, signal: i32) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        // It is not reaped yet, and only `self` reaps it, so its id cannot belong to another process.
        signal_process(self.child.id(), signal)
    }
}

/// A process by its id and the time it began: an id alone may by now belong to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// The process id.
    pub pid: u32,
    /// Clock ticks from boot to its start (proc(5), `stat`, field 22).
    pub started: u64,
}

impl Running {
    /// The process that has this id now; `None` when there is none, or only its remains that nobody has collected.
    pub fn of(pid: u32) -> Option<Running> {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        // The name in parentheses may hold anything, so fields are counted from the last one.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z").then_some(Running { pid, started })
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        Running::of(self.pid) == Some(*self)
    }

    /// Ends it: SIGTERM, and SIGKILL after `patience`. `false` when it had ended before.
    pub fn end(&self, patience: Duration) -> anyhow::Result<bool> {
        let was_alive = self.is_alive();
        let mut deadline = Instant::now() + patience;
        let mut signal = libc::SIGTERM;
        while self.is_alive() {
            if signal != 0 {
                signal_process(self.pid, signal)?;
                signal = 0;
            }
            if Instant::now() > deadline {
                signal = libc::SIGKILL;
                deadline = Instant::now() + patience;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(was_alive)
    }
}

fn signal_process(pid: u32, signal: i32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).context("fit a process id into 32 bits")?;
    // SAFETY: kill(2) touches no memory of ours, and both callers know whose id this is.
    let failed = unsafe { libc::kill(pid, signal) } != 0;
    if failed {
        return Err(std::io::Error::last_os_error()).with_context(|| format!("signal process {pid}"));
    }
    Ok(())
}

/// The last lines of a log, lossily as text: for messages to people only.
pub(crate) fn tail_of(path: &Path, lines_max: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else { return format!("(no log at {})", path.display()) };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(lines_max)..).unwrap_or_default().join("\n")
}
