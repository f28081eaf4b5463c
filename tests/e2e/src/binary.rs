//! The process under test.
//!
//! Owns: finding the binary, starting and ending it, what it writes. Does not own: what it is told to do.
//!
//! Invariant: a process started here is dead when its value is dropped; every wait has an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The binary: `LIMPID_BIN`, or built once.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("LIMPID_BIN") {
        Some(path) => path.into(),
        None => build().expect("the binary can be built"),
    })
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(["build", "-p", "limpid", "--profile", "ci", "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(out.status.success(), "cargo build failed");
    let lines = String::from_utf8(out.stdout)?;
    let path = lines.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    path.context("cargo named no executable")
}

/// How long what must come is awaited before a test says that it never does. It ends a test that hangs, and measures
/// nothing: a machine that is full, or one with slow disks, is no fault.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `done` says so; an error after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + limit;
    while !done() {
        if Instant::now() > end {
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A pipeline file and the data directory that goes with it.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub file: PathBuf,
    pub data_dir: PathBuf,
}

impl Pipeline {
    /// Writes `yaml` into `dir`.
    pub fn write(dir: &Path, name: &str, yaml: &str) -> Result<Self> {
        let file = dir.join(format!("{name}.yaml"));
        std::fs::write(&file, yaml)?;
        Ok(Self { file, data_dir: dir.join(format!("{name}-data")) })
    }

    /// Starts `limpid run` on it.
    pub fn run(&self, arguments: &[&str]) -> Result<Limpid> {
        self.run_in(&[], arguments)
    }

    /// The same with more variables in its environment.
    pub fn run_in(&self, variables: &[(&str, PathBuf)], arguments: &[&str]) -> Result<Limpid> {
        let mut command = Command::new(binary());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.arg("run").arg(&self.file).arg("--data-dir").arg(&self.data_dir);
        // Many run at once, so each takes whatever port is free.
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Limpid::spawn(command)
    }

    /// The same file with another data directory beside the first.
    pub fn with_data_dir(&self, name: &str) -> Self {
        Self { file: self.file.clone(), data_dir: self.data_dir.with_file_name(name) }
    }

    /// Runs `limpid state` with `what` on it to its end.
    pub fn state(&self, what: &str, arguments: &[&str]) -> Result<(Ended, Limpid)> {
        let mut command = Command::new(binary());
        command.arg("state").arg(what).arg(&self.file).arg("--data-dir").arg(&self.data_dir).args(arguments);
        let mut limpid = Limpid::spawn(command)?;
        Ok((limpid.wait(PATIENCE)?, limpid))
    }

    /// Runs to the end of the log and expects success.
    pub fn run_to_end(&self) -> Result<()> {
        let mut limpid = self.run(&["--until", "caught-up"])?;
        let ended = limpid.wait(PATIENCE)?;
        ensure!(ended == Ended::Code(0), "ended with {ended:?}: {}", limpid.stderr());
        Ok(())
    }
}

/// The binary, for a command that is started in another way than these.
pub fn program() -> &'static Path {
    binary()
}

/// Starts any command of the binary.
pub fn limpid(arguments: &[&str]) -> Result<Limpid> {
    let mut command = Command::new(binary());
    command.args(arguments);
    Limpid::spawn(command)
}

/// Runs a command that asks the instance at `address`; what it ended with and said.
pub fn call(command: &str, address: &str, arguments: &[&str]) -> Result<(Ended, String)> {
    let url = format!("http://{address}");
    let mut call = limpid(&[&[command], arguments, &["--server", &url]].concat())?;
    let ended = call.wait(PATIENCE)?;
    Ok((ended, call.stdout() + &call.stderr()))
}

/// A GET by hand, as anybody may send it: the status, and the body.
pub fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer has a head")?;
    let status = head.split(' ').nth(1).context("an answer has a status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// The same, where only a good answer will do.
pub fn page(address: &str, path: &str) -> Result<String> {
    let (status, body) = get(address, path)?;
    ensure!(status == 200, "{path} answers {status}: {body}");
    Ok(body)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

/// Reads a pipe to its end on a thread, so that the process never waits for us.
fn gather(pipe: impl Read + Send + 'static) -> (Arc<Mutex<String>>, std::thread::JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    let pipe = BufReader::new(pipe);
    let reader = std::thread::spawn(move || {
        for line in pipe.lines().map_while(Result::ok) {
            let mut text = sink.lock().expect("no test panics while holding it");
            text.push_str(&line);
            text.push('\n');
        }
    });
    (text, reader)
}

/// A running binary.
pub struct Limpid {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
    started: Instant,
}

impl Limpid {
    fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdout, out) = gather(child.stdout.take().context("stdout is piped")?);
        let (stderr, err) = gather(child.stderr.take().context("stderr is piped")?);
        Ok(Self { child, stdout, stderr, readers: vec![out, err], started: Instant::now() })
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no test panics while holding it").clone()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no test panics while holding it").clone()
    }

    /// Waits until stderr holds `text`.
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<()> {
        wait_until(&format!("{text:?} on stderr"), limit, || self.stderr().contains(text))
            .with_context(|| format!("stderr was: {}", self.stderr()))
    }

    /// Where its HTTP API listens, as its own line says.
    pub fn address(&self) -> Result<String> {
        self.wait_for("the server listens", PATIENCE)?;
        let said = self.stderr();
        let line = said.lines().find(|line| line.contains("the server listens")).context("it says where it listens")?;
        let line: serde_json::Value = serde_json::from_str(line)?;
        line["metadata"]["address"].as_str().map(str::to_owned).context("the line has the address")
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<Ended> {
        let mut status = None;
        wait_until("the process to end", limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .with_context(|| format!("stderr was: {}", self.stderr()))?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let status = status.context("it ended")?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => bail!("it ended in no known way"),
        })
    }

    /// How long it has been there.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until a failpoint has killed it. Into how many batches and records some work goes is up to the machine's
    /// pace, so that work of `more` comes until there were enough of them.
    pub fn wait_for_kill<T>(&mut self, mut more: impl FnMut() -> Result<T>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.is_running() {
            ensure!(Instant::now() < end, "the failpoint was not reached: {}", self.stderr());
            more()?;
        }
        let ended = self.wait(PATIENCE)?;
        ensure!(ended == Ended::Signal(9), "ended with {ended:?}: {}", self.stderr());
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.wait(PATIENCE).map(drop)
    }

    /// Any signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a signal to our own child, which is not reaped before `wait`.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }
}

impl Drop for Limpid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
