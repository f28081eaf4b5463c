//! The file of one prepared XA transaction: its table maps and rows as the log had them, until it is decided.
//!
//! Owns: the form, the checksum, writing, reading back. Does not own: which transactions are held (`held`), what rows
//! mean (`assemble`).
//!
//! Invariant: what is read back was written by us to its end, or it is `XA_ROWS_LOST`; while it is written at most
//! [`SPILL_BYTES`] and one event are in memory.
//!
//! Form: magic, entries, an entry that ends them, XXH3-128 of all before. An entry is a kind, a length of four bytes,
//! and so many bytes. Numbers are little-endian. Who it is stands at the end, since MariaDB tells the id last.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use limpid_model::{Component, Fault, FaultCode};
use xxhash_rust::xxh3::Xxh3;

use crate::bytes::Cursor;
use crate::ddl::Xid;

/// Magic and the form's version.
const MAGIC: &[u8; 8] = b"LMPXA\0\0\x01";

const MAP: u8 = 1;
const ROWS: u8 = 2;
const LEFT: u8 = 3;
const END: u8 = 4;

const CHECKSUM_BYTES: usize = 16;

/// What a transaction may have in memory before it goes to a file: as much as a batch, since one that is decided
/// within its batch needs no file at all.
pub const SPILL_BYTES: usize = 256 * 1024;

/// The end entry has a few names and the undone ranges, of which a group keeps 100,000 at most.
const END_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who the transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id and where it was prepared: unique, though ids are used again.
    pub name: String,
    pub xid: Xid,
    /// Ranges of the log that a ROLLBACK TO undid.
    pub undone: Vec<(u64, u64)>,
}

/// What an event's header says besides its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsHead {
    pub kind: u8,
    pub seconds: u32,
    pub server: u32,
    /// Where it stands in the log.
    pub at: u64,
}

/// One entry, its bytes behind `from` of the block that it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A TABLE_MAP's body; `definition` is the fingerprint of the table's definition then, 0 where it was not known.
    Map { definition: u64, from: usize },
    /// The body of an event with rows.
    Rows { head: RowsHead, from: usize },
    /// Rows of this table id were there and are not kept: the table was not captured.
    Left { table: u64 },
}

/// A transaction that is being read.
pub struct Writer {
    /// Not yet in the file; all of it where there is no file.
    buffer: Vec<u8>,
    file: Option<File>,
    /// Of what is in the file.
    hash: Xxh3,
    path: Option<PathBuf>,
    bytes: u64,
}

/// A transaction that was read to its PREPARE.
#[derive(Debug)]
pub enum Written {
    Memory(Bytes),
    /// At the writer's path, whole but not synced.
    File(File),
}

impl Writer {
    /// `path` is where it goes once it is large; without one all of it stays in memory.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { buffer: MAGIC.to_vec(), file: None, hash: Xxh3::new(), path, bytes: 0 }
    }

    /// Bytes of rows so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// # Errors
    /// The file cannot be written.
    pub fn map(&mut self, definition: u64, body: &[u8]) -> Result<(), Fault> {
        self.put(MAP, &[&definition.to_le_bytes(), body])
    }

    /// # Errors
    /// The file cannot be written.
    pub fn rows(&mut self, head: RowsHead, body: &[u8]) -> Result<(), Fault> {
        self.bytes += body.len() as u64;
        let RowsHead { kind, seconds, server, at } = head;
        self.put(ROWS, &[&[kind], &seconds.to_le_bytes(), &server.to_le_bytes(), &at.to_le_bytes(), body])
    }

    /// # Errors
    /// The file cannot be written.
    pub fn left(&mut self, table: u64) -> Result<(), Fault> {
        self.put(LEFT, &[&table.to_le_bytes()])
    }

    /// Ends it. Nothing is synced.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, identity: &Identity) -> Result<Written, Fault> {
        let mut end = Vec::new();
        put_bytes(&mut end, identity.name.as_bytes());
        end.extend(identity.xid.format.to_le_bytes());
        put_bytes(&mut end, &identity.xid.gtrid);
        put_bytes(&mut end, &identity.xid.bqual);
        for (from, until) in &identity.undone {
            end.extend(from.to_le_bytes());
            end.extend(until.to_le_bytes());
        }
        self.put(END, &[&end])?;
        self.hash.update(&self.buffer);
        self.buffer.extend(self.hash.digest128().to_le_bytes());
        let Self { buffer, file, path, .. } = self;
        match file {
            None => Ok(Written::Memory(buffer.into())),
            Some(mut file) => {
                file.write_all(&buffer).map_err(|error| of_io(error, WRITING, path.as_deref()))?;
                Ok(Written::File(file))
            }
        }
    }

    fn put(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), Fault> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.buffer.push(kind);
        self.buffer.extend((len as u32).to_le_bytes());
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        if self.buffer.len() > SPILL_BYTES { self.spill() } else { Ok(()) }
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |error| of_io(error, WRITING, Some(path));
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(path).map_err(failed)?),
        };
        file.write_all(&self.buffer).map_err(failed)?;
        self.hash.update(&self.buffer);
        // An event may be a gigabyte.
        self.buffer = Vec::with_capacity(SPILL_BYTES);
        Ok(())
    }
}

const WRITING: &str = "write a prepared XA transaction";

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads a transaction's entries back, in their order.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    /// For faults.
    place: String,
}

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(BufReader<File>),
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Memory(bytes) => bytes.reader().read(out),
            Source::File(file) => file.read(out),
        }
    }
}

impl Reader {
    /// Reads what was kept in memory.
    ///
    /// # Errors
    /// `XA_ROWS_LOST`.
    pub fn of_memory(bytes: Bytes) -> Result<Self, Fault> {
        Self::begin(Source::Memory(bytes), "memory".to_owned())
    }

