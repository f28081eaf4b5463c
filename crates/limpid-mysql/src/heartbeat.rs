//! A row of our own, written to the server and seen again in its log.
//!
//! Owns: the statement, the table it is written to, telling the row in the log. Does not own: when it is written and what
//! follows from the time in between (the engine).
//!
//! Invariant: a row of another pipeline or of another life of this one is never taken for ours; what is not exactly as we
//! made the table is passed over. Nothing of it is ever delivered on its account.

use std::sync::Arc;
use std::time::Duration;

use limpid_connector::Heartbeat;
use limpid_model::{Fault, FaultCode, Op, TableName};

use crate::bytes::{Cursor, bit};
use crate::catalogue;
use crate::client::{Client, ConnectOptions, QueryError};
use crate::compressed;
use crate::doctor::rights::{Beats, There};
use crate::position::Flavor;
use crate::rows::{Frame, kind};
use crate::tablemap::{self, TableMap, code};

/// What a source is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatOptions {
    pub every: Duration,
    pub table: TableName,
    /// Whose row it is.
    pub pipeline: Arc<str>,
}

/// Columns of the table: `pipeline`, `instance`, `beat`.
const WIDTH: usize = 3;

/// The statement that makes the table.
pub fn create(table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (pipeline VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
         instance BIGINT UNSIGNED NOT NULL, beat BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
        quoted(table)
    )
}

fn quoted(table: &TableName) -> String {
    format!("{}.{}", catalogue::quoted(&table.schema), catalogue::quoted(&table.table))
}

/// Writes the row, on a connection of its own.
pub struct Writer {
    options: HeartbeatOptions,
    connect: ConnectOptions,
    /// `None` after a failure: the next beat connects anew.
    client: Option<Client>,
}

impl Writer {
    pub fn new(options: HeartbeatOptions, connect: ConnectOptions) -> Self {
        Self { options, connect, client: None }
    }

    fn connected(&self) -> Result<Client, Fault> {
        let mut client = Client::connect(&self.connect)?;
        client.query("SET autocommit=1").map_err(|error| self.fault(error))?;
        Ok(client)
    }

    fn make_table(&self, client: &mut Client) -> Result<(), QueryError> {
        let table = &self.options.table;
        let made = client.query(&create(table)).map(drop);
        if !is(made.as_ref().err(), &[NO_DATABASE]) {
            return made;
        }
        client.query(&format!("CREATE DATABASE IF NOT EXISTS {}", catalogue::quoted(&table.schema)))?;
        client.query(&create(table)).map(drop)
    }

    fn fault(&self, error: QueryError) -> Fault {
        // The table may be there or not; its schema is not where it was to be made.
        let there = if is(Some(&error), &[SCHEMA_DENIED]) { There::Nothing } else { There::Schema };
        let help = Beats { table: &self.options.table, there }.grants(&self.connect.user);
        let fault = error.into_fault("write the heartbeat", &self.connect.endpoint());
        if fault.code() == FaultCode::SourceGrantMissing { fault.help(help) } else { fault }
    }
}

impl Heartbeat for Writer {
    fn every(&self) -> Duration {
        self.options.every
    }

    fn beat(&mut self, instance: u64, number: u64) -> Result<(), Fault> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.connected()?,
        };
        let HeartbeatOptions { table, pipeline, .. } = &self.options;
        let statement = format!(
            "INSERT INTO {} (pipeline, instance, beat) VALUES ('{pipeline}', {instance}, {number}) \
             ON DUPLICATE KEY UPDATE instance={instance}, beat={number}",
            quoted(table)
        );
        let mut done = client.query(&statement).map(drop);
        if is(done.as_ref().err(), &[NO_TABLE, NO_DATABASE]) {
            done = self.make_table(&mut client).and_then(|()| client.query(&statement).map(drop));
        }
        done.map_err(|error| self.fault(error))?;
        self.client = Some(client);
        Ok(())
    }
}

fn is(error: Option<&QueryError>, numbers: &[u16]) -> bool {
    matches!(error, Some(QueryError::Server(error)) if numbers.contains(&error.number))
}

const SCHEMA_DENIED: u16 = 1044;
const NO_DATABASE: u16 = 1049;
const NO_TABLE: u16 = 1146;

/// Tells our rows in the log.
#[derive(Debug)]
pub struct Listener {
    options: HeartbeatOptions,
    flavor: Flavor,
    /// The id that the table has in the log now.
    id: Option<u64>,
    /// Instance and number of each that came since they were taken last.
    heard: Vec<(u64, u64)>,
}

impl Listener {
    pub fn new(options: HeartbeatOptions, flavor: Flavor) -> Self {
        Self { options, flavor, id: None, heard: Vec::new() }
    }

    /// A table map's body.
    pub fn map(&mut self, body: &[u8]) {
        let Some((id, (schema, table))) = tablemap::table_id(body).zip(tablemap::names(body)) else { return };
        let ours = &self.options.table;
        if *ours.schema == *schema && *ours.table == *table {
            self.id = TableMap::parse(body, self.flavor).filter(is_as_made).map(|_| id);
        } else if self.id == Some(id) {
            self.id = None;
        }
    }

    /// A rows event's kind and body, with the id of its table.
    #[inline]
    pub fn rows(&mut self, id: u64, event_kind: u8, body: &[u8]) {
        if self.id == Some(id) {
            let _ = self.read(event_kind, body);
        }
    }

    /// `None` where it is not as we write it.
    fn read(&mut self, event_kind: u8, body: &[u8]) -> Option<()> {
        let packed = kind::plain(event_kind);
        let frame = Frame::parse(packed.unwrap_or(event_kind), body)?;
        let inflated;
        let mut images = body.get(frame.rows_at..)?;
        if packed.is_some() {
            inflated = compressed::event(images)?;
            images = &inflated;
        }
        if frame.width != WIDTH || !matches!(frame.op, Op::Insert | Op::Update) || frame.partial {
            return None;
        }
        let mut cur = Cursor::new(images);
        while cur.remaining() > 0 {
            let first = image(&mut cur, frame.first)?;
            let last = if frame.op == Op::Update { image(&mut cur, frame.second)? } else { first };
            let pipeline = last.pipeline.or(first.pipeline)?;
            let (instance, beat) = (last.instance.or(first.instance)?, last.beat.or(first.beat)?);
            if pipeline == self.options.pipeline.as_bytes() {
                self.heard.push((instance, beat));
            }
        }
        Some(())
    }

    pub fn take(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.heard)
    }
}

fn is_as_made(map: &TableMap) -> bool {
    let kinds = map.columns.iter().map(|column| column.code);
    kinds.eq([code::VARCHAR, code::LONGLONG, code::LONGLONG]) && map.columns[0].meta < 256
}

/// What an image has of the three columns.
#[derive(Clone, Copy, Default)]
struct Image<'a> {
    pipeline: Option<&'a [u8]>,
    instance: Option<u64>,
    beat: Option<u64>,
}

fn image<'a>(cur: &mut Cursor<'a>, present: &[u8]) -> Option<Image<'a>> {
    let count = (0..WIDTH).filter(|column| bit(present, *column)).count();
    let nulls = cur.take(count.div_ceil(8))?;
    if (0..count).any(|column| bit(nulls, column)) {
        return None;
    }
    let mut image = Image::default();
    if bit(present, 0) {
        let len = usize::from(cur.u8()?);
        image.pipeline = Some(cur.take(len)?);
    }
    if bit(present, 1) {
        image.instance = Some(cur.u64()?);
    }
    if bit(present, 2) {
        image.beat = Some(cur.u64()?);
    }
    Some(image)
}
