//! Starts every child process on one thread that lives as long as this process.
//!
//! Owns: that thread.
//! Does not own: the children; whoever asked gets them.
//!
//! Invariant: no server is ever started from another thread. Linux sends the parent-death signal when the *thread*
//! that forked ends, not its process (prctl(2), PR_SET_PDEATHSIG), and the test harness ends a thread per test: a
//! server shared by the tests of a process would die with the first of them.

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use anyhow::Context;

struct Job {
    command: Command,
    reply: Sender<std::io::Result<Child>>,
}

pub(crate) fn spawn(command: Command) -> anyhow::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        // Unbounded is safe: a caller waits for its reply, so at most one job per calling thread is queued.
        let (sender, jobs) = channel::<Job>();
        std::thread::Builder::new()
            .name("stack-spawner".into())
            .spawn(move || {
                for mut job in jobs {
                    let _ = job.reply.send(job.command.spawn());
                }
            })
            .expect("the spawner thread starts");
        sender
    });
    let program = command.get_program().to_owned();
    let (reply, child) = channel();
    spawner.send(Job { command, reply }).ok().context("reach the spawner thread")?;
    child.recv().context("hear from the spawner thread")?.with_context(|| format!("start {}", program.display()))
}
