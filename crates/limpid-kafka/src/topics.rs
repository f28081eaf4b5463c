//! Topics: is one there, who makes it, how large a record it takes.
//!
//! Owns: what is known of each topic, and the order of questions. Does not own: putting the questions (`producer`).
//!
//! Invariant: `step` is pure. A topic is asked for by a question that never makes it; only `topic-creation` does. A
//! definite refusal is a fault at once, everything else is asked again. Only the answer to a topic's last question
//! counts: a question may be put again before the answer to it comes, and that answer then is of an earlier stage.

use std::collections::HashMap;
use std::sync::Arc;

use limpid_model::{Fault, FaultCode};

use crate::faults::{self, Said};
use crate::producer::{ANSWER_NS_MAX, Answer, Ask, Asker, Code};

/// Pause before a question is put again: a topic just made is known to its broker within some 20 ms.
const AGAIN_NS: u64 = 50_000_000;
/// Pause while a partition has no leader.
const LEADERS_NS: u64 = 200_000_000;
/// Pause while the cluster has too few brokers.
const SHORT_NS: u64 = 1_000_000_000;
/// So often there may be too few brokers for a topic: a controller counts a broker only from its first heartbeat on, so
/// that one which stood still or starts is missing for a while. Beyond it more copies are wanted than there are brokers.
const SHORT_MAX: u32 = 30;

/// So often a topic that was made may be unknown: 30 s, librdkafka's own patience with a topic just made. Beyond it
/// somebody deleted it.
const UNKNOWN_MAX: u32 = 600;

/// Where one topic stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Set when a record first needs the topic. `made`: how often it was unknown since we made it.
    Describing { made: Option<u32> },
    /// Set when the topic is not there and may be made. `short`: how often there were too few brokers for it.
    Creating { short: u32 },
    /// Set when the topic is there: its limit is being read.
    ReadingLimit { partitions: usize },
    /// Set when its limit is read: until each partition has a broker that leads it, nothing may be sent. A broker is
    /// named as leader before it leads. Of two record batches under way it might refuse the first and take the second,
    /// since the first that it takes from a producer may have any number; the first, sent again, then counts as a
    /// repetition of what is there, and is lost with an acknowledgement. librdkafka asks the leaders it knows of, and what
    /// it knows of a topic that it does not use yet it keeps for a quarter of an hour, that there is none included; only a
    /// description renews it.
    AwaitingLeaders { partitions: usize, record_bytes_max: Option<u64> },
    /// Set once all is known that can be; `None` is a limit we may not read.
    Ready { record_bytes_max: Option<u64> },
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Now,
    /// After so many nanoseconds.
    After(u64),
    Nothing,
}

/// The question of a stage.
fn ask_of(stage: Stage) -> Option<Ask> {
    match stage {
        Stage::Describing { .. } => Some(Ask::Describe),
        Stage::Creating { .. } => Some(Ask::Create),
        Stage::ReadingLimit { .. } => Some(Ask::Configs),
        Stage::AwaitingLeaders { partitions, .. } => Some(Ask::Offsets(i32::try_from(partitions).unwrap_or(i32::MAX))),
        Stage::Ready { .. } => None,
    }
}

