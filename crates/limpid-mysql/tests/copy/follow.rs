//! A server, a source on it, and the stream and the reader of that source.
//!
//! Owns: opening both, decoding, waiting for a chunk to be admitted. Does not own: what is expected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use limpid_connector::{
    Admission, ChangeStream, Chunk, ChunkAsk, Decode, DecodeTally, JsonText, KeyRange, Next, Source, StartPoint,
    TableReader, Until,
};
use limpid_model::{Batch, Cell, CellKind, NONE, Op, Place, TableName};
use limpid_mysql::{ConnectOptions, Flavor, MySqlOptions, MySqlSource, Selection, TlsMode, TlsOptions};
use limpid_stack::Session;

/// The schema that everything happens in.
pub const SCHEMA: &str = "copied";

/// A server under test.
pub struct Site<'a> {
    pub session: Session,
    pub flavor: Flavor,
    port: u16,
    sessions: &'a dyn Fn() -> Session,
}

impl<'a> Site<'a> {
    pub fn new(sessions: &'a dyn Fn() -> Session, port: u16, flavor: Flavor) -> Self {
        let mut site = Self { session: sessions(), flavor, port, sessions };
        for statement in [
            "SET time_zone='+00:00'",
            "SET NAMES utf8mb4",
            "SET sql_mode='ALLOW_INVALID_DATES'",
            &format!("CREATE DATABASE {SCHEMA}"),
            &format!("USE {SCHEMA}"),
        ] {
            site.run(statement);
        }
        site
    }

    pub fn run(&mut self, statement: &str) -> String {
        self.session.exec(statement).unwrap_or_else(|error| panic!("{statement}\n{error}"))
    }

    /// Another session, in the schema.
    pub fn another(&self) -> Session {
        let mut session = (self.sessions)();
        session.exec(&format!("USE {SCHEMA}")).unwrap();
        session
    }

    pub fn source_as(&self, user: &str, json_text: JsonText) -> MySqlSource {
        let connect = ConnectOptions {
            host: "127.0.0.1".into(),
            port: self.port,
            user: user.into(),
            password: String::new(),
            tls: TlsOptions { mode: TlsMode::Disabled, ca: None, cert: None, key: None },
            connect_timeout: Duration::from_secs(5),
            asked: Default::default(),
        };
        MySqlSource::new(MySqlOptions {
            connect,
            others: Vec::new(),
            snapshot_from: None,
            selection: Selection { tables: vec![format!("{SCHEMA}.*")], columns: Vec::new() },
            accept_partial_images: false,
            server_id: 4_712,
            json_text,
            held: None,
            contexts: false,
            heartbeat: None,
        })
    }

    pub fn reader(&self) -> Box<dyn TableReader> {
        self.source_as("root", JsonText::Server).table_reader().unwrap()
    }

    /// A stream of what is committed from now on.
    pub fn follow(&self) -> Follower {
        self.follow_as(JsonText::Server)
    }

    pub fn follow_as(&self, json_text: JsonText) -> Follower {
        let stream = self.source_as("root", json_text).open(&StartPoint::Head, &Until::Forever, None).unwrap();
        Follower { decoder: stream.decoder(), stream, batch: Batch::default() }
    }
}

pub fn name(table: &str) -> TableName {
    TableName::new(SCHEMA, table)
}

/// The stream, decoded.
pub struct Follower {
    pub stream: Box<dyn ChangeStream>,
    decoder: Arc<dyn Decode>,
    batch: Batch,
}

/// So many seconds of nothing are a failure.
const PATIENCE: u32 = 60;

impl Follower {
    /// The next batch, if one comes soon.
    pub fn next(&mut self) -> Option<&Batch> {
        match self.stream.next(&mut self.batch, Duration::from_millis(20)).unwrap() {
            Next::Batch => {
                let mut tally = DecodeTally::default();
                self.decoder.decode(&mut self.batch, &mut tally).unwrap();
                assert!(tally.table_faults.is_empty(), "{:?}", tally.table_faults);
                Some(&self.batch)
            }
            Next::Idle => None,
            Next::End => panic!("the stream ended"),
        }
    }

