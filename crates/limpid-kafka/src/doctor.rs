//! Whether a cluster takes what a pipeline will write, before it does.
//!
//! Owns: the order of questions, and what follows from each answer. Does not own: putting them (`producer::survey`), how
//! findings look (`limpid`).
//!
//! Invariant: no topic is made and nothing is written. Each finding that is not well says how to mend it.

use std::time::Duration;

use limpid_connector::{Clock, Finding};
use limpid_model::{Fault, FaultCode};

use crate::config::KafkaOptions;
use crate::faults::{self, Said};
use crate::producer::{Of, Survey, TopicSeen, WRITE};
use crate::{position, settings};

/// As long as a sink's own start waits.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Topics that are asked for one by one, at a few milliseconds each.
const TOPICS_MAX: usize = 500;
/// Kafka's own default, which most tables' rows stay below.
const RECORD_BYTES_USUAL: u64 = 1_048_576;

/// Asks the cluster everything. `topics` are those that the tables' rows would go to.
pub fn examine(options: &KafkaOptions, pipeline: &str, topics: &[String], clock: &Clock) -> Vec<Finding> {
    match connect(options, pipeline, clock) {
        Ok((survey, brokers)) => {
            let mut asked = Asked { survey, options, findings: Vec::new() };
            asked.all(&brokers, topics);
            asked.findings
        }
        Err(fault) => vec![Finding::of_fault("sink.connection", &fault)],
    }
}

/// Which of these topics are there; `None` for one that this user may not see.
///
/// # Errors
/// No broker can be reached, or none lets us in.
pub fn are_there(
    options: &KafkaOptions,
    pipeline: &str,
    topics: &[String],
    clock: &Clock,
) -> Result<Vec<Option<bool>>, Fault> {
    let (mut survey, _) = connect(options, pipeline, clock)?;
    Ok(topics.iter().map(|topic| survey.topic(topic).ok().map(|seen| seen.is_some())).collect())
}

/// A survey, and the brokers that are there.
fn connect(options: &KafkaOptions, pipeline: &str, clock: &Clock) -> Result<(Survey, Vec<i32>), Fault> {
    let mut failed = None;
    for protection in settings::protections(options.tls.mode) {
        let found = Survey::new(&settings::reader(options, pipeline, *protection), clock);
        let outcome = found.and_then(|mut survey| {
            let endpoint = options.brokers.join(",");
            let definite = |said: &Said| faults::of_client("", said).is_some();
            match survey.brokers(CONNECT_MAX, definite) {
                Some(brokers) => Ok((survey, brokers)),
                None => {
                    let said = survey.first_error.take();
                    let definite = said.as_ref().and_then(|said| faults::of_client(&endpoint, said));
                    Err(definite.unwrap_or_else(|| faults::unreachable(&endpoint, said)))
                }
            }
        });
        match outcome {
            Ok(found) => return Ok(found),
            Err(fault) => failed = failed.or(Some(fault)),
        }
    }
    Err(failed.unwrap_or_else(|| faults::unreachable(&options.brokers.join(","), None)))
}

/// What brokers do unless a topic says otherwise; `None` where we may not know.
#[derive(Clone, Copy, Debug, Default)]
struct Defaults {
    replication_factor: Option<usize>,
    min_insync: Option<usize>,
    record_bytes_max: Option<u64>,
}

/// An examination under way.
struct Asked<'a> {
    survey: Survey,
    options: &'a KafkaOptions,
    findings: Vec<Finding>,
}

