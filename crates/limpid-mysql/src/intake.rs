//! The dump's bytes: from the socket into shared blocks, cut into events without copying.
//!
//! Owns: the receive buffer, packet framing, events that span packets. Does not own: what events mean (`assemble`).
//!
//! Invariant: bytes of a block are written once, before the block is shared; a buffer grows with what was received,
//! never with what a packet's length claims.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::client::{PACKET_MAX, Socket};

/// The size of a block: the same as a batch aims at, and what the kernel hands over in one read at best.
const BLOCK_BYTES: usize = 256 * 1024;

/// Less room than this behind the last byte is not worth a read.
const ROOM_MIN: usize = 16 * 1024;

/// What stands next in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// An event of `len` bytes that begins `offset` bytes into the open block.
    Event { offset: usize, len: usize },
    /// An event of more than one packet, in a block of its own.
    Large(Bytes),
    /// The server has nothing further (a dump that does not wait).
    Eof,
    /// An error packet.
    Error(Vec<u8>),
    /// No whole packet is here yet.
    Incomplete,
    /// Something no dump sends.
    Garbage,
}

/// What one attempt to read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    Some,
    /// Nothing is there now.
    Nothing,
}

/// Receives a dump.
pub struct Intake {
    socket: Socket,
    /// Initialised to its full length; `filled` says how far it holds received bytes.
    buf: BytesMut,
    filled: usize,
    /// Where the next packet begins.
    pos: usize,
    /// Payload of the packets of an event that is not whole yet.
    large: Vec<u8>,
}

impl Intake {
    /// Takes over a socket on which a dump was asked for.
    pub fn new(socket: Socket) -> Self {
        let buf = BytesMut::zeroed(BLOCK_BYTES);
        Self { socket, buf, filled: 0, pos: 0, large: Vec::new() }
    }

    /// Whether the next packet is an error; `None` while that is not to be seen yet.
    pub fn is_refusal(&self) -> Option<bool> {
        let here = &self.buf[self.pos..self.filled];
        let len = here.first_chunk::<4>().map(|head| u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize)?;
        match here.get(4) {
            Some(0xff) => (here.len() >= 4 + len).then_some(true),
            Some(_) => Some(false),
            None => (len == 0).then_some(false),
        }
    }

    /// Cuts the next event off.
    #[inline]
    pub fn next(&mut self) -> Frame {
        let here = &self.buf[self.pos..self.filled];
        let Some(head) = here.first_chunk::<4>() else { return Frame::Incomplete };
        let len = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        if here.len() < 4 + len {
            return Frame::Incomplete;
        }
        if len == PACKET_MAX || !self.large.is_empty() {
            return self.gather(len);
        }
        let start = self.pos + 4;
        self.pos = start + len;
        match self.buf[start..start + len].first() {
            Some(0x00) => Frame::Event { offset: start + 1, len: len - 1 },
            Some(0xfe) if len < 9 => Frame::Eof,
            Some(0xff) => Frame::Error(self.buf[start..start + len].to_vec()),
            _ => Frame::Garbage,
        }
    }

    /// One packet of an event that spans packets.
    #[cold]
    fn gather(&mut self, len: usize) -> Frame {
        let start = self.pos + 4;
        self.large.extend_from_slice(&self.buf[start..start + len]);
        self.pos = start + len;
        if len == PACKET_MAX {
            return self.next();
        }
        let event = Bytes::from(std::mem::take(&mut self.large));
        if event.first() == Some(&0) { Frame::Large(event.slice(1..)) } else { Frame::Garbage }
    }

    /// The bytes of an event in the open block.
    #[inline]
    pub fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        &self.buf[offset..offset + len]
    }

    /// Closes the open block: everything consumed so far. The next one begins at the next packet.
    pub fn seal(&mut self) -> Bytes {
        let block = self.buf.split_to(self.pos).freeze();
        self.filled -= self.pos;
        self.pos = 0;
        block
    }

    /// True when the open block must be sealed before more can be read.
    #[inline]
    pub fn is_cramped(&self) -> bool {
        self.buf.len() - self.filled < ROOM_MIN
    }

    /// A fresh block that begins with what was received but not consumed. Call after [`Intake::seal`].
    pub fn renew(&mut self) {
        let tail = self.filled - self.pos;
        let size = BLOCK_BYTES.max(tail * 2);
        let mut fresh = BytesMut::zeroed(size);
        fresh[..tail].copy_from_slice(&self.buf[self.pos..self.filled]);
        self.buf = fresh;
        self.filled = tail;
        self.pos = 0;
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// The connection broke or ended.
    pub fn fill_now(&mut self) -> io::Result<Filled> {
        let read = self.socket.read_now(&mut self.buf[self.filled..]);
        self.took(read)
    }

    /// Waits at most `wait` for bytes.
    ///
    /// # Errors
    /// The connection broke or ended.
    pub fn fill(&mut self, wait: Duration) -> io::Result<Filled> {
        let read = self.socket.read_within(&mut self.buf[self.filled..], wait);
        self.took(read)
    }

    #[inline]
    fn took(&mut self, read: io::Result<usize>) -> io::Result<Filled> {
        match read {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(n) => {
                self.filled += n;
                Ok(Filled::Some)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(Filled::Nothing),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Filled::Nothing),
            Err(error) => Err(error),
        }
    }
}
