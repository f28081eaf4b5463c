//! One librdkafka instance: its settings, its events, its end.
//!
//! Owns: the handle and its main queue, errors as codes. Does not own: what is sent (`producer`), asked (`admin`) or
//! read (`reader`).
//!
//! Invariant: a handle lives as long as its `Client`, and every object made from it (topics, events, options) is gone
//! before it: librdkafka waits for them at its end.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use limpid_config::Secret;
use limpid_model::{Fault, FaultCode};
use rdkafka_sys as rd;

use crate::faults::{self, Said};

/// Error codes are read as numbers: the bindings' enum has no value for a code that a newer broker invents, and
/// making one of it would be undefined behaviour.
mod raw {
    use std::ffi::{c_char, c_int};

    use rdkafka_sys as rd;

    unsafe extern "C" {
        pub fn rd_kafka_event_error(event: *mut rd::rd_kafka_event_t) -> c_int;
        pub fn rd_kafka_fatal_error(client: *mut rd::rd_kafka_t, text: *mut c_char, size: usize) -> c_int;
        pub fn rd_kafka_err2name(code: c_int) -> *const c_char;
        pub fn rd_kafka_err2str(code: c_int) -> *const c_char;
    }
}

/// One of librdkafka's (negative) or the broker's (positive) error codes; 0 is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub c_int);

macro_rules! known {
    ($($name:ident = $of:ident),+ $(,)?) => { $(pub const $name: Code = Code(rd::rd_kafka_resp_err_t::$of as c_int);)+ };
}

impl Code {
    known! {
        OK = RD_KAFKA_RESP_ERR_NO_ERROR,
        ALL_BROKERS_DOWN = RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
        AUTHENTICATION = RD_KAFKA_RESP_ERR__AUTHENTICATION,
        CLUSTER_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        FENCED = RD_KAFKA_RESP_ERR__FENCED,
        INVALID_PRODUCER_EPOCH = RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        INVALID_RECORD = RD_KAFKA_RESP_ERR_INVALID_RECORD,
        INVALID_REPLICATION_FACTOR = RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
        MSG_SIZE_TOO_LARGE = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        PARTITION_EOF = RD_KAFKA_RESP_ERR__PARTITION_EOF,
        PRODUCER_FENCED = RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        QUEUE_FULL = RD_KAFKA_RESP_ERR__QUEUE_FULL,
        RESOLVE = RD_KAFKA_RESP_ERR__RESOLVE,
        SASL_AUTHENTICATION_FAILED = RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        SSL = RD_KAFKA_RESP_ERR__SSL,
        TIMED_OUT = RD_KAFKA_RESP_ERR__TIMED_OUT,
        TOPIC_ALREADY_EXISTS = RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS,
        TOPIC_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        TOPIC_EXCEPTION = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED = RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        TRANSPORT = RD_KAFKA_RESP_ERR__TRANSPORT,
        UNKNOWN_PARTITION = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
        UNKNOWN_TOPIC = RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        UNKNOWN_TOPIC_OR_PART = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        UNSUPPORTED_FEATURE = RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
        UNSUPPORTED_SASL_MECHANISM = RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM,
    }

    /// Kafka's own name of it.
    pub fn name(self) -> String {
        // SAFETY: takes any number and answers a constant text.
        text(unsafe { raw::rd_kafka_err2name(self.0) })
    }

    /// Kafka's own sentence.
    pub fn describe(self) -> String {
        // SAFETY: as above.
        text(unsafe { raw::rd_kafka_err2str(self.0) })
    }
}

/// A C text, lossily, empty for null.
pub(super) fn text(from: *const c_char) -> String {
    if from.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's texts end in 0 and outlive the call that gave them, which is still on our caller's stack.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}

/// A text for C; one with a 0 inside ends there, which no setting or topic name survives unnoticed.
pub(super) fn c_text(from: &str) -> CString {
    let end = from.find('\0').unwrap_or(from.len());
    CString::new(&from[..end]).expect("cut off before the first 0")
}

/// Which half of Kafka's protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
}

