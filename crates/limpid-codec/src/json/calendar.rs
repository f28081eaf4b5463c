//! Dates and times as text.
//!
//! Owns: the way from a count of days or microseconds to calendar fields. Does not own: which form a column has
//! (`debezium::form`).
//!
//! Invariant: exact for every date from year 1 to 9999. Source: H. Hinnant, "chrono-compatible low-level date
//! algorithms", `civil_from_days`.

use super::number::{pair, put_padded};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `YYYY-MM-DD` of a count of days since 1970-01-01.
#[inline]
fn date_text(days: i64) -> [u8; 10] {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = (year_of_era + era * 400 + (month <= 2) as i64).unsigned_abs();
    let ([a, b], [c, d]) = (pair(year / 100), pair(year));
    let ([e, f], [g, h]) = (pair(month as u64), pair(day as u64));
    [a, b, c, d, b'-', e, f, b'-', g, h]
}

/// `hh:mm:ss` of microseconds since midnight.
#[inline]
fn time_text(micros: u64) -> [u8; 8] {
    let seconds = micros / SECOND as u64;
    let ([a, b], [c, d], [e, f]) = (pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60));
    [a, b, b':', c, d, b':', e, f]
}

/// Appends `YYYY-MM-DD` of a count of days since 1970-01-01.
#[inline]
pub(crate) fn put_date(out: &mut Vec<u8>, days: i64) {
    out.extend_from_slice(&date_text(days));
}

/// Appends `hh:mm:ss` of microseconds since midnight.
#[inline]
pub(crate) fn put_time_of_day(out: &mut Vec<u8>, micros: u64) {
    out.extend_from_slice(&time_text(micros));
}

/// Appends a point and exactly `digits` digits of the second's fraction; nothing for none.
#[inline]
pub(crate) fn put_fraction(out: &mut Vec<u8>, micros: u64, digits: u8) {
    const UNIT: [u64; 7] = [1_000_000, 100_000, 10_000, 1000, 100, 10, 1];
    if digits == 0 {
        return;
    }
    let digits = digits.min(6) as usize;
    out.push(b'.');
    put_padded(out, micros % SECOND as u64 / UNIT[digits], digits);
}

/// Appends a point and the second's fraction without trailing zeros; nothing for a whole second.
pub(crate) fn put_trimmed_fraction(out: &mut Vec<u8>, micros: u64) {
    let mut fraction = micros % SECOND as u64;
    if fraction == 0 {
        return;
    }
    let mut digits = 6;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        digits -= 1;
    }
    out.push(b'.');
    put_padded(out, fraction, digits);
}

/// Appends `YYYY-MM-DDThh:mm:ss` of microseconds since 1970, and returns the microseconds since midnight.
#[inline]
pub(crate) fn put_instant(out: &mut Vec<u8>, micros: i64) -> u64 {
    let of_day = micros.rem_euclid(DAY) as u64;
    let mut text = [b'T'; 19];
    text[..10].copy_from_slice(&date_text(micros.div_euclid(DAY)));
    text[11..].copy_from_slice(&time_text(of_day));
    out.extend_from_slice(&text);
    of_day
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00"),
            (-1, "1969-12-31T23:59:59"),
            (-719_162 * DAY, "0001-01-01T00:00:00"),
            (2_932_896 * DAY + DAY - 1, "9999-12-31T23:59:59"),
            (11_016 * DAY, "2000-02-29T00:00:00"),
            (4_294_967_295 * SECOND, "2106-02-07T06:28:15"),
        ];
        for (micros, expected) in cases {
            let mut out = Vec::new();
            put_instant(&mut out, micros);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn fractions_have_the_digits_asked_for() {
        let mut out = Vec::new();
        put_fraction(&mut out, 1_120_000, 3);
        put_fraction(&mut out, 1_120_000, 0);
        put_trimmed_fraction(&mut out, 1_120_000);
        put_trimmed_fraction(&mut out, 5_000_000);
        assert_eq!(out, b".120.12");
    }
}