    /// Reads a file, of which [`check`] is known to hold.
    ///
    /// # Errors
    /// `XA_ROWS_LOST`.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| lost(path).because(error))?;
        Self::begin(Source::File(BufReader::with_capacity(SPILL_BYTES, file)), path.display().to_string())
    }

    fn begin(source: Source, place: String) -> Result<Self, Fault> {
        let mut reader = Self { source, place };
        let mut magic = [0; MAGIC.len()];
        reader.exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(reader.damaged());
        }
        Ok(reader)
    }

    /// Appends the next entry's bytes to `block`; `None` at the end.
    ///
    /// # Errors
    /// `XA_ROWS_LOST`.
    pub fn next(&mut self, block: &mut Vec<u8>) -> Result<Option<Entry>, Fault> {
        let mut head = [0; 5];
        self.exact(&mut head)?;
        let [kind, len @ ..] = head;
        let len = u32::from_le_bytes(len) as usize;
        if kind == END {
            return Ok(None);
        }
        let from = block.len();
        // Grows with what is there, not with what a length claims.
        let read = (&mut self.source).take(len as u64).read_to_end(block);
        if read.map_err(|error| self.damaged().because(error))? != len {
            return Err(self.damaged());
        }
        let mut cur = Cursor::new(&block[from..]);
        let entry = (|| {
            Some(match kind {
                MAP => Entry::Map { definition: cur.u64()?, from: from + cur.pos() },
                ROWS => {
                    let head = RowsHead { kind: cur.u8()?, seconds: cur.u32()?, server: cur.u32()?, at: cur.u64()? };
                    Entry::Rows { head, from: from + cur.pos() }
                }
                LEFT => Entry::Left { table: cur.u64()? },
                _ => return None,
            })
        })();
        entry.map(Some).ok_or_else(|| self.damaged())
    }

    fn exact(&mut self, out: &mut [u8]) -> Result<(), Fault> {
        self.source.read_exact(out).map_err(|error| self.damaged().because(error))
    }

    fn damaged(&self) -> Fault {
        Fault::new(FaultCode::XaRowsLost, Component::State, "the rows of a prepared XA transaction are damaged")
            .about(self.place.clone())
    }
}

/// Reads a whole file and says who it is.
///
/// # Errors
/// `XA_ROWS_LOST` for a file that is not there, or not as it was written.
pub fn check(path: &Path) -> Result<Identity, Fault> {
    let failed = |error: io::Error| lost(path).because(error);
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let damaged = || lost(path).because("it is not as it was written".to_owned());
    let mut left = size.checked_sub(CHECKSUM_BYTES as u64).ok_or_else(damaged)?;
    let mut hash = Xxh3::new();
    let mut block = vec![0; SPILL_BYTES];
    while left > 0 {
        let want = left.min(SPILL_BYTES as u64) as usize;
        let read = file.read(&mut block[..want]).map_err(failed)?;
        if read == 0 {
            return Err(damaged());
        }
        hash.update(&block[..read]);
        left -= read as u64;
    }
    let mut sum = [0; CHECKSUM_BYTES];
    file.read_exact(&mut sum).map_err(failed)?;
    if hash.digest128().to_le_bytes() != sum {
        return Err(damaged());
    }
    drop(file);
    identity(path)?.ok_or_else(damaged)
}

/// The end entry of a file whose checksum holds.
fn identity(path: &Path) -> Result<Option<Identity>, Fault> {
    let failed = |error: io::Error| lost(path).because(error);
    let mut reader = BufReader::with_capacity(SPILL_BYTES, File::open(path).map_err(failed)?);
    reader.seek_relative(MAGIC.len() as i64).map_err(failed)?;
    loop {
        let mut head = [0; 5];
        reader.read_exact(&mut head).map_err(failed)?;
        let [kind, len @ ..] = head;
        let len = u32::from_le_bytes(len);
        if kind != END {
            reader.seek_relative(i64::from(len)).map_err(failed)?;
            continue;
        }
        if len as usize > END_BYTES_MAX {
            return Ok(None);
        }
        let mut end = vec![0; len as usize];
        reader.read_exact(&mut end).map_err(failed)?;
        return Ok(parse_end(&end));
    }
}

fn parse_end(end: &[u8]) -> Option<Identity> {
    let mut cur = Cursor::new(end);
    let bytes = |cur: &mut Cursor<'_>| {
        let len = cur.u32()? as usize;
        cur.take(len).map(<[u8]>::to_vec)
    };
    let name = String::from_utf8(bytes(&mut cur)?).ok()?;
    let xid = Xid { format: cur.u64()?, gtrid: bytes(&mut cur)?, bqual: bytes(&mut cur)? };
    let mut undone = Vec::new();
    while cur.remaining() > 0 {
        undone.push((cur.u64()?, cur.u64()?));
    }
    Some(Identity { name, xid, undone })
}

fn lost(path: &Path) -> Fault {
    let text = "the rows of a prepared XA transaction are missing or damaged";
    Fault::new(FaultCode::XaRowsLost, Component::State, text).about(path.display().to_string())
}

/// The fault of a file that cannot be written.
pub fn of_io(error: io::Error, doing: &str, path: Option<&Path>) -> Fault {
    let (code, text) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (FaultCode::StateDiskFull, format!("cannot {doing}: the disk is full"))
        }
        _ => (FaultCode::StateUnwritable, format!("cannot {doing}")),
    };
    let about = path.map_or(String::new(), |path| path.display().to_string());
    Fault::new(code, Component::State, text).about(about).because(error)
}
