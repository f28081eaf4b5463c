//! One file of whole lines.
//!
//! Owns: opening it, the lock on it, the half line that a crash left, where its lines end. Does not own: when it is
//! synced or put aside.
//!
//! Invariant: one process writes to it, and only behind `end`; below `synced` the disk has everything.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use limpid_model::{Fault, FaultCode};

use super::name;
use crate::config::Fsync;
use crate::faults;
use crate::line::LINE_START;

/// A file that its writer put aside just as we opened it is tried again; that happens once, not three times in a row.
const OPEN_TRIES: usize = 3;

/// How much is read at once when looking for the last line end.
const LOOK_BYTES: u64 = 64 << 10;

/// A file with our lock on it.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    /// Closing alone is not enough: a child that was forked a moment ago has the descriptor too, until its exec.
    fn drop(&mut self) {
        // The kernel lets go of it at the latest with the last descriptor.
        let _ = self.0.unlock();
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

#[derive(Debug)]
pub(super) struct LineFile {
    file: Locked,
    end: u64,
    synced: u64,
    born_micros: i64,
}

impl LineFile {
    /// Opens or makes the file, alone, and cuts off a half line.
    pub(super) fn open(path: &Path, fsync: Fsync, now_micros: i64) -> Result<Self, Fault> {
        let object = path.display().to_string();
        let file = take(path, &object)?;
        let recover = || -> io::Result<Option<u64>> {
            let Some(end) = whole_lines_end(&file)? else { return Ok(None) };
            if end < file.metadata()?.len() {
                file.set_len(end)?;
            }
            if fsync != Fsync::Never {
                // Lines that an earlier process wrote and did not sync count as there from now on.
                file.sync_all()?;
                name::sync_directory(path)?;
            }
            Ok(Some(end))
        };
        let Some(end) = recover().map_err(|error| faults::of_io(error, "read the end of the file", &object))? else {
            let sentence = "the file does not end in a line of ours: it belongs to something else";
            return Err(
                faults::fault(FaultCode::SinkSettingInvalid, sentence, &object).help("choose another sink.path")
            );
        };
        let born_micros = if end == 0 { now_micros } else { born(&file).unwrap_or(now_micros) };
        Ok(Self { file, end, synced: end, born_micros })
    }

    /// The first line is about to come: an empty file does not age.
    pub(super) fn begin(&mut self, now_micros: i64) {
        self.born_micros = now_micros;
    }

    /// Writes behind the last line.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all_at(lines, self.end)?;
        self.end += lines.len() as u64;
        Ok(())
    }

    /// Returns once the disk has everything appended.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.end {
            self.file.sync_data()?;
            self.synced = self.end;
        }
        Ok(())
    }

    /// Ends the file at `end`, a border between lines, and closes it.
    pub(super) fn cut(self, end: u64) -> io::Result<()> {
        self.file.set_len(end)
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// When its first line came, by the wall clock: the age must outlive a restart.
    pub(super) fn born_micros(&self) -> i64 {
        self.born_micros
    }
}

/// Opens the file and takes the lock that keeps every other Limpid out of it: a second writer would cut off the lines
/// of the first.
fn take(path: &Path, object: &str) -> Result<Locked, Fault> {
    let doing = "open the file";
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        let sentence = "sink.path is no ordinary file";
        return Err(faults::fault(FaultCode::SinkSettingInvalid, sentence, object));
    }
    for _ in 0..OPEN_TRIES {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| faults::of_io(error, doing, object))?;
        let file = match file.try_lock() {
            Ok(()) => Locked(file),
            Err(TryLockError::WouldBlock) => {
                let sentence = "another pipeline or process is writing to the file";
                let fault = faults::fault(FaultCode::SinkSettingInvalid, sentence, object);
                return Err(fault.help("give each pipeline a sink.path of its own"));
            }
            Err(TryLockError::Error(error)) => return Err(faults::of_io(error, doing, object)),
        };
        if is_at(&file, path).map_err(|error| faults::of_io(error, doing, object))? {
            return Ok(file);
        }
    }
    Err(faults::fault(FaultCode::SinkWriteFailed, "the file is moved away each time it is opened", object))
}

/// Whether the open file still has that name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match path.metadata() {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the last whole line ends. `None` when what follows it cannot be half a line of ours: then the path is a
/// mistake, and cutting would harm someone.
fn whole_lines_end(file: &File) -> io::Result<Option<u64>> {
    let len = file.metadata()?.len();
    let mut end = 0;
    let mut look_to = len;
    let mut piece = Vec::new();
    while look_to > 0 {
        let from = look_to.saturating_sub(LOOK_BYTES);
        piece.resize((look_to - from) as usize, 0);
        file.read_exact_at(&mut piece, from)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        look_to = from;
    }
    let mut tail = vec![0; LINE_START.len().min((len - end) as usize)];
    file.read_exact_at(&mut tail, end)?;
    // A file system may have made the room before it had the bytes: zeros that were never reported durable.
    let ours = LINE_START.starts_with(&tail) || tail.iter().all(|byte| *byte == 0);
    Ok(ours.then_some(end))
}

fn born(file: &File) -> Option<i64> {
    let found = file.metadata().ok()?;
    let time = found.created().or_else(|_| found.modified()).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use limpid_stack::TempDir;

    use super::{Fsync, LineFile};

    /// A second descriptor of the same open file is what a child has between its fork and its exec.
    #[test]
    fn a_descriptor_in_a_forked_child_does_not_keep_the_file_locked() {
        let dir = TempDir::new("file-forked").unwrap();
        let path = dir.path().join("rows");
        let first = LineFile::open(&path, Fsync::Never, 0).unwrap();
        let in_child = first.file.try_clone().unwrap();
        drop(first);
        LineFile::open(&path, Fsync::Never, 0).expect("let go of by its owner");
        drop(in_child);
    }
}
