//! Tables that are copied.
//!
//! Owns: the definitions. Does not own: the rows themselves, which count like all others (`pipeline`).
//!
//! Invariant: names that Gravity's users know are the contract's, letter by letter.

use super::Metric;
use super::buckets::E22;
use super::pipeline::{INPUT_COUNTER, OUTPUT_LATENCY};

pub static BATCH_QUERY_DURATION: Metric = Metric::histogram("gravity_output_batch_query_duration", &E22)
    .says("Asking a source for a chunk of a table and reading it; one observation a chunk.")
    .answers("Is the source slow in giving us its tables?")
    .beside(&OUTPUT_LATENCY);

pub static JOB_FETCHED_COUNT: Metric = Metric::counter("gravity_output_job_fetched_count", "rows")
    .says("Rows read from tables, those of chunks that had to be read again included.")
    .answers("How fast are tables read?")
    .beside(&INPUT_COUNTER);

pub static SNAPSHOT_RATIO: Metric = Metric::gauge("limpid_snapshot_ratio", "ratio")
    .says("Done of copying the tables, 0 to 1, weighed by their sizes as the source estimates them.")
    .answers("How far is the snapshot?")
    .beside(&SNAPSHOT_REMAINING_SECONDS);

pub static SNAPSHOT_REMAINING_SECONDS: Metric = Metric::gauge("limpid_snapshot_remaining_seconds", "seconds")
    .says("Until the tables are copied, if it goes on as since the start.")
    .answers("When will the snapshot be done?")
    .beside(&SNAPSHOT_RATIO);

pub static SNAPSHOT_STALE_CHUNKS_TOTAL: Metric = Metric::counter("limpid_snapshot_stale_chunks_total", "chunks")
    .says("Chunks that were read and could not be used, since their table changed meanwhile; they were read again.")
    .answers("Do changes of definitions or truncates hold the snapshot up?")
    .beside(&JOB_FETCHED_COUNT);

pub static SNAPSHOT_DUTY_RATIO: Metric = Metric::gauge("limpid_snapshot_duty_ratio", "ratio")
    .says("The part of the time in which tables are read; below 1 while the source is busy with others.")
    .answers("Does the snapshot hold back for the source's own work?")
    .beside(&SNAPSHOT_SOURCE_LOSS_RATIO);

pub static SNAPSHOT_SOURCE_LOSS_RATIO: Metric = Metric::gauge("limpid_snapshot_source_loss_ratio", "ratio")
    .says("The part of their statements that others at the source lose to reading tables, as measured by reading and resting in turn.")
    .answers("What does the snapshot cost the source?")
    .beside(&SNAPSHOT_DUTY_RATIO);
