//! Bytes as base64 or hexadecimal text.
//!
//! Owns: both encodings, straight into the buffer. Does not own: the quotes around them.
//!
//! Invariant: standard padding, no line breaks (RFC 4648); hexadecimal in lower case.

/// Which 64 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    Standard,
    UrlSafe,
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends `bytes` in base64.
#[inline]
pub(crate) fn put_base64(out: &mut Vec<u8>, bytes: &[u8], alphabet: Alphabet) {
    let table = match alphabet {
        Alphabet::Standard => STANDARD,
        Alphabet::UrlSafe => URL_SAFE,
    };
    out.reserve(bytes.len().div_ceil(3) * 4);
    let (groups, rest) = bytes.as_chunks::<3>();
    for &[a, b, c] in groups {
        let bits = (a as usize) << 16 | (b as usize) << 8 | c as usize;
        out.extend_from_slice(&[table[bits >> 18], table[bits >> 12 & 63], table[bits >> 6 & 63], table[bits & 63]]);
    }
    match *rest {
        [a] => {
            let bits = a as usize;
            out.extend_from_slice(&[table[bits >> 2], table[bits << 4 & 63], b'=', b'=']);
        }
        [a, b] => {
            let bits = (a as usize) << 8 | b as usize;
            out.extend_from_slice(&[table[bits >> 10], table[bits >> 4 & 63], table[bits << 2 & 63], b'=']);
        }
        _ => {}
    }
}

/// Appends `bytes` as two lower-case digits each.
#[inline]
pub(crate) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, coded) in cases {
            let mut out = Vec::new();
            put_base64(&mut out, plain.as_bytes(), Alphabet::Standard);
            assert_eq!(out, coded.as_bytes());
        }
        let mut out = Vec::new();
        put_base64(&mut out, &[0xfb, 0xff, 0xfe], Alphabet::Standard);
        put_base64(&mut out, &[0xfb, 0xff, 0xfe], Alphabet::UrlSafe);
        put_hex(&mut out, &[0x00, 0xaf]);
        assert_eq!(out, b"+//+-__-00af");
    }
}
