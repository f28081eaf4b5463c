//! The way of a row, under the names that Gravity's users have on their dashboards.
//!
//! Owns: the definitions. Does not own: the house's own additions (`spine`).
//!
//! Invariant: names, labels and buckets are the contract's, letter by letter. The latencies of input, emitter,
//! scheduler submit and output lie end to end: their sums add up to that of the process time.

use super::Metric;
use super::buckets::{E15, E18, E19, EVENT_TIME, LAG};
use super::spine::{FRESHNESS, INPUT_BLOCKED_SECONDS_TOTAL};

pub static INPUT_COUNTER: Metric = Metric::counter("gravity_input_counter", "rows")
    .labels(&["pipeline", "db", "table", "type", "subtype"])
    .says("Rows (type dml), definition changes (ddl) and transaction ends (ctl) read from the source.")
    .answers("What comes in, and from which table?")
    .beside(&OUTPUT_COUNTER);

pub static INPUT_EMITTER_COUNTER: Metric = Metric::counter("gravity_input_emitter_counter", "changes")
    .says("Changes handed to the transforms.")
    .answers("How many rows have we read?")
    .beside(&EMITTER_SCHEDULER_COUNTER);

pub static INPUT_LATENCY: Metric = Metric::histogram("gravity_input_latency", &E15)
    .says("From the first byte of a change's batch until the change is handed to the transforms.")
    .answers("How long do reading, waiting for room and decoding take?")
    .beside(&INPUT_BLOCKED_SECONDS_TOTAL);

pub static INPUT_AFTER_COMMIT_LATENCY: Metric = Metric::histogram("gravity_input_after_commit_latency", &E15)
    .says("Saving a position, at the sink and in the state; one observation a checkpoint.")
    .answers("Do checkpoints take long?")
    .beside(&SCHEDULER_ACK_LATENCY);

pub static EMITTER_SCHEDULER_COUNTER: Metric = Metric::counter("gravity_emitter_scheduler_counter", "changes")
    .says("Changes that passed the transforms.")
    .answers("How many rows are left after the transforms?")
    .beside(&INPUT_EMITTER_COUNTER);

pub static EMITTER_LATENCY: Metric = Metric::histogram("gravity_emitter_latency", &E15)
    .says("Transforming and encoding a change's batch.")
    .answers("Do transforms and encoding take long?")
    .beside(&INPUT_LATENCY);

pub static SCHEDULER_SUBMIT_LATENCY: Metric = Metric::histogram("gravity_scheduler_submit_latency", &E15)
    .says("From encoded until taken by the sink: waiting for its turn and for room.")
    .answers("Does the sink hold us back?")
    .beside(&OUTPUT_LATENCY);

pub static SCHEDULER_OUTPUT_COUNTER: Metric = Metric::counter("gravity_scheduler_output_counter", "changes")
    .says("Changes handed to the sink.")
    .answers("How many rows has the sink been given?")
    .beside(&OUTPUT_COUNTER);

pub static SCHEDULER_RETRY_COUNTER: Metric = Metric::counter("gravity_scheduler_retry_counter", "attempts")
    .says("Attempts at the sink that failed and were repeated.")
    .answers("Is the sink failing?")
    .beside(&RETRY_TOTAL);

pub static SCHEDULER_ACK_LATENCY: Metric = Metric::histogram("gravity_scheduler_ack_latency", &E15)
    .says("Working off the sink's acknowledgement of a change's batch.")
    .answers("Is our own bookkeeping slow?")
    .beside(&SCHEDULER_TOTAL_LATENCY);

pub static SCHEDULER_TOTAL_LATENCY: Metric = Metric::histogram("gravity_scheduler_total_latency", &E15)
    .says("From encoded until acknowledged by the sink.")
    .answers("How long is a row at the scheduler and the sink together?")
    .beside(&OUTPUT_LATENCY);

pub static SCHEDULER_NR_WORKER: Metric = Metric::gauge("gravity_scheduler_nr_worker", "lanes")
    .says("Lanes that write to the sink.")
    .answers("How many writes can go on at once?")
    .beside(&SCHEDULER_BATCH_SIZE);

