//! Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0.
//!
//! Owns: both formats, and the choice between them. Does not own: which series there are (`registry`).
//!
//! Invariant: sample names, labels and `le` texts are the same in both formats. A metric's samples stand together; a
//! metric without samples is not mentioned. Exemplars stand on histogram buckets only: a single one on an `unknown`
//! series makes Prometheus drop the whole page.
//!
//! Sources: Prometheus' "Exposition formats", the OpenMetrics 1.0 specification.

mod accept;
mod number;

use std::fmt::Write;

pub use accept::negotiate;
pub(crate) use number::go_float;

use crate::catalogue::{Kind, Metric};
use crate::instruments::{Exemplar, Histogram};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page being written.
pub(crate) struct Exposition {
    out: String,
    format: Format,
    /// The metric whose samples are being written.
    open: Option<&'static str>,
}

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        Self { out: String::with_capacity(64 * 1024), format, open: None }
    }

    /// The page, ended as its format wants it.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    pub(crate) fn count(&mut self, metric: &Metric, labels: &str, count: u64) {
        self.sample(metric, "", labels);
        self.line(format_args!(" {count}"));
    }

    pub(crate) fn value(&mut self, metric: &Metric, labels: &str, value: f64) {
        self.sample(metric, "", labels);
        self.line(format_args!(" {}", go_float(value)));
    }

    pub(crate) fn histogram(&mut self, metric: &Metric, labels: &str, histogram: &Histogram) {
        let (counts, sum) = histogram.read();
        let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
        let separator = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (bucket, (bound, count)) in bounds.zip(counts).enumerate() {
            total += count;
            let le = format!("{labels}{separator}le=\"{}\"", go_float(bound));
            self.sample(metric, "_bucket", &le);
            write!(self.out, " {total}").expect("a string takes all");
            if self.format == Format::OpenMetrics
                && let Some(exemplar) = histogram.exemplar(bucket)
            {
                self.exemplar(exemplar);
            }
            self.out.push('\n');
        }
        self.sample(metric, "_sum", labels);
        self.line(format_args!(" {}", go_float(sum)));
        self.sample(metric, "_count", labels);
        self.line(format_args!(" {total}"));
    }

    fn exemplar(&mut self, Exemplar { trace_id, value, wall_micros }: Exemplar) {
        let at = wall_micros as f64 / 1e6;
        write!(self.out, " # {{trace_id=\"{trace_id:032x}\"}} {} {at:.3}", go_float(value))
            .expect("a string takes all");
    }

    /// Name and labels of a sample, after the metric's head if it is the first.
    fn sample(&mut self, metric: &Metric, suffix: &str, labels: &str) {
        if self.open != Some(metric.name) {
            self.open = Some(metric.name);
            self.head(metric);
        }
        self.out.push_str(metric.name);
        self.out.push_str(suffix);
        if !labels.is_empty() {
            self.out.push('{');
            self.out.push_str(labels);
            self.out.push('}');
        }
    }

    fn head(&mut self, metric: &Metric) {
        let (family, kind) = match (self.format, metric.kind) {
            (_, Kind::Gauge) => (metric.name, "gauge"),
            (_, Kind::Histogram(_)) => (metric.name, "histogram"),
            (Format::Text, Kind::Counter) => (metric.name, "counter"),
            // There a counter's samples must end in `_total`, which is no part of its family's name. One with another
            // name keeps it only as `unknown`.
            (Format::OpenMetrics, Kind::Counter) => match metric.name.strip_suffix("_total") {
                Some(family) => (family, "counter"),
                None => (metric.name, "unknown"),
            },
        };
        self.line(format_args!("# HELP {family} {}", escaped_help(metric.help, self.format)));
        self.line(format_args!("# TYPE {family} {kind}"));
        // A unit is legal only where the name ends in it.
        let unit = family.strip_suffix(metric.unit).is_some_and(|rest| rest.ends_with('_'));
        if self.format == Format::OpenMetrics && unit {
            self.line(format_args!("# UNIT {family} {}", metric.unit));
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes all");
        self.out.push('\n');
    }
}

/// Appends a label's value as it stands between quotes.
pub(crate) fn escape_label(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
}

fn escaped_help(help: &str, format: Format) -> String {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    match format {
        Format::Text => help,
        Format::OpenMetrics => help.replace('"', "\\\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn a_counter_without_total_keeps_its_name_in_both_forms() {
        let page = |format| {
            let mut page = Exposition::new(format);
            page.count(&catalogue::INPUT_EMITTER_COUNTER, "pipeline=\"p\"", 7);
            page.count(&catalogue::ERROR_TOTAL, "pipeline=\"p\"", 1);
            page.finish()
        };
        let text = page(Format::Text);
        assert!(text.contains(
            "# TYPE gravity_input_emitter_counter counter\ngravity_input_emitter_counter{pipeline=\"p\"} 7\n"
        ));
        assert!(text.contains("# TYPE gravity_error_total counter\n") && !text.contains("# EOF"));
        let open = page(Format::OpenMetrics);
        assert!(open.contains(
            "# TYPE gravity_input_emitter_counter unknown\ngravity_input_emitter_counter{pipeline=\"p\"} 7\n"
        ));
        assert!(open.contains("# TYPE gravity_error counter\ngravity_error_total{pipeline=\"p\"} 1\n"));
        assert!(open.ends_with("\n# EOF\n"));
    }

    #[test]
    fn an_exemplar_stands_on_its_bucket_and_only_in_openmetrics() {
        let histogram = Histogram::of(&catalogue::INPUT_LATENCY);
        histogram.observe(0.3, 2);
        histogram.exemplify(Exemplar { trace_id: 0xabc, value: 0.3, wall_micros: 1_700_000_000_123_456 });
        let page = |format| {
            let mut page = Exposition::new(format);
            page.histogram(&catalogue::INPUT_LATENCY, "pipeline=\"p\"", &histogram);
            page.finish()
        };
        let sample = "gravity_input_latency_bucket{pipeline=\"p\",le=\"0.512\"} 2";
        let exemplar = " # {trace_id=\"00000000000000000000000000000abc\"} 0.3 1700000000.123\n";
        assert!(page(Format::OpenMetrics).contains(&format!("{sample}{exemplar}")));
        assert!(page(Format::Text).contains(&format!("{sample}\n")) && !page(Format::Text).contains(" # {"));
        assert_eq!(page(Format::OpenMetrics).matches(" # {").count(), 1);
    }

    #[test]
    fn a_unit_is_told_where_the_name_ends_in_it() {
        let mut page = Exposition::new(Format::OpenMetrics);
        page.value(&catalogue::FRESHNESS, "pipeline=\"p\"", 0.25);
        page.value(&catalogue::CPU_SECONDS_TOTAL, "", 1.5);
        page.value(&catalogue::SCHEDULER_NR_WORKER, "pipeline=\"p\"", 1.0);
        let page = page.finish();
        assert!(page.contains("# UNIT limpid_freshness_seconds seconds\n"));
        assert!(page.contains(
            "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total 1.5\n"
        ));
        assert!(!page.contains("# UNIT gravity_scheduler_nr_worker"));
    }
}
