//! Text inside a JSON string.
//!
//! Owns: escaping as Jackson does it and repairing what is not UTF-8. Does not own: the quotes (callers write them).
//!
//! Invariant: `"` and `\` and the characters below U+0020 are escaped (the short forms \b \t \n \f \r, else \u00XX),
//! and so are those above U+FFFF (as two surrogates); nothing else is, not `/`, not U+007F, not U+2028. Digits are upper
//! case. What is not UTF-8 becomes one U+FFFD for each maximal part, as Java's decoder has it.

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

/// Marks (in the top bit of each byte) the first byte of a character above U+FFFF: its upper four bits are set. Each
/// shift brings one of them to the top of its own byte.
#[inline(always)]
fn wide(word: u64) -> u64 {
    word & word << 1 & word << 2 & word << 3 & HIGHS
}

/// How many bytes of a word, from its first, are ASCII that needs no escape.
#[inline(always)]
fn clean_in_word(chunk: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(chunk);
    ((special(word) | (word & HIGHS)).trailing_zeros() / 8) as usize
}

/// As [`clean_in_word`], for twice as many bytes: SSE2 is part of every x86-64 and takes a third of the time.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn clean_in_lane(chunk: &[u8; LANE]) -> usize {
    use std::arch::x86_64 as simd;
    // SAFETY: SSE2 is in the x86-64 baseline, and the unaligned load reads just the 16 bytes of `chunk`.
    let marks = unsafe {
        let lane = simd::_mm_loadu_si128(chunk.as_ptr().cast());
        let quote = simd::_mm_cmpeq_epi8(lane, simd::_mm_set1_epi8(b'"' as i8));
        let backslash = simd::_mm_cmpeq_epi8(lane, simd::_mm_set1_epi8(b'\\' as i8));
        // As signed bytes, everything from 0x80 on is below the space too.
        let low = simd::_mm_cmplt_epi8(lane, simd::_mm_set1_epi8(0x20));
        simd::_mm_movemask_epi8(simd::_mm_or_si128(simd::_mm_or_si128(quote, backslash), low))
    };
    (marks as u32 | 1 << LANE).trailing_zeros() as usize
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn clean_in_lane(chunk: &[u8; LANE]) -> usize {
    let (words, _) = chunk.as_chunks::<8>();
    match clean_in_word(words[0]) {
        8 => 8 + clean_in_word(words[1]),
        stopped => stopped,
    }
}

/// Bytes looked at in one step.
const LANE: usize = 16;

/// Appends `bytes`, escaped; returns how many malformed parts were replaced.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, bytes: &[u8]) -> u64 {
    let clean = if bytes.len() < LANE { clean_prefix_short(bytes) } else { clean_prefix(bytes) };
    out.extend_from_slice(&bytes[..clean]);
    if clean == bytes.len() { 0 } else { put_rest(out, &bytes[clean..]) }
}

/// How many bytes, from the first, are ASCII that needs no escape. The last step overlaps the one before it.
#[inline(always)]
fn clean_prefix(bytes: &[u8]) -> usize {
    let (lanes, rest) = bytes.as_chunks::<LANE>();
    for (index, lane) in lanes.iter().enumerate() {
        let clean = clean_in_lane(lane);
        if clean < LANE {
            return index * LANE + clean;
        }
    }
    match bytes.last_chunk::<LANE>() {
        Some(last) if !rest.is_empty() => bytes.len() - LANE + clean_in_lane(last),
        _ => bytes.len(),
    }
}

/// As [`clean_prefix`], below one step's length.
#[inline(always)]
fn clean_prefix_short(bytes: &[u8]) -> usize {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return match clean_in_word(*first) {
            8 => bytes.len() - 8 + clean_in_word(*last),
            stopped => stopped,
        };
    }
    let clean = |byte: &u8| (0x20..0x80).contains(byte) && *byte != b'"' && *byte != b'\\';
    bytes.iter().position(|byte| !clean(byte)).unwrap_or(bytes.len())
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

/// Valid UTF-8: whole runs are copied between the characters that need an escape.
fn put_valid(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    let mut run = 0;
    let mut at = 0;
    while at < bytes.len() {
        if let Some(chunk) = bytes[at..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            let marks = special(word) | wide(word);
            if marks == 0 {
                at += 8;
                continue;
            }
            at += (marks.trailing_zeros() / 8) as usize;
        }
        let byte = bytes[at];
        let len = match byte {
            b'"' | b'\\' | ..0x20 => {
                out.extend_from_slice(&bytes[run..at]);
                put_escape(out, byte);
                1
            }
            0xf0.. => {
                out.extend_from_slice(&bytes[run..at]);
                put_surrogates(out, &bytes[at..at + 4]);
                4
            }
            _ => {
                at += 1;
                continue;
            }
        };
        at += len;
        run = at;
    }
    out.extend_from_slice(&bytes[run..]);
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A character of four bytes as Jackson writes it: two escaped surrogates.
fn put_surrogates(out: &mut Vec<u8>, bytes: &[u8]) {
    let code = bytes.iter().fold(0, |code, byte| code << 6 | (byte & 0x3f) as u32) & 0x1f_ffff;
    let above = code - 0x1_0000;
    for unit in [0xd800 | above >> 10, 0xdc00 | above & 0x3ff] {
        let digit = |shift: u32| HEX[(unit >> shift & 15) as usize];
        out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
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
            ("äöü€\u{2028}\u{ffff}", "äöü€\u{2028}\u{ffff}"),
            ("😀ü", "\\uD83D\\uDE00ü"),
            ("1234567😀\u{10000}\u{10ffff}", "1234567\\uD83D\\uDE00\\uD800\\uDC00\\uDBFF\\uDFFF"),
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
        fn dense_specials_come_back(text in "[\"\\\\\u{0}-\u{1f}a-c\u{80}-\u{90}😀-😄]{0,40}") {
            let (json, _) = escaped(text.as_bytes());
            let back: serde_json::Value = serde_json::from_str(&format!("\"{json}\"")).unwrap();
            prop_assert_eq!(back, serde_json::Value::String(text));
        }
    }
}
