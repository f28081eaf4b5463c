//! The hash of a key that somebody types.
//!
//! Owns: texts of key values, for every type that a key may have. Does not own: the hash (`limpid_model::key_hash`).
//!
//! Invariant: a text gives the cell that a source's decoder gives for the value it stands for, so that both hash alike;
//! what cannot be read so is refused with the column's name and never with the value.

use std::net::{Ipv4Addr, Ipv6Addr};

use limpid_model::{Batch, Cell, CellKind, LogicalType, TableSchema, key_hash};

/// Why a key is none of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRefused(pub String);

/// The columns that tell rows of the table apart: its key, or all of them where it has none.
fn key_columns(schema: &TableSchema) -> Vec<usize> {
    match schema.key.is_empty() {
        true => (0..schema.columns.len()).collect(),
        false => schema.key.iter().map(|index| usize::from(*index)).collect(),
    }
}

/// The values in a key as people write it: the value alone where the key has one column, else `a=1,b=x` in any order. A
/// comma belongs to the value unless a column of the key and `=` follow it.
///
/// # Errors
/// A text of another shape.
pub fn parts_of(schema: &TableSchema, text: &str) -> Result<Vec<(String, Option<String>)>, KeyRefused> {
    let names: Vec<&str> = key_columns(schema).iter().map(|index| &*schema.columns[*index].name).collect();
    let is_named = names.iter().any(|name| text.strip_prefix(*name).is_some_and(|rest| rest.starts_with('=')));
    if let ([only], false) = (&names[..], is_named) {
        return Ok(vec![((*only).to_owned(), Some(text.to_owned()))]);
    }
    let begins = |rest: &str| names.iter().any(|name| rest.strip_prefix(*name).is_some_and(|r| r.starts_with('=')));
    let mut starts = vec![0];
    starts.extend(text.match_indices(',').map(|(at, _)| at + 1).filter(|at| begins(&text[*at..])));
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([text.len()]);
    let parts = starts.iter().zip(ends).map(|(start, end)| {
        let (name, value) = text[*start..end].split_once('=')?;
        Some((name.to_owned(), Some(value.to_owned())))
    });
    let parts: Option<Vec<_>> = parts.collect();
    parts.ok_or_else(|| KeyRefused(format!("the key reads {}", names.join("=..,") + "=..")))
}

/// The hash of the key with these values, by the names of their columns; `None` stands for NULL.
///
/// # Errors
/// Columns missing, twice or of no use, and texts that no value of a column has.
pub fn typed_hash(schema: &TableSchema, parts: &[(String, Option<String>)]) -> Result<u64, KeyRefused> {
    let columns = key_columns(schema);
    let mut batch = Batch::default();
    let mut image = vec![Cell::ABSENT; schema.columns.len()];
    for index in &columns {
        let column = &schema.columns[*index];
        let mut of_column = parts.iter().filter(|(name, _)| **name == *column.name);
        let (Some((_, text)), None) = (of_column.next(), of_column.next()) else {
            return Err(KeyRefused(format!("the key needs the column {} once", column.name)));
        };
        image[*index] = match text {
            None => Cell::NULL,
            Some(text) => cell(&column.logical, text, &mut batch.arena)
                .ok_or_else(|| KeyRefused(format!("what stands for {} is no value of its type", column.name)))?,
        };
    }
    let is_known = |name: &str| columns.iter().any(|index| &*schema.columns[*index].name == name);
    if let Some((name, _)) = parts.iter().find(|(name, _)| !is_known(name)) {
        let name: String = name.chars().take(64).collect();
        return Err(KeyRefused(format!("{name} is no column of the key")));
    }
    Ok(key_hash(&batch, schema, &image))
}

