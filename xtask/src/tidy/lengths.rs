//! Functions of at most 70 lines, files of at most 500.
//!
//! Owns: the limits, and the list of exceptions `xtask/tidy-exceptions.txt`.
//!
//! Invariant: an exception may shrink, never grow: its figure is the size that the thing has now, and it goes when the
//! thing is within the limit.

use std::collections::BTreeMap;

use super::rust::Source;
use super::{Tree, Violation, is_test_file};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;
const EXCEPTIONS: &str = "xtask/tidy-exceptions.txt";

/// What is measured: a file, or the functions of one name in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    path: String,
    function: Option<String>,
}

struct Measure {
    line: usize,
    lines: usize,
}

struct Exception {
    subject: Subject,
    /// In the list.
    line: usize,
    max: usize,
}

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let measures = measures(tree);
    let list = tree.file(EXCEPTIONS).map(|file| file.text.as_str()).unwrap_or_default();
    let (exceptions, mut violations) = exceptions(list);
    for (subject, measure) in &measures {
        let limit = subject.limit();
        let listed = exceptions.iter().find(|exception| exception.subject == *subject);
        let max = listed.map_or(limit, |exception| exception.max.max(limit));
        if measure.lines > max {
            let sentence = format!("{} has {} lines, and at most {max} are allowed.", subject.noun(), measure.lines);
            violations.push(Violation::new(&subject.path, measure.line, sentence));
        }
    }
    violations.extend(exceptions.iter().filter_map(|exception| stale(exception, &measures)));
    violations
}

/// An entry of the list that no longer says how things are.
fn stale(exception: &Exception, measures: &BTreeMap<Subject, Measure>) -> Option<Violation> {
    let subject = &exception.subject;
    let sentence = match measures.get(subject) {
        None => format!("{} is not there any more: remove this line.", subject.noun()),
        Some(measure) if measure.lines <= subject.limit() => {
            format!("{} has {} lines, which is within the limit: remove this line.", subject.noun(), measure.lines)
        }
        Some(measure) if measure.lines < exception.max => {
            format!("{} has shrunk to {} lines: lower {} to that.", subject.noun(), measure.lines, exception.max)
        }
        Some(_) => return None,
    };
    Some(Violation::new(EXCEPTIONS, exception.line, sentence))
}

impl Subject {
    fn limit(&self) -> usize {
        if self.function.is_some() { FUNCTION_LINES_MAX } else { FILE_LINES_MAX }
    }

    fn noun(&self) -> String {
        match &self.function {
            Some(function) => format!("function {function} in {}", self.path),
            None => format!("file {}", self.path),
        }
    }
}

fn measures(tree: &Tree) -> BTreeMap<Subject, Measure> {
    let mut measures = BTreeMap::new();
    for file in tree.rust().filter(|file| !is_test_file(&file.path)) {
        let source = Source::parse(&file.text);
        let whole = Subject { path: file.path.clone(), function: None };
        measures.insert(whole, Measure { line: 1, lines: source.lines() });
        for function in source.functions() {
            let subject = Subject { path: file.path.clone(), function: Some(function.name) };
            let measure = measures.entry(subject).or_insert(Measure { line: 0, lines: 0 });
            // Of several with one name the longest counts.
            if function.lines > measure.lines {
                *measure = Measure { line: function.line, lines: function.lines };
            }
        }
    }
    measures
}

/// Lines `path[:function] max reason`; `#` begins a comment.
fn exceptions(text: &str) -> (Vec<Exception>, Vec<Violation>) {
    let (mut exceptions, mut violations): (Vec<Exception>, Vec<Violation>) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let mut words = line.split_whitespace();
        let Some(subject) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        let (path, function) = match subject.split_once(':') {
            Some((path, function)) => (path, Some(function.to_owned())),
            None => (subject, None),
        };
        let subject = Subject { path: path.to_owned(), function };
        let max = words.next().and_then(|word| word.parse().ok());
        let (Some(max), Some(_reason)) = (max, words.next()) else {
            violations.push(Violation::new(
                EXCEPTIONS,
                number,
                "An exception is `path[:function] max reason`, with all three.",
            ));
            continue;
        };
        if exceptions.iter().any(|other| other.subject == subject) {
            violations.push(Violation::new(EXCEPTIONS, number, format!("{} is listed twice.", subject.noun())));
        }
        exceptions.push(Exception { subject, line: number, max });
    }
    (exceptions, violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    fn found(tree: &Tree) -> Vec<String> {
        check(tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        assert_eq!(found(&Tree::of(&[("a.rs", &function(70))])), [""; 0]);
        let violations = found(&Tree::of(&[("a.rs", &format!("//! A.\n{}", function(71)))]));
        assert_eq!(violations, ["a.rs:2: function long in a.rs has 71 lines, and at most 70 are allowed."]);
    }

    #[test]
    fn a_file_of_501_lines_is_too_long_unless_the_rest_is_tests() {
        let line = "const A: u8 = 1;\n";
        assert_eq!(found(&Tree::of(&[("a.rs", &line.repeat(501))])).len(), 1);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(500), line.repeat(300));
        assert_eq!(found(&Tree::of(&[("a.rs", &tested)])), [""; 0]);
        assert_eq!(found(&Tree::of(&[("crates/a/tests/a.rs", &line.repeat(501))])), [""; 0]);
    }

    #[test]
    fn an_exception_holds_for_its_exact_size_only() {
        let with = |entry: &str, lines: usize| found(&Tree::of(&[("a.rs", &function(lines)), (EXCEPTIONS, entry)]));
        assert_eq!(with("# why\na.rs:long 80 a table of states\n", 80), [""; 0]);
        assert_eq!(with("a.rs:long 80 a table of states\n", 81).len(), 1);
        assert!(with("a.rs:long 80 a table of states\n", 79)[0].contains("lower 80 to that"));
        assert!(with("a.rs:long 80 a table of states\n", 60)[0].contains("remove this line"));
        assert!(with("a.rs:gone 80 a table of states\n", 60)[0].contains("not there any more"));
    }

    #[test]
    fn an_exception_without_a_reason_is_refused() {
        let violations = found(&Tree::of(&[("a.rs", &function(80)), (EXCEPTIONS, "a.rs:long 80\n")]));
        assert_eq!(violations.len(), 2, "{violations:?}");
        let twice = "a.rs:long 80 x\na.rs:long 80 y\n";
        assert_eq!(found(&Tree::of(&[("a.rs", &function(80)), (EXCEPTIONS, twice)])).len(), 1);
    }
}
