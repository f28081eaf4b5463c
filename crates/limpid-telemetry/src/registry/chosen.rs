//! Which series a pipeline's push has.
//!
//! Owns: the choice, for every receiver that is pushed to, and labels as pairs. Does not own: the series (`registry`), their
//! form on the way (`remote`, `otlp`).
//!
//! Invariant: each receiver gets the same series with the same labels as a scrape; one that is no pipeline's is sent once.

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
        self.each(now, |metric, labels, value| {
            let labels = pairs(metric, labels);
            let of = labels.iter().find(|(name, _)| *name == "pipeline").map(|(_, value)| value);
            let is_chosen = of.map_or(process, |of| of == pipeline);
            if is_chosen {
                tell(metric, labels, value);
            }
        });
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
