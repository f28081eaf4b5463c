//! XA transactions of which a commit would be a fault: their rows lie before our start, or were given up.
//!
//! Owns: the list and its file. Does not own: asking the server (`looks`), what a commit leads to (`assemble`).
//!
//! Invariant: the file is whole or not there. One that is damaged is made anew from what the server lists now; to one of
//! another selection of tables that is added. An id leaves the file only once a position beyond what ended it is saved.
//!
//! Form: text. A line with the form's version and the selection, a line for each id, a line with XXH3-64 of all before.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use limpid_model::Fault;
use xxhash_rust::xxh3::xxh3_64;

use super::spool::of_io;
use super::{sync_folder, write_whole};
use crate::ddl::Xid;

/// The file, beside those of the transactions.
const FILE: &str = "listed";

/// Why a commit would be a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server listed it when the pipeline first looked at it, or at these tables.
    BeforeStart,
    /// The server had forgotten it, so that it counted as rolled back.
    RolledBackUnseen,
}

/// The list.
#[derive(Debug, Default)]
pub struct Listed {
    path: Option<PathBuf>,
    selection: u64,
    ids: HashMap<Xid, Why>,
    /// No longer listed, but still in the file: until so many decisions are saved.
    leaving: Vec<(u64, Xid, Why)>,
}

impl Listed {
    /// An empty list to be kept in `dir`.
    pub fn new(dir: Option<&Path>, selection: u64) -> Self {
        Self { path: dir.map(|dir| dir.join(FILE)), selection, ..Self::default() }
    }

    /// The list kept in `dir`, and whether it was made for this selection. Else what the server lists is to be added: a
    /// transaction that was prepared before the start stays so whatever is captured.
    ///
    /// # Errors
    /// Those of the disk. A file that is not there or damaged is none: the list is empty then.
    pub fn load(dir: Option<&Path>, selection: u64) -> Result<(Self, bool), Fault> {
        let fresh = Self::new(dir, selection);
        let Some(path) = &fresh.path else { return Ok((fresh, false)) };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((fresh, false)),
            Err(error) => return Err(of_io(error, "read the list of XA transactions", Some(path))),
        };
        let Some((of, ids)) = std::str::from_utf8(&bytes).ok().and_then(parse) else { return Ok((fresh, false)) };
        Ok((Self { ids, ..fresh }, of == selection))
    }

    pub fn add(&mut self, xid: Xid, why: Why) {
        self.ids.entry(xid).or_insert(why);
    }

    pub fn remove(&mut self, xid: &Xid) {
        self.ids.remove(xid);
    }

    /// It is not listed any more; the file follows once decision `number` is saved.
    pub fn leave(&mut self, xid: &Xid, number: u64) {
        if let Some((xid, why)) = self.ids.remove_entry(xid) {
            self.leaving.push((number, xid, why));
        }
    }

    /// So many decisions are saved. True if there is something to be taken out of the file.
    pub fn drop_left(&mut self, decided: u64) -> bool {
        let before = self.leaving.len();
        self.leaving.retain(|(number, ..)| *number > decided);
        self.leaving.len() < before
    }

    pub fn has_any_before_start(&self) -> bool {
        self.ids.values().any(|why| *why == Why::BeforeStart)
    }

    pub fn why(&self, xid: &Xid) -> Option<Why> {
        if self.ids.is_empty() { None } else { self.ids.get(xid).copied() }
    }

    /// # Errors
    /// Those of the disk.
    pub fn save(&self) -> Result<(), Fault> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = write_whole(path, self.text().as_bytes());
        written.map_err(|error| of_io(error, "keep the list of XA transactions", Some(path)))?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    fn text(&self) -> String {
        let mut text = format!("limpid-xa 1 {:016x}\n", self.selection);
        // Of two lines of an id the later one counts.
        let leaving = self.leaving.iter().map(|(_, xid, why)| (xid, why));
        for (xid, why) in leaving.chain(&self.ids) {
            let why = match why {
                Why::BeforeStart => 'b',
                Why::RolledBackUnseen => 'r',
            };
            let _ = writeln!(text, "{why} {} {} {}", xid.format, hex(&xid.gtrid), hex(&xid.bqual));
        }
        let sum = xxh3_64(text.as_bytes());
        let _ = writeln!(text, "{sum:016x}");
        text
    }
}

fn parse(text: &str) -> Option<(u64, HashMap<Xid, Why>)> {
    let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (body, sum) = text.split_at(end);
    if u64::from_str_radix(sum.trim_end(), 16).ok()? != xxh3_64(body.as_bytes()) {
        return None;
    }
    let mut lines = body.lines();
    let selection = u64::from_str_radix(lines.next()?.strip_prefix("limpid-xa 1 ")?, 16).ok()?;
    let id = |line: &str| {
        let mut words = line.split(' ');
        let why = match words.next()? {
            "b" => Why::BeforeStart,
            "r" => Why::RolledBackUnseen,
            _ => return None,
        };
        let format = words.next()?.parse().ok()?;
        Some((Xid { format, gtrid: bytes(words.next()?)?, bqual: bytes(words.next()?)? }, why))
    };
    Some((selection, lines.map(id).collect::<Option<_>>()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(pair).collect()
}
