//! Decimals and times as the log packs them.
//!
//! Owns: turning packed bytes into scalars and cells. Does not own: which bytes (`rows`).
//!
//! Invariant: every date and time the servers can store comes out either exact or as an impossible one with its
//! fields kept; nothing is rounded. Source: MySQL's `decimal.cc`, `my_time.cc` and the same files of MariaDB.

use limpid_model::{Cell, CellKind};

use crate::bytes::be;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Bytes that hold so many decimal digits beside whole groups of nine.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

const POW10: [u64; 19] = {
    let mut table = [1; 19];
    let mut index = 1;
    while index < 19 {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

/// The size in bytes of a packed DECIMAL.
pub fn decimal_size(precision: u8, scale: u8) -> usize {
    let whole = precision.saturating_sub(scale) as usize;
    let fraction = scale as usize;
    whole / 9 * 4 + DIGIT_BYTES[whole % 9] + fraction / 9 * 4 + DIGIT_BYTES[fraction % 9]
}

/// Calls `step(digits, value)` for each group of digits, most significant first. `false` when negative.
#[inline]
fn decimal_groups(bytes: &[u8], precision: u8, scale: u8, mut step: impl FnMut(usize, u32)) -> bool {
    let positive = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let flip = if positive { 0 } else { 0xffu8 };
    let mut pos = 0;
    let mut group = |digits: usize, len: usize| {
        let mut value = 0u32;
        for _ in 0..len {
            let mut byte = bytes[pos] ^ flip;
            if pos == 0 {
                byte ^= 0x80;
            }
            value = (value << 8) | byte as u32;
            pos += 1;
        }
        step(digits, value);
    };
    let whole = (precision - scale) as usize;
    if !whole.is_multiple_of(9) {
        group(whole % 9, DIGIT_BYTES[whole % 9]);
    }
    for _ in 0..whole / 9 {
        group(9, 4);
    }
    let fraction = scale as usize;
    for _ in 0..fraction / 9 {
        group(9, 4);
    }
    if !fraction.is_multiple_of(9) {
        group(fraction % 9, DIGIT_BYTES[fraction % 9]);
    }
    positive
}

/// A packed DECIMAL of at most 18 digits; `bytes` is `decimal_size` long.
#[inline]
pub fn decimal_small(bytes: &[u8], precision: u8, scale: u8) -> Cell {
    let mut unscaled = 0u64;
    let positive = decimal_groups(bytes, precision, scale, |digits, value| {
        unscaled = unscaled.wrapping_mul(POW10[digits]).wrapping_add(value as u64);
    });
    let signed = if positive { unscaled as i64 } else { -(unscaled as i64) };
    Cell::scaled(CellKind::Decimal, signed, scale as u16)
}

/// A packed DECIMAL of up to 65 digits: its unscaled value as minimal big-endian two's complement, into `arena`.
pub fn decimal_big(bytes: &[u8], precision: u8, scale: u8, arena: &mut Vec<u8>) -> Cell {
    // 65 digits need 216 bits: four limbs, least significant first.
    let mut limbs = [0u64; 4];
    let positive = decimal_groups(bytes, precision, scale, |digits, value| grow(&mut limbs, digits, u64::from(value)));
    big(limbs, positive, scale, arena)
}

/// A DECIMAL as the servers print it, all digits of its scale included; the same cell as its packed form gives. `None`
/// for what is no such text.
pub fn decimal_text(text: &[u8], precision: u8, scale: u8, arena: &mut Vec<u8>) -> Option<Cell> {
    let (positive, digits) = match text.split_first()? {
        (b'-', digits) => (false, digits),
        _ => (true, text),
    };
    let mut limbs = [0u64; 4];
    let (mut group, mut group_digits, mut fraction, mut in_fraction) = (0u64, 0, 0u8, false);
    for byte in digits {
        match byte {
            b'.' if !in_fraction => in_fraction = true,
            b'0'..=b'9' => {
                group = group * 10 + u64::from(byte - b'0');
                group_digits += 1;
                fraction += u8::from(in_fraction);
                if group_digits == 18 {
                    grow(&mut limbs, group_digits, group);
                    (group, group_digits) = (0, 0);
                }
            }
            _ => return None,
        }
    }
    if fraction != scale || digits.len() > 67 {
        return None;
    }
    if precision <= 18 {
        let unscaled = limbs[0].wrapping_mul(POW10[group_digits]).wrapping_add(group);
        let signed = if positive { unscaled as i64 } else { (unscaled as i64).wrapping_neg() };
        return Some(Cell::scaled(CellKind::Decimal, signed, u16::from(scale)));
    }
    grow(&mut limbs, group_digits, group);
    Some(big(limbs, positive, scale, arena))
}

/// Appends so many decimal digits to a number.
fn grow(limbs: &mut [u64; 4], digits: usize, value: u64) {
    let mut carry = u128::from(value);
    for limb in limbs {
        carry += u128::from(*limb) * u128::from(POW10[digits]);
        *limb = carry as u64;
        carry >>= 64;
    }
}

/// A magnitude in four limbs, least significant first, as minimal big-endian two's complement.
fn big(mut limbs: [u64; 4], positive: bool, scale: u8, arena: &mut Vec<u8>) -> Cell {
    if !positive {
        let mut carry = true;
        for limb in &mut limbs {
            let (negated, overflow) = (!*limb).overflowing_add(carry as u64);
            *limb = negated;
            carry = overflow;
        }
    }
    let mut wide = [0u8; 32];
    for (index, limb) in limbs.iter().enumerate() {
        wide[24 - index * 8..32 - index * 8].copy_from_slice(&limb.to_be_bytes());
    }
    let fill = if wide[0] & 0x80 == 0 { 0x00 } else { 0xff };
    let mut first = 0;
    while first < 31 && wide[first] == fill && (wide[first + 1] ^ fill) & 0x80 == 0 {
        first += 1;
    }
    let offset = arena.len();
    arena.extend_from_slice(&wide[first..]);
    Cell::arena(CellKind::Decimal, offset as u64, (32 - first) as u32, scale as u16)
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Source: H. Hinnant, "chrono-compatible
/// low-level date algorithms", `days_from_civil`.
#[inline]
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    let year = year as i64 - (month <= 2) as i64;
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (month as i64 + if month > 2 { -3 } else { 9 }) + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// True for a date that the calendar has.
#[inline]
fn is_possible(year: u32, month: u32, day: u32) -> bool {
    if year == 0 || month == 0 || day == 0 || month > 12 {
        return false;
    }
    day <= 28 || day <= days_in_month(year, month)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// DATE: three bytes, little-endian: year, 4 bits of month, 5 of day.
#[inline]
pub fn date(packed: u32) -> Cell {
    let (year, month, day) = (packed >> 9, packed >> 5 & 0xf, packed & 0x1f);
    if is_possible(year, month, day) {
        Cell::int(CellKind::Date, days_from_civil(year, month, day))
    } else {
        Cell::impossible(year, month, day, 0, 0)
    }
}

/// How many bytes a fraction of so many digits takes.
#[inline]
pub const fn fraction_size(digits: u8) -> usize {
    (digits as usize).div_ceil(2)
}

#[inline]
const fn fraction_unit(size: usize) -> i64 {
    match size {
        1 => 10_000,
        2 => 100,
        _ => 1,
    }
}

/// DATETIME2: 5 bytes and the fraction, big-endian. `None` below zero: no server has such a date.
#[inline]
pub fn datetime2(bytes: &[u8], digits: u8) -> Option<Cell> {
    let (head, fraction) = bytes.split_at_checked(5)?;
    let packed = be(head).checked_sub(0x80_0000_0000)?;
    let micros = be(fraction) as i64 * fraction_unit(fraction.len());
    let (date, time) = (packed >> 17, packed & 0x1_ffff);
    let (year, month, day) = ((date >> 5) as u32 / 13, (date >> 5) as u32 % 13, (date & 0x1f) as u32);
    let (hour, minute, second) = (time >> 12, time >> 6 & 0x3f, time & 0x3f);
    Some(datetime(year, month, day, (hour * 3600 + minute * 60 + second) as i64, micros, digits))
}

/// A date with a time of day; impossible ones keep their fields.
#[inline]
pub fn datetime(year: u32, month: u32, day: u32, second_of_day: i64, micros: i64, digits: u8) -> Cell {
    if is_possible(year, month, day) {
        let value = days_from_civil(year, month, day) * DAY + second_of_day * SECOND + micros;
        Cell::scaled(CellKind::DateTime, value, digits as u16)
    } else {
        Cell::impossible(year, month, day, second_of_day as u32, micros as u32)
    }
}

/// DATETIME of servers before 5.6: YYYYMMDDhhmmss as one number, of 14 digits at most.
pub fn datetime_old(packed: u64) -> Option<Cell> {
    if packed >= 100_000_000_000_000 {
        return None;
    }
    let (date, time) = (packed / 1_000_000, packed % 1_000_000);
    let seconds = time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100;
    Some(datetime((date / 10_000) as u32, (date / 100 % 100) as u32, (date % 100) as u32, seconds as i64, 0, 0))
}

/// TIMESTAMP2: 4 bytes of seconds and the fraction, big-endian. All zero is the zero timestamp.
#[inline]
pub fn timestamp2(bytes: &[u8], digits: u8) -> Option<Cell> {
    let (head, fraction) = bytes.split_at_checked(4)?;
    let seconds = be(head) as i64;
    let micros = be(fraction) as i64 * fraction_unit(fraction.len());
    Some(timestamp(seconds, micros, digits))
}

/// An instant, or the zero timestamp.
#[inline]
pub fn timestamp(seconds: i64, micros: i64, digits: u8) -> Cell {
    if seconds == 0 && micros == 0 {
        return Cell::impossible(0, 0, 0, 0, 0);
    }
    Cell::scaled(CellKind::Timestamp, seconds * SECOND + micros, digits as u16)
}

/// TIME2: 3 bytes and the fraction, big-endian, biased so that order is kept; negative values count down.
#[inline]
pub fn time2(bytes: &[u8], digits: u8) -> Option<Cell> {
    let size = bytes.len().checked_sub(3)?;
    let biased = be(bytes) as i64 - (0x80_0000i64 << (8 * size));
    let size_bits = 8 * size;
    let magnitude = biased.unsigned_abs();
    let (whole, fraction) = (magnitude >> size_bits, magnitude & ((1 << size_bits) - 1));
    let seconds = (whole >> 12 & 0x3ff) * 3600 + (whole >> 6 & 0x3f) * 60 + (whole & 0x3f);
    let micros = seconds as i64 * SECOND + fraction as i64 * fraction_unit(size);
    Some(Cell::scaled(CellKind::Time, if biased < 0 { -micros } else { micros }, digits as u16))
}

/// TIME of servers before 5.6: ±hhmmss as a signed number of 3 bytes.
pub fn time_old(packed: u32) -> Cell {
    let signed = ((packed << 8) as i32) >> 8;
    let magnitude = signed.unsigned_abs() as i64;
    let seconds = magnitude / 10_000 * 3600 + magnitude / 100 % 100 * 60 + magnitude % 100;
    Cell::int(CellKind::Time, if signed < 0 { -seconds } else { seconds } * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_time_with_a_fraction_counts_down() {
        // -00:00:00.1 as TIME(2): the servers store 0x7fffff, 0xf6.
        assert_eq!(time2(&[0x7f, 0xff, 0xff, 0xf6], 2).unwrap().as_i64(), -100_000);
        // -838:59:59 as TIME(0): 0x800000 - (838<<12 | 59<<6 | 59).
        let packed = 0x80_0000u32 - (838 << 12 | 59 << 6 | 59);
        assert_eq!(time2(&packed.to_be_bytes()[1..], 0).unwrap().as_i64(), -(838 * 3600 + 59 * 60 + 59) * SECOND);
    }

    #[test]
    fn dates_that_no_calendar_has_keep_their_fields() {
        let pack = |y: u32, m: u32, d: u32| y << 9 | m << 5 | d;
        for (y, m, d) in [(0, 0, 0), (2023, 2, 31), (2023, 0, 1), (1900, 2, 29), (0, 1, 1)] {
            assert_eq!(date(pack(y, m, d)), Cell::impossible(y, m, d, 0, 0));
        }
        assert_eq!(date(pack(2000, 2, 29)).as_i64(), 11_016);
        assert_eq!(date(pack(1, 1, 1)).as_i64(), -719_162);
        assert_eq!(date(pack(9999, 12, 31)).as_i64(), 2_932_896);
    }

    #[test]
    fn dates_beyond_every_servers_range_are_refused() {
        assert_eq!(datetime2(&[0x7f, 0xff, 0xff, 0xff, 0xff], 0), None);
        assert_eq!(datetime_old(u64::MAX), None);
        assert_eq!(datetime_old(99_991_231_235_959).map(Cell::as_i64), Some(253_402_300_799 * SECOND));
    }

    #[test]
    fn decimals_keep_sign_and_every_digit() {
        // 1234567890.1234 as DECIMAL(14,4), from the MySQL manual's example of the packed form.
        let positive = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(decimal_small(&positive, 14, 4).as_i64(), 12_345_678_901_234);
        let negative: Vec<u8> = positive.iter().map(|byte| !byte).collect();
        assert_eq!(decimal_small(&negative, 14, 4).as_i64(), -12_345_678_901_234);
        let mut arena = Vec::new();
        let cell = decimal_big(&negative, 14, 4, &mut arena);
        assert_eq!(arena.len(), cell.len() as usize);
        let mut wide = [0xff; 8];
        wide[8 - arena.len()..].copy_from_slice(&arena);
        assert_eq!(i64::from_be_bytes(wide), -12_345_678_901_234);
    }
}
