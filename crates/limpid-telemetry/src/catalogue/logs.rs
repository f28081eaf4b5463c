//! Log lines that are sent.
//!
//! Owns: the definitions. Does not own: which are written (`events`) and sent (`log`).
//!
//! Invariant: there where a pipeline's lines are sent; what was written is sent, dropped or still waiting.

use super::Metric;

pub static LOG_LINES_SENT_TOTAL: Metric = Metric::counter("limpid_log_lines_sent_total", "lines")
    .on_use()
    .says("Log lines that a collector took.")
    .answers("Do log lines arrive?")
    .beside(&LOG_LINES_DROPPED_TOTAL);

pub static LOG_LINES_DROPPED_TOTAL: Metric = Metric::counter("limpid_log_lines_dropped_total", "lines")
    .labels(&["pipeline", "reason"])
    .says("Log lines that no collector has: queue_full, unreachable, refused, stopped. Stderr and the file have them.")
    .answers("Is the collector of log lines away or too slow?")
    .beside(&LOG_LINES_SENT_TOTAL);
