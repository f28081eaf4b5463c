//! The verdict over each stream, as a metric.
//!
//! Owns: asking for it when somebody looks. Does not own: the verdict (`limpid-engine`), its name (the catalogue).
//!
//! Invariant: it is judged at the look, so a watch that hangs is told as blind; and once a look, so that exactly one of a
//! pipeline's verdicts is 1.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limpid_engine::{Handle, Verdict};
use limpid_telemetry::{Moment, PipelineMeter, Registry, Sampled, catalogue};

/// A pipeline as it is judged.
struct Judged {
    handle: Handle,
    meter: Arc<PipelineMeter>,
    lag_limit: Duration,
    /// The last look and what was found. Short critical section.
    last: Mutex<Option<(Moment, Verdict)>>,
}

impl Judged {
    fn at(&self, now: Moment) -> Verdict {
        let mut last = self.last.lock().expect("never held across a panic");
        if let Some((at, verdict)) = *last
            && at == now
        {
            return verdict;
        }
        let freshness = self.meter.totals(now).freshness_seconds;
        let verdict = self.handle.verdict(now.nanos, freshness, self.lag_limit);
        *last = Some((now, verdict));
        verdict
    }
}

/// One of the seven.
struct Shown {
    judged: Arc<Judged>,
    verdict: Verdict,
}

impl Sampled for Shown {
    fn sample(&self, now: Moment) -> Option<f64> {
        Some(if self.judged.at(now) == self.verdict { 1.0 } else { 0.0 })
    }
}

/// Has a pipeline's verdict stand in the exposition.
pub fn show(registry: &Registry, handle: &Handle, meter: &Arc<PipelineMeter>, lag_limit: Duration) {
    let judged = Judged { handle: handle.clone(), meter: Arc::clone(meter), lag_limit, last: Mutex::new(None) };
    let judged = Arc::new(judged);
    for verdict in Verdict::ALL {
        let labels = [meter.pipeline(), verdict.word()];
        let shown = Arc::new(Shown { judged: Arc::clone(&judged), verdict });
        registry.sampled(&catalogue::STREAM_VERDICT, &labels, shown);
    }
}
