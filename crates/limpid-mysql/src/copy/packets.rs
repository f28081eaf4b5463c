//! Rows of one answer: from the socket into blocks, and into batches of about a block each.
//!
//! Owns: the receive buffer, packets that span packets, batches built out of one table's rows. Does not own: single
//! rows (`copy::cells`), what is asked (`copy`).
//!
//! Invariant: bytes of a block are written once, before the block is shared; a buffer grows with what was received,
//! never with what a packet's length claims; a batch refers to the one block its rows were received in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use limpid_model::{Batch, CommitTime, EventHeader, NONE, Op, RowHeader, TxnHeader, TxnId};

use super::cells::{self, Out, Read, RowError};
use super::known::Known;
use crate::client::{Client, PACKET_MAX, QueryError, ServerError, server_error};
use crate::position::LogPosition;
use crate::rows::mark_rows;

/// The size of a block, as the stream's.
const BLOCK_BYTES: usize = 256 * 1024;

/// Less room than this behind the last byte is not worth a read.
const ROOM_MIN: usize = 16 * 1024;

/// What the made-up event of a batch is called: no server numbers an event so.
const READ_KIND: u8 = 254;

/// Where rows are said to come from.
#[derive(Clone, Debug)]
pub struct Origin {
    pub fence: LogPosition,
    /// When they were read, by our clock, in microseconds since 1970.
    pub micros: i64,
}

/// What a piece of an answer came to.
#[derive(Debug, Default)]
pub struct Piece {
    pub batches: Vec<Batch>,
    pub rows: u64,
    pub bytes: u64,
    /// The key of the last row, as texts.
    pub last_key: Option<Vec<String>>,
}

/// Why an answer broke off.
#[derive(Debug)]
pub enum Broken {
    Query(QueryError),
    /// The value of a column has no meaning.
    Value {
        column: usize,
    },
}

impl From<QueryError> for Broken {
    fn from(error: QueryError) -> Self {
        Broken::Query(error)
    }
}

enum Packet {
    Row {
        offset: usize,
        len: usize,
    },
    /// A row of more than one packet, in a block of its own.
    Large(Bytes),
    End,
    Error(ServerError),
    Incomplete,
}

/// Reads one answer.
pub struct RowReader {
    known: Arc<Known>,
    reads: Vec<Read>,
    origin: Origin,
    buf: BytesMut,
    filled: usize,
    pos: usize,
    large: Vec<u8>,
    ended: bool,
    out: Out,
    rows: Vec<RowHeader>,
    /// The last row in the open block.
    last: Option<(usize, usize)>,
}

impl RowReader {
    /// Begins behind the columns' descriptions of an answer.
    pub fn new(known: Arc<Known>, reads: Vec<Read>, origin: Origin, ahead: &[u8]) -> Self {
        let mut buf = BytesMut::zeroed(BLOCK_BYTES);
        buf[..ahead.len()].copy_from_slice(ahead);
        let filled = ahead.len();
        let (out, rows, large) = (Out::default(), Vec::new(), Vec::new());
        Self { known, reads, origin, buf, filled, pos: 0, large, ended: false, out, rows, last: None }
    }

    /// True once the last row was read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads up to the end of the answer, or to the row with which so many bytes are reached.
    ///
    /// # Errors
    /// The connection broke, the server gave up, or a value has no meaning.
    pub fn read(&mut self, client: &mut Client, bytes_max: u64) -> Result<Piece, Broken> {
        let mut piece = Piece::default();
        while !self.ended && piece.bytes < bytes_max {
            match self.next() {
                Packet::Row { offset, len } => {
                    cells::row(&self.buf[offset..offset + len], offset as u32, &self.reads, &mut self.out)
                        .map_err(|error| broken(client, error))?;
                    self.row();
                    self.last = Some((offset, len));
                    piece.rows += 1;
                    piece.bytes += len as u64 + 4;
                }
                Packet::Large(block) => {
                    self.seal(&mut piece);
                    cells::row(&block, 0, &self.reads, &mut self.out).map_err(|error| broken(client, error))?;
                    self.row();
                    piece.last_key = self.key(&block);
                    piece.rows += 1;
                    piece.bytes += block.len() as u64 + 4;
                    self.batch(block, &mut piece);
                }
                Packet::Incomplete => {
                    if self.buf.len() - self.filled < ROOM_MIN {
                        self.seal(&mut piece);
                        self.renew();
                    }
                    self.fill(client)?;
                }
                Packet::End => self.ended = true,
                Packet::Error(error) => return Err(QueryError::Server(error).into()),
            }
        }
        self.seal(&mut piece);
        Ok(piece)
    }

