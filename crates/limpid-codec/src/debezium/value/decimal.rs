//! Decimals as text and as doubles.
//!
//! Owns: `decimal-handling: string` and `double`. Does not own: the usual form, base64 of the unscaled value (`value`).
//!
//! Invariant: every digit of the scale is printed, and a double is the nearest one, as `BigDecimal.doubleValue` has it.

use limpid_model::{Batch, Cell, Place};

use crate::json::{put_f64, put_padded, put_u64};

/// The nearest double, as `BigDecimal.doubleValue` has it.
pub(super) fn put_double(out: &mut Vec<u8>, batch: &Batch, cell: Cell) -> bool {
    let mut text = Vec::with_capacity(72);
    put_plain(&mut text, batch, cell);
    match std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()) {
        Some(value) => {
            // A BigDecimal has no negative zero.
            put_f64(out, if value == 0.0 { 0.0 } else { value });
            true
        }
        None => false,
    }
}

/// Plain digits with as many behind the point as the scale says.
pub(super) fn put_plain(out: &mut Vec<u8>, batch: &Batch, cell: Cell) {
    let scale = cell.scale() as usize;
    let mut digits = Vec::with_capacity(72);
    let negative = if cell.place() == Place::Inline {
        put_u64(&mut digits, cell.as_i64().unsigned_abs());
        cell.as_i64() < 0
    } else {
        big_digits(batch.bytes(cell), &mut digits)
    };
    if negative {
        out.push(b'-');
    }
    if digits.len() <= scale {
        out.extend(std::iter::repeat_n(b'0', 1));
        if scale > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
            out.extend_from_slice(&digits);
        }
        return;
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Decimal digits of a two's complement number of any size; true when it is negative.
fn big_digits(bytes: &[u8], digits: &mut Vec<u8>) -> bool {
    const GROUP: u64 = 1_000_000_000;
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    // Limbs of 32 bits, most significant first.
    let fill = if negative { 0xff } else { 0 };
    let width = bytes.len().div_ceil(4).max(1) * 4;
    let mut wide = vec![fill; width - bytes.len()];
    wide.extend_from_slice(bytes);
    let mut limbs: Vec<u32> = wide.as_chunks::<4>().0.iter().map(|limb| u32::from_be_bytes(*limb)).collect();
    if negative {
        let mut carry = true;
        for limb in limbs.iter_mut().rev() {
            (*limb, carry) = (!*limb).overflowing_add(carry as u32);
        }
    }
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb != 0) {
        let mut rest = 0u64;
        for limb in &mut limbs {
            let value = rest << 32 | *limb as u64;
            *limb = (value / GROUP) as u32;
            rest = value % GROUP;
        }
        groups.push(rest);
    }
    let Some(first) = groups.pop() else {
        digits.push(b'0');
        return false;
    };
    put_u64(digits, first);
    for group in groups.iter().rev() {
        put_padded(digits, *group, 9);
    }
    negative
}
