//! Reads whole tables beside the stream, in chunks by their keys.
//!
//! Owns: the reader's connections, a chunk from its question to its batches. Does not own: moments and fences
//! (`copy::fence`), rows (`copy::packets`, `copy::cells`), keys (`copy::keys`), whether a chunk may pass
//! (`stream::admit`).
//!
//! Invariant: whatever goes wrong, the connection is given up, and with it every lock and snapshot.

mod cells;
mod elsewhere;
mod fence;
mod keys;
mod known;
mod link;
mod packets;
pub mod shape;
mod split;
mod whole;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use limpid_connector::{Chunk, ChunkAsk, Clock, KeyRange, SourceLoad, TableFound, TableReader};
use limpid_model::{Component, Fault, FaultCode, Position, TableName};

use crate::client::{Prepared, QueryError, TextRows};
use crate::company;
use crate::ddl::Xid;
use crate::history::TableDefinition;
use crate::position::LogPosition;
use crate::server;
use crate::stream::MySqlOptions;
pub use elsewhere::ElsewhereReader;
use fence::{Nearness, Opened};
use known::Known;
use link::Link;
use packets::{Broken, Origin, Piece, RowReader};
use whole::Whole;

/// What has to be compared before a chunk may pass.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The definition its rows were decoded by.
    pub definition: Arc<TableDefinition>,
    /// The server it was read from.
    pub server: ServerMark,
    /// The XA transactions that were prepared before its moment, and the end of the log before they were asked for.
    /// One whose commit is in the log may be invisible yet.
    pub prepared: Option<Listed>,
}

/// XA transactions that are prepared at a moment behind a place.
pub type Listed = (LogPosition, HashSet<Xid>);

/// What tells one server's log files from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMark {
    pub id: u32,
    pub uuid: String,
}

impl ServerMark {
    pub fn of(facts: &server::ServerFacts) -> Self {
        Self { id: facts.server_id, uuid: facts.uuid.clone() }
    }
}

/// So often a chunk is tried when its table changes under it.
const TRIES_MAX: usize = 10;

/// So many rows are asked for while nothing is known of their size.
const ROWS_AT_FIRST: u64 = 4096;

/// Reads tables of one server.
pub struct MySqlTableReader {
    options: MySqlOptions,
    clock: Clock,
    /// `None` after a failure: the next call connects anew.
    link: Option<Link>,
    /// For questions while a table is being read whole.
    side: Option<Link>,
    known: HashMap<TableName, Arc<Known>>,
    /// Bytes of a row of each table, as the last chunk had them.
    row_bytes: HashMap<TableName, u64>,
    whole: Option<Whole>,
    /// Of the fences of chunks.
    nearness: Nearness,
}

impl MySqlTableReader {
    /// Connects.
    ///
    /// # Errors
    /// Those of connecting and of a server that cannot be read.
    pub fn open(options: MySqlOptions) -> Result<Self, Fault> {
        let link = Some(Link::open(&options.connect)?);
        let clock = Clock::system();
        let (side, known, row_bytes, whole) = (None, HashMap::new(), HashMap::new(), None);
        let nearness = Nearness::Behind;
        Ok(Self { options, clock, link, side, known, row_bytes, whole, nearness })
    }

    /// The connection, for one call; whoever ends well puts it back. A table read whole is given up.
    fn take_link(&mut self) -> Result<Link, Fault> {
        if self.whole.take().is_some() {
            self.link = None;
        }
        match self.link.take() {
            Some(link) => Ok(link),
            None => Link::open(&self.options.connect),
        }
    }

    /// Asks a question between two others, also while a table is being read whole.
    fn aside<T>(&mut self, question: impl FnOnce(&mut Link) -> Result<T, Fault>) -> Result<T, Fault> {
        let place = if self.whole.is_some() { &mut self.side } else { &mut self.link };
        let mut link = match place.take() {
            Some(link) => link,
            None => Link::open(&self.options.connect)?,
        };
        let answer = question(&mut link)?;
        *place = Some(link);
        Ok(answer)
    }

    /// What is known of a table; `None` where it is gone or not captured.
    fn known(&mut self, link: &mut Link, table: &TableName) -> Result<Option<Arc<Known>>, Fault> {
        if let Some(known) = self.known.get(table) {
            return Ok(Some(Arc::clone(known)));
        }
        if !self.options.selection.takes(table) {
            return Ok(None);
        }
        let known = Known::learn(link, table, &self.options.selection)?.map(Arc::new);
        if let Some(known) = &known {
            self.known.insert(table.clone(), Arc::clone(known));
        }
        Ok(known)
    }

