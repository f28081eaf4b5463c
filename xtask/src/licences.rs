//! Licences, banned crates and sources of every dependency, after `deny.toml`.
//!
//! Owns: a reading of the parts of cargo-deny's configuration that need no database, so that the check costs no
//! build of cargo-deny (15 minutes on two cores).
//! Does not own: advisories: they need cargo-deny and its database, and the run says so when it has neither.
//!
//! Invariant: `deny.toml` is the only list; `cargo deny check licenses bans sources` agrees with this.

mod expression;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;
use toml::Table;

use crate::licences::expression::allowed;
use crate::shell;

const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// What `deny.toml` says.
#[derive(Debug, Default)]
struct Policy {
    licences: Vec<String>,
    /// A crate and the licences that it alone may have.
    exceptions: Vec<(String, Vec<String>)>,
    /// A crate and why it is banned.
    banned: Vec<(String, String)>,
}

/// A package that is not ours.
#[derive(Debug)]
struct Dependency {
    name: String,
    version: String,
    source: String,
    /// An SPDX expression.
    licence: Option<String>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let root = shell::root()?;
    let text = std::fs::read_to_string(root.join("deny.toml")).context("read deny.toml")?;
    let policy = Policy::parse(&text)?;
    let dependencies = dependencies(&shell::metadata(&root, &["--locked"])?)?;
    let refused: Vec<String> = dependencies.iter().flat_map(|dependency| policy.judge(dependency)).collect();
    for sentence in &refused {
        println!("{sentence}");
    }
    if !refused.is_empty() {
        bail!("licences: {} objections to {} dependencies", refused.len(), dependencies.len());
    }
    println!("licences: {} dependencies are in order", dependencies.len());
    advisories(&root)
}

impl Policy {
    fn parse(text: &str) -> anyhow::Result<Policy> {
        let table: Table = text.parse().context("parse deny.toml")?;
        let licenses = table.get("licenses").context("find [licenses] in deny.toml")?;
        let licences = strings(licenses.get("allow")).context("read licenses.allow")?;
        let exceptions = rows(licenses.get("exceptions"), |row| Some((name_of(row)?, strings(row.get("allow"))?)));
        let bans = table.get("bans").context("find [bans] in deny.toml")?;
        let banned = rows(bans.get("deny"), |row| Some((name_of(row)?, row.get("reason")?.as_str()?.to_owned())));
        Ok(Policy {
            licences,
            exceptions: exceptions.context("read licenses.exceptions: each has a crate and an allow list")?,
            banned: banned.context("read bans.deny: each has a crate and a reason")?,
        })
    }

