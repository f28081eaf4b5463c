//! Kept traces.
//!
//! Owns: the definitions. Does not own: which are kept and sent (`trace`).
//!
//! Invariant: there where a pipeline has traces; what was kept is sent, dropped or still waiting.

use super::Metric;

pub static TRACES_KEPT_TOTAL: Metric = Metric::counter("limpid_traces_kept_total", "traces")
    .labels(&["pipeline", "reason"])
    .says("Transactions that are kept as traces: error, watched, first (of a table), slow, parent, sampled.")
    .answers("Which transactions can be looked up in the tracing system?")
    .beside(&TRACES_SENT_TOTAL);

pub static TRACES_SENT_TOTAL: Metric = Metric::counter("limpid_traces_sent_total", "traces")
    .on_use()
    .says("Transactions that a collector took.")
    .answers("Do traces arrive?")
    .beside(&TRACES_DROPPED_TOTAL);

pub static TRACES_DROPPED_TOTAL: Metric = Metric::counter("limpid_traces_dropped_total", "traces")
    .labels(&["pipeline", "reason"])
    .says(
        "Transactions whose traces are gone: queue_full, unreachable, refused, stopped, or rate (not kept: 100 others were \
         for an error or for being slow within the second). Of a message that is refused in part, as many as spans were.",
    )
    .answers("Is the collector away or too slow?")
    .beside(&TRACES_SENT_TOTAL);
