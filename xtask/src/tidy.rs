//! The house rules that neither rustc, clippy nor rustfmt knows.
//!
//! Owns: the list of checks, and how a violation is shown.
//! Does not own: the rules, each of which is a pure function of a [`Tree`] in a file below.
//!
//! Invariant: every check has a test with a sample that violates it: a check that cannot fail is not one.

mod catalogue;
mod crates;
mod documents;
mod lengths;
mod mutations;
mod names;
mod rust;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

/// One breach of a rule, shown as `path:line: sentence`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    sentence: String,
}

impl Violation {
    fn new(path: &str, line: usize, sentence: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, sentence: sentence.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.sentence)
    }
}

/// A text file of the repository.
#[derive(Debug, Clone)]
struct File {
    /// From the root, with slashes.
    path: String,
    text: String,
}

/// All text files that are, or are about to be, in the repository.
#[derive(Debug, Clone, Default)]
struct Tree {
    files: Vec<File>,
}

impl Tree {
    fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut list = Command::new("git");
        // New files too, since a rule broken before the first commit is as broken.
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let names = shell::output(&mut list)?;
        let mut files = Vec::new();
        for path in names.split('\0').filter(|name| !name.is_empty()) {
            // A file may be deleted and not yet committed so; one that is not UTF-8 has no lines to check.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path: path.to_owned(), text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Tree { files })
    }

    fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files in a folder, by their name in it; not those in folders below.
    fn folder<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files.iter().filter_map(move |file| {
            let name = file.path.strip_prefix(folder)?.strip_prefix('/')?;
            (!name.contains('/')).then_some((name, file))
        })
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() });
        Tree { files: files.collect() }
    }
}

/// A test's own file: in a folder `tests` that is not the home of a crate's sources, or named `tests.rs`.
fn is_test_file(path: &str) -> bool {
    let mut folders = path.split('/').rev();
    let name = folders.next().unwrap_or_default();
    let nearest = folders.find(|folder| matches!(*folder, "tests" | "src"));
    name == "tests.rs" || nearest == Some("tests")
}

pub(crate) fn run() -> anyhow::Result<()> {
    let root = shell::root()?;
    let tree = Tree::read(&root)?;
    let packages =
        crates::packages(&shell::metadata(&root, &["--no-deps"])?, &root).context("list the workspace's crates")?;
    let mut violations = [
        crates::edges(&packages, &tree),
        lengths::check(&tree),
        mutations::check(&tree),
        names::headers(&tree),
        names::files(&tree),
        catalogue::metrics(&tree, &packages),
        documents::faults(&tree),
        documents::decisions(&tree),
        documents::changes(&tree),
        words::unfinished(&tree),
        words::built_in(&tree),
    ]
    .concat();
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!("tidy: {} violations in {} files read", violations.len(), tree.files.len());
    }
    println!("tidy: {} files are in order", tree.files.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_shown_so_that_an_editor_can_jump_to_it() {
        assert_eq!(Violation::new("a/b.rs", 3, "It is too long.").to_string(), "a/b.rs:3: It is too long.");
    }

    #[test]
    fn sources_of_a_crate_below_tests_are_no_tests() {
        assert!(is_test_file("crates/limpid-mysql/tests/order.rs"));
        assert!(is_test_file("crates/limpid-mysql/src/rows/tests.rs"));
        assert!(!is_test_file("tests/stack/src/kafka.rs"));
        assert!(is_test_file("tests/stack/tests/servers.rs"));
        assert!(!is_test_file("xtask/src/main.rs"));
    }
}
