//! The list of deliberate breaks fits the code.
//!
//! Owns: that each entry finds its place once, changes it, and names a test that is there. Does not own: trying them
//! (`crate::mutations`).

use super::{Tree, Violation};
use crate::mutations::{self, LIST};

/// A list that rots proves nothing.
pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let Some(list) = tree.file(LIST) else { return Vec::new() };
    let line_of = |name: &str| {
        let key = format!("name = \"{name}\"");
        list.text.lines().position(|line| line == key).map_or(1, |index| index + 1)
    };
    let entries = match mutations::parse(&list.text) {
        Ok(entries) => entries,
        Err(error) => return vec![Violation::new(LIST, 1, format!("The list cannot be read: {error:#}."))],
    };
    let mut violations = Vec::new();
    for entry in &entries {
        let mut say = |sentence: String| violations.push(Violation::new(LIST, line_of(&entry.name), sentence));
        let found = tree.file(&entry.file).map_or(0, |file| file.text.matches(&entry.search).count());
        if found != 1 {
            say(format!("The text that `{}` looks for is {found} times in {}.", entry.name, entry.file));
        }
        if entry.search == entry.replace {
            say(format!("`{}` changes nothing.", entry.name));
        }
        let [package, file, name] = &entry.test;
        let function = format!("fn {}(", name.rsplit("::").next().unwrap_or(name));
        let homes = match (package.as_str(), file.as_str()) {
            ("limpid-e2e", file) => vec![format!("tests/e2e/tests/{file}.rs")],
            (package, "lib") => vec![format!("crates/{package}/src/")],
            (package, file) => {
                vec![format!("crates/{package}/tests/{file}.rs"), format!("crates/{package}/tests/{file}/")]
            }
        };
        let is_there = |home: &String| tree.rust().any(|f| f.path.starts_with(home) && f.text.contains(&function));
        if !homes.iter().any(is_there) {
            say(format!("There is no test `{name}` in {package} {file}."));
        }
        if entries.iter().filter(|other| other.name == entry.name).count() > 1 {
            say(format!("Two entries are called `{}`.", entry.name));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_no_longer_fits_the_code_is_told() {
        let list = "[[mutation]]\nname = \"n\"\nfile = 'crates/a/src/x.rs'\nsearch = 'one'\nreplace = 'two'\n\
                    test = 'limpid-e2e t works'\n";
        let told = |code: &str, test: &str, list: &str| {
            let tree = Tree::of(&[(LIST, list), ("crates/a/src/x.rs", code), ("tests/e2e/tests/t.rs", test)]);
            check(&tree).len()
        };
        assert_eq!(told("one", "fn works() {}", list), 0);
        assert_eq!(told("one one", "fn works() {}", list), 1);
        assert_eq!(told("another", "fn worked() {}", list), 2);
        assert_eq!(told("one", "fn works() {}", &list.replace("two", "one")), 1);
        assert_eq!(told("one", "fn works() {}", "nothing"), 1);
    }
}
