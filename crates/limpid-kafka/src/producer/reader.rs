//! Reads the newest value of one key out of a small topic.
//!
//! Owns: the consuming handle, for the time of one reading. Does not own: what the value means (`position`).
//!
//! Invariant: nothing is kept of other keys; memory and time are bounded. No group is joined, so no right to one is
//! needed.

use std::ptr::{self, NonNull};
use std::time::Duration;

use limpid_connector::Clock;
use limpid_model::Fault;
use rdkafka_sys as rd;

use super::client::{Client, Code, EventKind, Role, Setting, c_text};
use crate::faults::{self, Said};

/// From the topic's first record on.
const BEGINNING: i64 = -2;
/// How often, and for how long at a time, it is asked who leads the partition before reading begins anyway.
const LOOKS_MAX: usize = 5;
const LOOK_MS: i32 = 200;

/// What reading a topic ended with, besides its value.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// The client could not be made, or may not connect.
    Client(Fault),
    /// The end was not reached in time, with the last error seen.
    TimedOut(Option<Said>),
    /// The broker refuses.
    Refused(Said),
}

/// How far a topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the first transaction that is still open. Where nothing is found up to there, as [`Reach::Whole`].
    Settled,
    /// To the end as it was, waiting for open transactions (of other pipelines) to end: a record of ours may stand
    /// behind one of theirs.
    Whole,
}

/// One partition being read, or about to be.
struct Reading {
    topic: NonNull<rd::rd_kafka_topic_t>,
    queue: NonNull<rd::rd_kafka_queue_t>,
    client: Client,
    has_begun: bool,
    /// What the client failed of last, and goes on trying.
    last_error: Option<Said>,
}

impl Reading {
    fn new(client: Client, topic: &str) -> Self {
        let name = c_text(topic);
        // SAFETY: the client lives as long as what is made of it here (see `drop`).
        unsafe {
            let topic = rd::rd_kafka_topic_new(client.raw(), name.as_ptr(), ptr::null_mut());
            let topic = NonNull::new(topic).expect("librdkafka takes a name that Kafka has taken");
            let queue = NonNull::new(rd::rd_kafka_queue_new(client.raw())).expect("a queue can be made");
            Self { topic, queue, client, has_begun: false, last_error: None }
        }
    }

    /// Asks who leads the partition, and waits for an answer, [`LOOK_MS`] at most: librdkafka that does not know it when
    /// reading begins looks again only after half a second. True once somebody answered.
    fn look(&self) -> bool {
        let mut found = ptr::null();
        // SAFETY: client and topic live; what is found is ours, and given back once.
        unsafe {
            rd::rd_kafka_metadata(self.client.raw(), 0, self.topic.as_ptr(), &mut found, LOOK_MS);
            if !found.is_null() {
                rd::rd_kafka_metadata_destroy(found);
            }
        }
        !found.is_null()
    }

    fn begin(&mut self) {
        // SAFETY: topic and queue live; partition 0 is the only one.
        unsafe { rd::rd_kafka_consume_start_queue(self.topic.as_ptr(), 0, BEGINNING, self.queue.as_ptr()) };
        self.has_begun = true;
    }

    /// Takes note of what the client failed of.
    ///
    /// # Errors
    /// It may not connect.
    fn errors(&mut self, endpoint: &str) -> Result<(), ReadFault> {
        while let Some(event) = self.client.poll(Duration::ZERO) {
            if event.kind() == EventKind::Error {
                let said = event.said();
                if let Some(fault) = faults::of_client(endpoint, &said) {
                    return Err(ReadFault::Client(fault));
                }
                self.last_error = Some(said);
            }
        }
        Ok(())
    }

    /// Where the partition ended when it was last fetched from, open transactions included.
    fn end(&self, topic: &str) -> i64 {
        let name = c_text(topic);
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client lives; both numbers are ours.
        unsafe { rd::rd_kafka_get_watermark_offsets(self.client.raw(), name.as_ptr(), 0, &mut low, &mut high) };
        high
    }

    fn next(&self, wait_ms: i32) -> Option<Message> {
        // SAFETY: the queue lives; the message is ours.
        NonNull::new(unsafe { rd::rd_kafka_consume_queue(self.queue.as_ptr(), wait_ms) }).map(Message)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // SAFETY: what was begun is ended once, before the client's own end.
        unsafe {
            if self.has_begun {
                rd::rd_kafka_consume_stop(self.topic.as_ptr(), 0);
            }
            rd::rd_kafka_queue_destroy(self.queue.as_ptr());
            rd::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

struct Message(NonNull<rd::rd_kafka_message_t>);

impl Message {
    fn code(&self) -> Code {
        // SAFETY: the message is ours; the code is read as the number it is in C.
        Code(unsafe { (&raw const (*self.0.as_ptr()).err).cast::<i32>().read() })
    }

    fn offset(&self) -> i64 {
        // SAFETY: the message is ours.
        unsafe { self.0.as_ref() }.offset
    }

    /// Key and value.
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        // SAFETY: the message is ours and its parts live as long; null stands for absent.
        unsafe {
            let message = self.0.as_ref();
            let slice = |data: *mut std::ffi::c_void, len| {
                NonNull::new(data.cast::<u8>()).map(|data| std::slice::from_raw_parts(data.as_ptr(), len))
            };
            (slice(message.key, message.key_len).unwrap_or_default(), slice(message.payload, message.len))
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, dropped once.
        unsafe { rd::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

/// The newest value that `key` has in partition 0 of `topic`, as a `read_committed` reader sees it; `None` when there
/// is none, or a tombstone. Ends where `reach` says, or after `time_max_ns`.
pub(crate) fn read_latest(
    settings: &[Setting],
    endpoint: &str,
    topic: &str,
    key: &[u8],
    reach: Reach,
    (clock, time_max_ns): (&Clock, u64),
) -> Result<Option<Vec<u8>>, ReadFault> {
    let deadline = clock.nanos().saturating_add(time_max_ns);
    let client = Client::new(Role::Consumer, settings).map_err(ReadFault::Client)?;
    let mut reading = Reading::new(client, topic);
    for _ in 0..LOOKS_MAX {
        if reading.look() || clock.nanos() >= deadline {
            break;
        }
        reading.errors(endpoint)?;
    }
    reading.begin();
    let mut latest = None;
    // The end as it was when the first record, an open transaction or the end itself was met.
    let mut end = None;
    while clock.nanos() < deadline {
        reading.errors(endpoint)?;
        let Some(message) = reading.next(20) else { continue };
        match message.code() {
            Code::OK => {
                let (found, value) = message.parts();
                if found == key {
                    latest = value.map(<[u8]>::to_vec);
                }
                // Where others write without pause the end itself is never met: what stands behind the end as it was
                // tells as well that all before it is read.
                end = end.or_else(|| Some(reading.end(topic)).filter(|end| *end > 0));
                if end.is_some_and(|end| message.offset() + 1 >= end) {
                    return Ok(latest);
                }
            }
            Code::PARTITION_EOF => {
                let settled = reach == Reach::Settled && latest.is_some();
                if settled || message.offset() >= *end.get_or_insert_with(|| reading.end(topic)) {
                    return Ok(latest);
                }
            }
            // librdkafka asks again by itself.
            code @ (Code::TRANSPORT | Code::ALL_BROKERS_DOWN | Code::TIMED_OUT | Code::RESOLVE) => {
                reading.last_error = Some(super::send::said(code));
            }
            code => return Err(ReadFault::Refused(super::send::said(code))),
        }
    }
    Err(ReadFault::TimedOut(reading.last_error.take()))
}