    /// Reads what is left of the answer and drops it; false if that is more than so many bytes.
    ///
    /// # Errors
    /// As [`RowReader::read`].
    pub fn drain(&mut self, client: &mut Client, bytes_max: u64) -> Result<bool, Broken> {
        let mut dropped = 0;
        while !self.ended {
            match self.next() {
                Packet::Row { len, .. } => dropped += len as u64,
                Packet::Large(block) => dropped += block.len() as u64,
                Packet::Incomplete => {
                    if self.buf.len() - self.filled < ROOM_MIN {
                        self.renew();
                    }
                    self.fill(client)?;
                }
                Packet::End => self.ended = true,
                Packet::Error(error) => return Err(QueryError::Server(error).into()),
            }
            if dropped > bytes_max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn next(&mut self) -> Packet {
        let here = &self.buf[self.pos..self.filled];
        let Some(head) = here.first_chunk::<4>() else { return Packet::Incomplete };
        let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        if here.len() < 4 + len {
            return Packet::Incomplete;
        }
        if len == PACKET_MAX || !self.large.is_empty() {
            return self.gather(len);
        }
        let start = self.pos + 4;
        self.pos = start + len;
        match self.buf[start..start + len].first() {
            Some(0xfe) if len < 9 => Packet::End,
            Some(0xff) => Packet::Error(server_error(&self.buf[start..start + len])),
            _ => Packet::Row { offset: start, len },
        }
    }

    /// One packet of a row that spans packets.
    #[cold]
    fn gather(&mut self, len: usize) -> Packet {
        let start = self.pos + 4;
        self.large.extend_from_slice(&self.buf[start..start + len]);
        self.pos = start + len;
        if len == PACKET_MAX { self.next() } else { Packet::Large(Bytes::from(std::mem::take(&mut self.large))) }
    }

    fn row(&mut self) {
        let after = (self.out.cells.len() - self.reads.len()) as u32;
        let row_in_event = self.rows.len() as u32;
        let (op, before) = (Op::Read, NONE);
        self.rows.push(RowHeader { event: 0, row_in_event, txn: 0, before, after, table: 0, op });
    }

    fn key(&self, packet: &[u8]) -> Option<Vec<String>> {
        let key = self.known.key.as_ref()?;
        cells::key_values(packet, &self.reads, key.columns.iter().map(|column| column.cell))
    }

    /// Closes the open block behind what was consumed, and the batch with it.
    fn seal(&mut self, piece: &mut Piece) {
        if let Some((offset, len)) = self.last.take() {
            piece.last_key = self.key(&self.buf[offset..offset + len]);
        }
        let block = self.buf.split_to(self.pos).freeze();
        self.filled -= self.pos;
        self.pos = 0;
        if !self.rows.is_empty() {
            self.batch(block, piece);
        }
    }

    /// A fresh block that begins with what was received but not consumed.
    fn renew(&mut self) {
        let tail = self.filled - self.pos;
        let mut fresh = BytesMut::zeroed(BLOCK_BYTES.max(tail * 2));
        fresh[..tail].copy_from_slice(&self.buf[self.pos..self.filled]);
        (self.buf, self.filled, self.pos) = (fresh, tail, 0);
    }

    fn fill(&mut self, client: &mut Client) -> Result<(), QueryError> {
        let read = client.socket().read(&mut self.buf[self.filled..]);
        match read {
            Ok(0) => Err(client.lost(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.filled += n;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(client.lost(error)),
        }
    }

    /// The rows so far as a batch of one event of one transaction.
    fn batch(&mut self, block: Bytes, piece: &mut Piece) {
        let room = (self.out.cells.len(), self.rows.len());
        let out = std::mem::replace(&mut self.out, Out { cells: Vec::with_capacity(room.0), ..Out::default() });
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(room.1));
        let count = rows.len() as u32;
        let seconds = self.origin.micros / 1_000_000;
        let event = EventHeader {
            at: self.origin.fence.offset,
            seconds: u32::try_from(seconds).unwrap_or(0),
            server: 0,
            offset: 0,
            len: 0,
            txn: 0,
            rows: count,
            block: 0,
            table: 0,
            log: 0,
            kind: READ_KIND,
            flags: Op::Read as u8,
        };
        let commit = CommitTime { micros: self.origin.micros, uncertainty_micros: 0 };
        let txn = TxnHeader { id: TxnId::Anonymous, commit, thread: 0, rows_before: 0, ends: true };
        let mut counts = [0; Op::COUNT];
        counts[Op::Read as usize] = count;
        let mut batch = Batch {
            blocks: vec![block],
            arena: out.arena,
            cells: out.cells,
            rows,
            events: vec![event],
            txns: vec![txn],
            tables: vec![Arc::clone(&self.known.schema)],
            layouts: vec![Arc::clone(&self.known.layout)],
            logs: vec![Arc::clone(&self.origin.fence.file)],
            counts: vec![counts],
            odd: out.odd,
            ..Batch::default()
        };
        mark_rows(&mut batch, 0, 0);
        piece.batches.push(batch);
    }
}

fn broken(client: &Client, error: RowError) -> Broken {
    match error {
        RowError::Garbled => Broken::Query(client.garbled()),
        RowError::Value { column } => Broken::Value { column },
    }
}
