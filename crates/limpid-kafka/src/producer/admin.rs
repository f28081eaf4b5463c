//! Questions to the cluster: is the topic there, make it, what are its settings.
//!
//! Owns: asking, and reading answers. Does not own: what is asked when (`topics`, `position`).
//!
//! Invariant: asking never blocks; an answer is an event on the client's queue and names its question. librdkafka means
//! to answer each question once, at the latest when its time is over; askers do not rely on it. Each question names a topic:
//! librdkafka 2.12 ends the process with an assertion at an answer that has neither brokers nor topics, which a cluster
//! whose brokers are all fenced gives to whoever asks for the brokers alone (`rd_kafka_DescribeCluster`).

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use rdkafka_sys as rd;

use super::client::{Client, Code, Event, EventKind, c_text, text};
use crate::config::TopicCreation;
use crate::faults::Said;

mod raw {
    use std::ffi::c_int;

    use rdkafka_sys as rd;

    // As in `client`: codes are numbers.
    unsafe extern "C" {
        pub fn rd_kafka_topic_result_error(result: *const rd::rd_kafka_topic_result_t) -> c_int;
        pub fn rd_kafka_ConfigResource_error(resource: *const rd::rd_kafka_ConfigResource_t) -> c_int;
        pub fn rd_kafka_error_code(error: *const rd::rd_kafka_error_t) -> c_int;
    }
}

/// How long one question may take, waiting for a connection included. Longer than a broker needs to elect a leader;
/// askers ask again.
const REQUEST_MS_MAX: c_int = 10_000;
/// An answer that has not come by then is waited for no longer, and its question is put again: later than librdkafka itself
/// gives one up.
pub(crate) const ANSWER_NS_MAX: u64 = 15_000_000_000;

/// Who asked, and with which of its questions; comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    pub who: u32,
    pub question: u32,
}

impl Asker {
    fn bits(self) -> usize {
        const { assert!(usize::BITS == 64, "an asker fills a 64-bit pointer") };
        (self.who as usize) << 32 | self.question as usize
    }

    fn from_bits(bits: usize) -> Self {
        Self { who: (bits >> 32) as u32, question: bits as u32 }
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// How many partitions a topic has. Never makes it, unlike a producer's own look-up on some brokers.
    Describe,
    Create,
    /// `cleanup.policy` and `max.message.bytes`, with whatever else the broker tells.
    Configs,
    /// Where so many partitions end: only a broker that leads a partition by now can tell.
    Offsets(i32),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Described {
        partitions: usize,
    },
    Created,
    Configs(Vec<(String, String)>),
    /// Every partition asked for has a leader that leads.
    Led,
    /// The broker's word about the topic, or why nobody answered.
    Failed(Said),
}

impl Answer {
    /// False for what librdkafka says by itself, whose codes are negative.
    pub fn is_of_a_broker(&self) -> bool {
        !matches!(self, Answer::Failed(said) if said.code.0 < 0)
    }
}

/// Owns one admin request's options.
struct Options(*mut rd::rd_kafka_AdminOptions_t);

impl Options {
    fn new(client: &Client, operation: rd::rd_kafka_admin_op_t, asker: Asker) -> Self {
        let mut words = [0 as c_char; 256];
        // SAFETY: the client lives; the options are ours; the number is no address and only comes back as a number.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(client.raw(), operation);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS_MAX, words.as_mut_ptr(), words.len());
            rd::rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut::<c_void>(asker.bits()));
            Self(options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours; requests copy what they need of it.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

/// Puts a question; the answer comes through [`Client::poll`].
pub(crate) fn ask(client: &Client, asker: Asker, ask: &Ask, topic: &str, creation: &TopicCreation) {
    let name = c_text(topic);
    match ask {
        Ask::Describe => describe(client, asker, &name),
        Ask::Create => create(client, asker, &name, creation),
        Ask::Configs => configs(client, asker, &name),
        Ask::Offsets(partitions) => offsets(client, asker, &name, *partitions),
    }
}

fn describe(client: &Client, asker: Asker, name: &CString) {
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, asker);
    let mut names = [name.as_ptr()];
    // SAFETY: all arguments live over the calls, which copy; the collection is ours and destroyed once.
    unsafe {
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        rd::rd_kafka_DescribeTopics(client.raw(), topics, options.0, client.raw_queue());
        rd::rd_kafka_TopicCollection_destroy(topics);
    }
}

fn create(client: &Client, asker: Asker, name: &CString, creation: &TopicCreation) {
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, asker);
    let mut words = [0 as c_char; 256];
    // SAFETY: all arguments live over the calls, which copy; the new topic is ours and destroyed once. Its
    // constructor fails only for counts that `config` has refused and for an empty name, which `topics` has.
    unsafe {
        let mut topic = rd::rd_kafka_NewTopic_new(
            name.as_ptr(),
            creation.partitions,
            creation.replication_factor,
            words.as_mut_ptr(),
            words.len(),
        );
        assert!(!topic.is_null(), "librdkafka refused a checked topic: {}", text(words.as_ptr()));
        for (key, value) in &creation.config {
            let (key, value) = (c_text(key), c_text(value));
            rd::rd_kafka_NewTopic_set_config(topic, key.as_ptr(), value.as_ptr());
        }
        rd::rd_kafka_CreateTopics(client.raw(), &mut topic, 1, options.0, client.raw_queue());
        rd::rd_kafka_NewTopic_destroy(topic);
    }
}

fn configs(client: &Client, asker: Asker, name: &CString) {
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, asker);
    // SAFETY: all arguments live over the calls, which copy; the resource is ours and destroyed once.
    unsafe {
        let mut resource =
            rd::rd_kafka_ConfigResource_new(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr());
        rd::rd_kafka_DescribeConfigs(client.raw(), &mut resource, 1, options.0, client.raw_queue());
        rd::rd_kafka_ConfigResource_destroy(resource);
    }
}

