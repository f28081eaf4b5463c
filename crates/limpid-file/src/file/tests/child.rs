//! Runs one ignored test of this binary as a process of its own.
//!
//! Owns: starting it, reading its lines, ending it. Does not own: what it does.
//!
//! Invariant: the child is dead once its value is dropped.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Tells a child which directory it works on; without it such a test does nothing.
const DIRECTORY: &str = "LIMPID_FILE_TEST_DIR";

/// What a child's own lines begin with, among those of the test harness.
const MARK: &str = "child: ";

pub(super) struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The directory a parent gave us; `None` when somebody runs the ignored tests by hand.
pub(super) fn directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Says something to the parent, at once.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{text}").and_then(|()| out.flush()).expect("the parent reads");
}

/// The command that runs the ignored test `name`.
pub(super) fn arguments(name: &str) -> Vec<String> {
    let exe = std::env::current_exe().expect("this binary has a path");
    let exe = exe.to_str().expect("a path in UTF-8").to_owned();
    [exe.as_str(), name, "--exact", "--ignored", "--nocapture", "--test-threads=1"].map(str::to_owned).to_vec()
}

pub(super) fn start(words: &[String], directory: &std::path::Path) -> Running {
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env(DIRECTORY, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the child");
    let stdin = child.stdin.take().expect("piped");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    Running { child, stdin, lines }
}

impl Running {
    /// The child's next line; `None` once it is gone.
    pub(super) fn line(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.ok()?;
            // The harness may have begun a line of its own.
            if let Some((_, text)) = line.split_once(MARK) {
                return Some(text.to_owned());
            }
        }
    }

    /// `SIGKILL`, then everything it had said before.
    pub(super) fn kill(&mut self) -> Vec<String> {
        self.child.kill().expect("kill the child");
        let rest = std::iter::from_fn(|| self.line()).collect();
        self.child.wait().expect("wait for the child");
        rest
    }

    /// Lets it go on, and says whether it ended well.
    pub(super) fn finish(&mut self) -> (bool, Vec<String>) {
        let _ = self.stdin.write_all(b"\n");
        let rest = std::iter::from_fn(|| self.line()).collect();
        (self.child.wait().expect("wait for the child").success(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
