//! The server's JSON text in Debezium's form.
//!
//! Owns: the walk over the text's tokens. Does not own: doubles (`jsonb::number`), binary JSON (`jsonb::text`).
//!
//! Invariant: what the server prints goes in, so that only blanks, doubles and the case of escapes differ; time and
//! output are linear in the input but for the digits of doubles.

use super::number;

pub(super) fn write(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b' ' => behind,
            b'"' => string(rest, out)?,
            b'-' | b'0'..=b'9' => number(rest, out),
            _ => {
                out.push(*first);
                behind
            }
        };
    }
    Some(())
}

/// A string with its quotes; gives what stands behind it.
fn string<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    out.push(b'"');
    let mut rest = &text[1..];
    loop {
        let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (run, special) = rest.split_at(plain);
        out.extend_from_slice(run);
        match special {
            [b'\\', b'u', digits @ ..] => {
                out.extend_from_slice(b"\\u");
                let (digits, behind) = digits.split_at_checked(4)?;
                out.extend(digits.iter().map(u8::to_ascii_uppercase));
                rest = behind;
            }
            [b'\\', escaped, behind @ ..] => {
                out.extend_from_slice(&[b'\\', *escaped]);
                rest = behind;
            }
            [b'"', behind @ ..] => {
                out.push(b'"');
                return Some(behind);
            }
            _ => return None,
        }
    }
}

/// A number; gives what stands behind it.
fn number<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    let len = text.iter().take_while(|byte| is_part(byte)).count();
    let (digits, behind) = text.split_at(len);
    let double = || {
        let value: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let mut printed = Vec::with_capacity(32);
        number::double_as_server(value, &mut printed);
        (value.is_finite() && printed == digits).then_some(value)
    };
    match digits.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')).then(double).flatten() {
        Some(value) => number::double_as_debezium(value, out),
        None => out.extend_from_slice(digits),
    }
    behind
}
