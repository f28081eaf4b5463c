//! Paths inside a JSON document, as the server logs them: `$.a[1]."b c"[last]`.
//!
//! Owns: their syntax. Does not own: what they lead to (`jsonb::difference`).
//!
//! Invariant: wildcards and ranges, which a logged path cannot have, are refused.
//!
//! Source: `json_path.cc` of the MySQL server. A name that is an ECMAScript identifier stands bare, any other as a JSON
//! string; the reader of either resolves escapes.

use std::borrow::Cow;

use super::DEPTH_MAX;

/// One step down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leg<'a> {
    Member(Cow<'a, [u8]>),
    /// An element by its place.
    Cell(u32),
    /// An element by its distance from the last one.
    CellFromLast(u32),
}

impl Leg<'_> {
    /// Where it points in an array of `len`, which may be behind its end; `None` before its start.
    pub(super) fn index(&self, len: usize) -> Option<usize> {
        match self {
            Self::Member(_) => None,
            Self::Cell(index) => Some(*index as usize),
            Self::CellFromLast(back) => len.checked_sub(1)?.checked_sub(*back as usize),
        }
    }
}

/// The legs of a path. More than `DEPTH_MAX` of them lead nowhere.
pub(super) fn parse(path: &[u8]) -> Option<Vec<Leg<'_>>> {
    let mut rest = path.trim_ascii_start().strip_prefix(b"$")?.trim_ascii_start();
    let mut legs = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        let (leg, after) = match first {
            b'.' => member(behind.trim_ascii_start())?,
            b'[' => cell(behind)?,
            _ => return None,
        };
        if legs.len() == DEPTH_MAX {
            return None;
        }
        legs.push(leg);
        rest = after.trim_ascii_start();
    }
    Some(legs)
}

fn member(text: &[u8]) -> Option<(Leg<'_>, &[u8])> {
    if let Some(quoted) = text.strip_prefix(b"\"") {
        let end = closing_quote(quoted)?;
        return Some((Leg::Member(unescaped(&quoted[..end])?), &quoted[end + 1..]));
    }
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'.' | b'[' | b'*');
    let end = text.iter().position(is_end).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then_some(())?;
    Some((Leg::Member(unescaped(name)?), rest))
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    })
}

fn cell(text: &[u8]) -> Option<(Leg<'_>, &[u8])> {
    let end = text.iter().position(|byte| *byte == b']')?;
    let inside = std::str::from_utf8(&text[..end]).ok()?.trim_ascii();
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let leg = match inside.strip_prefix("last").map(str::trim_ascii_start) {
        None => Leg::Cell(number(inside)?),
        Some("") => Leg::CellFromLast(0),
        Some(back) => Leg::CellFromLast(number(back.strip_prefix('-')?.trim_ascii_start())?),
    };
    Some((leg, &text[end + 1..]))
}

/// A JSON string's inside without its escapes.
fn unescaped(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        let (escape, behind) = rest.split_first()?;
        rest = behind;
        plain.push(match escape {
            b'"' | b'\\' | b'/' => *escape,
            b'b' => 0x08,
            b't' => 0x09,
            b'n' => 0x0a,
            b'f' => 0x0c,
            b'r' => 0x0d,
            b'u' => {
                let letter = unicode(&mut rest)?;
                plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    Some(Cow::Owned(plain))
}

/// What stands behind `\u`, and the other half of a surrogate pair.
fn unicode(rest: &mut &[u8]) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first.into());
    }
    *rest = rest.strip_prefix(b"\\u")?;
    char::decode_utf16([first, unit(rest)?]).next()?.ok()
}

/// Four hexadecimal digits.
fn unit(rest: &mut &[u8]) -> Option<u16> {
    let (digits, behind) = rest.split_first_chunk::<4>()?;
    *rest = behind;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | (*digit as char).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<&[Leg<'_>]>) {
        assert_eq!(parse(path.as_bytes()).as_deref(), expected, "{path}");
    }

    fn name(text: &str) -> Leg<'_> {
        Leg::Member(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn paths_lead_where_the_server_says() {
        check("$", Some(&[]));
        check("$.a[1].\"b c\"", Some(&[name("a"), Leg::Cell(1), name("b c")]));
        check(" $ . a [ 4294967295 ] ", Some(&[name("a"), Leg::Cell(u32::MAX)]));
        check("$[last][last-2][last - 3]", Some(&[0, 2, 3].map(Leg::CellFromLast)));
        check("$.é.$_", Some(&[name("é"), name("$_")]));
        check("$.\"\"", Some(&[name("")]));
        check(r#"$."\"\\\/\b\t\n\f\r\u0001\u00e9\ud83d\ude00]""#, Some(&[name("\"\\/\u{8}\t\n\u{c}\r\u{1}é😀]")]));
    }

    #[test]
    fn what_no_log_holds_is_refused() {
        let paths = "a  $a  $.  $..a  $.*  $**.a  $.a*  $[  $[]  $[*]  $[+1]  $[-1]  $[1 to 2]  $[4294967296]  $[last+1]  \
            $[last-]  $[last 1]";
        paths.split("  ").for_each(|path| check(path, None));
        for inside in ["a", "\\\"", "\\x\"", "\\u12\"", "\\u+123\"", "\\ud800\"", "\\ud800\\u0041\"", "\\udc00\""] {
            check(&format!("$.\"{inside}"), None);
        }
        check("", None);
        check(&format!("${}", "[0]".repeat(DEPTH_MAX + 1)), None);
    }
}