pub static SCHEDULER_BATCH_SIZE: Metric = Metric::gauge("gravity_scheduler_batch_size", "changes")
    .labels(&["pipeline", "idx"])
    .says("Changes in the last batch of a lane.")
    .answers("Are batches full, or does the stream trickle?")
    .beside(&THROUGHPUT);

pub static SCHEDULER_SLIDING_WINDOW_RATIO: Metric = Metric::gauge("gravity_scheduler_sliding_window_ratio", "ratio")
    .labels(&["pipeline", "input_stream_key"])
    .says("Use of the window between reading and acknowledgement, 0 to 1.")
    .answers("Is everything that may be under way under way?")
    .beside(&QUEUE_LENGTH);

pub static OUTPUT_COUNTER: Metric = Metric::counter("gravity_output_counter", "records")
    .labels(&["pipeline", "cat0", "cat1", "cat2", "cat3"])
    .says("Records delivered, tombstones included: topic and partition, or schema, table and kind.")
    .answers("What went out, and where to?")
    .beside(&INPUT_COUNTER);

pub static OUTPUT_LATENCY: Metric = Metric::histogram("gravity_output_latency", &E18)
    .says("From taken by the sink until acknowledged, retries included.")
    .answers("How fast is the sink?")
    .beside(&SCHEDULER_SUBMIT_LATENCY);

pub static OUTPUT_MSG_SIZE: Metric = Metric::gauge("gravity_output_async_kafka_binlog_msg_size", "bytes")
    .labels(&["pipeline", "topic"])
    .says("Bytes of key and value of the last record sent to a topic.")
    .answers("How large are the records?")
    .beside(&OUTPUT_COUNTER);

pub static EVENT_TIME_LATENCY: Metric = Metric::histogram("gravity_event_time_latency", &EVENT_TIME)
    .says("From the commit at the source, as early as its clock allows, until durable at the sink, per change.")
    .answers("How late were the rows that arrived?")
    .beside(&FRESHNESS);

pub static PROCESS_TIME_LATENCY: Metric = Metric::histogram("gravity_process_time_latency", &E19)
    .says("From read by us until durable at the sink, per change.")
    .answers("How much of the delay is ours and the sink's?")
    .beside(&EVENT_TIME_LATENCY);

pub static QUEUE_LENGTH: Metric = Metric::gauge("gravity_queue_length", "items")
    .labels(&["pipeline", "type", "subtype"])
    .says("Items in a bounded queue.")
    .answers("Where do rows wait?")
    .beside(&SCHEDULER_SLIDING_WINDOW_RATIO);

pub static ERROR_TOTAL: Metric = Metric::counter("gravity_error_total", "errors")
    .labels(&["pipeline", "component", "error_type"])
    .says("Faults by the part of the way where they arose and their stable code.")
    .answers("What goes wrong?")
    .beside(&RETRY_TOTAL);

pub static RETRY_TOTAL: Metric = Metric::counter("gravity_retry_total", "retries")
    .labels(&["pipeline", "component", "reason"])
    .says("Attempts repeated, by the part of the way and the code of the fault.")
    .answers("What is being waited for?")
    .beside(&ERROR_TOTAL);

pub static DATA_LAG_SECONDS: Metric = Metric::histogram("gravity_data_lag_seconds", &LAG)
    .labels(&["pipeline", "schema", "table"])
    .says("From the commit at the source until durable at the target, per change and table.")
    .answers("Which table's rows arrive late?")
    .beside(&EVENT_TIME_LATENCY);

pub static THROUGHPUT: Metric = Metric::gauge("gravity_throughput_rows_per_second", "rows per second")
    .labels(&["pipeline", "schema", "table", "operation"])
    .says("Rows delivered a second, over the last 10 whole seconds.")
    .answers("How fast do rows flow?")
    .beside(&INPUT_COUNTER);

pub static CONNECTION_HEALTH: Metric = Metric::gauge("gravity_connection_health", "1 or 0")
    .labels(&["pipeline", "component", "endpoint"])
    .says("1 while a peer is connected, 0 while it is not.")
    .answers("Is the source or the sink away?")
    .beside(&ERROR_TOTAL);
