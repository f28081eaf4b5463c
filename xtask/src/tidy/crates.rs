//! Which crate may build on which.
//!
//! Owns: the list of allowed edges. They point down only; a new edge is a line here that somebody reviews.
//! Does not own: dev- and build-dependencies: tests may look anywhere.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::{Tree, Violation};

/// Every crate of the workspace with what it may depend on, lowest first.
const ALLOWED: &[(&str, &[&str])] = &[
    ("limpid-model", &[]),
    ("limpid-config", &["limpid-model"]),
    ("limpid-telemetry", &["limpid-model"]),
    ("limpid-codec", &["limpid-model"]),
    ("limpid-connector", &["limpid-model", "limpid-config", "limpid-codec", "limpid-telemetry"]),
    ("limpid-state", &["limpid-model", "limpid-config", "limpid-codec", "limpid-telemetry"]),
    // Siblings, mutually unknown.
    ("limpid-transform", SIBLING),
    ("limpid-mysql", SIBLING),
    ("limpid-postgres", SIBLING),
    ("limpid-mongodb", SIBLING),
    ("limpid-kafka", SIBLING),
    ("limpid-file", SIBLING),
    // Neither imports a connector: the binary hands them in.
    ("limpid-engine", DATA_PLANE),
    ("limpid-verify", DATA_PLANE),
    ("limpid-migrate", CONTROL_PLANE),
    ("limpid-watch", CONTROL_PLANE),
    // It names no system: neither a connector nor the traits of one.
    (
        "limpid-server",
        &[
            "limpid-model",
            "limpid-config",
            "limpid-telemetry",
            "limpid-state",
            "limpid-engine",
            "limpid-verify",
            "limpid-migrate",
            "limpid-watch",
        ],
    ),
    (
        "limpid",
        &[
            "limpid-model",
            "limpid-config",
            "limpid-telemetry",
            "limpid-codec",
            "limpid-connector",
            "limpid-state",
            "limpid-transform",
            "limpid-mysql",
            "limpid-postgres",
            "limpid-mongodb",
            "limpid-kafka",
            "limpid-file",
            "limpid-engine",
            "limpid-verify",
            "limpid-migrate",
            "limpid-watch",
            "limpid-server",
        ],
    ),
    // Measures the data plane; nothing depends on it.
    (
        "limpid-bench",
        &["limpid-model", "limpid-connector", "limpid-codec", "limpid-mysql", "limpid-kafka", "limpid-engine"],
    ),
    ("limpid-stack", &[]),
    // An oracle that linked the product could share its mistakes: of the engine it takes the names of its failpoints.
    ("limpid-e2e", &["limpid-stack", "limpid-engine"]),
    ("xtask", &["limpid-stack"]),
];

const SIBLING: &[&str] = &["limpid-model", "limpid-config", "limpid-codec", "limpid-telemetry", "limpid-connector"];
const DATA_PLANE: &[&str] = &[
    "limpid-model",
    "limpid-config",
    "limpid-codec",
    "limpid-telemetry",
    "limpid-connector",
    "limpid-state",
    "limpid-transform",
];
const CONTROL_PLANE: &[&str] = &[
    "limpid-model",
    "limpid-config",
    "limpid-codec",
    "limpid-telemetry",
    "limpid-connector",
    "limpid-state",
    "limpid-transform",
    "limpid-engine",
    "limpid-verify",
];

/// A crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// Its `Cargo.toml`, from the root.
    manifest: String,
    /// Names of the crates that it depends on outside tests and build scripts.
    dependencies: Vec<String>,
}

#[cfg(test)]
impl Package {
    pub(super) fn named(name: &str) -> Package {
        Package { name: name.to_owned(), manifest: "Cargo.toml".to_owned(), dependencies: Vec::new() }
    }
}

/// The crates in the output of `cargo metadata --no-deps`.
pub(super) fn packages(metadata: &Value, root: &Path) -> anyhow::Result<Vec<Package>> {
    let list = metadata["packages"].as_array().context("find the packages")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("read a name");
    list.iter()
        .map(|package| {
            let manifest = text(&package["manifest_path"])?;
            let own = Path::new(&manifest).strip_prefix(root).unwrap_or(Path::new(&manifest));
            let dependencies = package["dependencies"].as_array().context("find the dependencies")?;
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            Ok(Package {
                name: text(&package["name"])?,
                manifest: own.display().to_string(),
                dependencies: normal.map(|dependency| text(&dependency["name"])).collect::<anyhow::Result<_>>()?,
            })
        })
        .collect()
}

pub(super) fn edges(packages: &[Package], tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            let sentence =
                format!("{} has no line in the list of allowed edges (xtask/src/tidy/crates.rs).", package.name);
            violations.push(Violation::new(&package.manifest, 1, sentence));
            continue;
        };
        for dependency in &package.dependencies {
            let own = packages.iter().any(|other| other.name == *dependency);
            if own && !allowed.contains(&dependency.as_str()) {
                let manifest = tree.file(&package.manifest).map(|file| file.text.as_str()).unwrap_or_default();
                let line =
                    manifest.lines().position(|line| line.starts_with(dependency.as_str())).map_or(1, |line| line + 1);
                let sentence = format!(
                    "{} may not depend on {dependency}: edges point down (xtask/src/tidy/crates.rs).",
                    package.name
                );
                violations.push(Violation::new(&package.manifest, line, sentence));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, dependency: &str, kind: &str) -> Vec<String> {
        let text = format!(
            r#"{{"packages": [
                {{"name": "{name}", "manifest_path": "/r/a/Cargo.toml", "dependencies": [
                    {{"name": "serde", "kind": null}}, {{"name": "{dependency}", "kind": {kind}}}]}},
                {{"name": "{dependency}", "manifest_path": "/r/b/Cargo.toml", "dependencies": []}}]}}"#
        );
        let packages = packages(&serde_json::from_str(&text).unwrap(), Path::new("/r")).unwrap();
        let manifest = format!("[dependencies]\nserde = \"1\"\n{dependency}.workspace = true\n");
        edges(&packages, &Tree::of(&[("a/Cargo.toml", &manifest)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_upwards_or_sideways_is_refused_at_its_line() {
        let up = check("limpid-model", "limpid-engine", "null");
        assert_eq!(
            up,
            [
                "a/Cargo.toml:3: limpid-model may not depend on limpid-engine: edges point down (xtask/src/tidy/crates.rs)."
            ]
        );
        assert_eq!(check("limpid-mysql", "limpid-kafka", "null").len(), 1);
        assert_eq!(check("limpid-engine", "limpid-mysql", "null").len(), 1);
    }

    #[test]
    fn edges_down_and_those_of_tests_are_free() {
        assert_eq!(check("limpid-mysql", "limpid-connector", "null"), [""; 0]);
        assert_eq!(check("limpid-mysql", "limpid-stack", "\"dev\""), [""; 0]);
    }

    #[test]
    fn a_crate_that_nobody_placed_is_refused() {
        assert_eq!(check("limpid-odd", "limpid-model", "null").len(), 1);
    }

    #[test]
    fn the_list_itself_points_down() {
        for (place, (name, allowed)) in ALLOWED.iter().enumerate() {
            for lower in *allowed {
                assert!(ALLOWED[..place].iter().any(|(other, _)| other == lower), "{name} -> {lower}");
            }
        }
    }
}
