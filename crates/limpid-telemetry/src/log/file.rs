//! A log file that does not grow for ever.
//!
//! Owns: appending, and renaming when it is full. Does not own: what is written.
//!
//! Invariant: a line is in one file whole; at most `kept` older files exist beside the one being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::FileOptions;

pub(super) struct RotatedFile {
    options: FileOptions,
    /// `None` after a failure; the next line opens it again.
    file: Option<File>,
    bytes: u64,
}

impl RotatedFile {
    pub(super) fn open(options: &FileOptions) -> io::Result<Self> {
        let mut file = Self { options: options.clone(), file: None, bytes: 0 };
        file.reopen()?;
        Ok(file)
    }

    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.options.bytes_max {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file.write_all(line);
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            // Perhaps half a line is there: opening again measures what is.
            Err(_) => self.file = None,
        }
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.options.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let FileOptions { path, kept, .. } = &self.options;
        for number in (1..*kept).rev() {
            let from = numbered(path, number);
            if from.exists() {
                fs::rename(from, numbered(path, number + 1))?;
            }
        }
        if *kept > 0 {
            fs::rename(path, numbered(path, 1))?
        } else {
            fs::remove_file(path)?
        }
        self.reopen()
    }
}

/// `limpid.log.1`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}
