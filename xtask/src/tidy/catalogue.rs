//! Names of metrics stand in one place.
//!
//! Owns: how a metric's name is recognised.
//! Does not own: the names themselves (`limpid-telemetry`'s catalogue).

use super::crates::Package;
use super::rust::Source;
use super::{File, Tree, Violation, is_test_file};

const PREFIXES: [&str; 5] = ["gravity_", "cdc_", "migration_", "mongodb_migration_", "limpid_"];
const HOMES: [&str; 2] = ["crates/limpid-telemetry/src/catalogue.rs", "crates/limpid-telemetry/src/catalogue/"];

/// A string that begins with a metric's name, alone or before labels or a value, may stand in the catalogue only:
/// dashboards, rules and documents are generated from there.
pub(super) fn metrics(tree: &Tree, packages: &[Package]) -> Vec<Violation> {
    let crates: Vec<String> = packages.iter().map(|package| package.name.replace('-', "_")).collect();
    tree.rust().filter(|file| is_product(file)).flat_map(|file| in_file(file, &crates)).collect()
}

fn is_product(file: &File) -> bool {
    let home = HOMES.iter().any(|home| file.path.starts_with(home));
    !home && !file.path.starts_with("xtask/") && !file.path.starts_with("tests/") && !is_test_file(&file.path)
}

fn in_file(file: &File, crates: &[String]) -> Vec<Violation> {
    let source = Source::parse(&file.text);
    let names = source.product_strings().filter_map(|literal| Some((literal.line, metric(&literal.text)?)));
    names
        .filter(|(_, name)| !crates.iter().any(|known| known == name))
        .map(|(line, name)| {
            Violation::new(
                &file.path,
                line,
                format!("The metric name {name} belongs into limpid-telemetry's catalogue."),
            )
        })
        .collect()
}

fn metric(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '_')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let named = PREFIXES.iter().any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
    (named && (rest.is_empty() || rest.starts_with(['{', ' ']))).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        metrics(&Tree::of(&[(path, text)]), &[Package::named("limpid-mysql")]).len()
    }

    #[test]
    fn a_metric_outside_the_catalogue_is_found() {
        let path = "crates/limpid-engine/src/commit.rs";
        assert_eq!(found(path, "//! A.\nfn f() { count(\"gravity_rows_total\") }"), 1);
        assert_eq!(found(path, "fn f() { print(\"cdc_lag_seconds{source=\\\"a\\\"} 1\") }"), 1);
        assert_eq!(found("crates/limpid-telemetry/src/catalogue.rs", "const A: &str = \"gravity_rows_total\";"), 0);
        assert_eq!(found("crates/limpid-telemetry/src/catalogue/lag.rs", "const A: &str = \"gravity_rows_total\";"), 0);
    }

    #[test]
    fn crates_comments_tests_and_other_words_are_free() {
        let path = "crates/limpid-engine/src/commit.rs";
        assert_eq!(found(path, "const A: &str = \"limpid_mysql\";"), 0);
        assert_eq!(found(path, "// \"gravity_rows_total\"\nconst A: &str = \"limpid_\";"), 0);
        assert_eq!(found(path, "#[cfg(test)]\nmod tests {\n    const A: &str = \"gravity_rows_total\";\n}\n"), 0);
        assert_eq!(found("crates/limpid-engine/tests/commit.rs", "const A: &str = \"gravity_rows_total\";"), 0);
        assert_eq!(found(path, "const A: &str = \"migration_of_a_table.\";"), 0);
    }
}
