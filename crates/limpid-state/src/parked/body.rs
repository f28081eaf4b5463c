//! Where the bodies of parked rows lie: in the database, or, above a megabyte, in files beside it.
//!
//! Owns: the directory `parked` of the data directory. Does not own: which rows there are.
//!
//! Invariant: a file is whole and on disk before the row that names it is; it goes after its row. What a death between
//! the two leaves behind has no row, and is removed at the next start.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use limpid_model::Fault;
use xxhash_rust::xxh3::xxh3_64;

use crate::{faults, layout};

/// Bodies above this go to files: SQLite would copy them with each write of their row, and keep their pages.
const IN_DATABASE_MAX: usize = 1 << 20;

pub(crate) fn is_large(body: &[u8]) -> bool {
    body.len() > IN_DATABASE_MAX
}

pub(crate) fn sum(body: &[u8]) -> i64 {
    xxh3_64(body).cast_signed()
}

/// `path` is the database's.
fn directory(path: &Path) -> PathBuf {
    path.with_file_name("parked")
}

fn file(path: &Path, id: u64) -> PathBuf {
    directory(path).join(format!("{id}.row"))
}

/// Writes a body durably.
pub(crate) fn write(path: &Path, id: u64, body: &[u8]) -> Result<(), Fault> {
    let (directory, file) = (directory(path), file(path, id));
    let io = |error| faults::of_io(error, "keep a parked row", &file);
    // Rows: nobody else's to read.
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(io)?;
    layout::sync_directory(&directory).map_err(io)?;
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file).map_err(io)?;
    out.write_all(body).and_then(|()| out.sync_all()).map_err(io)?;
    File::open(&directory).and_then(|directory| directory.sync_all()).map_err(io)
}

pub(crate) fn read(path: &Path, id: u64) -> Result<Vec<u8>, Fault> {
    let file = file(path, id);
    fs::read(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => faults::corrupt("the file of a parked row is gone", &file),
        _ => faults::of_io(error, "read a parked row", &file),
    })
}

/// Removes files of rows that are gone. One that stays for now costs room, and goes at the next start.
pub(crate) fn remove(path: &Path, ids: &[u64]) {
    for id in ids {
        let _ = fs::remove_file(file(path, *id));
    }
}

/// Removes every file that `keep` has no row for.
pub(crate) fn sweep(path: &Path, keep: impl Fn(u64) -> bool) {
    let Ok(found) = fs::read_dir(directory(path)) else { return };
    for entry in found.flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".row")).and_then(|id| id.parse().ok());
        if id.is_some_and(|id| !keep(id)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
