//! Questions to the cluster that nobody waits for while rows flow: who is there, how brokers and topics are set, what
//! we may do to a topic.
//!
//! Owns: asking, and waiting for each answer. Does not own: what follows from it (`doctor`), the questions of a running
//! sink (`admin`).
//!
//! Invariant: a question ends within its time, and nothing is changed.

use std::ptr;
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::Fault;
use rdkafka_sys as rd;

use super::client::{Client, Code, Event, EventKind, Role, Setting, c_text, text};
use crate::faults::Said;

mod raw {
    use std::ffi::c_int;

    use rdkafka_sys as rd;

    // As in `client`: codes are numbers.
    unsafe extern "C" {
        pub fn rd_kafka_error_code(error: *const rd::rd_kafka_error_t) -> c_int;
        pub fn rd_kafka_metadata(
            client: *mut rd::rd_kafka_t,
            all_topics: c_int,
            topic: *mut rd::rd_kafka_topic_t,
            found: *mut *const rd::rd_kafka_metadata,
            timeout_ms: c_int,
        ) -> c_int;
        pub fn rd_kafka_ConfigResource_error(resource: *const rd::rd_kafka_ConfigResource_t) -> c_int;
    }
}

/// How long librdkafka may look for an answer; a connection included.
const REQUEST_MS_MAX: i32 = 10_000;

/// How long the first look for the brokers may take; then errors are looked at. Each further look may take twice as long,
/// since some brokers are far away.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Between two looks, so that brokers which answer at once and name none are not asked without pause.
const PAUSE: Duration = Duration::from_millis(50);

/// Whose settings are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    Broker(i32),
    Topic(&'a str),
}

/// What is known of a topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicSeen {
    pub partitions: usize,
    /// The fewest replicas that a partition has.
    pub replicas: usize,
    /// Numbers of the operations that we may do, where the broker tells.
    pub operations: Vec<i32>,
}

/// The number of the operation WRITE.
pub(crate) const WRITE: i32 = rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE as i32;

/// A client that asks.
pub(crate) struct Survey {
    client: Client,
    clock: Clock,
    /// The first error of a connection.
    pub(crate) first_error: Option<Said>,
}

impl Survey {
    /// # Errors
    /// As [`Client::new`].
    pub(crate) fn new(settings: &[Setting], clock: &Clock) -> Result<Self, Fault> {
        let client = Client::new(Role::Consumer, settings)?;
        Ok(Self { client, clock: clock.clone(), first_error: None })
    }

    /// The numbers of the brokers; `None` when nobody answers in time. A definite error of a connection ends the wait.
    pub(crate) fn brokers(&mut self, wait: Duration, is_definite: fn(&Said) -> bool) -> Option<Vec<i32>> {
        let deadline = self.clock.nanos() + wait.as_nanos() as u64;
        let (mut last, mut look) = (None, FIRST_LOOK);
        while let left @ 1.. = deadline.saturating_sub(self.clock.nanos()) {
            match self.nodes(look.min(Duration::from_nanos(left))) {
                Ok(nodes) if !nodes.is_empty() => return Some(nodes),
                Ok(_) => {}
                Err(said) => last = Some(said),
            }
            look *= 2;
            // What connections said meanwhile.
            let mut pause = PAUSE;
            while let Some(event) = self.client.poll(pause) {
                if self.is_the_end(&event, is_definite) {
                    return None;
                }
                pause = Duration::ZERO;
            }
        }
        self.first_error = self.first_error.take().or(last);
        None
    }

    /// Not by `rd_kafka_DescribeCluster`, see `admin`.
    fn nodes(&self, wait: Duration) -> Result<Vec<i32>, Said> {
        let (mut found, wait_ms) = (ptr::null(), wait.as_millis().clamp(1, i32::MAX as u128) as i32);
        // SAFETY: the client lives; no topic is given, and `found` is set where the code says that all went well. The code
        // is read as the number it is in C.
        let code = unsafe { Code(raw::rd_kafka_metadata(self.client.raw(), 0, ptr::null_mut(), &mut found, wait_ms)) };
        if code != Code::OK {
            return Err(Said { code, text: code.describe() });
        }
        // SAFETY: what was found has as many brokers as it tells, and is ours to destroy once.
        unsafe {
            let brokers = (0..(*found).broker_cnt as usize).map(|index| (*(*found).brokers.add(index)).id).collect();
            rd::rd_kafka_metadata_destroy(found);
            Ok(brokers)
        }
    }

