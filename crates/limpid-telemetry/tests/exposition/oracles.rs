//! promtool and Prometheus' own Python client read our pages.
//!
//! Owns: running them. Does not own: having them: in CI their absence is a failure, elsewhere a loud skip.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use limpid_stack::{TempDir, Unavailable, cache, require};
use limpid_telemetry::Format;

use crate::sample;

/// Pinned, so that a run next year judges the same.
const CLIENT: &str = "prometheus_client==0.26.0";

#[test]
fn promtool_finds_nothing_but_gravitys_names() {
    let Some(output) = require(run(Command::new("promtool").args(["check", "metrics"]), &page(Format::Text))) else {
        return;
    };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // 3 is "readable, but the names are not as we would have them"; 1 is "unreadable".
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    for line in said.lines() {
        // The contract's names, which Gravity gave them.
        let of_gravity = ["gravity_input_counter", "gravity_output_counter"]
            .into_iter()
            .chain(["gravity_input_emitter_counter", "gravity_emitter_scheduler_counter"])
            .chain([
                "gravity_scheduler_output_counter",
                "gravity_scheduler_retry_counter",
                "gravity_output_job_fetched_count",
            ])
            .any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        let their_form = [
            "counter metrics should have \"_total\" suffix",
            "metric name should not include type 'counter'",
            "non-histogram and non-summary metrics should not have \"_count\" suffix",
        ];
        let is_theirs = of_gravity && their_form.iter().any(|complaint| line.ends_with(complaint));
        // The contract's label of a gauge.
        let is_quantile = line.starts_with("limpid_catchup_seconds ") && line.ends_with("have \"quantile\" label");
        assert!(is_theirs || is_quantile, "{line}");
    }
}

#[test]
fn the_openmetrics_parser_of_prometheus_reads_every_sample() {
    openmetrics_parser(&page(Format::OpenMetrics), 0);
}

/// Has Python read a page and say the samples again, then compares; and counts the exemplars.
pub fn openmetrics_parser(page: &str, exemplars: usize) {
    let Some(client) = require(client()) else { return };
    // One line a sample: JSON, so that no label can break it.
    let program = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode()
for family in text_string_to_metric_families(text):
    for sample in family.samples:
        labels = list(sample.labels.items())
        print(json.dumps([family.type, sample.name, labels, repr(float(sample.value)), sample.exemplar is not None]))
";
    let mut command = Command::new("python3");
    command.args(["-c", program]).env("PYTHONPATH", &client);
    let output = run(&mut command, page).expect("python3 was there a moment ago");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("Python writes UTF-8");
    let theirs: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ours = crate::reader::read(page);
    assert_eq!(theirs.len(), ours.len());
    for (their, our) in theirs.iter().zip(&ours) {
        assert_eq!(their[1], our.name);
        assert_eq!(their[2], serde_json::json!(our.labels), "{}", our.name);
        assert_eq!(their[3].as_str().unwrap().parse::<f64>().unwrap(), our.value, "{}", our.name);
        let counter = ["_total", "_counter"].iter().any(|end| our.name.ends_with(end));
        let kind = if our.name.ends_with("_total") { "counter" } else { "unknown" };
        assert!(!counter || their[0] == kind, "{} is typed {}", our.name, their[0]);
    }
    assert_eq!(theirs.iter().filter(|sample| sample[4] == true).count(), exemplars);
}

fn page(format: Format) -> String {
    sample::desk().page(format)
}

/// Runs a program with a page on its standard input.
#[expect(clippy::disallowed_methods, reason = "drives a real process; nothing here is simulated")]
fn run(command: &mut Command, page: &str) -> anyhow::Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let absent = |why: std::io::Error| {
        let server = if program == "promtool" { "promtool" } else { "python3" };
        Unavailable { server, why: why.to_string() }
    };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(absent)?;
    let mut input = child.stdin.take().expect("it is piped");
    let page = page.to_owned();
    // In a thread, since neither pipe holds a whole page.
    let writer = std::thread::spawn(move || input.write_all(page.as_bytes()));
    let output = child.wait_with_output()?;
    let _ = writer.join();
    Ok(output)
}

/// The folder of the client, installed by pip where it is not there yet.
fn client() -> anyhow::Result<PathBuf> {
    let folder = cache::root()?.join(CLIENT.replace("==", "-"));
    if folder.is_dir() {
        return Ok(folder);
    }
    let building = TempDir::new("pip")?;
    let target = building.path().join("client");
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target"];
    let output = Command::new("python3").args(pip).arg(&target).arg(CLIENT).output();
    let absent = |why: String| Unavailable { server: "the Python package prometheus_client", why };
    let output = output.map_err(|error| absent(error.to_string()))?;
    if !output.status.success() {
        return Err(absent(String::from_utf8_lossy(&output.stderr).trim().to_owned()).into());
    }
    keep(&target, &folder)
}

/// Puts an installation in its place, unless someone else was faster.
fn keep(from: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let parent = to.parent().expect("a folder of the cache");
    std::fs::create_dir_all(parent)?;
    // The cache may lie on another file system: copied beside its place, then renamed.
    let beside = to.with_extension(format!("{}.building", std::process::id()));
    let copied = Command::new("cp").arg("-r").arg(from).arg(&beside).status()?;
    anyhow::ensure!(copied.success(), "cp ended with {copied}");
    if std::fs::rename(&beside, to).is_err() {
        std::fs::remove_dir_all(&beside)?;
    }
    Ok(to.to_owned())
}
