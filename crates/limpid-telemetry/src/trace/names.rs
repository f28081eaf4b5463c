//! What spans and their attributes are called.
//!
//! Owns: the names of OpenTelemetry's conventions for messaging and databases, version 1.44, and our own under `limpid.`.
//! Does not own: which span has which (`spans`).
//!
//! Invariant: no other file writes such a name, so that another version of the conventions is a change of this one. The
//! messaging conventions are not stable yet.

pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
pub(crate) const SCOPE: &str = "limpid";

pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const SERVICE_VERSION: &str = "service.version";
pub(crate) const SERVICE_INSTANCE: &str = "service.instance.id";
pub(super) const ERROR_TYPE: &str = "error.type";

pub(super) const DB_SYSTEM: &str = "db.system.name";
pub(super) const DB_NAMESPACE: &str = "db.namespace";
pub(super) const DB_COLLECTION: &str = "db.collection.name";
pub(super) const DB_OPERATION: &str = "db.operation.name";
pub(super) const DB_BATCH_SIZE: &str = "db.operation.batch.size";

pub(super) const MESSAGING_SYSTEM: &str = "messaging.system";
pub(super) const MESSAGING_OPERATION: &str = "messaging.operation.name";
pub(super) const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
pub(super) const MESSAGING_DESTINATION: &str = "messaging.destination.name";
pub(super) const MESSAGING_PARTITION: &str = "messaging.destination.partition.id";
pub(super) const MESSAGING_COUNT: &str = "messaging.batch.message_count";
pub(super) const MESSAGING_OFFSET: &str = "messaging.kafka.offset";

pub(super) const PIPELINE: &str = "limpid.pipeline";
/// The transaction as its server prints it.
pub(super) const TXN: &str = "limpid.txn.id";
/// A chunk of a table that was copied: the table, the pipeline's epoch, the lane of the copy and the chunk's number in it.
pub(super) const CHUNK: &str = "limpid.chunk.id";
/// Our own trace id, where the trace is an application's or a change's.
pub(super) const TXN_TRACE: &str = "limpid.txn_trace_id";
pub(super) const WHY: &str = "limpid.kept";
/// As the source sent them.
pub(super) const BYTES: &str = "limpid.bytes";
pub(super) const ROWS: &str = "limpid.rows";
pub(super) const ROWS_BEFORE: &str = "limpid.rows_before";
pub(super) const ROWS_FILTERED: &str = "limpid.rows_filtered";
/// Rows that could not be delivered and are kept.
pub(super) const ROWS_KEPT: &str = "limpid.rows_kept";
pub(super) const BATCHES: &str = "limpid.batches";
pub(super) const LEFT_OUT: &str = "limpid.spans_left_out";
pub(super) const UNCERTAINTY: &str = "limpid.commit.uncertainty_us";
pub(super) const ATTEMPT: &str = "limpid.attempt";
pub(super) const OPERATION: &str = "limpid.operation";
pub(super) const ORDINAL: &str = "limpid.ordinal";
pub(super) const LAST_OFFSET: &str = "limpid.offset_last";
/// The records of the whole batch, of which the transaction's are a part.
pub(super) const BATCH_RECORDS: &str = "limpid.batch.records";

pub(super) const SEND: &str = "send";
pub(super) const PROCESS: &str = "process";
pub(super) const COPY: &str = "copy";
pub(super) const KAFKA: &str = "kafka";
pub(super) const MARIADB: &str = "mariadb";
pub(super) const MYSQL: &str = "mysql";

/// The stages, which are also part of span ids.
pub(super) const ROOT: &str = "Transaction";
pub(super) const INPUT: &str = "Input";
pub(super) const FENCE: &str = "Fence";
pub(super) const DEFINITION: &str = "Definition";
pub(super) const FILTER: &str = "Filter";
pub(super) const SCHEDULER: &str = "Scheduler";
pub(super) const OUTPUT: &str = "Output";
