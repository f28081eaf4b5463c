//! Heartbeats through the source's log.
//!
//! Owns: the definitions. Does not own: the other lags (`lag`).
//!
//! Invariant: each is measured on one clock of ours.

use super::Metric;
use super::buckets::E22;
use super::spine::FRESHNESS;

pub static INPUT_PROBE_LATENCY: Metric = Metric::histogram("gravity_input_probe_latency", &E22)
    .says("From before a heartbeat is written to the source until it is seen in its log.")
    .answers("How late does the source's log reach us, whatever its clock says?")
    .beside(&HEARTBEAT_DELIVERY);

pub static HEARTBEAT_DELIVERY: Metric = Metric::histogram("limpid_heartbeat_delivery_seconds", &E22)
    .says("From before a heartbeat is written to the source until everything up to it is durable at the sink.")
    .answers("How late are changes at the target, on one clock?")
    .beside(&INPUT_PROBE_LATENCY);

pub static HEARTBEAT_LAG: Metric = Metric::gauge("limpid_heartbeat_lag_seconds", "seconds")
    .says("What the last delivered heartbeat took, or the age of the oldest that is not delivered, whichever is more.")
    .answers("How late would a change be that is committed now, as far as one that was tells?")
    .beside(&FRESHNESS);

pub static HEARTBEAT_FAILURES_TOTAL: Metric = Metric::counter("limpid_heartbeat_failures_total", "heartbeats")
    .says("Heartbeats that could not be written to the source.")
    .answers("Is the lag by heartbeat still told?")
    .beside(&HEARTBEAT_LAG);
