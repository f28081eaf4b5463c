//! What is kept of a row: its records as they would have gone out, or its cells where it has no record.
//!
//! Owns: the stored form, version 1. Does not own: where it is stored.
//!
//! Invariant: what was written reads back equal; anything else is refused as damage.

use limpid_connector::{EncodedBatch, RecordSpan, Span};
use limpid_model::{Batch, Component, Fault, FaultCode, NONE, Place, Shown, TableSchema};

const VERSION: u8 = 1;

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Where its records go.
    pub topic: Option<String>,
    /// In their order; none for a row that has no form in the sink's format.
    pub records: Vec<BodyRecord>,
    /// Its columns, where it has no record.
    pub cells: Vec<BodyCell>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// One column of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyCell {
    pub is_after: bool,
    pub column: String,
    /// As the decoder left it: the value's bytes, or a number's eight, lowest first. `None` for null and for a column
    /// that the image lacks.
    pub bytes: Option<Vec<u8>>,
}

impl Body {
    /// The records of a row.
    pub(crate) fn of_records(encoded: &EncodedBatch, records: &[RecordSpan]) -> Self {
        let owned = |span: Span| encoded.get(span).map(<[u8]>::to_vec);
        let topic = records.first().and_then(|record| encoded.topics.get(usize::from(record.table)).cloned().flatten());
        let record = |record: &RecordSpan| {
            let (first, count) = (record.headers.0 as usize, record.headers.1 as usize);
            let headers = encoded.headers.iter().skip(first).take(count);
            BodyRecord {
                key: owned(record.key),
                value: owned(record.value),
                headers: headers.map(|(name, value)| (owned(*name).unwrap_or_default(), owned(*value))).collect(),
            }
        };
        Self {
            topic: topic.map(|topic| topic.to_string()),
            records: records.iter().map(record).collect(),
            cells: Vec::new(),
        }
    }

    /// The columns of a row that has no record, those and as that the transforms let be seen.
    pub(crate) fn of_cells(batch: &Batch, row: u32) -> Self {
        let header = &batch.rows[row as usize];
        let schema: &TableSchema = &batch.tables[usize::from(header.table)];
        let own: Vec<(&str, usize)> = match batch.shown(usize::from(header.table)) {
            Shown::As(table) => table.columns.iter().map(|shown| (&*shown.column.name, shown.cell.into())).collect(),
            Shown::AsIs => schema.columns.iter().enumerate().map(|(at, column)| (&*column.name, at)).collect(),
            Shown::Withheld => Vec::new(),
        };
        let mut cells = Vec::new();
        for (is_after, first) in [(false, header.before), (true, header.after)] {
            if first == NONE {
                continue;
            }
            let image = batch.image(first, schema.columns.len());
            for (column, cell) in own.iter().map(|(column, at)| (column, &image[*at])) {
                let bytes = match cell.place() {
                    Place::Null | Place::Absent | Place::Unchanged => None,
                    Place::Inline => Some(cell.bits().to_le_bytes().to_vec()),
                    Place::Raw | Place::Arena => Some(batch.bytes(*cell).to_vec()),
                };
                cells.push(BodyCell { is_after, column: (*column).to_owned(), bytes });
            }
        }
        Self { topic: None, records: Vec::new(), cells }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.topic.as_ref().map(String::as_bytes));
        put_count(&mut out, self.records.len());
        for record in &self.records {
            put(&mut out, record.key.as_deref());
            put(&mut out, record.value.as_deref());
            put_count(&mut out, record.headers.len());
            for (name, value) in &record.headers {
                put(&mut out, Some(name));
                put(&mut out, value.as_deref());
            }
        }
        put_count(&mut out, self.cells.len());
        for cell in &self.cells {
            out.push(cell.is_after.into());
            put(&mut out, Some(cell.column.as_bytes()));
            put(&mut out, cell.bytes.as_deref());
        }
        out
    }

    /// # Errors
    /// `STATE_CORRUPT`: it is none, or one of a later release.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(bytes);
        reader.body().filter(|_| reader.0.is_empty()).ok_or_else(|| {
            Fault::new(FaultCode::StateCorrupt, Component::State, "the body of a parked row cannot be read")
        })
    }

    /// Adds its records to a batch, as rows of the number given.
    pub(crate) fn append(&self, out: &mut EncodedBatch, table: u16, row: u32) {
        let EncodedBatch { bytes, records, headers, .. } = out;
        let mut span = |content: Option<&[u8]>| {
            let Some(content) = content else { return Span::NULL };
            let start = bytes.len();
            bytes.extend_from_slice(content);
            Span::since(start, bytes)
        };
        for record in &self.records {
            let (key, value) = (span(record.key.as_deref()), span(record.value.as_deref()));
            let first = headers.len() as u32;
            for (name, value) in &record.headers {
                headers.push((span(Some(name)), span(value.as_deref())));
            }
            let headers = (first, record.headers.len() as u16);
            records.push(RecordSpan { key, value, headers, table, row });
        }
    }
}

/// Lengths are 32 bits: a batch's own buffer has no more. The highest stands for null.
fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(u32::MAX, |bytes| bytes.len() as u32);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn body(&mut self) -> Option<Body> {
        if self.byte()? != VERSION {
            return None;
        }
        let topic = match self.bytes()? {
            Some(topic) => Some(String::from_utf8(topic).ok()?),
            None => None,
        };
        let mut body = Body { topic, ..Body::default() };
        for _ in 0..self.number()? {
            let (key, value) = (self.bytes()?, self.bytes()?);
            let mut headers = Vec::new();
            for _ in 0..self.number()? {
                headers.push((self.bytes()??, self.bytes()?));
            }
            body.records.push(BodyRecord { key, value, headers });
        }
        for _ in 0..self.number()? {
            let is_after = self.byte()? == 1;
            let column = String::from_utf8(self.bytes()??).ok()?;
            body.cells.push(BodyCell { is_after, column, bytes: self.bytes()? });
        }
        Some(body)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn bytes(&mut self) -> Option<Option<Vec<u8>>> {
        let length = self.number()?;
        if length == u32::MAX {
            return Some(None);
        }
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_equal_and_a_cut_one_is_refused() {
        let body = Body {
            topic: Some("t".into()),
            records: vec![
                BodyRecord { key: Some(b"k".to_vec()), value: Some(Vec::new()), headers: Vec::new() },
                BodyRecord {
                    key: None,
                    value: None,
                    headers: vec![(b"h".to_vec(), None), (Vec::new(), Some(vec![0]))],
                },
            ],
            cells: vec![BodyCell { is_after: true, column: "c".into(), bytes: Some(vec![1, 2]) }],
        };
        let bytes = body.encode();
        assert_eq!(Body::decode(&bytes).unwrap(), body);
        for cut in 0..bytes.len() {
            assert!(Body::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Body::decode(&[&bytes[..], &[0]].concat()).is_err());
        let mut batch = EncodedBatch::default();
        body.append(&mut batch, 0, 7);
        batch.topics.push(Some("t".into()));
        let back = Body::of_records(&batch, &batch.records);
        assert_eq!((back.records, back.topic), (body.records, body.topic));
    }
}
