//! The process, under Prometheus' own names.
//!
//! Owns: the definitions. Does not own: reading them (`crate::process`).
//!
//! Invariant: names and meanings are those of Prometheus' client libraries.

use super::Metric;

pub static CPU_SECONDS_TOTAL: Metric = Metric::counter("process_cpu_seconds_total", "seconds")
    .labels(&[])
    .always()
    .says("Total user and system CPU time spent in seconds.")
    .answers("What does it cost?")
    .beside(&super::pipeline::THROUGHPUT);

pub static DISK_BYTES: Metric = Metric::gauge("limpid_disk_bytes", "bytes")
    .labels(&["kept"])
    .says("Disk that is taken by what is kept here: state, backups, held, parked, logs.")
    .answers("How much of the disk does Limpid itself take, and what takes it?")
    .beside(&super::parked::PARKED_BYTES);

pub static MAX_FDS: Metric = Metric::gauge("process_max_fds", "descriptors")
    .labels(&[])
    .always()
    .says("Maximum number of open file descriptors.")
    .answers("How many connections and files may be open?")
    .beside(&OPEN_FDS);

pub static OPEN_FDS: Metric = Metric::gauge("process_open_fds", "descriptors")
    .labels(&[])
    .always()
    .says("Number of open file descriptors.")
    .answers("Does something leak?")
    .beside(&MAX_FDS);

pub static RESIDENT_MEMORY_BYTES: Metric = Metric::gauge("process_resident_memory_bytes", "bytes")
    .labels(&[])
    .always()
    .says("Resident memory size in bytes.")
    .answers("How much memory does it take?")
    .beside(&VIRTUAL_MEMORY_BYTES);

pub static START_TIME_SECONDS: Metric = Metric::gauge("process_start_time_seconds", "seconds")
    .labels(&[])
    .always()
    .says("Start time of the process since unix epoch in seconds.")
    .answers("When did it start?")
    .beside(&super::spine::BUILD_INFO);

pub static VIRTUAL_MEMORY_BYTES: Metric = Metric::gauge("process_virtual_memory_bytes", "bytes")
    .labels(&[])
    .always()
    .says("Virtual memory size in bytes.")
    .answers("How much memory is reserved?")
    .beside(&RESIDENT_MEMORY_BYTES);
