//! A program at a pseudo-terminal, and what a person in front of it would see.
//!
//! Owns: the terminal's two ends, the program, its screen. Does not own: what is expected there.
//!
//! Invariant: the screen is made of the bytes that the program wrote, by a terminal emulator that is not ours.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};

use crate::binary::{PATIENCE, wait_until};

const ROWS: u16 = 40;
const COLUMNS: u16 = 140;

/// A program that runs at a terminal of 40 lines.
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts it there.
    pub fn start(mut command: Command) -> Result<Self> {
        let (ours, theirs) = pair()?;
        command.stdin(Stdio::from(theirs.try_clone()?)).stdout(Stdio::from(theirs.try_clone()?));
        command.stderr(Stdio::from(theirs)).env("TERM", "xterm-256color");
        let child = command.spawn().context("start the program at a terminal")?;
        // The command holds the terminal's other end, and with it the reader below.
        drop(command);
        let ours = File::from(ours);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut output, shown) = (ours.try_clone()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is how a terminal says that nobody is at its other end any more.
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                shown.lock().expect("no test panics while holding it").process(&bytes[..read]);
            }
        });
        Ok(Self { child, keys: ours, screen })
    }

    /// What stands there now.
    pub fn text(&self) -> String {
        self.screen.lock().expect("no test panics while holding it").screen().contents()
    }

    /// Whether it still has the screen for itself, as a full-screen program does.
    pub fn is_taken(&self) -> bool {
        self.screen.lock().expect("no test panics while holding it").screen().alternate_screen()
    }

    /// Waits until all of these stand there.
    pub fn until(&self, parts: &[&str]) -> Result<()> {
        let there = || parts.iter().all(|part| self.text().contains(part));
        wait_until(&format!("{parts:?} on the screen"), PATIENCE, there)
            .with_context(|| format!("the screen was:\n{}", self.text()))
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("press keys")
    }

    /// Waits for its end with this code.
    pub fn ends_with(&mut self, code: i32) -> Result<()> {
        let mut status = None;
        wait_until("the program at the terminal to end", PATIENCE, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })?;
        let ended = status.and_then(|status| status.code());
        ensure!(ended == Some(code), "it ended with {ended:?}; the screen was:\n{}", self.text());
        Ok(())
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        // SAFETY: a signal to our own child, which is not reaped before `ends_with`.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal's two ends.
fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both numbers and the size outlive the call; no name and no settings are asked for.
    let opened = unsafe { libc::openpty(&mut ours, &mut theirs, std::ptr::null_mut(), std::ptr::null(), &size) };
    ensure!(opened == 0, "open a pseudo-terminal: {}", std::io::Error::last_os_error());
    // SAFETY: both were just opened, and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) })
}
