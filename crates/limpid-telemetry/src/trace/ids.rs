//! Ids that follow from what they name.
//!
//! Owns: trace ids of transactions, span ids of their stages and changes. Does not own: reading positions (each source's
//! [`Positions`]).
//!
//! Invariant: `trace_id` is XXH3-128 of the pipeline's name, a zero byte and the transaction's id as its server prints
//! it; `span_id` is XXH3-64 of the trace id's 16 bytes, the stage, a zero byte, and ordinal and attempt as 8 bytes
//! each, most significant first. Neither is ever zero, which W3C's Trace Context forbids.

use std::fmt;
use std::fmt::Write;
use std::sync::Arc;

use limpid_model::{TraceContext, TxnId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// One trace: one transaction of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

impl TraceId {
    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_hexdigit();
        let id = (text.len() == 32 && text.bytes().all(is_digit)).then(|| u128::from_str_radix(text, 16).ok());
        id.flatten().filter(|id| *id != 0).map(Self)
    }

    /// A stage of one change: `ordinal` is the change's number in its transaction, `attempt` counts from 1.
    pub fn span(self, stage: &str, ordinal: u64, attempt: u64) -> SpanId {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&self.0.to_be_bytes());
        bytes.extend_from_slice(stage.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&ordinal.to_be_bytes());
        bytes.extend_from_slice(&attempt.to_be_bytes());
        SpanId(xxh3_64(&bytes).max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The trace of a transaction; `txn` as [`txn_text`] writes it.
pub fn trace_id(pipeline: &str, txn: &str) -> TraceId {
    let mut bytes = Vec::with_capacity(pipeline.len() + 1 + txn.len());
    bytes.extend_from_slice(pipeline.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(txn.as_bytes());
    TraceId(xxh3_128(&bytes).max(1))
}

/// A transaction as its server prints it: `0-1-57`, `uuid:57`, `uuid:tag:57`. `None` for one that has no name.
pub fn txn_text(id: TxnId, tag: Option<&str>) -> Option<String> {
    let mut text = String::with_capacity(64);
    match id {
        TxnId::Anonymous => return None,
        TxnId::Domain { domain, server, seq } => {
            let _ = write!(text, "{domain}-{server}-{seq}");
        }
        TxnId::Uuid { sid, gno, .. } => {
            for (index, byte) in sid.iter().enumerate() {
                if matches!(index, 4 | 6 | 8 | 10) {
                    text.push('-');
                }
                let _ = write!(text, "{byte:02x}");
            }
            if let Some(tag) = tag.filter(|tag| !tag.is_empty()) {
                text.push(':');
                text.push_str(tag);
            }
            let _ = write!(text, ":{gno}");
        }
    }
    Some(text)
}

/// Makes trace ids without making texts: what precedes the number is the same for most.
#[derive(Clone, Debug)]
pub(crate) struct TraceIds {
    bytes: Vec<u8>,
    /// The pipeline's name and a zero byte.
    pipeline: usize,
    /// The same with the server.
    server: usize,
    last: Option<(TxnId, Option<Arc<str>>)>,
}

impl TraceIds {
    pub(crate) fn new(pipeline: &str) -> Self {
        let bytes = [pipeline.as_bytes(), &[0]].concat();
        Self { pipeline: bytes.len(), server: 0, bytes, last: None }
    }

    /// Of a transaction of a batch with these tags; 0 for one without a name.
    pub(crate) fn of(&mut self, tags: &[Arc<str>], id: TxnId) -> u128 {
        self.id(id, tag_of(tags, id))
    }

    pub(super) fn id(&mut self, id: TxnId, tag: Option<&Arc<str>>) -> u128 {
        let (server, number) = match id {
            TxnId::Anonymous => return 0,
            TxnId::Domain { domain, server, seq } => (TxnId::Domain { domain, server, seq: 0 }, seq),
            TxnId::Uuid { sid, gno, .. } => (TxnId::Uuid { sid, gno: 0, tag: 0 }, gno),
        };
        let is_last = |(last, last_tag): &(TxnId, Option<Arc<str>>)| *last == server && last_tag.as_ref() == tag;
        if !self.last.as_ref().is_some_and(is_last) {
            let text = txn_text(server, tag.map(|tag| &**tag)).unwrap_or_default();
            self.bytes.truncate(self.pipeline);
            self.bytes.extend_from_slice(text.trim_end_matches('0').as_bytes());
            self.server = self.bytes.len();
            self.last = Some((server, tag.cloned()));
        }
        self.bytes.truncate(self.server);
        push_decimal(&mut self.bytes, number);
        xxh3_128(&self.bytes).max(1)
    }
}

fn push_decimal(bytes: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[at..]);
}

/// The tag of a transaction of a batch with these tags.
pub(super) fn tag_of(tags: &[Arc<str>], id: TxnId) -> Option<&Arc<str>> {
    match id {
        TxnId::Uuid { tag, .. } if tag > 0 => tags.get(usize::from(tag) - 1),
        _ => None,
    }
}

/// What applications named in a transaction, of what they named in its batch.
pub(super) fn contexts_of(contexts: &[(u32, TraceContext)], txn: u32) -> &[(u32, TraceContext)] {
    let upto = |txn: u32| contexts.partition_point(|(of, _)| *of < txn);
    if contexts.is_empty() { &[] } else { &contexts[upto(txn)..upto(txn.saturating_add(1))] }
}

/// A transaction with the text of its tag, which is empty for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTxn {
    pub id: TxnId,
    pub tag: Arc<str>,
}

/// What a source knows of its positions' texts.
pub trait Positions: Send + Sync {
    /// The one transaction that a text names: its own id, or a position that ends with it or inside it. `None` where it
    /// names none or several.
    fn transaction(&self, text: &str) -> Option<NamedTxn>;
    /// Whether everything of the transaction is at or below a position; `None` where that cannot be told.
    fn covers(&self, position: &str, txn: &NamedTxn) -> Option<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the C library of the algorithm's author, by Python's `xxhash`.
    #[test]
    fn ids_are_those_of_an_independent_implementation() {
        let id = trace_id("shop", "0-1-57");
        assert_eq!(id.to_string(), VECTOR_TRACE);
        assert_eq!(TraceId::parse(VECTOR_TRACE), Some(id));
        assert_eq!(id.span("Output", 3, 1).to_string(), VECTOR_SPAN);
    }

    const VECTOR_TRACE: &str = "df794541a22dd353a271e871198d6233";
    const VECTOR_SPAN: &str = "204fc7ce46d9ef68";

    #[test]
    fn what_is_no_trace_id_is_none() {
        for bad in ["", "0", &"0".repeat(32), &"g".repeat(32), &format!("+{}", "1".repeat(31)), &"1".repeat(33)] {
            assert_eq!(TraceId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn transactions_are_written_as_their_servers_print_them() {
        let sid = [0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62];
        let uuid = TxnId::Uuid { sid, gno: 23, tag: 0 };
        assert_eq!(txn_text(uuid, None).as_deref(), Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:23"));
        assert_eq!(txn_text(uuid, Some("blue")).as_deref(), Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:23"));
        let domain = TxnId::Domain { domain: 1, server: 2, seq: 3 };
        assert_eq!(txn_text(domain, None).as_deref(), Some("1-2-3"));
        assert_eq!(txn_text(TxnId::Anonymous, None), None);
    }

    #[test]
    fn ids_are_made_as_the_lookup_makes_them() {
        let mut names = TraceIds::new("shop");
        let tag: Arc<str> = "blue".into();
        let sid = [7; 16];
        for (id, tag) in [
            (TxnId::Domain { domain: 0, server: 1, seq: 57 }, None),
            (TxnId::Domain { domain: 0, server: 10, seq: u64::MAX }, None),
            (TxnId::Uuid { sid, gno: 100, tag: 0 }, None),
            (TxnId::Uuid { sid, gno: 100, tag: 1 }, Some(&tag)),
            (TxnId::Uuid { sid, gno: 101, tag: 0 }, None),
        ] {
            let text = txn_text(id, tag.map(|tag| &**tag)).unwrap();
            assert_eq!(names.id(id, tag), trace_id("shop", &text).0, "{text}");
        }
        assert_eq!(names.id(TxnId::Anonymous, None), 0);
    }
}
