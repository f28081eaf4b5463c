//! `cargo xtask demo`: the main job, seen working in a minute.
//!
//! Owns: the order of the show, what is printed, the exit code. Does not own: the shop (`shop`), the comparison
//! (`proof`), the servers (`limpid-stack`).
//!
//! Invariant: it ends with 0 only if rows arrived and the topics fold to exactly what the tables hold; every process
//! it started is gone at its end. On a terminal and elsewhere it prints the same plain lines.

mod follow;
mod proof;
mod shop;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use limpid_stack::{TempDir, kafka, mariadb, ports};
use serde_json::Value;

use crate::shell;
use shop::Shop;

/// How long rows flow, unless `DEMO_SECONDS` says otherwise.
const SECONDS: u64 = 60;

/// A pipeline starts within a second; after so long it will not.
const START_MAX: Duration = Duration::from_secs(30);

/// Catching up after the last write takes well under a second; a drain ends within 25.
const END_MAX: Duration = Duration::from_secs(30);

/// Of a record's text: its key and the row, before the source block begins.
const RECORD_SHOWN: usize = 150;

pub(crate) fn run() -> anyhow::Result<()> {
    let seconds = match std::env::var("DEMO_SECONDS") {
        Ok(text) => text.parse().ok().filter(|seconds| *seconds > 0).context("DEMO_SECONDS is a number of seconds")?,
        Err(_) => SECONDS,
    };
    println!("Building limpid ...");
    let binary = build()?;
    println!("Starting a MariaDB and an Apache Kafka of the demo's own ...");
    let server = mariadb::start(&mariadb::Options::default())?;
    let broker = kafka::start(&kafka::Options::default())?;
    let dir = TempDir::new("demo")?;
    shop::create(&server)?;
    let file = write_pipeline(dir.path(), &server, &broker)?;
    let listen = ports::lease()?;
    let address = format!("127.0.0.1:{}", listen.port());
    drop(listen);
    println!("\n{}\n$ limpid run shop.yaml --listen {address}\n", std::fs::read_to_string(&file)?);
    let mut limpid = Limpid::start(&binary, &file, dir.path(), &address)?;
    limpid.wait_until_running()?;
    let shop = Shop::open(&server)?;
    watch(&limpid, &broker, &shop, Duration::from_secs(seconds))?;
    let statements = shop.close()?;
    limpid.wait_until_caught_up()?;
    println!("\nThe writers have stopped after {statements} transactions; everything read is delivered.");
    follow::one_order(&mut limpid, &server, &broker)?;
    println!("\nComparing each topic, folded on its keys, with its table ...");
    let rows = proof::compare(&server, &broker)?;
    let told = limpid.metric("gravity_scheduler_output_counter")?;
    let code = limpid.stop()?;
    ensure!(code == Some(0), "limpid ended with {code:?}; its log: {}", limpid.log_tail());
    println!(
        "\nEqual: {rows} rows in {} tables, {told} changes on the way, and limpid ended with 0.",
        shop::TABLES.len()
    );
    println!("\nWhere to look next:");
    println!("  README.md                 a pipeline file of your own, and the grants it needs");
    println!("  limpid status             where a running instance stands");
    println!("  http://{address}/metrics  while it runs: what Prometheus sees; every name is in docs/metrics.md");
    println!("  docs/faults/              what each error code means, and what to do");
    Ok(())
}

/// The binary of the tests' profile: what CI built is used again.
fn build() -> anyhow::Result<PathBuf> {
    let root = shell::root()?;
    shell::run(
        shell::cargo().args(["build", "--quiet", "--locked", "--profile", "ci", "-p", "limpid"]).current_dir(&root),
    )?;
    let metadata = shell::metadata(&root, &["--no-deps"])?;
    let target = metadata["target_directory"].as_str().context("cargo names its target folder")?;
    Ok(Path::new(target).join("ci/limpid"))
}

fn write_pipeline(dir: &Path, server: &mariadb::Server, broker: &kafka::Server) -> anyhow::Result<PathBuf> {
    let file = dir.join("shop.yaml");
    let yaml = format!(
        "name: demo\n\
         source:\n  type: mysql\n  url: mysql://127.0.0.1:{}\n  user: limpid\n  password: ${{env:DB_PASSWORD}}\n  \
         tables: [\"shop.*\"]\n  snapshot: initial\n\
         sink:\n  type: kafka\n  brokers: [\"{}\"]\n  format: debezium-json\n  decimal-handling: string\n  \
         topic-creation: {{ partitions: 3 }}\n  delivery: at-least-once\n\
         on-row-error: park-key\n",
        server.port(),
        broker.bootstrap()
    );
    std::fs::write(&file, yaml).context("write the pipeline file")?;
    Ok(file)
}