    /// One try at a chunk.
    fn attempt(&mut self, link: &mut Link, ask: &ChunkAsk<'_>) -> Result<Attempt, Fault> {
        let begin = self.clock.nanos();
        let Some(known) = self.known(link, ask.table)? else { return Ok(Attempt::Gone) };
        let Some(key) = &known.key else { return Err(keyless(ask.table)) };
        let range = key.range(ask.table, ask.range)?;
        let fence = match fence::open(link, &known, self.nearness)? {
            Opened::At(fence) => fence,
            Opened::Changed => return self.again(link, ask.table, None),
            Opened::Again => return Ok(Attempt::Again(link.restless(ask.table))),
        };
        let rows_max = self.rows_max(ask);
        let sql = known.select(&range, ask.predicate, Some(rows_max));
        let origin = Origin { fence: fence.clone(), micros: self.clock.wall_micros() };
        let (statement, mut reader) = match begin_rows(link, &known, &sql, origin, &self.options) {
            Ok(begun) => begun,
            Err(Refused::Changed(fault)) => return self.again(link, ask.table, fault),
            Err(Refused::Fault(fault)) => return Err(fault),
        };
        let piece = match reader.read(&mut link.client, ask.bytes_max) {
            Ok(piece) => piece,
            // Some servers say so only where rows should come.
            Err(Broken::Query(QueryError::Server(error))) if fence::is_change(error.number) => {
                let fault = link.table_fault("read a table", QueryError::Server(error), ask.table);
                return self.again(link, ask.table, Some(fault));
            }
            Err(error) => return Err(broken(link, &known, error)),
        };
        let whole = reader.ended() && piece.rows < rows_max;
        let drained = reader.drain(&mut link.client, ask.bytes_max).map_err(|error| broken(link, &known, error))?;
        if let Some(bytes) = piece.bytes.checked_div(piece.rows) {
            self.row_bytes.insert(ask.table.clone(), bytes.max(1));
        }
        let (range, rest) = covered(&known, ask.range, &piece, whole);
        let took = Duration::from_nanos(self.clock.nanos() - begin);
        let chunk = chunk(link, &known, range, rest, piece, Position::new(fence), took);
        if drained {
            link.client.close(statement).map_err(|error| link.table_fault("read a table", error, ask.table))?;
            fence::close(link)?;
            return Ok(Attempt::Done(Box::new(chunk)));
        }
        // Cheaper than to read on to the end of an answer that nobody wants.
        *link = Link::open(&self.options.connect)?;
        Ok(Attempt::Done(Box::new(chunk)))
    }

    /// The table is not what it was: what is known of it is forgotten.
    fn again(&mut self, link: &mut Link, table: &TableName, fault: Option<Fault>) -> Result<Attempt, Fault> {
        self.known.remove(table);
        fence::close(link)?;
        Ok(Attempt::Again(fault.unwrap_or_else(|| link.restless(table))))
    }

    /// How many rows to ask for, so that few are sent for nothing.
    fn rows_max(&self, ask: &ChunkAsk<'_>) -> u64 {
        let by_bytes = match self.row_bytes.get(ask.table) {
            Some(bytes) => ask.bytes_max / bytes + 1,
            None => ROWS_AT_FIRST,
        };
        u64::from(ask.rows_max).min(by_bytes).max(1)
    }
}

/// What a try at a chunk came to.
enum Attempt {
    Done(Box<Chunk>),
    /// The table changed; what is the matter if it never ends.
    Again(Fault),
    Gone,
}

impl TableReader for MySqlTableReader {
    fn tables(&mut self) -> Result<Vec<TableFound>, Fault> {
        let mut link = self.take_link()?;
        let found = tables(&mut link, &self.options)?;
        self.link = Some(link);
        Ok(found)
    }

    fn split(&mut self, table: &TableName, pieces: u32) -> Result<Vec<KeyRange>, Fault> {
        let mut link = self.take_link()?;
        // Borders are of the present key, whatever was known before.
        self.known.remove(table);
        let ranges = match self.known(&mut link, table)? {
            Some(known) => split::ranges(&mut link, &self.clock, &known, pieces)?,
            None => vec![KeyRange::default()],
        };
        self.link = Some(link);
        Ok(ranges)
    }