/// The next stage of a topic, and when its question is put.
///
/// # Errors
/// The topic cannot be had.
pub(crate) fn step(name: &str, stage: Stage, answer: &Answer, may_make: bool) -> Result<(Stage, Next), Fault> {
    match (stage, answer) {
        (Stage::Describing { .. }, Answer::Described { partitions }) => {
            Ok((Stage::ReadingLimit { partitions: *partitions }, Next::Now))
        }
        (Stage::Describing { made }, Answer::Failed(said)) => match (said.code, made) {
            (Code::UNKNOWN_TOPIC_OR_PART, None) if may_make => Ok((Stage::Creating { short: 0 }, Next::Now)),
            (Code::UNKNOWN_TOPIC_OR_PART, Some(times)) if times < UNKNOWN_MAX => {
                Ok((Stage::Describing { made: Some(times + 1) }, Next::After(AGAIN_NS)))
            }
            (Code::UNKNOWN_TOPIC_OR_PART, _) => {
                Err(faults::fault(FaultCode::TopicMissing, "the topic does not exist").about(name))
            }
            (Code::TOPIC_EXCEPTION, _) => Err(bad_name(name)),
            (Code::TOPIC_AUTHORIZATION_FAILED, _) => Err(no_right(name, said)),
            _ => Ok((stage, Next::After(AGAIN_NS))),
        },
        (Stage::Creating { .. }, Answer::Created) => Ok((Stage::Describing { made: Some(0) }, Next::Now)),
        (Stage::Creating { short }, Answer::Failed(said)) => match said.code {
            // Somebody was faster.
            Code::TOPIC_ALREADY_EXISTS => Ok((Stage::Describing { made: Some(0) }, Next::Now)),
            Code::TOPIC_EXCEPTION => Err(bad_name(name)),
            Code::INVALID_REPLICATION_FACTOR if short < SHORT_MAX => {
                Ok((Stage::Creating { short: short + 1 }, Next::After(SHORT_NS)))
            }
            code if is_passing(code) => Ok((Stage::Describing { made: None }, Next::After(AGAIN_NS))),
            _ => Err(refused(name, said)),
        },
        (Stage::ReadingLimit { partitions }, Answer::Configs(entries)) => {
            let limit = entries.iter().find(|(key, _)| key == "max.message.bytes");
            let record_bytes_max = limit.and_then(|(_, value)| value.parse().ok());
            Ok((Stage::AwaitingLeaders { partitions, record_bytes_max }, Next::Now))
        }
        (Stage::ReadingLimit { partitions }, Answer::Failed(said)) => match said.code {
            Code::UNKNOWN_TOPIC_OR_PART => Ok((Stage::Describing { made: Some(0) }, Next::After(AGAIN_NS))),
            code if is_passing(code) => Ok((stage, Next::After(AGAIN_NS))),
            // Not allowed to know, or a server that does not tell: Kafka itself will say which record is too large.
            _ => Ok((Stage::AwaitingLeaders { partitions, record_bytes_max: None }, Next::Now)),
        },
        (Stage::AwaitingLeaders { record_bytes_max, .. }, Answer::Led) => {
            Ok((Stage::Ready { record_bytes_max }, Next::Nothing))
        }
        (Stage::AwaitingLeaders { record_bytes_max, .. }, Answer::Failed(said)) => match said.code {
            // Not allowed to know, or a server too old to tell.
            Code::TOPIC_AUTHORIZATION_FAILED | Code::UNSUPPORTED_FEATURE => {
                Ok((Stage::Ready { record_bytes_max }, Next::Nothing))
            }
            _ => Ok((Stage::Describing { made: Some(0) }, Next::After(LEADERS_NS))),
        },
        // No answer to this question: asked again.
        _ => Ok((stage, Next::After(AGAIN_NS))),
    }
}

/// Nobody answered, or not now: asked again.
pub(crate) fn is_passing(code: Code) -> bool {
    // librdkafka's own errors are negative; what a broker may say while it starts or hands over is listed.
    const REQUEST_TIMED_OUT: i32 = 7;
    const LEADER_NOT_AVAILABLE: i32 = 5;
    const COORDINATOR_LOAD: i32 = 14;
    const NOT_CONTROLLER: i32 = 41;
    code.0 < 0 || matches!(code.0, REQUEST_TIMED_OUT | LEADER_NOT_AVAILABLE | COORDINATOR_LOAD | NOT_CONTROLLER)
}

/// Kafka's rule: 1 to 249 of these characters, and neither `.` nor `..`.
pub(crate) fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

fn bad_name(name: &str) -> Fault {
    faults::fault(FaultCode::TopicNameInvalid, "this is no legal name of a topic").about(name)
}

fn no_right(name: &str, said: &Said) -> Fault {
    faults::fault(FaultCode::SinkGrantMissing, "Kafka does not let this user see the topic, or it is not there")
        .about(name)
        .help(format!("grant DESCRIBE and WRITE on topic {name}, and CREATE if it is to be made"))
        .because(said.clone())
}

fn refused(name: &str, said: &Said) -> Fault {
    faults::fault(FaultCode::TopicCreationRefused, "Kafka does not let us make the topic")
        .about(name)
        .because(said.clone())
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    stage: Stage,
    due: Due,
    /// The number of its last question, from 1.
    question: u32,
    /// The topic's number in the producer, once it has been used.
    number: Option<u16>,
}

/// When a topic's next question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Set when a topic is ready: nothing is asked.
    Never,
    At(u64),
    /// Set when the question was put: again at that time, should no answer have come.
    Unanswered(u64),
}

