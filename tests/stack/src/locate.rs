//! Finds a server's program: its variable, then PATH, then the cache, then Maven Central.
//!
//! Owns: the order of that search.
//! Does not own: fetching (`cache`).
//!
//! Invariant: a variable that is set and wrong is an error, never a reason to look elsewhere: a test must not run
//! against another server than the one that was named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::cache;
use crate::files::reachable_by_others;
use crate::missing::Unavailable;

/// Debian keeps servers where an ordinary user's PATH does not look.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

pub(crate) fn mariadbd() -> anyhow::Result<PathBuf> {
    if let Some(path) = named_by("LIMPID_MARIADBD")? {
        return Ok(path);
    }
    on_path("mariadbd").ok_or_else(|| {
        Unavailable { server: "MariaDB", why: "LIMPID_MARIADBD is not set and no mariadbd is on PATH".into() }.into()
    })
}

pub(crate) fn mysqld() -> anyhow::Result<PathBuf> {
    if let Some(path) = named_by("LIMPID_MYSQLD")? {
        return Ok(path);
    }
    // Debian's mysqld is a link to mariadbd.
    let installed = on_path("mysqld").filter(|path| version_of(path).is_ok_and(|version| !version.contains("MariaDB")));
    if let Some(path) = installed {
        return Ok(path);
    }
    match cache::mysql() {
        Ok(home) => Ok(home.join("bin/mysqld")),
        Err(error) => Err(Unavailable { server: "MySQL", why: format!("{error:#}") }.into()),
    }
}

/// The folder with Kafka's jars: `lib` as fetched, `libs` as in Apache's own archive.
pub(crate) fn kafka_jars() -> anyhow::Result<PathBuf> {
    let jars_in = |home: &Path| ["lib", "libs"].map(|name| home.join(name)).into_iter().find(|path| path.is_dir());
    if let Some(home) = named_by("LIMPID_KAFKA_HOME")? {
        return jars_in(&home).with_context(|| format!("find lib or libs in LIMPID_KAFKA_HOME={}", home.display()));
    }
    match cache::kafka() {
        Ok(home) => jars_in(&home).with_context(|| format!("find lib in {}", home.display())),
        Err(error) => Err(Unavailable { server: "Kafka", why: format!("{error:#}") }.into()),
    }
}

pub(crate) fn java() -> anyhow::Result<PathBuf> {
    let home =
        std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java")).filter(|path| path.is_file());
    home.or_else(|| on_path("java"))
        .ok_or_else(|| Unavailable { server: "Kafka", why: "there is no java in JAVA_HOME or on PATH".into() }.into())
}

pub(crate) fn prometheus() -> anyhow::Result<PathBuf> {
    if let Some(path) = named_by("LIMPID_PROMETHEUS")? {
        return Ok(path);
    }
    on_path("prometheus").ok_or_else(|| {
        Unavailable { server: "Prometheus", why: "LIMPID_PROMETHEUS is not set and no prometheus is on PATH".into() }
            .into()
    })
}

pub(crate) fn otelcol() -> anyhow::Result<PathBuf> {
    if let Some(path) = named_by("LIMPID_OTELCOL")? {
        return Ok(path);
    }
    match cache::otelcol() {
        Ok(home) => Ok(home.join("otelcol")),
        Err(error) => Err(Unavailable { server: "OpenTelemetry Collector", why: format!("{error:#}") }.into()),
    }
}

/// Go's command, which also stands where its own installer puts it.
pub(crate) fn go() -> Option<PathBuf> {
    on_path("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()))
}

/// The command line client; Oracle's `mysql` would do as well, but understands fewer of our options.
pub(crate) fn mariadb_client() -> anyhow::Result<PathBuf> {
    on_path("mariadb")
        .ok_or_else(|| Unavailable { server: "the mariadb client", why: "it is not on PATH".into() }.into())
}

/// A program that stands beside the server: in its folder, or in `bin` or `scripts` next to that.
pub(crate) fn companion(server: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let home = home_of(server);
    let beside =
        ["bin", "sbin", "scripts"].map(|folder| home.join(folder).join(name)).into_iter().find(|path| path.is_file());
    beside.or_else(|| on_path(name)).with_context(|| format!("find {name} near {}", server.display()))
}

/// What `--basedir` is for a server at `<home>/bin/mysqld` or `<home>/sbin/mysqld`.
pub(crate) fn home_of(server: &Path) -> PathBuf {
    server.parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).to_path_buf()
}

/// The first line of `--version`.
pub(crate) fn version_of(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(["--no-defaults", "--version"])
        .output()
        .with_context(|| format!("run {} --version", program.display()))?;
    ensure!(output.status.success(), "{} --version ended with {}", program.display(), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A fetched server lies in the home of the user; when that is root's, the account that the server runs as cannot
/// reach it. Then a copy in the temp folder is used, made of hard links where that is possible.
pub(crate) fn reachable_home(home: &Path) -> anyhow::Result<PathBuf> {
    if reachable_by_others(&home.join("bin/mysqld")) {
        return Ok(home.to_path_buf());
    }
    // The whole path, not only the last name: another version may lie in a folder of the same name.
    let name = cache::folder_name("home", &home.to_string_lossy());
    cache::template(&name, |building| {
        let from = home.join(".");
        let linked = Command::new("cp").arg("-al").arg(&from).arg(building).output().context("run cp")?;
        if linked.status.success() {
            return Ok(());
        }
        cache::copy_folder(&from, building)
    })
    .with_context(|| format!("copy {} to where a server's user can reach it", home.display()))
}

fn named_by(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(value);
    ensure!(path.exists(), "{variable} names {}, which does not exist", path.display());
    Ok(Some(path))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_directory_is_above_bin() {
        assert_eq!(home_of(Path::new("/opt/mysql/bin/mysqld")), Path::new("/opt/mysql"));
        assert_eq!(home_of(Path::new("/usr/sbin/mysqld")), Path::new("/usr"));
    }
}