impl Asked<'_> {
    fn all(&mut self, brokers: &[i32], topics: &[String]) {
        self.pass("sink.connection", format!("{} brokers at {}", brokers.len(), self.options.brokers.join(",")));
        let defaults = self.defaults(brokers);
        self.replication(brokers.len(), defaults);
        self.topics(topics, defaults);
        self.position(defaults);
    }

    fn pass(&mut self, name: &'static str, sentence: impl Into<String>) {
        self.findings.push(Finding::pass(name, sentence));
    }

    fn warn(&mut self, name: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::warn(name, sentence, remedy));
    }

    fn fail(&mut self, name: &'static str, code: FaultCode, sentence: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding::fail(name, code, sentence, remedy));
    }

    /// Of the first broker: a cluster whose brokers differ in these is beyond us.
    fn defaults(&mut self, brokers: &[i32]) -> Defaults {
        let name = "sink.record-size";
        let entries = match brokers.first().map(|id| self.survey.configs(Of::Broker(*id))) {
            Some(Ok(entries)) => entries,
            _ => {
                let remedy = "grant DESCRIBE_CONFIGS on the cluster, or look at the brokers' settings yourself";
                self.warn(name, "the brokers' settings cannot be read", remedy);
                return Defaults::default();
            }
        };
        let number = |key: &str| number(&entries, key);
        let defaults = Defaults {
            replication_factor: number("default.replication.factor").map(|count| count as usize),
            min_insync: number("min.insync.replicas").map(|count| count as usize),
            record_bytes_max: number("message.max.bytes"),
        };
        match defaults.record_bytes_max {
            Some(bytes) if bytes < RECORD_BYTES_USUAL - 1000 => {
                let sentence =
                    format!("brokers take records of {bytes} bytes by default, less than Kafka's own default");
                self.warn(name, sentence, "raise message.max.bytes, or max.message.bytes of the topics");
            }
            Some(bytes) => self.pass(name, format!("brokers take records of {bytes} bytes by default")),
            None => self.pass(name, "the brokers do not tell how large a record may be"),
        }
        defaults
    }

    /// Of the topics that we would make.
    fn replication(&mut self, brokers: usize, defaults: Defaults) {
        let name = "sink.replication";
        let wanted = usize::try_from(self.options.creation.replication_factor).ok().or(defaults.replication_factor);
        let Some(wanted) = wanted else { return };
        let remedy = "set sink.topic-creation.replication-factor, or add brokers";
        match defaults.min_insync {
            _ if wanted > brokers => {
                let sentence = format!("topics would be made with {wanted} replicas, and there are {brokers} brokers");
                self.fail(name, FaultCode::TopicCreationRefused, sentence, remedy);
            }
            Some(least) if least > wanted => {
                let sentence = format!("{wanted} replicas of a topic can never make up min.insync.replicas {least}");
                self.fail(name, FaultCode::SinkWriteFailed, sentence, remedy);
            }
            Some(least) if least == wanted && wanted > 1 => {
                let sentence = format!("with {wanted} replicas and min.insync.replicas {least} no broker may be away");
                self.warn(name, sentence, remedy);
            }
            _ => {
                self.pass(name, format!("topics would be made with {wanted} replicas, and there are {brokers} brokers"))
            }
        }
    }

    fn topics(&mut self, topics: &[String], defaults: Defaults) {
        let (mut there, mut absent, mut forbidden, mut thin) = (0, Vec::new(), Vec::new(), Vec::new());
        for topic in topics.iter().take(TOPICS_MAX) {
            match self.survey.topic(topic) {
                Ok(Some(seen)) => {
                    there += 1;
                    if !may_write(&seen) {
                        forbidden.push(topic.clone());
                    }
                    if self.least_in_sync(topic, defaults).is_some_and(|least| least > seen.replicas) {
                        thin.push(topic.clone());
                    }
                }
                Ok(None) => absent.push(topic.clone()),
                Err(_) => forbidden.push(topic.clone()),
            }
        }
        let name = "sink.topics";
        if !forbidden.is_empty() {
            let sentence = format!("this user may not write to {}", Finding::listed(&forbidden));
            self.fail(name, FaultCode::SinkGrantMissing, sentence, "grant DESCRIBE and WRITE on them");
        }
        if !thin.is_empty() {
            let sentence = format!("fewer replicas than min.insync.replicas: {}", Finding::listed(&thin));
            self.fail(
                name,
                FaultCode::SinkWriteFailed,
                sentence,
                "add replicas, or lower min.insync.replicas of the topics",
            );
        }
        if !absent.is_empty() && !self.options.creation.enabled {
            let sentence = format!("not there, and topic-creation is off: {}", Finding::listed(&absent));
            let remedy = "create them, or set sink.topic-creation.enabled: true";
            return self.fail(name, FaultCode::TopicMissing, sentence, remedy);
        }
        if forbidden.is_empty() && thin.is_empty() {
            let more = topics.len().saturating_sub(TOPICS_MAX);
            let unseen = if more > 0 { format!(", {more} were not looked at") } else { String::new() };
            self.pass(name, format!("{there} topics are there, {} would be made{unseen}", absent.len()));
        }
    }

    fn least_in_sync(&mut self, topic: &str, defaults: Defaults) -> Option<usize> {
        let entries = self.survey.configs(Of::Topic(topic)).unwrap_or_default();
        number(&entries, "min.insync.replicas").map(|least| least as usize).or(defaults.min_insync)
    }

    /// As the sink itself wants it.
    fn position(&mut self, defaults: Defaults) {
        let (name, topic) = ("sink.position-topic", self.options.position_topic.clone());
        let seen = match self.survey.topic(&topic) {
            Ok(Some(seen)) => seen,
            Ok(None) => return self.pass(name, format!("{topic} would be made")),
            Err(said) => {
                let remedy = format!("grant DESCRIBE, READ and WRITE on topic {topic}, and CREATE if it is to be made");
                return self.fail(name, FaultCode::SinkGrantMissing, format!("{topic} cannot be seen: {said}"), remedy);
            }
        };
        let policy = self.survey.configs(Of::Topic(&topic)).unwrap_or_default();
        let policy = policy.into_iter().find(|(key, _)| key == "cleanup.policy").map(|(_, value)| value);
        let code = FaultCode::PositionTopicInvalid;
        let wanted = position::creation();
        let remedy = format!("make it anew with {} partition and cleanup.policy=compact", wanted.partitions);
        if seen.partitions != 1 {
            self.fail(name, code, format!("{topic} has {} partitions and must have 1", seen.partitions), remedy);
        } else if policy.as_deref().is_some_and(|policy| policy != "compact") {
            self.fail(name, code, format!("{topic} is not compacted, so that positions would be lost"), remedy);
        } else if !may_write(&seen) {
            let sentence = format!("this user may not write to {topic}");
            self.fail(name, FaultCode::SinkGrantMissing, sentence, "grant DESCRIBE, READ and WRITE on it");
        } else if self.least_in_sync(&topic, defaults).is_some_and(|least| least > seen.replicas) {
            let sentence = format!("{topic} has fewer replicas than min.insync.replicas");
            self.fail(
                name,
                FaultCode::SinkWriteFailed,
                sentence,
                "add replicas, or lower min.insync.replicas of the topic",
            );
        } else {
            self.pass(name, format!("{topic} is there and compacted"));
        }
    }
}

/// A broker that does not tell is believed.
fn may_write(seen: &TopicSeen) -> bool {
    seen.operations.is_empty() || seen.operations.contains(&WRITE)
}

fn number(entries: &[(String, String)], key: &str) -> Option<u64> {
    entries.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.parse().ok())
}