/// A setting with its value, which may be a password.
pub(crate) type Setting = (String, Secret);

/// librdkafka's threads and connections.
#[derive(Debug)]
pub(crate) struct Client {
    handle: NonNull<rd::rd_kafka_t>,
    queue: NonNull<rd::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's handles and queues may be used from any thread (rdkafka.h, "thread-safe").
unsafe impl Send for Client {}

impl Client {
    /// Starts its threads; connects in the background.
    ///
    /// # Errors
    /// `SINK_SETTING_INVALID` with the setting's name.
    pub fn new(role: Role, settings: &[Setting]) -> Result<Self, Fault> {
        let conf = conf(settings)?;
        let mut words = [0 as c_char; 512];
        let role = match role {
            Role::Producer => rd::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            Role::Consumer => rd::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        // SAFETY: `conf` is ours and is given away only on success; `words` has the length stated.
        let handle = unsafe { rd::rd_kafka_new(role, conf.as_ptr(), words.as_mut_ptr(), words.len()) };
        let Some(handle) = NonNull::new(handle) else {
            // SAFETY: not taken over, as `rd_kafka_new` failed.
            unsafe { rd::rd_kafka_conf_destroy(conf.as_ptr()) };
            let why = text(words.as_ptr());
            // A certificate file that cannot be read shows up here, and not when it is set.
            let code = if why.contains("ssl.") { FaultCode::SinkTlsFailed } else { FaultCode::SinkSettingInvalid };
            return Err(faults::fault(code, "librdkafka refuses its settings").because(why));
        };
        // SAFETY: the handle lives; its main queue exists for every role.
        let queue = unsafe { rd::rd_kafka_queue_get_main(handle.as_ptr()) };
        Ok(Self { handle, queue: NonNull::new(queue).expect("every client has a main queue") })
    }

    pub(super) fn raw(&self) -> *mut rd::rd_kafka_t {
        self.handle.as_ptr()
    }

    pub(super) fn raw_queue(&self) -> *mut rd::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// Names the brokers anew, as `HOST:PORT,...`, should librdkafka know of none any more. Those that it knows stay as
    /// they are.
    pub fn look_for_brokers(&self, brokers: &str) {
        let list = c_text(brokers);
        // SAFETY: the handle lives; the text ends in 0 and is copied.
        unsafe { rd::rd_kafka_brokers_add(self.raw(), list.as_ptr()) };
    }

    /// The next event, waiting at most so long for it (rounded up to a millisecond).
    pub fn poll(&self, wait: Duration) -> Option<Event> {
        let wait_ms = wait.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as c_int;
        // SAFETY: the queue lives as long as `self`.
        NonNull::new(unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms) }).map(Event)
    }

