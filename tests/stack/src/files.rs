//! Private directories of servers, and the user who owns them.
//!
//! Owns: the folder of this user under the system's temp folder, fresh directories in it, the account that servers
//! run as when the tests run as root, and the sweep of what crashed processes left behind.
//! Does not own: the cache of fetched servers (`cache`).
//!
//! Invariant: every directory is named after the process that made it, and only directories of dead processes are
//! swept.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// A directory that vanishes with its value, unless `LIMPID_KEEP` is set (to look at a failed server's files).
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    keep: bool,
}

impl TempDir {
    /// Makes an empty directory `<temp>/limpid-stack-<uid>/runs/<name>-<pid>-<n>` that other users may enter.
    ///
    /// It is not below the repository: a server's user could not reach a checkout inside `/root`, and a Unix socket's
    /// path has at most 107 bytes.
    pub fn new(name: &str) -> anyhow::Result<TempDir> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let runs = user_folder("runs")?;
        SWEEP.call_once(|| sweep(&runs));
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{name}-{}-{number}", std::process::id()));
        make_open_folder(&path)?;
        Ok(TempDir { path, keep: std::env::var_os("LIMPID_KEEP").is_some() })
    }

    /// Uses a directory that outlives this process; `stack down` removes it.
    pub(crate) fn kept(path: &Path) -> anyhow::Result<TempDir> {
        make_open_folder(path)?;
        Ok(TempDir { path: path.to_path_buf(), keep: true })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing can be done about a failure here, and the next process sweeps again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The folder `<temp>/limpid-stack-<uid>/<name>`, made if needed. Per user, so that two users never meet.
pub(crate) fn user_folder(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("limpid-stack-{}", effective_uid())).join(name);
    make_open_folder(&path)?;
    Ok(path)
}

/// A folder for servers that outlive their parent, one per checkout. In the temp folder for the same reasons as
/// [`TempDir::new`]; never swept, since its name carries no process.
pub fn lasting_folder(checkout: &Path) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    checkout.hash(&mut hasher);
    user_folder(&format!("up/{:016x}", hasher.finish()))
}

/// Makes a folder, with its parents, that every user may enter and read, whatever the umask.
pub(crate) fn make_open_folder(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_open_folder(parent)?;
    }
    let made = fs::DirBuilder::new().mode(0o755).create(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("make the folder {}", path.display()));
        }
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("open {} to other users", path.display()))
}

/// The account that servers run as: MySQL and MariaDB refuse to be root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) group: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// `None` when this process is not root: servers then run as the current user. Else `mysql` (Debian's package
    /// makes it), or `nobody` where only a fetched server is there.
    pub(crate) fn for_servers() -> anyhow::Result<Option<Account>> {
        if effective_uid() != 0 {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let groups = fs::read_to_string("/etc/group").context("read /etc/group")?;
        let account = ["mysql", "nobody"].iter().find_map(|name| Account::parse(name, &users, &groups));
        account.map(Some).context("find the user mysql or nobody in /etc/passwd")
    }

    fn parse(name: &str, users: &str, groups: &str) -> Option<Account> {
        let fields: Vec<&str> =
            users.lines().map(|line| line.split(':').collect()).find(|f: &Vec<&str>| f.first() == Some(&name))?;
        let uid = fields.get(2)?.parse().ok()?;
        let gid: u32 = fields.get(3)?.parse().ok()?;
        let group = groups.lines().find_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?;
            (parts.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        })?;
        Some(Account { name: name.to_owned(), group, uid, gid })
    }

    /// Gives a file or a whole tree to this account.
    pub(crate) fn own(&self, path: &Path) -> anyhow::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("give {} to {}", path.display(), self.name))?;
        if path.is_dir() {
            for entry in fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
                self.own(&entry.with_context(|| format!("list {}", path.display()))?.path())?;
            }
        }
        Ok(())
    }
}

/// Whether every folder above a file lets other users pass.
pub(crate) fn reachable_by_others(path: &Path) -> bool {
    path.ancestors().skip(1).all(|folder| {
        folder.as_os_str().is_empty() || fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    })
}

pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Removes run directories whose process is gone. A reused process id only delays that.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.rsplit('-').nth(1)).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_carries_the_name_of_its_primary_group() {
        let users = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
        let account = Account::parse("nobody", users, "root:x:0:\nnogroup:x:65534:\n").unwrap();
        assert_eq!(account, Account { name: "nobody".into(), group: "nogroup".into(), uid: 65534, gid: 65534 });
        assert_eq!(Account::parse("mysql", users, "root:x:0:\n"), None);
    }

    #[test]
    fn a_sweep_leaves_directories_of_living_processes() {
        let outer = TempDir::new("sweep").unwrap();
        let dead = outer.path().join("mariadb-4194999-0");
        let alive = outer.path().join(format!("mariadb-{}-0", std::process::id()));
        make_open_folder(&dead).unwrap();
        make_open_folder(&alive).unwrap();
        sweep(outer.path());
        assert!(!dead.exists());
        assert!(alive.exists());
    }

    #[test]
    fn a_folder_closed_to_others_hides_what_is_below() {
        let outer = TempDir::new("closed").unwrap();
        let file = outer.path().join("in/file");
        make_open_folder(&outer.path().join("in")).unwrap();
        assert!(reachable_by_others(&file));
        fs::set_permissions(outer.path().join("in"), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!reachable_by_others(&file));
    }
}
