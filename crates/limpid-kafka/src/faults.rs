//! Kafka's errors as faults.
//!
//! Owns: which of our codes each error is, and the sentence. Does not own: what is done about it (`limpid-model`'s
//! table), where errors come from (`producer`).
//!
//! Invariant: an error nobody foresaw is never swallowed: it becomes `SINK_WRITE_FAILED` with Kafka's own name in it.

use std::fmt;

use limpid_model::{Component, Fault, FaultCode};

use crate::producer::Code;

/// What librdkafka or a broker said. Its text holds addresses and topics, never keys, values or passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub code: Code,
    pub text: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.text)
    }
}

impl std::error::Error for Said {}

pub(crate) fn fault(code: FaultCode, message: impl Into<String>) -> Fault {
    Fault::new(code, Component::Output, message)
}

/// The connection cannot be had, in the words of the last error about it.
pub(crate) fn unreachable(endpoint: &str, said: Option<Said>) -> Fault {
    let plain = fault(FaultCode::SinkUnreachable, "no Kafka broker can be reached").about(endpoint);
    match said {
        Some(said) => plain.because(said),
        None => plain,
    }
}

/// A record that was sent has no answer, or its transaction no end, though a broker may well be there.
pub(crate) fn save_unanswered(endpoint: &str, seconds: u64, last_error: Option<Said>) -> Fault {
    let message = format!("Kafka did not take the position within {seconds} s: no acknowledgement, or no commit");
    let plain = fault(FaultCode::SinkUnreachable, message).about(endpoint);
    match last_error {
        Some(said) => plain.because(said),
        None => plain,
    }
}

/// An error about a connection or the whole client that waiting does not mend; `None` for the others.
pub(crate) fn of_client(endpoint: &str, said: &Said) -> Option<Fault> {
    let (code, message) = match said.code {
        Code::AUTHENTICATION => (FaultCode::SinkAuthFailed, "Kafka refused the login"),
        Code::SASL_AUTHENTICATION_FAILED => (FaultCode::SinkAuthFailed, "Kafka refused the login"),
        Code::UNSUPPORTED_SASL_MECHANISM => (FaultCode::SinkAuthFailed, "Kafka does not have the SASL mechanism"),
        Code::SSL => (FaultCode::SinkTlsFailed, "no TLS connection to Kafka comes about"),
        Code::CLUSTER_AUTHORIZATION_FAILED => {
            (FaultCode::SinkGrantMissing, "Kafka does not let this user be an idempotent producer")
        }
        _ => return None,
    };
    let plain = fault(code, message).about(endpoint).because(said.clone());
    Some(match said.code {
        Code::CLUSTER_AUTHORIZATION_FAILED => {
            plain.help("grant WRITE on the topics, or before Kafka 2.8 IDEMPOTENT_WRITE on the cluster")
        }
        _ => plain,
    })
}

/// True for an error that says of one topic what no other transaction would change.
pub(crate) fn is_about_the_topic(code: Code) -> bool {
    [
        Code::TOPIC_AUTHORIZATION_FAILED,
        Code::UNKNOWN_TOPIC,
        Code::UNKNOWN_TOPIC_OR_PART,
        Code::UNKNOWN_PARTITION,
        Code::TOPIC_EXCEPTION,
        Code::INVALID_RECORD,
    ]
    .contains(&code)
}

/// A transaction that does not come to its end. Whatever it is but fencing and a missing right, a new transaction by a
/// new producer may go through, and begins at the record of the last one that did.
pub(crate) fn of_transaction(object: &str, said: Said) -> Fault {
    let (code, message) = match said.code {
        Code::FENCED | Code::PRODUCER_FENCED | Code::INVALID_PRODUCER_EPOCH => {
            (FaultCode::Fenced, "another instance of this pipeline has taken over")
        }
        Code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            (FaultCode::SinkGrantMissing, "Kafka does not let this user have the pipeline's transactional id")
        }
        _ => (FaultCode::SinkTransactionAborted, "a Kafka transaction was undone"),
    };
    let plain = fault(code, message).about(object).because(said);
    match code {
        FaultCode::SinkGrantMissing => plain.help("grant WRITE and DESCRIBE on the transactional id limpid-<pipeline>"),
        _ => plain,
    }
}

/// The producer cannot go on.
pub(crate) fn of_fatal(endpoint: &str, said: Said) -> Fault {
    of_client(endpoint, &said)
        .unwrap_or_else(|| fault(FaultCode::SinkWriteFailed, "the producer failed").about(endpoint).because(said))
}

/// A record was refused for a reason that is not its size.
pub(crate) fn of_delivery(topic: &str, code: Code) -> Fault {
    let (fault_code, message) = match code {
        Code::TOPIC_AUTHORIZATION_FAILED => {
            (FaultCode::SinkGrantMissing, "Kafka does not let this user write to the topic")
        }
        Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_PARTITION => {
            (FaultCode::TopicMissing, "the topic was deleted while it was written to")
        }
        Code::TOPIC_EXCEPTION => (FaultCode::TopicNameInvalid, "Kafka does not take this topic's name"),
        Code::INVALID_RECORD => (FaultCode::SinkWriteFailed, "Kafka refused a record that breaks the topic's rules"),
        _ => (FaultCode::SinkWriteFailed, "Kafka refused a record"),
    };
    let plain = fault(fault_code, message).about(topic).because(Said { code, text: code.describe() });
    match code {
        Code::TOPIC_AUTHORIZATION_FAILED => plain.help(format!("grant WRITE and DESCRIBE on topic {topic}")),
        Code::INVALID_RECORD => plain.help("a compacted topic takes no record without a key; see the broker's log"),
        _ => plain,
    }
}

/// A record that the topic will not take. `bytes` is its size on the wire.
pub(crate) fn too_large(topic: &str, bytes: u64, limit: u64) -> Fault {
    let message = format!("a record of {bytes} bytes is over the topic's limit of {limit}");
    fault(FaultCode::RecordTooLarge, message).about(topic)
}

/// The same, where only the refusal told of the limit. Records behind it may be at the broker already, so the attempt
/// ends: the next one knows the limit beforehand.
pub(crate) fn refused_as_too_large(topic: &str, bytes: u64) -> Fault {
    let message = format!("Kafka refused a record of {bytes} bytes as too large, and its limit was not known");
    fault(FaultCode::RecordRefused, message).about(topic)
}

/// Several records were refused together, and only the sum is known to be too large.
pub(crate) fn batch_too_large(topic: &str, records: usize) -> Fault {
    let message = format!("Kafka refused {records} records together as too large, and its limit cannot be read");
    fault(FaultCode::SinkSettingInvalid, message).about(topic).help(format!(
        "grant DESCRIBE_CONFIGS on topic {topic}, or set sink.librdkafka.batch.size below its max.message.bytes"
    ))
}
