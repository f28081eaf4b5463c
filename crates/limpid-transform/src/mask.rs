//! Values that nobody behind us may see.
//!
//! Owns: what each mask does to a cell, and which types it takes. Does not own: which columns are masked (`compile`).
//!
//! Invariant: NULL stays NULL, and a column that is not in a row image stays out of it. A hash is a function of the value
//! as the server shows it and of the key, so that equal values stay equal: in both images of a change, in snapshot and
//! stream, in all tables. A value shown in part shows no more than was asked for, whatever its length.

use std::fmt;
use std::io::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use limpid_model::{Batch, Cell, CellKind, Column, LogicalType};
use sha2::Sha256;

/// Shortest key of a hash, in bytes: with fewer than 128 bits the masked values can be tried out.
pub(crate) const KEY_BYTES_MIN: usize = 16;

/// One mask.
pub(crate) enum Mask {
    /// HMAC-SHA-256 in hexadecimal, with the keyed state prepared.
    Hash(Box<Hmac<Sha256>>),
    /// A constant of the column's type; of a text this one.
    Redact { text: String },
    /// The first and last characters; the others are all `fill`.
    Partial { first: usize, last: usize, fill: char },
}

impl fmt::Debug for Mask {
    /// Without key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Mask {
    /// A hash under this key.
    pub(crate) fn hash(key: &[u8]) -> Self {
        Self::Hash(Box::new(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    /// The word of the configuration.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Mask::Hash(_) => "hash",
            Mask::Redact { .. } => "redact",
            Mask::Partial { .. } => "partial",
        }
    }

    /// Two values may look the same behind it.
    pub(crate) fn blurs(&self) -> bool {
        !matches!(self, Mask::Hash(_))
    }

    /// The column as it is behind the mask; `None` for a type that it does not take.
    pub(crate) fn shows(&self, column: &Column) -> Option<Column> {
        use LogicalType as T;
        let logical = match (self, &column.logical) {
            (Mask::Hash(_), T::Text | T::Bytes { .. } | T::Int { .. } | T::Uuid) => T::Text,
            (Mask::Partial { .. }, T::Text) => T::Text,
            (Mask::Hash(_) | Mask::Partial { .. }, _)
            | (Mask::Redact { .. }, T::Geometry { .. } | T::Vector { .. } | T::Document) => return None,
            (Mask::Redact { .. }, same) => same.clone(),
        };
        let tinyint1 = column.tinyint1 && logical == column.logical;
        Some(Column { logical, tinyint1, ..column.clone() })
    }

    /// Replaces a cell of a column whose type it takes. `scratch` keeps its room between values.
    pub(crate) fn apply(&self, batch: &mut Batch, at: usize, logical: &LogicalType, scratch: &mut Vec<u8>) {
        let cell = batch.cells[at];
        if !cell.is_value() {
            return;
        }
        scratch.clear();
        batch.cells[at] = match self {
            Mask::Hash(keyed) => {
                shown_bytes(batch, cell, logical, scratch);
                let mut mac = Hmac::clone(keyed);
                mac.update(scratch);
                let digest = mac.finalize().into_bytes();
                scratch.clear();
                for byte in digest {
                    scratch.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                made(batch, CellKind::Text, scratch)
            }
            Mask::Redact { text } => redacted(batch, cell, logical, text),
            Mask::Partial { first, last, fill } => {
                partial(batch.bytes(cell), (*first, *last), *fill, scratch);
                made(batch, CellKind::Text, scratch)
            }
        };
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

/// Adds a value to the batch's arena.
fn made(batch: &mut Batch, kind: CellKind, bytes: &[u8]) -> Cell {
    let offset = batch.arena.len() as u64;
    batch.arena.extend_from_slice(bytes);
    Cell::arena(kind, offset, bytes.len() as u32, 0)
}

/// A value as the server's own SELECT shows it: text in UTF-8, bytes at their full length, a number's digits, a UUID's
/// text.
fn shown_bytes(batch: &Batch, cell: Cell, logical: &LogicalType, out: &mut Vec<u8>) {
    match (logical, cell.kind()) {
        (_, CellKind::Int) => write_digits(out, cell.as_i64()),
        (_, CellKind::UInt) => write_digits(out, cell.bits()),
        (LogicalType::Uuid, _) => {
            for (index, byte) in batch.bytes(cell).iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        (LogicalType::Bytes { fixed: Some(length) }, _) => {
            out.extend_from_slice(batch.bytes(cell));
            out.resize(out.len().max(*length as usize), 0);
        }
        _ => out.extend_from_slice(batch.bytes(cell)),
    }
}

fn write_digits(out: &mut Vec<u8>, number: impl fmt::Display) {
    write!(out, "{number}").expect("a vector takes everything");
}

/// The type's zero: 0, false, the epoch, no member, no bytes, an empty document; of a text the replacement.
fn redacted(batch: &mut Batch, cell: Cell, logical: &LogicalType, text: &str) -> Cell {
    use LogicalType as T;
    match logical {
        T::Text => made(batch, CellKind::Text, text.as_bytes()),
        T::Json => made(batch, CellKind::Json, b"{}"),
        T::Bytes { .. } => made(batch, CellKind::Bytes, b""),
        T::Uuid => made(batch, CellKind::Uuid, &[0; 16]),
        T::Inet4 => made(batch, CellKind::Inet, &[0; 4]),
        T::Inet6 => made(batch, CellKind::Inet, &[0; 16]),
        T::Decimal { scale, .. } => Cell::scaled(CellKind::Decimal, 0, *scale),
        // An impossible date is no date of its column's kind.
        T::Date => Cell::int(CellKind::Date, 0),
        T::DateTime { digits } => Cell::scaled(CellKind::DateTime, 0, u16::from(*digits)),
        T::Timestamp { digits } => Cell::scaled(CellKind::Timestamp, 0, u16::from(*digits)),
        T::Time { digits } => Cell::scaled(CellKind::Time, 0, u16::from(*digits)),
        T::Bool | T::Int { .. } | T::F32 | T::F64 | T::Year | T::Enum { .. } | T::Set { .. } | T::Bit { .. } => {
            Cell::inline(cell.kind(), 0)
        }
        T::Geometry { .. } | T::Vector { .. } | T::Document => unreachable!("`shows` takes no such column"),
    }
}

/// Text that is no longer than what may be seen of it is hidden whole.
fn partial(bytes: &[u8], (first, last): (usize, usize), fill: char, out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(bytes);
    let length = text.chars().count();
    let seen = |index: usize| length > first + last && (index < first || index >= length - last);
    let mut room = [0; 4];
    for (index, letter) in text.chars().enumerate() {
        let letter = if seen(index) { letter } else { fill };
        out.extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
    }
}

#[cfg(test)]
mod tests;
