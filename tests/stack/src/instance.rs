//! One server of any kind: its directory, its port, its process, and the verbs that every kind has.
//!
//! Owns: start, stop, kill, restart, pause; waiting until it serves.
//! Does not own: command lines (`mariadb`, `mysql`, `kafka`, `prometheus`) and what to ask a server.
//!
//! Invariant: the port stays leased and the directory stays in place from the first start to the drop, so a restart
//! finds the same port and data.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::files::TempDir;
use crate::launch::{Launch, Process, tail_of};
pub use crate::launch::{Lifetime, Running};
use crate::ports::Lease;
use crate::ready::Probe;

/// Slow machines under a parallel build have needed 15 s for a Kafka broker after a kill.
const READY_MAX: Duration = Duration::from_secs(120);
/// A clean MySQL shutdown takes 2 s; ten times that is a hang.
const STOP_MAX: Duration = Duration::from_secs(60);
/// Fine enough not to matter beside a start of 250 ms.
const POLL: Duration = Duration::from_millis(10);

/// Where a server lives and how long.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// Bound to this process, or not.
    pub lifetime: Lifetime,
    /// An own directory that is left in place; a private temporary one by default.
    pub dir: Option<std::path::PathBuf>,
    /// A fixed port; a leased one by default.
    pub port: Option<u16>,
}

impl Placement {
    pub(crate) fn take(&self, name: &str) -> anyhow::Result<(TempDir, Lease)> {
        let dir = match &self.dir {
            Some(path) => TempDir::kept(path)?,
            None => TempDir::new(name)?,
        };
        let lease = match self.port {
            Some(port) => crate::ports::try_lease(port)?.with_context(|| format!("lease port {port}: it is in use"))?,
            None => crate::ports::lease()?,
        };
        Ok((dir, lease))
    }
}

/// A started server. All verbs take `&self`, so that one can be shared by the tests of a process.
#[derive(Debug)]
pub struct Instance {
    name: &'static str,
    launch: Launch,
    probe: Probe,
    /// A short critical section around process calls; never held while waiting for readiness.
    process: Mutex<Option<Process>>,
    lease: Lease,
    // Last, so that it is removed when the process is gone.
    dir: TempDir,
}

impl Instance {
    pub(crate) fn start(
        name: &'static str,
        launch: Launch,
        probe: Probe,
        lease: Lease,
        dir: TempDir,
    ) -> anyhow::Result<Instance> {
        let instance = Instance { name, launch, probe, process: Mutex::new(None), lease, dir };
        let served = instance.begin().and_then(|()| instance.wait_ready());
        if let Err(error) = served {
            // A detached one too: nobody would ever learn its id.
            let _ = instance.kill();
            return Err(error);
        }
        Ok(instance)
    }

    /// The port of the server's ordinary listener on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.lease.port()
    }

    /// The server's private directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The id of the running process; `None` after [`Instance::stop`] and [`Instance::kill`].
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// The process, in a form that outlives this one: to be ended by `stack down`.
    pub fn running(&self) -> Option<Running> {
        self.pid().and_then(Running::of)
    }

    /// Asks the server to end in good order and waits for it. Kills it, and fails, after a minute.
    pub fn stop(&self) -> anyhow::Result<()> {
        match self.process().take() {
            Some(mut process) => process.terminate(STOP_MAX).with_context(|| format!("stop {}", self.name)),
            None => Ok(()),
        }
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(&self) -> anyhow::Result<()> {
        match self.process().take() {
            Some(mut process) => process.kill().with_context(|| format!("kill {}", self.name)),
            None => Ok(()),
        }
    }

    /// Starts the server on the same port and data, stopping it first if it runs, and waits until it serves.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.stop()?;
        self.begin()?;
        self.wait_ready()
    }

    /// Freezes the process (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(libc::SIGSTOP)
    }

    /// Undoes [`Instance::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(libc::SIGCONT)
    }

    /// Waits until the server answers in its own protocol; fails at once when it has ended, or after two minutes.
    pub fn wait_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_MAX;
        loop {
            if let Some(ended) = self.ended()? {
                bail!("{} {ended} before it served; its log ends:\n{}", self.name, self.log_tail());
            }
            let refused = match self.probe.check(self.port()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() > deadline {
                return Err(refused).with_context(|| {
                    format!("{} did not serve within {READY_MAX:?}; its log ends:\n{}", self.name, self.log_tail())
                });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Everything that the server wrote to its output, from its first start on.
    pub fn log_path(&self) -> &Path {
        &self.launch.output
    }

    /// The last 40 lines that the server wrote, for the message of a failed test.
    pub fn log_tail(&self) -> String {
        tail_of(&self.launch.output, 40)
    }

    fn begin(&self) -> anyhow::Result<()> {
        let process = self.launch.spawn().with_context(|| format!("start {}", self.name))?;
        *self.process() = Some(process);
        Ok(())
    }

    fn ended(&self) -> anyhow::Result<Option<String>> {
        match self.process().as_mut() {
            Some(process) => Ok(process.ended()?.map(|status| format!("ended with {status}"))),
            None => Ok(Some("was stopped".to_owned())),
        }
    }

    fn signal(&self, signal: i32) -> anyhow::Result<()> {
        let mut process = self.process();
        process.as_mut().with_context(|| format!("signal {}: it does not run", self.name))?.signal(signal)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        // A test that panicked while it held the lock left a process handle that is as good as before.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.launch.lifetime == Lifetime::WithParent {
            let _ = self.kill();
        }
    }
}
