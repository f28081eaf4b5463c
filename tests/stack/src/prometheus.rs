//! A Prometheus server that scrapes what a test tells it to.
//!
//! Owns: its configuration file and questions to its HTTP API.
//! Does not own: the process (`instance`).

use std::ffi::OsString;
use std::ops::Deref;

use anyhow::{Context, ensure};

use crate::instance::{Instance, Placement};
use crate::launch::Launch;
use crate::locate;
use crate::ready::{self, Probe};

/// What a Prometheus is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The text of `prometheus.yml`; by default nothing is scraped.
    pub config: String,
    /// Come last.
    pub extra_args: Vec<String>,
    /// Where it lives and how long.
    pub placement: Placement,
}

/// A running Prometheus that takes remote writes, exemplars and native histograms.
#[derive(Debug)]
pub struct Server {
    instance: Instance,
}

/// Starts a server and waits until it calls itself ready. Fails with [`crate::Unavailable`] where there is none.
pub fn start(options: &Options) -> anyhow::Result<Server> {
    let program = locate::prometheus()?;
    let (dir, lease) = options.placement.take("prometheus")?;
    let base = dir.path();
    std::fs::write(base.join("prometheus.yml"), &options.config).context("write Prometheus' configuration")?;
    let mut args: Vec<OsString> = [
        format!("--config.file={}", base.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", base.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{}", lease.port()),
        "--web.enable-lifecycle".to_owned(),
        "--web.enable-remote-write-receiver".to_owned(),
        "--enable-feature=exemplar-storage,native-histograms".to_owned(),
    ]
    .map(OsString::from)
    .to_vec();
    args.extend(options.extra_args.iter().map(OsString::from));
    let output = base.join("prometheus.log");
    let launch = Launch {
        program,
        args,
        folder: base.to_path_buf(),
        output,
        account: None,
        lifetime: options.placement.lifetime,
    };
    let instance = Instance::start("Prometheus", launch, Probe::Prometheus, lease, dir)?;
    Ok(Server { instance })
}

impl Server {
    /// `GET` of a path such as `/api/v1/targets`; the body, whatever the status that comes with it.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        ready::http(self.port(), "GET", path)
    }

    /// The JSON answer to an instant query.
    pub fn query(&self, expression: &str) -> anyhow::Result<String> {
        let (status, body) = self.get(&format!("/api/v1/query?query={}", percent_encoded(expression)))?;
        ensure!(status == 200, "Prometheus answers {status} to {expression}: {body}");
        Ok(body)
    }

    /// Replaces the configuration; fails when Prometheus does not take it.
    pub fn reload(&self, config: &str) -> anyhow::Result<()> {
        std::fs::write(self.dir().join("prometheus.yml"), config).context("write Prometheus' configuration")?;
        let (status, body) = ready::http(self.port(), "POST", "/-/reload")?;
        ensure!(status == 200, "Prometheus answers {status} to a reload: {body}");
        Ok(())
    }
}

impl Deref for Server {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
