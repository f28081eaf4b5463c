//! The `file` sink's own section of a pipeline file.
//!
//! Owns: its keys, the options and their meaning. Does not own: when anything happens (`file`); `stdout` and `null`
//! have no keys.
//!
//! Invariant: options hold no "default": whoever makes them has decided.

use std::path::PathBuf;
use std::time::Duration;

use limpid_config::{Choice, Choices, Complaint, ConfigFault, Key, Section};

/// Options of `sink.type: file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The file that is written to. Its directory must exist.
    pub path: PathBuf,
    /// A file that has so many bytes is put aside before the next batch; a batch is never split over two files.
    pub rotate_bytes: Option<u64>,
    /// A file that is so old, and has a line, is put aside.
    pub rotate_every: Option<Duration>,
    pub fsync: Fsync,
}

/// When lines count as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Once the kernel has them: they outlive the process, not the machine.
    Never,
    /// Once the disk has them; it is asked for each batch.
    Batch,
    /// Once the disk has them; it is asked once a second, or when 16 MiB wait for it.
    Interval,
}

impl Choices for Fsync {
    const TABLE: &'static [Choice<Self>] = &[
        Choice::new("never", Fsync::Never, "The disk is never asked: lines outlive the process, not the machine."),
        Choice::new("batch", Fsync::Batch, "The disk is asked for each batch."),
        Choice::new("interval", Fsync::Interval, "The disk is asked once a second, or when 16 MiB wait for it."),
    ];
}

/// The section's keys.
pub const KEYS: &[Key] = &[
    Key::path("path").required().doc("The file that lines are written to. Its directory must exist."),
    Key::section("rotate", ROTATE)
        .optional()
        .doc("When a file is put aside, as PATH.<UTC time>-<n>. Never by default."),
    Key::choice::<Fsync>("fsync").default("batch").doc("When lines count as durable."),
];

const ROTATE: &[Key] = &[
    Key::bytes("bytes", 1, 1 << 50).doc("Once the file has so many bytes."),
    Key::duration("every", Duration::from_secs(1), Duration::from_secs(366 * 86_400)).doc("Once it is so old."),
];

/// Reads the section.
///
/// # Errors
/// Every fault of the section.
pub fn read(section: &Section) -> Result<FileOptions, Vec<ConfigFault>> {
    section.read(|keys| {
        let rotate = keys.optional_section("rotate");
        let rotate_bytes = rotate.as_ref().and_then(|keys| keys.optional_bytes("bytes"));
        let rotate_every = rotate.as_ref().and_then(|keys| keys.optional_duration("every"));
        if rotate.is_some() && rotate_bytes.is_none() && rotate_every.is_none() {
            return keys.refuse("rotate", Complaint::bad_value("says neither `bytes` nor `every`"));
        }
        Some(FileOptions { path: keys.path("path"), rotate_bytes, rotate_every, fsync: keys.choice("fsync") })
    })
}

#[cfg(test)]
mod tests {
    use limpid_config::Fixed;

    use super::*;

    fn check(yaml: &str, expected: Result<FileOptions, &[&str]>) {
        let read = Section::of_yaml("sink", yaml, KEYS, &Fixed::new());
        let read = read.and_then(|section| super::read(&section));
        let faults = |faults: Vec<ConfigFault>| faults.iter().map(ConfigFault::to_string).collect::<Vec<_>>();
        let expected = expected.map_err(|faults| faults.iter().map(|fault| (*fault).to_owned()).collect::<Vec<_>>());
        assert_eq!(read.map_err(faults), expected, "{yaml}");
    }

    #[test]
    fn what_is_left_out_is_the_documented_default() {
        let options =
            FileOptions { path: "rows.jsonl".into(), rotate_bytes: None, rotate_every: None, fsync: Fsync::Batch };
        check("path: rows.jsonl\n", Ok(options.clone()));
        let rotated = FileOptions { rotate_bytes: Some(64 << 20), rotate_every: None, ..options.clone() };
        check("path: rows.jsonl\nrotate: { bytes: 64MiB }\n", Ok(rotated));
        let every = Some(Duration::from_secs(3600));
        let rotated = FileOptions { rotate_every: every, fsync: Fsync::Interval, ..options };
        check("path: rows.jsonl\nrotate: { every: 1h }\nfsync: interval\n", Ok(rotated));
    }

    #[test]
    fn a_section_that_means_nothing_is_refused() {
        check("fsync: batch\n", Err(&["`sink.path` is missing"]));
        check("path: \"\"\n", Err(&["`sink.path` is an empty text"]));
        check("path: a\nrotate: {}\n", Err(&["`sink.rotate` says neither `bytes` nor `every`"]));
    }
}