fn cell(logical: &LogicalType, text: &str, arena: &mut Vec<u8>) -> Option<Cell> {
    let mut made = |kind, bytes: &[u8]| {
        let at = arena.len();
        arena.extend_from_slice(bytes);
        Cell::arena(kind, at as u64, bytes.len() as u32, 0)
    };
    Some(match logical {
        LogicalType::Bool => Cell::inline(CellKind::Bool, u64::from(flag(text)?)),
        LogicalType::Int { signed: true, .. } => Cell::int(CellKind::Int, text.parse().ok()?),
        LogicalType::Int { signed: false, .. } => Cell::inline(CellKind::UInt, text.parse().ok()?),
        LogicalType::F32 => Cell::inline(CellKind::F32, u64::from(text.parse::<f32>().ok()?.to_bits())),
        LogicalType::F64 => Cell::inline(CellKind::F64, text.parse::<f64>().ok()?.to_bits()),
        LogicalType::Decimal { precision, scale } => decimal(text, *precision, *scale, arena)?,
        LogicalType::Text => made(CellKind::Text, text.as_bytes()),
        LogicalType::Bytes { fixed } => {
            let mut bytes = bytes(text)?;
            bytes.resize(bytes.len().max(fixed.map_or(0, |len| len as usize)), 0);
            made(CellKind::Bytes, &bytes)
        }
        LogicalType::Date => Cell::int(CellKind::Date, date(text)?),
        LogicalType::Time { digits } => Cell::scaled(CellKind::Time, time(text)?, u16::from(*digits)),
        LogicalType::DateTime { digits } => Cell::scaled(CellKind::DateTime, date_time(text)?, u16::from(*digits)),
        LogicalType::Timestamp { digits } => {
            let text = text.strip_suffix('Z').unwrap_or(text);
            Cell::scaled(CellKind::Timestamp, date_time(text)?, u16::from(*digits))
        }
        LogicalType::Year => Cell::int(CellKind::Year, text.parse().ok()?),
        LogicalType::Enum { members } => {
            let index = members.iter().position(|member| **member == *text)?;
            Cell::inline(CellKind::Enum, index as u64 + 1)
        }
        LogicalType::Set { members } => {
            let mut mask = 0;
            for word in text.split(',').filter(|word| !word.is_empty()) {
                mask |= 1 << members.iter().position(|member| **member == *word)?;
            }
            Cell::inline(CellKind::Set, mask)
        }
        LogicalType::Bit { .. } => Cell::inline(CellKind::Bit, bits(text)?),
        LogicalType::Uuid => made(CellKind::Uuid, &hex(&text.replace('-', "")).filter(|bytes| bytes.len() == 16)?),
        LogicalType::Inet4 => made(CellKind::Inet, &text.parse::<Ipv4Addr>().ok()?.octets()),
        LogicalType::Inet6 => made(CellKind::Inet, &text.parse::<Ipv6Addr>().ok()?.octets()),
        LogicalType::Json | LogicalType::Geometry { .. } | LogicalType::Vector { .. } | LogicalType::Document => {
            return None;
        }
    })
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" | "false" => Some(false),
        "1" | "true" => Some(true),
        _ => None,
    }
}

/// `0x` and digits, or the text's own bytes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("0x") {
        Some(digits) => hex(digits),
        None => Some(text.as_bytes().to_vec()),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn bits(text: &str) -> Option<u64> {
    match (text.strip_prefix("0b"), text.strip_prefix("0x")) {
        (Some(digits), _) => u64::from_str_radix(digits, 2).ok(),
        (None, Some(digits)) => u64::from_str_radix(digits, 16).ok(),
        (None, None) => text.parse().ok(),
    }
}

/// With as many digits behind the point as are there, or fewer.
fn decimal(text: &str, precision: u16, scale: u16, arena: &mut Vec<u8>) -> Option<Cell> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = fraction.len() <= usize::from(scale) && whole.trim_start_matches('0').len() <= 65;
    if !(fits && is_number(whole) && is_number(fraction)) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let zeros = std::iter::repeat_n(b'0', usize::from(scale) - fraction.len());
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).chain(zeros).map(|byte| byte - b'0').collect();
    if precision <= 18 {
        let add = |value: i64, digit: &u8| value.checked_mul(10)?.checked_add(i64::from(*digit));
        let value = digits.iter().try_fold(0, add)?;
        return Some(Cell::scaled(CellKind::Decimal, if negative { -value } else { value }, scale));
    }
    let bytes = two_complement(&digits, negative)?;
    let at = arena.len();
    arena.extend_from_slice(&bytes);
    Some(Cell::arena(CellKind::Decimal, at as u64, bytes.len() as u32, scale))
}

/// Decimal digits as minimal big-endian two's complement; `None` beyond 255 bits.
fn two_complement(digits: &[u8], negative: bool) -> Option<Vec<u8>> {
    let mut wide = [0u8; 32];
    for digit in digits {
        let mut carry = u32::from(*digit);
        for byte in wide.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            (*byte, carry) = (carry as u8, carry >> 8);
        }
        if carry > 0 || wide[0] & 0x80 != 0 {
            return None;
        }
    }
    if negative {
        let mut carry = true;
        for byte in wide.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let fill = if wide[0] & 0x80 == 0 { 0x00 } else { 0xff };
    let surplus = wide.windows(2).take_while(|two| two[0] == fill && (two[1] ^ fill) & 0x80 == 0).count();
    Some(wide[surplus..].to_vec())
}

/// Days since 1970-01-01 of `YYYY-MM-DD`. Source: H. Hinnant, "chrono-compatible low-level date algorithms",
/// `days_from_civil`.
fn date(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 31,
    };
    if parts.next().is_some() || !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 || day > days {
        return None;
    }
    let shifted = i64::from(year) - i64::from(month <= 2);
    let era = shifted.div_euclid(400);
    let year_of_era = shifted - era * 400;
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds of `[-]H:MM[:SS[.ffffff]]`.
fn time(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    let is_fraction = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || minutes > 59 || seconds > 59 || hours > 838 || !is_fraction {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
    Some(sign * (seconds * 1_000_000 + micros))
}

/// Microseconds of `YYYY-MM-DD[ HH:MM[:SS[.ffffff]]]`, with a `T` in the place of the space too.
fn date_time(text: &str) -> Option<i64> {
    let (day, clock) = text.split_once([' ', 'T']).unwrap_or((text, "0:00"));
    let clock = time(clock).filter(|micros| (0..86_400_000_000).contains(micros))?;
    Some(date(day)? * 86_400_000_000 + clock)
}

#[cfg(test)]
mod tests;
