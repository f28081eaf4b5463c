//! MariaDB's compression: whole events (`log_bin_compress`) and single columns (`COMPRESSED`).
//!
//! Owns: both framings around a zlib stream. Does not own: MySQL's transaction payload (`payload`).
//!
//! Invariant: what a value claims to be its size bounds the output but never sizes an allocation: room grows with
//! what was really inflated. Source: MariaDB's `log_event.cc` (`binlog_buf_uncompress`), `field_comp.cc`.

use std::io::Read;

use flate2::read::{DeflateDecoder, ZlibDecoder};

use crate::bytes::be;

/// The largest value a column can hold (LONGBLOB), and the largest event either server writes.
const INFLATED_MAX: u64 = u32::MAX as u64;

/// Inflates the compressed part of an event: one byte (1, algorithm in bits 4-6, length of the length in bits 0-2),
/// the size big-endian, a zlib stream.
pub fn event(bytes: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = bytes.split_first()?;
    if head & 0x80 == 0 || head & 0x70 != 0 {
        return None;
    }
    let (size, stream) = rest.split_at_checked((head & 0x07) as usize)?;
    inflate(ZlibDecoder::new(stream), be(size))
}

/// Inflates a value of a COMPRESSED column: one byte (bit 7 compressed, bit 3 raw deflate, length of the length in
/// bits 0-2), the size big-endian, the stream; or a zero byte and the value as it is.
pub fn column(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some((head, rest)) = bytes.split_first() else { return Some(Vec::new()) };
    if *head == 0 {
        return Some(rest.to_vec());
    }
    if head & 0x80 == 0 {
        return None;
    }
    let (size, stream) = rest.split_at_checked((head & 0x07) as usize)?;
    if head & 0x08 != 0 {
        inflate(DeflateDecoder::new(stream), be(size))
    } else {
        inflate(ZlibDecoder::new(stream), be(size))
    }
}

fn inflate(stream: impl Read, size: u64) -> Option<Vec<u8>> {
    if size > INFLATED_MAX {
        return None;
    }
    let mut out = Vec::new();
    stream.take(size + 1).read_to_end(&mut out).ok()?;
    (out.len() as u64 == size).then_some(out)
}
