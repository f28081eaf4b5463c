//! The compacted topic that keeps position records.
//!
//! Owns: its settings, and whether a topic found there will do. Does not own: the record's content
//! (`limpid-codec::record`), when it is saved (`limpid-engine`).
//!
//! Invariant: a record is never written to a topic from which Kafka would remove it by age or size, or in which two
//! partitions could hold two truths.

use limpid_model::{Fault, FaultCode};

use crate::config::TopicCreation;
use crate::faults::{self, Said};
use crate::producer::{Answer, Ask, Code};
use crate::topics::is_passing;

/// How the topic is made, whatever `topic-creation` says.
///
/// A restart reads the topic to its end: segments are small and compacted early, so that beyond the newest record of
/// each pipeline there are some 16 MiB to read, a tenth of a second.
pub(crate) fn creation() -> TopicCreation {
    let config = [("cleanup.policy", "compact"), ("segment.bytes", "16777216"), ("min.cleanable.dirty.ratio", "0.1")];
    TopicCreation {
        enabled: true,
        partitions: 1,
        replication_factor: -1,
        config: config.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
    }
}

/// Where the check of the topic stands; each stage is a question under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The first question, and again after making it.
    Describing {
        made: bool,
    },
    Creating,
    ReadingPolicy,
    /// It will do.
    Good,
}

impl Stage {
    pub fn ask(self) -> Option<Ask> {
        match self {
            Stage::Describing { .. } => Some(Ask::Describe),
            Stage::Creating => Some(Ask::Create),
            Stage::ReadingPolicy => Some(Ask::Configs),
            Stage::Good => None,
        }
    }
}

/// What an answer leads to. The same stage again: nobody knew, ask again.
///
/// # Errors
/// `POSITION_TOPIC_INVALID` with the command that mends it.
pub(crate) fn step(topic: &str, brokers: &str, stage: Stage, answer: &Answer) -> Result<Stage, Fault> {
    match (stage, answer) {
        (Stage::Describing { .. }, Answer::Described { partitions: 1 }) => Ok(Stage::ReadingPolicy),
        (Stage::Describing { .. }, Answer::Described { partitions }) => {
            let message = format!("the position topic has {partitions} partitions and must have 1");
            Err(invalid(topic, message).help(remake(topic, brokers)))
        }
        (Stage::Describing { made }, Answer::Failed(said)) => match said.code {
            Code::UNKNOWN_TOPIC_OR_PART if made => Ok(stage),
            Code::UNKNOWN_TOPIC_OR_PART => Ok(Stage::Creating),
            code if is_passing(code) => Ok(stage),
            _ => Err(not_made(topic, brokers, said)),
        },
        (Stage::Creating, Answer::Created) => Ok(Stage::Describing { made: true }),
        (Stage::Creating, Answer::Failed(said)) => match said.code {
            Code::TOPIC_ALREADY_EXISTS => Ok(Stage::Describing { made: true }),
            // A broker that starts or stood still does not count yet.
            Code::INVALID_REPLICATION_FACTOR => Ok(stage),
            code if is_passing(code) => Ok(Stage::Describing { made: false }),
            _ => Err(not_made(topic, brokers, said)),
        },
        (Stage::ReadingPolicy, Answer::Configs(entries)) => {
            match entries.iter().find(|(key, _)| key == "cleanup.policy").map(|(_, value)| value.as_str()) {
                // A server that does not tell is believed.
                Some("compact") | None => Ok(Stage::Good),
                Some(policy) => {
                    let message = format!("the position topic has cleanup.policy={policy} and must have compact");
                    Err(invalid(topic, message).help(format!(
                        "kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics \
                         --entity-name {topic} --add-config cleanup.policy=compact"
                    )))
                }
            }
        }
        (Stage::ReadingPolicy, Answer::Failed(said)) => match is_passing(said.code) {
            true => Ok(stage),
            // Without the right to see it, it is believed to be as we make it.
            false => Ok(Stage::Good),
        },
        _ => Ok(stage),
    }
}

/// What became of writing a record there.
///
/// # Errors
/// The record was refused.
pub(crate) fn written(topic: &str, brokers: &str, code: Code) -> Result<(), Fault> {
    let message = match code {
        Code::OK => return Ok(()),
        Code::MSG_SIZE_TOO_LARGE => "the position record is larger than the position topic's max.message.bytes",
        Code::TOPIC_AUTHORIZATION_FAILED => "Kafka does not let this user write to the position topic",
        Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_PARTITION => {
            "the position topic was deleted while it was in use"
        }
        _ => "Kafka refused the position record",
    };
    let fault = invalid(topic, message).because(Said { code, text: code.describe() });
    Err(match code {
        Code::MSG_SIZE_TOO_LARGE => fault.help("raise the topic's max.message.bytes"),
        Code::TOPIC_AUTHORIZATION_FAILED => fault.help(format!("grant WRITE, READ and DESCRIBE on topic {topic}")),
        _ => fault.help(make(topic, brokers)),
    })
}

/// The topic cannot be read.
pub(crate) fn unreadable(topic: &str, said: Said) -> Fault {
    invalid(topic, "Kafka does not let this user read the position topic")
        .help(format!("grant READ and DESCRIBE on topic {topic}"))
        .because(said)
}

/// Kafka's word that it has fewer brokers than the topic needs.
pub(crate) fn too_few_brokers(answer: &Answer) -> Option<Said> {
    match answer {
        Answer::Failed(said) if said.code == Code::INVALID_REPLICATION_FACTOR => Some(said.clone()),
        _ => None,
    }
}

/// The topic is missing, and Kafka's word why.
pub(crate) fn not_made(topic: &str, brokers: &str, said: &Said) -> Fault {
    invalid(topic, "the position topic is not there, and Kafka does not let us see or make it")
        .help(make(topic, brokers))
        .because(said.clone())
}

fn invalid(topic: &str, message: impl Into<String>) -> Fault {
    faults::fault(FaultCode::PositionTopicInvalid, message).about(topic)
}

fn make(topic: &str, brokers: &str) -> String {
    let config: String = creation().config.iter().map(|(key, value)| format!(" --config {key}={value}")).collect();
    format!("kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions 1{config}")
}

fn remake(topic: &str, brokers: &str) -> String {
    format!("set sink.position-topic to another name, or delete this one and run: {}", make(topic, brokers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_could_lose_a_record_is_refused_with_the_command_that_mends_it() {
        let check = |stage, answer: Answer| step("p", "b:1", stage, &answer).unwrap_err().remedy().to_owned();
        let remedy = check(Stage::Describing { made: false }, Answer::Described { partitions: 3 });
        assert!(remedy.contains("--create --topic p --partitions 1 --config cleanup.policy=compact"), "{remedy}");
        let policy = vec![("cleanup.policy".to_owned(), "compact,delete".to_owned())];
        let remedy = check(Stage::ReadingPolicy, Answer::Configs(policy));
        assert!(remedy.contains("--entity-name p --add-config cleanup.policy=compact"), "{remedy}");
        let failed = |code| Answer::Failed(Said { code, text: String::new() });
        let short = step("p", "b:1", Stage::Creating, &failed(Code::INVALID_REPLICATION_FACTOR));
        assert_eq!(short.unwrap(), Stage::Creating, "brokers may be missing for a while");
        let remedy = check(Stage::Creating, failed(Code::TOPIC_AUTHORIZATION_FAILED));
        assert!(remedy.starts_with("kafka-topics.sh --bootstrap-server b:1 --create"), "{remedy}");
    }
}
