//! Words that mark unfinished work, and paths of the machine that something was built on.

use super::{Tree, Violation};

/// Put together, so that this file does not hold them.
const WORDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACROS: [&str; 2] = [concat!("todo", "!"), concat!("unimplemented", "!")];
/// The folder that a crate was built in. A target folder may be kept while the checkout moves.
const BUILT_IN: &str = concat!("env!(\"CARGO", "_MANIFEST_DIR\")");
/// Written by tools, full of other people's words.
const GENERATED: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// What is left to do is an issue, not a comment.
pub(super) fn unfinished(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if GENERATED.contains(&name) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let found = WORDS
                .iter()
                .find(|word| has_word(line, word))
                .or_else(|| MACROS.iter().find(|word| line.contains(**word)));
            if let Some(word) = found {
                violations.push(Violation::new(
                    &file.path,
                    number + 1,
                    format!("`{word}` marks unfinished work: finish it, or open an issue."),
                ));
            }
        }
    }
    violations
}

/// A program that was built in another checkout, and is taken from a target folder that both use, must find this one's
/// files: cargo tells where they are when it runs something.
pub(super) fn built_in(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust() {
        for (number, _) in file.text.lines().enumerate().filter(|(_, line)| line.contains(BUILT_IN)) {
            violations.push(Violation::new(
                &file.path,
                number + 1,
                "this is where it was built, not where it runs: ask for the variable when it runs.",
            ));
        }
    }
    violations
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_part);
        let after = line[at + word.len()..].chars().next().is_some_and(is_part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found_in_any_file() {
        for word in WORDS.iter().chain(&MACROS) {
            let text = format!("a\n// {word}: later\n");
            assert_eq!(unfinished(&Tree::of(&[("docs/a.md", &text)])).len(), 1, "{word}");
        }
    }

    #[test]
    fn the_folder_of_the_build_is_found() {
        let text = format!("let a = 1;\nlet path = {BUILT_IN};\n");
        let found = built_in(&Tree::of(&[("crates/a/src/lib.rs", &text), ("docs/a.md", &text)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(built_in(&Tree::of(&[("crates/a/src/lib.rs", "env!(\"CARGO_PKG_VERSION\")")])), []);
    }

    #[test]
    fn words_that_only_contain_one_are_free() {
        let text = format!("{}NT and METHOD_{} and todo lists\n", WORDS[0], WORDS[0]);
        assert_eq!(unfinished(&Tree::of(&[("a.rs", &text)])), []);
        assert_eq!(unfinished(&Tree::of(&[("Cargo.lock", WORDS[0])])), []);
    }
}
