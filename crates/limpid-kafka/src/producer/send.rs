//! Hands records to librdkafka.
//!
//! Owns: the array of messages a call takes, the call, a record's size on the wire. Does not own: acknowledgements.
//!
//! Invariant: records of one topic are handed over in their order; a record is handed over once.

use std::ffi::c_void;
use std::ptr;

use limpid_connector::{EncodedBatch, RecordSpan, Span};
use rdkafka_sys as rd;

use super::client::{Client, Code};
use super::flight::{Slot, Target, Ticket, WINDOW};
use super::{Outcome, Producer, Topic, opaque};
use crate::faults::{self, Said};

mod raw {
    use std::ffi::c_int;

    use rdkafka_sys as rd;

    // As in `client`: codes are numbers.
    unsafe extern "C" {
        pub fn rd_kafka_error_code(error: *const rd::rd_kafka_error_t) -> c_int;
    }
}

/// The array that a call takes; filled and emptied within [`Producer::send`].
#[derive(Debug, Default)]
pub(super) struct Messages(Vec<rd::rd_kafka_message_t>);

// SAFETY: its pointers mean something only while `send` runs, which empties it.
unsafe impl Send for Messages {}

/// What became of a call.
enum Handed {
    /// So many of the records were taken; go on.
    All,
    /// librdkafka's queue is full.
    Full,
}

impl Producer {
    /// Sends of the batch in hand what librdkafka has room for.
    pub(super) fn send(&mut self, out: &mut Outcome) {
        let Some(number) = self.flight.sending() else { return };
        while out.broken.is_none() {
            let slot = self.flight.slot(number);
            let Some(first) = slot.first_pending() else {
                let whole = self.flight.sent(number);
                self.whole(whole, out);
                return;
            };
            let record = slot.batch().records[first];
            let handed = match slot.target(&record) {
                Target::Nowhere => {
                    slot.mark(first);
                    Handed::All
                }
                Target::Topic { topic, .. } if record.headers.1 > 0 => {
                    self.send_with_headers(number, topic, first, &record, out)
                }
                Target::Topic { topic, .. } => self.send_run(number, topic, first, out),
            };
            if matches!(handed, Handed::Full) {
                return;
            }
        }
    }

    /// Sends the records of the window from `first` on that go to this topic, up to one with headers, in one call.
    fn send_run(&mut self, number: u16, topic: u16, first: usize, out: &mut Outcome) -> Handed {
        let slot = self.flight.slot(number);
        let messages = &mut self.messages.0;
        fill(messages, slot, number, topic, first);
        let count = i32::try_from(messages.len()).expect("no more than a window");
        // SAFETY: client and topic live. Keys are copied by the call; values are not, and stay where they are until
        // reported, as the batch is in `flight` (see the invariant of `producer`). The array has the length told.
        unsafe {
            const UNASSIGNED: i32 = -1;
            let topic = self.topics[topic as usize].0.0.as_ptr();
            rd::rd_kafka_produce_batch(topic, UNASSIGNED, 0, messages.as_mut_ptr(), count);
        }
        let (mut taken, mut is_full, mut refused) = (0, false, None);
        for message in messages.iter() {
            let index = Ticket::from_bits(message._private.addr()).record as usize;
            // SAFETY: the message is ours; the code is read as the number it is in C.
            match Code(unsafe { (&raw const message.err).cast::<i32>().read() }) {
                Code::OK => {
                    taken += 1;
                    slot.mark(index);
                }
                // All after it are refused for the same reason.
                Code::QUEUE_FULL => {
                    is_full = true;
                    break;
                }
                code => {
                    slot.mark(index);
                    refused = refused.or(Some((index, code)));
                }
            }
        }
        messages.clear();
        slot.sent(taken);
        if let Some((index, code)) = refused {
            self.not_taken(number, index, topic, code, out);
        }
        if is_full { Handed::Full } else { Handed::All }
    }

    fn send_with_headers(
        &mut self,
        number: u16,
        topic: u16,
        index: usize,
        record: &RecordSpan,
        out: &mut Outcome,
    ) -> Handed {
        let slot = self.flight.slot(number);
        let to = &self.topics[topic as usize].0;
        let ticket = Ticket { slot: number, table: record.table, record: index as u32 };
        let batch = slot.batch();
        let headers = Headers::of(batch, record);
        let sent = one(&self.client, to, 0, batch.get(record.key), batch.get(record.value), ticket, Some(headers));
        match sent {
            Ok(()) => {
                slot.mark(index);
                slot.sent(1);
            }
            Err(Code::QUEUE_FULL) => return Handed::Full,
            Err(code) => {
                slot.mark(index);
                self.not_taken(number, index, topic, code, out);
            }
        }
        Handed::All
    }

    /// librdkafka itself refused a record.
    fn not_taken(&mut self, number: u16, index: usize, topic: u16, code: Code, out: &mut Outcome) {
        let batch = self.flight.slot(number).batch();
        let bytes = batch.records.get(index).map_or(0, |record| wire_bytes(batch, record));
        let name = &self.topics[topic as usize].1;
        let fault = match code {
            Code::MSG_SIZE_TOO_LARGE => {
                out.too_large.get_or_insert_with(|| (name.clone(), bytes));
                faults::refused_as_too_large(name, bytes)
            }
            code => {
                out.fatal = out.fatal.take().or_else(|| self.client.fatal());
                faults::of_delivery(name, code)
            }
        };
        out.broken.get_or_insert(fault);
    }
}

