//! Words that mark unfinished work.

use super::{Tree, Violation};

/// Put together, so that this file does not hold them.
const WORDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACROS: [&str; 2] = [concat!("todo", "!"), concat!("unimplemented", "!")];
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
    fn words_that_only_contain_one_are_free() {
        let text = format!("{}NT and METHOD_{} and todo lists\n", WORDS[0], WORDS[0]);
        assert_eq!(unfinished(&Tree::of(&[("a.rs", &text)])), []);
        assert_eq!(unfinished(&Tree::of(&[("Cargo.lock", WORDS[0])])), []);
    }
}
