//! What the kernel says of this process.
//!
//! Owns: reading `/proc`. Does not own: the metrics' names (`catalogue`).
//!
//! Invariant: what cannot be read is absent, never 0. Read at a scrape only.

use std::fs;

use crate::catalogue::{
    CPU_SECONDS_TOTAL, MAX_FDS, Metric, OPEN_FDS, RESIDENT_MEMORY_BYTES, START_TIME_SECONDS, VIRTUAL_MEMORY_BYTES,
};

/// The unit of times under `/proc`: 100 a second on every architecture that Rust has a Linux for (`USER_HZ`).
const TICKS: f64 = 100.0;

/// The process's metrics, as far as this system tells them.
pub(crate) fn read() -> Vec<(&'static Metric, f64)> {
    let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let stat = file("/proc/self/stat");
    let mut found = vec![
        (&CPU_SECONDS_TOTAL, cpu_seconds(&stat)),
        (&VIRTUAL_MEMORY_BYTES, field(&stat, 23)),
        (&RESIDENT_MEMORY_BYTES, resident_bytes(&file("/proc/self/status"))),
        (&START_TIME_SECONDS, start_seconds(&stat, &file("/proc/stat"))),
        (&MAX_FDS, fds_max(&file("/proc/self/limits"))),
    ];
    // Listing the folder opens it, which is one descriptor more than there are otherwise.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64);
    found.push((&OPEN_FDS, open));
    found.into_iter().filter_map(|(metric, value)| Some((metric, value?))).collect()
}

/// A field of `/proc/self/stat`, numbered from 1 as proc(5) does. The second is the program's name in parentheses,
/// which may itself hold blanks and parentheses.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(number - 3)?.trim().parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn start_seconds(stat: &str, system: &str) -> Option<f64> {
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(boot + field(stat, 22)? / TICKS)
}

/// From `status`, which has it in kB: `stat` has pages, whose size differs between machines.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

fn fds_max(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_full_of_parentheses_moves_no_field() {
        let stat = "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 250 50 14 15 16 17 18 19 12345 4096000 22";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(field(stat, 23), Some(4_096_000.0));
        assert_eq!(start_seconds(stat, "cpu 1 2\nbtime 1000\n"), Some(1123.45));
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_absent() {
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(resident_bytes("VmRSS:\t 12 kB\n"), Some(12288.0));
        assert_eq!(resident_bytes("Name: x"), None);
        assert_eq!(fds_max("Max open files            1024   4096   files\n"), Some(1024.0));
        assert_eq!(fds_max("Max open files            unlimited unlimited files\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_all_six() {
        assert_eq!(read().len(), 6);
    }
}
