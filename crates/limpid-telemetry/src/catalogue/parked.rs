//! Rows that could not be delivered.
//!
//! Owns: the definitions. Does not own: what is done about such rows (`limpid-engine`).
//!
//! Invariant: gauges tell what is kept now, counters what became of rows since the process began.

use super::Metric;
use super::pipeline::ERROR_TOTAL;
use super::spine::HALTED_TABLES;

pub static PARKED_KEYS: Metric = Metric::gauge("limpid_parked_keys", "keys")
    .says("Keys whose changes queue behind one that could not be delivered.")
    .answers("Does the target lack the latest state of some row?")
    .beside(&PARKED_ROWS);

pub static PARKED_ROWS: Metric = Metric::gauge("limpid_parked_rows", "rows")
    .says("Rows that wait with parked keys, those that could not be delivered included; 10,000 may be kept in all.")
    .answers("How much waits for a replay, and when will a table halt for it?")
    .beside(&PARKED_BYTES);

pub static PARKED_BYTES: Metric = Metric::gauge("limpid_parked_bytes", "bytes")
    .says("Bytes of all rows kept, dead letters included; 256 MiB may be.")
    .answers("How much of the data directory do they take?")
    .beside(&PARKED_ROWS);

pub static DEAD_LETTERS: Metric = Metric::gauge("limpid_dead_letters", "rows")
    .says("Rows that could not be delivered, and whose keys went on.")
    .answers("What was left out, and is still to be looked at?")
    .beside(&PARKED_ROWS);

pub static ROWS_KEPT_TOTAL: Metric = Metric::counter("limpid_rows_kept_total", "rows")
    .labels(&["pipeline", "error_type"])
    .says("Rows that could not be delivered and were put aside, by their fault; rows that wait behind them not.")
    .answers("Why are rows refused, and how often?")
    .beside(&ERROR_TOTAL);

pub static ROWS_REPLAYED_TOTAL: Metric = Metric::counter("limpid_rows_replayed_total", "rows")
    .says("Rows that were kept and are delivered.")
    .answers("Did the replay get through?")
    .beside(&PARKED_ROWS);

pub static ROWS_GIVEN_UP_TOTAL: Metric = Metric::counter("limpid_rows_given_up_total", "rows")
    .says("Rows that were kept and that an operator dropped.")
    .answers("What will the target never have?")
    .beside(&HALTED_TABLES);
