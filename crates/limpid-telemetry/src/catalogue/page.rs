//! The catalogue as a page for people.
//!
//! Owns: the text of `docs/metrics.md`. Does not own: writing the file (`xtask`, `limpid export metrics`).
//!
//! Invariant: it is made from the catalogue alone; a test compares it with the committed page.

use std::fmt::Write;

use super::{ALL, Kind, Metric, Presence};
use crate::exposition::go_float;

const HEAD: &str = "# Metrics

Generated from `limpid-telemetry`'s catalogue; edit that, then run `LIMPID_BLESS=1 cargo test -p limpid-telemetry metrics_page`.

Everything stands under `/metrics`, as Prometheus text or as OpenMetrics 1.0, whichever the scraper asks for. Names, labels and
`le` texts are the same in both. A counter without `_total` is typed `unknown` in OpenMetrics, so that its name stays;
Prometheus 3 rewrites `le=\"60\"` to `le=\"60.0\"` when it stores it. Labels are bounded: past 200 tables (by option) a table stands
under `__other__`, and `limpid_folded_labels_total` says so.

Counters and histograms whose only label is `pipeline` exist at 0 from the start, gauges from their first measurement, the
rest from their first use.
";

/// The page.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n| name | type | labels | unit | there |\n|---|---|---|---|---|\n");
    for metric in ALL {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let (kind, there) = (word(metric.kind), presence(metric));
        writeln!(page, "| [`{0}`](#{0}) | {kind} | {labels} | {1} | {there} |", metric.name, metric.unit)
            .expect("a string takes all");
    }
    for metric in ALL {
        section(&mut page, metric).expect("a string takes all");
    }
    page
}

fn section(page: &mut String, metric: &Metric) -> std::fmt::Result {
    write!(page, "\n## {}\n\n{}\n\n**{}**", metric.name, metric.help, metric.question)?;
    if let Some(partner) = metric.partner {
        write!(page, " Look at [`{0}`](#{0}) beside it.", partner.name)?;
    }
    writeln!(page)?;
    if let Kind::Histogram(bounds) = metric.kind {
        let bounds: Vec<String> = bounds.iter().map(|bound| go_float(*bound)).collect();
        writeln!(page, "\nBuckets: {}, +Inf.", bounds.join(", "))?;
    }
    Ok(())
}

const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

fn presence(metric: &Metric) -> &'static str {
    match metric.presence() {
        Presence::Start => "from the start",
        Presence::Measurement => "from the first measurement",
        Presence::Use => "from the first use",
        Presence::Always => "always",
    }
}
