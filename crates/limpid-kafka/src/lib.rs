//! Apache Kafka, as a sink.
//!
//! Owns: the sink (`sink`), its keys (`config`), the settings librdkafka is given (`settings`), topics and how they
//! come to be (`topics`), the position record's topic (`position`), Kafka's errors as faults (`faults`).
//! Does not own: record formats and topic names (`limpid-codec`), the window and the checkpoint (`limpid-engine`).
//!
//! Invariant: librdkafka is spoken to in `producer` and below it, nowhere else; all unsafe code is there.

pub mod config;
pub mod doctor;
mod faults;
mod position;
mod producer;
mod settings;
mod sink;
mod topics;

pub use config::{Compression, KafkaOptions, TopicCreation};
pub use sink::KafkaSink;