fn offsets(client: &Client, asker: Asker, name: &CString, partitions: i32) {
    let options = Options::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, asker);
    // SAFETY: all arguments live over the calls, which copy; the list is ours and destroyed once, and an entry that was
    // just added lives as long.
    unsafe {
        let list = rd::rd_kafka_topic_partition_list_new(partitions);
        for partition in 0..partitions {
            let entry = rd::rd_kafka_topic_partition_list_add(list, name.as_ptr(), partition);
            (*entry).offset = rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;
        }
        rd::rd_kafka_ListOffsets(client.raw(), list, options.0, client.raw_queue());
        rd::rd_kafka_topic_partition_list_destroy(list);
    }
}

/// The answer in an event that is one, with who asked.
pub(crate) fn answer(event: &Event) -> Option<(Asker, Answer)> {
    let read = match event.kind() {
        EventKind::Described => described,
        EventKind::Created => created,
        EventKind::Configs => configured,
        EventKind::Offsets => led,
        EventKind::Deliveries | EventKind::Error | EventKind::Other => return None,
    };
    let answer = if event.code() == Code::OK { read(event) } else { Answer::Failed(event.said()) };
    Some((Asker::from_bits(event.opaque().addr()), answer))
}

fn nothing() -> Answer {
    Answer::Failed(Said { code: Code::TIMED_OUT, text: "the answer was empty".to_owned() })
}

fn described(event: &Event) -> Answer {
    let mut count = 0;
    // SAFETY: the event lives over all calls and is of this kind, so the casts give what it holds; each array has the
    // length told with it, and one topic was asked for.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.raw());
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return nothing();
        }
        let topic = *topics;
        let error = rd::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() { Code::OK } else { Code(raw::rd_kafka_error_code(error)) };
        if code != Code::OK {
            return Answer::Failed(Said { code, text: text(rd::rd_kafka_error_string(error)) });
        }
        rd::rd_kafka_TopicDescription_partitions(topic, &mut count);
        Answer::Described { partitions: count }
    }
}

fn created(event: &Event) -> Answer {
    let mut count = 0;
    // SAFETY: as in `described`.
    unsafe {
        let result = rd::rd_kafka_event_CreateTopics_result(event.raw());
        let topics = rd::rd_kafka_CreateTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return nothing();
        }
        let code = Code(raw::rd_kafka_topic_result_error(*topics));
        match code {
            Code::OK => Answer::Created,
            code => Answer::Failed(Said { code, text: text(rd::rd_kafka_topic_result_error_string(*topics)) }),
        }
    }
}

/// The first partition that has no leader speaks for the topic.
fn led(event: &Event) -> Answer {
    let mut count = 0;
    // SAFETY: as in `described`; each information holds one partition. The code is read as the number it is in C.
    unsafe {
        let result = rd::rd_kafka_event_ListOffsets_result(event.raw());
        let found = rd::rd_kafka_ListOffsets_result_infos(result, &mut count);
        if found.is_null() || count == 0 {
            return nothing();
        }
        let code = |index: usize| {
            let partition = rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*found.add(index));
            Code((&raw const (*partition).err).cast::<i32>().read())
        };
        match (0..count).map(code).find(|code| *code != Code::OK) {
            None => Answer::Led,
            Some(code) => Answer::Failed(Said { code, text: code.describe() }),
        }
    }
}

fn configured(event: &Event) -> Answer {
    let mut count = 0;
    // SAFETY: as in `described`.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConfigs_result(event.raw());
        let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        if resources.is_null() || count == 0 {
            return nothing();
        }
        let code = Code(raw::rd_kafka_ConfigResource_error(*resources));
        if code != Code::OK {
            return Answer::Failed(Said { code, text: text(rd::rd_kafka_ConfigResource_error_string(*resources)) });
        }
        let entries = rd::rd_kafka_ConfigResource_configs(*resources, &mut count);
        let entry = |index: usize| {
            let entry = *entries.add(index);
            (text(rd::rd_kafka_ConfigEntry_name(entry)), text(rd::rd_kafka_ConfigEntry_value(entry)))
        };
        Answer::Configs((0..count).map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::time::Duration;

    use super::super::client::Role;
    use super::*;

    /// The broker is librdkafka's own stand-in: a real one cannot be made to name no broker at a moment of our choice.
    #[test]
    fn a_client_without_any_broker_finds_a_stand_in_for_one_when_it_is_to_look_for_it() {
        let settings = [("test.mock.num.brokers".to_owned(), limpid_config::Secret::new("1"))];
        let host = Client::new(Role::Producer, &settings).unwrap();
        // SAFETY: the client lives and has a mock cluster, by its setting; the texts end in 0.
        let brokers = unsafe {
            let cluster = rd::rd_kafka_handle_mock_cluster(host.raw());
            rd::rd_kafka_mock_topic_create(cluster, c"t".as_ptr(), 1, 1);
            CStr::from_ptr(rd::rd_kafka_mock_cluster_bootstraps(cluster)).to_str().unwrap().to_owned()
        };
        let client = Client::new(Role::Producer, &[]).unwrap();
        let asker = Asker { who: 7, question: u32::MAX };
        ask(&client, asker, &Ask::Offsets(1), "t", &crate::position::creation());
        client.look_for_brokers(&brokers);
        let found = loop {
            let event = client.poll(Duration::from_secs(60)).expect("every question has an answer");
            if let Some(found) = answer(&event) {
                break found;
            }
        };
        assert_eq!(found, (asker, Answer::Led));
        assert!(found.1.is_of_a_broker());
    }
}
