//! What we keep on disk ourselves, in bytes.
//!
//! Owns: which files are whose. Does not own: how long they stay (the options named beside each), the metric.
//!
//! Invariant: looked at when somebody asks and never else; a file that goes meanwhile is no error, what cannot be looked
//! at is absent and not 0.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use limpid_telemetry::catalogue::DISK_BYTES;
use limpid_telemetry::{Moment, Registry, Sampled};

/// Has the registry tell how much of the disk is taken, by what takes it.
pub fn show(registry: &Registry, data_dir: &Path, logs: &[PathBuf]) {
    let dir = data_dir.to_owned();
    let of_dir = |pick: fn(&str) -> bool| Kept { places: vec![Place::Files(dir.clone(), pick)] };
    let under = |name: &str| Kept { places: vec![Place::Tree(dir.join(name))] };
    for (what, kept) in [
        // Grows with tables and their definitions; rows that were kept are in it up to a megabyte each.
        ("state", of_dir(is_state)),
        // Made by `limpid state backup` and before an import; removed by nobody but its owner.
        ("backups", of_dir(is_backup)),
        // Until the transaction is decided.
        ("held", under("held")),
        // Until they are replayed or dropped.
        ("parked", under("parked")),
        // `telemetry.logs.rotate`.
        ("logs", Kept { places: logs.iter().cloned().map(Place::Log).collect() }),
    ] {
        registry.sampled(&DISK_BYTES, &[what], Arc::new(kept));
    }
}

const STATE: &str = "limpid.db";

/// The database with what SQLite keeps beside it.
fn is_state(name: &str) -> bool {
    [STATE, "limpid.db-wal", "limpid.db-shm"].contains(&name)
}

fn is_backup(name: &str) -> bool {
    name.starts_with(STATE) && !is_state(name)
}

/// Where one kind of files is.
struct Kept {
    places: Vec<Place>,
}

enum Place {
    /// Those of a folder whose names are so.
    Files(PathBuf, fn(&str) -> bool),
    /// Everything below.
    Tree(PathBuf),
    /// A log file and those that were put aside: the same name, a point, a number.
    Log(PathBuf),
}

impl Sampled for Kept {
    fn sample(&self, _: Moment) -> Option<f64> {
        self.places.iter().map(Place::bytes).sum::<std::io::Result<u64>>().ok().map(|bytes| bytes as f64)
    }
}

impl Place {
    fn bytes(&self) -> std::io::Result<u64> {
        match self {
            Place::Files(folder, pick) => below(folder, &|name| pick(name)),
            Place::Tree(folder) => below(folder, &|_| true),
            Place::Log(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                below(folder.unwrap_or(Path::new(".")), &|found| {
                    let rest = found.strip_prefix(&*name);
                    rest.is_some_and(|rest| {
                        let number = rest.strip_prefix('.').unwrap_or("-");
                        rest.is_empty() || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                    })
                })
            }
        }
    }
}

/// Bytes of the files in a folder and below whose names are picked; a folder that is not there has none.
fn below(folder: &Path, pick: &dyn Fn(&str) -> bool) -> std::io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let picked = pick(&name.to_string_lossy());
        bytes += match entry.metadata() {
            Ok(found) if found.is_file() && picked => found.len(),
            Ok(found) if found.is_dir() && picked => below(&entry.path(), pick)?,
            Ok(_) => 0,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use limpid_stack::TempDir;
    use limpid_telemetry::Format;

    use super::*;

    #[test]
    fn each_file_counts_once_where_it_belongs_and_others_nowhere() {
        let dir = TempDir::new("kept").unwrap();
        let write = |name: &str, bytes: usize| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; bytes]).unwrap();
        };
        for (name, bytes) in [
            ("limpid.db", 1),
            ("limpid.db-wal", 2),
            ("limpid.db-shm", 4),
            ("limpid.db.backup", 8),
            ("limpid.db.backup-2", 16),
            ("limpid.lock", 32),
            ("held/shop/1", 64),
            ("held/other/2", 128),
            ("parked/7.row", 256),
            ("log", 512),
            ("log.1", 1024),
            ("log.12", 2048),
            ("log.old", 4096),
            ("logs", 8192),
            ("log.", 16384),
        ] {
            write(name, bytes);
        }
        let registry = Registry::new(crate::run::BUILD);
        show(&registry, dir.path(), &[dir.path().join("log")]);
        let text = registry.render(Format::Text, Moment { nanos: 0, wall_micros: 0 });
        for line in ["state\"} 7", "backups\"} 24", "held\"} 192", "parked\"} 256", "logs\"} 3584"] {
            assert!(text.lines().any(|told| told.starts_with("limpid_disk_bytes{") && told.ends_with(line)), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_has_no_bytes_and_what_cannot_be_seen_is_not_told() {
        let dir = TempDir::new("kept").unwrap();
        assert_eq!(Place::Tree(dir.path().join("held")).bytes().unwrap(), 0);
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(Kept { places: vec![Place::Tree(file)] }.sample(Moment { nanos: 0, wall_micros: 0 }), None);
    }
}