/// Fills `messages` with the records of the window from `first` on that go to `topic`, up to one that must go by
/// another way: order holds within a topic.
fn fill(messages: &mut Vec<rd::rd_kafka_message_t>, slot: &Slot, number: u16, topic: u16, first: usize) {
    let batch = slot.batch();
    messages.reserve(WINDOW);
    for (index, record) in slot.pending(first) {
        match slot.target(record) {
            Target::Topic { topic: other, .. } if other == topic => {
                if record.headers.1 > 0 {
                    break;
                }
            }
            Target::Topic { .. } | Target::Nowhere => continue,
        }
        let ((key, key_len), (payload, len)) = (pointer(batch.get(record.key)), pointer(batch.get(record.value)));
        let ticket = Ticket { slot: number, table: record.table, record: index as u32 };
        messages.push(rd::rd_kafka_message_t {
            err: rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: -1,
            payload,
            len,
            key,
            key_len,
            offset: 0,
            _private: opaque(ticket),
        });
    }
}

/// Null for null; an empty text has an address all the same, which is how librdkafka tells them apart.
fn pointer(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}

/// librdkafka's own list of headers; given away with the message, or destroyed.
pub(super) struct Headers(*mut rd::rd_kafka_headers_t);

impl Headers {
    fn of(batch: &EncodedBatch, record: &RecordSpan) -> Self {
        let (first, count) = (record.headers.0 as usize, record.headers.1 as usize);
        // SAFETY: makes an empty list, which is ours.
        let list = Self(unsafe { rd::rd_kafka_headers_new(count) });
        for (name, value) in batch.headers.iter().skip(first).take(count) {
            let ((name, name_len), (value, len)) = (pointer(batch.get(*name)), pointer(batch.get(*value)));
            // SAFETY: the list is ours; name and value live over the call, which copies them. Their lengths are below
            // `isize::MAX`, as every slice's is.
            unsafe { rd::rd_kafka_header_add(list.0, name.cast(), name_len as isize, value, len as isize) };
        }
        list
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: still ours.
            unsafe { rd::rd_kafka_headers_destroy(self.0) };
        }
    }
}

/// Hands over one record.
pub(super) fn one(
    client: &Client,
    topic: &Topic,
    flags: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    ticket: Ticket,
    headers: Option<Headers>,
) -> Result<(), Code> {
    use rd::rd_kafka_vtype_t as V;
    type Value = rd::rd_kafka_vu_s__bindgen_ty_1;
    let memory = |bytes| {
        let (ptr, size) = pointer(bytes);
        Value { mem: rd::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } }
    };
    let list = headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0);
    let parts = [
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_RKT, u: Value { rkt: topic.0.as_ptr() } },
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_MSGFLAGS, u: Value { i: flags } },
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_KEY, u: memory(key) },
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_VALUE, u: memory(value) },
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_OPAQUE, u: Value { ptr: opaque(ticket) } },
        rd::rd_kafka_vu_t { vtype: V::RD_KAFKA_VTYPE_HEADERS, u: Value { headers: list } },
    ];
    // SAFETY: client, topic and parts live over the call, which copies the key. The value is copied too, or lies in a
    // batch that is in `flight` (see `producer`). Headers are given away only when the call succeeds.
    unsafe {
        let error = rd::rd_kafka_produceva(client.raw(), parts.as_ptr(), parts.len());
        if !error.is_null() {
            let code = Code(raw::rd_kafka_error_code(error));
            rd::rd_kafka_error_destroy(error);
            return Err(code);
        }
    }
    if let Some(mut headers) = headers {
        headers.0 = ptr::null_mut();
    }
    Ok(())
}

/// A record cannot be that much larger on the wire than what it holds: the batch's header (61), lengths and deltas
/// (at most 36), and 10 a header.
const OVERHEAD_MAX: u64 = 61 + 36;

/// True when the record, alone in a record batch and uncompressed, has more bytes than `max`. Uncompressed, since
/// whether a table can be delivered must not hang on how well one of its values compresses; the Java producer counts
/// so too.
#[inline]
pub(crate) fn is_over(batch: &EncodedBatch, record: &RecordSpan, max: u64) -> bool {
    let length = |span: Span| if span.is_null() { 0 } else { u64::from(span.len) };
    let sure = record.headers.1 == 0 && length(record.key) + length(record.value) + OVERHEAD_MAX <= max;
    !sure && wire_bytes(batch, record) > max
}

/// The size of a record batch of version 2 with this record alone and uncompressed
/// (<https://kafka.apache.org/documentation/#recordbatch>): what a broker compares with `max.message.bytes`.
pub(crate) fn wire_bytes(batch: &EncodedBatch, record: &RecordSpan) -> u64 {
    const BATCH_HEADER: u64 = 61;
    let field = |span: Span| match span.is_null() {
        true => 1,
        false => varint_bytes(u64::from(span.len)) + u64::from(span.len),
    };
    let (first, count) = (record.headers.0 as usize, record.headers.1 as usize);
    let headers = batch.headers.iter().skip(first).take(count);
    let headers: u64 = headers.map(|(name, value)| field(*name) + field(*value)).sum();
    // Attributes, timestamp delta and offset delta: one byte each in a batch's first record.
    let body = 3 + field(record.key) + field(record.value) + varint_bytes(count as u64) + headers;
    BATCH_HEADER + varint_bytes(body) + body
}

/// Bytes of a zigzag variable-length number that is not negative.
fn varint_bytes(number: u64) -> u64 {
    let bits = u64::from(64 - (number << 1 | 1).leading_zeros());
    bits.div_ceil(7)
}

/// An error as text, for messages that have no topic.
pub(crate) fn said(code: Code) -> Said {
    Said { code, text: code.describe() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_length_numbers_have_the_length_of_the_protocol() {
        for (number, bytes) in [(0, 1), (63, 1), (64, 2), (8191, 2), (8192, 3), (1_048_575, 3), (1_048_576, 4)] {
            assert_eq!(varint_bytes(number), bytes, "{number}");
        }
    }
}
