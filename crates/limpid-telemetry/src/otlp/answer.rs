//! What a collector answers to a message that it took.
//!
//! Owns: the messages `ExportTraceServiceResponse` and its like, which are one and the same on the wire. Does not own: the call (the
//! binary), what is told of it (`events`).
//!
//! Invariant: what is no such message refuses nothing: whoever took a message may answer as it likes.
//!
//! Source: opentelemetry-proto 1.7, `collector/trace/v1`, `collector/metrics/v1`, `collector/logs/v1`.

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// The collector's words, the field 2, are of its own making and shown nowhere.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    /// Spans, points or log records.
    #[prost(int64, tag = "1")]
    rejected: i64,
}

/// How many spans, points or log records of the message the collector refused, though it took the others.
pub fn rejected(answer: &[u8]) -> u64 {
    let partial = Answer::decode(answer).ok().and_then(|answer| answer.partial_success);
    partial.map_or(0, |partial| u64::try_from(partial.rejected).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_read_and_what_is_no_answer_refuses_nothing() {
        // By hand, from the encoding of protobuf: field 1 of 136 bytes, in it 300 for field 1 and 130 bytes of words for field 2.
        let long = [&b"\x0a\x88\x01\x08\xac\x02\x12\x82\x01"[..], &[b'x'; 130]].concat();
        for (answer, count) in [
            (&long[..], 300),
            (b"\x0a\x02\x08\x05", 5),
            (b"\x0a\x04\x12\x02ok", 0),
            (b"\x0a\x00", 0),
            (b"", 0),
            (b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0),
            (b"{\"partialSuccess\":{}}", 0),
            (b"<html>", 0),
            (b"\x0a\x05\x08", 0),
        ] {
            assert_eq!(rejected(answer), count, "{answer:?}");
        }
    }
}
