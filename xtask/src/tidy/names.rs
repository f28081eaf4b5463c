//! How files are called and how they begin.

use super::{Tree, Violation};

/// Where no noun fits, the boundary is wrong.
const NO_NOUN: [&str; 8] = ["common", "util", "utils", "helpers", "misc", "types", "core", "manager"];

/// Every Rust file says first what it owns.
pub(super) fn headers(tree: &Tree) -> Vec<Violation> {
    let without = tree.rust().filter(|file| !file.text.starts_with("//!"));
    without.map(|file| Violation::new(&file.path, 1, "The file does not open with a `//!` comment.")).collect()
}

/// No file, and no folder of sources, has a name that could hold anything; and there is one module style.
pub(super) fn files(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust() {
        let mut parts = file.path.split('/').rev();
        let name = parts.next().unwrap_or_default();
        let stem = name.strip_suffix(".rs").unwrap_or(name);
        if stem == "mod" {
            violations.push(Violation::new(&file.path, 1, "One module style: `foo.rs` beside `foo/`, never `mod.rs`."));
        }
        let folders = parts.take_while(|part| *part != "src" && *part != "tests");
        for name in std::iter::once(stem).chain(folders).filter(|name| NO_NOUN.contains(name)) {
            violations.push(Violation::new(
                &file.path,
                1,
                format!("`{name}` names nothing: find the noun, or another boundary."),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_opening_comment_is_found() {
        let tree = Tree::of(&[("a.rs", "//! Owns a.\n"), ("b.rs", "/// Not it.\nfn b() {}\n"), ("c.md", "")]);
        assert_eq!(headers(&tree), [Violation::new("b.rs", 1, "The file does not open with a `//!` comment.")]);
    }

    #[test]
    fn names_that_could_hold_anything_are_found() {
        let refused = ["crates/a/src/mod.rs", "crates/a/src/utils.rs", "crates/a/src/core/row.rs", "tests/x/common.rs"];
        for path in refused {
            assert_eq!(files(&Tree::of(&[(path, "")])).len(), 1, "{path}");
        }
        let fine = ["crates/a/src/rows.rs", "crates/core/src/lib.rs", "docs/common.md", "crates/a/src/commonplace.rs"];
        for path in fine {
            assert_eq!(files(&Tree::of(&[(path, "")])), [], "{path}");
        }
    }
}
