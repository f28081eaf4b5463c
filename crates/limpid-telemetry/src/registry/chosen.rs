//! Which series a pipeline's push has.
//!
//! Owns: the choice, for every receiver that is pushed to, and labels as pairs. Does not own: the series (`registry`), their
//! form on the way (`remote`, `otlp`).
//!
//! Invariant: each receiver gets the same series with the same labels as a scrape; one that is no pipeline's is sent once. What is not
//! chosen costs one comparison.

use super::{Now, Registry};
use crate::catalogue::Metric;
use crate::moment::Moment;

impl Registry {
    /// As [`Registry::each`], but those of the pipeline named alone, and with `process` those that are no pipeline's.
    pub(crate) fn each_of(
        &self,
        pipeline: &str,
        process: bool,
        now: Moment,
        mut tell: impl FnMut(&'static Metric, Vec<(&'static str, String)>, Now<'_>),
    ) {
        let own = super::labels_of(&["pipeline"], &[pipeline]);
        let is_chosen = |metric: &Metric, labels: &str| match metric.labels {
            ["pipeline", ..] => labels.starts_with(&own),
            _ => process,
        };
        self.each_chosen(process, is_chosen, now, |metric, labels, value| tell(metric, pairs(metric, labels), value));
    }
}

/// Labels as they stand between the braces, taken apart.
fn pairs(metric: &Metric, text: &str) -> Vec<(&'static str, String)> {
    let mut rest = text;
    let mut pairs = Vec::with_capacity(metric.labels.len());
    for name in metric.labels {
        let Some(quoted) = rest.trim_start_matches(',').strip_prefix(name).and_then(|rest| rest.strip_prefix("=\""))
        else {
            break;
        };
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let mut end = quoted.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                c => value.push(c),
            }
        }
        pairs.push((*name, value));
        rest = &quoted[end..];
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{BUILD_INFO, CPU_SECONDS_TOTAL, ERROR_TOTAL, INPUT_EMITTER_COUNTER};
    use crate::registry::Build;

    #[test]
    fn a_pipeline_whose_name_begins_like_another_is_another() {
        let registry = Registry::new(Build { version: "1", commit: "c" });
        for name in ["p", "p2", "p\"", "p\",x=\"", "", "q"] {
            registry.counter(&INPUT_EMITTER_COUNTER, &[name]).add(1);
            registry.counter(&ERROR_TOTAL, &[name, "input", "A"]).add(1);
        }
        let chosen = |pipeline: &str, process: bool| {
            let mut found = Vec::new();
            registry.each_of(pipeline, process, Moment { nanos: 0, wall_micros: 0 }, |metric, labels, _| {
                found.push((metric.name, labels.first().map(|(_, value)| value.clone()).unwrap_or_default()));
            });
            found
        };
        for name in ["p", "p2", "p\"", "p\",x=\"", ""] {
            let mut expected = [(INPUT_EMITTER_COUNTER.name, name.to_owned()), (ERROR_TOTAL.name, name.to_owned())];
            let mut found = chosen(name, false);
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{name:?}");
        }
        let with = chosen("nobody", true);
        assert!(with.contains(&(BUILD_INFO.name, "1".to_owned())), "{with:?}");
        #[cfg(target_os = "linux")]
        assert!(with.contains(&(CPU_SECONDS_TOTAL.name, String::new())), "{with:?}");
    }
}
