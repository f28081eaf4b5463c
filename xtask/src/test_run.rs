//! `cargo xtask test`: everything that must hold before a change goes in, in the order of what fails cheapest.
//!
//! Owns: the steps, their times, and the totals at the end.
//! Does not own: what a step checks, which test programs there are (`suites`).
//!
//! Invariant: the totals are the test runners' own lines, added up; nothing is counted here that libtest did not count.

mod suites;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, ensure};

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
    step("test", || test(root, outcome))?;
    // Examples in the documentation, which cargo alone can run.
    let mut doc = shell::cargo();
    doc.arg("test").args(PROFILE).arg("--doc").current_dir(root);
    step("doc", || examples(&mut doc, outcome))
}

/// Runs a step, and says how long it took and which one it was if it failed.
fn step(name: &str, body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("step {name}");
    let start = Instant::now();
    let done = body();
    println!("step {name}: {:.1} s", start.elapsed().as_secs_f64());
    done.with_context(|| format!("step {name} failed"))
}

/// Runs every test program, and all of them even after a failure: the totals are of the whole.
fn test(root: &Path, outcome: &mut Outcome) -> anyhow::Result<()> {
    let metadata = shell::metadata(root, &["--no-deps"])?;
    let target = Path::new(metadata["target_directory"].as_str().context("find the target folder")?).to_owned();
    let binary = target.join("ci/limpid");
    ensure!(binary.is_file(), "the build made no {}", binary.display());
    let found = suites::find(shell::cargo().arg("test").args(PROFILE).current_dir(root))?;
    let mut failed = Vec::new();
    suites::run(found, &target.join("suites"), &[("LIMPID_BIN", binary)], |ran| {
        let seconds = ran.took.as_secs_f64();
        // A closed pipe on our side must not stop the tests half way.
        let _ = writeln!(std::io::stdout(), "suite {}: {seconds:.1} s\n{}", ran.suite.name, ran.text);
        ran.text.lines().for_each(|line| outcome.take(line));
        if !ran.status.as_ref().is_ok_and(ExitStatus::success) {
            failed.push(format!("{} ({})", ran.suite.name, ended(&ran.status)));
        }
    })?;
    ensure!(failed.is_empty(), "these suites failed: {}", failed.join(", "));
    ensure!(outcome.passed > 0, "not a single test ran");
    Ok(())
}

fn ended(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn examples(command: &mut Command, outcome: &mut Outcome) -> anyhow::Result<()> {
    let output = command.output().context("run the documentation's examples")?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    text.lines().for_each(|line| outcome.take(line));
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
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
    use anyhow::bail;

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
