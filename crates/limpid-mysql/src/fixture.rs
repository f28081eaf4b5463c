//! Logs built by hand, from the documents of the two servers' formats, for events that no server at hand writes.
//!
//! Owns: events and files of the simplest form that has what a test needs. Does not own: what a test expects.
//!
//! Invariant: nothing here is shared with the code under test but the events' numbers.

use limpid_connector::{Decode, DecodeTally, JsonText};
use limpid_model::{Batch, Fault, TxnId};

use crate::events::number;
use crate::position::Flavor;
use crate::replay::LogFile;
use crate::rows::{RowsDecoder, kind};
use crate::selection::Selection;

pub const SID: [u8; 16] =
    [0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62];

/// One event without a checksum: header and body. `next` is the place after it.
pub fn event(kind: u8, flags: u16, next: u32, body: &[u8]) -> Vec<u8> {
    let mut out = 1_700_000_000u32.to_le_bytes().to_vec();
    out.push(kind);
    out.extend_from_slice(&7u32.to_le_bytes());
    out.extend_from_slice(&(19 + body.len() as u32).to_le_bytes());
    out.extend_from_slice(&next.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// An event as it stands in a payload: without a place.
pub fn inner(kind: u8, body: &[u8]) -> Vec<u8> {
    event(kind, 0, 0, body)
}

pub fn query(sql: &str) -> Vec<u8> {
    let mut body = vec![7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    body.extend_from_slice(b"shop\0");
    body.extend_from_slice(sql.as_bytes());
    body
}

/// MySQL's GTID event.
pub fn gtid(gno: u64) -> Vec<u8> {
    let mut body = vec![0];
    body.extend_from_slice(&SID);
    body.extend_from_slice(&gno.to_le_bytes());
    body
}

/// `shop.t (id INT PRIMARY KEY)`, with its column's name in the optional metadata.
pub fn table_map(id: u8) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 4];
    body.extend_from_slice(b"shop\0\x01t\0");
    body.extend_from_slice(&[1, 3, 0, 0]);
    body.extend_from_slice(&[4, 3, 2, b'i', b'd', 8, 1, 0]);
    body
}

/// Rows of `shop.t`, as version 2 events of `kind` have them.
pub fn rows(id: u8, ids: impl IntoIterator<Item = i32>) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 0xff];
    for id in ids {
        body.push(0);
        body.extend_from_slice(&id.to_le_bytes());
    }
    body
}

/// A log file.
pub struct Log {
    bytes: Vec<u8>,
    checksum: bool,
}

impl Log {
    pub fn new(version: &str, checksum: bool) -> Self {
        let mut log = Self { bytes: b"\xfebin".to_vec(), checksum };
        let mut body = vec![4, 0];
        body.extend_from_slice(version.as_bytes());
        body.resize(2 + 50 + 4 + 1 + 42, 0);
        body.push(checksum as u8);
        // The checksum of this event is always there.
        log.checksum = true;
        log.push(number::FORMAT_DESCRIPTION, 0, &body);
        log.checksum = checksum;
        log
    }

    /// Appends an event.
    pub fn push(&mut self, kind: u8, flags: u16, body: &[u8]) -> &mut Self {
        let tail = if self.checksum { 4 } else { 0 };
        let size = 19 + body.len() + tail;
        let mut made = event(kind, flags, (self.bytes.len() + size) as u32, body);
        made[9..13].copy_from_slice(&(size as u32).to_le_bytes());
        if self.checksum {
            let sum = crc32fast::hash(&made);
            made.extend_from_slice(&sum.to_le_bytes());
        }
        self.bytes.extend_from_slice(&made);
        self
    }

    /// A transaction of one row.
    pub fn transaction(&mut self, gno: u64, id: i32) -> &mut Self {
        self.push(number::GTID, 0, &gtid(gno)).push(number::QUERY, 0, &query("BEGIN"));
        self.push(number::TABLE_MAP, 0, &table_map(1)).push(kind::WRITE_V2, 0, &rows(1, [id]));
        self.push(number::XID, 0, &[0; 8])
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn read(&self, flavor: Flavor) -> Read {
        read(self.bytes.clone(), flavor)
    }
}

/// What a log was read as.
#[derive(Debug, Default)]
pub struct Read {
    /// The `id` of each row, with its transaction's number and tag.
    pub rows: Vec<(i64, u64, Option<String>)>,
    pub batches: usize,
    pub unknown_events: u64,
    pub fault: Option<Fault>,
    /// Positions after each batch.
    pub ends: Vec<String>,
    /// Types of the last row's columns, and the bytes of its last value.
    pub last_types: Vec<String>,
    pub last_bytes: Vec<u8>,
}

impl Read {
    pub fn ids(&self) -> Vec<i64> {
        self.rows.iter().map(|(id, ..)| *id).collect()
    }
}

/// Reads a whole file through the assembler and the decoder.
pub fn read(bytes: Vec<u8>, flavor: Flavor) -> Read {
    let selection = Selection { tables: vec!["shop.*".to_owned()], columns: Vec::new() };
    let mut out = Read::default();
    let mut file = match LogFile::open(bytes.into(), "bin.000001", flavor, selection) {
        Ok(file) => file,
        Err(fault) => return Read { fault: Some(fault), ..out },
    };
    let mut batch = Batch::default();
    loop {
        match file.next(&mut batch) {
            Ok(true) => {}
            Ok(false) => return out,
            Err(fault) => return Read { fault: Some(fault), ..out },
        }
        let mut tally = DecodeTally::default();
        if let Err(fault) =
            (RowsDecoder { json_text: JsonText::Debezium, accept_partial_images: true }).decode(&mut batch, &mut tally)
        {
            return Read { fault: Some(fault), ..out };
        }
        out.batches += 1;
        out.unknown_events += batch.control.unknown_events as u64;
        out.ends.extend(batch.end.as_ref().map(|end| end.text()));
        for row in &batch.rows {
            let (gno, tag) = match batch.txns[row.txn as usize].id {
                TxnId::Uuid { gno, tag, .. } => {
                    (gno, (tag as usize).checked_sub(1).map(|at| batch.tags[at].to_string()))
                }
                TxnId::Domain { seq, .. } => (seq, None),
                TxnId::Anonymous => (0, None),
            };
            let id = batch.cells[row.after as usize].as_i64();
            out.rows.push((id, gno, tag));
            let columns = &batch.tables[row.table as usize].columns;
            out.last_types = columns.iter().map(|column| format!("{:?}", column.logical)).collect();
            let last = batch.image(row.after, columns.len()).last();
            out.last_bytes = last.map_or(Vec::new(), |cell| batch.bytes(*cell).to_vec());
        }
    }
}
