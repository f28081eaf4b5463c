//! The encoded form of a batch: all keys, values and headers in one buffer.
//!
//! Owns: spans and records. Does not own: formats (`limpid-codec`), sending (the sinks).
//!
//! Invariant: every span lies inside `bytes`; records stand in the order of their rows.

use std::sync::Arc;

use limpid_model::{Batch, Fault, OddValues, Op};

/// A run of bytes in [`EncodedBatch::bytes`]. `len` of `u32::MAX` stands for null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// No key, or a tombstone's value.
    pub const NULL: Self = Self { start: 0, len: u32::MAX };

    /// True for null.
    #[inline]
    pub const fn is_null(self) -> bool {
        self.len == u32::MAX
    }

    /// The span that ends at the buffer's present end.
    #[inline]
    pub fn since(start: usize, bytes: &[u8]) -> Self {
        Self { start: start as u32, len: (bytes.len() - start) as u32 }
    }
}

/// One record for the sink. 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct RecordSpan {
    pub key: Span,
    pub value: Span,
    /// First header in [`EncodedBatch::headers`], and how many.
    pub headers: (u32, u16),
    /// Index into [`EncodedBatch::topics`] and the batch's tables.
    pub table: u16,
    /// Index into the batch's rows.
    pub row: u32,
}

/// JSON text forms a decoder can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum JsonText {
    /// As the server prints it.
    #[default]
    Server,
    /// As Debezium prints it.
    Debezium,
}

/// A batch with its records. Owns the batch, so that cells and records go back for reuse together.
#[derive(Debug, Default)]
pub struct EncodedBatch {
    pub batch: Batch,
    pub bytes: Vec<u8>,
    pub records: Vec<RecordSpan>,
    /// Name and value of each header.
    pub headers: Vec<(Span, Span)>,
    /// Where each of the batch's tables goes: a topic or a file; `None` for a sink that has no such thing.
    pub topics: Vec<Option<Arc<str>>>,
    /// Encoded bytes that were sent and are here no longer: a receipt has some.
    pub sent_bytes: u64,
}

impl EncodedBatch {
    /// Empties it but keeps its room.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.clear_records();
    }

    /// Drops the records but not the batch.
    pub fn clear_records(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.headers.clear();
        self.topics.clear();
        self.sent_bytes = 0;
    }

    /// What is left to tell of a batch that was sent, 32 bytes a record and 64 a transaction, while the batch itself goes
    /// back for reuse.
    pub fn receipt(&self) -> Box<Self> {
        Box::new(Self {
            batch: self.batch.receipt(),
            records: self.records.clone(),
            topics: self.topics.clone(),
            sent_bytes: self.encoded_bytes(),
            ..Self::default()
        })
    }

    /// The rows that were not rejected and have no record, in their order; none where nothing is encoded. Before anything
    /// was sent.
    pub fn rows_without_record(&self) -> Vec<u32> {
        let (batch, passed) = (&self.batch, self.batch.rows_passed());
        let count = |op: Op| batch.counts.iter().map(|counts| u64::from(counts[op as usize])).sum::<u64>();
        // Only changes and deletions may have several records, so that the others' are counted.
        let is_counted = count(Op::Update) + count(Op::Delete) == 0;
        if self.topics.is_empty() || (is_counted && self.records.len() as u64 == passed) {
            return Vec::new();
        }
        let distinct = self.records.chunk_by(|a, b| a.row == b.row).count() as u64;
        if distinct == passed {
            return Vec::new();
        }
        let mut with = self.records.iter().map(|record| record.row).peekable();
        let mut rows = Vec::with_capacity(passed.saturating_sub(distinct) as usize);
        for row in batch.runs().flatten().map(|row| row as u32) {
            while with.next_if(|other| *other < row).is_some() {}
            if with.peek() != Some(&row) {
                rows.push(row);
            }
        }
        rows
    }

    /// Gives records one more header, where `value` has one for their transaction. It is asked once for all rows of one that stand
    /// behind each other, and what it says is written once for them.
    pub fn add_header<const N: usize>(&mut self, name: &[u8], mut value: impl FnMut(&Batch, u32) -> Option<[u8; N]>) {
        let Self { batch, bytes, records, headers, .. } = self;
        let (mut name_at, mut last) = (None, None);
        for record in records {
            let Some(txn) = batch.rows.get(record.row as usize).map(|row| row.txn) else { continue };
            let (_, header) = match last {
                Some(known @ (of, _)) if of == txn => known,
                _ => {
                    let header = value(batch, txn).and_then(|value| {
                        name_at = name_at.or_else(|| append(bytes, name));
                        name_at.zip(append(bytes, &value))
                    });
                    *last.insert((txn, header))
                }
            };
            let Some(header) = header else { continue };
            // A record's headers stand together.
            let (first, count) = (record.headers.0 as usize, record.headers.1);
            record.headers = (headers.len() as u32, count + 1);
            headers.extend_from_within(first..first + usize::from(count));
            headers.push(header);
        }
    }

    /// Encoded bytes, of a receipt too.
    pub fn encoded_bytes(&self) -> u64 {
        self.bytes.len() as u64 + self.sent_bytes
    }

    /// Room it keeps besides raw blocks and encoded bytes.
    pub fn heap_bytes(&self) -> u64 {
        /// A batch's own, and its vectors as the allocator rounds them.
        const ITSELF: usize = size_of::<EncodedBatch>() + 256;
        /// A table's schema, layout, counts and topic.
        const TABLE: usize = 96;
        let tables = self.batch.tables.len() * TABLE;
        (ITSELF + tables + self.batch.heap_bytes() + self.records.capacity() * size_of::<RecordSpan>()) as u64
    }

    /// The bytes of a span; `None` for null.
    #[inline]
    pub fn get(&self, span: Span) -> Option<&[u8]> {
        (!span.is_null()).then(|| &self.bytes[span.start as usize..(span.start + span.len) as usize])
    }
}

