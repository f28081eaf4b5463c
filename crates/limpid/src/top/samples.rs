//! The samples of `/metrics` that the view shows.
//!
//! Owns: reading lines of the Prometheus text form. Does not own: names (the catalogue), what they are shown as.
//!
//! Invariant: a line that cannot be read is left out; nothing is made up for it.

use limpid_telemetry::catalogue::Metric;

/// One line.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A page of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

impl Samples {
    pub fn parse(page: &str) -> Self {
        Self(page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The values of a metric whose labels include these, with all their labels.
    pub fn of<'a>(
        &'a self,
        metric: &'a Metric,
        with: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a [(String, String)], f64)> + 'a {
        self.named(metric.name, with)
    }

    /// The only value with these labels.
    pub fn one(&self, metric: &Metric, with: &[(&str, &str)]) -> Option<f64> {
        self.named(metric.name, with).next().map(|(_, value)| value)
    }

    /// Sum and count of a histogram with these labels.
    pub fn histogram(&self, metric: &Metric, with: &[(&str, &str)]) -> Option<(f64, f64)> {
        let part = |word: &str| self.named(&format!("{}_{word}", metric.name), with).next().map(|(_, value)| value);
        Some((part("sum")?, part("count")?))
    }

    fn named<'a>(
        &'a self,
        name: &str,
        with: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = (&'a [(String, String)], f64)> + 'a {
        let name = name.to_owned();
        let has = |sample: &Sample, (key, value): &(&str, &str)| {
            sample.labels.iter().any(|(name, text)| name == key && text == value)
        };
        self.0
            .iter()
            .filter(move |sample| sample.name == name && with.iter().all(|label| has(sample, label)))
            .map(|sample| (&sample.labels[..], sample.value))
    }
}

/// A label's value, empty where there is none of this name.
pub fn label<'a>(labels: &'a [(String, String)], name: &str) -> &'a str {
    labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

fn sample(line: &str) -> Option<Sample> {
    let (head, value) = match line.find('{') {
        Some(open) => {
            let (labels, rest) = labels(&line[open + 1..])?;
            ((&line[..open], labels), rest)
        }
        None => line.split_once(' ').map(|(name, rest)| ((name, Vec::new()), rest))?,
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: head.0.to_owned(), labels: head.1, value })
}

/// `a="x",b="y"} rest`, with the escapes of the text form.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use limpid_telemetry::catalogue::{DATA_LAG_SECONDS, FRESHNESS, QUEUE_LENGTH};

    use super::*;

    #[test]
    fn lines_are_found_by_name_and_labels() {
        let page = "# TYPE limpid_freshness_seconds gauge\nlimpid_freshness_seconds{pipeline=\"a\"} 0.5\n\
                    limpid_freshness_seconds{pipeline=\"b\"} -2 1700000000\nnonsense\n\
                    gravity_queue_length{pipeline=\"a\",type=\"x\\\"y\\\\z\",subtype=\"\"} 3\n\
                    gravity_data_lag_seconds_sum{pipeline=\"a\",schema=\"s\",table=\"t\"} 6\n\
                    gravity_data_lag_seconds_count{pipeline=\"a\",schema=\"s\",table=\"t\"} 4\n";
        let samples = Samples::parse(page);
        assert_eq!(samples.one(&FRESHNESS, &[("pipeline", "b")]), Some(-2.0));
        assert_eq!(samples.one(&FRESHNESS, &[("pipeline", "c")]), None);
        let queues: Vec<_> = samples.of(&QUEUE_LENGTH, &[("pipeline", "a")]).collect();
        assert_eq!(queues.len(), 1);
        assert_eq!((label(queues[0].0, "type"), label(queues[0].0, "none"), queues[0].1), ("x\"y\\z", "", 3.0));
        assert_eq!(samples.histogram(&DATA_LAG_SECONDS, &[("table", "t")]), Some((6.0, 4.0)));
    }
}