    /// Every objection to a dependency, as sentences.
    fn judge(&self, dependency: &Dependency) -> Vec<String> {
        let mut objections = Vec::new();
        if !CRATES_IO.contains(&dependency.source.as_str()) {
            objections.push(format!(
                "{dependency} comes from {}: only crates.io keeps what it has published.",
                dependency.source
            ));
        }
        if let Some((_, reason)) = self.banned.iter().find(|(name, _)| *name == dependency.name) {
            objections.push(format!("{dependency} is banned: {reason}"));
        }
        let own =
            self.exceptions.iter().filter(|(name, _)| *name == dependency.name).flat_map(|(_, licences)| licences);
        let may: Vec<&str> = self.licences.iter().chain(own).map(String::as_str).collect();
        match dependency.licence.as_deref().map(|licence| (licence, allowed(licence, &may))) {
            None => objections.push(format!(
                "{dependency} states no licence; read its files, then list it under licenses.exceptions."
            )),
            Some((_, Ok(true))) => {}
            Some((licence, Ok(false))) => {
                objections.push(format!("{dependency} has the licence {licence}, which deny.toml does not allow."))
            }
            Some((licence, Err(error))) => {
                objections.push(format!("{dependency} has the licence {licence}, which cannot be read: {error}."))
            }
        }
        objections
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

fn strings(value: Option<&toml::Value>) -> Option<Vec<String>> {
    value?.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// An array of tables; absent means empty.
fn rows<T>(value: Option<&toml::Value>, read: impl Fn(&Table) -> Option<T>) -> Option<Vec<T>> {
    let Some(value) = value else { return Some(Vec::new()) };
    value.as_array()?.iter().map(|row| read(row.as_table()?)).collect()
}

fn name_of(row: &Table) -> Option<String> {
    Some(row.get("crate").or_else(|| row.get("name"))?.as_str()?.to_owned())
}

/// Everything in the lock file that has a source: our own crates have none.
fn dependencies(metadata: &Value) -> anyhow::Result<Vec<Dependency>> {
    let packages = metadata["packages"].as_array().context("find the packages")?;
    let foreign = packages.iter().filter(|package| !package["source"].is_null());
    let text = |value: &Value| value.as_str().map(str::to_owned).context("read a package");
    foreign
        .map(|package| {
            Ok(Dependency {
                name: text(&package["name"])?,
                version: text(&package["version"])?,
                source: text(&package["source"])?,
                licence: package["license"].as_str().map(str::to_owned),
            })
        })
        .collect()
}

/// Runs cargo-deny's advisories where it and its database are at hand, and is loud where they are not.
fn advisories(root: &Path) -> anyhow::Result<()> {
    let installed = Command::new("cargo-deny").arg("--version").output().is_ok_and(|output| output.status.success());
    let home =
        std::env::var_os("CARGO_HOME").map(Into::into).or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let database = home.is_some_and(|home| {
        std::fs::read_dir(home.join("advisory-dbs")).is_ok_and(|mut entries| entries.next().is_some())
    });
    if !installed || !database {
        let lacking = if installed { "the advisory database" } else { "cargo-deny" };
        println!("NOT CHECKED: known vulnerabilities of dependencies, since {lacking} is not on this machine");
        return Ok(());
    }
    shell::run(Command::new("cargo-deny").args(["--offline", "check", "advisories"]).current_dir(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        exceptions = [{ crate = "ring", allow = ["ISC"] }]
        [bans]
        deny = [{ crate = "openssl", reason = "one TLS stack" }]
    "#;

    fn judged(name: &str, licence: Option<&str>, source: &str) -> Vec<String> {
        let dependency = Dependency {
            name: name.into(),
            version: "1.0.0".into(),
            source: source.into(),
            licence: licence.map(str::to_owned),
        };
        Policy::parse(POLICY).unwrap().judge(&dependency)
    }

    #[test]
    fn licences_bans_and_sources_are_each_refused() {
        assert_eq!(
            judged("a", Some("GPL-3.0-only"), CRATES_IO[0]),
            ["a 1.0.0 has the licence GPL-3.0-only, which deny.toml does not allow."]
        );
        assert_eq!(judged("openssl", Some("Apache-2.0"), CRATES_IO[0]), ["openssl 1.0.0 is banned: one TLS stack"]);
        assert_eq!(judged("a", Some("MIT"), "git+https://example.org/a").len(), 1);
        assert_eq!(judged("a", None, CRATES_IO[0]).len(), 1);
        assert_eq!(judged("a", Some("MIT OR"), CRATES_IO[0]).len(), 1);
    }

    #[test]
    fn an_exception_is_for_its_crate_alone() {
        assert_eq!(judged("ring", Some("Apache-2.0 AND ISC"), CRATES_IO[0]), [""; 0]);
        assert_eq!(judged("rang", Some("Apache-2.0 AND ISC"), CRATES_IO[0]).len(), 1);
    }

    #[test]
    fn a_ban_without_a_reason_is_no_policy() {
        let text = POLICY.replace(", reason = \"one TLS stack\"", "");
        assert!(Policy::parse(&text).is_err());
    }

    #[test]
    fn the_policy_of_this_repository_can_be_read() {
        let policy = Policy::parse(include_str!("../../deny.toml")).unwrap();
        assert!(policy.licences.contains(&"Apache-2.0".to_owned()));
    }
}
