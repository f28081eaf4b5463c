//! How Kafka's Java programs are started.
//!
//! Owns: Java's options, and the archives of loaded classes that a start is made from.
//! Does not own: what a program is told (`kafka`, `tools`).
//!
//! Invariant: a Java that cannot use an archive, because it is older, or another than the one that made it, starts as if there
//! were none, and says nothing of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::cache;

/// Serial collection and the first compiler tier only: a third less memory at the same throughput.
const OPTIONS: [&str; 5] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+IgnoreUnrecognizedVMOptions",
    // Else what it thinks of an archive stands among a tool's records.
    "-Xlog:disable",
];

/// The classes that a program loads, parsed and verified (JEP 350): of the 5.5 s of CPU that a broker's start takes they
/// leave 2.7, of the 1.9 s of a consumer 1.3.
#[derive(Debug, Clone)]
pub(super) enum Archive {
    Without,
    /// Started from the archives in this folder.
    From(PathBuf),
    /// Written into this folder when the program ends.
    Into(PathBuf),
}

/// A Java and a set of jars.
#[derive(Debug, Clone)]
pub(super) struct Java {
    pub(super) program: PathBuf,
    pub(super) jars: PathBuf,
    pub(super) archive: Archive,
}

impl Java {
    pub(super) fn with(&self, archive: Archive) -> Java {
        Java { archive, ..self.clone() }
    }

    /// The arguments before the program's own. `kind` names its archive.
    pub(super) fn arguments(&self, kind: &str, log4j: &Path, class: &str) -> Vec<OsString> {
        let mut args: Vec<OsString> = OPTIONS.map(OsString::from).to_vec();
        let (option, folder) = match &self.archive {
            Archive::Without => ("", None),
            Archive::From(folder) => ("-XX:SharedArchiveFile=", Some(folder)),
            Archive::Into(folder) => ("-XX:ArchiveClassesAtExit=", Some(folder)),
        };
        args.extend(folder.map(|folder| joined(option, &folder.join(format!("{kind}.jsa")))));
        args.push(joined("-Dlog4j.configuration=file:", log4j));
        args.extend(["-cp".into(), self.jars.join("*").into_os_string(), class.into()]);
        args
    }

    /// Such as `kafka_2.13-3.9.1`.
    pub(super) fn version(&self) -> String {
        let entries = std::fs::read_dir(&self.jars).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut cores = names
            .filter_map(|name| name.strip_suffix(".jar").map(str::to_owned))
            .filter(|name| name.starts_with("kafka_2."));
        cores.next().unwrap_or_else(|| "kafka-unknown".to_owned())
    }

    /// The name of the folder of its archives: they fit this Java and these jars alone.
    pub(super) fn archives(&self) -> String {
        let program = self.program.canonicalize().unwrap_or_else(|_| self.program.clone());
        let changed = std::fs::metadata(&program).and_then(|found| found.modified()).ok();
        let seconds = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs());
        cache::folder_name(
            "classes",
            &format!("{} {} {} {seconds}", self.version(), self.jars.display(), program.display()),
        )
    }
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut whole = OsString::from(option);
    whole.push(path);
    whole
}
