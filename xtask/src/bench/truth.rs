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
    let columns = ["looks", "told after s", "freshness too old by s, in one of ten", "at most"];
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

/// A line such as `no work    60 looks, idle after 9.8 s, freshness too old by 0.004 s in one of ten, 0.2 s at most`, with a dash
/// for what nobody knows. The first of a test stands behind what the test runner says.
fn stretch(line: &str) -> Option<(String, Vec<f64>)> {
    let (head, rest) = line.split_once(" looks, ")?;
    let (name, looks) = head.trim_end().rsplit_once(' ')?;
    let name = name.rsplit_once(" ... ").map_or(name, |(_, name)| name);
    let (verdict, rest) = rest.split_once(" after ")?;
    let (after, rest) = rest.split_once(" s, freshness too old by ")?;
    let (error, rest) = rest.split_once(" s in one of ten, ")?;
    let most = rest.strip_suffix(" s at most")?;
    let figure = |figure: &str| if figure == "-" { Some(f64::NAN) } else { figure.parse().ok() };
    let figures = [looks.trim(), after, error, most].map(figure);
    Some((format!("{} ({verdict})", name.trim()), figures.into_iter().collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_suite_is_read() {
        let line = |begins: &str, after: &str, error: &str, most: &str| {
            format!(
                "{begins}{:<32} {:>4} looks, idle after {after} s, freshness too old by {error} s in one of ten, {most} s at most",
                "no work", 60
            )
        };
        let known = Some(("no work (idle)".to_owned(), vec![60.0, 9.8, 0.004, 0.21]));
        assert_eq!(stretch(&line("", "9.8", "0.004", "0.210")), known);
        assert_eq!(stretch(&line("test a_stream_without_work ... ", "9.8", "0.004", "0.210")), known);
        let (name, figures) = stretch(&line("", "9.8", "-", "-")).unwrap();
        assert_eq!((&*name, &figures[..2]), ("no work (idle)", &[60.0, 9.8][..]));
        assert!(figures[2].is_nan() && figures[3].is_nan(), "nobody read the sink: {figures:?}");
        assert_eq!(stretch(&line("", "soon", "0.004", "0.210")), None);
    }
}
