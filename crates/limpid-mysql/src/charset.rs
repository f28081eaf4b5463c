//! Character sets: which one a collation belongs to, and how its bytes become UTF-8.
//!
//! Owns: the collation numbers and the conversion. Does not own: where text stands in a row (`rows`).
//!
//! Invariant: ASCII text of an ASCII-compatible set is never copied; every other text is converted as the server's
//! own CONVERT does it, and what has no form is U+FFFD and counted.

/// A character set, as far as conversion cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    Binary,
    /// utf8mb3 and utf8mb4: the bytes are UTF-8 already.
    Utf8,
    Ascii,
    Latin1,
    /// Known to the server, but not to us yet.
    Other(u16),
}

impl Charset {
    /// The set a collation number belongs to. MySQL's and MariaDB's numbers agree up to 255; MariaDB adds 1024 for
    /// its NOPAD collations and uses 2048 to 4095 for UCA 14 ones.
    pub fn of_collation(id: u16) -> Self {
        let base = if (1024..2048).contains(&id) { id - 1024 } else { id };
        match base {
            63 => Charset::Binary,
            33 | 76 | 83 | 192..=215 | 223 | 576..=607 => Charset::Utf8,
            45 | 46 | 224..=247 | 255..=323 | 608..=639 => Charset::Utf8,
            2048..=2559 => Charset::Utf8,
            11 | 65 => Charset::Ascii,
            5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => Charset::Latin1,
            other => Charset::Other(other),
        }
    }

    /// The set of this name, as the servers write it.
    pub fn of_name(name: &str) -> Self {
        match name {
            "binary" => Charset::Binary,
            "utf8mb4" | "utf8mb3" | "utf8" => Charset::Utf8,
            "ascii" => Charset::Ascii,
            "latin1" => Charset::Latin1,
            _ => Charset::Other(0),
        }
    }

    /// True for sets whose ASCII bytes mean ASCII wherever they stand.
    pub fn is_ascii_compatible(self) -> bool {
        matches!(self, Charset::Utf8 | Charset::Ascii | Charset::Latin1 | Charset::Binary)
    }

    /// Appends `bytes` as UTF-8 to `out`; returns how many characters had no form.
    pub fn to_utf8(self, bytes: &[u8], out: &mut Vec<u8>) -> u64 {
        match self {
            Charset::Latin1 => {
                for byte in bytes {
                    push(latin1(*byte), out);
                }
                0
            }
            Charset::Binary | Charset::Utf8 | Charset::Ascii | Charset::Other(_) => {
                out.extend_from_slice(bytes);
                0
            }
        }
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    let mut room = [0; 4];
    out.extend_from_slice(c.encode_utf8(&mut room).as_bytes());
}

/// MySQL's latin1 is Windows-1252 with the five holes of that page as C1 controls. Source: `strings/ctype-latin1.c`.
fn latin1(byte: u8) -> char {
    const HIGH: [u16; 32] = [
        0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,
        0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
        0x0153, 0x9d, 0x017e, 0x0178,
    ];
    match byte {
        0x80..=0x9f => char::from_u32(HIGH[(byte - 0x80) as usize] as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        other => other as char,
    }
}
