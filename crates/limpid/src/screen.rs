//! A terminal that shows both lines that stay and lines that change.
//!
//! Owns: taking the changing lines away before a staying one is written, and drawing them again. Does not own: what
//! either says.
//!
//! Invariant: where stderr is no terminal nothing but the lines themselves is written.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

/// Stderr, shared by logs and progress. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Screen(Arc<Mutex<Drawn>>);

#[derive(Debug)]
struct Drawn {
    terminal: bool,
    /// The changing lines as they stand now.
    lines: Vec<String>,
}

impl Screen {
    pub fn stderr() -> Self {
        Self(Arc::new(Mutex::new(Drawn { terminal: io::stderr().is_terminal(), lines: Vec::new() })))
    }

    /// True where changing lines can be shown.
    pub fn is_terminal(&self) -> bool {
        self.0.lock().expect("never held across a panic").terminal
    }

    /// Shows these lines below everything else, in the place of the former ones.
    pub fn show(&self, lines: Vec<String>) {
        let mut drawn = self.0.lock().expect("never held across a panic");
        let mut text = drawn.erasure();
        drawn.lines = lines;
        text.push_str(&drawn.drawing());
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Drawn {
    fn erasure(&self) -> String {
        if self.lines.is_empty() { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines.len()) }
    }

    fn drawing(&self) -> String {
        let columns = width();
        self.lines.iter().map(|line| line.chars().take(columns).collect::<String>() + "\n").collect()
    }
}

/// A line that wraps would not be taken away whole.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.map_or(80, |size| usize::from(size.ws_col).clamp(20, 500))
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let drawn = self.0.lock().expect("never held across a panic");
        let mut text = drawn.erasure().into_bytes();
        text.extend_from_slice(bytes);
        text.extend_from_slice(drawn.drawing().as_bytes());
        io::stderr().lock().write_all(&text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
