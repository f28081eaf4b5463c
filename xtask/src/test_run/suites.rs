//! The test programs that cargo builds, two of them at a time.
//!
//! Owns: which programs there are, in which order they run and beside what, where their output goes.
//! Does not own: what they print (`test_run` adds it up).
//!
//! Invariant: every test program of the workspace runs once, whatever fails before it; the output of one is never mixed
//! with another's.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::shell;

/// End-to-end suites wait for servers for a third of their time, so two of them share two cores well.
const AT_ONCE: usize = 2;

/// Run after all others and by themselves: they compare what is told of lag with a clock, second by second, and a machine
/// that is full makes the truth itself jump.
const ALONE: [&str; 1] = ["lag_truth"];

/// The longest first, so that the last minute is not one suite's. What is not named follows.
const LONG: [&str; 6] = ["sink", "xa", "snapshot", "servers", "dead_letters", "crash"];

/// One test program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    /// The package and the target, as `limpid-e2e/xa`.
    pub(super) name: String,
    program: PathBuf,
    /// The folder of its package, where cargo would run it.
    folder: PathBuf,
}

/// How one ended, with all that it printed.
pub(super) struct Ran {
    pub(super) suite: Suite,
    pub(super) took: Duration,
    pub(super) text: String,
    pub(super) status: std::io::Result<ExitStatus>,
}

impl Suite {
    fn target(&self) -> &str {
        self.name.split_once('/').map_or(&*self.name, |(_, target)| target)
    }

    fn is_alone(&self) -> bool {
        ALONE.contains(&self.target())
    }

    /// Lower is earlier.
    fn rank(&self) -> usize {
        LONG.iter().position(|long| *long == self.target()).unwrap_or(LONG.len())
    }

    fn run(&self, log: &Path, env: &[(&str, PathBuf)]) -> std::io::Result<ExitStatus> {
        let out = File::create(log)?;
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).stdin(Stdio::null());
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command.stdout(out.try_clone()?).stderr(out).status()
    }
}

/// The test programs, as cargo tells of them once it has built them.
pub(super) fn find(cargo: &mut Command) -> anyhow::Result<Vec<Suite>> {
    let told = shell::output(cargo.args(["--no-run", "--message-format", "json"]))?;
    let mut suites: Vec<Suite> = told.lines().filter_map(suite).collect();
    ensure!(!suites.is_empty(), "cargo built no test program");
    suites.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| a.name.cmp(&b.name)));
    Ok(suites)
}

/// A line of cargo's that tells of a test program.
fn suite(line: &str) -> Option<Suite> {
    let told: Value = serde_json::from_str(line).ok()?;
    let program = told["executable"].as_str().filter(|_| told["profile"]["test"] == true)?;
    let folder = Path::new(told["manifest_path"].as_str()?).parent()?;
    let package = folder.file_name()?.to_str()?;
    let target = told["target"]["name"].as_str()?;
    Some(Suite { name: format!("{package}/{target}"), program: program.into(), folder: folder.into() })
}

/// Runs all of them, and tells of each as it ends. `logs` is a folder for their output.
pub(super) fn run(
    suites: Vec<Suite>,
    logs: &Path,
    env: &[(&str, PathBuf)],
    mut tell: impl FnMut(&Ran),
) -> anyhow::Result<()> {
    std::fs::create_dir_all(logs).with_context(|| format!("make {}", logs.display()))?;
    let (alone, beside): (Vec<Suite>, Vec<Suite>) = suites.into_iter().partition(Suite::is_alone);
    for (suites, at_once) in [(beside, AT_ONCE), (alone, 1)] {
        let waiting = Mutex::new(VecDeque::from(suites));
        std::thread::scope(|scope| {
            let (ended, ends) = mpsc::channel();
            for _ in 0..at_once {
                let (ended, waiting) = (ended.clone(), &waiting);
                scope.spawn(move || {
                    let next = || waiting.lock().expect("never held across a panic").pop_front();
                    while let Some(suite) = next() {
                        // A closed channel: nobody is told any more, and the rest need not run.
                        if ended.send(one(suite, logs, env)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(ended);
            ends.iter().for_each(|ran| tell(&ran));
        });
    }
    Ok(())
}

fn one(suite: Suite, logs: &Path, env: &[(&str, PathBuf)]) -> Ran {
    let log = logs.join(format!("{}.log", suite.name.replace('/', "-")));
    let start = Instant::now();
    let status = suite.run(&log, env);
    let text = std::fs::read(&log).map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).into());
    Ran { suite, took: start.elapsed(), text, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of cargo 1.90, shortened.
    const TOLD: [&str; 4] = [
        r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/e2e/Cargo.toml","target":{"kind":["test"],"name":"xa"},"profile":{"test":true},"executable":"/t/xa-1"}"#,
        r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/limpid/Cargo.toml","target":{"kind":["bin"],"name":"limpid"},"profile":{"test":false},"executable":"/t/limpid"}"#,
        r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/a/Cargo.toml","target":{"kind":["lib"],"name":"a"},"profile":{"test":false},"executable":null}"#,
        r#"{"reason":"build-finished","success":true}"#,
    ];

    #[test]
    fn only_test_programs_are_suites() {
        let suites: Vec<Suite> = TOLD.into_iter().filter_map(suite).collect();
        let xa = Suite { name: "e2e/xa".into(), program: "/t/xa-1".into(), folder: "/w/tests/e2e".into() };
        assert_eq!(suites, [xa]);
    }

    #[test]
    fn each_runs_once_and_a_failure_stops_no_other() {
        let logs = std::env::temp_dir().join(format!("limpid-suites-{}", std::process::id()));
        let made = |name: &str, program: &str| Suite {
            name: format!("p/{name}"),
            program: program.into(),
            folder: "/".into(),
        };
        let suites = vec![made("a", "/bin/false"), made("b", "/bin/pwd"), made("lag_truth", "/bin/true")];
        let mut ended = Vec::new();
        run(suites, &logs, &[], |ran| {
            let is_good = ran.status.as_ref().is_ok_and(ExitStatus::success);
            ended.push((ran.suite.name.clone(), is_good, ran.text.clone()));
        })
        .unwrap();
        assert_eq!(ended.pop(), Some(("p/lag_truth".into(), true, String::new())), "by itself, after the others");
        ended.sort();
        assert_eq!(ended, [("p/a".into(), false, String::new()), ("p/b".into(), true, "/\n".into())]);
        std::fs::remove_dir_all(logs).unwrap();
    }
}
