//! A MySQL 8 server with GTIDs, a row-based binlog and full metadata.
//!
//! Owns: its command line and its first data directory.
//! Does not own: the process (`instance`).
//!
//! Invariant: every server has its own UUID, although all start from one template: GTIDs are told apart by it.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cache;
use crate::files::Account;
use crate::instance::{Instance, Placement};
use crate::launch::Launch;
use crate::locate;
use crate::mariadb::ssl_args;
use crate::ready::Probe;
use crate::sql::{self, Session};
use crate::tls::Certificates;

/// What a MySQL server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--server-id`.
    pub server_id: u32,
    /// Come last, so they win over every default.
    pub extra_args: Vec<String>,
    /// Gives the server a certificate of our authority instead of the one that MySQL makes for itself.
    pub tls: bool,
    /// Where it lives and how long.
    pub placement: Placement,
}

impl Default for Options {
    fn default() -> Self {
        Options { server_id: 11, extra_args: Vec::new(), tls: false, placement: Placement::default() }
    }
}

/// A running MySQL server; `root@127.0.0.1` has no password (`mysql_native_password`).
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    certificates: Option<Certificates>,
}

/// Starts a server and waits until it greets. Fails with [`crate::Unavailable`] where there is none to start.
pub fn start(options: &Options) -> anyhow::Result<Server> {
    let mut program = locate::mysqld()?;
    let account = Account::for_servers()?;
    if account.is_some() {
        program = locate::reachable_home(&locate::home_of(&program))?
            .join(program.strip_prefix(locate::home_of(&program)).context("find the server below its home")?);
    }
    let (dir, lease) = options.placement.take("mysql")?;
    let base = dir.path();
    for name in ["tmp", "binlog"] {
        crate::files::make_open_folder(&base.join(name))?;
    }
    let mut args = default_args(&program, base, lease.port(), options);
    if !base.join("data").is_dir() {
        cache::copy_folder(&template(&program, account.as_ref())?, &base.join("data"))?;
    }
    // With --skip-name-resolve a TCP client is 'root'@'127.0.0.1', whom --initialize does not make. The server runs
    // this before it listens, and not into its log.
    let users = base.join("users.sql");
    std::fs::write(&users, USERS).context("write the first users")?;
    args.push(format!("--init-file={}", users.display()).into());
    let certificates = options.tls.then(|| Certificates::make(&base.join("tls"))).transpose()?;
    if let Some(certificates) = &certificates {
        args.extend(ssl_args(certificates));
    }
    args.extend(options.extra_args.iter().map(OsString::from));
    if let Some(account) = &account {
        account.own(base)?;
    }
    let output = base.join("err.log");
    let launch =
        Launch { program, args, folder: base.to_path_buf(), output, account, lifetime: options.placement.lifetime };
    let instance = Instance::start("MySQL", launch, Probe::MySqlGreeting, lease, dir)?;
    Ok(Server { instance, certificates })
}

impl Server {
    /// Runs a script as root in one session of the command line client; the output is its batch format.
    pub fn sql(&self, script: &str) -> anyhow::Result<String> {
        sql::run(self.port(), script)
    }

    /// Opens a session that stays open, to hold a transaction or a lock across steps.
    pub fn session(&self) -> anyhow::Result<Session> {
        Session::open(self.port())
    }

    /// The certificates that the server was started with, if [`Options::tls`] asked for them.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }
}

impl Deref for Server {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// One statement a line: `--init-file` reads it so.
const USERS: &str = "\
set sql_log_bin=0;
create user if not exists root@'127.0.0.1' identified with mysql_native_password by '';
grant all on *.* to root@'127.0.0.1' with grant option;
";

fn default_args(program: &Path, base: &Path, port: u16, options: &Options) -> Vec<OsString> {
    let home = locate::home_of(program);
    let base = base.display();
    [
        "--no-defaults".to_owned(),
        format!("--basedir={}", home.display()),
        format!("--datadir={base}/data"),
        format!("--tmpdir={base}/tmp"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        format!("--socket={base}/s.sock"),
        format!("--pid-file={base}/pid"),
        "--mysqlx=OFF".to_owned(),
        format!("--server-id={}", options.server_id),
        format!("--log-bin={base}/binlog/bin"),
        "--gtid-mode=ON".to_owned(),
        "--enforce-gtid-consistency=ON".to_owned(),
        "--binlog-row-image=FULL".to_owned(),
        "--binlog-row-metadata=FULL".to_owned(),
        "--binlog-rows-query-log-events=ON".to_owned(),
        "--sync-binlog=0".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        "--innodb-buffer-pool-size=256M".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--character-set-server=utf8mb4".to_owned(),
    ]
    .map(OsString::from)
    .to_vec()
}

/// A data directory fresh from `--initialize-insecure` (4 s), made once per version and copied from then on.
fn template(program: &Path, account: Option<&Account>) -> anyhow::Result<PathBuf> {
    let version = locate::version_of(program)?;
    cache::template(&cache::folder_name("data", &version), |building| {
        if let Some(account) = account {
            account.own(building)?;
        }
        let initialize = Launch {
            program: program.to_path_buf(),
            args: [
                "--no-defaults".to_owned(),
                "--initialize-insecure".to_owned(),
                format!("--basedir={}", locate::home_of(program).display()),
                format!("--datadir={}", building.display()),
            ]
            .map(OsString::from)
            .to_vec(),
            folder: building.to_path_buf(),
            output: building.with_extension("log"),
            account: account.cloned(),
            lifetime: crate::Lifetime::WithParent,
        };
        initialize.run().context("make MySQL's first data directory")?;
        let uuid = building.join("auto.cnf");
        if uuid.exists() {
            std::fs::remove_file(&uuid).context("take the template's own UUID away")?;
        }
        Ok(())
    })
}