    /// Gives batches to `take` until the chunk is admitted or stale.
    pub fn until_weighed(&mut self, chunk: &mut Chunk, mut take: impl FnMut(&Batch)) -> Admission {
        for _ in 0..PATIENCE * 50 {
            match self.stream.admit(chunk) {
                Admission::NotYet => drop(self.next().map(&mut take)),
                weighed => return weighed,
            }
        }
        panic!("the fence {:?} is never reached", chunk.fence);
    }
}

/// Stops writers when it goes, after a failure too: their scope waits for them.
pub struct Stops<'a>(pub &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A value without its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plain {
    Null,
    Scalar(u8, u64, u16),
    Bytes(u8, Vec<u8>, u16),
}

pub fn plain(batch: &Batch, cell: Cell) -> Plain {
    let kind = cell.kind() as u8;
    match cell.place() {
        Place::Null => Plain::Null,
        Place::Inline => Plain::Scalar(kind, cell.bits(), cell.scale()),
        Place::Raw | Place::Arena => {
            let scale = if cell.kind() == CellKind::Decimal { cell.scale() } else { 0 };
            Plain::Bytes(kind, batch.bytes(cell).to_vec(), scale)
        }
        other => panic!("{other:?} in a full image"),
    }
}

/// One row of a table: its operation, the hash of its key, both images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub op: Op,
    pub key_hash: u64,
    pub before: Vec<Plain>,
    pub after: Vec<Plain>,
}

/// Rows of one table in a decoded batch.
pub fn rows(batch: &Batch, table: &str) -> Vec<Row> {
    let mut found = Vec::new();
    assert_eq!(batch.marks.len(), batch.rows.len(), "each row has a mark");
    for (row, mark) in batch.rows.iter().zip(&*batch.marks) {
        assert_eq!(mark.op(), row.op);
        let schema = &batch.tables[row.table as usize];
        if &*schema.name.table != table || &*schema.name.schema != SCHEMA {
            continue;
        }
        let image = |first: u32| -> Vec<Plain> {
            let cells = if first == NONE { &[][..] } else { batch.image(first, schema.columns.len()) };
            cells.iter().map(|cell| plain(batch, *cell)).collect()
        };
        found.push(Row { op: row.op, key_hash: mark.key_hash(), before: image(row.before), after: image(row.after) });
    }
    found
}

/// Rows of a chunk, with what every chunk must be.
pub fn chunk_rows(chunk: &Chunk) -> Vec<Row> {
    let mut found = Vec::new();
    for batch in &chunk.batches {
        let count = batch.rows.len() as u32;
        assert_eq!((batch.events.len(), batch.txns.len(), batch.tables.len()), (1, 1, 1));
        assert_eq!((batch.events[0].rows, batch.counts[0][Op::Read as usize]), (count, count));
        assert!(batch.txns[0].ends && batch.end.is_none());
        assert!(batch.rows.iter().all(|row| row.op == Op::Read && row.before == NONE));
        found.extend(rows(batch, &chunk.table.table));
    }
    assert_eq!(found.len() as u64, chunk.rows);
    found
}

/// Reads a range to its end, chunk by chunk; `fresh` makes a reader for each chunk, as after a restart.
pub fn read_range(
    fresh: &mut dyn FnMut() -> Box<dyn TableReader>,
    table: &TableName,
    range: KeyRange,
    (rows_max, bytes_max): (u32, u64),
) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut rest = Some(range);
    while let Some(range) = rest {
        let ask = ChunkAsk { table, range: &range, predicate: None, rows_max, bytes_max };
        let mut reader = fresh();
        let chunk = reader.read(&ask).unwrap().expect("the table is there");
        assert_eq!(chunk.range.after, range.after);
        assert!(chunk.rows <= u64::from(rows_max));
        rest = chunk.rest.clone();
        if let Some(rest) = &rest {
            assert_eq!((&rest.after, &rest.until), (&chunk.range.until, &range.until));
            assert!(chunk.rows > 0 && rest.after != range.after, "{table}: the copy stands still");
        }
        chunks.push(chunk);
    }
    chunks
}
