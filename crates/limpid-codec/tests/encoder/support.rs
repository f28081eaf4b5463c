//! Builds batches by hand and shows what an encoder made of them.
//!
//! Owns: the builder and the readable form of records. Does not own: any expectation.
//!
//! Invariant: a built batch keeps the model's own rules (cells of an image in column order, headers that point right).

use std::sync::Arc;

use limpid_codec::{Connector, DebeziumEncoder, DebeziumOptions, TopicRegistry, TopicTemplate};
use limpid_codec::{Encode, EncodeTally, EncodedBatch};
use limpid_model::{
    Batch, Cell, CellKind, Column, CommitTime, EventHeader, LogicalType, NONE, Op, PipelineName, RowHeader, TableName,
    TableSchema, TxnHeader, TxnId, key_seed,
};

/// When the batch is processed.
pub const NOW: i64 = 1_700_000_000_123_456;

pub fn column(name: &str, logical: LogicalType, nullable: bool) -> Column {
    Column { name: name.into(), logical, nullable, tinyint1: false }
}

pub fn int() -> LogicalType {
    LogicalType::Int { bits: 32, signed: true }
}

pub fn table(name: &str, version: u32, columns: Vec<Column>, key: &[u16]) -> Arc<TableSchema> {
    let name = TableName::new("db", name);
    let key_seed = key_seed(&name);
    Arc::new(TableSchema { name, version, columns, key: key.into(), key_seed })
}

/// A value before it has a place in a batch.
#[derive(Clone, Debug)]
pub enum Val {
    Null,
    Absent,
    Int(i64),
    UInt(u64),
    Cell(Cell),
    Text(Vec<u8>),
    Bytes(CellKind, Vec<u8>),
    /// Unscaled big-endian two's complement, and the scale.
    Decimal(Vec<u8>, u16),
}

pub fn text(value: &str) -> Val {
    Val::Text(value.as_bytes().to_vec())
}

#[derive(Default)]
pub struct Builder {
    pub batch: Batch,
}

impl Builder {
    pub fn new() -> Self {
        let mut batch = Batch::default();
        batch.logs.push("bin.000001".into());
        Self { batch }
    }

    pub fn table(mut self, schema: &Arc<TableSchema>) -> Self {
        self.batch.tables.push(Arc::clone(schema));
        self
    }

    pub fn txn(mut self, id: TxnId, commit: CommitTime, thread: u32) -> Self {
        self.batch.txns.push(TxnHeader { id, commit, thread, rows_before: 0, ends: true });
        self
    }

    /// A transaction of MariaDB.
    pub fn maria_txn(self, seq: u64) -> Self {
        let commit = CommitTime { micros: 1_600_000_000_000_000, uncertainty_micros: 1_000_000 };
        self.txn(TxnId::Domain { domain: 0, server: 1, seq }, commit, 0)
    }

    pub fn event(mut self, at: u64) -> Self {
        self.batch.events.push(EventHeader {
            at,
            seconds: 1_600_000_000,
            server: 1,
            offset: 0,
            len: 0,
            txn: (self.batch.txns.len() - 1) as u32,
            rows: 0,
            block: 0,
            table: (self.batch.tables.len() - 1) as u16,
            log: 0,
            kind: 0,
            flags: 0,
        });
        self
    }

    fn image(&mut self, values: &[Val]) -> u32 {
        if values.is_empty() {
            return NONE;
        }
        let first = self.batch.cells.len() as u32;
        for value in values {
            let cell = self.cell(value);
            self.batch.cells.push(cell);
        }
        first
    }

    fn cell(&mut self, value: &Val) -> Cell {
        let (kind, bytes, scale) = match value {
            Val::Null => return Cell::NULL,
            Val::Absent => return Cell::ABSENT,
            Val::Int(value) => return Cell::int(CellKind::Int, *value),
            Val::UInt(value) => return Cell::inline(CellKind::UInt, *value),
            Val::Cell(cell) => return *cell,
            Val::Text(bytes) => (CellKind::Text, bytes, 0),
            Val::Bytes(kind, bytes) => (*kind, bytes, 0),
            Val::Decimal(bytes, scale) => (CellKind::Decimal, bytes, *scale),
        };
        let offset = self.batch.arena.len() as u64;
        self.batch.arena.extend_from_slice(bytes);
        Cell::arena(kind, offset, bytes.len() as u32, scale)
    }

    pub fn row(mut self, op: Op, before: &[Val], after: &[Val]) -> Self {
        let (before, after) = (self.image(before), self.image(after));
        let event = (self.batch.events.len() - 1) as u32;
        let row_in_event = self.batch.events[event as usize].rows;
        self.batch.events[event as usize].rows += 1;
        let header = &self.batch.events[event as usize];
        let row = RowHeader { event, row_in_event, txn: header.txn, before, after, table: header.table, op };
        self.batch.rows.push(row);
        self
    }
}

pub fn options() -> DebeziumOptions {
    DebeziumOptions::new(PipelineName::parse("shop").unwrap(), Connector::MariaDb)
}

pub fn encoder(options: DebeziumOptions) -> DebeziumEncoder {
    DebeziumEncoder::new(options, Arc::new(TopicRegistry::new(TopicTemplate::default())))
}

/// What came out.
pub struct Encoded {
    pub out: EncodedBatch,
    pub tally: EncodeTally,
}

pub fn encode(encoder: &mut DebeziumEncoder, builder: Builder) -> Encoded {
    let mut out = EncodedBatch { batch: builder.batch, ..EncodedBatch::default() };
    let mut tally = EncodeTally::default();
    encoder.encode(&mut out, NOW, &mut tally);
    Encoded { out, tally }
}

impl Encoded {
    fn text(&self, span: limpid_codec::Span) -> String {
        self.out.get(span).map_or("-".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).expect("records are UTF-8"))
    }

    /// One line a record: key, value (`-` for null), headers.
    pub fn lines(&self) -> Vec<String> {
        self.out
            .records
            .iter()
            .map(|record| {
                let mut line = format!("{} {}", self.text(record.key), self.text(record.value));
                let (first, count) = record.headers;
                for (name, value) in &self.out.headers[first as usize..first as usize + count as usize] {
                    line.push_str(&format!(" {}={}", self.text(*name), self.text(*value)));
                }
                line
            })
            .collect()
    }

    /// As [`Encoded::lines`], without the source block and what follows it but for the operation.
    pub fn short_lines(&self) -> Vec<String> {
        self.lines()
            .into_iter()
            .map(|line| {
                let Some(start) = line.find(",\"source\":{") else { return line };
                let op = line.find(",\"op\":\"").expect("a value has an operation");
                let headers = line.find(" __debezium").map_or("", |at| &line[at..]);
                format!("{} {}{headers}", &line[..start], &line[op + 7..op + 8])
            })
            .collect()
    }
}
