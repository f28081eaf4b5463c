//! GTID events with a tag (MySQL 8.3 and later), in the form of MySQL's serialization library.
//!
//! Owns: that form's integers and fields. Does not own: what a GTID begins (`events`).
//!
//! Invariant: any bytes parse or give `None`. Fields come in the order of their numbers, and a field of an unknown
//! number has an unknown length, so reading ends there; what is needed must have come before.
//! Source: MySQL's `libs/mysql/serialization/readme.md`, and events that `mysqlbinlog --hexdump` shows.

use std::sync::Arc;

use limpid_model::TxnId;

use super::GroupStart;
use crate::bytes::{Cursor, le};
use crate::gtid::{GNO_MAX, is_tag};

/// The numbers of the fields; between the last two stand the servers' versions.
mod field {
    pub const FLAGS: u64 = 0;
    pub const UUID: u64 = 1;
    pub const GNO: u64 = 2;
    pub const TAG: u64 = 3;
    pub const LAST_COMMITTED: u64 = 4;
    pub const SEQUENCE_NUMBER: u64 = 5;
    pub const IMMEDIATE_COMMIT: u64 = 6;
    pub const ORIGINAL_COMMIT: u64 = 7;
    pub const TRANSACTION_LENGTH: u64 = 8;
    pub const COMMIT_GROUP_TICKET: u64 = 11;
}

/// Parses the body.
pub(super) fn parse(body: &[u8]) -> Option<GroupStart> {
    let mut cur = Cursor::new(body);
    let version = unsigned(&mut cur)?;
    let size = unsigned(&mut cur)?;
    if version != 1 || size != body.len() as u64 {
        return None;
    }
    // The last field that a reader must know. What is read here ends where numbers become unknown.
    let needed = unsigned(&mut cur)?;
    let (mut sid, mut gno, mut tag, mut last) = (None, None, None, 0);
    let (mut immediate, mut original) = (0, None);
    while cur.remaining() > 0 {
        let number = unsigned(&mut cur)?;
        match number {
            field::FLAGS | field::TRANSACTION_LENGTH..=field::COMMIT_GROUP_TICKET => drop(unsigned(&mut cur)?),
            field::UUID => sid = Some(uuid(&mut cur)?),
            field::GNO => gno = Some(signed(&mut cur)?),
            field::TAG => {
                let len = usize::try_from(unsigned(&mut cur)?).ok()?;
                tag = Some(std::str::from_utf8(cur.take(len)?).ok()?);
            }
            field::LAST_COMMITTED | field::SEQUENCE_NUMBER => drop(signed(&mut cur)?),
            field::IMMEDIATE_COMMIT => immediate = unsigned(&mut cur)?,
            field::ORIGINAL_COMMIT => original = Some(unsigned(&mut cur)?),
            _ => break,
        }
        last = number;
    }
    // The field number is stored one higher, so that 0 can say that none is needed.
    if needed > last + 1 {
        return None;
    }
    let gno = gno.and_then(|gno| u64::try_from(gno).ok()).filter(|gno| (1..=GNO_MAX).contains(gno))?;
    let tag = match tag {
        None | Some("") => None,
        Some(tag) if is_tag(tag) => Some(Arc::from(tag)),
        Some(_) => return None,
    };
    let id = TxnId::Uuid { sid: sid?, gno, tag: 0 };
    Some(GroupStart { tag, ..GroupStart::mysql(id, original.unwrap_or(immediate)) })
}

/// Sixteen integers, one for each byte.
fn uuid(cur: &mut Cursor<'_>) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = u8::try_from(unsigned(cur)?).ok()?;
    }
    Some(uuid)
}

/// An integer of 1 to 9 bytes: as many ones at the low end of the first byte as bytes follow it, then the value.
pub(crate) fn unsigned(cur: &mut Cursor<'_>) -> Option<u64> {
    let first = cur.u8()?;
    let more = first.trailing_ones();
    let rest = le(cur.take(more as usize)?);
    Some(match more {
        8 => rest,
        7 => rest,
        _ => u64::from(first >> (more + 1)) | rest << (7 - more),
    })
}

/// The same with the sign in the lowest bit: of a negative number the complement is stored.
fn signed(cur: &mut Cursor<'_>) -> Option<i64> {
    let raw = unsigned(cur)?;
    let magnitude = (raw >> 1) as i64;
    Some(if raw & 1 == 1 { !magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtid::parse_uuid;

    /// `mysqlbinlog --hexdump` of MySQL 9.2, as published in go-mysql's pull request 990; it names the GTID
    /// 896e7882-18fe-11ef-ab88-22222d34d411:aabbcc:123 and the time 1739454959050447.
    const SMALL: &str = "0278000002022502dcf009 0230f9 0322bd03ad0221024444 5a685103 2204d903 060c6161626263630800 \
                         0a040c7fcfdeef6a062e0610450312c3020b";

    /// As published in go-mysql's issue 845 by MySQL 9.1: last_committed=472, sequence_number=474, time
    /// 1731444683060515, tag `secondtest`.
    const LARGE: &str = "0278000000 02aaaaaaaa8888666644442222 22222222 0473201b 06147365636f6e6474657374 08c10e \
                         0ad10e 0c7f23354861bd2606 105904 12a3ff0a";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    #[test]
    fn a_tagged_gtid_is_what_mysqlbinlog_names_from_fixture() {
        for (hex, uuid, gno, tag, micros) in [
            (SMALL, "896e7882-18fe-11ef-ab88-22222d34d411", 123, "aabbcc", 1_739_454_959_050_447),
            (LARGE, "55555555-4444-3333-2222-111111111111", 111_111, "secondtest", 1_731_444_683_060_515),
        ] {
            let start = parse(&bytes(hex)).unwrap();
            assert_eq!(start.id, TxnId::Uuid { sid: parse_uuid(uuid).unwrap(), gno, tag: 0 });
            assert_eq!((start.tag.as_deref(), start.commit_micros), (Some(tag), micros));
        }
    }

    #[test]
    fn a_tagged_gtid_that_is_cut_or_claims_another_size_is_refused_from_fixture() {
        let whole = bytes(SMALL);
        for len in 0..whole.len() {
            assert!(parse(&whole[..len]).is_none(), "{len}");
        }
        let mut other_version = whole.clone();
        other_version[0] = 4;
        assert!(parse(&other_version).is_none());
        // A field that must be known, of a number nobody knows.
        let mut needs_more = whole;
        needs_more[2] = 200;
        assert!(parse(&needs_more).is_none());
    }

    #[test]
    fn integers_of_every_length_are_read_from_fixture() {
        for (raw, value) in [
            (&[0x02][..], 1),
            (&[0xfe], 127),
            (&[0x01, 0x02], 128),
            (&[0x7f, 1, 2, 3, 4, 5, 6, 7], 0x0007_0605_0403_0201),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX),
        ] {
            assert_eq!(unsigned(&mut Cursor::new(raw)), Some(value), "{raw:x?}");
            assert_eq!(unsigned(&mut Cursor::new(&raw[..raw.len() - 1])), None);
        }
    }
}
