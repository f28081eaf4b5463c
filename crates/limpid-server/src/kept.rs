//! Files that hold from the moment they change.
//!
//! Owns: reading a few small files whenever what they say is needed, keeping what was read, keeping the last that could
//! be used. Does not own: what is in them (`tokens`, `tls`).
//!
//! Invariant: [`Kept::current`] tells what the files say now; where they cannot be used, what they said when they last
//! could, and the log has one line for each change.
//!
//! They are read each time rather than watched: a stamp misses two changes within one tick of the file system's clock, a
//! watch misses what a mounted secret does with its links, and two small files cost less than the answer.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use limpid_model::{Component, Fault, FaultCode};
use limpid_telemetry::{FilesKept, FilesTaken, Log};
use openssl::sha::{Sha256, sha256};

/// A chain of certificates is below 10 KiB, a thousand tokens below 150.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// One file as it was read.
pub(crate) struct Content {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Whether every user of the machine can read it.
    pub(crate) open_to_all: bool,
}

/// Makes of the files what they stand for.
type Parse<T> = fn(&[Content]) -> Result<T, Fault>;

/// What some files say.
pub(crate) struct Kept<T> {
    paths: Vec<PathBuf>,
    /// What a file that cannot be read is called.
    code: FaultCode,
    parse: Parse<T>,
    /// Locked for a comparison, and for the parsing of what changed.
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// Of all that was read, or of the failure to read it.
    digest: [u8; 32],
    value: Arc<T>,
}

impl<T> Kept<T> {
    /// # Errors
    /// `code` where a file cannot be read; whatever `parse` finds.
    pub(crate) fn read(paths: Vec<PathBuf>, code: FaultCode, parse: Parse<T>) -> Result<Self, Fault> {
        let contents = contents(&paths, code)?;
        let last = Last { digest: digest(&Ok(contents.as_slice())), value: Arc::new(parse(&contents)?) };
        Ok(Self { paths, code, parse, last: Mutex::new(last) })
    }

    /// See the file's comment.
    pub(crate) fn current(&self, log: &Log) -> Arc<T> {
        let contents = contents(&self.paths, self.code);
        let digest = digest(&contents.as_deref());
        let mut last = self.last.lock().expect("never held across a panic");
        if digest != last.digest {
            last.digest = digest;
            match contents.and_then(|contents| (self.parse)(&contents)) {
                Ok(value) => {
                    last.value = Arc::new(value);
                    let file = self.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
                    FilesTaken { file: &file }.emit(log);
                }
                Err(fault) => FilesKept { fault: &fault }.emit(log),
            }
        }
        Arc::clone(&last.value)
    }
}

fn contents(paths: &[PathBuf], code: FaultCode) -> Result<Vec<Content>, Fault> {
    paths.iter().map(|path| content(path, code)).collect()
}

fn content(path: &PathBuf, code: FaultCode) -> Result<Content, Fault> {
    let fault = |text: &str| Fault::new(code, Component::Server, text).about(path.display().to_string());
    let unreadable = |error: std::io::Error| fault("the file cannot be read").because(error);
    // Asked of the path before it is opened: a pipe would be waited for, and can be read only once.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(fault("this is no file, which is read again whenever it changes"));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let open_to_all = file.metadata().map_err(unreadable)?.permissions().mode() & 0o004 != 0;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fault("the file is larger than 256 KiB"));
    }
    Ok(Content { path: path.clone(), bytes, open_to_all })
}

fn digest(contents: &Result<&[Content], &Fault>) -> [u8; 32] {
    let mut hash = Sha256::new();
    match contents {
        Ok(contents) => contents.iter().for_each(|content| {
            hash.update(&[1, u8::from(content.open_to_all)]);
            hash.update(&sha256(&content.bytes));
        }),
        Err(fault) => {
            hash.update(&[0]);
            hash.update(fault.to_string().as_bytes());
        }
    }
    hash.finish()
}
