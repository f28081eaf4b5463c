//! Batches made by hand, and a sink driven as the engine drives one.
//!
//! Owns: the builder and the driver. Does not own: any expectation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use limpid_connector::{Accepted, Clock, Delivered, EncodedBatch, Fenced, RecordSpan, Sink, SinkEvent, Span};
use limpid_kafka::{KafkaOptions, KafkaSink};
use limpid_model::{Fault, PipelineName, TableName, TableSchema};

/// A batch that grows record by record.
#[derive(Default)]
pub struct Builder(Box<EncodedBatch>);

impl Builder {
    pub fn new(seq: u64) -> Self {
        let mut builder = Self::default();
        builder.0.batch.seq = seq;
        builder
    }

    /// The index of a table, whose records go to `topic`.
    pub fn table(&mut self, name: &str, topic: &str) -> u16 {
        let batch = &mut self.0;
        batch.batch.tables.push(Arc::new(TableSchema {
            name: TableName::new("d", name),
            version: 1,
            columns: Vec::new(),
            key: [].into(),
            key_seed: 0,
        }));
        batch.topics.push(Some(topic.into()));
        (batch.topics.len() - 1) as u16
    }

    fn span(&mut self, bytes: Option<&[u8]>) -> Span {
        let Some(bytes) = bytes else { return Span::NULL };
        let start = self.0.bytes.len();
        self.0.bytes.extend_from_slice(bytes);
        Span::since(start, &self.0.bytes)
    }

    pub fn record(&mut self, table: u16, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut Self {
        self.with_headers(table, key, value, &[])
    }

    pub fn with_headers(
        &mut self,
        table: u16,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> &mut Self {
        let (key, value) = (self.span(key), self.span(value));
        let first = self.0.headers.len() as u32;
        for (name, value) in headers {
            let pair = (self.span(Some(name.as_bytes())), self.span(*value));
            self.0.headers.push(pair);
        }
        let row = self.0.records.len() as u32;
        self.0.records.push(RecordSpan { key, value, headers: (first, headers.len() as u16), table, row });
        self
    }

    pub fn build(self) -> Box<EncodedBatch> {
        self.0
    }
}

/// A sink and everything it said.
pub struct Driver {
    pub sink: KafkaSink,
    pub durable: Vec<(u64, Vec<Delivered>)>,
    /// Batches that came back before their commit, by number and encoded bytes, and those bytes by their receipts.
    pub arrived: Vec<(u64, u64)>,
    pub receipts: Vec<(u64, u64)>,
    /// Rows that the sink refused, each with its table.
    pub row_faults: Vec<(TableName, Fault)>,
    pub health: Vec<bool>,
    /// Records that were reported as saved.
    pub saved: usize,
}

impl Driver {
    /// # Panics
    /// The options are wrong.
    pub fn new(options: KafkaOptions, pipeline: &str) -> Self {
        let sink = KafkaSink::new(options, PipelineName::parse(pipeline).unwrap(), Clock::system()).unwrap();
        Self {
            sink,
            durable: Vec::new(),
            arrived: Vec::new(),
            receipts: Vec::new(),
            row_faults: Vec::new(),
            health: Vec::new(),
            saved: 0,
        }
    }

    pub fn open(options: KafkaOptions) -> Self {
        let mut driver = Self::new(options, "test");
        driver.sink.open().unwrap_or_else(|fault| panic!("open: {}", chain(&fault)));
        driver
    }

    /// Opens and shuts out earlier instances of the pipeline.
    pub fn begin(options: KafkaOptions, pipeline: &str) -> Self {
        let mut driver = Self::new(options, pipeline);
        driver.sink.open().unwrap_or_else(|fault| panic!("open: {}", chain(&fault)));
        let fenced = driver.sink.fence().unwrap_or_else(|fault| panic!("fence: {}", chain(&fault)));
        assert!(matches!(fenced, Fenced::Shut), "{fenced:?}");
        driver
    }

    /// Saves a record and waits until it is.
    pub fn save(&mut self, record: &[u8]) -> Result<(), Fault> {
        let before = self.saved;
        self.sink.save_record(record)?;
        self.until("the record is saved", |driver| driver.saved > before)
    }

    pub fn poll(&mut self, wait: Duration) -> Result<(), Fault> {
        let mut events = Vec::new();
        let polled = self.sink.poll(wait, &mut events);
        for event in events {
            match event {
                SinkEvent::Durable { batch, delivered } => {
                    self.receipts.push((batch.batch.seq, batch.encoded_bytes()));
                    self.durable.push((batch.batch.seq, delivered));
                }
                SinkEvent::TableFault { table, fault } => panic!("{table}: {}", chain(&fault)),
                SinkEvent::Health { healthy, .. } => self.health.push(healthy),
                SinkEvent::Arrived { batch, .. } => self.arrived.push((batch.batch.seq, batch.bytes.len() as u64)),
                SinkEvent::RecordSaved => self.saved += 1,
            }
        }
        polled
    }

    /// Hands a batch in, polling while the sink is full, and leaving out what it refuses.
    pub fn write(&mut self, batch: Box<EncodedBatch>) -> Result<(), Fault> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut batch = batch;
        let refused = loop {
            if let Some(refused) = self.sink.refusals(&batch)? {
                break refused;
            }
            assert!(Instant::now() < deadline, "the sink knows nothing for a minute");
            self.poll(Duration::from_millis(20))?;
        };
        for (row, fault) in refused {
            let record = batch.records.iter().find(|record| record.row == row).expect("it is in the batch");
            self.row_faults.push((batch.batch.tables[usize::from(record.table)].name.clone(), fault));
            batch.records.retain(|record| record.row != row);
        }
        loop {
            match self.sink.write(batch)? {
                Accepted::Taken => return Ok(()),
                Accepted::Full(back) => batch = back,
            }
            assert!(Instant::now() < deadline, "the sink is full for a minute");
            self.poll(Duration::from_millis(20))?;
        }
    }

    /// Polls until so many batches came back durable since the driver was made.
    pub fn until_durable(&mut self, batches: usize) -> Result<(), Fault> {
        self.until(&format!("{batches} durable batches"), |driver| driver.durable.len() >= batches)
    }

    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Fault> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within a minute: {what}; {} durable", self.durable.len());
            self.poll(Duration::from_millis(20))?;
        }
        Ok(())
    }

    pub fn records(&self) -> u64 {
        self.durable.iter().flat_map(|(_, delivered)| delivered).map(|run| u64::from(run.records)).sum()
    }
}

/// A fault with its causes, for messages.
pub fn chain(fault: &Fault) -> String {
    let mut text = format!("[{}] {fault} about {:?}; help: {}", fault.code(), fault.object(), fault.remedy());
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text.push_str(&format!(" <- {error}"));
        cause = error.source();
    }
    text
}
