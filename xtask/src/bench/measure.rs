//! Contenders as whole processes, and what the kernel says of each.
//!
//! Owns: command lines, CPU seconds, peak memory, counting rows at the sink. Does not own: what is compared with what.
//!
//! Invariant: a contender that ends with an error or delivers another number of rows is no figure but a failure.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use limpid_stack::kafka::Isolation;

use super::Bench;
use super::load::Load;

/// One run of one contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_mib: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s, CPU {:.3} s, {:.0} MiB", self.wall, self.cpu, self.peak_mib)
    }
}

/// A command to be measured.
pub(crate) struct Contender {
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// A topic that must hold so many records afterwards.
    topic: Option<(String, u64)>,
}

impl Contender {
    pub(crate) fn run(&self, bench: &Bench) -> anyhow::Result<Figure> {
        let log = std::fs::File::create(bench.dir.path().join("contender.log"))?;
        let start = Instant::now();
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let (status, usage) = wait(child.id())?;
        let wall = start.elapsed().as_secs_f64();
        if status != 0 {
            let text = std::fs::read_to_string(bench.dir.path().join("contender.log")).unwrap_or_default();
            anyhow::bail!("{} ended with {status}: {text}", self.name);
        }
        if let (Some((topic, rows)), Some(broker)) = (&self.topic, &bench.broker) {
            let found = broker.count(topic, Isolation::ReadCommitted)?;
            ensure!(found == *rows, "{topic} holds {found} records, not {rows}");
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        Ok(Figure { wall, cpu, peak_mib: usage.ru_maxrss as f64 / 1024.0 })
    }
}

/// Waits for a child with the kernel's account of it.
fn wait(pid: u32) -> anyhow::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and both pointers outlive the call.
    let (found, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid as i32, &mut status, 0, &mut usage), usage)
    };
    ensure!(found == pid as i32, "wait for the contender: {}", std::io::Error::last_os_error());
    Ok((status, usage))
}

pub(crate) fn bare_reader(bench: &Bench, load: &Load, name: &str) -> Contender {
    Contender {
        name: name.to_owned(),
        program: bench.release.join("bare_reader"),
        arguments: vec![bench.server.port().to_string(), load.file.clone()],
        topic: None,
    }
}

pub(crate) fn mariadb_binlog(bench: &Bench, load: &Load, name: &str, options: &[&str]) -> Contender {
    let port = bench.server.port();
    let mut arguments = vec!["--no-defaults".to_owned(), "-R".into(), "-h127.0.0.1".into(), "-uroot".into()];
    arguments.push(format!("-P{port}"));
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    if options.contains(&"--raw") {
        arguments.push(format!("--result-file={}/", bench.dir.path().display()));
    }
    arguments.push(load.file.clone());
    Contender { name: name.to_owned(), program: "mariadb-binlog".into(), arguments, topic: None }
}

/// A pipeline of its own from the load's file to its end. `pipeline` names it, its state and its topics.
pub(crate) fn limpid(
    bench: &Bench,
    load: &Load,
    name: &str,
    pipeline: &str,
    topic: Option<String>,
    sink: &str,
) -> anyhow::Result<Contender> {
    let pipeline = format!("{}{pipeline}", if topic.is_some() { "" } else { load.table.as_str() });
    let port = bench.server.port();
    let file = bench.dir.path().join(format!("{pipeline}.yaml"));
    let yaml = format!(
        "name: {pipeline}\nsource:\n  type: mysql\n  url: mysql://root:@127.0.0.1:{port}\n  snapshot: never\n  \
         start: \"file:{}:4\"\n  tables: [\"bench.{}\"]\n  tls: {{ mode: disabled }}\n\
         sink: {{ {sink}, delivery: at-least-once }}\non-row-error: halt-table\n",
        load.file, load.table
    );
    std::fs::write(&file, yaml)?;
    let state = bench.dir.path().join(format!("{pipeline}-state"));
    let end = bench.server.sql("show master status")?;
    let mut place = end.split('\t');
    let (end_file, end_offset) = (place.next().unwrap_or_default(), place.next().unwrap_or_default());
    ensure!(!end_file.is_empty() && !end_offset.is_empty(), "the server names its position");
    let arguments = ["run".to_owned(), file.display().to_string(), "--data-dir".into(), state.display().to_string()];
    let mut arguments = arguments.to_vec();
    arguments.extend(["--until".to_owned(), "caught-up".into()]);
    let topic = topic.map(|topic| (topic, load.rows));
    Ok(Contender { name: name.to_owned(), program: bench.release.join("limpid"), arguments, topic })
}

/// The same number of records of the same size by librdkafka and nothing else.
pub(crate) fn librdkafka(bench: &Bench, name: &str, topic: &str) -> anyhow::Result<Contender> {
    let broker = bench.broker.as_ref().context("the broker runs")?;
    broker.create_topic(topic, 1, &[])?;
    Ok(Contender {
        name: name.to_owned(),
        program: bench.release.join("librdkafka_alone"),
        arguments: vec![broker.bootstrap(), topic.to_owned()],
        topic: Some((topic.to_owned(), 1_000_000)),
    })
}
