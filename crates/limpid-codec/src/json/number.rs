//! Whole numbers as decimal text.
//!
//! Owns: digits of 64-bit integers, two at a time. Does not own: fractions (`double`, `calendar`).
//!
//! Invariant: no leading zeros, no plus sign.

const PAIRS: [u8; 200] = {
    let mut table = [0; 200];
    let mut value = 0;
    while value < 100 {
        table[value * 2] = b'0' + (value / 10) as u8;
        table[value * 2 + 1] = b'0' + (value % 10) as u8;
        value += 1;
    }
    table
};

/// Both digits of a number below 100.
#[inline(always)]
pub(crate) fn pair(value: u64) -> [u8; 2] {
    let at = (value % 100) as usize * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

const POW10: [u64; 20] = {
    let mut table = [1; 20];
    let mut index = 1;
    while index < 20 {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

/// The digits of the largest `u64`.
const DIGITS_MAX: usize = 20;

#[inline(always)]
fn digit_count(value: u64) -> usize {
    // log10(2) as 1233/4096: off by at most one below, which the comparison mends.
    let guess = ((64 - (value | 1).leading_zeros() as usize) * 1233) >> 12;
    guess + (value >= POW10[guess]) as usize + (value == 0) as usize
}

/// Appends `value`.
#[inline]
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    let len = digit_count(value);
    put_digits(out, value, len);
}

/// Appends `value` with a minus sign where it is negative.
#[inline]
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_u64(out, value.unsigned_abs());
}

/// Appends the last `width` digits of `value`, with leading zeros.
#[inline]
pub(crate) fn put_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    put_digits(out, value, width);
}

#[inline(always)]
fn put_digits(out: &mut Vec<u8>, mut value: u64, len: usize) {
    debug_assert!(len <= DIGITS_MAX);
    out.reserve(DIGITS_MAX);
    let start = out.len();
    let mut at = len;
    // SAFETY: `len` is at most DIGITS_MAX, for which `reserve` made room behind `start`; the loop writes each of the
    // `len` bytes from the last to the first, and nothing else, before the length is set.
    unsafe {
        let to = out.as_mut_ptr().add(start);
        while at >= 2 {
            let pair = (value % 100) as usize * 2;
            value /= 100;
            at -= 2;
            *to.add(at) = PAIRS[pair];
            *to.add(at + 1) = PAIRS[pair + 1];
        }
        if at == 1 {
            *to = b'0' + (value % 10) as u8;
        }
        out.set_len(start + len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_border_between_digit_counts_prints_as_the_standard_library_does() {
        let mut values = vec![0, u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1];
        for power in POW10 {
            values.extend([power - 1, power, power + 1]);
        }
        for bit in 0..64 {
            values.extend([(1 << bit) - 1, 1 << bit]);
        }
        for value in values {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
            let mut out = Vec::new();
            put_i64(&mut out, value as i64);
            assert_eq!(String::from_utf8(out).unwrap(), (value as i64).to_string());
        }
    }

    #[test]
    fn padding_keeps_leading_zeros() {
        let mut out = Vec::new();
        put_padded(&mut out, 7, 6);
        put_padded(&mut out, 12, 2);
        put_padded(&mut out, 0, 3);
        assert_eq!(out, b"00000712000");
    }
}