    /// Settings by name.
    ///
    /// # Errors
    /// What the broker said, or that nobody answered.
    pub(crate) fn configs(&mut self, of: Of<'_>) -> Result<Vec<(String, String)>, Said> {
        let options = self.options(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
        let (kind, name) = match of {
            Of::Broker(id) => (rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, c_text(&id.to_string())),
            Of::Topic(name) => (rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, c_text(name)),
        };
        // SAFETY: all arguments live over the calls, which copy; the resource is ours and destroyed once.
        unsafe {
            let mut resource = rd::rd_kafka_ConfigResource_new(kind, name.as_ptr());
            rd::rd_kafka_DescribeConfigs(self.client.raw(), &mut resource, 1, options.0, self.client.raw_queue());
            rd::rd_kafka_ConfigResource_destroy(resource);
        }
        drop(options);
        configured(&self.answered(EventKind::Configs)?)
    }

    /// A topic; `None` when there is none of the name.
    ///
    /// # Errors
    /// What the broker said, or that nobody answered.
    pub(crate) fn topic(&mut self, name: &str) -> Result<Option<TopicSeen>, Said> {
        let options = self.options(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let name = c_text(name);
        let mut names = [name.as_ptr()];
        // SAFETY: all arguments live over the calls, which copy; the collection is ours and destroyed once. The error that
        // an option's setting may give is ours as well, and null for one that exists.
        unsafe {
            let error = rd::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
            if !error.is_null() {
                rd::rd_kafka_error_destroy(error);
            }
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            rd::rd_kafka_DescribeTopics(self.client.raw(), topics, options.0, self.client.raw_queue());
            rd::rd_kafka_TopicCollection_destroy(topics);
        }
        drop(options);
        described(&self.answered(EventKind::Described)?)
    }

    fn answered(&mut self, kind: EventKind) -> Result<Event, Said> {
        // A little more than librdkafka's own limit, so that its word about it comes first.
        let deadline = self.clock.nanos() + 12_000_000_000;
        let silence = Said { code: Code::TIMED_OUT, text: "nobody answered".to_owned() };
        let event = self.answer(kind, deadline, |_| false).ok_or(silence)?;
        if event.code() == Code::OK { Ok(event) } else { Err(event.said()) }
    }

    fn answer(&mut self, kind: EventKind, deadline: u64, is_definite: fn(&Said) -> bool) -> Option<Event> {
        loop {
            let left = deadline.saturating_sub(self.clock.nanos());
            if left == 0 {
                return None;
            }
            let Some(event) = self.client.poll(Duration::from_nanos(left.min(100_000_000))) else { continue };
            if event.kind() == kind {
                return Some(event);
            }
            if self.is_the_end(&event, is_definite) {
                return None;
            }
        }
    }

    /// Keeps the first error, or the one that is definite.
    fn is_the_end(&mut self, event: &Event, is_definite: fn(&Said) -> bool) -> bool {
        if event.kind() != EventKind::Error {
            return false;
        }
        let said = event.said();
        let ends = is_definite(&said);
        if ends || self.first_error.is_none() {
            self.first_error = Some(said);
        }
        ends
    }

    fn options(&self, operation: rd::rd_kafka_admin_op_t) -> Options {
        let mut words = [0; 256];
        // SAFETY: the client lives; the options are ours; `words` has the length stated.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(self.client.raw(), operation);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS_MAX, words.as_mut_ptr(), words.len());
            Options(options)
        }
    }
}

/// Owns one admin request's options.
struct Options(*mut rd::rd_kafka_AdminOptions_t);

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours; requests copy what they need of it.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

fn empty() -> Said {
    Said { code: Code::TIMED_OUT, text: "the answer was empty".to_owned() }
}

fn configured(event: &Event) -> Result<Vec<(String, String)>, Said> {
    let mut count = 0;
    // SAFETY: the event lives over all calls and is of this kind; each array has the length told with it, and one resource was
    // asked for.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConfigs_result(event.raw());
        let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
        if resources.is_null() || count == 0 {
            return Err(empty());
        }
        let code = Code(raw::rd_kafka_ConfigResource_error(*resources));
        if code != Code::OK {
            return Err(Said { code, text: text(rd::rd_kafka_ConfigResource_error_string(*resources)) });
        }
        let entries = rd::rd_kafka_ConfigResource_configs(*resources, &mut count);
        let entry = |index: usize| {
            let entry = *entries.add(index);
            (text(rd::rd_kafka_ConfigEntry_name(entry)), text(rd::rd_kafka_ConfigEntry_value(entry)))
        };
        Ok((0..count).map(entry).collect())
    }
}

fn described(event: &Event) -> Result<Option<TopicSeen>, Said> {
    let mut count = 0;
    // SAFETY: as in `configured`; one topic was asked for. Operations are read as the numbers they are in C.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(event.raw());
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return Err(empty());
        }
        let topic = *topics;
        let error = rd::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() { Code::OK } else { Code(raw::rd_kafka_error_code(error)) };
        match code {
            Code::OK => {}
            Code::UNKNOWN_TOPIC_OR_PART => return Ok(None),
            code => return Err(Said { code, text: text(rd::rd_kafka_error_string(error)) }),
        }
        let infos = rd::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let partitions = if infos.is_null() { 0 } else { count };
        let replicas = (0..partitions).map(|index| {
            let mut count = 0;
            rd::rd_kafka_TopicPartitionInfo_replicas(*infos.add(index), &mut count);
            count
        });
        let replicas = replicas.min().unwrap_or(0);
        let mut count = 0;
        let operations = rd::rd_kafka_TopicDescription_authorized_operations(topic, &mut count).cast::<i32>();
        let operations = if operations.is_null() {
            Vec::new()
        } else {
            (0..count).map(|index| operations.add(index).read()).collect()
        };
        Ok(Some(TopicSeen { partitions, replicas, operations }))
    }
}

#[cfg(test)]
mod tests;