    /// What the client failed of for good, if it did.
    pub fn fatal(&self) -> Option<Said> {
        let mut words = [0 as c_char; 512];
        // SAFETY: the handle lives; `words` has the length stated.
        let code = Code(unsafe { raw::rd_kafka_fatal_error(self.raw(), words.as_mut_ptr(), words.len()) });
        (code != Code::OK).then(|| Said { code, text: text(words.as_ptr()) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: made by `new`, used by nobody else, and nothing made from the handle is left (file's invariant).
        // Purging first spares the threads from sending what nobody waits for; messages' memory is released by
        // `rd_kafka_destroy`, which joins every thread, so that afterwards nothing points into a batch.
        unsafe {
            let purge = rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT | rd::RD_KAFKA_PURGE_F_NON_BLOCKING;
            rd::rd_kafka_purge(self.handle.as_ptr(), purge);
            rd::rd_kafka_queue_destroy(self.queue.as_ptr());
            rd::rd_kafka_destroy(self.handle.as_ptr());
        }
    }
}

/// Tries settings without starting anything.
///
/// # Errors
/// As [`Client::new`], as far as it can be told.
pub(crate) fn try_settings(settings: &[Setting]) -> Result<(), Fault> {
    let conf = conf(settings)?;
    // SAFETY: ours, and given to nobody.
    unsafe { rd::rd_kafka_conf_destroy(conf.as_ptr()) };
    Ok(())
}

fn conf(settings: &[Setting]) -> Result<NonNull<rd::rd_kafka_conf_t>, Fault> {
    // SAFETY: allocates; never null (librdkafka ends the process when out of memory).
    let conf = NonNull::new(unsafe { rd::rd_kafka_conf_new() }).expect("librdkafka makes an empty configuration");
    for (name, value) in settings {
        if let Err(fault) = set(conf, name, value) {
            // SAFETY: ours, and given to nobody.
            unsafe { rd::rd_kafka_conf_destroy(conf.as_ptr()) };
            return Err(fault);
        }
    }
    let debugging = settings.iter().any(|(name, _)| name == "debug");
    // SAFETY: `conf` lives. Without `debug` nothing is logged: librdkafka would write to standard error in a form of
    // its own, and every error that matters comes as an event too. Asking for `debug` is asking for that.
    unsafe {
        if !debugging {
            rd::rd_kafka_conf_set_log_cb(conf.as_ptr(), None);
        }
        rd::rd_kafka_conf_set_events(conf.as_ptr(), rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_ERROR);
    }
    Ok(conf)
}

fn set(conf: NonNull<rd::rd_kafka_conf_t>, name: &str, value: &Secret) -> Result<(), Fault> {
    let mut words = [0 as c_char; 512];
    let (c_name, c_value) = (c_text(name), c_text(value.reveal()));
    // SAFETY: `conf` lives, the texts end in 0, `words` has the length stated.
    let result = unsafe {
        rd::rd_kafka_conf_set(conf.as_ptr(), c_name.as_ptr(), c_value.as_ptr(), words.as_mut_ptr(), words.len())
    };
    // librdkafka's own sentence quotes the value, which may be a password.
    let message = match result {
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => return Ok(()),
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => format!("librdkafka has no setting `{name}`"),
        rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => format!("librdkafka does not take the value of `{name}`"),
    };
    Err(faults::fault(FaultCode::SinkSettingInvalid, message).about(format!("sink.librdkafka.{name}")))
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Deliveries,
    Error,
    Described,
    Created,
    Configs,
    Offsets,
    Other,
}

/// One event off the queue. Goes back to librdkafka when dropped, with the messages it holds.
#[derive(Debug)]
pub(crate) struct Event(NonNull<rd::rd_kafka_event_t>);

impl Event {
    pub fn kind(&self) -> EventKind {
        // SAFETY: the event is ours until dropped.
        match unsafe { rd::rd_kafka_event_type(self.raw()) } {
            rd::RD_KAFKA_EVENT_DR => EventKind::Deliveries,
            rd::RD_KAFKA_EVENT_ERROR => EventKind::Error,
            rd::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => EventKind::Described,
            rd::RD_KAFKA_EVENT_CREATETOPICS_RESULT => EventKind::Created,
            rd::RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT => EventKind::Configs,
            rd::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => EventKind::Offsets,
            _ => EventKind::Other,
        }
    }

    pub(super) fn raw(&self) -> *mut rd::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// The event's error; `OK` for a result.
    pub fn code(&self) -> Code {
        // SAFETY: the event is ours until dropped.
        Code(unsafe { raw::rd_kafka_event_error(self.raw()) })
    }

    /// True for an error the client cannot go on after.
    pub fn is_fatal(&self) -> bool {
        // SAFETY: as above.
        (unsafe { rd::rd_kafka_event_error_is_fatal(self.raw()) }) != 0
    }

    pub fn said(&self) -> Said {
        // SAFETY: as above.
        Said { code: self.code(), text: text(unsafe { rd::rd_kafka_event_error_string(self.raw()) }) }
    }

    /// What was given along with the request that this answers.
    pub(super) fn opaque(&self) -> *mut c_void {
        // SAFETY: as above.
        unsafe { rd::rd_kafka_event_opaque(self.raw()) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: taken from the queue, ours, dropped once.
        unsafe { rd::rd_kafka_event_destroy(self.raw()) };
    }
}