    fn read(&mut self, ask: &ChunkAsk<'_>) -> Result<Option<Chunk>, Fault> {
        let mut link = self.take_link()?;
        let mut last = None;
        for _ in 0..TRIES_MAX {
            match self.attempt(&mut link, ask)? {
                Attempt::Done(chunk) => {
                    self.link = Some(link);
                    return Ok(Some(*chunk));
                }
                Attempt::Gone => {
                    self.link = Some(link);
                    return Ok(None);
                }
                Attempt::Again(fault) => last = Some(fault),
            }
        }
        Err(last.unwrap_or_else(|| link.restless(ask.table)))
    }

    fn begin_whole(&mut self, table: &TableName, predicate: Option<&str>) -> Result<Option<Position>, Fault> {
        let mut link = self.take_link()?;
        let mut last = None;
        for _ in 0..TRIES_MAX {
            let Some(known) = self.known(&mut link, table)? else {
                self.link = Some(link);
                return Ok(None);
            };
            match Whole::begin(&mut link, &self.clock, known, predicate, &self.options)? {
                Ok(whole) => {
                    let fence = whole.fence();
                    (self.whole, self.link) = (Some(whole), Some(link));
                    return Ok(Some(fence));
                }
                Err(fault) => {
                    self.known.remove(table);
                    fence::close(&mut link)?;
                    last = Some(fault);
                }
            }
        }
        Err(last.unwrap_or_else(|| link.restless(table)))
    }

    fn read_whole(&mut self, bytes_max: u64) -> Result<Option<Chunk>, Fault> {
        let (Some(mut whole), Some(mut link)) = (self.whole.take(), self.link.take()) else { return Ok(None) };
        let chunk = whole.next(&mut link, &self.clock, bytes_max)?;
        if chunk.is_some() {
            self.whole = Some(whole);
        } else {
            whole.end(&mut link)?;
        }
        self.link = Some(link);
        Ok(chunk)
    }

    fn statements_of_others(&mut self) -> Result<Option<u64>, Fault> {
        self.aside(|link| {
            let rows = link.ask("see how busy the server is", "SHOW GLOBAL STATUS LIKE 'Questions'")?;
            // This one is counted by both.
            Ok(status_value(&rows).map(|all| all.wrapping_sub(link.connect.asked.count())))
        })
    }

    fn load(&mut self) -> Result<SourceLoad, Fault> {
        self.aside(load)
    }
}

/// Why rows do not begin.
enum Refused {
    /// The table is not what it was; the server's word on it, if it said one.
    Changed(Option<Fault>),
    Fault(Fault),
}

/// Asks for rows; what comes next on the connection are they.
fn begin_rows(
    link: &mut Link,
    known: &Arc<Known>,
    sql: &str,
    origin: Origin,
    options: &MySqlOptions,
) -> Result<(Prepared, RowReader), Refused> {
    const WHAT: &str = "read a table";
    let refused = |link: &Link, error: QueryError| {
        let changed = matches!(&error, QueryError::Server(error) if fence::is_change(error.number));
        let fault = link.table_fault(WHAT, error, &known.name);
        if changed { Refused::Changed(Some(fault)) } else { Refused::Fault(fault) }
    };
    let statement = link.client.prepare(sql).map_err(|error| refused(link, error))?;
    if statement.params > 0 {
        let text = "the condition of a table holds a place for a parameter";
        let fault = Fault::new(FaultCode::SourceQueryFailed, Component::Input, text);
        return Err(Refused::Fault(fault.about(known.name.to_string())));
    }
    let announced = link.client.execute(statement).map_err(|error| refused(link, error))?;
    let reads = known.reads(&announced, options.json_text).ok_or_else(|| {
        let text = "the server announces other types than its definition of the table";
        let fault = Fault::new(FaultCode::TableSchemaMismatch, Component::Input, text);
        Refused::Fault(fault.about(known.name.to_string()))
    })?;
    let reader = RowReader::new(Arc::clone(known), reads, origin, link.client.take_ahead());
    Ok((statement, reader))
}

/// The fault of an answer that broke off.
fn broken(link: &Link, known: &Known, error: Broken) -> Fault {
    match error {
        Broken::Query(error) => link.table_fault("read a table", error, &known.name),
        Broken::Value { column } => {
            let column = known.schema.columns.get(column).map_or("?", |column| &*column.name);
            let text = format!("column {column} of a row of the table cannot be decoded");
            Fault::new(FaultCode::RowUndecodable, Component::Input, text).about(known.name.to_string())
        }
    }
}

