//! Times and sizes with their units.
//!
//! Owns: both grammars, each way. Does not own: ranges (`key`).
//!
//! Invariant: a number without a unit is refused: 60 what? And what is printed reads back as the same quantity.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// `250ms`, `60s`, `5m`, `24h`, `7d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// `512B`, `64KiB`, `64MiB`, `1GiB`, `1TiB`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

pub(crate) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

pub(crate) fn show_bytes(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves nothing over.
fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().rev().find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (unit, factor) = fits.copied().unwrap_or(units[0]);
    format!("{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_has_a_number_and_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        for bad in ["", "60", "s", "-1s", "1.5s", "60 s", "60S", "1h30m", "99999999999999999999s", "213503982335d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for bad in ["64", "64MB", "64mib", "64M", "16777216TiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0ms", "1ms", "1500ms", "60s", "90s", "2m", "24h", "1d", "8d"] {
            let time = duration(text).unwrap();
            assert_eq!(duration(&show_duration(time)), Some(time), "{text}");
        }
        assert_eq!([show_bytes(0), show_bytes(1536), show_bytes(1 << 30)], ["0B", "1536B", "1GiB"]);
    }
}
