//! Documents that must keep in step with the code or with each other.

use super::rust::Source;
use super::{Tree, Violation};

const CODES: &str = "crates/limpid-model/src/fault.rs";
const PAGES: &str = "docs/faults";
const HEADINGS: [&str; 3] = ["## What", "## Why", "## Do this"];
const DECISIONS: &str = "docs/decisions";
const CHANGES: &str = "changelog.d";
/// Files that explain a folder to its reader.
const ABOUT: [&str; 2] = ["README.md", ".gitkeep"];

/// Each fault code has its page with its three sections, and each page its code.
pub(super) fn faults(tree: &Tree) -> Vec<Violation> {
    let codes: Vec<(usize, String)> = tree.file(CODES).map(|file| codes(&file.text)).unwrap_or_default();
    let mut violations = Vec::new();
    for (line, code) in &codes {
        let path = format!("{PAGES}/{code}.md");
        let Some(page) = tree.file(&path) else {
            violations.push(Violation::new(CODES, *line, format!("The code {code} has no page {path}.")));
            continue;
        };
        for heading in HEADINGS.iter().filter(|heading| !page.text.lines().any(|line| line.trim_end() == **heading)) {
            violations.push(Violation::new(&path, 1, format!("The page has no section `{heading}`.")));
        }
    }
    for (name, file) in tree.folder(PAGES).filter(|(name, _)| !ABOUT.contains(name)) {
        let known = name.strip_suffix(".md").is_some_and(|stem| codes.iter().any(|(_, code)| code == stem));
        if !known {
            violations.push(Violation::new(&file.path, 1, format!("No fault code in {CODES} has this name.")));
        }
    }
    violations
}

/// String literals in capitals; the file holds no others.
fn codes(text: &str) -> Vec<(usize, String)> {
    let is_code = |text: &str| {
        text.len() > 2
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_'))
    };
    let source = Source::parse(text);
    let mut codes: Vec<(usize, String)> = Vec::new();
    for literal in source.product_strings().filter(|literal| is_code(&literal.text)) {
        if !codes.iter().any(|(_, code)| *code == literal.text) {
            codes.push((literal.line, literal.text.clone()));
        }
    }
    codes
}

/// Decision records are `NNNN-name.md`, numbered from 0001 without gaps, so that a number names one for ever.
pub(super) fn decisions(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut expected = 1;
    let mut records: Vec<_> = tree.folder(DECISIONS).filter(|(name, _)| !ABOUT.contains(name)).collect();
    records.sort_by_key(|(name, _)| *name);
    for (name, file) in records {
        let parts = name.strip_suffix(".md").and_then(|stem| stem.split_once('-'));
        let number = parts
            .filter(|(digits, rest)| digits.len() == 4 && !rest.is_empty())
            .and_then(|(digits, _)| digits.parse::<u32>().ok());
        match number {
            None => violations.push(Violation::new(&file.path, 1, "A decision record is called `NNNN-name.md`.")),
            Some(number) => {
                if number != expected {
                    violations.push(Violation::new(
                        &file.path,
                        1,
                        format!("This record should have the number {expected:04}."),
                    ));
                }
                expected = number + 1;
            }
        }
    }
    violations
}

/// A fragment that says nothing would become an empty line of the change log.
pub(super) fn changes(tree: &Tree) -> Vec<Violation> {
    let fragments = tree.folder(CHANGES).filter(|(name, _)| !ABOUT.contains(name));
    let empty = fragments.filter(|(_, file)| file.text.trim().is_empty());
    empty.map(|(_, file)| Violation::new(&file.path, 1, "The fragment is empty.")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# SOURCE_LOST\n\n## What\n\na\n\n## Why\n\nb\n\n## Do this\n\nc\n";
    const TABLE: &str = "codes! {\n    SourceLost = \"SOURCE_LOST\",\n}\nconst NOTE: &str = \"see the page\";\n";

    fn found(check: fn(&Tree) -> Vec<Violation>, files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_found() {
        assert_eq!(
            found(faults, &[(CODES, TABLE), ("docs/faults/SOURCE_LOST.md", PAGE), ("docs/faults/README.md", "")]),
            [""; 0]
        );
        let missing = found(faults, &[(CODES, TABLE)]);
        assert_eq!(
            missing,
            ["crates/limpid-model/src/fault.rs:2: The code SOURCE_LOST has no page docs/faults/SOURCE_LOST.md."]
        );
        let orphan = [(CODES, TABLE), ("docs/faults/SOURCE_LOST.md", PAGE), ("docs/faults/SINK_LOST.md", PAGE)];
        assert_eq!(
            found(faults, &orphan),
            ["docs/faults/SINK_LOST.md:1: No fault code in crates/limpid-model/src/fault.rs has this name."]
        );
    }

    #[test]
    fn a_page_without_a_remedy_is_found() {
        let page = PAGE.replace("## Do this", "## Hope");
        let violations = found(faults, &[(CODES, TABLE), ("docs/faults/SOURCE_LOST.md", &page)]);
        assert_eq!(violations, ["docs/faults/SOURCE_LOST.md:1: The page has no section `## Do this`."]);
    }

    #[test]
    fn a_gap_a_double_and_a_bad_name_are_found_among_decisions() {
        let with = |names: &[&str]| {
            let paths: Vec<String> = names.iter().map(|name| format!("{DECISIONS}/{name}")).collect();
            let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
            found(decisions, &files).len()
        };
        assert_eq!(with(&["0001-batch.md", "0002-source.md", "README.md"]), 0);
        assert_eq!(with(&["0001-batch.md", "0003-source.md"]), 1);
        assert_eq!(with(&["0001-batch.md", "0001-source.md"]), 1);
        assert_eq!(with(&["0001-batch.md", "notes.md"]), 1);
        assert_eq!(with(&["1-batch.md"]), 1);
    }

    #[test]
    fn an_empty_fragment_is_found() {
        assert_eq!(found(changes, &[("changelog.d/1.md", "Faster.\n"), ("changelog.d/.gitkeep", "")]), [""; 0]);
        assert_eq!(found(changes, &[("changelog.d/1.md", " \n")]), ["changelog.d/1.md:1: The fragment is empty."]);
    }
}
