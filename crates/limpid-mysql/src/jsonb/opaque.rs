//! SQL values inside JSON: decimals, dates and times, bytes.
//!
//! Owns: their packed forms and their text. Does not own: their form in columns (`values`), which differs for times.
//!
//! Invariant: fields that no such value can have are malformed, so that the text always has its fixed layout.
//!
//! Source: `Json_decimal::convert_from_binary`, `Json_datetime::from_packed` and `TIME_from_longlong_*_packed` of the
//! MySQL server. Dates and times are one little-endian number: microseconds in the low 24 bits, then 6 bits of second,
//! 6 of minute, and of a time the hours, of a date 5 of hour, 5 of day and year * 13 + month.

use crate::bytes::{Cursor, be};
use crate::values::decimal_size;

use super::text::Form;

const TIMESTAMP: u8 = 7;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const NEW_DECIMAL: u8 = 246;
pub(super) const VAR_STRING: u8 = 253;

/// The most digits the server's decimals have room for: nine groups of nine (`DECIMAL_MAX_POSSIBLE_PRECISION`). A DECIMAL
/// has 65 at most, but inside JSON its precision may be rounded up to whole groups.
const PRECISION_MAX: u8 = 81;

pub(super) fn write<F: Form>(kind: u8, data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if kind == NEW_DECIMAL {
        return decimal(data, out);
    }
    out.push(b'"');
    match kind {
        DATE => date(i64::from_le_bytes(data.try_into().ok()?), out)?,
        TIME => time::<F>(i64::from_le_bytes(data.try_into().ok()?), out)?,
        DATETIME | TIMESTAMP => {
            let packed = i64::from_le_bytes(data.try_into().ok()?);
            date(packed, out)?;
            out.push(b' ');
            clock::<F>(packed >> 36 & 0x1f, packed, out)?;
        }
        _ => F::bytes(kind, data, out),
    }
    out.push(b'"');
    Some(())
}

fn date(packed: i64, out: &mut Vec<u8>) -> Option<()> {
    let year_month = u32::try_from(packed >> 46).ok()?;
    let (year, month, day) = (year_month / 13, year_month % 13, (packed >> 41 & 0x1f) as u32);
    if year > 9999 {
        return None;
    }
    out.extend_from_slice(&decimal_digits::<4>(year));
    out.push(b'-');
    out.extend_from_slice(&decimal_digits::<2>(month));
    out.push(b'-');
    out.extend_from_slice(&decimal_digits::<2>(day));
    Some(())
}

/// A TIME: negative ones are the negative of their magnitude.
fn time<F: Form>(packed: i64, out: &mut Vec<u8>) -> Option<()> {
    if packed < 0 {
        out.push(b'-');
    }
    let magnitude = packed.checked_abs()?;
    clock::<F>(magnitude >> 36, magnitude, out)
}

/// Hours and what the low bits say of minutes, seconds and microseconds.
fn clock<F: Form>(hours: i64, packed: i64, out: &mut Vec<u8>) -> Option<()> {
    let (minutes, seconds) = ((packed >> 30 & 0x3f) as u32, (packed >> 24 & 0x3f) as u32);
    let micros = (packed & 0xff_ffff) as u32;
    if hours > 838 || minutes > 59 || seconds > 59 || micros > 999_999 {
        return None;
    }
    match hours as u32 {
        hours @ ..100 => out.extend_from_slice(&decimal_digits::<2>(hours)),
        hours => out.extend_from_slice(&decimal_digits::<3>(hours)),
    }
    for field in [minutes, seconds] {
        out.push(b':');
        out.extend_from_slice(&decimal_digits::<2>(field));
    }
    F::micros(micros, out);
    Some(())
}

/// `.123456`.
pub(super) fn fraction(micros: u32) -> [u8; 7] {
    let [a, b, c, d, e, f] = decimal_digits(micros);
    [b'.', a, b, c, d, e, f]
}

/// The last `N` digits of a number.
fn decimal_digits<const N: usize>(mut value: u32) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    digits
}

/// A DECIMAL: precision, scale, and the packed form of a column: groups of nine digits, most significant first, the
/// outer ones shorter, the sign in the first bit, all bits flipped for a negative number.
fn decimal(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut cur = Cursor::new(data);
    let (precision, scale) = (cur.u8()?, cur.u8()?);
    if precision == 0 || precision > PRECISION_MAX || scale > precision {
        return None;
    }
    if cur.remaining() != decimal_size(precision, scale) {
        return None;
    }
    let flip = if cur.rest().first()? & 0x80 == 0 { 0xff } else { 0x00 };
    // 81 digits are eight groups of four bytes and nine digits more, which the point may split: at most five bytes.
    let mut groups = [0u8; 37];
    for (group, byte) in groups.iter_mut().zip(&data[2..]) {
        *group = byte ^ flip;
    }
    groups[0] ^= 0x80;
    let mut cur = Cursor::new(&groups);
    let mut digits = [b'0'; PRECISION_MAX as usize];
    let whole = precision - scale;
    let mut done = 0;
    while done < precision {
        let count = if done < whole { (whole - done - 1) % 9 + 1 } else { (precision - done).min(9) };
        let value = be(cur.take(decimal_size(count, 0))?) as u32;
        let group = decimal_digits::<9>(value);
        let (above, group) = group.split_at(9 - count as usize);
        if value > 999_999_999 || above.iter().any(|digit| *digit != b'0') {
            return None;
        }
        digits[done as usize..(done + count) as usize].copy_from_slice(group);
        done += count;
    }
    let (whole, fraction) = digits[..precision as usize].split_at(whole as usize);
    if flip != 0 && digits.iter().any(|digit| *digit != b'0') {
        out.push(b'-');
    }
    let first = whole.iter().position(|digit| *digit != b'0');
    out.extend_from_slice(first.map_or(b"0", |first| &whole[first..]));
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    Some(())
}

/// Base64 of RFC 4648, padded, in one line.
pub(super) fn base64(data: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in data.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letter = |shift: u32| ALPHABET[(bits >> shift & 0x3f) as usize];
        let third = if group.len() > 1 { letter(6) } else { b'=' };
        let fourth = if group.len() > 2 { letter(0) } else { b'=' };
        out.extend_from_slice(&[letter(18), letter(12), third, fourth]);
    }
}
