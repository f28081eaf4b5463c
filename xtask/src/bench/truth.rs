//! What is told of lag against what is, for longer than a test run has.
//!
//! Owns: the sheet. Does not own: what befalls the servers and what is true then (`tests/e2e/tests/lag_truth.rs`).
//!
//! Invariant: a stretch in which anything that was told was wrong makes no sheet at all: the suite fails, and the work with
//! it.

use anyhow::{Context, ensure};

use super::Bench;
use super::sheet::Sheet;
use crate::shell;

const NOTE: &str = "Looks at the API and the metrics four times a second while something befalls the servers, each compared with what a \
     writer and a reader of the sink know; no `ok` that was false, no alarm without work, no verdict later than 3 s, or there \
     would be no table. Freshness may be told older than it is, and never younger.";

/// Runs the suite as `make soak` does, and makes a sheet of the lines that it prints of each stretch.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Sheet> {
    println!("truth: a quarter of an hour of stretches");
    let mut cargo = shell::cargo();
    cargo.args(["test", "--release", "--locked", "-p", "limpid-e2e", "--test", "lag_truth", "--"]);
    // By themselves: a machine that is full makes the truth itself jump.
    cargo.args(["--nocapture", "--test-threads=1"]);
    cargo.env("LIMPID_SOAK", "1").env("LIMPID_BIN", bench.programs.join("limpid"));
    let said = shell::output(&mut cargo)?;
    let columns = ["looks", "told after s", "freshness too old by s, in one of ten"];
    let mut sheet = Sheet::new("truth", "truth: what is told of lag against what is", NOTE, &columns);
    said.lines().filter(|line| line.starts_with("lag by heartbeat")).for_each(|line| println!("  {line}"));
    let mut stretches = 0;
    for line in said.lines().filter(|line| line.contains(" looks, ") && line.contains("freshness too old")) {
        let (name, figures) = stretch(line).with_context(|| format!("read {line:?}"))?;
        println!("  {name} {figures:?}");
        sheet.add(&name, figures);
        stretches += 1;
    }
    ensure!(stretches > 10, "only {stretches} stretches were told of");
    Ok(sheet)
}

/// A line such as `no work    60 looks, idle after Some(9.8) s, freshness too old by 0.004 s in one of ten`.
fn stretch(line: &str) -> Option<(String, Vec<f64>)> {
    let (head, rest) = line.split_once(" looks, ")?;
    let (name, looks) = head.trim_end().rsplit_once(' ')?;
    let (verdict, rest) = rest.split_once(" after ")?;
    let (after, rest) = rest.split_once(" s, freshness too old by ")?;
    let after = after.trim_start_matches("Some(").trim_end_matches(')');
    let error = rest.strip_suffix(" s in one of ten")?;
    let figures = [looks.trim(), after, error].map(|figure| figure.parse::<f64>().ok());
    Some((format!("{} ({verdict})", name.trim()), figures.into_iter().collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_suite_is_read() {
        let line = format!(
            "{:<32} {:>4} looks, idle after Some(9.8) s, freshness too old by 0.004 s in one of ten",
            "no work", 60
        );
        assert_eq!(stretch(&line), Some(("no work (idle)".to_owned(), vec![60.0, 9.8, 0.004])));
        assert_eq!(stretch("no work 60 looks, idle after None s, freshness too old by 0.004 s in one of ten"), None);
    }
}
