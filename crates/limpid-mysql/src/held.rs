//! XA transactions that are prepared and undecided: their rows, until somebody decides.
//!
//! Owns: which are held, their files, what becomes of a file. Does not own: the form of a file (`spool`), rows
//! (`assemble`), which position is saved (the engine).
//!
//! Invariant: before a position beyond a PREPARE is yielded its rows are on disk, file and folder synced; a file goes
//! only once a position beyond the decision is saved. So a restart at any saved position finds what was held there,
//! and nothing before that position is ever read again.

mod course;
mod listed;
mod looks;
mod spool;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use limpid_model::{Component, Fault, FaultCode};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::ddl::Xid;
use crate::position::{LogPosition, Undecided};
pub use course::{Course, Step};
pub use listed::{Listed, Why};
pub use looks::{Looks, recovered};
pub use spool::{Entry, Reader, RowsHead};
use spool::{Identity, Writer, Written, of_io};

/// The transaction that is being read goes here once it is large; only one is at a time.
const OPEN: &str = "open.part";

/// A prepared transaction's rows, and the ranges that were undone in it.
pub type Kept = (Reader, Vec<(u64, u64)>);

/// What is held.
#[derive(Default)]
pub struct Held {
    /// `None`: in memory alone, for whoever keeps no position.
    dir: Option<PathBuf>,
    items: Vec<Item>,
    gathering: Option<Gathering>,
    /// What is listed as not ours to deliver.
    listed: Listed,
    /// How many were decided since the stream began, and the files of those whose decision is not saved yet.
    decided: u64,
    gone: VecDeque<(u64, PathBuf)>,
    /// Where they were prepared and committed.
    pub course: Course,
    looks: Arc<Looks>,
    /// What a position says; `None` while nothing ever was held.
    undecided: Option<Arc<Undecided>>,
    /// Something changed since the last [`Held::persist`].
    moved: bool,
    /// Something could not be kept. Nobody knows what of it is on disk, so no position of this stream may pass any more:
    /// the next one reads the log again, and writes anew.
    failed: Option<FaultCode>,
    /// What is committed now lies before our start.
    pub passes_over: bool,
    /// Files of another place in the log, to be cleared once a position of this stream is saved.
    is_unswept: bool,
}

#[derive(Debug)]
struct Item {
    identity: Identity,
    body: Body,
    /// It counts as rolled back, though nobody said so. Its rows are kept as long as this stream all the same.
    presumed: bool,
}

#[derive(Debug)]
enum Body {
    Memory(Bytes),
    /// In its place, but not synced.
    Unsynced(File, PathBuf),
    Durable(PathBuf),
}

/// A transaction that is being read.
struct Gathering {
    writer: Writer,
    /// Table maps as they were written last, so that a statement for each row does not repeat them.
    maps: HashMap<u64, u64>,
    left: HashSet<u64>,
}

