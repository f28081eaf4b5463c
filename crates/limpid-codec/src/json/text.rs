//! Text inside a JSON string.
//!
//! Owns: escaping as Jackson does it and repairing what is not UTF-8. Does not own: the quotes (callers write them).
//!
//! Invariant: `"` and `\` and the characters below U+0020 are escaped and nothing else is (not `/`, not U+007F, not
//! U+2028): the short forms \b \t \n \f \r, else \u00XX with upper-case digits. What is not UTF-8 becomes one U+FFFD
//! for each maximal part, as Java's decoder has it.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Marks (in the top bit of each byte) what must be looked at. Bytes above the first one marked may be marked wrongly:
/// a borrow runs upward only, so the lowest mark is always true.
#[inline(always)]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & HIGHS
}

/// Appends `bytes`, escaped; returns how many malformed parts were replaced.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    out.reserve(bytes.len() + 8);
    let clean = put_clean_ascii(out, bytes);
    if clean == bytes.len() { 0 } else { put_rest(out, &bytes[clean..]) }
}

/// Copies words while they are ASCII that needs no escape; returns how many bytes were copied.
#[inline(always)]
fn put_clean_ascii(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut done = 0;
    for chunk in words {
        let word = u64::from_le_bytes(*chunk);
        let marks = special(word) | (word & HIGHS);
        put_word(out, *chunk, (marks.trailing_zeros() / 8) as usize);
        if marks != 0 {
            return done + (marks.trailing_zeros() / 8) as usize;
        }
        done += 8;
    }
    // Spaces fill the last word up: they are clean.
    let mut last = [b' '; 8];
    match tail.len() {
        0 => return done,
        len => last[..len].copy_from_slice(tail),
    }
    let word = u64::from_le_bytes(last);
    let marks = special(word) | (word & HIGHS);
    let len = (marks.trailing_zeros() as usize / 8).min(tail.len());
    put_word(out, last, len);
    done + len
}

/// Appends the first `len` (at most 8) of eight bytes.
#[inline(always)]
fn put_word(out: &mut Vec<u8>, word: [u8; 8], len: usize) {
    debug_assert!(len <= 8);
    out.reserve(8);
    let at = out.len();
    // SAFETY: `reserve` made room for 8 bytes behind `at`, all 8 are written, and `len` is at most 8.
    unsafe {
        out.as_mut_ptr().add(at).cast::<[u8; 8]>().write_unaligned(word);
        out.set_len(at + len.min(8));
    }
}

/// From the first byte on that needs care.
#[inline(never)]
fn put_rest(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    let mut replaced = 0;
    for chunk in bytes.utf8_chunks() {
        put_valid(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            replaced += 1;
        }
    }
    replaced
}

/// Valid UTF-8: only ASCII can need an escape, so whole runs are copied between those that do.
fn put_valid(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    let mut run = 0;
    let mut at = 0;
    while at < bytes.len() {
        if let Some(chunk) = bytes[at..].first_chunk::<8>() {
            // A byte with its top bit set is never marked: `& !word` clears it.
            let marks = special(u64::from_le_bytes(*chunk));
            if marks == 0 {
                at += 8;
                continue;
            }
            at += (marks.trailing_zeros() / 8) as usize;
        }
        let byte = bytes[at];
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            out.extend_from_slice(&bytes[run..at]);
            put_escape(out, byte);
            run = at + 1;
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[run..]);
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> (String, u64) {
        let mut out = Vec::new();
        let replaced = put_text(&mut out, bytes);
        (String::from_utf8(out).expect("escaped text is UTF-8"), replaced)
    }

    #[test]
    fn escapes_as_jackson_does() {
        let cases = [
            ("", ""),
            ("a\"b\\c/d", r#"a\"b\\c/d"#),
            ("\u{0}\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} \u{7f}", "\\u0000\\u0001\\b\\t\\n\\u000B\\f\\r\\u001F \u{7f}"),
            ("äöü€😀\u{2028}", "äöü€😀\u{2028}"),
            ("seven77", "seven77"),
            ("eight888", "eight888"),
            ("nine9999\"", "nine9999\\\""),
        ];
        for (plain, expected) in cases {
            assert_eq!(escaped(plain.as_bytes()), (expected.to_owned(), 0), "{plain:?}");
        }
    }

    #[test]
    fn malformed_text_is_replaced_part_by_part_and_counted() {
        assert_eq!(escaped(b"a\xffb\"\xe2\x82c"), ("a\u{fffd}b\\\"\u{fffd}c".to_owned(), 2));
        assert_eq!(escaped(b"\xf0\x9f\x98"), ("\u{fffd}".to_owned(), 1));
        assert_eq!(escaped(b"\xed\xa0\x80"), ("\u{fffd}\u{fffd}\u{fffd}".to_owned(), 3));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_another_parser(text in any::<String>()) {
            let (json, replaced) = escaped(text.as_bytes());
            prop_assert_eq!(replaced, 0);
            let back: serde_json::Value = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(back, serde_json::Value::String(text));
        }

        #[test]
        fn any_bytes_come_back_as_the_standard_library_repairs_them(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let (json, _) = escaped(&bytes);
            let back: serde_json::Value = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(back, serde_json::Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        }

        #[test]
        fn dense_specials_come_back(text in "[\"\\\\\u{0}-\u{1f}a-c\u{80}-\u{90}]{0,40}") {
            let (json, _) = escaped(text.as_bytes());
            let back: serde_json::Value = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(back, serde_json::Value::String(text));
        }
    }
}
