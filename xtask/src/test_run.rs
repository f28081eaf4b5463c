//! `cargo xtask test`: everything that must hold before a change goes in, in the order of what fails cheapest.
//!
//! Owns: the steps, their times, and the totals at the end.
//! Does not own: what a step checks.
//!
//! Invariant: the totals are the test runners' own lines, added up; nothing is counted here that libtest did not count.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::{licences, shell, tidy};

/// Clippy, build and test share one profile, so that dependencies compile once for the last two.
const PROFILE: [&str; 4] = ["--workspace", "--profile", "ci", "--locked"];

pub(crate) fn run() -> anyhow::Result<()> {
    let root = shell::root()?;
    let mut outcome = Outcome::default();
    let done = steps(&root, &mut outcome);
    outcome.show();
    done
}

fn steps(root: &Path, outcome: &mut Outcome) -> anyhow::Result<()> {
    step("fmt", || shell::run(shell::cargo().args(["fmt", "--all", "--check"]).current_dir(root)))?;
    step("tidy", tidy::run)?;
    step("licences", licences::run)?;
    let clippy = ["--all-targets", "--", "-D", "warnings"];
    step("clippy", || shell::run(shell::cargo().arg("clippy").args(PROFILE).args(clippy).current_dir(root)))?;
    // The same targets as the tests want, in one go, so that the binary is not built a second time with other features.
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    step("build", || shell::run(shell::cargo().arg("build").args(PROFILE).args(targets).current_dir(root)))?;
    let mut command = shell::cargo();
    // All of them, even after a failure: the totals are of the whole.
    command.arg("test").args(PROFILE).arg("--no-fail-fast").current_dir(root);
    if let Some(binary) = binary(root)? {
        command.env("LIMPID_BIN", binary);
    }
    step("test", || test(&mut command, outcome))
}

/// Runs a step, and says how long it took and which one it was if it failed.
fn step(name: &str, body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("step {name}");
    let start = Instant::now();
    let done = body();
    println!("step {name}: {:.1} s", start.elapsed().as_secs_f64());
    done.with_context(|| format!("step {name} failed"))
}

/// The `limpid` binary that end-to-end tests drive, once the workspace has such a package.
fn binary(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    let metadata = shell::metadata(root, &["--no-deps"])?;
    let packages = metadata["packages"].as_array().context("find the packages")?;
    if !packages.iter().any(|package| package["name"] == "limpid") {
        return Ok(None);
    }
    let target = metadata["target_directory"].as_str().context("find the target folder")?;
    let path = Path::new(target).join("ci/limpid");
    ensure!(path.is_file(), "the build made no {}", path.display());
    Ok(Some(path))
}

fn test(command: &mut Command, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("start cargo test")?;
    let stdout = BufReader::new(child.stdout.take().context("open the output of cargo test")?);
    for line in stdout.split(b'\n') {
        let line = line.context("read the output of cargo test")?;
        let text = String::from_utf8_lossy(&line);
        // A closed pipe on our side must not stop the tests half way.
        let _ = writeln!(std::io::stdout(), "{text}");
        outcome.take(&text);
    }
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() {
        bail!("cargo test ended with {status}");
    }
    ensure!(outcome.passed > 0, "not a single test ran");
    Ok(())
}

/// What the test runners said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    lines: Vec<String>,
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Outcome {
    /// Takes a line such as `test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...`.
    fn take(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "filtered out" => self.skipped += number,
                _ => {}
            }
        }
        self.lines.push(line.to_owned());
    }

    /// Nothing when the run did not come as far as the tests: zeros would look like a result.
    fn show(&self) {
        if self.lines.is_empty() {
            return;
        }
        for line in &self.lines {
            println!("{line}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_sum_of_all_result_lines() {
        let mut outcome = Outcome::default();
        for line in [
            "running 9 tests",
            "test a::test result: x ... ok",
            "test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            "test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
        ] {
            outcome.take(line);
        }
        assert_eq!((outcome.passed, outcome.failed, outcome.skipped, outcome.lines.len()), (11, 4, 3, 2));
    }

    #[test]
    fn a_failed_step_is_named() {
        let error = step("clippy", || bail!("a lint")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step clippy failed: a lint");
    }
}
