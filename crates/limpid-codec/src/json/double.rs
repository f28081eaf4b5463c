//! Floating point numbers as Java prints them.
//!
//! Owns: the layout of `Double.toString` and `Float.toString` of Java 19 and later. Does not own: the shortest digits
//! (`zmij`).
//!
//! Invariant: the text reads back as the same number. Source: the specification in the Javadoc of `Double.toString`
//! (JDK-4511638): plain notation from 1e-3 below 1e7, else one digit, a point, at least one digit, `E`, an exponent;
//! of the shortest decimals the nearest, except that one-digit results are chosen among those of two digits.

use super::number::put_i64;

/// Appends `value`; what is not finite goes between quotes, as Jackson has it, and gives false.
#[inline]
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) -> bool {
    let size = value.abs();
    let mut buffer = zmij::Buffer::new();
    match classify(value, (1e-3..1e7).contains(&size)) {
        Class::Plain => out.extend_from_slice(buffer.format_finite(value).as_bytes()),
        Class::Fixed(text) => {
            out.extend_from_slice(text);
            return value == 0.0;
        }
        Class::Scientific => match buffer.format_finite(value) {
            one if size < f64::MIN_POSITIVE && has_one_digit(one) => put_scientific(out, &format!("{value:.1e}")),
            shortest => put_scientific(out, shortest),
        },
    }
    true
}

/// As [`put_f64`], for a number of 32 bits.
pub(crate) fn put_f32(out: &mut Vec<u8>, value: f32) {
    let size = value.abs();
    let mut buffer = zmij::Buffer::new();
    match classify(value as f64, (1e-3..1e7).contains(&size)) {
        Class::Plain => out.extend_from_slice(buffer.format_finite(value).as_bytes()),
        Class::Fixed(text) => out.extend_from_slice(text),
        Class::Scientific => match buffer.format_finite(value) {
            one if size < f32::MIN_POSITIVE && has_one_digit(one) => put_scientific(out, &format!("{value:.1e}")),
            shortest => put_scientific(out, shortest),
        },
    }
}

/// True when only one digit of the number counts. Below the normal numbers two digits can then come nearer, and Java
/// takes those: 4.9E-324, not 5.0E-324.
fn has_one_digit(text: &str) -> bool {
    let digits = text.split('e').next().unwrap_or(text);
    digits.bytes().filter(|byte| matches!(byte, b'1'..=b'9')).count() == 1
}

enum Class {
    Plain,
    Fixed(&'static [u8]),
    Scientific,
}

#[inline]
fn classify(value: f64, plain: bool) -> Class {
    if plain {
        Class::Plain
    } else if value == 0.0 {
        Class::Fixed(if value.is_sign_negative() { b"-0.0" } else { b"0.0" })
    } else if value.is_nan() {
        Class::Fixed(b"\"NaN\"")
    } else if value.is_infinite() {
        Class::Fixed(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })
    } else {
        Class::Scientific
    }
}

/// Lays out the digits of `text` (any usual notation of a finite number other than 0) as Java's scientific form.
fn put_scientific(out: &mut Vec<u8>, text: &str) {
    let mut digits = [0u8; 24];
    let mut count = 0;
    let mut exponent = -1i64;
    let mut point_seen = false;
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'-' => out.push(b'-'),
            b'.' => point_seen = true,
            b'e' | b'E' => {
                exponent += signed(rest);
                break;
            }
            digit => {
                let significant = count > 0 || digit != b'0';
                exponent += (!point_seen && significant) as i64 - (point_seen && !significant) as i64;
                if significant && count < digits.len() {
                    digits[count] = digit;
                    count += 1;
                }
            }
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    out.push(digits[0]);
    out.push(b'.');
    out.extend_from_slice(if count > 1 { &digits[1..count] } else { b"0" });
    out.push(b'E');
    put_i64(out, exponent);
}

/// The signed number that is left.
fn signed(rest: std::str::Bytes<'_>) -> i64 {
    let (mut value, mut negative) = (0, false);
    for byte in rest {
        match byte {
            b'-' => negative = true,
            b'0'..=b'9' => value = value * 10 + (byte - b'0') as i64,
            _ => {}
        }
    }
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: &str) {
        let mut out = Vec::new();
        put_f64(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn check32(value: f32, expected: &str) {
        let mut out = Vec::new();
        put_f32(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn layout_of_java_19() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.234_567_89e8, "1.23456789E8"),
            (1e10, "1.0E10"),
            (1e-5, "1.0E-5"),
            (2e23, "2.0E23"),
            (2.2250738585072014e-308, "2.2250738585072014E-308"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::from_bits(1), "4.9E-324"),
            (f64::from_bits(2), "9.9E-324"),
            (f64::from_bits(3), "1.5E-323"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            check(value, expected);
        }
    }

    /// The fixture was written by Jackson's copy of the algorithm that JDK 19 took in (tests/oracle, Floats.java).
    #[test]
    fn every_number_of_the_oracle_prints_as_java_19_prints_it() {
        let lines = include_str!("../../../../tests/oracle/fixtures/floats.tsv").lines();
        let mut count = 0;
        for line in lines {
            let [kind, bits, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            match kind {
                "d" => check(f64::from_bits(u64::from_str_radix(bits, 16).unwrap()), expected),
                _ => check32(f32::from_bits(u32::from_str_radix(bits, 16).unwrap()), expected),
            }
            count += 1;
        }
        assert!(count > 4000, "{count}");
    }

    #[test]
    fn layout_of_java_19_for_floats() {
        let cases = [
            (1.1, "1.1"),
            (3.4028235e38, "3.4028235E38"),
            (f32::from_bits(1), "1.4E-45"),
            (f32::from_bits(2), "2.8E-45"),
            (f32::MIN_POSITIVE, "1.1754944E-38"),
            (1e10, "1.0E10"),
            (16_777_216.0, "1.6777216E7"),
        ];
        for (value, expected) in cases {
            check32(value, expected);
        }
    }
}
