//! One value of one row, in 16 bytes.
//!
//! Owns: the layout of a cell and what each kind's payload means.
//! Does not own: the bytes a cell points at (`batch`: blocks and the arena).
//!
//! Invariant: a cell is plain data; whoever holds it without its batch can read scalars but never bytes.

/// Where a cell's payload is, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// SQL NULL.
    Null = 0,
    /// The column is not in this row image (`binlog_row_image=MINIMAL`, a projection).
    Absent = 1,
    /// The source says the value did not change and did not send it (PostgreSQL's unchanged TOAST).
    Unchanged = 2,
    /// The scalar stands in the cell's own 64 bits.
    Inline = 3,
    /// Bytes as read from the source: `slot` is the block, `bits` the offset, `len` the length.
    Raw = 4,
    /// Bytes that had to be made: `bits` is the offset into the batch's arena, `len` the length.
    Arena = 5,
}

/// What a cell's payload means. The column's [`crate::LogicalType`] says the rest (width, members, precision).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CellKind {
    /// No payload.
    None = 0,
    /// `bits` is 0 or 1.
    Bool,
    /// `bits` as `i64`.
    Int,
    /// `bits` as `u64`.
    UInt,
    /// `bits` holds an `f32`'s bits in its low half.
    F32,
    /// `bits` holds an `f64`'s bits.
    F64,
    /// Inline: `bits` as `i64`, the unscaled value; `slot` the scale. In the arena: the unscaled value as minimal
    /// big-endian two's complement; `slot` the scale. Never raw.
    Decimal,
    /// Text that the source declares to be UTF-8 (or that we made so). A codec replaces what is malformed.
    Text,
    /// Bytes.
    Bytes,
    /// Days since 1970-01-01 as `i64`.
    Date,
    /// Microseconds as `i64`, negative and beyond 24 h allowed. `slot` holds the declared fraction digits.
    Time,
    /// A wall clock without a zone: microseconds since 1970-01-01T00:00 of that clock, `i64`. `slot` as in `Time`.
    DateTime,
    /// An instant: microseconds since the epoch in UTC, `i64`. `slot` as in `Time`.
    Timestamp,
    /// A date or date-time with a part that no calendar has (a zero part, 31 February): the fields, packed as
    /// [`Cell::impossible`] says.
    Impossible,
    /// A year as `i64`; 0 is MySQL's `0000`.
    Year,
    /// Index into the column's members, from 1; 0 is MySQL's error value, printed as the empty string.
    Enum,
    /// Bit mask over the column's members.
    Set,
    /// Bit field, least significant bit last; the width stands in the column.
    Bit,
    /// JSON text.
    Json,
    /// 16 bytes in the order they are printed.
    Uuid,
    /// 4 or 16 bytes in network order.
    Inet,
    /// 4 bytes little-endian SRID, then WKB.
    Geometry,
    /// 32-bit floats, little-endian.
    Vector,
    /// One raw BSON document.
    Document,
}

/// One value of one row image. 16 bytes, `Copy`, no lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Cell {
    kind: CellKind,
    place: Place,
    slot: u16,
    len: u32,
    bits: u64,
}

const _: () = assert!(size_of::<Cell>() == 16);

impl Cell {
    /// SQL NULL.
    pub const NULL: Self = Self { kind: CellKind::None, place: Place::Null, slot: 0, len: 0, bits: 0 };
    /// Not in the row image.
    pub const ABSENT: Self = Self { kind: CellKind::None, place: Place::Absent, slot: 0, len: 0, bits: 0 };
    /// Not sent because it did not change.
    pub const UNCHANGED: Self = Self { kind: CellKind::None, place: Place::Unchanged, slot: 0, len: 0, bits: 0 };

    /// A scalar of `kind` with its 64 bits.
    #[inline]
    pub const fn inline(kind: CellKind, bits: u64) -> Self {
        Self { kind, place: Place::Inline, slot: 0, len: 0, bits }
    }

    /// A signed scalar of `kind`.
    #[inline]
    pub const fn int(kind: CellKind, value: i64) -> Self {
        Self::inline(kind, value as u64)
    }

    /// A scalar with its scale (decimals) or its fraction digits (times).
    #[inline]
    pub const fn scaled(kind: CellKind, value: i64, scale: u16) -> Self {
        Self { kind, place: Place::Inline, slot: scale, len: 0, bits: value as u64 }
    }

    /// Bytes of block `block`.
    #[inline]
    pub const fn raw(kind: CellKind, block: u16, offset: u32, len: u32) -> Self {
        Self { kind, place: Place::Raw, slot: block, len, bits: offset as u64 }
    }

    /// Bytes of the arena; `scale` is only meant for decimals.
    #[inline]
    pub const fn arena(kind: CellKind, offset: u64, len: u32, scale: u16) -> Self {
        Self { kind, place: Place::Arena, slot: scale, len, bits: offset }
    }

    /// A date or date-time that no calendar has, its fields kept as the server sent them.
    pub const fn impossible(year: u32, month: u32, day: u32, second_of_day: u32, micros: u32) -> Self {
        let bits = ((year as u64) << 48)
            | ((month as u64) << 44)
            | ((day as u64) << 39)
            | ((second_of_day as u64) << 20)
            | (micros as u64 & 0xf_ffff);
        Self { kind: CellKind::Impossible, place: Place::Inline, slot: 0, len: 0, bits }
    }

    /// What the payload means.
    #[inline]
    pub const fn kind(self) -> CellKind {
        self.kind
    }

    /// Where the payload is.
    #[inline]
    pub const fn place(self) -> Place {
        self.place
    }

    /// True for a cell that holds a value; false for null, absent and unchanged.
    #[inline]
    pub const fn is_value(self) -> bool {
        matches!(self.place, Place::Inline | Place::Raw | Place::Arena)
    }

    /// The inline scalar as it is.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The inline scalar, signed.
    #[inline]
    pub const fn as_i64(self) -> i64 {
        self.bits as i64
    }

    /// The scale of a decimal or the fraction digits of a time.
    #[inline]
    pub const fn scale(self) -> u16 {
        self.slot
    }

    /// The block a `Raw` cell points into.
    #[inline]
    pub const fn block(self) -> u16 {
        self.slot
    }

    /// Length in bytes of what a `Raw` or `Arena` cell points at.
    #[inline]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// True when a `Raw` or `Arena` cell points at no bytes.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// The fields of [`CellKind::Impossible`]: year, month, day, second of day, microseconds.
pub const fn unpack_impossible(bits: u64) -> (u32, u32, u32, u32, u32) {
    (
        (bits >> 48) as u32,
        (bits >> 44) as u32 & 0xf,
        (bits >> 39) as u32 & 0x1f,
        (bits >> 20) as u32 & 0x7_ffff,
        bits as u32 & 0xf_ffff,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_date_keeps_every_field() {
        let cell = Cell::impossible(9999, 12, 31, 86_399, 999_999);
        assert_eq!(unpack_impossible(cell.bits()), (9999, 12, 31, 86_399, 999_999));
        let zero = Cell::impossible(0, 0, 0, 0, 0);
        assert_eq!(unpack_impossible(zero.bits()), (0, 0, 0, 0, 0));
    }
}
