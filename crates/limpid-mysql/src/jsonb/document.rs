//! The layout of binary JSON.
//!
//! Owns: reading values, entries and keys without copying; the budget of a walk. Does not own: text (`jsonb::text`).
//!
//! Invariant: a child lies behind its container's entries and inside its container's bytes; every value that was handed
//! out has been charged to a budget.
//!
//! Source: `json_binary.h` of the MySQL server. A value is a type byte and a body. A container's body is its count of
//! entries, its size in bytes, for an object the offset and length of each key, then type and offset of each value;
//! small containers have these in two bytes, large ones in four (a key's length always in two); offsets count from the
//! body's start. Values that fit in place of their offset stand there.

use crate::bytes::Cursor;

/// What a walk may still read. See `jsonb` for why it exists and why honest documents never exhaust it.
pub(super) struct Budget {
    bytes_left: usize,
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        Self { bytes_left: bytes }
    }

    #[inline]
    fn charge(&mut self, bytes: usize) -> Option<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes)?;
        Some(())
    }
}

/// A value still in its document.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a [u8]),
    /// A value of another SQL type, `kind` being that type's number.
    Opaque {
        kind: u8,
        data: &'a [u8],
    },
    Array(Container<'a>),
    Object(Container<'a>),
}

mod kind {
    pub const SMALL_OBJECT: u8 = 0x00;
    pub const LARGE_OBJECT: u8 = 0x01;
    pub const SMALL_ARRAY: u8 = 0x02;
    pub const LARGE_ARRAY: u8 = 0x03;
    pub const LITERAL: u8 = 0x04;
    pub const INT16: u8 = 0x05;
    pub const UINT16: u8 = 0x06;
    pub const INT32: u8 = 0x07;
    pub const UINT32: u8 = 0x08;
    pub const INT64: u8 = 0x09;
    pub const UINT64: u8 = 0x0a;
    pub const DOUBLE: u8 = 0x0b;
    pub const TEXT: u8 = 0x0c;
    pub const OPAQUE: u8 = 0x0f;
}

impl<'a> Value<'a> {
    /// The value a document consists of. Bytes behind it are free space that updates in place left.
    pub(super) fn root(data: &'a [u8], budget: &mut Budget) -> Option<Self> {
        match data.split_first() {
            None => Some(Self::Null),
            Some((kind, body)) => Self::behind_offset(*kind, body, budget),
        }
    }

    fn behind_offset(kind: u8, body: &'a [u8], budget: &mut Budget) -> Option<Self> {
        let mut cur = Cursor::new(body);
        let value = match kind {
            kind::SMALL_OBJECT => Self::Object(Container::read(&mut cur, OBJECT, SMALL)?),
            kind::LARGE_OBJECT => Self::Object(Container::read(&mut cur, OBJECT, LARGE)?),
            kind::SMALL_ARRAY => Self::Array(Container::read(&mut cur, ARRAY, SMALL)?),
            kind::LARGE_ARRAY => Self::Array(Container::read(&mut cur, ARRAY, LARGE)?),
            kind::INT64 => Self::Int(i64::from_le_bytes(cur.array()?)),
            kind::UINT64 => Self::Uint(u64::from_le_bytes(cur.array()?)),
            kind::DOUBLE => Self::Double(f64::from_le_bytes(cur.array()?)),
            kind::TEXT => Self::Text(counted(&mut cur)?),
            kind::OPAQUE => Self::Opaque { kind: cur.u8()?, data: counted(&mut cur)? },
            _ => Self::fixed(kind, &mut cur)?,
        };
        budget.charge(cur.pos())?;
        Some(value)
    }

    /// The types that may stand in place of their offset.
    #[inline]
    fn fixed(kind: u8, cur: &mut Cursor<'a>) -> Option<Self> {
        Some(match kind {
            kind::LITERAL => match cur.u8()? {
                0 => Self::Null,
                1 => Self::Bool(true),
                2 => Self::Bool(false),
                _ => return None,
            },
            kind::INT16 => Self::Int(i16::from_le_bytes(cur.array()?).into()),
            kind::UINT16 => Self::Uint(cur.u16()?.into()),
            kind::INT32 => Self::Int(i32::from_le_bytes(cur.array()?).into()),
            kind::UINT32 => Self::Uint(cur.u32()?.into()),
            _ => return None,
        })
    }
}

/// Bytes behind their length: seven bits a byte, the last one without the eighth, at most five.
fn counted<'a>(cur: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut len = 0u64;
    for index in 0..5 {
        let byte = cur.u8()?;
        len |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return cur.take(usize::try_from(len).ok()?);
        }
    }
    None
}

/// Bytes of a key's length, in containers of either size.
const KEY_LEN: usize = 2;
/// Bytes of an offset, a count or a size.
const SMALL: usize = 2;
const LARGE: usize = 4;
/// Whether there are keys, as a factor.
const ARRAY: usize = 0;
const OBJECT: usize = 1;

/// An array's or object's entries.
#[derive(Clone, Copy)]
pub(super) struct Container<'a> {
    /// From the count on, cut at the size.
    body: &'a [u8],
    count: usize,
    /// Where the values' entries begin.
    values_at: usize,
    /// Where the entries end: no offset points before this.
    entries_end: usize,
    /// Bytes of an offset.
    width: usize,
}

impl<'a> Container<'a> {
    /// Reads the header and leaves `cur` behind the entries: a container's own bytes.
    fn read(cur: &mut Cursor<'a>, keys: usize, width: usize) -> Option<Self> {
        let mut all = *cur;
        let count = usize::try_from(cur.uint(width)?).ok()?;
        let size = usize::try_from(cur.uint(width)?).ok()?;
        let body = all.take(size)?;
        let values_at = count.checked_mul(keys * (width + KEY_LEN))?.checked_add(2 * width)?;
        let entries_end = count.checked_mul(1 + width)?.checked_add(values_at)?;
        if entries_end > size {
            return None;
        }
        cur.take(entries_end - 2 * width)?;
        Some(Self { body, count, values_at, entries_end, width })
    }

    /// How many entries it has: no more than its bytes have room for.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Key `index` of an object.
    #[inline]
    pub(super) fn key(&self, index: usize, budget: &mut Budget) -> Option<&'a [u8]> {
        let at = 2 * self.width + index * (self.width + KEY_LEN);
        let (offset, len) = self.body.get(at..at + self.width + KEY_LEN)?.split_at(self.width);
        let (offset, len) = (narrow(offset), narrow(len));
        if offset < self.entries_end {
            return None;
        }
        budget.charge(len)?;
        self.body.get(offset..)?.get(..len)
    }

    /// Value `index`.
    #[inline]
    pub(super) fn value(&self, index: usize, budget: &mut Budget) -> Option<Value<'a>> {
        let at = self.values_at + index * (1 + self.width);
        let (kind, place) = self.body.get(at..=at + self.width)?.split_first()?;
        let fits = match *kind {
            kind::LITERAL | kind::INT16 | kind::UINT16 => true,
            kind::INT32 | kind::UINT32 => self.width == LARGE,
            _ => false,
        };
        if fits {
            // The bytes were charged with the container's entries.
            return Value::fixed(*kind, &mut Cursor::new(place));
        }
        let offset = narrow(place);
        if offset < self.entries_end {
            return None;
        }
        Value::behind_offset(*kind, self.body.get(offset..)?, budget)
    }
}

/// A number of two or four bytes.
#[inline]
fn narrow(bytes: &[u8]) -> usize {
    match *bytes {
        [a, b] => usize::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => unreachable!("offsets and lengths are of two or four bytes"),
    }
}
