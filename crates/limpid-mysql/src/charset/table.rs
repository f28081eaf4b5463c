//! The recorded tables of single character sets.
//!
//! Owns: finding a set's table in `tables.bin`, and reading characters by it. Does not own: recording them
//! (`record.py`, which also describes the form), which set a text is in.
//!
//! Invariant: any bytes convert: each step consumes at least one byte, and a byte that begins no character is one
//! character without a form.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::ZlibDecoder;

use super::{Formless, TABLED, push};
use crate::bytes::Cursor;

/// For each set of [`TABLED`] its name, the length of a zlib stream, and the stream.
const RECORDED: &[u8] = include_bytes!("tables.bin");

/// Entries that are no code points; all in the range of surrogates but the last.
const MORE: u16 = 0xd800;
const FOUR: u16 = 0xdffe;
const NONE: u16 = 0xdfff;
const UNMAPPED: u16 = 0xfffd;

/// Inflated when a set is first seen: 64 KiB at most, and most servers use one set.
static TABLES: [OnceLock<Table>; TABLED.len()] = [const { OnceLock::new() }; TABLED.len()];

/// One set's characters.
pub(super) struct Table {
    /// The first page is for a character's first byte; others are led to by entries from [`MORE`] on.
    pages: Vec<[u16; 256]>,
    runs: Vec<Run>,
}

/// Characters of four bytes (gb18030) whose code points follow each other.
struct Run {
    place: u32,
    point: u32,
    len: u32,
}

/// What stands at the beginning of some bytes.
enum Found {
    Char(u32, usize),
    /// A character of the set without a code point, of so many bytes.
    Unmapped(usize),
    /// No character begins like this.
    None,
}

impl Table {
    /// The table of the set `name`, which is at `place` of the list.
    pub(super) fn of(place: u8, name: &str) -> &'static Table {
        let made = || Table::recorded(name).expect("tables.bin holds every set of the list");
        TABLES[place as usize].get_or_init(made)
    }

    fn recorded(name: &str) -> Option<Table> {
        let mut file = Cursor::new(RECORDED);
        loop {
            let len = file.u8()? as usize;
            let found = file.take(len)? == name.as_bytes();
            let len = file.u32()? as usize;
            let stream = file.take(len)?;
            if found {
                let mut data = Vec::new();
                ZlibDecoder::new(stream).read_to_end(&mut data).ok()?;
                return Table::read(&data);
            }
        }
    }

    fn read(data: &[u8]) -> Option<Table> {
        let mut cur = Cursor::new(data);
        let mut pages = Vec::new();
        for _ in 0..cur.u16()? {
            let (low, high): ([u8; 256], [u8; 256]) = (cur.array()?, cur.array()?);
            pages.push(std::array::from_fn(|index| u16::from_le_bytes([low[index], high[index]])));
        }
        let mut runs = Vec::new();
        for _ in 0..cur.u16()? {
            runs.push(Run { place: cur.u32()?, point: cur.u32()?, len: cur.u32()? });
        }
        Some(Table { pages, runs })
    }

    #[cfg(test)]
    pub(super) fn has_codes(&self) -> bool {
        self.pages.iter().flatten().any(|entry| *entry != NONE)
    }

    /// As [`super::Charset::to_utf8`].
    pub(super) fn to_utf8(&self, bytes: &[u8], ascii: bool, out: &mut Vec<u8>) -> Formless {
        let mut formless = Formless::default();
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if ascii && first.is_ascii() {
                let len = rest.iter().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
                let (plain, after) = rest.split_at(len);
                out.extend_from_slice(plain);
                rest = after;
                continue;
            }
            let (c, len) = match self.find(rest) {
                Found::Char(point, len) => (char::from_u32(point), len),
                Found::Unmapped(len) => {
                    formless.unmapped += 1;
                    (None, len)
                }
                Found::None => {
                    formless.malformed += 1;
                    (None, 1)
                }
            };
            push(c.unwrap_or(char::REPLACEMENT_CHARACTER), out);
            rest = rest.get(len..).unwrap_or_default();
        }
        formless
    }

    #[inline]
    fn find(&self, bytes: &[u8]) -> Found {
        let mut page = &self.pages[0];
        for (index, byte) in bytes.iter().enumerate() {
            match page[*byte as usize] {
                NONE => return Found::None,
                UNMAPPED => return Found::Unmapped(index + 1),
                FOUR => return self.find_four(bytes),
                entry @ MORE..FOUR => page = &self.pages[(entry - MORE) as usize],
                point => return Found::Char(u32::from(point), index + 1),
            }
        }
        Found::None
    }

    /// Source: GB 18030's four-byte form: bytes of 126, 10, 126 and 10 values, counted through.
    fn find_four(&self, bytes: &[u8]) -> Found {
        let Some([a @ 0x81..=0xfe, b @ 0x30..=0x39, c @ 0x81..=0xfe, d @ 0x30..=0x39]) = bytes.first_chunk() else {
            return Found::None;
        };
        let digit = |byte: u8, first: u8| u32::from(byte - first);
        let place = ((digit(*a, 0x81) * 10 + digit(*b, 0x30)) * 126 + digit(*c, 0x81)) * 10 + digit(*d, 0x30);
        let after = self.runs.partition_point(|run| run.place <= place);
        match after.checked_sub(1).and_then(|index| self.runs.get(index)) {
            Some(run) if place - run.place < run.len => Found::Char(run.point + place - run.place, 4),
            _ => Found::Unmapped(4),
        }
    }
}
