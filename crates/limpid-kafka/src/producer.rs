//! Sends batches through librdkafka and counts their acknowledgements.
//!
//! Owns: the producing handle, its topics, the batches under way and the memory lent from them.
//! Does not own: which topics there are (`topics`), what a refusal means (`faults`), the position record's content.
//!
//! Invariant: values are not copied. librdkafka reads them out of a batch's buffer until it reports the record, so a
//! batch is neither changed nor dropped before all its records are reported or librdkafka has ended (`Flight` gives
//! none out, and fields are dropped in their order). Nothing is counted as delivered that a broker did not
//! acknowledge, nor in a transaction before that is committed. No allocation, lock, clock or formatting of ours happens once a record.

mod admin;
mod client;
mod flight;
mod reader;
mod send;
mod survey;
mod transaction;
#[cfg(target_os = "linux")]
mod wait;

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::time::Duration;

use limpid_connector::{Delivered, EncodedBatch, SinkEvent};
use limpid_model::Fault;
use rdkafka_sys as rd;

pub(crate) use self::admin::{ANSWER_NS_MAX, Answer, Ask, Asker, ask};
pub(crate) use self::client::{Client, Code, Setting, try_settings};
use self::client::{Event, EventKind, Role, c_text};
pub(crate) use self::flight::Target;
use self::flight::{Flight, Ticket, Whole};
pub(crate) use self::reader::{Reach, ReadFault, read_latest};
pub(crate) use self::send::{is_over, wire_bytes};
pub(crate) use self::survey::{Of, Survey, TopicSeen, WRITE};
pub(crate) use self::transaction::{COMMIT_MS_MAX, Progress};
use crate::faults::{self, Said};

/// Events worked off in one call. Each is one acknowledged record batch, thousands of records under load; the bound
/// keeps one call short when they are single records.
const EVENTS_MAX: usize = 1024;

/// How often a call that undoes a transaction is resumed before we leave: half a second. What stays open then is undone
/// by the next instance or, after a minute, by Kafka.
const UNDO_STEPS: u32 = 5;

/// A topic that librdkafka knows for this handle.
#[derive(Debug)]
struct Topic(NonNull<rd::rd_kafka_topic_t>);

// SAFETY: librdkafka's topic objects may be used from any thread.
unsafe impl Send for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, dropped once, before its client (order of `Producer`'s fields).
        unsafe { rd::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

/// What a poll brought besides acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub events: Vec<SinkEvent>,
    pub answers: Vec<(Asker, Answer)>,
    /// Errors of connections, in their order.
    pub errors: Vec<Said>,
    /// librdkafka gave up for good.
    pub fatal: Option<Said>,
    /// A record was refused, so the producer must not go on.
    pub broken: Option<Fault>,
    /// The topic and the size of a record that was refused as too large.
    pub too_large: Option<(String, u64)>,
    /// What became of the position record.
    pub position: Option<Code>,
    /// Records acknowledged in this poll.
    pub acknowledged: u64,
}

/// A producing client. The order of its fields is the order of their end: topics, client, then the batches that the
/// client's messages point into.
#[derive(Debug)]
pub(crate) struct Producer {
    topics: Vec<(Topic, String)>,
    client: Client,
    messages: send::Messages,
    flight: Flight,
    /// `None` for a producer without transactions.
    transaction: Option<Transaction>,
    /// Receipts of batches that are wholly acknowledged in the transaction under way.
    held: Vec<Whole>,
}

/// Where a producer stands with its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    /// Set by fencing and by a commit.
    Ready,
    /// Set by the first record.
    Open,
    /// Set when a commit was asked for; librdkafka then takes no other call.
    Ending,
}