/// `None` where what is appended would have no address.
fn append(bytes: &mut Vec<u8>, more: &[u8]) -> Option<Span> {
    let start = bytes.len();
    (start + more.len() < u32::MAX as usize).then(|| {
        bytes.extend_from_slice(more);
        Span::since(start, bytes)
    })
}

/// What an encoder found besides records.
#[derive(Debug, Default)]
pub struct EncodeTally {
    /// Tables that have no form in this format, by index into the batch's tables. No record of theirs is in the batch.
    pub table_faults: Vec<(u16, Fault)>,
    /// Rows that have none, by index into the batch's rows and in their order. Each has one record without key and
    /// value, so that it is told apart, filtered and taken out as all others are; it must not be sent.
    pub row_faults: Vec<(u32, Fault)>,
    /// Values that lost something on the way (an impossible date told as null, text repaired), each once an image.
    pub odd: OddValues,
    /// Records beyond the first of their row, by index into the batch's tables; shorter where there are none.
    pub more_records: Vec<u32>,
    /// Operations of which no record is made.
    pub skipped: [bool; Op::COUNT],
}

/// Makes records of a decoded batch. One a worker: it keeps what it compiled per table version.
pub trait Encode: Send {
    /// Appends the records of `out.batch` to `out`. `now_micros` is the wall clock at which this batch is processed.
    fn encode(&mut self, out: &mut EncodedBatch, now_micros: i64, tally: &mut EncodeTally);

    /// The JSON text form this format wants from the decoder.
    fn json_text(&self) -> JsonText;
}

#[cfg(test)]
mod tests {
    use limpid_model::{Filtered, RowHeader};

    use super::*;

    #[test]
    fn rows_without_a_record_are_found_however_many_the_others_have() {
        let check = |ops: &[Op], filtered: &[u32], records: &[u32], expected: &[u32]| {
            let mut encoded = EncodedBatch { topics: vec![None], ..EncodedBatch::default() };
            let mut counts = [0; Op::COUNT];
            for op in ops {
                counts[*op as usize] += 1;
                let (event, row_in_event, txn, before, after) = (0, 0, 0, 0, 0);
                let row = RowHeader { event, row_in_event, txn, before, after, table: 0, op: *op };
                encoded.batch.rows.push(row);
            }
            encoded.batch.counts.push(counts);
            encoded.batch.filtered.extend(filtered.iter().map(|row| Filtered { row: *row, rule: 0 }));
            encoded.records.extend(records.iter().map(|row| RecordSpan {
                key: Span::NULL,
                value: Span::NULL,
                headers: (0, 0),
                table: 0,
                row: *row,
            }));
            assert_eq!(encoded.rows_without_record(), expected, "{ops:?} {filtered:?} {records:?}");
        };
        check(&[Op::Insert, Op::Insert], &[], &[0, 1], &[]);
        check(&[Op::Insert, Op::Insert, Op::Insert], &[1], &[2], &[0]);
        check(&[Op::Delete, Op::Insert], &[], &[0, 0], &[1]);
        check(&[Op::Insert, Op::Delete, Op::Update, Op::Read], &[0], &[1, 1, 3], &[2]);
        check(&[Op::Read, Op::Read], &[], &[], &[0, 1]);
    }
    #[test]
    fn a_header_is_added_behind_those_that_are_there() {
        let mut encoded = EncodedBatch { bytes: b"oldX".to_vec(), ..EncodedBatch::default() };
        let span = |start, len| Span { start, len };
        encoded.headers.push((span(0, 3), span(3, 1)));
        let (key, value, table) = (Span::NULL, Span::NULL, 0);
        let of_txn = |txn| RowHeader { event: 0, row_in_event: 0, txn, before: 0, after: 0, table, op: Op::Insert };
        encoded.batch.rows = [0, 0, 1, 2].map(of_txn).to_vec();
        encoded.records = [(0, (0, 0)), (1, (0, 1)), (1, (0, 1)), (2, (0, 0)), (3, (0, 0))]
            .map(|(row, headers)| RecordSpan { key, value, headers, table, row })
            .to_vec();
        let mut asked = Vec::new();
        encoded.add_header(b"new", |_, txn| {
            asked.push(txn);
            (txn != 1).then_some(if txn == 2 { *b"B" } else { *b"A" })
        });
        assert_eq!(asked, [0, 1, 2]);
        let told = |record: &RecordSpan| {
            let (first, count) = (record.headers.0 as usize, usize::from(record.headers.1));
            let text = |span| String::from_utf8_lossy(encoded.get(span).unwrap()).into_owned();
            encoded.headers[first..first + count].iter().map(|(n, v)| text(*n) + &text(*v)).collect::<Vec<_>>()
        };
        let headers: Vec<Vec<String>> = encoded.records.iter().map(told).collect();
        assert_eq!(headers, [vec!["newA"], vec!["oldX", "newA"], vec!["oldX", "newA"], vec![], vec!["newB"]]);
        assert_eq!(encoded.bytes, b"oldXnewAB", "what a transaction has is written once");
    }
}