impl Due {
    fn at(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::At(at) | Self::Unanswered(at) => Some(at),
        }
    }
}

/// A topic that records can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub index: usize,
    pub number: Option<u16>,
    pub record_bytes_max: Option<u64>,
}

/// Every topic a record was for. As many as there are tables, which the source bounds.
#[derive(Debug)]
pub(crate) struct Topics {
    may_make: bool,
    entries: Vec<Entry>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Topics {
    pub fn new(may_make: bool) -> Self {
        Self { may_make, entries: Vec::new(), by_name: HashMap::new() }
    }

    /// The topic, once it is ready. Asking for it begins looking it up.
    ///
    /// # Errors
    /// The name is not legal.
    pub fn place(&mut self, name: &Arc<str>, now: u64) -> Result<Option<Place>, Fault> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None if is_legal(name) => {
                let stage = Stage::Describing { made: None };
                self.entries.push(Entry {
                    name: Arc::clone(name),
                    stage,
                    due: Due::At(now),
                    question: 0,
                    number: None,
                });
                self.by_name.insert(Arc::clone(name), self.entries.len() - 1);
                return Ok(None);
            }
            None => return Err(bad_name(name)),
        };
        let entry = &self.entries[index];
        Ok(match entry.stage {
            Stage::Ready { record_bytes_max } => Some(Place { index, number: entry.number, record_bytes_max }),
            _ => None,
        })
    }

    /// Remembers the topic's number in the producer.
    pub fn set_number(&mut self, index: usize, number: u16) {
        self.entries[index].number = Some(number);
    }

    /// The producer is a new one: numbers mean nothing any more, and what the old one was asked it takes no answer to.
    pub fn begin_anew(&mut self, now: u64) {
        for entry in &mut self.entries {
            entry.number = None;
            if let Due::Unanswered(_) = entry.due {
                entry.due = Due::At(now);
            }
        }
    }

    /// Limits may have changed: every topic is looked up again before anything further is sent to it. It was there, so
    /// that it may be unknown for a while, as one that was just made.
    pub fn refresh(&mut self, now: u64) {
        for entry in self.entries.iter_mut().filter(|entry| matches!(entry.stage, Stage::Ready { .. })) {
            (entry.stage, entry.due) = (Stage::Describing { made: Some(0) }, Due::At(now));
        }
    }

    /// Takes an answer to a question of [`Topics::due`]; one to an earlier question than the last says nothing.
    ///
    /// # Errors
    /// The topic cannot be had.
    pub fn answered(&mut self, asker: Asker, answer: &Answer, now: u64) -> Result<(), Fault> {
        let Some(entry) = self.entries.get_mut(asker.who as usize) else { return Ok(()) };
        if asker.question != entry.question || !matches!(entry.due, Due::Unanswered(_)) {
            return Ok(());
        }
        let (stage, next) = step(&entry.name, entry.stage, answer, self.may_make)?;
        entry.stage = stage;
        entry.due = match next {
            Next::Now => Due::At(now),
            Next::After(pause) => Due::At(now + pause),
            Next::Nothing => Due::Never,
        };
        Ok(())
    }

    /// Questions whose time has come; they count as put. One that was never answered is put again: rows wait for it.
    pub fn due(&mut self, now: u64) -> Vec<(Asker, Ask, Arc<str>)> {
        let mut due = Vec::new();
        for (who, entry) in (0..).zip(&mut self.entries) {
            let Some(ask) = ask_of(entry.stage).filter(|_| entry.due.at().is_some_and(|at| at <= now)) else {
                continue;
            };
            entry.question = entry.question.wrapping_add(1);
            entry.due = Due::Unanswered(now + ANSWER_NS_MAX);
            due.push((Asker { who, question: entry.question }, ask, Arc::clone(&entry.name)));
        }
        due
    }

    /// When the next question is due.
    pub fn next_due(&self) -> Option<u64> {
        self.entries.iter().filter_map(|entry| entry.due.at()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(code: Code) -> Answer {
        Answer::Failed(Said { code, text: String::new() })
    }

    const FIRST: Stage = Stage::Describing { made: None };
    const CREATING: Stage = Stage::Creating { short: 0 };

    #[test]
    fn a_missing_topic_is_made_only_when_that_is_allowed() {
        let unknown = failed(Code::UNKNOWN_TOPIC_OR_PART);
        assert_eq!(step("t", FIRST, &unknown, true).unwrap(), (CREATING, Next::Now));
        assert_eq!(step("t", FIRST, &unknown, false).unwrap_err().code(), FaultCode::TopicMissing);
        // Made, and not yet known to every broker.
        let (stage, next) = step("t", Stage::Describing { made: Some(0) }, &unknown, true).unwrap();
        assert_eq!((stage, next), (Stage::Describing { made: Some(1) }, Next::After(AGAIN_NS)));
    }

    /// Puts the questions due, and gives their answers.
    fn exchange(topics: &mut Topics, answer: &Answer, now: u64) -> Result<(), Fault> {
        let asked = topics.due(now);
        assert!(!asked.is_empty(), "nothing was asked at {now}");
        asked.into_iter().try_for_each(|(asker, ..)| topics.answered(asker, answer, now))
    }

    #[test]
    fn a_topic_that_was_there_may_be_unknown_for_a_moment_when_its_limit_is_read_again() {
        let mut topics = Topics::new(false);
        let name: Arc<str> = "t".into();
        assert_eq!(topics.place(&name, 0).unwrap(), None);
        topics.entries[0].stage = Stage::Ready { record_bytes_max: Some(7) };
        topics.refresh(1);
        assert_eq!(topics.place(&name, 1).unwrap(), None, "nothing is sent meanwhile");
        let unknown = failed(Code::UNKNOWN_TOPIC_OR_PART);
        let mut now = 1;
        for _ in 0..UNKNOWN_MAX {
            exchange(&mut topics, &unknown, now).unwrap();
            now += AGAIN_NS;
        }
        assert_eq!(exchange(&mut topics, &unknown, now).unwrap_err().code(), FaultCode::TopicMissing);
    }

    #[test]
    fn a_question_that_went_away_with_its_producer_is_put_again() {
        let mut topics = Topics::new(true);
        for name in ["ready", "asked"] {
            assert_eq!(topics.place(&name.into(), 0).unwrap(), None);
        }
        assert_eq!(topics.due(0).len(), 2);
        (topics.entries[0].stage, topics.entries[0].due) = (Stage::Ready { record_bytes_max: Some(7) }, Due::Never);
        assert!(topics.due(1).is_empty(), "both wait for their answers");
        topics.begin_anew(1);
        let again: Vec<String> = topics.due(1).into_iter().map(|(_, _, name)| name.to_string()).collect();
        assert_eq!(again, ["asked"]);
    }

    #[test]
    fn a_question_that_is_never_answered_is_put_again() {
        let mut topics = Topics::new(true);
        assert_eq!(topics.place(&"t".into(), 0).unwrap(), None);
        assert_eq!((topics.due(5).len(), topics.next_due()), (1, Some(5 + ANSWER_NS_MAX)));
        assert!(topics.due(4 + ANSWER_NS_MAX).is_empty(), "it is under way");
        assert_eq!(topics.due(5 + ANSWER_NS_MAX).len(), 1);
        topics.entries[0].stage = Stage::AwaitingLeaders { partitions: 1, record_bytes_max: None };
        exchange(&mut topics, &Answer::Led, 5 + 2 * ANSWER_NS_MAX).unwrap();
        assert_eq!(topics.next_due(), None, "a topic that is ready has no question");
    }

    #[test]
    fn a_late_answer_is_not_taken_for_that_to_a_later_question() {
        let unknown = failed(Code::UNKNOWN_TOPIC_OR_PART);
        let no_right = failed(Code::TOPIC_AUTHORIZATION_FAILED);
        let reading = Stage::ReadingLimit { partitions: 1 };
        // Each would be a refusal, or a leader nobody has seen, if it were the answer of the stage that follows.
        for (stage, answer, then) in [
            (FIRST, &unknown, CREATING),
            (reading, &no_right, Stage::AwaitingLeaders { partitions: 1, record_bytes_max: None }),
        ] {
            let mut topics = Topics::new(true);
            assert_eq!(topics.place(&"t".into(), 0).unwrap(), None);
            topics.entries[0].stage = stage;
            let (first, ..) = topics.due(0).remove(0);
            let (second, ..) = topics.due(ANSWER_NS_MAX).remove(0);
            topics.answered(first, answer, ANSWER_NS_MAX).unwrap();
            assert_eq!(topics.entries[0].stage, stage, "the second question is the one that counts");
            topics.answered(second, answer, ANSWER_NS_MAX).unwrap();
            assert_eq!(topics.entries[0].stage, then);
            // Doubled, before the next question and after it.
            topics.answered(second, answer, ANSWER_NS_MAX).unwrap();
            assert_eq!(topics.due(ANSWER_NS_MAX).len(), 1);
            topics.answered(second, answer, ANSWER_NS_MAX).unwrap();
            assert_eq!(topics.entries[0].stage, then);
        }
    }

    #[test]
    fn a_topic_is_made_once_there_are_brokers_enough_again() {
        let mut topics = Topics::new(true);
        assert_eq!(topics.place(&"t".into(), 0).unwrap(), None);
        topics.entries[0].stage = CREATING;
        let short = failed(Code::INVALID_REPLICATION_FACTOR);
        for second in 0..u64::from(SHORT_MAX) {
            exchange(&mut topics, &short, second * SHORT_NS).unwrap();
            assert_eq!(topics.next_due(), Some((second + 1) * SHORT_NS));
        }
        let mut patient = Topics::new(true);
        assert_eq!(patient.place(&"t".into(), 0).unwrap(), None);
        patient.entries[0].stage = topics.entries[0].stage;
        exchange(&mut patient, &Answer::Created, SHORT_NS).unwrap();
        assert_eq!(patient.entries[0].stage, Stage::Describing { made: Some(0) });
        let never = exchange(&mut topics, &short, u64::from(SHORT_MAX) * SHORT_NS).unwrap_err();
        assert_eq!(never.code(), FaultCode::TopicCreationRefused);
    }

    #[test]
    fn a_refusal_is_definite_and_silence_is_not() {
        let check = |stage, code| step("t", stage, &failed(code), true).map_err(|fault| fault.code());
        assert_eq!(check(CREATING, Code::TOPIC_AUTHORIZATION_FAILED), Err(FaultCode::TopicCreationRefused));
        assert_eq!(
            check(Stage::Creating { short: SHORT_MAX }, Code::INVALID_REPLICATION_FACTOR),
            Err(FaultCode::TopicCreationRefused)
        );
        assert_eq!(check(FIRST, Code::TOPIC_AUTHORIZATION_FAILED), Err(FaultCode::SinkGrantMissing));
        assert_eq!(check(FIRST, Code::TIMED_OUT), Ok((FIRST, Next::After(AGAIN_NS))));
        assert_eq!(check(CREATING, Code::TRANSPORT), Ok((FIRST, Next::After(AGAIN_NS))));
        let (partitions, record_bytes_max) = (3, None);
        let awaiting = Stage::AwaitingLeaders { partitions, record_bytes_max };
        let reading = Stage::ReadingLimit { partitions };
        assert_eq!(check(reading, Code::TOPIC_AUTHORIZATION_FAILED), Ok((awaiting, Next::Now)));
        let ready = Stage::Ready { record_bytes_max };
        assert_eq!(check(awaiting, Code::TOPIC_AUTHORIZATION_FAILED), Ok((ready, Next::Nothing)));
    }

    #[test]
    fn nothing_is_sent_before_every_partition_is_led() {
        let awaiting = Stage::AwaitingLeaders { partitions: 3, record_bytes_max: Some(7) };
        const NOT_LEADER: Code = Code(6);
        const NO_ENTRY: Code = Code(-156);
        let anew = (Stage::Describing { made: Some(0) }, Next::After(LEADERS_NS));
        for code in [NOT_LEADER, Code::UNKNOWN_TOPIC_OR_PART, Code::TIMED_OUT, NO_ENTRY, Code(5)] {
            assert_eq!(
                step("t", awaiting, &failed(code), true).unwrap(),
                anew,
                "only a description tells of new leaders"
            );
        }
        let ready = Stage::Ready { record_bytes_max: Some(7) };
        assert_eq!(step("t", awaiting, &Answer::Led, true).unwrap(), (ready, Next::Nothing));
        assert_eq!(ask_of(awaiting), Some(Ask::Offsets(3)));
    }

    #[test]
    fn names_that_kafka_refuses_are_refused_before_it_is_asked() {
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(!is_legal(bad), "{bad:?}");
        }
        assert!(is_legal("shop.orders-1_X") && is_legal(&"x".repeat(249)));
    }
}
