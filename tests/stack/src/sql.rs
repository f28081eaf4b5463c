//! Talks to MariaDB and MySQL through the `mariadb` command line client.
//!
//! Owns: one-shot scripts, and sessions that stay open across the steps of a test.
//! Does not own: any protocol: that is the point. What a test reads here has not passed our code.
//!
//! Output is the client's batch format: columns divided by tabs, one row a line, `NULL` for null, and `\t`, `\n`,
//! `\0`, `\\` escaped in values.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::files::TempDir;
use crate::locate;

/// `--comments`: else the client strips comments from statements, and they are part of what a log carries.
const ALWAYS: [&str; 6] = ["--no-defaults", "--comments", "-N", "-B", "-uroot", "--default-character-set=utf8mb4"];

fn client(port: u16) -> anyhow::Result<Command> {
    let mut command = Command::new(locate::mariadb_client()?);
    command.args(ALWAYS).args(["-h127.0.0.1", "--protocol=tcp", &format!("-P{port}")]);
    Ok(command)
}

/// Runs a script in one session as root and returns its output. The first failing statement ends it.
pub(crate) fn run(port: u16, script: &str) -> anyhow::Result<String> {
    let mut command = client(port)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("start the mariadb client")?;
    let mut stdin = child.stdin.take().context("open the client's input")?;
    // On its own thread, since a client that answers much while it still reads would fill its output and stop.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A client that ended early closes the pipe; its status and message say why.
            let _ = stdin.write_all(script.as_bytes());
        });
        child.wait_with_output().context("wait for the mariadb client")
    })?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("read the client's output as UTF-8")
}

/// One connection that stays open, to hold transactions and locks across the steps of a test.
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: File,
    statements: u32,
    _dir: TempDir,
}

impl Session {
    pub(crate) fn open(port: u16) -> anyhow::Result<Session> {
        let dir = TempDir::new("session")?;
        let errors = dir.path().join("stderr");
        let write = File::create(&errors).context("make the session's error file")?;
        let stderr = File::open(&errors).context("open the session's error file")?;
        let mut command = client(port)?;
        command.args(["--force", "--unbuffered"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(write);
        let mut child = command.spawn().context("start the mariadb client")?;
        let stdin = child.stdin.take().context("open the client's input")?;
        let stdout = BufReader::new(child.stdout.take().context("open the client's output")?);
        let mut session = Session { child, stdin, stdout, stderr, statements: 0, _dir: dir };
        session.exec("do 0").context("open a session")?;
        Ok(session)
    }

    /// Runs one statement and waits for its end; the session lives on after an error.
    pub fn exec(&mut self, statement: &str) -> anyhow::Result<String> {
        self.send(statement)?;
        self.finish()
    }

    /// Sends a statement without waiting: one that will block on a lock. [`Session::finish`] takes its result.
    pub fn send(&mut self, statement: &str) -> anyhow::Result<()> {
        self.statements += 1;
        let statement = statement.trim_end().trim_end_matches(';');
        let marker = self.marker();
        // The newline keeps a trailing comment from swallowing the semicolon.
        write!(self.stdin, "{statement}\n;\nselect '{marker}';\n")
            .and_then(|()| self.stdin.flush())
            .context("send a statement")
    }

    /// Waits for the statement that was sent last.
    pub fn finish(&mut self) -> anyhow::Result<String> {
        let marker = self.marker();
        let mut output = String::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).context("read the client's output")? == 0 {
                bail!("the session ended: {}", self.errors()?);
            }
            if line.trim_end() == marker {
                break;
            }
            output.push_str(&line);
        }
        // The client writes a statement's error before it runs the next statement, our marker.
        let errors = self.errors()?;
        if !errors.is_empty() {
            bail!("{errors}");
        }
        Ok(output)
    }

    fn marker(&self) -> String {
        format!("-- end of statement {} --", self.statements)
    }

    fn errors(&mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).context("read the session's errors")?;
        Ok(text.trim().to_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