impl Producer {
    /// Starts librdkafka's threads; connects in the background.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn new(settings: &[Setting]) -> Result<Self, Fault> {
        let client = Client::new(Role::Producer, settings)?;
        Ok(Self {
            topics: Vec::new(),
            client,
            messages: send::Messages::default(),
            flight: Flight::default(),
            transaction: None,
            held: Vec::new(),
        })
    }

    /// Shuts out earlier holders of the transactional id; from then on everything is in transactions.
    pub fn fence(&mut self) -> Result<Progress, Said> {
        let progress = self.client.init_transactions()?;
        if progress == Progress::Done {
            self.transaction = Some(Transaction::Ready);
        }
        Ok(progress)
    }

    pub fn is_transactional(&self) -> bool {
        self.transaction.is_some()
    }

    /// Opens a transaction if none is; nothing for a producer without them.
    pub fn begin(&mut self) -> Result<(), Said> {
        if self.transaction == Some(Transaction::Ready) {
            self.client.begin_transaction()?;
            self.transaction = Some(Transaction::Open);
        }
        Ok(())
    }

    /// Commits what was sent, once all of it is acknowledged; to be called until it is done. Blocks while it is under
    /// way. The batches of the transaction are told durable then.
    pub fn commit(&mut self, events: &mut Vec<SinkEvent>) -> Result<Progress, Said> {
        if self.transaction.is_none() {
            return Ok(Progress::Done);
        }
        if !self.flight.is_empty() {
            return Ok(Progress::Pending);
        }
        self.transaction = Some(Transaction::Ending);
        self.client.commit_transaction()?;
        self.transaction = Some(Transaction::Ready);
        events.extend(self.held.drain(..).map(durable));
        Ok(Progress::Done)
    }

    /// A batch of which nothing is missing: durable, or told so by its receipt when its transaction is committed.
    fn whole(&mut self, whole: Option<Whole>, out: &mut Outcome) {
        let Some(whole) = whole else { return };
        if self.transaction.is_none() {
            out.events.push(durable(whole));
        } else {
            let (batch, delivered) = whole;
            let receipt = batch.receipt();
            out.events.push(SinkEvent::Arrived { batch, receipt_bytes: receipt.heap_bytes() });
            self.held.push((receipt, delivered));
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What librdkafka gave up for, if it did.
    pub fn fatal(&self) -> Option<Said> {
        self.client.fatal()
    }

    /// Encoded bytes of all batches that have not wholly arrived.
    pub fn bytes(&self) -> u64 {
        self.flight.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.flight.has_room()
    }

    /// Makes a topic known to librdkafka, which looks up its leaders. Its number is for [`Target`].
    pub fn add_topic(&mut self, name: &str) -> u16 {
        let c_name = c_text(name);
        // SAFETY: client and name live over the call; settings are the client's own.
        let topic = unsafe { rd::rd_kafka_topic_new(self.client.raw(), c_name.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).expect("librdkafka takes a name that Kafka has taken");
        self.topics.push((Topic(topic), name.to_owned()));
        u16::try_from(self.topics.len() - 1).expect("fewer topics than a batch can have tables")
    }

    /// Takes a batch and sends of it what librdkafka has room for. Ask [`Producer::has_room`] before.
    pub fn take(&mut self, batch: Box<EncodedBatch>, targets: Vec<Target>, out: &mut Outcome) {
        self.flight.add(batch, targets);
        self.send(out);
    }

    /// Sends the position record. Its acknowledgement is [`Outcome::position`].
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn send_position(&mut self, topic: u16, key: &[u8], value: &[u8]) -> Result<(), Code> {
        let (topic, _) = &self.topics[topic as usize];
        let flags = rd::RD_KAFKA_MSG_F_COPY;
        send::one(&self.client, topic, flags, Some(key), Some(value), Ticket::POSITION, None)
    }

    /// Works off what librdkafka has to say, waiting at most `wait` for the first of it, and sends what waits for
    /// room.
    pub fn poll(&mut self, wait: Duration, out: &mut Outcome) {
        let mut wait = wait;
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.client.poll(wait) else { break };
            wait = Duration::ZERO;
            match event.kind() {
                EventKind::Deliveries => self.deliveries(&event, out),
                EventKind::Error if event.is_fatal() => {
                    out.fatal = self.client.fatal().or_else(|| Some(event.said()));
                }
                EventKind::Error => out.errors.push(event.said()),
                EventKind::Described | EventKind::Created | EventKind::Configs | EventKind::Offsets => {
                    out.answers.extend(admin::answer(&event));
                }
                EventKind::Other => {}
            }
        }
        self.send(out);
    }

    /// Counts the messages of one event. They are one record batch: one topic, one partition, one fate.
    fn deliveries(&mut self, event: &Event, out: &mut Outcome) {
        /// A few cache lines on the stack; each round costs one call.
        const ROUND: usize = 256;
        // SAFETY: the event lives and holds deliveries.
        let total = unsafe { rd::rd_kafka_event_message_count(event.raw()) };
        let mut found = [ptr::null::<rd::rd_kafka_message_t>(); ROUND];
        let mut run: Option<(Ticket, Delivered)> = None;
        loop {
            // SAFETY: the event lives; the array has the length told; the call writes as many as it answers.
            let count = unsafe { rd::rd_kafka_event_message_array(event.raw(), found.as_mut_ptr(), ROUND) };
            for &message in found.iter().take(count) {
                // SAFETY: messages live until their event is dropped. The code is read as the number it is in C.
                let (code, bits, partition, offset) = unsafe {
                    let code = (&raw const (*message).err).cast::<i32>().read();
                    (Code(code), (*message)._private.addr(), (*message).partition, (*message).offset)
                };
                let ticket = Ticket::from_bits(bits);
                match &mut run {
                    Some((begun, seen))
                        if code == Code::OK
                            && (begun.slot, begun.table) == (ticket.slot, ticket.table)
                            && seen.offsets.1 + 1 == offset =>
                    {
                        seen.offsets.1 = offset;
                        seen.records += 1;
                    }
                    _ => {
                        self.count(run.take(), out);
                        if ticket == Ticket::POSITION {
                            out.position = Some(code);
                        } else if code == Code::OK {
                            let table = ticket.table;
                            run = Some((ticket, Delivered { table, partition, offsets: (offset, offset), records: 1 }));
                        } else {
                            self.refused(ticket, code, total, out);
                        }
                    }
                }
            }
            if count < ROUND {
                break;
            }
        }
        self.count(run, out);
    }

    fn count(&mut self, run: Option<(Ticket, Delivered)>, out: &mut Outcome) {
        let Some((ticket, run)) = run else { return };
        out.acknowledged += u64::from(run.records);
        let whole = self.flight.acked(ticket.slot, run);
        self.whole(whole, out);
    }

    /// A record came back undelivered, with `total` in its record batch.
    fn refused(&mut self, ticket: Ticket, code: Code, total: usize, out: &mut Outcome) {
        let batch = self.flight.slot(ticket.slot).batch();
        let topic = batch.topics.get(ticket.table as usize).and_then(Option::as_deref).unwrap_or_default();
        let bytes = batch.records.get(ticket.record as usize).map_or(0, |record| send::wire_bytes(batch, record));
        let fault = match code {
            Code::MSG_SIZE_TOO_LARGE if total == 1 => {
                out.too_large.get_or_insert_with(|| (topic.to_owned(), bytes));
                faults::refused_as_too_large(topic, bytes)
            }
            Code::MSG_SIZE_TOO_LARGE => faults::batch_too_large(topic, total),
            code if self.transaction.is_some() && !faults::is_about_the_topic(code) => {
                faults::of_transaction(topic, send::said(code))
            }
            code => faults::of_delivery(topic, code),
        };
        // The record stays unaccounted for, so its batch is never reported whole.
        out.broken.get_or_insert(fault);
    }
}

impl Drop for Producer {
    /// Undoes an open transaction, so that readers need not wait for Kafka to do it.
    fn drop(&mut self) {
        if self.transaction != Some(Transaction::Open) || self.client.fatal().is_some() {
            return;
        }
        for _ in 0..UNDO_STEPS {
            match self.client.abort_transaction() {
                Ok(Progress::Pending) => {}
                Ok(Progress::Done) | Err(_) => return,
            }
            // Its end waits until every message is reported.
            while self.client.poll(Duration::ZERO).is_some() {}
        }
    }
}

fn durable((batch, delivered): Whole) -> SinkEvent {
    SinkEvent::Durable { batch, delivered }
}

/// A ticket as the pointer librdkafka carries. It is never followed.
fn opaque(ticket: Ticket) -> *mut c_void {
    ptr::without_provenance_mut(ticket.to_bits())
}
