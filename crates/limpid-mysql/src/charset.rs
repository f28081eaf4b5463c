//! Character sets: which one a collation belongs to, and how its bytes become UTF-8.
//!
//! Owns: the collation numbers and the conversion. Does not own: where text stands in a row (`rows`), the tables of
//! single sets (`table`).
//!
//! Invariant: ASCII text of an ASCII-compatible set is never copied; every other text is converted as the server's
//! own CONVERT does it, except that what has no form is U+FFFD and counted where the server writes a question mark.

mod table;
#[cfg(test)]
mod tests;

use limpid_model::{OddValues, Oddity};
use table::Table;

/// A character set, as far as conversion cares. MariaDB's and MySQL's agree in every code that both call well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    Binary,
    /// utf8mb3 and utf8mb4: the bytes are UTF-8 already.
    Utf8,
    Ascii,
    Ucs2,
    Utf16,
    Utf16Le,
    Utf32,
    /// Every other set of the two servers, by its place in [`TABLED`].
    Tabled(u8),
    /// A set that neither server had when this was written: its bytes cannot be read.
    Unknown,
}

/// The sets that are converted by a recorded table, sorted.
const TABLED: [&str; 33] = [
    "armscii8", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932", "dec8", "eucjpms",
    "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1",
    "latin2", "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ujis",
];

/// The place of swe7, the one set whose bytes below 128 are not ASCII: it has Swedish letters for brackets.
const SWE7: u8 = 30;

impl Charset {
    /// The set a collation number belongs to.
    pub fn of_collation(id: u16) -> Self {
        set_of_collation(id).map_or(Charset::Unknown, Charset::of_name)
    }

    /// The set of this name, as the servers write it.
    pub fn of_name(name: &str) -> Self {
        match name {
            "binary" => Charset::Binary,
            "utf8mb4" | "utf8mb3" | "utf8" => Charset::Utf8,
            "ascii" => Charset::Ascii,
            "ucs2" => Charset::Ucs2,
            "utf16" => Charset::Utf16,
            "utf16le" => Charset::Utf16Le,
            "utf32" => Charset::Utf32,
            _ => match TABLED.binary_search(&name) {
                Ok(place) => Charset::Tabled(place as u8),
                Err(_) => Charset::Unknown,
            },
        }
    }

    /// True for sets in which bytes below 128 that stand among nothing else are ASCII. In sjis, gbk and their like
    /// such a byte may also be the second half of a character, but never without a first half of 128 or more.
    pub fn is_ascii_compatible(self) -> bool {
        match self {
            Charset::Utf8 | Charset::Ascii | Charset::Binary => true,
            Charset::Tabled(place) => place != SWE7,
            Charset::Ucs2 | Charset::Utf16 | Charset::Utf16Le | Charset::Utf32 | Charset::Unknown => false,
        }
    }

    /// Appends `bytes` as UTF-8 to `out`; returns how many characters had no form. UTF-8 is passed on as it is: who
    /// writes it out replaces what is malformed in it, and counts it there.
    pub fn to_utf8(self, bytes: &[u8], out: &mut Vec<u8>) -> Formless {
        match self {
            Charset::Binary | Charset::Utf8 => {
                out.extend_from_slice(bytes);
                Formless::default()
            }
            Charset::Ascii | Charset::Unknown => each(bytes, 1, out, |byte| match byte {
                [byte @ 0..=0x7f] => Some(*byte as char),
                _ => None,
            }),
            Charset::Ucs2 => each(bytes, 2, out, |pair| char::from_u32(be16(pair)? as u32)),
            Charset::Utf16 => utf16(bytes, be16, out),
            Charset::Utf16Le => utf16(bytes, le16, out),
            Charset::Utf32 => each(bytes, 4, out, |four| char::from_u32(u32::from_be_bytes(four.try_into().ok()?))),
            Charset::Tabled(place) => match TABLED.get(place as usize) {
                Some(name) => Table::of(place, name).to_utf8(bytes, self.is_ascii_compatible(), out),
                None => Charset::Unknown.to_utf8(bytes, out),
            },
        }
    }

    /// `bytes` as UTF-8 text, for names and members.
    pub fn text(self, bytes: &[u8]) -> String {
        let mut utf8 = Vec::with_capacity(bytes.len());
        self.to_utf8(bytes, &mut utf8);
        String::from_utf8_lossy(&utf8).into_owned()
    }
}