/// A line every two seconds, and some records as any consumer sees them.
fn watch(limpid: &Limpid, broker: &kafka::Server, shop: &Shop, time: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut shown = false;
    let (mut last, mut last_at) = (0, start);
    while start.elapsed() < time {
        std::thread::sleep(Duration::from_secs(2).min(time));
        let status = limpid.status()?;
        let pipeline = &status["pipelines"][0];
        let delivered = pipeline["rows_delivered"].as_u64().context("limpid tells how many rows it delivered")?;
        let rate = (delivered - last) as f64 / last_at.elapsed().as_secs_f64();
        (last, last_at) = (delivered, Instant::now());
        let bytes = pipeline["lag_bytes"].as_u64().map_or("?".to_owned(), |bytes| bytes.to_string());
        println!(
            "{:>3} s  {:>6} transactions written  {delivered:>7} rows delivered  {rate:>6.0} rows/s  {bytes:>6} bytes behind  \
             {} ms late (median)  {}",
            start.elapsed().as_secs(),
            shop.transactions(),
            limpid.median_ms().unwrap_or_else(|_| "?".into()),
            pipeline["position"].as_str().unwrap_or_default(),
        );
        if !shown && delivered > 100 {
            shown = true;
            show_records(broker)?;
        }
    }
    ensure!(last > 0, "no row arrived");
    Ok(())
}

fn show_records(broker: &kafka::Server) -> anyhow::Result<()> {
    println!("\nThree records of demo.shop.orders, from Kafka's own console consumer:");
    let bootstrap = broker.bootstrap();
    let printed = broker.tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "demo.shop.orders",
            "--from-beginning",
            "--max-messages",
            "3",
            "--timeout-ms",
            "10000",
            "--property",
            "print.key=true",
        ],
    )?;
    for line in printed.lines().take(3) {
        let shown: String = line.chars().take(RECORD_SHOWN).collect();
        println!("  {shown}{}", if shown.len() < line.len() { " ..." } else { "" });
    }
    println!();
    Ok(())
}

/// The process that the demo shows.
struct Limpid {
    child: Child,
    binary: PathBuf,
    address: String,
    log: PathBuf,
}

impl Limpid {
    fn start(binary: &Path, file: &Path, dir: &Path, address: &str) -> anyhow::Result<Self> {
        let log = dir.join("limpid.log");
        let output = std::fs::File::create(&log)?;
        let child = Command::new(binary)
            .arg("run")
            .arg(file)
            .args(["--listen", address, "--data-dir"])
            .arg(dir.join("limpid-data"))
            .env("DB_PASSWORD", shop::PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .context("start limpid")?;
        Ok(Self { child, binary: binary.to_owned(), address: address.to_owned(), log })
    }

    /// What `limpid status` says.
    fn status(&self) -> anyhow::Result<Value> {
        let server = format!("http://{}", self.address);
        let text = shell::output(Command::new(&self.binary).args(["status", "--format", "json", "--server", &server]))?;
        serde_json::from_str(&text).context("read limpid's status")
    }

    /// What `limpid trace` says.
    fn trace(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let server = format!("http://{}", self.address);
        shell::output(Command::new(&self.binary).args(["trace", "demo", "--server", &server]).args(arguments))
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn wait_for(&mut self, what: &str, limit: Duration, holds: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("limpid ended with {status}: {}", self.log_tail());
            }
            if self.status().is_ok_and(|status| holds(&status["pipelines"][0])) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "limpid was not {what} within {limit:?}: {}", self.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_until_running(&mut self) -> anyhow::Result<()> {
        self.wait_for("running", START_MAX, |pipeline| pipeline["phase"] == "running")
    }

    /// Caught up with a look at the log's end that was taken after this call.
    fn wait_until_caught_up(&mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        self.wait_for("caught up", END_MAX, move |pipeline| {
            let fresh = pipeline["freshness_seconds"].as_f64().is_some_and(|age| age < asked.elapsed().as_secs_f64());
            fresh && pipeline["lag_bytes"] == 0
        })
    }

    fn page(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", self.address);
        shell::output(Command::new("curl").args(["--silent", "--fail", "--max-time", "5", &url]))
    }

    /// The value of a metric whose only label is the pipeline.
    fn metric(&self, name: &str) -> anyhow::Result<String> {
        let page = self.page()?;
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned).context(format!("{name} is on the page"))
    }

    /// The bound of the bucket that holds the median of the way from our socket to the acknowledgement.
    fn median_ms(&self) -> anyhow::Result<String> {
        let page = self.page()?;
        let buckets: Vec<(f64, f64)> = page
            .lines()
            .filter(|line| line.starts_with("gravity_process_time_latency_bucket{"))
            .filter_map(|line| {
                let bound = line.split("le=\"").nth(1)?.split('"').next()?.parse().ok()?;
                Some((bound, line.rsplit(' ').next()?.parse().ok()?))
            })
            .collect();
        let half = buckets.last().context("the histogram has buckets")?.1 / 2.0;
        let found =
            buckets.iter().find(|(_, count)| *count >= half && *count > 0.0).context("something was counted")?;
        Ok(format!("<= {}", found.0 * 1000.0))
    }

    /// SIGTERM, and the exit code after the drain.
    fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        // SAFETY: a signal to our own child, which was not waited for yet.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let end = Instant::now() + END_MAX;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            ensure!(Instant::now() < end, "limpid did not end within {END_MAX:?}: {}", self.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Limpid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