fn keyless(table: &TableName) -> Fault {
    let text = "the table has no key any more and cannot be read in ranges; copy it afresh";
    Fault::new(FaultCode::PositionInvalid, Component::Input, text).about(table.to_string())
}

/// What was read of the range asked for, and what was not.
fn covered(known: &Known, asked: &KeyRange, piece: &Piece, whole: bool) -> (KeyRange, Option<KeyRange>) {
    let last = match (&known.key, &piece.last_key) {
        (Some(key), Some(values)) if !whole => key.text(values),
        _ => return (asked.clone(), None),
    };
    let rest = KeyRange { after: Some(last.clone()), until: asked.until.clone() };
    let rest = (rest.after != rest.until).then_some(rest);
    (KeyRange { after: asked.after.clone(), until: Some(last) }, rest)
}

fn chunk(
    link: &Link,
    known: &Known,
    range: KeyRange,
    rest: Option<KeyRange>,
    piece: Piece,
    fence: Position,
    took: Duration,
) -> Chunk {
    let (definition, prepared) = (Arc::clone(&known.definition), link.prepared.clone());
    let proof = Proof { definition, server: ServerMark::of(&link.facts), prepared };
    let proof: Box<dyn Any + Send> = Box::new(proof);
    let Piece { batches, rows, bytes, .. } = piece;
    Chunk { table: known.name.clone(), range, rest, batches, fence, rows, bytes, took, proof }
}

/// The captured tables with the server's estimates.
fn tables(link: &mut Link, options: &MySqlOptions) -> Result<Vec<TableFound>, Fault> {
    let history = server::definitions(&mut link.client, &link.facts, &options.connect)?;
    let sql = "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES \
               WHERE TABLE_SCHEMA NOT IN ('information_schema','mysql','performance_schema','sys')";
    let mut sizes = HashMap::new();
    for row in link.ask("estimate the size of tables", sql)? {
        let text =
            |index: usize| String::from_utf8_lossy(row.get(index).and_then(|v| v.as_deref()).unwrap_or_default());
        let number = |index: usize| text(index).parse::<u64>().unwrap_or(0);
        sizes.insert(TableName::new(&text(0), &text(1)), (number(2), number(3)));
    }
    let mut found = Vec::new();
    for (name, definition) in history.tables() {
        if definition.is_sequence || !options.selection.takes(name) {
            continue;
        }
        let (rows, bytes) = sizes.get(name).copied().unwrap_or_default();
        // An empty table has a page all the same.
        let bytes = if rows == 0 { 0 } else { bytes };
        let keep = |column: &str| options.selection.takes_column(name, column);
        let shape = shape::of_definition(name, definition, 0, &keep);
        // What cannot be read is told when it is read.
        let has_key = shape.is_ok_and(|(schema, _)| keys::Key::of(definition, &schema).is_some());
        found.push(TableFound { name: name.clone(), rows, bytes, has_key });
    }
    Ok(found)
}

/// The number in the only row of a `SHOW STATUS`.
fn status_value(rows: &TextRows) -> Option<u64> {
    number(rows.first()?.get(1)?)
}

fn number(value: &Option<Vec<u8>>) -> Option<u64> {
    std::str::from_utf8(value.as_deref()?).ok()?.parse().ok()
}

fn load(link: &mut Link) -> Result<SourceLoad, Fault> {
    let rows = link.ask("see how busy the server is", "SHOW GLOBAL STATUS LIKE 'Threads_running'")?;
    let threads_running = status_value(&rows);
    let sql = company::status_query(&link.facts);
    let lag = match link.client.query_named(sql) {
        Ok((names, rows)) => {
            let place =
                names.iter().position(|name| matches!(&**name, "seconds_behind_master" | "seconds_behind_source"));
            place.and_then(|place| rows.iter().filter_map(|row| number(row.get(place)?)).max())
        }
        // Without the right to ask nothing is known.
        Err(QueryError::Server(_)) => None,
        Err(error) => return Err(error.into_fault("see how far behind the server is", &link.connect.endpoint())),
    };
    Ok(SourceLoad { threads_running, replica_lag: lag.map(Duration::from_secs) })
}
