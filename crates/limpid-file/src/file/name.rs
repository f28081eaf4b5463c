//! What a file is called once it is full.
//!
//! Owns: names, the rename, making it last. Does not own: when.
//!
//! Invariant: no file is ever written over by a rename.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Renames `path` to `path.<UTC time>-<n>`, such as `rows.jsonl.20260724T081500Z-000`. Names sort in the order of
/// their making, up to a thousand within one second. The writer's own lock keeps others from taking the same name meanwhile.
pub(super) fn put_aside(path: &Path, now_micros: i64) -> io::Result<PathBuf> {
    let stamp = stamp(now_micros);
    for number in 0u32.. {
        let mut name = OsString::from(path);
        name.push(format!(".{stamp}-{number:03}"));
        let aside = PathBuf::from(name);
        if aside.symlink_metadata().is_err() {
            fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    unreachable!("a directory has fewer files than there are numbers");
}

/// Makes a file's name last.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// `20260724T081500Z`.
fn stamp(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day since 1970, by Howard Hinnant's `civil_from_days`.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_day_as_a_calendar_has_it() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_102_444_799, "20991231T235959Z"),
        ] {
            assert_eq!(stamp(seconds * 1_000_000 + 999_999), expected);
        }
    }
}