impl Held {
    /// What was held at a saved position, by name. Whatever else lies in the folder was decided, or is read again. With
    /// `None` the stream begins elsewhere than at what is saved, which it may yet go back to.
    ///
    /// # Errors
    /// `XA_ROWS_LOST` for one whose rows are not there, and those of the disk.
    pub fn open(dir: Option<PathBuf>, names: Option<&[String]>, looks: Arc<Looks>) -> Result<Self, Fault> {
        let mut held = Self { looks, ..Self::default() };
        for name in names.unwrap_or_default() {
            let Some(path) = dir.as_deref().map(|dir| path_of(dir, name)) else {
                return Err(lost(name));
            };
            let identity = spool::check(&path)?;
            if identity.name != *name {
                return Err(lost(name));
            }
            held.items.push(Item { identity, body: Body::Durable(path), presumed: false });
        }
        if let Some(dir) = &dir {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| of_io(error, MAKE, Some(dir)))?;
            held.is_unswept = names.is_none();
            if names.is_some() {
                held.sweep(dir)?;
            }
        }
        held.dir = dir;
        held.tell();
        held.moved = true;
        Ok(held)
    }

    fn sweep(&self, dir: &Path) -> Result<(), Fault> {
        let failed = |error| of_io(error, "clear the folder of prepared XA transactions", Some(dir));
        for entry in fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_ours = path.extension().is_some_and(|end| end == "xa" || end == "part");
            // One that is being written is nobody else's.
            let is_ours = is_ours && (self.gathering.is_none() || !path.ends_with(OPEN));
            let is_gone = self.gone.iter().any(|(_, gone)| *gone == path);
            if is_ours && !is_gone && !self.items.iter().any(|item| item.path() == Some(&*path)) {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The ids that are not ours to deliver.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn list(&mut self, mut listed: Listed) -> Result<(), Fault> {
        self.items.iter().for_each(|item| listed.remove(&item.identity.xid));
        listed.save()?;
        self.listed = listed;
        Ok(())
    }

    /// The same, as they are kept already.
    pub fn go_on_with(&mut self, listed: Listed) {
        self.listed = listed;
    }

    /// True while something is listed that was prepared before the stream.
    pub fn lists_any(&self) -> bool {
        self.listed.has_any_before_start()
    }

    /// A TABLE_MAP of the transaction that is being read.
    ///
    /// # Errors
    /// Those of the disk, as for the next two.
    pub fn map(&mut self, table: u64, definition: u64, body: &[u8]) -> Result<(), Fault> {
        let gathering = self.gathering();
        let digest = xxh3_64(body) ^ definition;
        if gathering.maps.insert(table, digest) == Some(digest) {
            return Ok(());
        }
        gathering.left.remove(&table);
        gathering.writer.map(definition, body)
    }

    /// An event of it with rows of a captured table.
    pub fn rows(&mut self, head: RowsHead, body: &[u8]) -> Result<(), Fault> {
        self.gathering().writer.rows(head, body)
    }

    /// It has rows of a table that is not captured.
    pub fn left_out(&mut self, table: u64) -> Result<(), Fault> {
        let gathering = self.gathering();
        if gathering.left.insert(table) { gathering.writer.left(table) } else { Ok(()) }
    }

    fn gathering(&mut self) -> &mut Gathering {
        let path = self.dir.as_ref().map(|dir| dir.join(OPEN));
        self.gathering.get_or_insert_with(|| Gathering {
            writer: Writer::new(path),
            maps: HashMap::new(),
            left: HashSet::new(),
        })
    }

    /// Bytes of rows of the transaction that is being read.
    pub fn gathered_bytes(&self) -> u64 {
        self.gathering.as_ref().map_or(0, |gathering| gathering.writer.bytes())
    }

    /// The transaction that is being read is none, or was rolled back.
    pub fn discard(&mut self) {
        self.gathering = None;
    }

    /// The transaction that is being read was committed at once: its rows, to be read back.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_gathered(&mut self) -> Result<Option<Reader>, Fault> {
        let Some(gathering) = self.gathering.take() else { return Ok(None) };
        let xid = Xid { format: 0, gtrid: Vec::new(), bqual: Vec::new() };
        let nobody = Identity { name: String::new(), xid, undone: Vec::new() };
        match (gathering.writer.finish(&nobody)?, &self.dir) {
            (Written::File(_), Some(dir)) => Reader::open(&dir.join(OPEN)).map(Some),
            (Written::Memory(bytes), _) => Reader::of_memory(bytes).map(Some),
            (Written::File(_), None) => unreachable!("a file is written where there is a folder"),
        }
    }

    /// The transaction that is being read was prepared at `place`; it has rows of ours. As [`Held::prepare_nothing`].
    ///
    /// # Errors
    /// Those of the disk.
    pub fn prepare(&mut self, xid: Xid, place: &str, undone: Vec<(u64, u64)>) -> Result<Option<String>, Fault> {
        let Some(gathering) = self.gathering.take() else { return Ok(None) };
        let identity = Identity { name: format!("{xid}@{place}"), xid, undone };
        let body = match (gathering.writer.finish(&identity)?, &self.dir) {
            (Written::File(file), Some(dir)) => {
                let path = path_of(dir, &identity.name);
                let renamed = fs::rename(dir.join(OPEN), &path);
                renamed.map_err(|error| of_io(error, "keep a prepared XA transaction", Some(&path)))?;
                Body::Unsynced(file, path)
            }
            (Written::Memory(bytes), _) => Body::Memory(bytes),
            (Written::File(_), None) => unreachable!("a file is written where there is a folder"),
        };
        let older = self.prepare_nothing(&identity.xid);
        self.items.push(Item { identity, body, presumed: false });
        self.moved = true;
        Ok(older)
    }

    /// A transaction without rows of ours was prepared. One of the same id that is held was decided without a word, since
    /// a server has no two; returns its name, unless it was given up before.
    pub fn prepare_nothing(&mut self, xid: &Xid) -> Option<String> {
        let older = self.forget(xid);
        self.leave_list(xid);
        older.filter(|older| !older.presumed).map(|older| older.identity.name)
    }

    /// The log says more of an id that is listed: what it was listed for is over. On disk it stays until a position
    /// beyond this place is saved: a restart before it meets the same again.
    fn leave_list(&mut self, xid: &Xid) {
        if self.listed.why(xid).is_some() {
            self.decided += 1;
            self.listed.leave(xid, self.decided);
            self.moved = true;
        }
    }

    /// The rows of a prepared transaction; `None` if it is not held.
    ///
    /// # Errors
    /// `XA_ROWS_LOST`.
    pub fn read(&self, xid: &Xid) -> Result<Option<Kept>, Fault> {
        let Some(item) = self.items.iter().find(|item| item.identity.xid == *xid) else { return Ok(None) };
        let reader = match &item.body {
            Body::Memory(bytes) => Reader::of_memory(bytes.clone())?,
            Body::Unsynced(_, path) | Body::Durable(path) => {
                // Whole before its first row leaves.
                if spool::check(path)? != item.identity {
                    return Err(lost(&item.identity.name));
                }
                Reader::open(path)?
            }
        };
        Ok(Some((reader, item.identity.undone.clone())))
    }

    /// Why an id that is not held is not ours to deliver.
    pub fn listed(&self, xid: &Xid) -> Option<Why> {
        self.listed.why(xid)
    }

    /// A transaction was decided, and all of its rows have left if it was committed.
    pub fn decide(&mut self, xid: &Xid) {
        self.forget(xid);
        self.leave_list(xid);
    }

    fn forget(&mut self, xid: &Xid) -> Option<Item> {
        let found = self.items.iter().position(|item| item.identity.xid == *xid)?;
        let item = self.items.remove(found);
        self.decided += 1;
        if let Some(path) = item.path() {
            self.gone.push_back((self.decided, path.to_owned()));
        }
        self.moved = true;
        Some(item)
    }

    /// What is held is on disk from here on, and said by positions from here on.
    ///
    /// # Errors
    /// Those of the disk, and then for ever.
    #[inline]
    pub fn persist(&mut self) -> Result<(), Fault> {
        if self.moved { self.persist_now() } else { Ok(()) }
    }

    #[cold]
    fn persist_now(&mut self) -> Result<(), Fault> {
        self.check()?;
        self.write_out().map_err(|fault| self.fail(fault))?;
        self.tell();
        self.moved = false;
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> Fault {
        (self.failed, self.moved) = (Some(fault.code()), true);
        fault
    }

    /// # Errors
    /// Something could not be kept before.
    #[inline]
    pub fn check(&self) -> Result<(), Fault> {
        self.failed.map_or(Ok(()), |code| {
            let text = "a prepared XA transaction could not be kept, so that no position may pass it";
            Err(Fault::new(code, Component::State, text))
        })
    }

    fn write_out(&mut self) -> Result<(), Fault> {
        self.looks.hold(self.items.iter().map(|item| &item.identity));
        let Some(dir) = &self.dir else { return Ok(()) };
        let mut is_new = false;
        for item in &mut self.items {
            let path = match &item.body {
                Body::Durable(_) => continue,
                Body::Unsynced(file, path) => {
                    file.sync_all().map_err(|error| of_io(error, KEEP, Some(path)))?;
                    path.clone()
                }
                Body::Memory(bytes) => {
                    let path = path_of(dir, &item.identity.name);
                    write_whole(&path, bytes).map_err(|error| of_io(error, KEEP, Some(&path)))?;
                    path
                }
            };
            item.body = Body::Durable(path);
            is_new = true;
        }
        if is_new { sync_folder(dir) } else { Ok(()) }
    }

    /// A position that says so many decisions is saved: the files of those decided are of no use any more.
    pub fn saved(&mut self, position: &LogPosition) {
        if std::mem::take(&mut self.is_unswept)
            && let Some(dir) = &self.dir
        {
            // What stays is cleared at the next start.
            let _ = self.sweep(dir);
        }
        let decided = position.undecided.as_ref().map_or(0, |undecided| undecided.decided);
        while self.gone.front().is_some_and(|(number, _)| *number <= decided) {
            if let Some((_, path)) = self.gone.pop_front()
                && !self.items.iter().any(|item| item.path() == Some(&*path))
            {
                // What stays is cleared at the next start.
                let _ = fs::remove_file(path);
            }
        }
        if self.listed.drop_left(decided) {
            // An id that stays in the file is told of as it was before: at worst a commit halts that need not have.
            let _ = self.listed.save();
        }
    }

    /// Those that the server has forgotten and whose decision would lie before this place count as rolled back, until it
    /// lists them again. Returns the names of those given up; `None` where nothing changed.
    ///
    /// # Errors
    /// Those of the disk.
    #[inline]
    pub fn presume(&mut self, position: &LogPosition) -> Result<Option<Vec<String>>, Fault> {
        if self.looks.has_verdicts() { self.presume_now(position) } else { Ok(None) }
    }

    #[cold]
    fn presume_now(&mut self, position: &LogPosition) -> Result<Option<Vec<String>>, Fault> {
        let verdicts = self.looks.take_verdicts(|head| position.reaches(head));
        let (mut names, mut back) = (Vec::new(), Vec::new());
        for item in &mut self.items {
            let Identity { name, xid, .. } = &item.identity;
            if !item.presumed && verdicts.forgotten.contains(name) {
                item.presumed = true;
                self.listed.add(xid.clone(), Why::RolledBackUnseen);
                names.push(name.clone());
            } else if item.presumed && verdicts.back.contains(name) {
                item.presumed = false;
                back.push(xid.clone());
            }
        }
        if !names.is_empty() {
            // Before a position passes that no longer says that it is held.
            self.listed.save().map_err(|fault| self.fail(fault))?;
        }
        back.iter().for_each(|xid| self.leave_list(xid));
        let is_changed = !names.is_empty() || !back.is_empty();
        self.moved |= is_changed;
        Ok(is_changed.then_some(names))
    }

    /// True while something is held.
    #[inline]
    pub fn is_anything(&self) -> bool {
        !self.items.is_empty()
    }

    /// True, once, when the server refused to list its prepared transactions.
    pub fn is_blind(&self) -> bool {
        self.looks.take_refusal()
    }

    /// What a position says, as of the last [`Held::persist`].
    #[inline]
    pub fn undecided(&self) -> Option<Arc<Undecided>> {
        self.undecided.clone()
    }

    fn tell(&mut self) {
        let held = self.items.iter().filter(|item| !item.presumed);
        let names: Vec<String> = held.map(|item| item.identity.name.clone()).collect();
        let is_anything = !names.is_empty() || self.decided > 0;
        self.undecided = is_anything.then(|| Arc::new(Undecided { names, decided: self.decided }));
    }
}

impl Item {
    fn path(&self) -> Option<&Path> {
        match &self.body {
            Body::Memory(_) => None,
            Body::Unsynced(_, path) | Body::Durable(path) => Some(path),
        }
    }
}

const MAKE: &str = "make the folder of prepared XA transactions";
const KEEP: &str = "keep a prepared XA transaction";

/// A name may be longer than a file's.
fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{:032x}.xa", xxh3_128(name.as_bytes())))
}

/// Writes a file that is there whole or not at all; the folder is synced by the caller.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn sync_folder(dir: &Path) -> Result<(), Fault> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| of_io(error, KEEP, Some(dir)))
}

fn lost(name: &str) -> Fault {
    let text = "the rows of a prepared XA transaction are missing or damaged";
    Fault::new(FaultCode::XaRowsLost, Component::State, text).about(name.to_owned())
}
