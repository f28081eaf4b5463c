//! A MariaDB server with a row-based binlog, strict GTIDs and full metadata.
//!
//! Owns: its command line and its first data directory.
//! Does not own: the process (`instance`).

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cache;
use crate::files::Account;
use crate::instance::{Instance, Placement};
use crate::launch::Launch;
use crate::locate;
use crate::ready::Probe;
use crate::sql::{self, Session};
use crate::tls::Certificates;

/// What a MariaDB server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--server-id`.
    pub server_id: u32,
    /// `--gtid-domain-id`.
    pub gtid_domain: u32,
    /// Come last, so they win over every default.
    pub extra_args: Vec<String>,
    /// Variables of the server's own environment, such as a library that is loaded before the C library.
    pub environment: Vec<(String, PathBuf)>,
    /// Gives the server a certificate of its own authority; see [`Server::certificates`].
    pub tls: bool,
    /// Where it lives and how long.
    pub placement: Placement,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            server_id: 1,
            gtid_domain: 1,
            extra_args: Vec::new(),
            environment: Vec::new(),
            tls: false,
            placement: Placement::default(),
        }
    }
}

/// A running MariaDB server; `root` has no password over TCP.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
    certificates: Option<Certificates>,
}

/// Starts a server and waits until it greets. Fails with [`crate::Unavailable`] where there is none to start.
pub fn start(options: &Options) -> anyhow::Result<Server> {
    let program = locate::mariadbd()?;
    let account = Account::for_servers()?;
    let (dir, lease) = options.placement.take("mariadb")?;
    let base = dir.path();
    let own = |path: &Path| account.as_ref().map_or(Ok(()), |account| account.own(path));
    for name in ["tmp", "binlog"] {
        crate::files::make_open_folder(&base.join(name))?;
    }
    if !base.join("data").is_dir() {
        cache::copy_folder(&template(&program, account.as_ref())?, &base.join("data"))?;
    }
    let certificates = options.tls.then(|| Certificates::make(&base.join("tls"))).transpose()?;
    own(base)?;
    let mut args = default_args(base, lease.port(), options);
    if let Some(certificates) = &certificates {
        args.extend(ssl_args(certificates));
    }
    args.extend(options.extra_args.iter().map(OsString::from));
    let output = base.join("err.log");
    let (program, args) = within(&options.environment, program, args);
    let launch =
        Launch { program, args, folder: base.to_path_buf(), output, account, lifetime: options.placement.lifetime };
    let instance = Instance::start("MariaDB", launch, Probe::MySqlGreeting, lease, dir)?;
    Ok(Server { instance, certificates })
}

/// The server under `env`, which replaces itself by it.
fn within(environment: &[(String, PathBuf)], program: PathBuf, args: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
    if environment.is_empty() {
        return (program, args);
    }
    let variable = |(name, value): &(String, PathBuf)| {
        let mut variable = OsString::from(format!("{name}="));
        variable.push(value);
        variable
    };
    let variables = environment.iter().map(variable);
    ("/usr/bin/env".into(), variables.chain([program.into_os_string()]).chain(args).collect())
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

/// `--no-defaults` keeps /etc/mysql out. Durability per commit is off: a killed process loses nothing by that, only
/// a crashed machine would.
fn default_args(base: &Path, port: u16, options: &Options) -> Vec<OsString> {
    let base = base.display();
    [
        "--no-defaults".to_owned(),
        format!("--datadir={base}/data"),
        format!("--tmpdir={base}/tmp"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        format!("--socket={base}/s.sock"),
        format!("--pid-file={base}/pid"),
        format!("--server-id={}", options.server_id),
        format!("--gtid-domain-id={}", options.gtid_domain),
        format!("--log-bin={base}/binlog/bin"),
        format!("--log-bin-index={base}/binlog/bin.index"),
        "--binlog-format=ROW".to_owned(),
        "--binlog-row-image=FULL".to_owned(),
        "--binlog-row-metadata=FULL".to_owned(),
        "--binlog-annotate-row-events=ON".to_owned(),
        "--gtid-strict-mode=ON".to_owned(),
        "--log-slave-updates=ON".to_owned(),
        "--sync-binlog=0".to_owned(),
        "--innodb-flush-log-at-trx-commit=2".to_owned(),
        "--innodb-buffer-pool-size=256M".to_owned(),
        "--skip-name-resolve".to_owned(),
        "--character-set-server=utf8mb4".to_owned(),
        "--max-allowed-packet=256M".to_owned(),
    ]
    .map(OsString::from)
    .to_vec()
}

pub(crate) fn ssl_args(certificates: &Certificates) -> [OsString; 3] {
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    [
        option("--ssl-ca=", &certificates.ca()),
        option("--ssl-cert=", &certificates.cert()),
        option("--ssl-key=", &certificates.key()),
    ]
}

/// A data directory fresh from `mariadb-install-db` (2 s), made once per version and copied from then on.
fn template(program: &Path, account: Option<&Account>) -> anyhow::Result<std::path::PathBuf> {
    let version = locate::version_of(program)?;
    cache::template(&cache::folder_name("data", &version), |building| {
        if let Some(account) = account {
            account.own(building)?;
        }
        let home = locate::home_of(program);
        let mut args = vec![OsString::from("--no-defaults")];
        if home != Path::new("/usr") {
            args.push(format!("--basedir={}", home.display()).into());
        }
        args.push(format!("--datadir={}", building.display()).into());
        args.extend(
            ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"].map(OsString::from),
        );
        let install = Launch {
            program: locate::companion(program, "mariadb-install-db")?,
            args,
            folder: building.to_path_buf(),
            output: building.with_extension("log"),
            account: account.cloned(),
            lifetime: crate::Lifetime::WithParent,
        };
        install.run().context("make MariaDB's first data directory")
    })
}