/// Characters of a text that became U+FFFD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formless {
    /// Bytes that are no character of the set.
    pub malformed: u64,
    /// Characters of the set that Unicode does not have.
    pub unmapped: u64,
}

impl Formless {
    fn malformed(malformed: u64) -> Self {
        Self { malformed, unmapped: 0 }
    }

    /// Counts the text as one odd value of its column, once for each reason.
    pub fn count(self, odd: &mut OddValues, table: u16, column: usize) {
        for (characters, why) in [(self.malformed, Oddity::MalformedText), (self.unmapped, Oddity::UnmappedText)] {
            if characters > 0 {
                odd.add(table, column as u16, why, 1);
            }
        }
    }
}

/// Converts characters of a fixed width; a rest shorter than one is one without a form.
fn each(bytes: &[u8], width: usize, out: &mut Vec<u8>, read: impl Fn(&[u8]) -> Option<char>) -> Formless {
    let mut formless = 0;
    for code in bytes.chunks(width) {
        let c = if code.len() == width { read(code) } else { None };
        formless += u64::from(c.is_none());
        push(c.unwrap_or(char::REPLACEMENT_CHARACTER), out);
    }
    Formless::malformed(formless)
}

fn utf16(bytes: &[u8], unit: impl Fn(&[u8]) -> Option<u16>, out: &mut Vec<u8>) -> Formless {
    let mut formless = 0;
    // An odd byte at the end is a half surrogate here: it has no form either.
    let units = bytes.chunks(2).map(|pair| unit(pair).unwrap_or(0xd800));
    for c in char::decode_utf16(units) {
        formless += u64::from(c.is_err());
        push(c.unwrap_or(char::REPLACEMENT_CHARACTER), out);
    }
    Formless::malformed(formless)
}

fn be16(pair: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

fn le16(pair: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(pair.try_into().ok()?))
}

#[inline]
fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Source: `information_schema.COLLATIONS` of both servers, whose numbers agree where they overlap. MariaDB adds 1024
/// for its NOPAD collations, keeps blocks of 32 from 576 for its own, and blocks of 256 from 2048 for UCA 14. MySQL
/// numbers collations of utf8mb4 on from 255 (323 in 8.4).
fn set_of_collation(id: u16) -> Option<&'static str> {
    const UCA14: [&str; 5] = ["utf8mb3", "utf8mb4", "ucs2", "utf16", "utf32"];
    if id >= 2048 {
        return UCA14.get((id as usize - 2048) / 256).copied();
    }
    Some(match id % 1024 {
        32 | 64 => "armscii8",
        11 | 65 => "ascii",
        1 | 84 => "big5",
        63 => "binary",
        26 | 34 | 44 | 66 | 99 => "cp1250",
        14 | 23 | 50..=52 => "cp1251",
        57 | 67 => "cp1256",
        29 | 58..=59 => "cp1257",
        4 | 80 => "cp850",
        40 | 81 => "cp852",
        36 | 68 => "cp866",
        95..=96 => "cp932",
        3 | 69 => "dec8",
        97..=98 => "eucjpms",
        19 | 85 => "euckr",
        248..=250 => "gb18030",
        24 | 86 => "gb2312",
        28 | 87 => "gbk",
        92..=93 => "geostd8",
        25 | 70 => "greek",
        16 | 71 => "hebrew",
        6 | 72 => "hp8",
        37 | 73 => "keybcs2",
        7 | 74 => "koi8r",
        22 | 75 => "koi8u",
        5 | 8 | 15 | 31 | 47..=49 | 94 => "latin1",
        2 | 9 | 21 | 27 | 77 => "latin2",
        30 | 78 => "latin5",
        20 | 41..=42 | 79 => "latin7",
        38 | 43 => "macce",
        39 | 53 => "macroman",
        13 | 88 => "sjis",
        10 | 82 => "swe7",
        18 | 89 => "tis620",
        35 | 90 | 128..=151 | 159 | 640..=671 => "ucs2",
        12 | 91 => "ujis",
        54..=55 | 101..=124 | 672..=703 => "utf16",
        56 | 62 => "utf16le",
        60..=61 | 160..=183 | 736..=767 => "utf32",
        33 | 76 | 83 | 192..=215 | 223 | 576..=607 => "utf8mb3",
        45..=46 | 224..=247 | 255..=323 | 608..=639 => "utf8mb4",
        _ => return None,
    })
}
