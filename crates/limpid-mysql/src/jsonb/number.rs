//! Doubles as text.
//!
//! Owns: the layouts the server and Java give a double. Does not own: its shortest digits (zmij).
//!
//! Invariant: a double prints to text that reads back as the same double.

use std::io::Write;

/// Digits of the longest positional text zmij gives: 17 and the zeros around them.
const DIGITS_MAX: usize = 32;

/// The shortest digits that tell a double from its neighbours: 0.DIGITS times ten to the power of `point`.
struct Shortest {
    negative: bool,
    digits: [u8; DIGITS_MAX],
    len: usize,
    point: i32,
}

impl Shortest {
    fn of(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().expect("zmij writes an exponent as a number");
        let mut it = Self { negative: value.is_sign_negative(), digits: [b'0'; DIGITS_MAX], len: 0, point: exponent };
        let mut whole = true;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => whole = false,
                b'0' if it.len == 0 => it.point -= i32::from(!whole),
                b'0'..=b'9' => {
                    it.digits[it.len] = byte;
                    it.len += 1;
                    it.point += i32::from(whole);
                }
                _ => {}
            }
        }
        while it.len > 0 && it.digits[it.len - 1] == b'0' {
            it.len -= 1;
        }
        if it.len == 0 {
            (it.len, it.point) = (1, 1);
        }
        it
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.len]
    }

    /// `12.5`, `100.0`, `0.001`: always with a digit behind the point.
    fn positional(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let digits = self.digits();
        let Ok(point @ 1..) = usize::try_from(self.point) else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', self.point.unsigned_abs() as usize));
            out.extend_from_slice(digits);
            return;
        };
        if let Some((whole, fraction)) = digits.split_at_checked(point).filter(|(_, fraction)| !fraction.is_empty()) {
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        } else {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', point - digits.len()));
            out.extend_from_slice(b".0");
        }
    }

    /// `1e100`, `1.5e-7`.
    fn scientific(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let digits = self.digits();
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.extend_from_slice(itoa::Buffer::new().format(self.point - 1).as_bytes());
    }
}

/// As `my_gcvt` with the widest field, and `.0` where a whole number has no exponent. Its rule for the positional form:
/// no more than 14 zeros behind the point, and no whole number of more than 15 digits (`MAX_DECPT_FOR_F_FORMAT`).
pub(super) fn double_as_server(value: f64, out: &mut Vec<u8>) {
    let it = Shortest::of(value);
    if it.point >= -14 && (it.point <= 15 || it.len as i32 > it.point) {
        it.positional(out);
    } else {
        it.scientific(out);
    }
}

/// As Java's `Double.toString` where that has no exponent (from 10^-3 to below 10^7), else every digit of the binary
/// value, as `BigDecimal.toPlainString` gives it. Since Java 19 `Double.toString` is shortest; older ones sometimes
/// write a digit more.
pub(super) fn double_as_debezium(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        Shortest::of(value).positional(out);
    } else {
        write!(out, "{value:.*}", fraction_digits(value)).expect("a Vec takes every write");
    }
}

/// How many decimals a double has: one for each power of two below one that it needs.
fn fraction_digits(value: f64) -> usize {
    let bits = value.to_bits();
    let biased = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
    let lowest = exponent + mantissa.trailing_zeros() as i32;
    usize::try_from(-lowest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_double_reads_back_from_both_forms(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for print in [double_as_server, double_as_debezium] {
                let mut out = Vec::new();
                print(value, &mut out);
                let text = std::str::from_utf8(&out).unwrap();
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            }
        }

        /// Two shortest texts may be equally near to the value: then ours has the even digit, as the servers print it
        /// (`SELECT 794647517392950.25e0`), and the standard library's may have the other.
        #[test]
        fn digits_are_the_standard_librarys_or_the_even_one_of_a_tie(bits: u64) {
            let value = f64::from_bits(bits).abs();
            prop_assume!(value.is_finite() && value != 0.0);
            let mut out = Vec::new();
            Shortest::of(value).scientific(&mut out);
            let (ours, theirs) = (String::from_utf8(out).unwrap(), format!("{value:e}"));
            if ours != theirs {
                let digits = |text: &str| text.split('e').next().unwrap().replace('.', "");
                let (ours, theirs) = (digits(&ours), digits(&theirs));
                // No double has more digits than these.
                let exact = digits(&format!("{value:.800e}"));
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert_eq!(exact[ours.len()..].trim_end_matches('0'), "5", "{} and {}", ours, theirs);
                prop_assert!(ours.ends_with(['0', '2', '4', '6', '8']), "{} and {}", ours, theirs);
            }
        }

        #[test]
        fn a_tie_has_the_even_digit(whole in 1u64 << 49..1u64 << 50, above: bool) {
            // A quarter or three quarters above a whole number of 15 digits lies between two tenths.
            let value = whole as f64 + if above { 0.75 } else { 0.25 };
            let mut out = Vec::new();
            Shortest::of(value).positional(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{whole}.{}", if above { 8 } else { 2 }));
        }
    }
}
