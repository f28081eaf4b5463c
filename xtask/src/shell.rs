//! Runs the tools that the chores are made of.
//!
//! Owns: where the repository is, and how a failed tool is reported.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// The repository's root: the folder above this crate's.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let own =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").context("find the repository: run as `cargo xtask`")?);
    Ok(own.parent().context("find the repository above xtask")?.to_path_buf())
}

/// The cargo that runs us, so that a `+toolchain` is kept.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a tool with its output shown.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = words(command);
    let status = command.status().with_context(|| format!("run {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// Runs a tool and returns what it prints.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = words(command);
    let output = command.output().with_context(|| format!("run {name}"))?;
    if !output.status.success() {
        bail!("{name} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("read the output of {name}"))
}

/// `cargo metadata`, with or without the dependencies.
pub(crate) fn metadata(root: &Path, args: &[&str]) -> anyhow::Result<Value> {
    let text = output(cargo().args(["metadata", "--format-version", "1"]).args(args).current_dir(root))?;
    serde_json::from_str(&text).context("read cargo's metadata")
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
